//! The z^B rule: for a first layer whose inputs lie between known bounds.

use std::fmt;
use std::sync::Arc;

use lrp_core::operator::{Affine, Io};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::tensor::{batch_shape, is_zero, neg, pos, samples};
use lrp_core::{Rule, RuleError, Scalar, Tensor};
use ndarray::Zip;

use crate::bias::{Bias, BiasMode};
use crate::parameter::{ParameterError, nonnegative, number, write_rule};
use crate::quotient::{Quotient, constant, quotient};

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
        let bounds = |values: &[f64]| -> Result<Vec<Tensor<T>>, RuleError> {
            op.input_shapes().iter().map(|shape| filled(values, shape)).collect()
        };
        let side = |bounds: Vec<Tensor<T>>, weights: fn(T) -> T| {
            // A bound of zero contributes nothing: its side is not computed at all.
            (!bounds.iter().all(is_zero)).then(|| Side { op: op.map_weights(&weights), bounds })
        };
        let sides: Vec<_> =
            [side(bounds(&self.low)?, pos), side(bounds(&self.high)?, neg)].into_iter().flatten().collect();
        // l w⁺ + h w⁻, summed over the inputs.
        let offset =
            sides.iter().map(|Side { bounds, op }| op.apply(&bounds.iter().collect::<Vec<_>>())).reduce(|a, b| a + b);
        let bias = Bias::new(op.as_ref(), BiasMode::Ignore);
        Ok(Box::new(Prepared { op, sides, offset, bias, stabilizer: self.stabilizer }))
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

/// One bound with the weights it meets: `l` with `W⁺`, or `h` with `W⁻`.
struct Side<T: Scalar> {
    /// One tensor for each input, `[1, …]`.
    bounds: Vec<Tensor<T>>,
    op: Arc<dyn Affine<T>>,
}

struct Prepared<T: Scalar> {
    op: Arc<dyn Affine<T>>,
    /// The bounds that are not zero everywhere.
    sides: Vec<Side<T>>,
    /// `Σ_j l_j w⁺_jk + h_j w⁻_jk`, `[1, …]`.
    offset: Option<Tensor<T>>,
    bias: Bias<T>,
    stabilizer: f64,
}

impl<T: Scalar> PreparedRule<T> for Prepared<T> {
    fn needs(&self) -> Needs {
        Needs::BOTH
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let mut z = self.bias.denominator(self.op.as_ref(), io.output);
        if let Some(offset) = &self.offset {
            z -= offset;
        }
        let Quotient { s, stabilizer, dead } = quotient(r, &z, constant(self.stabilizer));
        let mut relevance: Vec<Tensor<T>> =
            io.inputs.iter().zip(self.op.adjoint(&s)).map(|(x, c)| lrp_core::tensor::times(x, &c)).collect();
        for Side { bounds, op } in &self.sides {
            for ((r, bound), c) in relevance.iter_mut().zip(bounds).zip(op.adjoint(&s)) {
                if let Some(bound) = bound.broadcast(c.raw_dim()) {
                    Zip::from(r).and(&bound).and(&c).for_each(|r, &bound, &c| *r -= bound * c);
                }
            }
        }
        Propagated { relevance, stabilizer, rule: dead, bias: vec![0.0; samples(r)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked() {
        assert!(ZBox::new(vec![0.0], vec![1.0, 2.0], 1e-6).is_ok());
        assert!(ZBox::new(vec![0.0, 1.5], vec![1.0], 1e-6).is_err());
        assert!(ZBox::new(vec![], vec![1.0], 1e-6).is_err());
        assert!(ZBox::new(vec![0.0, 0.0], vec![1.0, 1.0, 1.0], 1e-6).is_err());
        assert!(ZBox::new(vec![0.0], vec![f64::NAN], 1e-6).is_err());
    }
}
