//! Norm: LRP-ε for operators without weights of their own, and the policies for residual sums.

use std::fmt;

use lrp_core::formula::{BiasMode, Stabilizer};
use lrp_core::operator::{Group, Kind};
use lrp_core::rule::{Layer, PreparedRule};
use lrp_core::{Behaviour, Claims, Formula, Rule, RuleError, Scalar};

use crate::parameter::{ParameterError, nonnegative, number, write_rule};
use crate::residual::Residual;

/// [`Epsilon`](crate::Epsilon) for weightless affine operators: sums, average pooling, means, constant factors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    stabilizer: f64,
    residual: Residual,
}

impl Norm {
    /// The rule with this stabilizer and policy for residual sums.
    ///
    /// # Errors
    /// When the stabilizer is negative or not finite.
    pub fn new(stabilizer: f64, residual: Residual) -> Result<Self, ParameterError> {
        Ok(Self { stabilizer: nonnegative("stabilizer", stabilizer)?, residual })
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let residual = (self.residual != Residual::Signed).then(|| ("residual", format!("{:?}", self.residual.name())));
        write_rule(f, "norm", [("stabilizer", number(self.stabilizer))].into_iter().chain(residual))
    }
}

impl<T: Scalar> Rule<T> for Norm {
    fn behaviour(&self) -> Behaviour {
        Behaviour::Formula(Formula::proportional(Stabilizer::Absolute(self.stabilizer), BiasMode::Absorb))
    }

    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        let kind = layer.op.kind();
        if kind.group() == Group::Weighted {
            let message =
                format!("it is for operators without weights (add, avg-pool, …), and this is '{kind}'; use epsilon");
            return Err(RuleError::new(message));
        }
        let is_sum = kind == Kind::Add && layer.op.input_shapes().len() > 1;
        if is_sum { self.residual.behaviour(self.stabilizer) } else { Rule::<T>::behaviour(self) }.prepare(layer)
    }

    fn claims(&self) -> Claims {
        let elsewhere = Rule::<T>::behaviour(self).claims();
        Claims {
            vanishing: elsewhere.vanishing && self.residual.behaviour(self.stabilizer).claims().vanishing,
            ..elsewhere
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_checked_and_printed() {
        assert!(Norm::new(-1.0, Residual::Signed).is_err());
        let rule = Norm::new(0.25, Residual::SkipOnly).unwrap();
        assert_eq!(rule.to_string(), "norm { stabilizer = 0.25, residual = \"skip-only\" }");
    }

    #[test]
    fn fixed_shares_go_to_summands_of_zero_too() {
        let claims = |residual| Rule::<f64>::claims(&Norm::new(1e-6, residual).unwrap());
        let conserving = Claims { conserving: true, ..Claims::default() };
        for residual in [Residual::Signed, Residual::Absolute] {
            assert_eq!(claims(residual), Claims { vanishing: true, ..conserving });
        }
        for residual in [Residual::Equal, Residual::SkipOnly, Residual::BranchOnly] {
            assert_eq!(claims(residual), conserving);
        }
    }
}
