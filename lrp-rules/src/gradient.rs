//! The plain gradient, for gradient × input and comparisons. Never chosen silently.

use std::fmt;
use std::sync::Arc;

use lrp_core::operator::{Affine, Group, Io, Operator, apply_to_ones};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::tensor::sums;
use lrp_core::{Rule, RuleError, Scalar, Tensor};
use ndarray::Zip;

/// The vector-Jacobian product `Σ_k R_k ∂z_k/∂x_j`, on any operator. It does not conserve: the ledger says how much it creates or
/// loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gradient;

impl fmt::Display for Gradient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("gradient")
    }
}

impl<T: Scalar> Rule<T> for Gradient {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        Ok(match layer.affine() {
            Ok(op) => Box::new(OfAffine { column_sums: apply_to_ones(op.as_ref()), op }),
            Err(_) => Box::new(OfOther { op: Arc::clone(layer.op) }),
        })
    }
}

/// `Aᵀ R`. Its sum is `Σ_k R_k Σ_j w_jk`, so that the loss can be computed without looking at the result.
struct OfAffine<T: Scalar> {
    op: Arc<dyn Affine<T>>,
    /// `Σ_j w_jk`, `[1, …]`.
    column_sums: Tensor<T>,
}

impl<T: Scalar> PreparedRule<T> for OfAffine<T> {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let mut result = Propagated::lossless(self.op.adjoint(r));
        if let Some(sums_k) = self.column_sums.broadcast(r.raw_dim()) {
            result.rule = sums(&Zip::from(r).and(&sums_k).map_collect(|&r, &w| r * (T::one() - w)));
        }
        result
    }
}

struct OfOther<T: Scalar> {
    op: Arc<dyn Operator<T>>,
}

impl<T: Scalar> PreparedRule<T> for OfOther<T> {
    fn needs(&self) -> Needs {
        if self.op.vjp_needs_inputs() { Needs::INPUTS } else { Needs::NOTHING }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let gradient = self.op.vjp(io, r);
        let mut result = Propagated::lossless(gradient);
        result.bias = self.op.constant_share(r);
        match (self.op.kind().group(), result.relevance.as_slice()) {
            // Σ R (1 − φ′), element by element.
            (Group::Activation, [g]) => result.rule = sums(&(r - g)),
            // Products, normalisations, recurrent layers and the like have no closed form but the difference.
            (Group::Product | Group::Normalization | Group::Recurrent | Group::Undefined, parts) => {
                result.rule = parts.iter().fold(sums(r), |left, part| minus(left, &sums(part)));
            }
            // Operators that only move elements lose nothing.
            _ => {}
        }
        result
    }
}

fn minus(mut account: Vec<f64>, amounts: &[f64]) -> Vec<f64> {
    account.iter_mut().zip(amounts).for_each(|(left, amount)| *left -= amount);
    account
}
