//! From a recipe's text to [`RecipeFile`], with every mistake that can be found at once.
//!
//! Serde stops at the first mistake. To find the others too, the spot that it names is cut out of the spanned TOML tree and
//! the rest is read again, until all of it reads. What comes out is enough for further checks, but only good if nothing was
//! cut.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue, Deserializer};

use crate::diagnostic::Diagnostic;
use crate::format::{RecipeFile, SCHEMA_VERSION};
use crate::rule_info::rule_names;
use crate::source::Source;
use crate::suggest::choices;

/// More mistakes than these are not worth showing, nor finding.
const MOST_PROBLEMS: usize = 32;

/// Shown where a rule is missing or cannot be recognised.
const RULE_FORMS: &str = r#"write a rule as "zero" or { type = "gamma", gamma = 0.25 }"#;

/// Where the values of a rule's keys stand.
pub(crate) type KeySpans = BTreeMap<String, Range<usize>>;

/// What was read, and what is wrong with it.
pub(crate) struct Reading {
    /// The file, without the parts that could not be read.
    pub file: Option<RecipeFile>,
    /// For each rule, by the byte at which it starts, where its keys stand.
    pub rule_keys: BTreeMap<usize, KeySpans>,
    /// The mistakes.
    pub problems: Vec<Diagnostic>,
}

/// Reads a recipe's text.
pub(crate) fn read(source: &Arc<Source>) -> Reading {
    let mut reader = Reader { source, problems: Vec::new(), cut: HashSet::new(), rule_keys: BTreeMap::new() };
    let file = reader.read();
    Reading { file, rule_keys: reader.rule_keys, problems: reader.problems }
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    problems: Vec<Diagnostic>,
    /// Names of keys that were cut out: that they are missing afterwards is no news.
    cut: HashSet<String>,
    rule_keys: BTreeMap<usize, KeySpans>,
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Option<RecipeFile> {
        let mut root = match DeTable::parse(self.source.text()) {
            Ok(root) => root,
            Err(error) => {
                let message = format!("this is not TOML: {}", error.message().replace('\n', ", "));
                let problem = Diagnostic::at(self.source, error.span().unwrap_or(0..0), message);
                self.problems.push(with_help(problem.label("here"), self.range_hint(error.span())));
                return None;
            }
        };
        if !self.check_schema(root.get_ref()) {
            return None;
        }
        self.tag_rules(root.get_mut());
        while self.problems.len() < MOST_PROBLEMS {
            match RecipeFile::deserialize(Deserializer::from(root.clone())) {
                Ok(file) => return Some(file),
                Err(error) => {
                    let spot = error.span().unwrap_or(0..0);
                    let cut = cut_from_table(root.get_mut(), &spot);
                    self.report(error.message(), spot, cut.as_deref());
                    self.cut.insert(cut?);
                }
            }
        }
        None
    }

    /// Checks the format's version. When it is another one, nothing else would make sense.
    fn check_schema(&mut self, root: &DeTable<'_>) -> bool {
        match root.get("schema") {
            None => {
                let problem = Diagnostic::at(self.source, 0..0, "the recipe does not say its format's version");
                let help = format!("write `schema = {SCHEMA_VERSION}` as the first line");
                self.problems.push(problem.label("`schema` belongs here").help(help));
                true
            }
            Some(value) => match value.get_ref() {
                DeValue::Integer(version) if integer(version) != i64::try_from(SCHEMA_VERSION).ok() => {
                    let message = format!("the recipe is written in version {version} of the format");
                    let problem = Diagnostic::at(self.source, value.span(), message);
                    let help = format!("this program reads version {SCHEMA_VERSION}");
                    self.problems.push(problem.label("unknown version").help(help));
                    false
                }
                _ => true,
            },
        }
    }

    /// Brings every rule into the form that serde reads without losing its place.
    fn tag_rules(&mut self, root: &mut DeTable<'a>) {
        let Some(DeValue::Array(entries)) = root.get_mut("assign").map(Spanned::get_mut) else { return };
        for entry in entries.iter_mut() {
            let DeValue::Table(entry) = entry.get_mut() else { continue };
            let Some(rule) = entry.get_mut("rule") else { continue };
            match tag_rule(self.source, rule) {
                Ok(keys) => {
                    self.rule_keys.insert(rule.span().start, keys);
                }
                Err(problem) => {
                    self.problems.push(*problem);
                    entry.remove("rule");
                    self.cut.insert("rule".to_owned());
                }
            }
        }
    }

    /// Says in our words what serde found, unless it follows from what was cut out before.
    fn report(&mut self, found: &str, spot: Range<usize>, key: Option<&str>) {
        let earlier = self.problems.iter().filter_map(Diagnostic::span).any(|earlier| holds(&spot, &earlier));
        let missing = words(found, "missing field ").map(|(word, _)| word);
        if earlier || missing.is_some_and(|word| self.cut.contains(word)) {
            return;
        }
        let (found, help) = found.split_once('\n').map_or((found, None), |(found, help)| (found, Some(help)));
        let at = |message: String| Diagnostic::at(self.source, spot.clone(), message);
        let named = |message: String| key.map_or_else(|| message.clone(), |key| format!("{key}: {message}"));
        let problem = if let Some((word, names)) = words(found, "unknown field ") {
            let help = if names.is_empty() { "no keys are known here".to_owned() } else { choices(word, &names) };
            at(format!("unknown key '{word}'")).label("not known here").help(help)
        } else if let Some((word, names)) = words(found, "unknown variant ") {
            at(named(format!("there is no '{word}'"))).label("not one of the choices").help(choices(word, &names))
        } else if let Some(word) = missing {
            let problem = at(format!("the key '{word}' is missing")).label(format!("needs a key '{word}'"));
            if word == "rule" { problem.help(RULE_FORMS) } else { problem }
        } else if let Some((got, expected)) = mismatch(found) {
            at(named(format!("expected {expected}, got {got}"))).label(format!("expected {expected}"))
        } else {
            at(named(found.to_owned()))
        };
        self.problems.push(with_help(problem, help));
    }

    /// Help for a range that lost its quotes, `layers = 0..4`, which TOML takes for a number.
    fn range_hint(&self, spot: Option<Range<usize>>) -> Option<&'static str> {
        let (line, _) = self.source.position(spot?.start);
        let line = self.source.text().lines().nth(line - 1)?;
        (line.contains("..") && !line.contains('"')).then_some("a range stands in quotes: layers = \"0..4\"")
    }
}

fn with_help(problem: Diagnostic, help: Option<&str>) -> Diagnostic {
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

fn integer(value: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(value.as_str(), value.radix()).ok()
}

/// Turns `{ type = "gamma", gamma = 0.25 }`, and likewise the bare name, into `{ gamma = { gamma = 0.25 } }`.
///
/// Serde reads either form, but for the first one it must put everything aside until it has seen `type`, and with that it
/// forgets where each value stood.
fn tag_rule(source: &Arc<Source>, rule: &mut Spanned<DeValue<'_>>) -> Result<KeySpans, Box<Diagnostic>> {
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
            None => return problem(span, "the rule has no `type`".to_owned(), "needs a key 'type'"),
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
        return Err(Box::new(problem.label("not a rule").help(choices(name.get_ref(), &names))));
    }
    let spans = keys.iter().map(|(key, value)| (key.get_ref().to_string(), value.span())).collect();
    let mut tagged = DeTable::new();
    tagged.insert(name, Spanned::new(span, DeValue::Table(keys)));
    *rule.get_mut() = DeValue::Table(tagged);
    Ok(spans)
}

/// Cuts the smallest part that holds `spot` out of a table: a key with its value. Gives the key.
fn cut_from_table(table: &mut DeTable<'_>, spot: &Range<usize>) -> Option<String> {
    let mut holder = None;
    for (key, value) in table.iter_mut() {
        if key.span() != *spot {
            if let Some(inner) = cut_from_value(value, spot) {
                return Some(inner);
            }
            if !holds(&value.span(), spot) {
                continue;
            }
        }
        holder = Some(key.get_ref().to_string());
        break;
    }
    let key = holder?;
    table.remove(key.as_str());
    Some(key)
}

/// As [`cut_from_table`], for tables further down. An element of a list of tables can be cut as well.
fn cut_from_value(value: &mut Spanned<DeValue<'_>>, spot: &Range<usize>) -> Option<String> {
    match value.get_mut() {
        DeValue::Table(table) => cut_from_table(table, spot),
        DeValue::Array(items) => {
            if let Some(inner) = items.iter_mut().find_map(|item| cut_from_value(item, spot)) {
                return Some(inner);
            }
            let item = items.iter().position(|item| item.get_ref().is_table() && holds(&item.span(), spot))?;
            *items = items.iter().enumerate().filter(|(i, _)| *i != item).map(|(_, kept)| kept.clone()).collect();
            Some(String::new())
        }
        _ => None,
    }
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Of serde's "unknown field `x`, expected one of `a`, `b`": the word and the names.
fn words<'m>(message: &'m str, start: &str) -> Option<(&'m str, Vec<&'m str>)> {
    let mut quoted = message.strip_prefix(start)?.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted.collect()))
}

/// Of serde's "invalid type: integer `3`, expected a string": what was got and what was expected, in TOML's terms.
fn mismatch(message: &str) -> Option<(String, String)> {
    let rest = ["invalid type: ", "invalid value: "].iter().find_map(|start| message.strip_prefix(start))?;
    let (got, expected) = rest.rsplit_once(", expected ")?;
    let got = match got {
        "map" | "sequence" => article(if got == "map" { "table" } else { "array" }),
        other => other.replace("floating point ", "number ").replace('`', ""),
    };
    let expected = match expected {
        "a sequence" => "a list".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "path string" => "a path".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => other.to_owned(),
    };
    Some((got, expected))
}

/// TOML's word for a type, as part of a sentence.
fn article(kind: &str) -> String {
    match kind {
        "array" => "a list".to_owned(),
        "integer" => "an integer".to_owned(),
        other => format!("a {other}"),
    }
}
