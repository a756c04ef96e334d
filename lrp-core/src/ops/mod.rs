//! The operators. Each is checked and bound to its shapes when it is made.

/// The common methods of `Operator` for affine operators.
macro_rules! affine_methods {
    () => {
        fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
            $crate::operator::affine_forward(self, xs)
        }

        fn vjp(&self, _: $crate::operator::Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
            self.adjoint(g)
        }

        fn as_affine(&self) -> Option<&dyn Affine<T>> {
            Some(self)
        }

        fn into_affine(self: Arc<Self>) -> Option<Arc<dyn Affine<T>>> {
            Some(self)
        }
    };
}

/// The common methods of [`Conv`] and [`ConvTranspose`], whose kernel runs in this direction.
macro_rules! convolution_methods {
    ($runs:expr) => {
        fn parameters(&self) -> usize {
            self.kernel.weights.len() + self.bias.as_ref().map_or(0, Tensor::len)
        }

        fn algorithm(&self) -> Option<Algorithm> {
            Some(self.kernel.algorithm())
        }

        fn fastest(&self) -> Option<Arc<dyn Operator<T>>> {
            let kernel = self.kernel.fastest($runs);
            (kernel.algorithm() != self.kernel.algorithm())
                .then(|| Arc::new(self.with(kernel, self.bias.clone())) as Arc<dyn Operator<T>>)
        }

        fn thrifty(&self) -> Option<Arc<dyn Operator<T>>> {
            Some(Arc::new(self.with(self.kernel.thrifty(), self.bias.clone())))
        }
    };
}

mod activation;
mod add;
mod arg_max;
mod avg_pool;
mod broadcast;
mod choice;
mod compare;
mod concat;
mod conv;
mod conv_transpose;
mod cum_sum;
mod dense;
mod div;
mod embedding;
mod extremum;
mod folded;
mod identity;
mod layer_norm;
mod mat_mul;
mod max_pool;
mod mean;
mod mul;
mod normalize;
mod p_relu;
mod pad;
mod pick;
mod preprocessing;
mod quotient;
mod recurrent;
mod reduction;
mod reshape;
mod resize;
mod rows;
mod scale;
mod select;
mod softmax;
mod top_k;
mod transpose;

pub use activation::{Activation, Function};
pub use add::Add;
pub use arg_max::ArgMax;
pub use avg_pool::AvgPool;
pub use broadcast::Broadcast;
pub use choice::Where;
pub use compare::{Compare, Relation};
pub use concat::Concat;
pub use conv::Conv;
pub use conv_transpose::ConvTranspose;
pub use cum_sum::CumSum;
pub use dense::Dense;
pub use div::Div;
pub use embedding::Embedding;
pub use extremum::Extremum;
pub use folded::Folded;
pub(crate) use folded::FoldedRule;
pub use identity::Identity;
pub use layer_norm::LayerNorm;
pub use mat_mul::MatMul;
pub use max_pool::MaxPool;
pub use mean::Mean;
pub use mul::Mul;
pub use normalize::{Divisor, Normalize};
pub use p_relu::PRelu;
pub use pad::{Pad, PadMode};
pub use pick::Pick;
pub use preprocessing::Preprocessing;
pub use recurrent::{Cell, Direction, Parameters, Recurrent};
pub use reduction::{Reducer, Reduction};
pub use reshape::Reshape;
pub use resize::{Resize, Taps};
pub use scale::Scale;
pub use select::Select;
pub use softmax::Softmax;
pub use top_k::TopK;
pub use transpose::Transpose;

use std::sync::Arc;

use crate::error::OperatorError;
use crate::kernels::entrance;
use crate::kernels::window::MAX_VOLUME;
use crate::operator::Operator;
use crate::scalar::Scalar;

macro_rules! builtin {
    ($($Op:ident $(<$T:ident>)?),+ $(,)?) => {
        /// An operator of this crate.
        #[derive(Debug, Clone)]
        #[allow(missing_docs)]
        pub enum Builtin<T: Scalar> {
            $($Op(Arc<$Op $(<$T>)?>),)+
        }

        $(
            impl<T: Scalar> From<$Op $(<$T>)?> for Builtin<T> {
                fn from(op: $Op $(<$T>)?) -> Self {
                    Self::$Op(Arc::new(op))
                }
            }

            impl<T: Scalar> From<Arc<$Op $(<$T>)?>> for Builtin<T> {
                fn from(op: Arc<$Op $(<$T>)?>) -> Self {
                    Self::$Op(op)
                }
            }
        )+

        impl<T: Scalar> Builtin<T> {
            fn erased(self) -> Arc<dyn Operator<T>> {
                match self {
                    $(Self::$Op(op) => op,)+
                }
            }
        }
    };
}

builtin!(
    Activation,
    Add<T>,
    ArgMax,
    AvgPool<T>,
    Broadcast,
    Compare,
    Concat,
    Conv<T>,
    ConvTranspose<T>,
    CumSum<T>,
    Dense<T>,
    Div,
    Embedding<T>,
    Extremum,
    Folded<T>,
    Identity,
    LayerNorm<T>,
    MatMul,
    MaxPool,
    Mean<T>,
    Mul,
    Normalize,
    PRelu<T>,
    Pad,
    Pick,
    Preprocessing<T>,
    Recurrent<T>,
    Reduction,
    Reshape,
    Resize<T>,
    Scale<T>,
    Select,
    Softmax,
    TopK,
    Transpose,
    Where,
);

entrance!(Entrance<'p, 'a, T>: Builtin<T> => Arc<dyn Operator<T>>, Builtin::erased);

/// An operator of this crate as any operator: what [`Arc::new`] does, compiled in this crate.
pub fn shared<T: Scalar>(op: impl Into<Builtin<T>>) -> Arc<dyn Operator<T>> {
    T::enter::<Entrance>(op.into())
}

/// Checks that a sample shape has no zero and is not absurdly large.
fn check_shape(shape: &[usize]) -> Result<(), OperatorError> {
    let volume = shape.iter().try_fold(1usize, |v, &d| v.checked_mul(d));
    match volume {
        Some(0) => Err(OperatorError::new(format!("the shape {shape:?} has a dimension of length 0"))),
        Some(v) if v <= MAX_VOLUME => Ok(()),
        _ => Err(OperatorError::new(format!("the shape {shape:?} has more than {MAX_VOLUME} elements"))),
    }
}

/// Splits a sample shape `[C, spatial…]` into channels and spatial sizes.
fn channels_and_space(shape: &[usize]) -> Result<(usize, &[usize]), OperatorError> {
    match shape {
        [channels, space @ ..] if !space.is_empty() => Ok((*channels, space)),
        _ => Err(OperatorError::new(format!(
            "needs input [N, C, spatial…], got [N{}]",
            shape.iter().map(|d| format!(", {d}")).collect::<String>()
        ))),
    }
}

/// A single input's sample shape as the list that [`Operator::input_shapes`](crate::operator::Operator) returns.
fn one(shape: &[usize]) -> [Vec<usize>; 1] {
    [shape.to_vec()]
}
