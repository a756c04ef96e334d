//! Checks of rule parameters, made once when a rule is constructed.

use lrp_core::formula::BiasMode;
pub(crate) use lrp_core::text::number;
use thiserror::Error;

/// An invalid parameter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ParameterError {
    /// The parameter's name, as in recipes.
    pub parameter: &'static str,
    /// The error, as a sentence.
    pub message: String,
}

impl ParameterError {
    pub(crate) fn new(parameter: &'static str, message: String) -> Self {
        Self { parameter, message }
    }
}

/// A finite number that is not negative.
pub(crate) fn nonnegative(parameter: &'static str, value: f64) -> Result<f64, ParameterError> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(ParameterError::new(parameter, format!("{parameter} must be a finite number ≥ 0, got {value}")))
    }
}

/// The bias mode, as a parameter to print, unless it is `default`.
pub(crate) fn bias_parameter(bias: BiasMode, default: BiasMode) -> Option<(&'static str, String)> {
    (bias != default).then(|| ("bias", format!("{:?}", bias.name())))
}

/// Writes `name { a = 1, b = 2 }` the way a recipe would, or the bare name without parameters.
pub(crate) fn write_rule(
    f: &mut std::fmt::Formatter<'_>,
    name: &str,
    parameters: impl IntoIterator<Item = (&'static str, String)>,
) -> std::fmt::Result {
    let list: Vec<String> = parameters.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
    if list.is_empty() { f.pad(name) } else { f.pad(&format!("{name} {{ {} }}", list.join(", "))) }
}
