//! Relevance in proportion to the contributions `x_j w_jk`: LRP-0, LRP-ε and `norm`. The denominators are recorded, and weights are not modified.

use std::sync::Arc;

use super::bias::Bias;
use super::quotient::{Quotient, epsilons, quotient};
use crate::formula::{BiasMode, Stabilizer};
use crate::operator::fused::adjoint_times;
use crate::operator::{Affine, Io};
use crate::prepared::PreparedRule;
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, samples};

pub(super) struct Proportional<T: Scalar> {
    op: Arc<dyn Affine<T>>,
    bias: Bias<T>,
    stabilizer: Stabilizer,
    needs: Needs,
}

impl<T: Scalar> Proportional<T> {
    pub(super) fn new(op: Arc<dyn Affine<T>>, stabilizer: Stabilizer, bias: BiasMode, needs: Needs) -> Self {
        Self { bias: Bias::new(op.as_ref(), bias), op, stabilizer, needs }
    }
}

impl<T: Scalar> PreparedRule<T> for Proportional<T> {
    fn needs(&self) -> Needs {
        self.needs
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let z = self.bias.z(self.op.as_ref(), io.output);
        let epsilon = epsilons(self.stabilizer, samples(r), &z);
        let Quotient { s, stabilizer, zero_denominator } = quotient((T::one(), r), &z, &epsilon);
        let mut relevance = adjoint_times(self.op.as_ref(), &s, io.inputs, Vec::new());
        let bias = self.bias.settle_unmapped(&s, &mut relevance);
        Propagated { relevance, bias, stabilizer, rule: zero_denominator }
    }
}
