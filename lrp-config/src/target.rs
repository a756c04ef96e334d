//! `target = …`: which outputs are explained, as people name them.
//!
//! `lrp_core::Target` is one output for each sample, by number. A recipe can also ask for several at once, or for a class by
//! its label, which needs the model's list of labels to resolve.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::json;
use toml::de::ValueDeserializer;

use crate::class::Class;
use crate::elements::{Channels, ClassChoice, Elements};
use crate::similar::{Measure, SimilarTo};
use crate::values::{Count, OneOrMany, ValueError, positive_count};

/// The outputs to explain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Target {
    /// The largest output of each sample.
    #[default]
    Argmax,
    /// One class, the same for every sample.
    Class(Class),
    /// Every output, one after the other.
    All,
    /// The largest outputs of each sample, this number of them, one after the other.
    Top(usize),
    /// The evidence for the first class rather than the second.
    Contrast(Class, Class),
    /// Elements of an output that is no class vector.
    Elements(Elements),
}

impl Class {
    /// A suggestion for a word that is no label: `top=3`, `281,282`, `class 3` and the like.
    pub fn respelt(&self) -> Option<String> {
        match self {
            Class::Index(_) => None,
            Class::Label(word) => respelt(word),
        }
    }
}

/// The right spelling of a guess at a target, in a sentence.
fn respelt(word: &str) -> Option<String> {
    let lower = word.trim().to_lowercase();
    let numbers: Vec<usize> =
        lower.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect();
    // What is left without numbers, separators and brackets.
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
    let top = |n: usize| format!("the {n} largest outputs of each sample are {}", Target::Top(n));
    match (words.as_slice(), numbers.as_slice()) {
        (["top" | "best" | "topk" | "k"] | ["top", "k"], [n]) if *n > 0 => Some(top(*n)),
        (["top" | "topk" | "best"] | ["top", "k"], []) if !lower.contains("best") => Some(top(3)),
        (["argmax" | "max" | "best" | "predicted" | "prediction"], _) => {
            Some("the largest output of each sample is argmax, without a number".to_owned())
        }
        (["all" | "any" | "every"] | ["all", "classes"], []) => {
            Some("every output, one after the other, is all".to_owned())
        }
        ([], []) if lower == "*" => Some("every output, one after the other, is all".to_owned()),
        (["class" | "target" | "index" | "idx" | "id" | "output" | "label" | "c"], [class]) => {
            Some(format!("a class is its number alone: {class}"))
        }
        ([] | ["contrast" | "vs" | "versus" | "minus" | "against" | "class" | "classes" | "and" | "or"], [a, b]) => {
            Some(format!(
                "the evidence for class {a} rather than {b} is {}; to explain both classes, run the command for each of them, or for \
             the largest outputs with {}",
                Target::Contrast(Class::Index(*a), Class::Index(*b)),
                Target::Top(2)
            ))
        }
        ([] | ["class" | "classes"], [_, _, _, ..]) => Some(format!(
            "one class is explained at a time: run the command for each of them, or take the largest outputs with {}, or all",
            Target::Top(numbers.len())
        )),
        ([], [class]) if lower.starts_with('-') => Some(format!(
            "classes are counted from 0, and none is negative (-{class}); `lrp explain --json` gives the model's number of outputs"
        )),
        ([], [class]) => Some(format!("a class is its number alone: {class}")),
        _ => None,
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
            Target::Elements(elements) => elements.fmt(f),
        }
    }
}

/// Reads a target from a command line: a number is a class, `{ … }` is as in a recipe, the rest is a word.
impl FromStr for Target {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let text = text.trim();
        if let Ok(index) = text.parse() {
            return Ok(Target::Class(Class::Index(index)));
        }
        if !text.starts_with('{') {
            return Ok(Target::word(text));
        }
        let target = ValueDeserializer::parse(text).and_then(Target::deserialize);
        target.map_err(|error| ValueError::from_text(error.message()))
    }
}

impl Target {
    /// Makes the path of the file that it names, if it names one, relative to `folder`.
    pub fn join(&mut self, folder: &Path) {
        if let Target::Elements(elements) = self
            && let Some(path) = elements.file_mut()
        {
            *path = folder.join(&path);
        }
    }

    fn word(word: &str) -> Self {
        match word {
            "argmax" => Target::Argmax,
            "all" => Target::All,
            "sum" => Target::Elements(Elements::Sum),
            label => Target::Class(Class::Label(label.to_owned())),
        }
    }
}

/// The forms of a target that are tables.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 3))]
struct TargetTable {
    /// The largest outputs of each sample, this number of them, one after the other.
    #[serde(default, deserialize_with = "positive_count")]
    #[schemars(extend("minimum" = 1, "x-default" = "none"), example = 3)]
    top: Option<usize>,
    /// The evidence for the first class rather than the second.
    #[schemars(extend("x-default" = "none"), example = json!([0, 9]))]
    contrast: Option<[Class; 2]>,
    /// One element of the output, by its indices; negative ones count from the end.
    #[schemars(with = "Option<OneOrMany<i64>>", extend("x-default" = "none"), example = json!([3, 0]))]
    index: Option<OneOrMany<i64>>,
    /// Of outputs `[T, C]`: the position whose class is explained; a list of them, where there are more axes before the last.
    #[schemars(with = "Option<OneOrMany<i64>>", extend("x-default" = "none"), example = -1, example = json!([2, 5]))]
    at: Option<OneOrMany<i64>>,
    /// Of outputs `[T, C]`: a class at every position, summed.
    #[schemars(with = "Option<Class>", extend("x-default" = "none"), example = &"argmax")]
    each: Option<Class>,
    /// Of a detector's outputs `[boxes, C]` or `[C, boxes]`: the rank of a class score among those of all boxes; 0 is the largest.
    #[serde(rename = "box")]
    #[schemars(with = "Option<Count>", extend("x-default" = "none"), example = 0)]
    boxes: Option<Count>,
    /// A `.npy` file: the elements where it is not zero are summed, weighted by it. Of outputs `[C, H, W]` with `class`, it is `[H, W]`.
    #[schemars(extend("x-default" = "none"), example = &"mask.npy")]
    region: Option<PathBuf>,
    /// Of an output that is an embedding: the file of another input, to whose embedding the similarity is explained; with several samples, one for
    /// each. Images, `.npy`, `.npz` and tables, as inputs are given.
    #[schemars(extend("x-default" = "none"), example = &"other.png")]
    similarity: Option<PathBuf>,
    /// A `.npy` file with the relevance to start with, in the shape of the output.
    #[schemars(extend("x-default" = "none"), example = &"relevance.npy")]
    seed: Option<PathBuf>,
    /// With `at` and `region`: the class there, by number or label; with `at`, also the largest.
    #[schemars(extend("x-default" = "with `at`, the largest; with `region`, all"), example = &"argmax", example = 7)]
    class: Option<Class>,
    /// With `box`: the channels that are scores of classes.
    #[schemars(extend("default" = Channels::default().to_string()), example = &"5..85")]
    classes: Option<Channels>,
    /// With `each`: positions whose class this is are left out, such as the blank of CTC.
    #[schemars(extend("x-default" = "none"), example = 0)]
    skip: Option<Class>,
    /// With `similarity`: the output of the model that is the embedding of the other input, of a model with two towers.
    #[schemars(extend("x-default" = "the explained output"), example = &"text_embeds")]
    output: Option<String>,
    /// With `similarity`: how similar two embeddings are.
    #[schemars(extend("default" = Measure::default()), example = Measure::Dot)]
    measure: Option<Measure>,
}

/// The error of a table of another form.
fn no_form() -> ValueError {
    ValueError::new(
        "expected one of `top`, `contrast`, `index`, `at`, `each`, `box`, `region`, `similarity` and `seed`",
    )
    .help("write { top = 3 }, { contrast = [0, 9] } or { at = -1, class = \"argmax\" }")
}

impl TargetTable {
    /// The target, or the mistake.
    fn target(self) -> Result<Target, ValueError> {
        let Self {
            top,
            contrast,
            index,
            at,
            each,
            boxes,
            region,
            similarity,
            seed,
            class,
            classes,
            skip,
            output,
            measure,
        } = self;
        let lone = |key: &str, with: &str| {
            Err(ValueError::new(format_args!("`{key}` stands beside {with}")).help("leave it out"))
        };
        if class.is_some() && at.is_none() && region.is_none() {
            return lone("class", "`at` or `region`; a class of an output [C] is its number alone");
        }
        if classes.is_some() && boxes.is_none() {
            return lone("classes", "`box`");
        }
        if skip.is_some() && each.is_none() {
            return lone("skip", "`each`");
        }
        if let (None, true, key) =
            (&similarity, output.is_some() || measure.is_some(), output.as_ref().map(|_| "output"))
        {
            return lone(key.unwrap_or("measure"), "`similarity`");
        }
        let elements = |elements| Ok(Target::Elements(elements));
        match (top, contrast, index, at, each, boxes, region, similarity, seed) {
            (Some(count), None, None, None, None, None, None, None, None) => Ok(Target::Top(count)),
            (None, Some([class, other]), None, None, None, None, None, None, None) => {
                Ok(Target::Contrast(class, other))
            }
            (None, None, Some(OneOrMany(indices)), None, None, None, None, None, None) => {
                elements(Elements::Index(indices))
            }
            (None, None, None, Some(OneOrMany(position)), None, None, None, None, None) => {
                elements(Elements::At { position, class: class.map_or(ClassChoice::Argmax, ClassChoice::from) })
            }
            (None, None, None, None, Some(class), None, None, None, None) => {
                elements(Elements::Each { class: class.into(), skip })
            }
            (None, None, None, None, None, Some(Count(rank)), None, None, None) => {
                elements(Elements::Boxes { rank, classes: classes.unwrap_or_default() })
            }
            (None, None, None, None, None, None, Some(mask), None, None) => match class.map(ClassChoice::from) {
                Some(ClassChoice::Argmax) => {
                    Err(ValueError::new("a region has a class by number or label").help("write class = 7"))
                }
                Some(ClassChoice::Class(class)) => elements(Elements::Region { mask, class: Some(class) }),
                None => elements(Elements::Region { mask, class: None }),
            },
            (None, None, None, None, None, None, None, None, Some(path)) => elements(Elements::Seed(path)),
            (None, None, None, None, None, None, None, Some(input), None) => {
                elements(Elements::Similarity(SimilarTo { input, output, measure: measure.unwrap_or_default() }))
            }
            _ => Err(no_form()),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Targets;

        impl<'de> Visitor<'de> for Targets {
            type Value = Target;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    r#""argmax", "all", "sum", a class, or a table such as { top = 3 } or { at = -1, class = 7 }"#,
                )
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Target, E> {
                Class::deserialize(value.into_deserializer()).map(Target::Class)
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Target, E> {
                Ok(Target::word(word))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Target, A::Error> {
                let mut classes: Vec<String> = Vec::new();
                while let Some(class) = list.next_element::<Class>()? {
                    classes.push(class.to_string());
                }
                let error = ValueError::new("a list is no target");
                Err(Error::custom(match respelt(&classes.join(",")) {
                    Some(help) => error.help(help),
                    None => error,
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Target, A::Error> {
                TargetTable::deserialize(MapAccessDeserializer::new(map))?.target().map_err(Error::custom)
            }
        }

        deserializer.deserialize_any(Targets)
    }
}

impl JsonSchema for Target {
    fn schema_name() -> Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let words = json!({ "type": "string", "enum": ["argmax", "all", "sum"] });
        let (class, table) = (generator.subschema_for::<Class>(), generator.subschema_for::<TargetTable>());
        json_schema!({ "anyOf": [words, class, table] })
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
            ("sum", Target::Elements(Elements::Sum)),
            ("{ index = [3, 0, -1] }", Target::Elements(Elements::Index(vec![3, 0, -1]))),
            (
                "{ at = -1, class = \"argmax\" }",
                Target::Elements(Elements::At { position: vec![-1], class: ClassChoice::Argmax }),
            ),
            (
                "{ at = [2, 5], class = \"cat\" }",
                Target::Elements(Elements::At { position: vec![2, 5], class: ClassChoice::Class(label("cat")) }),
            ),
            (
                "{ each = \"argmax\", skip = 0 }",
                Target::Elements(Elements::Each { class: ClassChoice::Argmax, skip: Some(Class::Index(0)) }),
            ),
            (
                "{ box = 2, classes = \"5..85\" }",
                Target::Elements(Elements::Boxes { rank: 2, classes: "5..85".parse().unwrap() }),
            ),
            (
                "{ region = \"mask.npy\", class = 7 }",
                Target::Elements(Elements::Region { mask: "mask.npy".into(), class: Some(Class::Index(7)) }),
            ),
            ("{ seed = \"r.npy\" }", Target::Elements(Elements::Seed("r.npy".into()))),
            (
                "{ similarity = \"cat.png\" }",
                Target::Elements(Elements::Similarity(SimilarTo {
                    input: "cat.png".into(),
                    output: None,
                    measure: Measure::Cosine,
                })),
            ),
            (
                "{ similarity = \"ids.npy\", output = \"text_embeds\", measure = \"dot\" }",
                Target::Elements(Elements::Similarity(SimilarTo {
                    input: "ids.npy".into(),
                    output: Some("text_embeds".into()),
                    measure: Measure::Dot,
                })),
            ),
        ];
        for (text, target) in targets {
            assert_eq!(text.parse(), Ok(target.clone()), "{text}");
            let value = ValueDeserializer::parse(&target.to_string()).and_then(Target::deserialize);
            assert_eq!(value.ok(), Some(target), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let problem = |text: &str| Target::from_str(text).unwrap_err().in_one_line();
        assert_eq!(problem("{ top = 0 }"), "must be at least 1, got 0; count from 1 here, or leave the key out");
        assert_eq!(
            problem("{}"),
            "expected one of `top`, `contrast`, `index`, `at`, `each`, `box`, `region`, `similarity` and `seed`; write { top = 3 }, \
             { contrast = [0, 9] } or { at = -1, class = \"argmax\" }"
        );
        assert!(problem("{ skip = 0 }").contains("`skip` stands beside `each`"));
        assert!(problem("{ seed = \"a.npy\", measure = \"dot\" }").contains("`measure` stands beside `similarity`"));
        assert!(problem("{ top = 3, output = \"a\" }").contains("`output` stands beside `similarity`"));
        assert!(problem("{ top = 3, class = 1 }").contains("`class` stands beside `at` or `region`"));
        assert!(problem("{ top = 3, index = 1 }").contains("expected one of"));
        assert!(problem("{ region = \"m.npy\", class = \"argmax\" }").contains("by number or label"));
        assert!(problem("{ tops = 3 }").contains("unknown field `tops`"));
        assert!(problem("{ contrast = [0] }").contains("invalid length 1"));
    }

    #[test]
    fn guesses_are_respelt() {
        let help = |word: &str| label(word).respelt().unwrap_or_default();
        for guess in ["top=3", "top:3", "top 3", "top-3", "top3", "TOP=3", "top_k=3", "[top=3]", "k=3"] {
            assert!(help(guess).ends_with("{ top = 3 }"), "{guess}: {}", help(guess));
        }
        for guess in
            ["281,282", "281;282", "281 282", "[281,282]", "(281, 282)", "281-282", "281 vs 282", "contrast=281,282"]
        {
            assert!(help(guess).contains("{ contrast = [281, 282] }"), "{guess}: {}", help(guess));
        }
        for guess in ["class=3", "class:3", "class 3", "target=3", "#3", "=3"] {
            assert!(help(guess).ends_with("a class is its number alone: 3"), "{guess}: {}", help(guess));
        }
        for guess in ["argmax=3", "max", "best", "predicted", "ARGMAX"] {
            assert!(help(guess).contains("argmax"), "{guess}: {}", help(guess));
        }
        for guess in ["*", "ALL", "every"] {
            assert!(help(guess).ends_with("is all"), "{guess}: {}", help(guess));
        }
        assert!(help("-1").contains("counted from 0") && help("1,2,3").contains("{ top = 3 }"));
        for word in ["goldfish", "tabby cat", "n01440764", "1990s car", "top hat", "top 0"] {
            assert_eq!(help(word), "", "{word}");
        }
        let list = ValueDeserializer::parse("[281, 282]").and_then(Target::deserialize).unwrap_err();
        assert!(list.message().contains("{ contrast = [281, 282] }"), "{}", list.message());
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
