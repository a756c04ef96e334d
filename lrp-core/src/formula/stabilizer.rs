//! The stabilizer of denominators. A recipe writes a number, or `{ relative = … }`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::parameter::{Number, number};
use crate::text;

/// The size of ε in `stab(D) = D + ε·s(D)`, with `s(D) = +1` for `D ≥ 0`, else `−1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stabilizer {
    /// The same for every layer and sample.
    Absolute(f64),
    /// In proportion to the root mean square of each sample's outputs (without the bias where that is ignored), as in Montavon et al. 2019.
    Relative(f64),
}

impl Stabilizer {
    /// The number, absolute or relative.
    pub fn size(self) -> f64 {
        let (Stabilizer::Absolute(size) | Stabilizer::Relative(size)) = self;
        size
    }
}

/// The default size of stabilizers.
pub const STABILIZER: f64 = 1e-6;

impl Default for Stabilizer {
    fn default() -> Self {
        Stabilizer::Absolute(STABILIZER)
    }
}

impl From<f64> for Stabilizer {
    fn from(size: f64) -> Self {
        Stabilizer::Absolute(size)
    }
}

/// As a recipe writes it.
impl fmt::Display for Stabilizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stabilizer::Absolute(value) => f.pad(&text::number(*value)),
            Stabilizer::Relative(value) => f.pad(&format!("{{ relative = {} }}", text::number(*value))),
        }
    }
}

/// The form of `epsilon` that is a table.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RelativeEpsilon {
    /// The ratio of ε to the root mean square of the layer's output, for each sample.
    #[serde(deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 0.25)]
    relative: f64,
}

impl Serialize for Stabilizer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Stabilizer::Absolute(value) => value.serialize(serializer),
            Stabilizer::Relative(relative) => RelativeEpsilon { relative }.serialize(serializer),
        }
    }
}

impl JsonSchema for Stabilizer {
    fn schema_name() -> Cow<'static, str> {
        "Stabilizer".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let relative = generator.subschema_for::<RelativeEpsilon>();
        json_schema!({ "anyOf": [{ "type": "number", "minimum": 0 }, relative] })
    }
}

impl<'de> Deserialize<'de> for Stabilizer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;

        impl<'de> Visitor<'de> for Sizes {
            type Value = Stabilizer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a finite number or { relative = 0.25 }")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Stabilizer, E> {
                Ok(Stabilizer::Absolute(value as f64))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Stabilizer, E> {
                Number::deserialize(value.into_deserializer()).map(|Number(value)| Stabilizer::Absolute(value))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Stabilizer, A::Error> {
                let RelativeEpsilon { relative } = RelativeEpsilon::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Stabilizer::Relative(relative))
            }
        }

        deserializer.deserialize_any(Sizes)
    }
}
