//! Rules by their bare name, in the schema.

use schemars::Schema;
use serde_json::{Value, json};

/// For the rules: `"gamma"` is as good as `{ type = "gamma" }`.
pub(crate) fn with_bare_names(schema: &mut Schema) {
    let Some(Value::Array(mut forms)) = schema.remove("oneOf") else { return };
    for form in forms.iter_mut().filter_map(Value::as_object_mut) {
        // People read the keys first.
        if let Some(source) = form.shift_remove("x-source") {
            form.insert("x-source".to_owned(), source);
        }
    }
    // A rule with required keys has no bare name.
    let bare = forms.iter().filter(|form| form.pointer("/required/1").is_none());
    let names: Vec<&Value> = bare.filter_map(|form| form.pointer("/properties/type/const")).collect();
    let bare = json!({ "title": "name of a rule", "type": "string", "enum": names });
    schema.insert("anyOf".to_owned(), std::iter::once(bare).chain(forms).collect());
}
