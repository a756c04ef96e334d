//! The number types, and the code that this crate compiles for them.

use std::sync::Arc;

use crate::behaviour::Behaviour;
use crate::error::{Error, RuleError};
use crate::graph::NodeId;
use crate::kernels::scalar;
use crate::operator::Operator;
use crate::ops::Builtin;
use crate::plan::{Explanation, Plan, Record, Values};
use crate::prepared::{Layer, PreparedRule};
use crate::tensor::Tensor;

pub use crate::kernels::scalar::count;

/// Sees the value of each node, `[N, …]`.
pub(crate) type Observer<'a, T> = &'a mut (dyn FnMut(NodeId, &Tensor<T>) + Send);

/// A floating-point number that relevance can be computed in: `f32` for speed, `f64` as the reference.
///
/// Its hidden methods are the entrances to the engine, the operators and the walk. They belong to a type and are not generic: so this crate
/// compiles that code, once, and a crate that uses it only calls it. The public functions that lead to them are generic and short.
pub trait Scalar: scalar::Scalar {
    #[doc(hidden)]
    fn operator(op: Builtin<Self>) -> Arc<dyn Operator<Self>>;

    #[doc(hidden)]
    fn prepare(behaviour: &Behaviour, layer: &Layer<'_, Self>) -> Result<Box<dyn PreparedRule<Self>>, RuleError>;

    #[doc(hidden)]
    fn record<'p>(
        plan: &'p Plan<Self>,
        xs: &[Tensor<Self>],
        observe: Observer<'_, Self>,
    ) -> Result<Record<'p, Self>, Error>;

    #[doc(hidden)]
    fn walk(
        plan: &Plan<Self>,
        values: Values<Self>,
        output: &Tensor<Self>,
        start: Tensor<Self>,
        observe: Observer<'_, Self>,
    ) -> Explanation<Self>;
}

macro_rules! compiled {
    ($($T:ty),+) => {$(
        impl Scalar for $T {
            fn operator(op: Builtin<Self>) -> Arc<dyn Operator<Self>> {
                op.erased()
            }

            fn prepare(
                behaviour: &Behaviour,
                layer: &Layer<'_, Self>,
            ) -> Result<Box<dyn PreparedRule<Self>>, RuleError> {
                behaviour.prepared(layer)
            }

            fn record<'p>(
                plan: &'p Plan<Self>,
                xs: &[Tensor<Self>],
                observe: Observer<'_, Self>,
            ) -> Result<Record<'p, Self>, Error> {
                Record::new(plan, xs, observe)
            }

            fn walk(
                plan: &Plan<Self>,
                values: Values<Self>,
                output: &Tensor<Self>,
                start: Tensor<Self>,
                observe: Observer<'_, Self>,
            ) -> Explanation<Self> {
                crate::plan::walk(plan, values, output, start, observe)
            }
        }
    )+};
}

compiled!(f32, f64);
