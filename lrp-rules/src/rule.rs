//! The parts that all rules have in common, made from their name, their defaults, `check` and `formula`.

use schemars::JsonSchema;
use serde::Deserialize;

/// A rule that is its formula: its name in recipes and its defaults.
macro_rules! rule {
    ($name:literal, $rule:ident { $($defaults:tt)* } $(, $parameters:path)?) => {
        impl Default for $rule {
            fn default() -> Self {
                Self { $($defaults)* }
            }
        }

        impl<T: lrp_core::Scalar> lrp_core::Rule<T> for $rule {
            fn behaviour(&self) -> lrp_core::Behaviour {
                lrp_core::Behaviour::Formula(self.formula())
            }

            fn check(&self) -> Result<(), lrp_core::ParameterError> {
                self.check()
            }
        }

        printed!($name, $rule $(, $parameters)?);
    };
}

/// A rule as a recipe writes it: its name, and its fields unless another function gives the parameters.
macro_rules! printed {
    ($name:literal, $rule:ty) => {
        printed!($name, $rule, lrp_core::parameter::fields);
    };
    ($name:literal, $rule:ty, $parameters:path $(, $type:ident)?) => {
        impl$(<$type: serde::Serialize>)? lrp_core::parameter::Printed for $rule {
            fn name(&self) -> &'static str {
                $name
            }

            fn parameters(&self) -> Vec<(String, String)> {
                $parameters(self)
            }
        }

        impl$(<$type: serde::Serialize>)? std::fmt::Display for $rule {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&lrp_core::parameter::print($name, &$parameters(self)))
            }
        }
    };
}

/// A rule without parameters: its name in recipes.
macro_rules! bare {
    ($name:literal, $rule:ident) => {
        impl From<crate::rule::NoParameters> for $rule {
            fn from(_: crate::rule::NoParameters) -> Self {
                Self
            }
        }

        impl<T: lrp_core::Scalar> lrp_core::Rule<T> for $rule {
            fn behaviour(&self) -> lrp_core::Behaviour {
                lrp_core::Behaviour::$rule
            }
        }

        printed!($name, $rule);
    };
}

/// The keys of a rule without parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParameters {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lrp_core::ops::Dense;
    use lrp_core::{Builder, Error, Plan, Rule, Tensor};

    use crate::{Gamma, ZBox};

    #[test]
    fn no_plan_has_parameters_that_are_not_allowed() {
        let mut net = Builder::<f32>::new();
        let x = net.input("x", &[1]);
        let y = net.add("fc", Dense::new(Tensor::ones(vec![1, 1]), None, &[1]).unwrap(), &[x]).unwrap();
        let model = Arc::new(net.finish(y).unwrap());
        let refused =
            |rule: Arc<dyn Rule<f32>>| match Plan::new(Arc::clone(&model), &[(y, rule)].into_iter().collect()).err() {
                Some(Error::Parameter { node, error, .. }) => format!("{node}: {}", error.parameter),
                other => format!("{other:?}"),
            };
        assert_eq!(refused(Arc::new(Gamma { gamma: f64::NAN, ..Gamma::default() })), "fc: gamma");
        assert_eq!(refused(Arc::new(ZBox::default())), "fc: low");
        assert_eq!(refused(Arc::new(Gamma::default())), "None");
    }
}
