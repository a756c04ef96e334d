//! The rules there are, for `lrp rules` and for "did you mean": from the JSON Schema.

use std::sync::LazyLock;

use lrp_core::text::toml as toml_text;
use serde_json::{Map, Value};

use crate::schema;

/// A rule that recipes can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInfo {
    /// Its name in recipes.
    pub name: &'static str,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// Its purpose, in a line.
    pub summary: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

/// A rule's parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The key in recipes.
    pub name: &'static str,
    /// The default, as a recipe would write it, or in words (`from …`, `required`).
    pub default: String,
    /// Its purpose.
    pub doc: String,
}

static RULES: LazyLock<Vec<RuleInfo>> = LazyLock::new(|| {
    let rule = |(name, form): (&'static str, &'static Map<String, Value>)| RuleInfo {
        name,
        parameters: form.get("properties").and_then(Value::as_object).map(parameters).unwrap_or_default(),
        summary: text(form, "description").trim_end_matches('.'),
        source: text(form, "x-source"),
    };
    schema::rules().map(rule).collect()
});

fn parameters(keys: &'static Map<String, Value>) -> Vec<Parameter> {
    let keys = keys.iter().filter(|(name, _)| *name != "type").filter_map(|(name, key)| Some((name, key.as_object()?)));
    let default = |key: &Map<String, Value>| match text(key, "x-default") {
        "" => "required".to_owned(),
        words => words.to_owned(),
    };
    let parameter = |(name, key): (&'static String, &'static Map<String, Value>)| Parameter {
        name,
        default: key.get("default").map_or_else(|| default(key), toml_text),
        doc: doc(key),
    };
    keys.map(parameter).collect()
}

/// The purpose of a parameter, and its possible words, if it is a word.
fn doc(key: &Map<String, Value>) -> String {
    let about = text(key, "description").trim_end_matches('.').replace('\n', " ");
    let choices = key.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let choices: Vec<String> = choices.filter_map(|choice| choice.get("const").map(toml_text)).collect();
    if choices.is_empty() { about } else { format!("{about}: {}", choices.join(", ")) }
}

fn text<'a>(schema: &'a Map<String, Value>, keyword: &str) -> &'a str {
    schema.get(keyword).and_then(Value::as_str).unwrap_or_default()
}

/// Every rule there is.
pub fn rules() -> &'static [RuleInfo] {
    &RULES
}

/// The rules' names.
pub(crate) fn rule_names() -> Vec<&'static str> {
    RULES.iter().map(|rule| rule.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::any_rule::AnyRule;
    use crate::reader::known_names;

    #[test]
    fn the_table_lists_what_recipes_take() {
        assert_eq!(known_names::<AnyRule>("nonsense = {}"), rule_names());
        for rule in rules() {
            let parameters: Vec<&str> = rule.parameters.iter().map(|parameter| parameter.name).collect();
            let known = known_names::<AnyRule>(&format!("{} = {{ nonsense = 1 }}", rule.name));
            assert_eq!(known, parameters, "{}", rule.name);
        }
    }

    #[test]
    fn the_defaults_are_those_that_recipes_have() {
        for rule in rules() {
            let read = |keys: String| toml::from_str::<AnyRule>(&format!("{} = {{ {keys} }}", rule.name)).unwrap();
            let required = if rule.name == "gains" { "branches = [], " } else { "" };
            let written: Vec<String> = rule
                .parameters
                .iter()
                .filter(|parameter| !parameter.default.starts_with("from ") && parameter.default != "required")
                .map(|parameter| format!("{} = {}", parameter.name, parameter.default))
                .collect();
            assert_eq!(read(format!("{required}{}", written.join(", "))), read(required.to_owned()), "{}", rule.name);
            assert_eq!(read(required.to_owned()).name(), rule.name);
        }
    }
}
