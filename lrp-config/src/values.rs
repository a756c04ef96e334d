//! Small values that several keys of a recipe share, read with checks and with their position in the text. Those that rules have, too, are
//! in [`lrp_core::parameter`].

use std::borrow::Cow;
use std::fmt;

pub(crate) use lrp_core::parameter::{Number, OneOrMany, ValueError, number, per_channel};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// For `deserialize_with`: as [`per_channel`], every number above zero.
pub(crate) fn positive_per_channel<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<f64>>, D::Error> {
    let numbers = per_channel(deserializer)?;
    match numbers.iter().flatten().find(|number| **number <= 0.0) {
        Some(number) => {
            let error = ValueError::new(format_args!("must be greater than 0, got {number}"));
            Err(Error::custom(error.help("it is divided by; leave it out for 1")))
        }
        None => Ok(numbers),
    }
}

/// For `deserialize_with`: `[low, high]`, or a list with such a pair for each channel.
pub(crate) fn intervals<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<[f64; 2]>>, D::Error> {
    let rows = Vec::<OneOrMany<Number>>::deserialize(deserializer)?;
    let rows: Vec<Vec<f64>> = rows.into_iter().map(|OneOrMany(row)| row.iter().map(|n| n.0).collect()).collect();
    let pairs: Option<Vec<[f64; 2]>> = match rows.as_slice() {
        [low, high] if low.len() == 1 && high.len() == 1 => Some(low.iter().zip(high).map(|(l, h)| [*l, *h]).collect()),
        rows => rows.iter().map(|row| <[f64; 2]>::try_from(row.as_slice()).ok()).collect(),
    };
    match pairs {
        Some(pairs) if pairs.is_empty() => Err(Error::custom(ValueError::empty_list())),
        Some(pairs) => match pairs.iter().find(|[low, high]| low >= high) {
            Some([low, high]) => {
                let error = ValueError::new(format_args!("must go from low to high, got {low} to {high}"));
                Err(Error::custom(error.help("the lowest value comes first: range = [0.0, 1.0]")))
            }
            None => Ok(Some(pairs)),
        },
        None => {
            let error = ValueError::new("expected [low, high], or a list with such a pair for each channel");
            Err(Error::custom(error.help("for example range = [0.0, 1.0]")))
        }
    }
}

/// For `deserialize_with`: an integer of at least 1.
pub(crate) fn positive_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    match Count::deserialize(deserializer)? {
        Count(0) => {
            let error = ValueError::new("must be at least 1, got 0");
            Err(Error::custom(error.help("count from 1 here, or leave the key out")))
        }
        Count(count) => Ok(Some(count)),
    }
}

/// For `deserialize_with`: a value on its own, or a list of values with at least one.
pub(crate) fn one_or_many<'de, D, V>(deserializer: D) -> Result<Option<Vec<V>>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    OneOrMany::deserialize(deserializer).map(|OneOrMany(values)| Some(values))
}

/// An integer from 0 up: a class, a layer, a number of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(pub usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counts;

        impl Visitor<'_> for Counts {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer from 0 up")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Count, E> {
                usize::try_from(value).map(Count).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Count, E> {
                usize::try_from(value).map(Count).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }
        }

        deserializer.deserialize_any(Counts)
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0 })
    }
}

/// For the JSON Schema of [`positive_per_channel`]: a number above zero.
pub(crate) struct Positive;

impl JsonSchema for Positive {
    fn schema_name() -> Cow<'static, str> {
        "Positive".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "exclusiveMinimum": 0 })
    }
}

/// For the JSON Schema of [`intervals`]: `[low, high]`.
pub(crate) struct Interval;

impl JsonSchema for Interval {
    fn schema_name() -> Cow<'static, str> {
        "Interval".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "title": "[low, high]", "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 })
    }
}
