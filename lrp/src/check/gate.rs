//! `--fail-above`: limits that make a check a gate in somebody's CI.

use std::str::FromStr;

use lrp_core::Explanation;
use lrp_core::Scalar;
use serde::Serialize;

use super::ledger::{LedgerRow, worse};

/// The quantities that can be limited, with their meaning.
const QUANTITIES: [(&str, &str); 7] = [
    ("absorbed", "share of the start absorbed by biases and stabilizers"),
    ("bias", "share of the start absorbed by biases"),
    ("stabilizer", "share of the start absorbed by stabilizers"),
    ("rule", "share of the start lost or created by rules"),
    ("amplification", "largest growth of Σ|R| at a layer"),
    ("imbalance", "largest imbalance of the ledger"),
    ("f32-error", "relative L2 error of single precision at the input"),
];

/// A limit, such as `absorbed=0.2`.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    quantity: &'static str,
    value: f64,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let choices = || QUANTITIES.map(|(name, meaning)| format!("  {name}: {meaning}")).join("\n");
        let (name, value) =
            text.split_once('=').ok_or_else(|| format!("expected QUANTITY=LIMIT, of\n{}", choices()))?;
        let known = QUANTITIES.iter().find(|(known, _)| *known == name.trim());
        let (quantity, _) = known.ok_or_else(|| format!("there is no quantity '{name}'; there are\n{}", choices()))?;
        match value.trim().parse::<f64>() {
            Ok(value) if value >= 0.0 => Ok(Self { quantity, value }),
            _ => Err(format!("'{value}' is no limit: give a number that is not negative")),
        }
    }
}

/// The result of a limit.
#[derive(Debug, Serialize)]
pub struct Gate {
    /// The limited quantity.
    pub quantity: &'static str,
    /// In words.
    pub meaning: &'static str,
    /// The limit.
    pub limit: f64,
    /// The value.
    pub value: f64,
    /// Whether it is within the limit.
    pub holds: bool,
}

/// Compares the limits with the values found. Shares are those of the worst sample.
pub fn gates<'a, T: Scalar>(
    limits: &[Limit],
    ledger: &[LedgerRow],
    explanations: impl Iterator<Item = &'a Explanation<T>> + Clone,
) -> Vec<Gate> {
    let worst_share = |amount: fn(&lrp_core::ledger::Totals) -> f64| {
        explanations
            .clone()
            .flat_map(|e| (0..e.ledger.samples()).map(|sample| e.ledger.totals(sample)))
            .map(|totals| if amount(&totals) == 0.0 { 0.0 } else { amount(&totals) / totals.start })
            .fold(0.0, worse)
    };
    let worst_of = |f: fn(&LedgerRow) -> f64| ledger.iter().map(f).fold(0.0, worse);
    let value = |quantity: &str| match quantity {
        "absorbed" => worst_share(|t| t.bias + t.stabilizer),
        "bias" => worst_share(|t| t.bias),
        "stabilizer" => worst_share(|t| t.stabilizer),
        "rule" => worst_share(|t| t.rule),
        "amplification" => worst_of(|b| b.amplification),
        "imbalance" => worst_of(|b| b.imbalance),
        _ => ledger.last().and_then(|b| b.f32_error).unwrap_or(f64::NAN),
    };
    let gate = |limit: &Limit| {
        let (quantity, meaning) = QUANTITIES.into_iter().find(|(q, _)| *q == limit.quantity).unwrap_or_default();
        let value = value(quantity);
        // A value that is not a number is above every limit.
        Gate { quantity, meaning, limit: limit.value, value, holds: value <= limit.value }
    };
    limits.iter().map(gate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        assert_eq!("absorbed=0.2".parse(), Ok(Limit { quantity: "absorbed", value: 0.2 }));
        for (text, reason) in [("absorbed", "QUANTITY=LIMIT"), ("x=1", "no quantity 'x'"), ("bias=-1", "not negative")]
        {
            assert!(text.parse::<Limit>().unwrap_err().contains(reason), "{text}");
        }
    }
}
