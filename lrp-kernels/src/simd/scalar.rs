//! The number types everything is generic over: `f32` for speed, `f64` as the reference.

use std::fmt::{Debug, Display};
use std::iter::Sum;

use bytemuck::Pod;
use ndarray::{LinalgScalar, ScalarOperand};
use num_traits::{Float, NumAssign, NumCast};

use crate::simd::Vectors;

/// A floating-point number that relevance can be computed in.
pub trait Scalar:
    Vectors
    + Float
    + NumAssign
    + LinalgScalar
    + ScalarOperand
    + Pod
    + Sum
    + Debug
    + Display
    + Default
    + Send
    + Sync
    + 'static
{
    /// The name that `--precision` and the manifest use.
    const NAME: &'static str;

    /// The nearest value of this type; infinities and NaN stay what they are.
    fn of(value: f64) -> Self;

    /// This value as `f64`, exactly.
    fn wide(self) -> f64;
}

impl Scalar for f32 {
    const NAME: &'static str = "f32";

    fn of(value: f64) -> Self {
        value as f32
    }

    fn wide(self) -> f64 {
        <f64 as From<f32>>::from(self)
    }
}

impl Scalar for f64 {
    const NAME: &'static str = "f64";

    fn of(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }
}

/// Converts a count to a scalar; counts of connections are far below 2²⁴.
pub fn count<T: Scalar>(n: usize) -> T {
    <T as NumCast>::from(n).unwrap_or_else(T::infinity)
}
