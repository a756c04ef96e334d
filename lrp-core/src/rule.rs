//! The trait of rules. The rules themselves are in `lrp-rules`, and in anybody's own crate.

use std::fmt::{Debug, Display};

use crate::behaviour::Behaviour;
pub use crate::claims::{Claims, Positive};
use crate::error::{ParameterError, RuleError};
pub use crate::prepared::{Layer, PreparedRule};
pub use crate::propagated::{Needs, Outputs, Propagated};
use crate::scalar::Scalar;

/// A propagation rule: a small value that holds its parameters.
///
/// `Display` prints it the way a recipe writes it, for plans and manifests.
pub trait Rule<T: Scalar>: Debug + Display + Send + Sync {
    /// The behaviour of the rule. The other methods follow from it, unless it is [`Behaviour::Custom`]: then the rule has a `prepare` of its own.
    fn behaviour(&self) -> Behaviour {
        Behaviour::Custom
    }

    /// Checks the parameters. [`Plan::new`](crate::Plan::new) does this for every rule before it prepares it: the fields of a rule can be public, and
    /// still no plan computes with a value that is not allowed.
    ///
    /// # Errors
    /// When a parameter is out of range, or contradicts another one.
    fn check(&self) -> Result<(), ParameterError> {
        Ok(())
    }

    /// Makes the rule ready for one operator: modified weights are made here, once.
    ///
    /// The parameters are those that [`check`](Self::check) allows.
    ///
    /// # Errors
    /// When the rule and the operator do not go together (`norm` on a layer with weights, say).
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        self.behaviour().prepare(layer)
    }

    /// The claims of this rule, to be verified by `lrp_testing::verify_rule`. A custom rule promises nothing in particular.
    fn claims(&self) -> Claims {
        self.behaviour().claims()
    }
}
