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
use crate::fix::{Edit, Fix};
use crate::format::{RecipeFile, SCHEMA_VERSION};
use crate::rule_info::rule_names;
use crate::schema;
use crate::source::Source;
use crate::suggest::{choices, closest};
use crate::syntax;

/// More mistakes than these are not worth showing, nor finding.
const MOST_PROBLEMS: usize = 32;

/// Shown where a rule is missing or cannot be recognised.
const RULE_FORMS: &str = r#"write a rule as "zero" or { type = "gamma", gamma = 0.25 }"#;

/// Shown where something else stands for true or false.
const BOOLEANS: &str = "write true or false, without quotes";

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
        let mut root = match DeTable::parse(self.source.text()) {
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
        if !self.check_schema(root.get_ref()) {
            return None;
        }
        self.keys = key_spans(root.get_ref());
        self.check_sections(root.get_mut());
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

    /// Takes out sections that are written as lists, which serde would take for a section's values in their order.
    fn check_sections(&mut self, root: &mut DeTable<'_>) {
        let sections = schema::plain().get("properties").and_then(serde_json::Value::as_object).into_iter().flatten();
        for (name, _) in sections.filter(|(_, section)| section.get("properties").is_some()) {
            let Some(value) = root.get(name.as_str()).filter(|value| value.get_ref().is_array()) else { continue };
            // A list made of sections begins where the first of them does.
            let first = value.get_ref().as_array().and_then(|items| items.first());
            let spot = first.map_or_else(|| value.span(), Spanned::span);
            let head = self.source.text().get(spot.clone()).is_some_and(|text| text.starts_with("[["));
            let fix = head.then(|| Fix::replace(spot.clone(), format!("[{name}]")));
            let problem = Diagnostic::at(self.source, spot, format!("{name}: expected a table, got a list"));
            let help = format!("there is one section of this name: [{name}], with its keys below it");
            self.problems.push(problem.label("expected a table").help(help).fix(fix));
            root.remove(name.as_str());
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
        let mut lines = found.splitn(3, '\n');
        let (found, help, meant) = (lines.next().unwrap_or_default(), lines.next(), lines.next());
        let replace = |replacement: String| Fix::replace(spot.clone(), replacement);
        let at = |message: String| Diagnostic::at(self.source, spot.clone(), message);
        let named = |message: String| key.map_or_else(|| message.clone(), |key| format!("{key}: {message}"));
        let problem = if let Some((word, names)) = words(found, "unknown field ") {
            let help = if names.is_empty() { "no keys are known here".to_owned() } else { choices(word, &names) };
            let meant = closest(word, names.iter().copied());
            let help = match sections_with(word).as_slice() {
                [] => help,
                _ if meant.is_some() => help,
                sections => format!("{help}; '{word}' is a key of {}", sections.join(" and ")),
            };
            let problem = at(format!("unknown key '{word}'")).label("not known here").help(help);
            problem.fix(meant.map(|name| replace(name.to_owned())))
        } else if let Some((word, names)) = words(found, "unknown variant ") {
            let problem = at(named(format!("there is no '{word}'"))).label("not one of the choices");
            let meant = closest(word, names.iter().copied());
            problem.help(choices(word, &names)).fix(meant.map(|name| replace(format!("\"{name}\""))))
        } else if let Some(word) = missing {
            let problem = at(format!("the key '{word}' is missing")).label(format!("needs a key '{word}'"));
            if word == "rule" { problem.help(RULE_FORMS).fix(self.rule_after(&spot)) } else { problem }
        } else if let Some((got, expected)) = mismatch(found) {
            let (help, fix) = self.retyped(&spot, &expected, key);
            let problem = at(named(format!("expected {expected}, got {got}"))).label(format!("expected {expected}"));
            with_help(problem.fix(fix), help)
        } else {
            at(named(found.to_owned()))
        };
        let problem = with_help(problem, help);
        self.problems.push(match meant {
            Some(meant) => problem.fix(Some(replace(meant.to_owned()))),
            None => problem,
        });
    }

    /// A rule in the line after the head of an entry.
    fn rule_after(&self, head: &Range<usize>) -> Option<Fix> {
        let is_head = self.source.text().get(head.clone()).is_some_and(|text| text.starts_with("[["));
        is_head.then(|| Fix::replace(head.end..head.end, "\nrule = \"epsilon\""))
    }

    /// The replacement of a value of the wrong type, and the reason.
    fn retyped(&self, spot: &Range<usize>, expected: &str, key: Option<&str>) -> (Option<&'static str>, Option<Fix>) {
        let text = self.source.text();
        let value = text.get(spot.clone()).unwrap_or_default();
        let replace = |replacement: String| Some(Fix::replace(spot.clone(), replacement));
        let unquoted = value.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\'']));
        let numeric = expected.contains("number") || expected.contains("integer");
        match unquoted {
            Some(number) if numeric && number.trim().parse::<f64>().is_ok_and(f64::is_finite) => {
                return (Some("numbers stand without quotes"), replace(number.trim().to_owned()));
            }
            Some(word) if expected == "true or false" && ["true", "false"].contains(&word) => {
                return (Some(BOOLEANS), replace(word.to_owned()));
            }
            Some(_) => {}
            None => match (expected, value) {
                ("true or false", "1") => return (Some(BOOLEANS), replace("true".to_owned())),
                ("true or false", "0") => return (Some(BOOLEANS), replace("false".to_owned())),
                ("a string" | "a path", value) if !value.starts_with(['[', '{']) => {
                    return (Some("text stands in quotes"), replace(format!("\"{value}\"")));
                }
                (_, "-1") if key == Some("layers") => {
                    return (Some("\"last\" is the last layer"), replace("\"last\"".to_owned()));
                }
                _ => {}
            },
        }
        let key = key.unwrap_or_default();
        match expected {
            "a list" => {
                let heads = syntax::headers(text, key);
                let edits = heads.into_iter().map(|span| Edit { span, replacement: format!("[[{key}]]") });
                let fix = Fix::new(edits.collect());
                (Some("entries are a list: each begins with [[assign]]"), (!fix.edits().is_empty()).then_some(fix))
            }
            "a table" => (Some("a section begins with its name in brackets, its keys below it"), None),
            "a finite number" => (Some("write it with digits: 0.25, 1e-6"), None),
            "a string" | "a path" => (Some("text stands in quotes"), None),
            "true or false" => (Some(BOOLEANS), None),
            "an integer from 0 up" => (Some("count from 0, without quotes"), None),
            _ => (None, None),
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

/// The sections that have a key of this name, as they are written.
fn sections_with(key: &str) -> Vec<String> {
    let sections = schema::plain().get("properties").and_then(serde_json::Value::as_object).into_iter().flatten();
    let has = |table: &serde_json::Value| table.get("properties").is_some_and(|keys| keys.get(key).is_some());
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

/// Of serde's "invalid type: integer `3`, expected a string": the actual and the expected type, in TOML's terms.
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
