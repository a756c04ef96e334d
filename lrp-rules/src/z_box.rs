//! The z^B rule: for a first layer whose inputs lie between known bounds.

use std::fmt;

use lrp_core::formula::{BiasMode, Bounds, Contributions, Stabilizer};
use lrp_core::{Formula, Tensor};

use crate::parameter::{ParameterError, nonnegative, number, write_rule};

/// z^B (Montavon et al. 2017, eq. 20): `R_j = Σ_k (x_j w_jk − l_j w⁺_jk − h_j w⁻_jk) / stab(Σ_j …) · R_k` for inputs in `[l, h]`.
///
/// The bias cancels.
#[derive(Debug, Clone, PartialEq)]
pub struct ZBox {
    bounds: Bounds,
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
        Self::in_order(Bounds::Channels { low, high }, stabilizer)
    }

    /// The rule with bounds for every element, `[1, …]`, of every input of the operator.
    ///
    /// # Errors
    /// When a bound is not finite, two shapes differ, or a lower bound is above its upper one; or when the stabilizer is negative.
    pub fn of_elements(bounds: Vec<[Tensor<f64>; 2]>, stabilizer: f64) -> Result<Self, ParameterError> {
        nonnegative("stabilizer", stabilizer)?;
        for [low, high] in &bounds {
            if low.shape() != high.shape() || low.iter().chain(high).any(|bound| !bound.is_finite()) {
                let message = "low and high must be finite, with a number for each element".to_owned();
                return Err(ParameterError::new("low", message));
            }
        }
        Self::in_order(Bounds::Elements(bounds), stabilizer)
    }

    fn in_order(bounds: Bounds, stabilizer: f64) -> Result<Self, ParameterError> {
        match bounds.out_of_order() {
            Some((l, h)) => Err(ParameterError::new("low", format!("low must not be above high, got {l} and {h}"))),
            None => Ok(Self { bounds, stabilizer }),
        }
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        let contributions = Contributions::Box(self.bounds.clone());
        Formula { contributions, stabilizer: Stabilizer::Absolute(self.stabilizer), bias: BiasMode::Ignore }
    }
}

impl fmt::Display for ZBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = self.bounds.printed();
        write_rule(f, "z-box", [("low", low), ("high", high), ("stabilizer", number(self.stabilizer))])
    }
}

crate::is_formula!(ZBox);

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

    #[test]
    fn bounds_by_element_are_checked_and_printed() {
        let tensor = |values: [f64; 4]| Tensor::from_shape_vec(vec![1, 2, 2], values.to_vec()).unwrap();
        let by_element = |low, high| ZBox::of_elements(vec![[tensor(low), tensor(high)]], 0.0);
        let rule = by_element([-1.0, -1.0, -0.5, -0.5], [2.0; 4]).unwrap();
        assert_eq!(rule.to_string(), "z-box { low = [-1.0, -0.5], high = 2.0, stabilizer = 0.0 }");
        let padded = by_element([-1.0, 1.0, -0.5, -0.5], [2.0; 4]).unwrap();
        assert_eq!(padded.to_string(), "z-box { low = \"-1.0 to 1.0, by element\", high = 2.0, stabilizer = 0.0 }");
        assert!(by_element([0.0; 4], [0.0, 0.0, 0.0, -1.0]).is_err());
        assert!(by_element([0.0; 4], [0.0, 0.0, 0.0, f64::INFINITY]).is_err());
    }
}
