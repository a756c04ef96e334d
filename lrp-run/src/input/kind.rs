//! The number types that arrays are read from.

use std::io::Read;

use lrp_core::Scalar;
use lrp_core::text::shown;
use ndarray_npy::{ReadDataError, ReadableElement};
use num_traits::AsPrimitive;
use py_literal::Value;

/// From a reader, a type as `.npy` headers describe it, and a count to numbers.
type ReadNumbers<T> = fn(&mut dyn Read, &Value, usize) -> Result<Vec<T>, ReadDataError>;

/// The conversion of numbers of one type to `T`.
pub struct Kind<T: Scalar> {
    /// Bytes of a number.
    pub size: usize,
    /// Reads to the end: this number of elements of the type that an `.npy` header describes.
    pub read: ReadNumbers<T>,
}

impl<T: Scalar> Kind<T> {
    /// Every type that is read.
    pub fn all() -> [Self; 12] {
        [
            Self::of::<f32>(),
            Self::of::<f64>(),
            Self::of::<u8>(),
            Self::of::<i64>(),
            Self::of::<i32>(),
            Self::of::<u16>(),
            Self::of::<i8>(),
            Self::of::<i16>(),
            Self::of::<u32>(),
            Self::of::<u64>(),
            Self::of::<Half>(),
            Self::of::<Truth>(),
        ]
    }

    /// The type that an `.npy` header describes.
    pub fn described(descr: &Value) -> Option<Self> {
        Self::all().into_iter().find(|kind| (kind.read)(&mut std::io::empty(), descr, 0).is_ok())
    }

    /// Why a type is not read, as the end of a sentence; the help behind it lists those that are.
    pub fn unsupported(descr: &Value) -> String {
        format!("its number type {} is not supported", shown(&descr.to_string()))
    }

    fn of<E: ReadableElement + Copy + AsPrimitive<f64>>() -> Self {
        Self { size: size_of::<E>(), read: read::<E, T> }
    }
}

fn read<E: ReadableElement + Copy + AsPrimitive<f64>, T: Scalar>(
    from: &mut dyn Read,
    descr: &Value,
    numbers: usize,
) -> Result<Vec<T>, ReadDataError> {
    let numbers = E::read_to_end_exact_vec(from, descr, numbers)?;
    Ok(numbers.into_iter().map(|v| T::of(v.as_())).collect())
}

/// A truth value: 0 or 1.
#[derive(Debug, Clone, Copy)]
struct Truth(bool);

impl AsPrimitive<f64> for Truth {
    fn as_(self) -> f64 {
        f64::from(u8::from(self.0))
    }
}

impl ReadableElement for Truth {
    fn read_to_end_exact_vec<R: Read>(from: R, descr: &Value, numbers: usize) -> Result<Vec<Self>, ReadDataError> {
        Ok(bool::read_to_end_exact_vec(from, descr, numbers)?.into_iter().map(Self).collect())
    }
}

/// A number of half precision, by its bits.
#[derive(Debug, Clone, Copy)]
struct Half(u16);

impl AsPrimitive<f64> for Half {
    fn as_(self) -> f64 {
        let sign = if self.0 & 0x8000 == 0 { 1.0 } else { -1.0 };
        let (exponent, fraction) = (i32::from(self.0 >> 10 & 0x1F), f64::from(self.0 & 0x3FF));
        sign * match exponent {
            0 => fraction * 2_f64.powi(-24),
            31 if fraction == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
        }
    }
}

impl ReadableElement for Half {
    fn read_to_end_exact_vec<R: Read>(mut from: R, descr: &Value, numbers: usize) -> Result<Vec<Self>, ReadDataError> {
        let number: fn([u8; 2]) -> u16 = match descr {
            Value::String(descr) if descr == "<f2" => u16::from_le_bytes,
            Value::String(descr) if descr == ">f2" => u16::from_be_bytes,
            other => return Err(ReadDataError::WrongDescriptor(other.clone())),
        };
        let mut bytes = vec![0; 2 * numbers];
        from.read_exact(&mut bytes)?;
        let mut rest = Vec::new();
        let more = from.read_to_end(&mut rest)?;
        if more > 0 {
            return Err(ReadDataError::ExtraBytes(more));
        }
        Ok(bytes.chunks_exact(2).map(|pair| Self(number([pair[0], pair[1]]))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_values_are_zero_and_one() {
        let kind = Kind::<f32>::described(&Value::String("|b1".into())).unwrap();
        assert_eq!((kind.read)(&mut &[1, 0][..], &Value::String("|b1".into()), 2).unwrap(), [1.0, 0.0]);
        assert!((kind.read)(&mut &[2][..], &Value::String("|b1".into()), 1).is_err());
    }

    #[test]
    fn half_precision_is_widened() {
        // As numpy.float16 has them.
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x3555, 0.333_251_953_125),
            (0x7BFF, 65504.0),
            (0x0400, 2_f64.powi(-14)),
            (0x0001, 2_f64.powi(-24)),
            (0x83FF, -1023.0 * 2_f64.powi(-24)),
            (0x7C00, f64::INFINITY),
            (0xFC00, f64::NEG_INFINITY),
        ] {
            assert_eq!(AsPrimitive::<f64>::as_(Half(bits)), value, "{bits:#x}");
        }
        assert!(AsPrimitive::<f64>::as_(Half(0x7E00)).is_nan());
        let kind = Kind::<f32>::described(&Value::String(">f2".into())).unwrap();
        assert_eq!(
            (kind.size, (kind.read)(&mut &[0x3C, 0, 0xC0, 0][..], &Value::String(">f2".into()), 2).unwrap()),
            (2, vec![1.0, -2.0])
        );
        for bytes in [&[0_u8; 3][..], &[0; 5]] {
            assert!((kind.read)(&mut &*bytes, &Value::String("<f2".into()), 2).is_err());
        }
    }
}
