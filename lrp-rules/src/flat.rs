//! The flat rule: every connected input receives the same relevance.

use std::fmt;

use lrp_core::Formula;
use lrp_core::formula::{BiasMode, FixedWeights};

use crate::parameter::{ParameterError, nonnegative, number, write_rule};

/// Flat (Lapuschkin et al. 2019): `R_j = Σ_k 1_jk / Σ_j 1_jk · R_k` over the inputs that output `k` is connected to.
///
/// Padded positions are no inputs; the bias is never part of the denominator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flat {
    stabilizer: f64,
}

impl Flat {
    /// The rule with this stabilizer.
    ///
    /// # Errors
    /// When the stabilizer is negative or not finite.
    pub fn new(stabilizer: f64) -> Result<Self, ParameterError> {
        Ok(Self { stabilizer: nonnegative("stabilizer", stabilizer)? })
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        Formula::fixed(FixedWeights::Ones, self.stabilizer, BiasMode::Ignore)
    }
}

impl fmt::Display for Flat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_rule(f, "flat", [("stabilizer", number(self.stabilizer))])
    }
}

crate::is_formula!(Flat);

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::rule::Needs;

    #[test]
    fn parameters_are_checked() {
        assert!(Flat::new(0.0).is_ok() && Flat::new(f64::NAN).is_err());
    }

    #[test]
    fn the_input_does_not_matter() {
        let formula = Flat::new(1e-6).unwrap().formula();
        assert!(formula.claims().input_independent && formula.needs() == Needs::NOTHING);
    }
}
