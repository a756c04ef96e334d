//! Values of parameters as recipes write them, read with checks and with their position in the text.
//!
//! Serde's `untagged` enums buffer their input and forget where it stood, so "one or many" and its like are visitors.

mod printed;
mod value_error;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Serialize, Serializer};

pub use self::printed::{Printed, fields, nonnegative, print};
pub use self::value_error::ValueError;

/// A finite number; integers count as numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(
    /// The number.
    pub f64,
);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;

        impl Visitor<'_> for Numbers {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a finite number")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
                if value.is_finite() {
                    Ok(Number(value))
                } else {
                    Err(E::invalid_value(Unexpected::Float(value), &self))
                }
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
        }

        deserializer.deserialize_any(Numbers)
    }
}

/// For `deserialize_with`: a finite number.
///
/// # Errors
/// When it is no number, or not finite.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Number::deserialize(deserializer).map(|number| number.0)
}

/// For `deserialize_with`: a number that can be left out.
///
/// # Errors
/// When something else stands there.
pub fn optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    number(deserializer).map(Some)
}

/// For `deserialize_with`: one number, or a list with one for each channel.
///
/// # Errors
/// When something else stands there, or the list is empty.
pub fn per_channel<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<f64>>, D::Error> {
    let OneOrMany(numbers) = OneOrMany::<Number>::deserialize(deserializer)?;
    Ok(Some(numbers.into_iter().map(|number| number.0).collect()))
}

/// For `serialize_with`: one number, or a list with one for each channel.
///
/// # Errors
/// As the serializer.
pub fn one_or_list<S: Serializer>(values: &Option<Vec<f64>>, serializer: S) -> Result<S::Ok, S::Error> {
    match values.as_deref() {
        Some([one]) => one.serialize(serializer),
        values => values.serialize(serializer),
    }
}

/// A value on its own, or a list of values with at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct OneOrMany<V>(
    /// The values, at least one.
    pub Vec<V>,
);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for OneOrMany<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData)).map(OneOrMany)
    }
}

struct OneOrManyVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<V> {
    type Value = Vec<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a list of values")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Vec<V>, E> {
        V::deserialize(value.into_deserializer()).map(|value| vec![value])
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Vec<V>, E> {
        V::deserialize(value.into_deserializer()).map(|value| vec![value])
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Vec<V>, E> {
        V::deserialize(value.into_deserializer()).map(|value| vec![value])
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Vec<V>, E> {
        V::deserialize(value.into_deserializer()).map(|value| vec![value])
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Vec<V>, E> {
        V::deserialize(value.into_deserializer()).map(|value| vec![value])
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<V>, A::Error> {
        V::deserialize(MapAccessDeserializer::new(map)).map(|value| vec![value])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<V>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        if values.is_empty() { Err(Error::custom(ValueError::empty_list())) } else { Ok(values) }
    }
}

impl<V: JsonSchema> JsonSchema for OneOrMany<V> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<V>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}
