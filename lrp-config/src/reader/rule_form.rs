//! The forms of a rule in a recipe, brought into the one that serde reads without losing its place.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::KeySpans;
use crate::diagnostic::Diagnostic;
use crate::fix::Fix;
use crate::rule_info::rule_names;
use crate::schema;
use crate::source::Source;
use crate::suggest::{choices, closest};

/// Shown where a rule is missing or cannot be recognised.
pub const RULE_FORMS: &str = r#"write a rule as "zero" or { type = "gamma", gamma = 0.25 }"#;

/// Turns `{ type = "gamma", gamma = 0.25 }`, and likewise the bare name, into `{ gamma = { gamma = 0.25 } }`.
///
/// Serde reads either form, but for the first one it must put everything aside until it has seen `type`, and with that it
/// forgets where each value stood.
pub fn tag_rule(source: &Arc<Source>, rule: &mut Spanned<DeValue<'_>>) -> Result<KeySpans, Box<Diagnostic>> {
    let span = rule.span();
    let problem = |span: Range<usize>, message: String, label: &str| {
        Err(Box::new(Diagnostic::at(source, span, message).label(label).help(RULE_FORMS)))
    };
    let (name, keys) = match std::mem::replace(rule.get_mut(), DeValue::Boolean(false)) {
        DeValue::String(name) => (Spanned::new(span.clone(), name), DeTable::new()),
        DeValue::Table(mut keys) => match keys.remove("type").map(|name| (name.span(), name.into_inner())) {
            Some((place, DeValue::String(name))) => (Spanned::new(place, name), keys),
            Some((place, other)) => {
                return problem(
                    place,
                    format!("type: expected a rule's name, got {}", article(other.type_str())),
                    "expected a name",
                );
            }
            None => {
                let name = rule_with(keys.keys().map(|key| key.get_ref().as_ref()));
                let inside = source.text().get(span.clone()).is_some_and(|text| text.starts_with('{'));
                let fix = name.filter(|_| inside).map(|name| {
                    let comma = if keys.is_empty() { "" } else { "," };
                    Fix::replace(span.start + 1..span.start + 1, format!(" type = \"{name}\"{comma}"))
                });
                let problem = Diagnostic::at(source, span, "the rule has no `type`").label("needs a key 'type'");
                return Err(Box::new(problem.help(RULE_FORMS).fix(fix)));
            }
        },
        other => {
            return problem(
                span,
                format!("rule: expected a rule, got {}", article(other.type_str())),
                "expected a rule",
            );
        }
    };
    let names = rule_names();
    if !names.contains(&name.get_ref().as_ref()) {
        let problem = Diagnostic::at(source, name.span(), format!("there is no rule '{}'", name.get_ref()));
        let meant = closest(name.get_ref(), names.iter().copied());
        let fix = meant.map(|meant| Fix::replace(name.span(), format!("\"{meant}\"")));
        return Err(Box::new(problem.label("not a rule").help(choices(name.get_ref(), &names)).fix(fix)));
    }
    let spans = keys.iter().map(|(key, value)| (key.get_ref().to_string(), value.span())).collect();
    let mut tagged = DeTable::new();
    tagged.insert(name, Spanned::new(span, DeValue::Table(keys)));
    *rule.get_mut() = DeValue::Table(tagged);
    Ok(spans)
}

/// The rule that has all of these keys, and first of all one that is called like one of them.
fn rule_with<'k>(keys: impl Iterator<Item = &'k str>) -> Option<&'static str> {
    let keys: Vec<&str> = keys.collect();
    let fits = |form: &serde_json::Map<String, serde_json::Value>| {
        keys.iter().all(|key| form.get("properties").is_some_and(|known| known.get(key).is_some()))
    };
    let fitting: Vec<&str> = schema::rules().filter(|(_, form)| fits(form)).map(|(name, _)| name).collect();
    let called = fitting.iter().find(|name| keys.contains(name));
    called.or(fitting.first()).copied().filter(|_| !keys.is_empty())
}

/// TOML's word for a type, as part of a sentence.
fn article(kind: &str) -> String {
    match kind {
        "array" => "a list".to_owned(),
        "integer" => "an integer".to_owned(),
        other => format!("a {other}"),
    }
}
