//! From a recipe's text to [`RecipeFile`], with every mistake that can be found at once.
//!
//! Serde stops at the first mistake, and says as data what and where it is (`mistake`). To find the others too, the part of the spanned TOML
//! tree that it is in is cut out and the rest is read again, until all of it reads. What comes out is enough for further checks, but only
//! good if nothing was cut.

mod forms;
mod mistake;
mod node;
mod report;
mod rule_form;

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use self::mistake::{Mistake, MistakeKind, Step};
use self::node::Node;
use self::rule_form::tag_rule;
use crate::diagnostic::Diagnostic;
use crate::fix::Fix;
use crate::format::{RecipeFile, SCHEMA_VERSION};
use crate::source::Source;
use crate::syntax;

/// More mistakes than these are not worth showing, nor finding.
const MOST_PROBLEMS: usize = 32;

/// The positions of the values of a rule's keys.
pub(crate) type KeySpans = BTreeMap<String, Range<usize>>;

/// The values read, and the mistakes.
pub(crate) struct Reading {
    /// The file, without the parts that could not be read.
    pub file: Option<RecipeFile>,
    /// For each rule, by the byte at which it starts, the positions of its keys.
    pub rule_keys: BTreeMap<usize, KeySpans>,
    /// The positions of sections and of the values of their keys, by names such as `input` and `input.mean`.
    pub keys: KeySpans,
    /// The mistakes.
    pub problems: Vec<Diagnostic>,
}

/// Reads a recipe's text.
pub(crate) fn read(source: &Arc<Source>) -> Reading {
    let mut reader =
        Reader { source, problems: Vec::new(), cut: HashSet::new(), rule_keys: BTreeMap::new(), keys: BTreeMap::new() };
    let file = reader.read();
    Reading { file, rule_keys: reader.rule_keys, keys: reader.keys, problems: reader.problems }
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    problems: Vec<Diagnostic>,
    /// Names of keys that were cut out: that they are missing afterwards is no news.
    cut: HashSet<String>,
    rule_keys: BTreeMap<usize, KeySpans>,
    keys: KeySpans,
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Option<RecipeFile> {
        let root = match DeTable::parse(self.source.text()) {
            Ok(root) => root,
            Err(error) => {
                let message = format!("this is not TOML: {}", error.message().replace('\n', ", "));
                let spot = error.span().unwrap_or(0..0);
                let repair = syntax::repair(self.source.text(), &spot);
                let problem = Diagnostic::at(self.source, spot, message).label("here");
                self.problems.push(match repair {
                    Some(repair) => problem.help(repair.help).fix(Some(repair.fix)),
                    None => problem.help("recipes are written in TOML: https://toml.io has its rules on a page"),
                });
                return None;
            }
        };
        let (span, mut root) = (root.span(), root.into_inner());
        if !self.check_schema(&root) {
            return None;
        }
        self.keys = key_spans(&root);
        self.tag_rules(&mut root);
        let mut root = Spanned::new(span, DeValue::Table(root));
        while self.problems.len() < MOST_PROBLEMS {
            let mistake = match RecipeFile::deserialize(Node(&root)) {
                Ok(file) => return Some(file),
                Err(mistake) => mistake,
            };
            self.report(&mistake);
            self.cut.insert(cut(root.get_mut(), &mistake.path)?);
        }
        None
    }

    /// Checks the format's version. When it is another one, nothing else would make sense.
    fn check_schema(&mut self, root: &DeTable<'_>) -> bool {
        match root.get("schema") {
            None => {
                let start = first_line(self.source.text());
                let problem = Diagnostic::at(self.source, start..start, "the recipe does not say its format's version");
                let help = format!("write `schema = {SCHEMA_VERSION}` as the first line");
                let fix = Fix::replace(start..start, format!("schema = {SCHEMA_VERSION}\n"));
                self.problems.push(problem.label("`schema` belongs here").help(help).fix(Some(fix)));
                true
            }
            Some(value) => match value.get_ref() {
                DeValue::Integer(version) if integer(version) != i64::try_from(SCHEMA_VERSION).ok() => {
                    let message = format!("the recipe is written in version {version} of the format");
                    let problem = Diagnostic::at(self.source, value.span(), message);
                    let help = format!("this program reads version {SCHEMA_VERSION}");
                    let fix = Fix::replace(value.span(), SCHEMA_VERSION.to_string());
                    self.problems.push(problem.label("unknown version").help(help).fix(Some(fix)));
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

    /// Says what serde found, unless it follows from what was cut out before.
    fn report(&mut self, mistake: &Mistake) {
        let spot = mistake.span.clone().unwrap_or(0..0);
        let earlier = self.problems.iter().filter_map(Diagnostic::span).any(|earlier| holds(&spot, &earlier));
        let is_cut = matches!(mistake.kind, MistakeKind::MissingKey(key) if self.cut.contains(key));
        if !earlier && !is_cut {
            self.problems.push(report::diagnostic(self.source, mistake, &spot));
        }
    }
}

/// The start of the first line that is neither empty nor a comment.
fn first_line(text: &str) -> usize {
    let comment = |line: &&str| line.trim().is_empty() || line.starts_with('#');
    let before: usize = text.split_inclusive('\n').take_while(comment).map(str::len).sum();
    // At the end of a text of comments, a line of its own might be needed: begin with it instead.
    if before == text.len() { 0 } else { before }
}

/// The positions of sections and of the values of their keys.
fn key_spans(root: &DeTable<'_>) -> KeySpans {
    let mut spans = KeySpans::new();
    for (name, value) in root {
        spans.insert(name.get_ref().to_string(), value.span());
        if let DeValue::Table(section) = value.get_ref() {
            spans.extend(
                section.iter().map(|(key, value)| (format!("{}.{}", name.get_ref(), key.get_ref()), value.span())),
            );
        }
    }
    spans
}

fn integer(value: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(value.as_str(), value.radix()).ok()
}

/// Cuts out the smallest part on this path that can be missing: a key with its value, or a table in a list. Gives the key.
fn cut(value: &mut DeValue<'_>, path: &[Step]) -> Option<String> {
    let (step, rest) = path.split_first()?;
    match (value, step) {
        (DeValue::Table(table), Step::Key(key)) => {
            let inner = table.get_mut(key.as_str()).and_then(|value| cut(value.get_mut(), rest));
            inner.or_else(|| table.remove(key.as_str()).map(|_| key.clone()))
        }
        (DeValue::Array(items), Step::Item(item)) => {
            let value = items.get_mut(*item)?;
            if let Some(inner) = cut(value.get_mut(), rest) {
                return Some(inner);
            }
            if !value.get_ref().is_table() {
                return None;
            }
            *items = items.iter().enumerate().filter(|(i, _)| i != item).map(|(_, kept)| kept.clone()).collect();
            Some(String::new())
        }
        _ => None,
    }
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// The names that there are, where the first mistake of a text is an unknown one.
#[cfg(test)]
pub(crate) fn known_names<T: serde::de::DeserializeOwned>(text: &str) -> &'static [&'static str] {
    let root = DeTable::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let root = Spanned::new(root.span(), DeValue::Table(root.into_inner()));
    match T::deserialize(Node(&root)).err().map(|mistake| mistake.kind) {
        Some(MistakeKind::UnknownKey { known, .. } | MistakeKind::UnknownWord { known, .. }) => known,
        other => panic!("{text}: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first mistake of a recipe's text: its kind, its path and its spot.
    fn mistake(text: &str) -> (MistakeKind, String, &str) {
        let root = DeTable::parse(text).unwrap();
        let root = Spanned::new(root.span(), DeValue::Table(root.into_inner()));
        let Mistake { kind, path, span } = RecipeFile::deserialize(Node(&root)).unwrap_err();
        let steps = path.iter().map(|step| match step {
            Step::Key(key) => key.clone(),
            Step::Item(item) => item.to_string(),
        });
        (kind, steps.collect::<Vec<_>>().join("/"), &text[span.unwrap()])
    }

    #[test]
    fn mistakes_are_data_with_their_place() {
        let wrong = |got: &str, expected: &str| MistakeKind::WrongType {
            got: got.to_owned(),
            expected: expected.to_owned(),
            words: &[],
        };
        let assign = |line: &str| format!("[[assign]]\nrule = {{ zero = {{}} }}\n[[assign]]\n{line}\n");
        for (text, kind, path, spot) in [
            ("name = 3".to_owned(), wrong("integer 3", "a string"), "name", "3"),
            ("input = [1]".to_owned(), wrong("a list", "a table"), "input", "[1]"),
            ("[[input]]\nmean = 1".to_owned(), wrong("a list", "a table"), "input", "[[input]]"),
            (
                assign("rule = { gamma = { gamma = '1' } }"),
                wrong("string \"1\"", "a finite number"),
                "assign/1/rule/gamma/gamma",
                "'1'",
            ),
            (
                assign("layers = [0, true]"),
                wrong("boolean true", "an index, a list of them, or a range"),
                "assign/1/layers/1",
                "true",
            ),
            (assign("optional = true"), MistakeKind::MissingKey("rule"), "assign/1", "[[assign]]"),
            (
                "explain = { target = { contrast = [0, 1, 2] } }".to_owned(),
                MistakeKind::Refused(lrp_core::parameter::ValueError::new(
                    "invalid length 3, expected an array of length 2",
                )),
                "explain/target/contrast",
                "[0, 1, 2]",
            ),
        ] {
            assert_eq!(mistake(&text), (kind, path.to_owned(), spot), "{text}");
        }
        let (kind, path, spot) = mistake("output = { scael = 1 }");
        let MistakeKind::UnknownKey { key, known } = kind else { panic!("{kind:?}") };
        assert_eq!((key.as_str(), path.as_str(), spot), ("scael", "output/scael", "scael"));
        assert!(known.contains(&"scale"));
        let (kind, path, spot) = mistake("output = { scale = 1 }");
        let MistakeKind::WrongType { got, words, .. } = kind else { panic!("{kind:?}") };
        assert_eq!(
            (got.as_str(), words, path.as_str(), spot),
            ("integer 1", &["symmetric", "positive"][..], "output/scale", "1")
        );
    }

    #[test]
    fn a_part_that_can_be_missing_is_cut_out() {
        let cut_at = |text: &str, path: &[Step]| {
            let root = DeTable::parse(text).unwrap();
            let mut root = DeValue::Table(root.into_inner());
            let key = cut(&mut root, path);
            let left = root.as_table().and_then(|table| table.get("a")).map(|value| match value.get_ref() {
                DeValue::Array(items) => items.len(),
                _ => 0,
            });
            (key, left)
        };
        let key = |key: &str| Step::Key(key.to_owned());
        // A number of a list goes with its key, a table of a list by itself.
        assert_eq!(cut_at("a = [1, 2]", &[key("a"), Step::Item(1)]), (Some("a".to_owned()), None));
        assert_eq!(cut_at("[[a]]\n[[a]]", &[key("a"), Step::Item(1)]), (Some(String::new()), Some(1)));
        assert_eq!(cut_at("[[a]]\nb = 1", &[key("a"), Step::Item(0), key("b")]), (Some("b".to_owned()), Some(1)));
        assert_eq!(cut_at("a = 1", &[]), (None, Some(0)));
    }
}
