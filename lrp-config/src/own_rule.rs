//! A rule of the library's user in a composite.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use lrp_core::{Rule, Scalar};

/// A rule that is defined outside of this workspace, for [`Composite::assign`](crate::Composite::assign). No recipe can name it, so that a composite with
/// it does not print as TOML.
#[derive(Clone)]
pub struct OwnRule {
    single: Arc<dyn Rule<f32>>,
    double: Arc<dyn Rule<f64>>,
    for_all: bool,
}

impl OwnRule {
    /// A rule for affine operators: those with weights, and sums, means and the like.
    pub fn new<R: Rule<f32> + Rule<f64> + 'static>(rule: R) -> Self {
        let rule = Arc::new(rule);
        Self { single: Arc::clone(&rule) as Arc<dyn Rule<f32>>, double: rule, for_all: false }
    }

    /// A rule that has a meaning for every operator, as `pass` and `gradient` do.
    #[must_use]
    pub fn for_all_operators(self) -> Self {
        Self { for_all: true, ..self }
    }

    pub(crate) fn is_for_all(&self) -> bool {
        self.for_all
    }

    /// The rule for numbers of this type, if it is one of the two that rules are asked for.
    pub(crate) fn rule<T: Scalar>(&self) -> Option<Arc<dyn Rule<T>>> {
        let rules: [&dyn Any; 2] = [&self.single, &self.double];
        rules.into_iter().find_map(|rule| rule.downcast_ref::<Arc<dyn Rule<T>>>()).cloned()
    }
}

/// Whether they are the same rule, and not only alike.
impl PartialEq for OwnRule {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.double, &other.double) && self.for_all == other.for_all
    }
}

impl fmt::Debug for OwnRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.double.fmt(f)
    }
}

impl fmt::Display for OwnRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.double.to_string().fmt(f)
    }
}
