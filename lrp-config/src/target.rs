//! `target = …`: which outputs are explained, as people name them.
//!
//! `lrp_core::Target` is one output for each sample, by number. A recipe can also ask for several at once, or for a class by
//! its label, which takes the model's list of labels to resolve.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use lrp_core::text::shown;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde_json::json;
use toml::de::ValueDeserializer;

use crate::suggest::closest;
use crate::values::{Count, positive_count};

/// Which outputs to explain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Target {
    /// The largest output of each sample.
    #[default]
    Argmax,
    /// One class, the same for every sample.
    Class(Class),
    /// Every output, one after the other.
    All,
    /// The so many largest outputs of each sample, one after the other.
    Top(usize),
    /// What speaks for the first class rather than the second.
    Contrast(Class, Class),
}

/// A class by its number or by its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// Its number, from 0.
    Index(usize),
    /// Its label, as it stands in the model's list of labels.
    Label(String),
}

impl Class {
    /// The class's number, given the labels of all classes in order.
    ///
    /// # Errors
    /// When no class, or more than one, has this label; the message says what was probably meant.
    pub fn index(&self, labels: &[String]) -> Result<usize, String> {
        let label = match self {
            Class::Index(index) => return Ok(*index),
            Class::Label(label) => label,
        };
        if labels.is_empty() {
            return Err(format!("the class '{label}' has no number: no labels are known (`labels` under [model])"));
        }
        let mut found = labels.iter().enumerate().filter(|(_, known)| *known == label).map(|(i, _)| i);
        match (found.next(), found.next()) {
            (Some(index), None) => Ok(index),
            (Some(first), Some(second)) => {
                Err(format!("the classes {first} and {second} are both labelled '{label}': use the number"))
            }
            (None, _) => {
                let meant = closest(label, labels.iter().map(String::as_str));
                let meant = meant.map_or_else(String::new, |meant| format!(", did you mean '{meant}'?"));
                Err(format!("no class is labelled '{label}'{meant}"))
            }
        }
    }
}

impl Class {
    /// The label that was probably meant by one that does not exist.
    pub(crate) fn closest<'l>(&self, labels: &'l [String]) -> Option<&'l str> {
        match self {
            Class::Index(_) => None,
            Class::Label(label) => closest(label, labels.iter().map(String::as_str)),
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Class::Index(index) => write!(f, "{index}"),
            Class::Label(label) => write!(f, "{label:?}"),
        }
    }
}

/// As a recipe writes it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Argmax => f.write_str("\"argmax\""),
            Target::Class(class) => class.fmt(f),
            Target::All => f.write_str("\"all\""),
            Target::Top(count) => write!(f, "{{ top = {count} }}"),
            Target::Contrast(class, other) => write!(f, "{{ contrast = [{class}, {other}] }}"),
        }
    }
}

/// Reads a target from a command line: a number is a class, `{ … }` is as in a recipe, the rest is a word.
impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(index) = text.parse() {
            return Ok(Target::Class(Class::Index(index)));
        }
        if !text.starts_with('{') {
            return Ok(Target::word(text));
        }
        let target = ValueDeserializer::parse(text).and_then(Target::deserialize);
        target.map_err(|error| format!("'{}' is no target: {}", shown(text), error.message().replace('\n', "; ")))
    }
}

impl Target {
    fn word(word: &str) -> Self {
        match word {
            "argmax" => Target::Argmax,
            "all" => Target::All,
            label => Target::Class(Class::Label(label.to_owned())),
        }
    }
}

/// The forms of a target that are tables.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct TargetTable {
    /// The so many largest outputs of each sample, one after the other.
    #[serde(default, deserialize_with = "positive_count")]
    #[schemars(extend("minimum" = 1, "x-default" = "none"), example = 3)]
    top: Option<usize>,
    /// What speaks for the first class rather than the second.
    #[schemars(extend("x-default" = "none"), example = json!([0, 9]))]
    contrast: Option<[Class; 2]>,
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Targets;

        impl<'de> Visitor<'de> for Targets {
            type Value = Target;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#""argmax", "all", a class, { top = 3 } or { contrast = [0, 9] }"#)
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Target, E> {
                Class::deserialize(value.into_deserializer()).map(Target::Class)
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Target, E> {
                Ok(Target::word(word))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Target, A::Error> {
                match TargetTable::deserialize(MapAccessDeserializer::new(map))? {
                    TargetTable { top: Some(count), contrast: None } => Ok(Target::Top(count)),
                    TargetTable { top: None, contrast: Some([class, other]) } => Ok(Target::Contrast(class, other)),
                    _ => Err(Error::custom(
                        "expected either `top` or `contrast`\nwrite { top = 3 } or { contrast = [0, 9] }",
                    )),
                }
            }
        }

        deserializer.deserialize_any(Targets)
    }
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Classes;

        impl Visitor<'_> for Classes {
            type Value = Class;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a class, by its number or its label")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Class, E> {
                Count::deserialize(value.into_deserializer()).map(|Count(index)| Class::Index(index))
            }

            fn visit_str<E: Error>(self, label: &str) -> Result<Class, E> {
                Ok(Class::Label(label.to_owned()))
            }
        }

        deserializer.deserialize_any(Classes)
    }
}

impl JsonSchema for Target {
    fn schema_name() -> Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let words = json!({ "type": "string", "enum": ["argmax", "all"] });
        let (class, table) = (generator.subschema_for::<Class>(), generator.subschema_for::<TargetTable>());
        json_schema!({ "anyOf": [words, class, table] })
    }
}

impl JsonSchema for Class {
    fn schema_name() -> Cow<'static, str> {
        "Class".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "title": "class", "type": "integer", "minimum": 0 },
            { "title": "label", "type": "string" },
        ] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Class {
        Class::Label(text.to_owned())
    }

    #[test]
    fn every_form_reads_back_what_it_prints() {
        let targets = [
            ("argmax", Target::Argmax),
            ("all", Target::All),
            ("3", Target::Class(Class::Index(3))),
            ("tabby cat", Target::Class(label("tabby cat"))),
            ("{ top = 3 }", Target::Top(3)),
            ("{ contrast = [0, \"nine\"] }", Target::Contrast(Class::Index(0), label("nine"))),
        ];
        for (text, target) in targets {
            assert_eq!(text.parse(), Ok(target.clone()), "{text}");
            let value = ValueDeserializer::parse(&target.to_string()).and_then(Target::deserialize);
            assert_eq!(value.ok(), Some(target), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let problem = |text: &str| Target::from_str(text).unwrap_err();
        assert_eq!(
            problem("{ top = 0 }"),
            "'{ top = 0 }' is no target: must be at least 1, got 0; count from 1 here, or leave the key out"
        );
        assert_eq!(
            problem("{}"),
            "'{}' is no target: expected either `top` or `contrast`; write { top = 3 } or { contrast = [0, 9] }"
        );
        assert!(problem("{ tops = 3 }").contains("unknown field `tops`"));
        assert!(problem("{ contrast = [0] }").contains("invalid length 1"));
    }

    #[test]
    fn labels_are_looked_up() {
        let labels = ["tench", "goldfish", "crane", "crane"].map(str::to_owned);
        assert_eq!(label("goldfish").index(&labels), Ok(1));
        assert_eq!(Class::Index(9).index(&labels), Ok(9));
        assert_eq!(
            label("goldfisch").index(&labels).unwrap_err(),
            "no class is labelled 'goldfisch', did you mean 'goldfish'?"
        );
        assert_eq!(
            label("crane").index(&labels).unwrap_err(),
            "the classes 2 and 3 are both labelled 'crane': use the number"
        );
        assert!(label("crane").index(&[]).unwrap_err().contains("no labels are known"));
    }
}
