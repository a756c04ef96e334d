//! The rules, compiled for `f32` and `f64` here; see `instances` in `lrp-core`.

use std::hint::black_box;
use std::sync::Arc;

use lrp_core::{Rule, Scalar};

use crate::*;

/// Instances of the generic code; not to be called.
#[doc(hidden)]
pub fn instances() {
    of_type::<f32>();
    of_type::<f64>();
}

fn of_type<T: Scalar>() {
    rule::<T, AlphaBeta>();
    rule::<T, Deconvnet>();
    rule::<T, Epsilon>();
    rule::<T, Flat>();
    rule::<T, Gains>();
    rule::<T, Gamma>();
    rule::<T, Gradient>();
    rule::<T, GuidedBackprop>();
    rule::<T, Norm>();
    rule::<T, Pass>();
    rule::<T, Product>();
    rule::<T, WSquare>();
    rule::<T, ZBox>();
    rule::<T, ZPlus>();
    rule::<T, Zero>();
}

/// All methods of a rule, and of its prepared form.
fn rule<T: Scalar, R: Rule<T> + 'static>() {
    black_box::<fn(Arc<R>) -> Arc<dyn Rule<T>>>(|rule| rule);
}
