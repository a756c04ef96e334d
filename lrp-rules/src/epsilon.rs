//! LRP-ε: `R_j = x_j Σ_k w_jk R_k / stab(z_k)`.

use std::fmt;
use std::sync::Arc;

use lrp_core::operator::{Affine, Io};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::tensor::rms;
use lrp_core::{Claims, Rule, RuleError, Scalar, Tensor};

use crate::bias::{Bias, BiasMode};
use crate::parameter::{ParameterError, nonnegative, number, write_rule};
use crate::quotient::{Quotient, quotient};

/// The size of ε.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EpsilonValue {
    /// The same for every layer and sample.
    Absolute(f64),
    /// In proportion to the root mean square of each sample's denominators, as in Montavon et al. 2019.
    Relative(f64),
}

/// LRP-ε (Bach et al. 2015, eq. 58): a stabilizer absorbs the relevance of weak or contradictory contributions.
///
/// `R_j = x_j Σ_k w_jk R_k / (z_k + ε·s(z_k))`, `s(z) = +1` for `z ≥ 0`, else `−1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epsilon {
    epsilon: EpsilonValue,
    bias: BiasMode,
}

impl Epsilon {
    /// The rule with this ε and treatment of biases.
    ///
    /// # Errors
    /// When ε is negative or not finite.
    pub fn new(epsilon: EpsilonValue, bias: BiasMode) -> Result<Self, ParameterError> {
        let (EpsilonValue::Absolute(value) | EpsilonValue::Relative(value)) = epsilon;
        nonnegative("epsilon", value)?;
        Ok(Self { epsilon, bias })
    }
}

impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epsilon = match self.epsilon {
            EpsilonValue::Absolute(value) => number(value),
            EpsilonValue::Relative(value) => format!("{{ relative = {} }}", number(value)),
        };
        let mut parameters = vec![("epsilon", epsilon)];
        parameters.extend(self.bias.parameter(BiasMode::Absorb));
        write_rule(f, "epsilon", &parameters)
    }
}

impl<T: Scalar> Rule<T> for Epsilon {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        Proportional::prepare(layer, self.epsilon, self.bias)
    }

    fn claims(&self) -> Claims {
        Claims { conserving: true, vanishing: self.bias.vanishes(), ..Claims::default() }
    }
}

/// Relevance in proportion to the contributions `x_j w_jk`: LRP-0 (ε = 0), LRP-ε and `norm`.
pub(crate) struct Proportional<T: Scalar> {
    op: Arc<dyn Affine<T>>,
    bias: Bias<T>,
    epsilon: EpsilonValue,
}

impl<T: Scalar> Proportional<T> {
    pub(crate) fn prepare(
        layer: &Layer<'_, T>,
        epsilon: EpsilonValue,
        bias: BiasMode,
    ) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        let op = layer.affine()?;
        Ok(Box::new(Self { bias: Bias::new(op.as_ref(), bias), op, epsilon }))
    }
}

impl<T: Scalar> PreparedRule<T> for Proportional<T> {
    fn needs(&self) -> Needs {
        match self.epsilon {
            EpsilonValue::Absolute(_) => Needs::RELEVANT,
            EpsilonValue::Relative(_) => Needs::BOTH,
        }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let z = self.bias.denominator(self.op.as_ref(), io.output);
        let Quotient { s, stabilizer, dead } = match self.epsilon {
            EpsilonValue::Absolute(epsilon) => quotient(r, &z, |_| T::of(epsilon)),
            EpsilonValue::Relative(factor) => {
                let rms = rms(&z);
                quotient(r, &z, |sample| T::of(factor * rms[sample]))
            }
        };
        let mut relevance = self.op.adjoint_times(&s, io.inputs);
        let bias = self.bias.settle_for(&s, &mut relevance);
        Propagated { relevance, bias, stabilizer, rule: dead }
    }
}
