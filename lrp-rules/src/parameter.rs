//! Checks of rule parameters, made once when a rule is constructed.

use thiserror::Error;

/// A parameter that no rule can work with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ParameterError {
    /// The parameter's name, as in recipes.
    pub parameter: &'static str,
    /// What is wrong with it, as a sentence.
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

/// Writes `name { a = 1, b = 2 }` the way a recipe would, or the bare name without parameters.
pub(crate) fn write_rule(
    f: &mut std::fmt::Formatter<'_>,
    name: &str,
    parameters: &[(&str, String)],
) -> std::fmt::Result {
    if parameters.is_empty() {
        return f.pad(name);
    }
    let list: Vec<String> = parameters.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    f.pad(&format!("{name} {{ {} }}", list.join(", ")))
}

/// A number as TOML writes it: always with a point or an exponent.
pub(crate) fn number(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e6) { format!("{value:e}") } else { format!("{value:?}") }
}
