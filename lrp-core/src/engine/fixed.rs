//! Relevance in proportion to fixed weights that are not negative, `R_j = Σ_k v_jk / stab(Σ_j v_jk + v_bk) · R_k`: w² and flat.

use std::sync::Arc;

use super::bias::Bias;
use super::quotient::{Quotient, epsilons, quotient};
use crate::formula::{BiasMode, FixedWeights, Stabilizer};
use crate::operator::{Affine, Io, apply_to_ones};
use crate::prepared::PreparedRule;
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, samples};

pub(super) struct Fixed<T: Scalar> {
    /// The operator with the weights `v`.
    op: Arc<dyn Affine<T>>,
    /// `Σ_j v_jk + v_bk`, `[1, …]`: the same for every input.
    sums: Tensor<T>,
    /// `v_b`, if the bias is part of denominators.
    of_bias: Option<Tensor<T>>,
    bias: Bias<T>,
    stabilizer: Stabilizer,
}

impl<T: Scalar> Fixed<T> {
    pub(super) fn new(op: &dyn Affine<T>, weights: FixedWeights, stabilizer: Stabilizer, bias: BiasMode) -> Self {
        let weight = |w: T| match weights {
            FixedWeights::Squares => w * w,
            FixedWeights::Ones => T::one(),
        };
        let bias = Bias::new(op, bias);
        let of_bias = bias.map(weight);
        let op = op.map_weights(&weight);
        let mut sums = apply_to_ones(op.as_ref());
        if let Some(b) = &of_bias {
            sums += b;
        }
        Self { op, sums, of_bias, bias, stabilizer }
    }
}

impl<T: Scalar> PreparedRule<T> for Fixed<T> {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn propagate(&self, _: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let epsilon = match self.stabilizer {
            Stabilizer::Absolute(_) => epsilons(self.stabilizer, samples(r), &self.sums),
            // The same sums for every sample.
            Stabilizer::Relative(_) => vec![epsilons(self.stabilizer, 1, &self.sums)[0]; samples(r)],
        };
        let Quotient { s, stabilizer, zero_denominator } = quotient((T::one(), r), &self.sums, &epsilon);
        let mut result = Propagated::lossless(self.op.adjoint(&s));
        if let Some(b) = &self.of_bias {
            result.bias = self.bias.settle(&s, b, None, &mut result.relevance);
        }
        Propagated { stabilizer, rule: zero_denominator, ..result }
    }
}
