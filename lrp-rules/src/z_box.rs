//! The z^B rule: for a first layer whose inputs lie between known bounds.

use std::fmt;

use lrp_core::operator::Io;
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::tensor::{batch_shape, neg, pos, samples};
use lrp_core::{Claims, Positive, Rule, RuleError, Scalar, Tensor};

use crate::bias::{Bias, BiasMode};
use crate::parameter::{ParameterError, nonnegative, number, write_rule};
use crate::signs::{SignedInputs, SignedPair, add_shares, no_shares};

/// z^B (Montavon et al. 2017, eq. 20): `R_j = Σ_k (x_j w_jk − l_j w⁺_jk − h_j w⁻_jk) / stab(Σ_j …) · R_k` for inputs in `[l, h]`.
///
/// The bias cancels.
#[derive(Debug, Clone, PartialEq)]
pub struct ZBox {
    low: Vec<f64>,
    high: Vec<f64>,
    stabilizer: f64,
}

impl ZBox {
    /// The rule with these bounds: one number each, or one per channel (axis 1 of `[N, C, …]`).
    ///
    /// # Errors
    /// When a bound is missing, not finite, or a lower one is above its upper one; or when the stabilizer is negative.
    pub fn new(low: Vec<f64>, high: Vec<f64>, stabilizer: f64) -> Result<Self, ParameterError> {
        nonnegative("stabilizer", stabilizer)?;
        for (parameter, bounds) in [("low", &low), ("high", &high)] {
            if bounds.is_empty() || bounds.iter().any(|b| !b.is_finite()) {
                let message = format!("{parameter} must be a finite number, or a list with one per channel");
                return Err(ParameterError::new(parameter, message));
            }
        }
        if low.len() > 1 && high.len() > 1 && low.len() != high.len() {
            let message = format!("low has {} numbers, high {}", low.len(), high.len());
            return Err(ParameterError::new("high", message));
        }
        let n = low.len().max(high.len());
        let bad = low.iter().cycle().zip(high.iter().cycle()).take(n).find(|(l, h)| l > h);
        match bad {
            Some((l, h)) => Err(ParameterError::new("low", format!("low must not be above high, got {l} and {h}"))),
            None => Ok(Self { low, high, stabilizer }),
        }
    }
}

impl fmt::Display for ZBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |bounds: &[f64]| match bounds {
            [one] => number(*one),
            many => format!("[{}]", many.iter().map(|&b| number(b)).collect::<Vec<_>>().join(", ")),
        };
        let stabilizer = ("stabilizer", number(self.stabilizer));
        write_rule(f, "z-box", &[("low", list(&self.low)), ("high", list(&self.high)), stabilizer])
    }
}

impl<T: Scalar> Rule<T> for ZBox {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        let op = layer.affine()?;
        let shapes = op.input_shapes();
        let bounds = |values: &[f64]| shapes.iter().map(|shape| filled(values, shape)).collect::<Result<_, _>>();
        Ok(Box::new(Prepared {
            low: bounds(&self.low)?,
            high: bounds(&self.high)?,
            contributions: SignedPair::new(&op, |w, _| pos(w), |w, _| neg(w), T::zero()),
            no_bias: Bias::new(op.as_ref(), BiasMode::Ignore),
            stabilizer: self.stabilizer,
        }))
    }

    fn claims(&self) -> Claims {
        // Inside the box of every channel; channels may have none in common. A box of a single point leaves nothing but rounding.
        let low = self.low.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let high = self.high.iter().copied().fold(f64::INFINITY, f64::min);
        let positive = if low < high { Positive::Between { low, high } } else { Positive::Never };
        Claims { conserving: true, positive, ..Claims::default() }
    }
}

/// A tensor `[1, shape…]` with one value everywhere, or one per channel.
fn filled<T: Scalar>(values: &[f64], shape: &[usize]) -> Result<Tensor<T>, RuleError> {
    let channels = shape.first().copied().unwrap_or(1);
    if values.len() != 1 && values.len() != channels {
        let message = format!("its bounds have {} numbers, the input has {channels} channels", values.len());
        return Err(RuleError::new(message));
    }
    let value = |index: ndarray::IxDyn| values.get(index[1] % values.len()).copied().unwrap_or(0.0);
    Ok(Tensor::from_shape_fn(batch_shape(1, shape), |index| T::of(value(index))))
}

/// Contributions are written `(x − l) w⁺ + (x − h) w⁻`, which is `x w − l w⁺ − h w⁻` without its cancellations: an input at its bound
/// contributes exactly nothing, whatever the stabilizer makes of its denominator.
struct Prepared<T: Scalar> {
    /// One tensor for each input, `[1, …]`.
    low: Vec<Tensor<T>>,
    high: Vec<Tensor<T>>,
    contributions: SignedPair<T>,
    no_bias: Bias<T>,
    stabilizer: f64,
}

impl<T: Scalar> PreparedRule<T> for Prepared<T> {
    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let inside = |bounds: &[Tensor<T>]| io.inputs.iter().zip(bounds).map(|(x, b)| *x - b).collect();
        let x = SignedInputs::above_and_below(inside(&self.low), inside(&self.high));
        let mut result = no_shares(samples(r));
        let bias = (&self.no_bias, None);
        add_shares(&self.contributions, None, bias, self.stabilizer, &x, (1.0, r), &mut result);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::operator::Operator;
    use lrp_core::ops::Dense;
    use std::sync::Arc;

    #[test]
    fn bounds_are_checked() {
        assert!(ZBox::new(vec![0.0], vec![1.0, 2.0], 1e-6).is_ok());
        assert!(ZBox::new(vec![0.0, 1.5], vec![1.0], 1e-6).is_err());
        assert!(ZBox::new(vec![], vec![1.0], 1e-6).is_err());
        assert!(ZBox::new(vec![0.0, 0.0], vec![1.0, 1.0, 1.0], 1e-6).is_err());
        assert!(ZBox::new(vec![0.0], vec![f64::NAN], 1e-6).is_err());
    }

    /// One output sees an input at its bound, so that the stabilizer takes all; it must not disturb the other output's share.
    #[test]
    fn inputs_at_their_bound_contribute_exactly_nothing() {
        let w = Tensor::from_shape_vec(vec![2, 1], vec![-0.125_f32, 0.375]).unwrap();
        let op: Arc<dyn Operator<f32>> = Arc::new(Dense::new(w, None, &[1]).unwrap());
        let layer = Layer { name: "", op: &op, nonnegative_inputs: false, skip_input: None };
        let rule = ZBox::new(vec![-0.5], vec![-0.375], 1e-6).unwrap();
        let x = Tensor::from_elem(vec![1, 1], -0.375);
        let z = op.forward(&[&x]);
        let r = Tensor::from_elem(vec![1, 2], 0.5);
        let out = rule.prepare(&layer).unwrap().propagate(Io { inputs: &[&x], output: &z }, &r);
        // (x − l) w⁺ = 0.046875 at the second output.
        let expected = 0.5 * 0.046_875 / 0.046_876;
        assert!((f64::from(out.relevance[0][[0, 0]]) - expected).abs() < 1e-6, "{out:?}");
        assert!((out.stabilizer[0] - (1.0 - expected)).abs() < 1e-6, "{out:?}");
    }
}
