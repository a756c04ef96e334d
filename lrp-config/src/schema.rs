//! The JSON Schema of recipes, made from the types that recipes are read into (`format`): editors complete and check with it.
//!
//! Draft 7, with nothing but what editors for TOML know. Two keywords of our own are for people: `x-default` says in words what
//! happens without a key that has no default value, `x-source` where a rule comes from.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use lrp_core::text::toml as toml_text;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::format::RecipeFile;

/// The JSON Schema of recipes.
pub fn schema() -> Value {
    let mut schema = plain().clone();
    if let Ok(schema) = <&mut Schema>::try_from(&mut schema) {
        RecursiveTransform(tell).transform(schema);
        RecursiveTransform(name_allowed_keys).transform(schema);
        RecursiveTransform(choose_form).transform(schema);
    }
    schema
}

/// The schema before defaults and examples are told in descriptions: the source of the reference page and of `lrp rules`.
pub(crate) fn plain() -> &'static Value {
    static PLAIN: LazyLock<Value> = LazyLock::new(|| {
        let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
        let settings = settings.with_transform(RecursiveTransform(without_null));
        SchemaGenerator::new(settings).into_root_schema_for::<RecipeFile>().to_value()
    });
    &PLAIN
}

/// The forms of a rule that are tables, by the rule's name.
pub(crate) fn rules() -> impl Iterator<Item = (&'static str, &'static Map<String, Value>)> {
    let forms = plain().pointer("/properties/assign/items/properties/rule/anyOf").and_then(Value::as_array);
    forms.into_iter().flatten().filter_map(|form| {
        let name = form.pointer("/properties/type/const")?.as_str()?;
        Some((name, form.as_object()?))
    })
}

/// TOML has no null, and one kind of number less than JSON Schema's formats.
fn without_null(schema: &mut Schema) {
    schema.remove("format");
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    let null = json!({ "type": "null" });
    if let Some(Value::Array(choices)) = schema.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
    let Some(Value::Array(forms)) = schema.get_mut("anyOf") else { return };
    forms.retain(|form| *form != null);
    if let [Value::Object(only)] = forms.as_slice() {
        let only = only.clone();
        schema.remove("anyOf");
        // What the key says of itself goes before what its type says.
        for (keyword, value) in only {
            schema.ensure_object().entry(keyword).or_insert(value);
        }
    }
}

/// Adds default and examples to the description: editors show nothing else.
fn tell(schema: &mut Schema) {
    let Some(description) = schema.get("description").and_then(Value::as_str) else { return };
    let mut text = description.to_owned();
    if let Some(default) = default_in_words(schema.as_object().unwrap_or(&Map::new())) {
        text += &format!("\n\nDefault: {default}.");
    }
    if let Some(Value::Array(examples)) = schema.get("examples") {
        let list: Vec<String> = examples.iter().map(|example| format!("`{}`", toml_text(example))).collect();
        text += &format!("\n\nExample{}: {}.", if list.len() == 1 { "" } else { "s" }, list.join(", "));
    }
    schema.insert("description".to_owned(), text.into());
}

/// Reports an unknown key at that key, with the keys that there are. Taplo repeats a mistake of a table at every key and value in it.
fn name_allowed_keys(schema: &mut Schema) {
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return;
    }
    let Some(Value::Object(properties)) = schema.get("properties") else { return };
    let keys: Vec<&str> = properties.keys().map(String::as_str).collect();
    let message = format!("unknown key; the keys are {}", keys.join(", "));
    schema.insert("additionalProperties".to_owned(), json!({ "not": { "description": message } }));
}

/// Checks a value of several forms against the form that it is meant to be: that of its type, or for tables that of their `type`.
/// `anyOf` alone would say only that no form fits. It stays, with a last form that always fits, because editors complete from it.
fn choose_form(schema: &mut Schema) {
    let Some(Value::Array(forms)) = schema.get("anyOf") else { return };
    let mut forms: Vec<Value> = forms.iter().flat_map(flattened).collect();
    let types: Option<BTreeSet<String>> =
        forms.iter().map(|form| Some(form.get("type")?.as_str()?.to_owned())).collect();
    let Some(types) = types else { return };
    let mut checks = Vec::new();
    for kind in &types {
        let of_type: Vec<&Value> = forms.iter().filter(|form| form["type"] == **kind).collect();
        let names: Option<Vec<&Value>> = of_type.iter().map(|form| form.pointer("/properties/type/const")).collect();
        match (of_type.as_slice(), names) {
            ([only], _) => checks.push(json!({ "if": { "type": kind }, "then": only })),
            (_, Some(names)) => {
                let known = json!({ "required": ["type"], "properties": { "type": { "enum": names } } });
                checks.push(json!({ "if": { "type": kind }, "then": known }));
                for (name, form) in names.iter().zip(of_type) {
                    let named =
                        json!({ "type": kind, "required": ["type"], "properties": { "type": { "const": name } } });
                    checks.push(json!({ "if": named, "then": form }));
                }
            }
            // Nothing tells these forms apart.
            (_, None) if types.len() == 1 => return,
            (forms, None) => checks.push(json!({ "if": { "type": kind }, "then": { "anyOf": forms } })),
        }
    }
    schema.insert("type".to_owned(), json!(types));
    schema.insert("allOf".to_owned(), checks.into());
    forms.push(json!({}));
    schema.insert("anyOf".to_owned(), forms.into());
}

/// A form, or the forms that it consists of.
fn flattened(form: &Value) -> Vec<Value> {
    match form.get("anyOf") {
        Some(Value::Array(inner)) if form.get("type").is_none() => inner.iter().flat_map(flattened).collect(),
        _ => vec![form.clone()],
    }
}

/// The default of a key as Markdown: a value as TOML writes it, or words.
pub(crate) fn default_in_words(key: &Map<String, Value>) -> Option<String> {
    match (key.get("default"), key.get("x-default")) {
        (Some(value), _) => Some(format!("`{}`", toml_text(value))),
        (None, Some(words)) => words.as_str().map(str::to_owned),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::known_names;

    /// Every table of the schema with the path of keys to it, in the form that serde reads.
    fn tables<'a>(path: &str, schema: &'a Value, found: &mut Vec<(String, &'a Map<String, Value>)>) {
        if let Some(Value::Object(properties)) = schema.get("properties") {
            assert_eq!(schema["additionalProperties"], false, "{path} must not take other keys");
            found.push((path.to_owned(), properties));
            for (key, value) in properties {
                tables(&format!("{path}/{key}"), value, found);
            }
        }
        for keyword in ["anyOf", "items"] {
            match schema.get(keyword) {
                Some(Value::Array(forms)) => forms.iter().for_each(|form| tables(path, form, found)),
                Some(form) => tables(path, form, found),
                None => {}
            }
        }
    }

    /// By construction they have the same, as long as nobody writes one of them by hand.
    #[test]
    fn the_reader_and_the_schema_have_the_same_keys() {
        let mut found = Vec::new();
        tables("", plain(), &mut found);
        let mut checked = 0;
        for (path, properties) in found {
            let kind = properties.get("type").and_then(|name| name["const"].as_str());
            let toml = match (path.as_str(), kind) {
                ("", _) => "nonsense = 1".to_owned(),
                ("/assign", _) => "[[assign]]\nnonsense = 1".to_owned(),
                ("/assign/rule", Some(kind)) => format!("[[assign]]\nrule = {{ {kind} = {{ nonsense = 1 }} }}"),
                ("/assign/rule/epsilon", _) => {
                    "[[assign]]\nrule = { epsilon = { epsilon = { nonsense = 1 } } }".to_owned()
                }
                ("/assign/rule/branches", _) => {
                    "[[assign]]\nrule = { gains = { branches = [{ nonsense = 1 }] } }".to_owned()
                }
                ("/assign/rule/stabilizer", _) => {
                    "[[assign]]\nrule = { gains = { branches = [], stabilizer = { nonsense = 1 } } }".to_owned()
                }
                ("/explain/start", _) => "[explain]\nstart = { nonsense = 1 }".to_owned(),
                ("/explain/target", _) => "[explain]\ntarget = { nonsense = 1 }".to_owned(),
                (section, _) => format!("[{}]\nnonsense = 1", section.trim_start_matches('/')),
            };
            let keys: Vec<&str> = properties.keys().map(String::as_str).filter(|key| *key != "type").collect();
            assert_eq!(known_names::<RecipeFile>(&toml), keys, "{path} {kind:?}");
            checked += 1;
        }
        assert_eq!(
            checked,
            7 + rules().count() + 5,
            "the file and its tables, the rules, and the tables of epsilon, gains (two), start and target"
        );
    }

    #[test]
    fn every_key_has_a_description_a_default_and_an_example() {
        let mut found = Vec::new();
        tables("", plain(), &mut found);
        for (path, properties) in found {
            for (key, value) in properties.iter().filter(|(key, _)| path != "/assign/rule" || *key != "type") {
                let Value::Object(keywords) = value else { panic!("{path}/{key}") };
                assert!(keywords.get("description").is_some_and(Value::is_string), "{path}/{key} has no description");
                if keywords.contains_key("properties") || key == "assign" {
                    continue;
                }
                let required = path == "/explain/start" && key == "at"
                    || ["schema", "rule", "relative", "branches", "positive", "negative"].contains(&key.as_str());
                assert!(required || default_in_words(keywords).is_some(), "{path}/{key} has no default");
                assert!(keywords.get("examples").is_some_and(Value::is_array), "{path}/{key} has no example");
            }
        }
    }

    /// Every default and every example of every key, in a recipe by itself.
    #[test]
    fn defaults_and_examples_can_be_written() {
        let mut found = Vec::new();
        tables("", plain(), &mut found);
        let mut count = 0;
        for (path, properties) in found {
            let kind = properties.get("type").and_then(|name| name["const"].as_str());
            for (key, value) in properties {
                let examples = value.get("examples").and_then(Value::as_array).into_iter().flatten();
                for value in examples.chain(value.get("default")) {
                    let line = format!("{key} = {}", toml_text(value));
                    let toml = match (path.as_str(), kind, key.as_str()) {
                        ("/assign/rule", Some(kind), "alpha") => {
                            format!("rule = {{ type = \"{kind}\", {line}, beta = {} }}", value.as_f64().unwrap() - 1.0)
                        }
                        ("/assign/rule", Some(kind), "beta") => {
                            format!("rule = {{ type = \"{kind}\", {line}, alpha = {} }}", value.as_f64().unwrap() + 1.0)
                        }
                        ("/assign/rule", Some("gains"), "stabilizer" | "bias") => {
                            format!(
                                "rule = {{ type = \"gains\", branches = [{{ positive = 1, negative = 0 }}], {line} }}"
                            )
                        }
                        ("/assign/rule", Some(kind), _) => format!("rule = {{ type = \"{kind}\", {line} }}"),
                        ("/assign/rule/stabilizer", ..) => format!(
                            "rule = {{ type = \"gains\", branches = [{{ positive = 1, negative = 0 }}], stabilizer = {{ {line} }} }}"
                        ),
                        ("/assign/rule/branches", ..) => {
                            let gains = ["positive", "negative"].into_iter().filter(|gain| *gain != key);
                            let others: String = gains.map(|gain| format!(", {gain} = 1")).collect();
                            format!("rule = {{ type = \"gains\", branches = [{{ {line}{others} }}] }}")
                        }
                        ("/assign/rule/epsilon", ..) => {
                            format!("rule = {{ type = \"epsilon\", epsilon = {{ {line} }} }}")
                        }
                        ("/assign", _, "rule") => line,
                        ("/assign", ..) => format!("{line}\nrule = \"pass\""),
                        ("", _, "schema" | "extends") => continue,
                        ("", ..) => format!("rule = \"pass\"\n[root]{line}"),
                        ("/explain/start", _, "channels") => {
                            format!("rule = \"pass\"\n[explain]\nstart = {{ at = \"a\", {line} }}")
                        }
                        ("/explain/start", ..) => format!("rule = \"pass\"\n[explain]\nstart = {{ {line} }}"),
                        ("/explain/target", _, "class") => {
                            format!("rule = \"pass\"\n[explain]\ntarget = {{ at = 0, {line} }}")
                        }
                        ("/explain/target", _, "classes") => {
                            format!("rule = \"pass\"\n[explain]\ntarget = {{ box = 0, {line} }}")
                        }
                        ("/explain/target", _, "skip") => {
                            format!("rule = \"pass\"\n[explain]\ntarget = {{ each = 1, {line} }}")
                        }
                        ("/explain/target", _, "output" | "measure") => {
                            format!("rule = \"pass\"\n[explain]\ntarget = {{ similarity = \"a.npy\", {line} }}")
                        }
                        ("/explain/target", ..) => format!("rule = \"pass\"\n[explain]\ntarget = {{ {line} }}"),
                        ("/compare", _, "titles") => {
                            format!("rule = \"pass\"\n[compare]\nrecipes = [\"lrp-0\", \"lrp-gamma\"]\n{line}")
                        }
                        (section, ..) => format!("rule = \"pass\"\n[{}]\n{line}", &section[1..]),
                    };
                    let (entry, root) = toml.split_once("\n[root]").unwrap_or((&toml, ""));
                    let text = format!("schema = 1\n{root}\n[[assign]]\n{entry}\n");
                    let read = crate::Recipe::parse(&text, "example.toml", "");
                    assert!(read.is_ok(), "{path}/{key}:\n{text}{}", read.unwrap_err());
                    count += 1;
                }
            }
        }
        assert!(count > 60, "{count}");
    }
}
