//! The ledger, summed over samples: relevance received and propagated, and the losses of every layer.

use lrp_core::{Explanation, Plan, Scalar};
use serde::Serialize;

use crate::prepared::Prepared;
use crate::shares::{Account, Place};

/// The accounts of one layer, summed over samples.
#[derive(Debug, Default, Serialize)]
pub struct LedgerRow {
    /// The node.
    pub name: String,
    /// Its rule, or its fixed behaviour.
    pub rule: String,
    /// Relevance received.
    pub received: f64,
    /// Relevance propagated to the inputs.
    #[serde(rename = "handed_on")]
    pub propagated: f64,
    /// Relevance absorbed by the bias.
    pub bias: f64,
    /// Relevance absorbed by the stabilizer.
    pub stabilizer: f64,
    /// Relevance lost (positive) or created (negative) by the rule.
    pub rule_share: f64,
    /// The largest imbalance of a sample, in proportion to the relevance moved.
    pub imbalance: f64,
    /// The largest `Σ|R| propagated / Σ|R| received` of a sample.
    pub amplification: f64,
    /// The relative L2 error of the relevance received in single precision, against double precision.
    pub f32_error: Option<f64>,
    /// Whether the rule divides relevance by denominators, and loses only the relevance of zero denominators.
    #[serde(skip)]
    pub divides: bool,
    /// Whether the rule keeps positive and negative contributions apart (LRP-αβ with β > 0).
    #[serde(skip)]
    pub two_sided: bool,
}

/// Relevance that a layer lost to one account, summed over samples.
#[derive(Debug, Serialize)]
pub struct Loss {
    /// The node.
    pub name: String,
    /// `bias`, `stabilizer`, `dead denominators` or `rule`.
    pub to: &'static str,
    /// The amount; negative if created.
    pub amount: f64,
    /// In proportion to the start.
    pub share: f64,
    /// An explanation, where the account alone is not enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

impl Loss {
    /// For warnings.
    pub fn place(&self) -> Place {
        let account = match self.to {
            "bias" => Account::Bias,
            "stabilizer" => Account::Stabilizer,
            _ => Account::Rule,
        };
        Place { account, layer: self.name.clone(), share: self.share }
    }
}

/// The rows of every node that did something, and that of the whole walk.
pub fn rows<'a, T: Scalar>(
    prepared: &Prepared<T>,
    explanations: impl Iterator<Item = &'a Explanation<T>> + Clone,
) -> (Vec<LedgerRow>, LedgerRow) {
    let plan: &Plan<T> = &prepared.plan;
    let mut rows: Vec<LedgerRow> = Vec::new();
    let mut totals = LedgerRow { name: "total".into(), ..LedgerRow::default() };
    for explanation in explanations {
        for (i, entry) in explanation.ledger.entries.iter().enumerate() {
            if rows.len() <= i {
                let name = plan.model().node(entry.node).name.clone();
                let rule = prepared.resolved.choices.get(&entry.node).map(|choice| &choice.rule);
                let divides = rule.is_some_and(|rule| rule.claims().conserving);
                let two_sided = rule.is_some_and(|rule| rule.claims().beta > 0.0);
                rows.push(LedgerRow {
                    name,
                    rule: plan.behaviour(entry.node),
                    divides,
                    two_sided,
                    ..LedgerRow::default()
                });
            }
            let row = &mut rows[i];
            row.received += entry.received.iter().sum::<f64>();
            row.propagated += entry.propagated.iter().sum::<f64>();
            row.bias += entry.bias.iter().sum::<f64>();
            row.stabilizer += entry.stabilizer.iter().sum::<f64>();
            row.rule_share += entry.rule.iter().sum::<f64>();
            for sample in 0..entry.received.len() {
                row.imbalance = worse(row.imbalance, entry.relative_imbalance(sample));
                row.amplification = worse(row.amplification, entry.amplification(sample));
            }
        }
        for sample in 0..explanation.ledger.samples() {
            let t = explanation.ledger.totals(sample);
            totals.received += t.start;
            totals.propagated += t.input;
            totals.bias += t.bias;
            totals.stabilizer += t.stabilizer;
            totals.rule_share += t.rule;
            totals.imbalance = worse(totals.imbalance, t.relative_imbalance());
        }
    }
    (rows, totals)
}

/// The losses of relevance, by layer and account, the largest first. Losses below a millionth of the start are omitted.
pub fn losses(ledger: &[LedgerRow], totals: &LedgerRow) -> Vec<Loss> {
    let accounts = ledger.iter().flat_map(|row| {
        let of_rule = if row.divides { "dead denominators" } else { "rule" };
        [("bias", row.bias), ("stabilizer", row.stabilizer), (of_rule, row.rule_share)].map(|(to, amount)| Loss {
            name: row.name.clone(),
            to,
            amount,
            share: amount / totals.received,
            why: (row.two_sided && to != "bias").then_some(ONE_SIDED),
        })
    });
    let mut losses: Vec<Loss> = accounts.filter(|loss| loss.share.abs() > 1e-6).collect();
    losses.sort_by(|a, b| b.amount.abs().total_cmp(&a.amount.abs()));
    losses
}

/// Why LRP-αβ loses and creates relevance: its denominators, one for each sign, can be zero where the sum of both is not.
const ONE_SIDED: &str = "alpha-beta gives alpha times the relevance to positive contributions and takes beta times of it from negative \
                         ones; where an output has contributions of one sign only, nothing receives the other part; epsilon, gamma or \
                         beta = 0 at this layer avoids it";

/// The larger absolute value; NaN is the worst.
pub fn worse(a: f64, b: f64) -> f64 {
    if b.is_nan() { f64::INFINITY } else { a.max(b.abs()) }
}
