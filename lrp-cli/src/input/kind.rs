//! The number types that arrays are read from.

use std::io::Read;

use lrp_core::Scalar;
use ndarray_npy::{ReadDataError, ReadableElement};
use num_traits::AsPrimitive;
use py_literal::Value;

/// From a reader, a type as `.npy` headers describe it, and a count to numbers.
type ReadNumbers<T> = fn(&mut dyn Read, &Value, usize) -> Result<Vec<T>, ReadDataError>;

/// How numbers of one type become `T`.
pub struct Kind<T: Scalar> {
    /// Bytes of a number.
    pub size: usize,
    /// Reads all that a reader has: so many numbers of the type that an `.npy` header describes.
    pub read: ReadNumbers<T>,
}

impl<T: Scalar> Kind<T> {
    /// Every type that is read.
    pub fn all() -> [Self; 10] {
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
        ]
    }

    /// The type that an `.npy` header describes.
    pub fn described(descr: &Value) -> Option<Self> {
        Self::all().into_iter().find(|kind| (kind.read)(&mut std::io::empty(), descr, 0).is_ok())
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
