//! `layers = …`: weighted layers by their index, in topological order.
//!
//! Takes an integer, a list of integers, and these strings:
//!
//! | written | means |
//! |---|---|
//! | `"0..4"`, `"0..=3"`, `"5.."`, `"..3"`, `".."` | ranges that read as Rust's do |
//! | `"first"`, `"last"` | the layers next to the inputs and to the output, by topology |
//! | `"0%..50%"`, `"50%.."`, `"..50%"` | layer i of n where a ≤ 100·i/n < b, so that adjoining ranges never overlap |

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use lrp_core::text::shown;
use lrp_core::{Model, NodeId, Scalar};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, SeqAccess, Visitor};

use crate::suggest::closest;
use crate::values::{Count, ValueError};

/// The value of `layers =`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Indices(Vec<LayerSet>);

/// One item of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum LayerSet {
    /// One layer.
    Index(usize),
    /// From `start` up to and without `end`; without an end, to the last layer.
    Range { start: usize, end: Option<usize> },
    /// Likewise, in percent of the number of layers.
    Percent { start: f64, end: f64 },
    /// Those next to the inputs.
    First,
    /// Those next to the output.
    Last,
}

/// Shown where a string cannot be read.
const FORMS: &str = r#"layers take 3, [0, 2, 5], "0..=4", "5..", "..3", "first", "last", "0%..50%""#;

impl Indices {
    /// The layers of this model that are meant. Indices beyond the model mean none.
    pub fn select<T: Scalar>(&self, model: &Model<T>) -> BTreeSet<NodeId> {
        let layers = model.layers();
        let mut selected = BTreeSet::new();
        for set in &self.0 {
            match *set {
                LayerSet::First => selected.extend(model.first_layers()),
                LayerSet::Last => selected.extend(model.last_layers()),
                _ => selected.extend(
                    layers.iter().enumerate().filter(|&(i, _)| set.contains_index(i, layers.len())).map(|(_, id)| *id),
                ),
            }
        }
        selected
    }

    /// One range, or another single set.
    pub fn one(set: LayerSet) -> Self {
        Self(vec![set])
    }

    /// These and those.
    pub fn join(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// As much of it as a model of `count` layers has, as a recipe writes it; the last layer where it has none of it.
    pub fn within(&self, count: usize) -> String {
        let sets: Vec<LayerSet> = self.0.iter().filter_map(|set| set.within(count)).collect();
        if sets.is_empty() { LayerSet::Last.to_string() } else { Indices(sets).to_string() }
    }

    /// An index that is asked for although a model of `count` layers does not have it.
    pub fn beyond(&self, count: usize) -> Option<usize> {
        self.0.iter().find_map(|set| match *set {
            LayerSet::Index(i) if i >= count => Some(i),
            LayerSet::Range { end: Some(end), .. } if end > count => Some(end - 1),
            LayerSet::Range { start, end: None } if start > 0 && start >= count => Some(start),
            _ => None,
        })
    }
}

/// As a recipe writes it.
impl fmt::Display for Indices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets: Vec<String> = self.0.iter().map(LayerSet::to_string).collect();
        match sets.as_slice() {
            [one] => f.write_str(one),
            many => write!(f, "[{}]", many.join(", ")),
        }
    }
}

/// As a recipe writes it.
impl fmt::Display for LayerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            LayerSet::Index(index) => write!(f, "{index}"),
            LayerSet::Range { start, end: Some(end) } => write!(f, "\"{start}..{end}\""),
            LayerSet::Range { start, end: None } => write!(f, "\"{start}..\""),
            LayerSet::Percent { start, end } => write!(f, "\"{start}%..{end}%\""),
            LayerSet::First => f.write_str("\"first\""),
            LayerSet::Last => f.write_str("\"last\""),
        }
    }
}

impl LayerSet {
    /// As much of it as a model of `count` layers has.
    fn within(self, count: usize) -> Option<Self> {
        match self {
            LayerSet::Index(index) => (index < count).then_some(self),
            LayerSet::Range { start, end: Some(end) } if end > count => {
                (start < count).then_some(LayerSet::Range { start, end: None })
            }
            LayerSet::Range { start, end: None } => (start < count.max(1)).then_some(self),
            _ => Some(self),
        }
    }

    /// Whether layer `i` of `n` is meant, for sets that are defined by indices.
    fn contains_index(self, i: usize, n: usize) -> bool {
        match self {
            LayerSet::Index(index) => i == index,
            LayerSet::Range { start, end } => i >= start && end.is_none_or(|end| i < end),
            LayerSet::Percent { start, end } => {
                // 100·i/n without the division, so that bounds which are hit exactly compare exactly.
                let (position, n) = (100.0 * i as f64, n as f64);
                start * n <= position && position < end * n
            }
            LayerSet::First | LayerSet::Last => false,
        }
    }

    /// Reads one of the string forms; an error explains the mistake.
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text {
            "first" => return Ok(LayerSet::First),
            "last" => return Ok(LayerSet::Last),
            _ => {}
        }
        let Some((start, end)) = text.split_once("..") else {
            return Err(format!("'{}' is no layer", shown(text)));
        };
        let set = if text.contains('%') { Self::percent(start, end)? } else { Self::range(start, end)? };
        if set.is_empty() { Err(format!("the range '{}' is empty", shown(text))) } else { Ok(set) }
    }

    /// Whether a range ends before it starts.
    pub fn is_empty(self) -> bool {
        match self {
            LayerSet::Range { start, end: Some(end) } => start >= end,
            LayerSet::Percent { start, end } => start >= end,
            _ => false,
        }
    }

    fn range(start: &str, end: &str) -> Result<Self, String> {
        let index = |text: &str| {
            let text = text.trim();
            text.parse::<usize>().map_err(|_| format!("'{}' is no index of a layer", shown(text)))
        };
        let start = if start.trim().is_empty() { 0 } else { index(start)? };
        let end = match end.strip_prefix('=') {
            Some(last) => Some(index(last)?.saturating_add(1)),
            None if end.trim().is_empty() => None,
            None => Some(index(end)?),
        };
        Ok(LayerSet::Range { start, end })
    }

    fn percent(start: &str, end: &str) -> Result<Self, String> {
        let percentage = |text: &str| {
            let text = text.trim();
            let value = text.strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
            value
                .filter(|value| (0.0..=100.0).contains(value))
                .ok_or_else(|| format!("'{}' is no percentage from 0% to 100%", shown(text)))
        };
        if end.starts_with('=') {
            return Err("ranges of percentages leave out their end: write '..' instead of '..='".to_owned());
        }
        let start = if start.trim().is_empty() { 0.0 } else { percentage(start)? };
        let end = if end.trim().is_empty() { 100.0 } else { percentage(end)? };
        Ok(LayerSet::Percent { start, end })
    }
}

/// A suggestion for a string that cannot be read, as TOML.
fn meant(text: &str) -> Option<String> {
    let text = text.trim();
    if let Ok(index) = text.parse::<usize>() {
        return Some(index.to_string());
    }
    if text == "-1" {
        return Some("\"last\"".to_owned());
    }
    let indices: Option<Vec<usize>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    if let Some(indices) = indices {
        return Some(format!("{indices:?}"));
    }
    let forms = match text.split_once("..") {
        Some((start, end)) if text.contains('%') => {
            let percentage = |bound: &str| {
                let number = bound.trim().trim_start_matches('=').trim_end_matches('%').trim();
                let value = number.parse::<f64>().ok().map(|value| value.clamp(0.0, 100.0));
                value.map_or_else(|| number.to_owned(), |value| format!("{value}%"))
            };
            vec![format!("{}..{}", percentage(start), percentage(end))]
        }
        Some((start, end)) => {
            let (start, end) = (start.trim(), end.trim_start_matches('=').trim());
            vec![format!("{end}..{start}"), format!("{start}..={end}")]
        }
        None => match text.split_once(['-', ':']) {
            Some((start, end)) => vec![format!("{}..={}", start.trim(), end.trim())],
            None => closest(text, ["first", "last"]).map(str::to_owned).into_iter().collect(),
        },
    };
    forms.into_iter().find(|form| LayerSet::parse(form).is_ok()).map(|form| format!("{form:?}"))
}

impl<'de> Deserialize<'de> for LayerSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IndicesVisitor).and_then(|layers| match layers.0.as_slice() {
            [set] => Ok(*set),
            _ => Err(Error::custom(ValueError::new("lists of lists have no meaning here").help(FORMS))),
        })
    }
}

impl<'de> Deserialize<'de> for Indices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IndicesVisitor)
    }
}

impl JsonSchema for Indices {
    fn schema_name() -> Cow<'static, str> {
        "Indices".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let index = serde_json::json!({ "type": "integer", "minimum": 0 });
        let form = serde_json::json!({ "title": "range", "type": "string", "pattern": PATTERN });
        let item = serde_json::json!({ "anyOf": [index, form] });
        json_schema!({ "anyOf": [index, form, { "type": "array", "items": item, "minItems": 1 }] })
    }
}

/// The string forms, for the JSON Schema. That ranges are not empty is beyond it.
const PATTERN: &str = concat!(
    r"^\s*(first|last",
    r"|[0-9]*\s*\.\.(\s*|\s*[0-9]+|=\s*[0-9]+)",
    r"|([0-9]+(\.[0-9]+)?\s*%)?\s*\.\.\s*([0-9]+(\.[0-9]+)?\s*%)?",
    r")\s*$"
);

struct IndicesVisitor;

impl<'de> Visitor<'de> for IndicesVisitor {
    type Value = Indices;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an index, a list of them, or a range")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Indices, E> {
        Count::deserialize(value.into_deserializer()).map(|Count(i)| Indices(vec![LayerSet::Index(i)]))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Indices, E> {
        LayerSet::parse(text)
            .map(|set| Indices(vec![set]))
            .map_err(|problem| E::custom(ValueError::new(problem).help(FORMS).meant(meant(text))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Indices, A::Error> {
        let mut sets = Vec::new();
        while let Some(set) = list.next_element()? {
            sets.push(set);
        }
        if sets.is_empty() { Err(Error::custom(ValueError::empty_list().help(FORMS))) } else { Ok(Indices(sets)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The indices, out of `n` layers, that a string form means.
    fn indices(text: &str, n: usize) -> Vec<usize> {
        let set = LayerSet::parse(text).unwrap();
        (0..n).filter(|&i| set.contains_index(i, n)).collect()
    }

    #[test]
    fn ranges_read_as_rusts_do() {
        assert_eq!(indices("1..3", 5), [1, 2]);
        assert_eq!(indices("1..=3", 5), [1, 2, 3]);
        assert_eq!(indices("3..", 5), [3, 4]);
        assert_eq!(indices("..2", 5), [0, 1]);
        assert_eq!(indices("..=2", 5), [0, 1, 2]);
        assert_eq!(indices("..", 5), [0, 1, 2, 3, 4]);
        assert_eq!(indices(" 1 .. 2 ", 5), [1]);
    }

    #[test]
    fn percentages_split_any_number_of_layers_without_overlap() {
        assert_eq!(indices("0%..50%", 5), [0, 1, 2]);
        assert_eq!(indices("50%..", 5), [3, 4]);
        assert_eq!(indices("..50%", 4), [0, 1]);
        assert_eq!(indices("50%..100%", 4), [2, 3]);
        assert_eq!(indices("33.3%..66.6%", 3), Vec::<usize>::from([1]));
        for n in 1..40 {
            let parts = [indices("..30%", n), indices("30%..70%", n), indices("70%..", n)].concat();
            assert_eq!(parts, (0..n).collect::<Vec<_>>(), "{n} layers");
        }
    }

    #[test]
    fn what_a_model_does_not_have_is_noticed() {
        let beyond = |text, n| Indices(vec![LayerSet::parse(text).unwrap()]).beyond(n);
        assert_eq!(beyond("0..=4", 5), None);
        assert_eq!(beyond("0..=5", 5), Some(5));
        assert_eq!(beyond("2..9", 5), Some(8));
        assert_eq!(beyond("5..", 5), Some(5));
        assert_eq!(beyond("..", 0), None);
        assert_eq!(beyond("0%..100%", 5), None);
        assert_eq!(Indices(vec![LayerSet::Index(7)]).beyond(5), Some(7));
    }

    #[test]
    fn nonsense_says_what_it_is() {
        let problem = |text| LayerSet::parse(text).unwrap_err();
        assert_eq!(problem("frist"), "'frist' is no layer");
        assert_eq!(problem("4..2"), "the range '4..2' is empty");
        assert_eq!(problem("2..2"), "the range '2..2' is empty");
        assert_eq!(problem("a..2"), "'a' is no index of a layer");
        assert_eq!(problem("-1..2"), "'-1' is no index of a layer");
        assert_eq!(problem("0%..120%"), "'120%' is no percentage from 0% to 100%");
        assert_eq!(problem("NaN%..50%"), "'NaN%' is no percentage from 0% to 100%");
        assert_eq!(problem("0..50%"), "'0' is no percentage from 0% to 100%");
        assert!(problem("0%..=50%").starts_with("ranges of percentages leave out their end"));
    }
}
