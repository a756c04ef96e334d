//! Arrays of numbers inside of JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// The format of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As 32-bit floating-point numbers.
    Single,
    /// As one byte each: ±(127·√(|v| / max|v|)), rounded. Zero stays zero, and steps are finest around it (max|v| / 16129), so that a
    /// map can be looked at with a hundredfold gain; the error is at most 0.8 % of max|v|.
    Byte,
}

impl Coding {
    /// Bytes of a number in base64.
    pub fn size(self) -> f64 {
        let raw = match self {
            Coding::Single => 4.0,
            Coding::Byte => 1.0,
        };
        raw * 4.0 / 3.0
    }
}

/// An array.
#[derive(Debug, Serialize)]
pub struct Numbers {
    /// The largest absolute value.
    max: f64,
    /// The sum, of the numbers before they were rounded.
    sum: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    f32: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q8: Option<String>,
}

impl Numbers {
    /// Encodes an array. What is not a number is written as zero.
    pub fn new(values: &[f64], coding: Coding) -> Self {
        let finite = |v: &f64| if v.is_finite() { *v } else { 0.0 };
        let max = values.iter().map(finite).fold(0.0, |max: f64, v| max.max(v.abs()));
        let numbers = Self { max, sum: values.iter().sum(), f32: None, q8: None };
        match coding {
            Coding::Single => {
                let bytes: Vec<u8> = values.iter().flat_map(|v| (finite(v) as f32).to_le_bytes()).collect();
                Self { f32: Some(STANDARD.encode(bytes)), ..numbers }
            }
            Coding::Byte => {
                let byte = |v: &f64| if max > 0.0 { rounded(finite(v) / max).to_le_bytes()[0] } else { 0 };
                let bytes: Vec<u8> = values.iter().map(byte).collect();
                Self { q8: Some(STANDARD.encode(bytes)), ..numbers }
            }
        }
    }
}

/// The byte of a number in −1…1.
fn rounded(share: f64) -> i8 {
    (127.0 * share.abs().sqrt()).round().copysign(share) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_near_and_zero_is_zero() {
        for i in -1000..=1000 {
            let share = f64::from(i) / 1000.0;
            let byte = f64::from(rounded(share)) / 127.0;
            let back = byte * byte.abs();
            assert!((back - share).abs() <= 0.008, "{share} {back}");
            assert!((back - share).abs() <= 0.5 / 127.0 * 2.0 * share.abs().sqrt() + 1.0 / 16129.0, "{share} {back}");
        }
        assert_eq!((rounded(0.0), rounded(1.0), rounded(-1.0)), (0, 127, -127));
    }

    #[test]
    fn arrays_in_both_codings() {
        let json = |values: &[f64], coding| serde_json::to_value(Numbers::new(values, coding)).unwrap();
        let single = json(&[0.5, -2.0], Coding::Single);
        assert_eq!((&single["max"], &single["sum"]), (&2.0.into(), &(-1.5).into()));
        assert_eq!(single["f32"], STANDARD.encode([0, 0, 0, 0x3f, 0, 0, 0, 0xc0]));
        assert_eq!(json(&[0.5, -2.0, 0.0], Coding::Byte)["q8"], STANDARD.encode([64, 129, 0]));
        assert_eq!(json(&[0.0, f64::NAN], Coding::Byte)["q8"], STANDARD.encode([0, 0]));
    }
}
