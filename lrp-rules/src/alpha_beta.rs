//! LRP-αβ: positive and negative contributions on separate accounts.

use std::fmt;
use std::sync::Arc;

use lrp_core::operator::{Affine, Io};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::tensor::{neg, pos, samples, update_sums};
use lrp_core::{Claims, Positive, Rule, RuleError, Scalar, Tensor};

use crate::bias::{Bias, BiasMode};
use crate::parameter::{ParameterError, nonnegative, number, write_rule};
use crate::signs::{LEFT, SignedInputs, SignedPair, add_shares, has_many_weights, no_shares};

/// LRP-αβ (Bach et al. 2015, eq. 60).
///
/// `R_j = Σ_k (α·(x⁺w⁺ + x⁻w⁻)_jk / z⁺_k − β·(x⁺w⁻ + x⁻w⁺)_jk / z⁻_k) R_k` with `α − β = 1`. `b⁺` belongs to `z⁺` and `b⁻` to `z⁻`:
/// a full bias in both would explode where they nearly cancel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlphaBeta {
    alpha: f64,
    beta: f64,
    stabilizer: f64,
    bias: BiasMode,
}

impl AlphaBeta {
    /// The rule with these weights of positive and negative contributions.
    ///
    /// # Errors
    /// When α < 1, β < 0, α − β ≠ 1, or the stabilizer is negative; or when one of them is not finite.
    pub fn new(alpha: f64, beta: f64, stabilizer: f64, bias: BiasMode) -> Result<Self, ParameterError> {
        nonnegative("beta", beta)?;
        nonnegative("stabilizer", stabilizer)?;
        if !alpha.is_finite() || alpha < 1.0 {
            return Err(ParameterError::new("alpha", format!("alpha must be a finite number ≥ 1, got {alpha}")));
        }
        if (alpha - beta - 1.0).abs() > 1e-9 * alpha {
            return Err(ParameterError::new("beta", format!("alpha − beta must be 1, got {alpha} − {beta}")));
        }
        Ok(Self { alpha, beta, stabilizer, bias })
    }
}

impl fmt::Display for AlphaBeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parameters = vec![("alpha", number(self.alpha)), ("beta", number(self.beta))];
        parameters.push(("stabilizer", number(self.stabilizer)));
        parameters.extend(self.bias.parameter(BiasMode::Absorb));
        write_rule(f, "alpha-beta", &parameters)
    }
}

impl<T: Scalar> Rule<T> for AlphaBeta {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        let op = layer.affine()?;
        let pair = |p: fn(T, T) -> T, n: fn(T, T) -> T| SignedPair::new(&op, p, n, T::zero());
        Ok(Box::new(Prepared {
            positive: pair(|w, _| pos(w), |w, _| neg(w)),
            // With β = 0 negative contributions play no part.
            negative: (self.beta != 0.0).then(|| pair(|w, _| neg(w), |w, _| pos(w))),
            bias: Bias::new(op.as_ref(), self.bias),
            nonnegative: layer.nonnegative_inputs,
            subtracts: self.beta != 0.0 && has_many_weights(op.as_ref()),
            rule: *self,
            op,
        }))
    }

    fn claims(&self) -> Claims {
        let positive = if self.beta == 0.0 { Positive::Always } else { Positive::Never };
        let amplification = Some(self.alpha + self.beta);
        let vanishing = self.bias.vanishes();
        Claims { conserving: true, beta: self.beta, positive, amplification, vanishing, ..Claims::default() }
    }
}

struct Prepared<T: Scalar> {
    rule: AlphaBeta,
    op: Arc<dyn Affine<T>>,
    positive: SignedPair<T>,
    negative: Option<SignedPair<T>>,
    bias: Bias<T>,
    nonnegative: bool,
    /// Whether negative sums are looked for in the output.
    subtracts: bool,
}

impl<T: Scalar> Prepared<T> {
    /// `z⁻ = z − z⁺` where relevance `r` arrives and enough is left; where it is not, `z⁻` is computed from the inputs `x`. Biases are
    /// included where they take part. What is done for a sample depends on that sample alone.
    fn negative_sums(
        &self,
        negative: &SignedPair<T>,
        x: &SignedInputs<'_, T>,
        b: Option<&Tensor<T>>,
        (z, mut rest): (&Tensor<T>, Tensor<T>),
        r: &Tensor<T>,
    ) -> Tensor<T> {
        let left = T::of(LEFT);
        // Marked by what no sum of negative contributions is.
        let unknown = update_sums(&mut rest, z, r, move |positive, z, r| {
            let rest = z - positive;
            let known = rest <= -left * positive || r.is_zero();
            (if known { rest } else { T::infinity() }, [f64::from(u8::from(!known))])
        });
        negative.complete(&mut rest, &unknown, x, b, r);
        rest
    }
}

impl<T: Scalar> PreparedRule<T> for Prepared<T> {
    fn needs(&self) -> Needs {
        if self.subtracts { Needs::RELEVANT } else { Needs::INPUTS }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let x = SignedInputs::new(io.inputs, self.nonnegative);
        let mut result = no_shares(samples(r));
        let stabilizer = self.rule.stabilizer;
        let b = self.bias.map(pos);
        let sums = self.subtracts.then(|| self.positive.apply(&x, b.as_ref(), r));
        let bias = (&self.bias, b.as_ref());
        add_shares(&self.positive, sums.as_ref(), bias, stabilizer, &x, (self.rule.alpha, r), &mut result);
        if let Some(negative) = &self.negative {
            let b = self.bias.map(neg);
            let sums = sums.map(|positive| {
                let all = self.bias.denominator(self.op.as_ref(), io.output);
                self.negative_sums(negative, &x, b.as_ref(), (&all, positive), r)
            });
            let bias = (&self.bias, b.as_ref());
            add_shares(negative, sums.as_ref(), bias, stabilizer, &x, (-self.rule.beta, r), &mut result);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_checked() {
        let new = |a, b| AlphaBeta::new(a, b, 1e-6, BiasMode::Absorb);
        assert!(new(2.0, 1.0).is_ok() && new(1.0, 0.0).is_ok() && new(1.3, 0.3).is_ok());
        assert_eq!(new(2.0, 2.0).unwrap_err().message, "alpha − beta must be 1, got 2 − 2");
        assert!(new(0.5, -0.5).is_err() && new(f64::NAN, 1.0).is_err() && new(f64::INFINITY, f64::INFINITY).is_err());
    }
}
