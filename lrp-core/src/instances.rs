//! The generic code of this crate, compiled for `f32` and `f64` here. Without it, every test and every program that uses an operator
//! compiles all of it again; with it, builds that share generic code (development and tests) compile it once.

use std::hint::black_box;
use std::sync::Arc;

use crate::operator::Operator;
use crate::ops::*;
use crate::rule::Layer;
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use crate::{Assignment, Behaviour, Error, Explanation, Model, Plan, PreparedRule, Record, RuleError, Start, Target};

/// Instances of the generic code; not to be called.
#[doc(hidden)]
pub fn instances() {
    of_type::<f32>();
    of_type::<f64>();
}

fn of_type<T: Scalar>() {
    operator::<T, Activation>();
    operator::<T, Add<T>>();
    operator::<T, AvgPool<T>>();
    operator::<T, Broadcast>();
    operator::<T, Concat>();
    operator::<T, Conv<T>>();
    operator::<T, ConvTranspose<T>>();
    operator::<T, Dense<T>>();
    operator::<T, Div>();
    operator::<T, Extremum>();
    operator::<T, Identity>();
    operator::<T, LayerNorm<T>>();
    operator::<T, MaxPool>();
    operator::<T, Mean<T>>();
    operator::<T, Mul>();
    operator::<T, Pad>();
    operator::<T, Preprocessing<T>>();
    operator::<T, Recurrent<T>>();
    operator::<T, Reshape>();
    operator::<T, Resize<T>>();
    operator::<T, Scale<T>>();
    operator::<T, Select>();
    operator::<T, Softmax>();
    operator::<T, Transpose>();
    black_box::<fn(&Behaviour, &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError>>(Behaviour::prepare);
    black_box::<fn(&Model<T>) -> Model<T>>(Model::fastest);
    black_box::<fn(Arc<Model<T>>, &Assignment<T>) -> Result<Plan<T>, Error>>(Plan::new);
    black_box::<fn(&Plan<T>, &[Tensor<T>], Tensor<T>) -> Result<Explanation<T>, Error>>(|plan, xs, start| {
        Ok(plan.record_all(xs)?.propagate(start))
    });
    black_box::<fn(&Record<'_, T>, &Target, Start) -> Result<Explanation<T>, Error>>(|record, target, start| {
        record.explain(target, start)
    });
}

/// All methods of an operator.
fn operator<T: Scalar, O: Operator<T> + 'static>() {
    black_box::<fn(Arc<O>) -> Arc<dyn Operator<T>>>(|op| op);
}
