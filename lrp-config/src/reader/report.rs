//! A mistake in our words: its message, and what repairs it.
//!
//! The types that a value may have come from the JSON Schema, and what the value is from the recipe's text.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::forms::Forms;
use super::mistake::{Mistake, MistakeKind};
use super::rule_form::RULE_FORMS;
use crate::diagnostic::Diagnostic;
use crate::fix::{Edit, Fix};
use crate::schema;
use crate::source::Source;
use crate::suggest::{choices, closest};
use crate::syntax;

/// Shown where something else stands for true or false.
const BOOLEANS: &str = "write true or false, without quotes";

/// Shown where something else stands for a text.
const TEXTS: &str = "text stands in quotes";

/// The diagnostic of a mistake at a spot.
pub fn diagnostic(source: &Arc<Source>, mistake: &Mistake, spot: &Range<usize>) -> Diagnostic {
    let message = match &mistake.kind {
        // Where there is one type, serde may call it by its name in Rust.
        MistakeKind::WrongType { got, expected, .. } => format!("expected {}, got {got}", words(mistake, expected)),
        _ => mistake.to_string(),
    };
    let message = match (&mistake.kind, mistake.key()) {
        (MistakeKind::UnknownKey { .. } | MistakeKind::MissingKey(_), _) | (_, None) => message,
        (_, Some(key)) => format!("{key}: {message}"),
    };
    let problem = Diagnostic::at(source, spot.clone(), message);
    let replace = |replacement: String| Fix::replace(spot.clone(), replacement);
    match &mistake.kind {
        MistakeKind::UnknownKey { key, known } => {
            let meant = closest(key, known.iter().copied());
            let fix = meant.map(|name| replace(name.to_owned()));
            problem.label("not known here").help(help_for_key(key, known, meant)).fix(fix)
        }
        MistakeKind::UnknownWord { word, known } => {
            let meant = closest(word, known.iter().copied());
            let fix = meant.map(|name| replace(format!("\"{name}\"")));
            problem.label("not one of the choices").help(choices(word, known)).fix(fix)
        }
        MistakeKind::MissingKey(key) => {
            let problem = problem.label(format!("needs a key '{key}'"));
            if *key == "rule" { problem.help(RULE_FORMS).fix(rule_after(source, spot)) } else { problem }
        }
        MistakeKind::WrongType { expected, words: choices, .. } => {
            let problem = problem.label(format!("expected {}", words(mistake, expected)));
            if !choices.is_empty() {
                return problem.help(format!("there are: {}", choices.join(", ")));
            }
            let (help, fix) = retyped(source, mistake, spot);
            with_help(problem, help).fix(fix)
        }
        MistakeKind::Refused(error) => {
            with_help(problem, error.remedy()).fix(error.suggestion().map(|meant| replace(meant.to_owned())))
        }
    }
}

fn with_help(problem: Diagnostic, help: Option<impl Into<String>>) -> Diagnostic {
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// The expected type: that of the schema where it has one, else what the visitor expects.
fn words<'w>(mistake: &Mistake, expected: &'w str) -> &'w str {
    Forms::at(&mistake.path).words().unwrap_or(expected)
}

/// The keys that there are, and where else this one is a key.
fn help_for_key(key: &str, known: &[&str], meant: Option<&str>) -> String {
    let help = if known.is_empty() { "no keys are known here".to_owned() } else { choices(key, known) };
    match sections_with(key).as_slice() {
        sections if meant.is_none() && !sections.is_empty() => {
            format!("{help}; '{key}' is a key of {}", sections.join(" and "))
        }
        _ => help,
    }
}

/// The sections that have a key of this name, as they are written.
fn sections_with(key: &str) -> Vec<String> {
    let sections = schema::plain().get("properties").and_then(Value::as_object).into_iter().flatten();
    let has = |table: &Value| table.get("properties").is_some_and(|keys| keys.get(key).is_some());
    let mut found: Vec<String> = sections
        .filter_map(|(name, section)| match section.get("items") {
            Some(items) => has(items).then(|| format!("[[{name}]]")),
            None => has(section).then(|| format!("[{name}]")),
        })
        .collect();
    let rules = schema::rules().filter(|(_, form)| form.get("properties").is_some_and(|keys| keys.get(key).is_some()));
    let rules: Vec<&str> = rules.map(|(name, _)| name).collect();
    if !rules.is_empty() && found.is_empty() {
        let plural = if rules.len() == 1 { "" } else { "s" };
        found.push(format!("the rule{plural} {}", rules.join(", ")));
    }
    found
}

/// Whether a list of tables begins here.
fn is_head(source: &Source, spot: &Range<usize>) -> bool {
    source.text().get(spot.clone()).is_some_and(|text| text.starts_with("[["))
}

/// A rule in the line after the head of an entry.
fn rule_after(source: &Source, head: &Range<usize>) -> Option<Fix> {
    is_head(source, head).then(|| Fix::replace(head.end..head.end, "\nrule = \"epsilon\""))
}

/// The reason that a value has the wrong type, and its replacement.
fn retyped(source: &Source, mistake: &Mistake, spot: &Range<usize>) -> (Option<String>, Option<Fix>) {
    let value = source.text().get(spot.clone()).unwrap_or_default();
    let (forms, key) = (Forms::at(&mistake.path), mistake.key().unwrap_or_default());
    let replace = |replacement: String| Some(Fix::replace(spot.clone(), replacement));
    let help = |help: &str| Some(help.to_owned());
    if let Some(word) = value.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\''])) {
        let is_number = word.trim().parse::<f64>().is_ok_and(f64::is_finite);
        if is_number && (forms.any("number") || forms.any("integer")) {
            return (help("numbers stand without quotes"), replace(word.trim().to_owned()));
        }
        if forms.only("boolean") && ["true", "false"].contains(&word) {
            return (help(BOOLEANS), replace(word.to_owned()));
        }
    }
    if forms.only("boolean") {
        let meant = match value {
            "1" => replace("true".to_owned()),
            "0" => replace("false".to_owned()),
            _ => None,
        };
        (help(BOOLEANS), meant)
    } else if forms.only("string") {
        let is_one = !value.starts_with(['[', '{']);
        (help(TEXTS), is_one.then(|| Fix::replace(spot.clone(), format!("\"{value}\""))))
    } else if key == "layers" && value == "-1" {
        (help("\"last\" is the last layer"), replace("\"last\"".to_owned()))
    } else if forms.only("number") {
        (help("write it with digits: 0.25, 1e-6"), None)
    } else if forms.only("integer") || (forms.counts() && value.parse::<i64>().is_ok()) {
        (help("count from 0, without quotes"), None)
    } else if forms.only("array") {
        let heads = syntax::headers(source.text(), key);
        let edits: Vec<Edit> = heads.into_iter().map(|span| Edit { span, replacement: format!("[[{key}]]") }).collect();
        let fix = (!edits.is_empty()).then(|| Fix::new(edits));
        let is_assign = key == "assign";
        let words =
            if is_assign { "entries are a list: each begins with [[assign]]" } else { "a list stands in brackets" };
        (help(words), fix.filter(|_| is_assign))
    } else if forms.only("object") && mistake.path.len() == 1 && is_head(source, spot) {
        (
            help(&format!("there is one section of this name: [{key}], with its keys below it")),
            replace(format!("[{key}]")),
        )
    } else if forms.only("object") {
        (help("a section begins with its name in brackets, its keys below it"), None)
    } else {
        (None, None)
    }
}
