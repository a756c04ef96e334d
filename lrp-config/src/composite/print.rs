//! A composite as TOML, with the position of each value: messages about a composite from Rust show them as they do those of a file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use lrp_core::text::toml as toml_text;
use serde_json::Value;
use toml::Spanned;

use super::{Composite, Head};
use crate::any_rule::AnyRule;
use crate::format::{Assign, SCHEMA_VERSION};
use crate::names::NameGlob;
use crate::ops::Ops;
use crate::reader::KeySpans;
use crate::source::Source;
use crate::values::OneOrMany;
use crate::written::one_or_list;

/// What messages call the text of a composite that was made in Rust.
pub(crate) const NAME: &str = "composite";

/// The text of a recipe; a rule that none can name stands there as it prints.
impl fmt::Display for Composite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.clone().printed().0.text())
    }
}

impl Composite {
    /// The composite with its text, in which its entries have their places.
    pub(crate) fn printed(mut self) -> (Arc<Source>, Self) {
        let mut text = format!("schema = {SCHEMA_VERSION}\n");
        let Head { name, description, times_input } = &self.head;
        let head = [
            ("name", name.as_deref().map(Value::from)),
            ("description", description.as_deref().map(Value::from)),
            ("times_input", times_input.map(Value::from)),
        ];
        for (key, value) in head.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            text.push_str(&format!("{key} = {}\n", toml_text(&value)));
        }
        for (i, entry) in self.entries.iter_mut().enumerate() {
            text.push('\n');
            entry.place.number = i + 1;
            entry.place.span = push(&mut text, "[[assign]]");
            text.push('\n');
            let Assign { layers, ops, names, attention, state_space, rule, optional } = &mut entry.assign;
            place(&mut text, "layers", layers, |layers| layers.to_string());
            place(&mut text, "ops", ops, |OneOrMany(ops)| one_or_list(ops.iter().copied().map(Ops::name)));
            place(&mut text, "names", names, |OneOrMany(names)| one_or_list(names.iter().map(NameGlob::text)));
            place(&mut text, "attention", attention, |wanted| wanted.to_string());
            place(&mut text, "state_space", state_space, |wanted| wanted.to_string());
            text.push_str("rule = ");
            let (span, keys) = print_rule(&mut text, rule.get_ref());
            entry.place.rule = span.clone();
            entry.rule_keys = keys;
            *rule = Spanned::new(span, rule.get_ref().clone());
            text.push('\n');
            if *optional {
                text.push_str("optional = true\n");
            }
        }
        let source = Arc::new(Source::new(NAME, text));
        for entry in &mut self.entries {
            entry.place.source = Arc::clone(&source);
        }
        (source, self)
    }
}

/// Writes the line of a key, if it has a value.
fn place<V: Clone>(text: &mut String, key: &str, value: &mut Option<Spanned<V>>, printed: impl Fn(&V) -> String) {
    if let Some(value) = value {
        text.push_str(&format!("{key} = "));
        let span = push(text, &printed(value.get_ref()));
        text.push('\n');
        *value = Spanned::new(span, value.get_ref().clone());
    }
}

/// Writes a rule, and tells where it and its parameters are.
fn print_rule(text: &mut String, rule: &AnyRule) -> (Range<usize>, KeySpans) {
    let mut keys = KeySpans::new();
    let printed = match rule.printed() {
        Ok(printed) => printed,
        Err(own) => return (push(text, &own.to_string()), keys),
    };
    let (name, parameters) = (printed.name(), printed.parameters());
    if parameters.is_empty() {
        return (push(text, &format!("\"{name}\"")), keys);
    }
    let start = text.len();
    text.push_str(&format!("{{ type = \"{name}\""));
    for (key, value) in parameters {
        text.push_str(&format!(", {key} = "));
        let span = push(text, &value);
        keys.insert(key, span);
    }
    text.push_str(" }");
    (start..text.len(), keys)
}

/// Appends a part, and tells where it is.
fn push(text: &mut String, part: &str) -> Range<usize> {
    let start = text.len();
    text.push_str(part);
    start..text.len()
}
