//! Norm: LRP-ε for operators without weights of their own, and the policies for residual sums.

use lrp_core::formula::{BiasMode, STABILIZER, Stabilizer};
use lrp_core::operator::{Group, Kind};
use lrp_core::parameter::{nonnegative, number};
use lrp_core::rule::{Layer, PreparedRule};
use lrp_core::{Behaviour, Claims, Formula, ParameterError, Rule, RuleError, Scalar};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::residual::Residual;

/// [`Epsilon`](crate::Epsilon) for weightless affine operators: sums, average pooling, means, constant factors; and for layer norms, whose
/// standard deviation is taken as a constant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(description = "LRP-ε for operators without weights of their own, residual sums among them, and for layer norms; their default.", extend("x-source" = "–"))]
pub struct Norm {
    /// Added to denominators, with their sign.
    #[serde(deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    pub stabilizer: f64,
    /// Policy for dividing relevance among the summands of a residual sum.
    #[schemars(example = Residual::Absolute)]
    pub residual: Residual,
}

impl Default for Norm {
    fn default() -> Self {
        Self { stabilizer: STABILIZER, residual: Residual::Signed }
    }
}

printed!("norm", Norm);

impl<T: Scalar> Rule<T> for Norm {
    fn behaviour(&self) -> Behaviour {
        Behaviour::Formula(Formula::proportional(Stabilizer::Absolute(self.stabilizer), BiasMode::Absorb))
    }

    fn check(&self) -> Result<(), ParameterError> {
        nonnegative("stabilizer", self.stabilizer)
    }

    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        let kind = layer.op.kind();
        if kind.group() == Group::Normalization {
            return Behaviour::Normalization { stabilizer: self.stabilizer }.prepare(layer);
        }
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
        assert!(Rule::<f64>::check(&Norm { stabilizer: -1.0, ..Norm::default() }).is_err());
        let rule = Norm { stabilizer: 0.25, residual: Residual::SkipOnly };
        assert_eq!(rule.to_string(), "norm { stabilizer = 0.25, residual = \"skip-only\" }");
    }

    #[test]
    fn fixed_shares_go_to_summands_of_zero_too() {
        let claims = |residual| Rule::<f64>::claims(&Norm { residual, ..Norm::default() });
        let conserving = Claims { conserving: true, ..Claims::default() };
        for residual in [Residual::Signed, Residual::Absolute] {
            assert_eq!(claims(residual), Claims { vanishing: true, ..conserving });
        }
        for residual in [Residual::Equal, Residual::SkipOnly, Residual::BranchOnly] {
            assert_eq!(claims(residual), conserving);
        }
    }
}
