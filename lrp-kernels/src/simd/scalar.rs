//! The number types everything is generic over: `f32` for speed, `f64` as the reference.

use std::fmt::{Debug, Display};
use std::iter::Sum;

use bytemuck::Pod;
use ndarray::{LinalgScalar, ScalarOperand};
use num_traits::{Float, NumAssign, NumCast};

use crate::math::Elementary;
use crate::simd::Vectors;

/// A floating-point number that relevance can be computed in.
pub trait Scalar:
    Vectors
    + Elementary
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

    /// Calls the function of an entrance that is for this type.
    fn enter<'p, 'a, E: Entrance>(arguments: E::Arguments<'p, 'a, Self>) -> E::Output<'p, Self>;
}

/// A function of numbers of either type that is compiled where it is implemented.
///
/// Generic code is compiled by each crate that uses it, again and again. An entrance has one function for each type; a short generic function calls
/// [`Scalar::enter`], and so other crates compile the short one only. [`entrance!`](crate::entrance) makes one.
pub trait Entrance {
    /// The arguments. What is returned may borrow for `'p`, but not for `'a`.
    type Arguments<'p, 'a, T: Scalar>;
    /// The result.
    type Output<'p, T: Scalar>;

    /// The function in single precision.
    fn single<'p>(arguments: Self::Arguments<'p, '_, f32>) -> Self::Output<'p, f32>;

    /// The function in double precision.
    fn double<'p>(arguments: Self::Arguments<'p, '_, f64>) -> Self::Output<'p, f64>;
}

/// Makes an [`Entrance`] of a generic function, which takes the arguments as a tuple.
#[macro_export]
macro_rules! entrance {
    ($name:ident<$p:lifetime, $a:lifetime, $T:ident>: $arguments:ty => $output:ty, $function:expr) => {
        struct $name;

        impl $crate::scalar::Entrance for $name {
            type Arguments<$p, $a, $T: $crate::Scalar> = $arguments;
            type Output<$p, $T: $crate::Scalar> = $output;

            fn single<$p>(arguments: Self::Arguments<$p, '_, f32>) -> Self::Output<$p, f32> {
                $function(arguments)
            }

            fn double<$p>(arguments: Self::Arguments<$p, '_, f64>) -> Self::Output<$p, f64> {
                $function(arguments)
            }
        }
    };
}

impl Scalar for f32 {
    const NAME: &'static str = "f32";

    fn of(value: f64) -> Self {
        value as f32
    }

    fn wide(self) -> f64 {
        <f64 as From<f32>>::from(self)
    }

    fn enter<'p, 'a, E: Entrance>(arguments: E::Arguments<'p, 'a, Self>) -> E::Output<'p, Self> {
        E::single(arguments)
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

    fn enter<'p, 'a, E: Entrance>(arguments: E::Arguments<'p, 'a, Self>) -> E::Output<'p, Self> {
        E::double(arguments)
    }
}

/// Converts a count to a scalar; counts of connections are far below 2²⁴.
pub fn count<T: Scalar>(n: usize) -> T {
    <T as NumCast>::from(n).unwrap_or_else(T::infinity)
}
