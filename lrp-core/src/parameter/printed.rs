//! Rules as recipes write them, and checks that several rules share.

use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

use crate::error::ParameterError;
use crate::text;

/// A rule that recipes have a name for. `Display` prints both: `gamma { gamma = 0.25, stabilizer = 1e-6 }`.
pub trait Printed: Display {
    /// The name.
    fn name(&self) -> &'static str;

    /// The parameters with their values as TOML, in order. Defaults that are no numbers are omitted.
    fn parameters(&self) -> Vec<(String, String)>;
}

/// The fields of a rule, for [`Printed::parameters`].
pub fn fields<R: Serialize + Default>(rule: &R) -> Vec<(String, String)> {
    let default = serde_json::to_value(R::default()).unwrap_or_default();
    let Ok(Value::Object(fields)) = serde_json::to_value(rule) else { return Vec::new() };
    let told = |(name, value): &(String, Value)| value.is_number() || default.get(name) != Some(value);
    fields.into_iter().filter(told).map(|(name, value)| (name, text::toml(&value))).collect()
}

/// `name { a = 1, b = 2 }`, or the bare name without parameters.
pub fn print(name: &str, parameters: &[(String, String)]) -> String {
    let list: Vec<String> = parameters.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    if list.is_empty() { name.to_owned() } else { format!("{name} {{ {} }}", list.join(", ")) }
}

/// Checks that a number is finite and not negative.
///
/// # Errors
/// When it is not; the error names the parameter.
pub fn nonnegative(parameter: &'static str, value: f64) -> Result<(), ParameterError> {
    if value.is_finite() && value >= 0.0 {
        Ok(())
    } else {
        Err(ParameterError::new(parameter, format!("{parameter} must be a finite number ≥ 0, got {value}")))
    }
}
