//! The z^B rule: for a first layer whose inputs lie between known bounds.

use lrp_core::formula::{BiasMode, Bounds, Contributions, STABILIZER, Stabilizer};
use lrp_core::parameter::{OneOrMany, nonnegative, number, one_or_list, per_channel};
use lrp_core::{Formula, ParameterError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// z^B (Montavon et al. 2017, eq. 20): `R_j = Σ_k (x_j w_jk − l_j w⁺_jk − h_j w⁻_jk) / stab(Σ_j …) · R_k` for inputs in `[l, h]`.
///
/// The bias cancels. In a recipe, bounds that are not given follow from `[input]`; a plan needs both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(description = "z^B: for first layers whose inputs are bounded, such as pixels.", extend("x-source" = "Montavon et al. 2017, eq. 20"))]
pub struct ZBox {
    /// The lowest value of the model's input, one number or one for each channel; scaling between it and the layer is taken into account.
    #[serde(deserialize_with = "per_channel", serialize_with = "one_or_list")]
    #[schemars(with = "Option<OneOrMany<f64>>", extend("x-default" = "from [input]"), example = -1.0)]
    pub low: Option<Vec<f64>>,
    /// The highest value of the model's input, likewise.
    #[serde(deserialize_with = "per_channel", serialize_with = "one_or_list")]
    #[schemars(with = "Option<OneOrMany<f64>>", extend("x-default" = "from [input]"), example = json!([1.0, 1.0, 1.0]))]
    pub high: Option<Vec<f64>>,
    /// Added to denominators, with their sign.
    #[serde(deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    pub stabilizer: f64,
}

impl ZBox {
    /// The rule with these bounds: one number each, or one per channel (axis 1 of `[N, C, …]`).
    pub fn between(low: impl Into<Vec<f64>>, high: impl Into<Vec<f64>>) -> Self {
        Self { low: Some(low.into()), high: Some(high.into()), ..Self::default() }
    }

    fn bounds(&self) -> Bounds {
        let [low, high] = [&self.low, &self.high].map(|bound| bound.clone().unwrap_or_default());
        Bounds::Channels { low, high }
    }

    /// Fails when a bound is missing, not finite, or a lower one is above its upper one; or when the stabilizer is negative.
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        nonnegative("stabilizer", self.stabilizer)?;
        let [low, high] = [("low", &self.low), ("high", &self.high)].map(|(parameter, bounds)| {
            let bounds = bounds.as_deref().filter(|b| !b.is_empty() && b.iter().all(|bound| bound.is_finite()));
            let message = || format!("{parameter} must be a finite number, or a list with one per channel");
            bounds.map(<[f64]>::len).ok_or_else(|| ParameterError::new(parameter, message()))
        });
        match (low?, high?) {
            (low, high) if low > 1 && high > 1 && low != high => {
                Err(ParameterError::new("high", format!("low has {low} numbers, high {high}")))
            }
            _ => match self.bounds().out_of_order() {
                Some((l, h)) => Err(ParameterError::new("low", format!("low must not be above high, got {l} and {h}"))),
                None => Ok(()),
            },
        }
    }

    /// The rule as a formula.
    pub fn formula(&self) -> Formula {
        let stabilizer = Stabilizer::Absolute(self.stabilizer);
        Formula { contributions: Contributions::Box(self.bounds()), stabilizer, bias: BiasMode::Ignore }
    }
}

rule!("z-box", ZBox { low: None, high: None, stabilizer: STABILIZER });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked() {
        assert!(ZBox::between([0.0], [1.0, 2.0]).check().is_ok());
        assert!(ZBox::between([0.0, 1.5], [1.0]).check().is_err());
        assert!(ZBox::between([], [1.0]).check().is_err());
        assert!(ZBox::between([0.0, 0.0], [1.0, 1.0, 1.0]).check().is_err());
        assert!(ZBox::between([0.0], [f64::NAN]).check().is_err());
        assert_eq!(ZBox { low: Some(vec![0.0]), ..ZBox::default() }.check().unwrap_err().parameter, "high");
    }

    #[test]
    fn it_prints_as_a_recipe_writes_it() {
        let rule = ZBox::between([-1.0], [1.0, 2.0]);
        assert_eq!(rule.to_string(), "z-box { low = -1.0, high = [1.0, 2.0], stabilizer = 1e-6 }");
        assert_eq!(ZBox::default().to_string(), "z-box { stabilizer = 1e-6 }");
    }
}
