//! `scale`, `clip`, `overlay` and `size`: how a heatmap is drawn, besides its colours.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use lrp_core::text::shown;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};

use crate::values::{ValueError, number};

/// `scale = …`: the range of the colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// From −max|R| to max|R|, zero in the centre.
    #[default]
    Symmetric,
    /// From zero to max|R|; negative relevance looks like zero.
    Positive,
}

/// `size = …`: how large a picture is drawn. Every pixel becomes a square, so that nothing is smoothed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// The minimum number of pixels on the longer side.
    Side(u32),
    /// So many times as large.
    Factor(u32),
}

/// The largest side, and the largest factor.
const LARGEST: u32 = 16_384;

const FORMS: &str = "write the pixels of the longer side, 448, or a factor, \"4x\"";

impl Size {
    /// The factor by which a picture with this longer side is enlarged.
    pub fn factor(self, longer: u32) -> u32 {
        match self {
            Size::Side(side) => side.div_ceil(longer.max(1)).max(1),
            // A picture that is large already is enlarged less.
            Size::Factor(factor) => factor.min(LARGEST / longer.max(1)).max(1),
        }
    }

    fn checked(number: u32, size: fn(u32) -> Self) -> Result<Self, ValueError> {
        match number {
            1..=LARGEST => Ok(size(number)),
            _ => Err(ValueError::new(format_args!("must be from 1 to {LARGEST}, got {number}"))),
        }
    }
}

impl Default for Size {
    /// 224 pixels.
    fn default() -> Self {
        Size::Side(224)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Size::Side(side) => write!(f, "{side}"),
            Size::Factor(factor) => write!(f, "{factor}x"),
        }
    }
}

impl FromStr for Size {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (number, size): (_, fn(u32) -> Self) = match text.strip_suffix(['x', '×']) {
            Some(factor) => (factor, Size::Factor),
            None => (text, Size::Side),
        };
        match number.trim().parse() {
            Ok(number) => Self::checked(number, size),
            Err(_) => Err(ValueError::new(format_args!("'{}' is no size", shown(text))).help(FORMS)),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;

        impl Visitor<'_> for Sizes {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of pixels, or a factor like \"4x\"")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Size, E> {
                let pixels = u32::try_from(value.clamp(0, i64::from(u32::MAX))).unwrap_or_default();
                Size::checked(pixels, Size::Side).map_err(E::custom)
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Size, E> {
                value.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Sizes)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "title": "pixels of the longer side", "type": "integer", "minimum": 1, "maximum": LARGEST },
            { "title": "factor as \"4x\"", "type": "string", "pattern": r"^\+?[0-9]+ *[x×]?$" },
        ] })
    }
}

/// For `deserialize_with`: a percentile that something is left of.
pub(crate) fn percentile<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    above_zero(deserializer, 100.0)
}

/// For `deserialize_with`: an opacity that something is seen of.
pub(crate) fn opacity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    above_zero(deserializer, 1.0)
}

fn above_zero<'de, D: Deserializer<'de>>(deserializer: D, most: f64) -> Result<Option<f64>, D::Error> {
    let value = number(deserializer)?;
    if value > 0.0 && value <= most {
        Ok(Some(value))
    } else {
        Err(Error::custom(ValueError::new(format_args!("must be greater than 0 and at most {most}, got {value}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_sides_or_factors() {
        assert_eq!(("448".parse(), "4x".parse()), (Ok(Size::Side(448)), Ok(Size::Factor(4))));
        assert!(["0", "0x", "x", "-1", "1.5x", "99999", ""].iter().all(|text| text.parse::<Size>().is_err()));
        assert_eq!((Size::Side(224).factor(28), Size::Side(224).factor(225), Size::Factor(3).factor(28)), (8, 1, 3));
    }
}
