//! A class, as people name it.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, Visitor};

use crate::suggest::closest;
use crate::values::Count;

/// A class by its number or by its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// Its number, from 0.
    Index(usize),
    /// Its label, as in the model's list of labels.
    Label(String),
}

impl Class {
    /// The class's number, given the labels of all classes in order.
    ///
    /// # Errors
    /// When no class, or more than one, has this label; the message has a suggestion.
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
