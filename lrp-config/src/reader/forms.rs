//! The forms that a value of a recipe may have, by the JSON Schema.

use serde_json::{Map, Value};

use super::mistake::Step;
use crate::schema;

/// The forms of one value. A list stands for its items, unless the value can be nothing but a list.
pub struct Forms(Vec<&'static Map<String, Value>>);

impl Forms {
    /// The forms of the value at a path through the tree that serde reads, in which a rule is a table with its name as the key.
    pub fn at(path: &[Step]) -> Self {
        let mut forms = flattened(schema::plain());
        // Behind the name of a form come the keys of that form.
        let mut is_named = false;
        for step in path {
            is_named = !is_named && forms.iter().any(|form| tag(form).is_some());
            forms = forms.into_iter().flat_map(|form| below(form, step, is_named)).collect();
        }
        if forms.iter().any(|form| !is_of(form, "array")) {
            forms.retain(|form| !is_of(form, "array"));
        }
        Self(forms)
    }

    /// Whether one of the forms has this type of JSON.
    pub fn any(&self, kind: &str) -> bool {
        self.0.iter().any(|form| is_of(form, kind))
    }

    /// Whether all of them have it.
    pub fn only(&self, kind: &str) -> bool {
        !self.0.is_empty() && self.0.iter().all(|form| is_of(form, kind))
    }

    /// The type in words, where all of them have one and the same that needs no more words.
    pub fn words(&self) -> Option<&'static str> {
        let words = [("string", "a string"), ("boolean", "true or false"), ("array", "a list"), ("object", "a table")];
        words.into_iter().find(|(kind, _)| self.only(kind)).map(|(_, words)| words)
    }

    /// Whether one of them is an integer from 0 up.
    pub fn counts(&self) -> bool {
        let from_zero = |form: &Map<String, Value>| form.get("minimum").and_then(Value::as_f64) == Some(0.0);
        self.0.iter().any(|form| is_of(form, "integer") && from_zero(form))
    }
}

fn is_of(form: &Map<String, Value>, kind: &str) -> bool {
    match form.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().all(|other| other == kind),
        Some(only) => only == kind,
        None => false,
    }
}

/// The name that a form has in `type`, if it is one of several that are told apart by it.
fn tag(form: &Map<String, Value>) -> Option<&str> {
    form.get("properties")?.get("type")?.get("const")?.as_str()
}

/// The forms of a part of a value, or this form if the step is its name.
fn below(form: &'static Map<String, Value>, step: &Step, is_name: bool) -> Vec<&'static Map<String, Value>> {
    match step {
        Step::Key(key) if is_name => Some(form).filter(|form| tag(form) == Some(key)).into_iter().collect(),
        Step::Key(key) => {
            let own = form.get("properties").and_then(|keys| keys.get(key));
            // A table whose keys are names of the model.
            let any = || form.get("additionalProperties").filter(|any| any.is_object());
            own.or_else(any).map(flattened).unwrap_or_default()
        }
        Step::Item(_) => form.get("items").map(flattened).unwrap_or_default(),
    }
}

/// The forms that a schema consists of.
fn flattened(schema: &'static Value) -> Vec<&'static Map<String, Value>> {
    match ["anyOf", "oneOf"].iter().find_map(|keyword| schema.get(keyword)?.as_array()) {
        Some(forms) => forms.iter().flat_map(flattened).collect(),
        None => schema.as_object().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Forms {
        let step = |step: &str| step.parse().map_or_else(|_| Step::Key(step.to_owned()), Step::Item);
        Forms::at(&path.split('/').map(step).collect::<Vec<_>>())
    }

    #[test]
    fn values_have_the_types_of_the_schema() {
        for (path, kind) in [
            ("name", "string"),
            ("times_input", "boolean"),
            ("assign", "array"),
            ("assign/0", "object"),
            ("assign/0/optional", "boolean"),
            ("assign/0/names/1", "string"),
            ("assign/0/rule/gamma", "object"),
            ("assign/0/rule/gamma/gamma", "number"),
            ("assign/0/rule/z-box/low", "number"),
            ("assign/0/rule/gains/branches/0/positive", "number"),
            ("assign/0/rule/epsilon/bias", "string"),
            ("explain/target/top", "integer"),
            ("input/mean/2", "number"),
            ("explain/inputs/left", "string"),
        ] {
            assert!(at(path).only(kind), "{path}");
        }
        assert!(
            at("assign/0/rule/epsilon/epsilon").any("number") && !at("assign/0/rule/epsilon/epsilon").only("number")
        );
        assert!(
            at("explain/target").counts()
                && at("assign/0/layers").counts()
                && !at("assign/0/rule/product/gate").counts()
        );
        assert_eq!(
            [at("explain/inputs/left"), at("explain/target")].map(|forms| forms.words()),
            [Some("a string"), None]
        );
        assert!(!at("nonsense/here").only("string") && !at("nonsense").any("string"));
    }
}
