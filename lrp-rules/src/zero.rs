//! LRP-0: `R_j = x_j Σ_k w_jk R_k / z_k`.

use std::fmt;

use lrp_core::rule::{Layer, PreparedRule};
use lrp_core::{Claims, Rule, RuleError, Scalar};

use crate::bias::BiasMode;
use crate::epsilon::{EpsilonValue, Proportional};
use crate::parameter::write_rule;

/// LRP-0 (Bach et al. 2015, eq. 56): relevance in proportion to the contributions, nothing added to the denominator.
///
/// `R_j = x_j Σ_k w_jk R_k / z_k`. The relevance of an output with `z_k = 0` exactly cannot be divided and is booked as lost by
/// the rule. Used on every layer of a ReLU network this is gradient × input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Zero {
    bias: BiasMode,
}

impl Zero {
    /// The rule with this treatment of biases.
    pub fn new(bias: BiasMode) -> Self {
        Self { bias }
    }
}

impl fmt::Display for Zero {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters: Vec<_> = self.bias.parameter(BiasMode::Absorb).into_iter().collect();
        write_rule(f, "zero", &parameters)
    }
}

impl<T: Scalar> Rule<T> for Zero {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        Proportional::prepare(layer, EpsilonValue::Absolute(0.0), self.bias)
    }

    fn claims(&self) -> Claims {
        Claims { conserving: true, vanishing: self.bias.vanishes(), ..Claims::default() }
    }
}
