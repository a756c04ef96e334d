//! `[explain] inputs`, `fixed`: the files that are explained, and the values of the model's inputs that are the same for every sample.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lrp_core::text::shown;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::values::{Number, OneOrMany, ValueError};

/// `inputs = …`: files, folders and globs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputFiles {
    /// Those of the model's one input, or archives that hold an array for each input.
    Files(Vec<PathBuf>),
    /// Those of each input, by its name.
    Named(BTreeMap<String, Vec<PathBuf>>),
}

impl InputFiles {
    /// All paths and patterns.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let (files, named) = match self {
            InputFiles::Files(files) => (Some(files), None),
            InputFiles::Named(named) => (None, Some(named)),
        };
        files.into_iter().flatten().chain(named.into_iter().flat_map(BTreeMap::values).flatten())
    }

    /// Makes relative paths ones below `folder`.
    pub(crate) fn join(&mut self, folder: &Path) {
        let join = |files: &mut Vec<PathBuf>| files.iter_mut().for_each(|path| *path = folder.join(&path));
        match self {
            InputFiles::Files(files) => join(files),
            InputFiles::Named(named) => named.values_mut().for_each(join),
        }
    }
}

impl<'de> Deserialize<'de> for InputFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Files;

        impl<'de> Visitor<'de> for Files {
            type Value = InputFiles;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, a list of paths, or paths for each input of the model: { left = \"a.npy\", right = \"b.npy\" }")
            }

            fn visit_str<E: Error>(self, path: &str) -> Result<InputFiles, E> {
                Ok(InputFiles::Files(vec![path.into()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<InputFiles, A::Error> {
                let OneOrMany(files) = OneOrMany::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(InputFiles::Files(files))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<InputFiles, A::Error> {
                let named: BTreeMap<String, OneOrMany<PathBuf>> =
                    Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                if named.is_empty() {
                    let error = ValueError::new("the table is empty");
                    return Err(Error::custom(error.help("give at least one input, or leave the key out")));
                }
                Ok(InputFiles::Named(named.into_iter().map(|(name, OneOrMany(files))| (name, files)).collect()))
            }
        }

        deserializer.deserialize_any(Files)
    }
}

impl JsonSchema for InputFiles {
    fn schema_name() -> Cow<'static, str> {
        "InputFiles".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let files = generator.subschema_for::<OneOrMany<PathBuf>>();
        json_schema!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            { "title": "`{ INPUT = … }`", "type": "object", "additionalProperties": files, "minProperties": 1 },
        ] })
    }
}

/// The value of an input that is the same for every sample.
#[derive(Debug, Clone, PartialEq)]
pub enum FixedInput {
    /// Zero everywhere.
    Zeros,
    /// One everywhere.
    Ones,
    /// This number everywhere.
    Number(f64),
    /// These numbers.
    Numbers(Vec<f64>),
    /// The array in this `.npy` or `.npz` file.
    File(PathBuf),
}

/// The fixed inputs by their names.
pub type FixedInputs = BTreeMap<String, FixedInput>;

/// The help of a value that is none.
const FIXED: &str = "an input is fixed to a number, [numbers], zeros, ones, or an .npy or .npz file";

/// The error of a word that is no value.
fn no_value(word: &str) -> ValueError {
    ValueError::new(format_args!("'{}' is no value of an input", shown(word))).help(FIXED)
}

impl FixedInput {
    /// Reads a word: `zeros`, `ones`, or the path of an array.
    fn word(word: &str) -> Option<Self> {
        let is_array = |path: &Path| {
            path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy") || e.eq_ignore_ascii_case("npz"))
        };
        match word {
            "zeros" => Some(FixedInput::Zeros),
            "ones" => Some(FixedInput::Ones),
            path => Some(PathBuf::from(path)).filter(|path| is_array(path)).map(FixedInput::File),
        }
    }

    /// The file, where the value is one.
    pub fn file(&self) -> Option<&Path> {
        if let FixedInput::File(path) = self { Some(path) } else { None }
    }

    /// Makes a relative path one below `folder`.
    pub(crate) fn join(&mut self, folder: &Path) {
        if let FixedInput::File(path) = self {
            *path = folder.join(&path);
        }
    }
}

/// Reads a value from a command line.
impl FromStr for FixedInput {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let text = text.trim();
        let number = |text: &str| text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        if let Some(number) = number(text) {
            return Ok(FixedInput::Number(number));
        }
        let list = text.strip_prefix('[').map(|list| list.strip_suffix(']').unwrap_or(list));
        if let Some(list) = list.or_else(|| text.contains(',').then_some(text)) {
            let numbers: Option<Vec<f64>> = list.split(',').map(number).collect();
            if let Some(numbers) = numbers {
                return Ok(FixedInput::Numbers(numbers));
            }
        }
        Self::word(text).ok_or_else(|| no_value(text))
    }
}

/// As a recipe writes it.
impl fmt::Display for FixedInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FixedInput::Zeros => f.write_str("zeros"),
            FixedInput::Ones => f.write_str("ones"),
            FixedInput::Number(number) => number.fmt(f),
            FixedInput::Numbers(numbers) => write!(f, "{numbers:?}"),
            FixedInput::File(path) => path.display().fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for FixedInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;

        impl<'de> Visitor<'de> for Values {
            type Value = FixedInput;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a list of numbers, \"zeros\", \"ones\", or an .npy or .npz file")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<FixedInput, E> {
                Ok(FixedInput::Number(f64::from(u8::from(value))))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<FixedInput, E> {
                Ok(FixedInput::Number(value as f64))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<FixedInput, E> {
                Ok(FixedInput::Number(value as f64))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<FixedInput, E> {
                match value.is_finite() {
                    true => Ok(FixedInput::Number(value)),
                    false => Err(E::custom(ValueError::new(format_args!("must be finite, got {value}")).help(FIXED))),
                }
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<FixedInput, E> {
                FixedInput::word(word).ok_or_else(|| E::custom(no_value(word)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<FixedInput, A::Error> {
                let OneOrMany(numbers) = OneOrMany::<Number>::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(FixedInput::Numbers(numbers.into_iter().map(|number| number.0).collect()))
            }
        }

        deserializer.deserialize_any(Values)
    }
}

impl JsonSchema for FixedInput {
    fn schema_name() -> Cow<'static, str> {
        "FixedInput".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "number" },
            { "type": "boolean" },
            { "type": "array", "items": { "type": "number" }, "minItems": 1 },
            { "title": "\"zeros\", \"ones\", an .npy or .npz file", "type": "string", "pattern": r"^zeros$|^ones$|\.[nN][pP][yYzZ]$" },
        ] })
    }
}

/// For the JSON Schema of `fixed`: a value for each name.
pub(crate) struct FixedTable;

impl JsonSchema for FixedTable {
    fn schema_name() -> Cow<'static, str> {
        "FixedInputs".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<FixedInput>();
        json_schema!({ "title": "`{ INPUT = … }`", "type": "object", "additionalProperties": value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_inputs_are_read() {
        let read = |text: &str| text.parse::<FixedInput>();
        assert_eq!(read("16000"), Ok(FixedInput::Number(16000.0)));
        assert_eq!(read("-1.5e3"), Ok(FixedInput::Number(-1500.0)));
        assert_eq!(read("[1, 2]"), Ok(FixedInput::Numbers(vec![1.0, 2.0])));
        assert_eq!(read("1,2"), Ok(FixedInput::Numbers(vec![1.0, 2.0])));
        assert_eq!(read("zeros"), Ok(FixedInput::Zeros));
        assert_eq!(read("a=b.npy"), Ok(FixedInput::File("a=b.npy".into())));
        for wrong in ["zero", "", "nan", "inf", "[1, x]", "mask.png"] {
            assert!(read(wrong).unwrap_err().to_string().contains("zeros, ones, or an .npy"), "{wrong}");
        }
    }

    #[test]
    fn recipes_name_inputs() {
        let read = |text: &str| {
            let recipe = format!("schema = 1\n[[assign]]\nrule = \"pass\"\n[explain]\n{text}\n");
            crate::Recipe::parse(&recipe, "a.toml", "folder")
                .map(|recipe| recipe.explain().clone())
                .map_err(|error| error.to_string())
        };
        let explain =
            read("inputs = { left = \"a.npy\", right = [\"b.npy\", \"c.npy\"] }\nsources = \"left\"").unwrap();
        let named = |name: &str, files: &[&str]| (name.to_owned(), files.iter().map(PathBuf::from).collect());
        let all = [named("left", &["folder/a.npy"]), named("right", &["folder/b.npy", "folder/c.npy"])];
        assert_eq!(explain.inputs, Some(InputFiles::Named(all.into())));
        assert_eq!(explain.sources, Some(vec!["left".to_owned()]));
        let explain =
            read("inputs = \"*.npy\"\nfixed = { sr = 16000, on = true, h = \"zeros\", m = \"m.npy\", v = [1, 2.5] }");
        let explain = explain.unwrap();
        assert_eq!(explain.inputs, Some(InputFiles::Files(vec!["folder/*.npy".into()])));
        let expected = [
            ("h", FixedInput::Zeros),
            ("m", FixedInput::File("folder/m.npy".into())),
            ("on", FixedInput::Number(1.0)),
            ("sr", FixedInput::Number(16000.0)),
            ("v", FixedInput::Numbers(vec![1.0, 2.5])),
        ];
        assert_eq!(explain.fixed, Some(expected.map(|(name, value)| (name.to_owned(), value)).into()));
        for (wrong, why) in [
            ("inputs = []", "the list is empty"),
            ("inputs = {}", "the table is empty"),
            ("inputs = { a = 3 }", "expected"),
            ("fixed = { a = \"zero\" }", "is no value of an input"),
            ("fixed = { a = nan }", "must be finite"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
