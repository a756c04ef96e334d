//! The ledger: received and propagated relevance and the accounts between them, layer by layer and in total.
//!
//! For every node, `received = propagated + bias + stabilizer + rule`; for the whole walk, `start = input + bias + stabilizer + rule`. All
//! terms are computed where they arise, none as a difference of others, so that a balance is a test.

pub use lrp_kernels::Accounts;

use crate::error::Error;
use crate::graph::{Model, NodeId};
use crate::scalar::Scalar;

/// The accounts of one node, one number per sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The node.
    pub node: NodeId,
    /// Relevance received at its output.
    pub received: Vec<f64>,
    /// Relevance propagated to its inputs.
    pub propagated: Vec<f64>,
    /// Relevance absorbed by the bias (or another constant).
    pub bias: Vec<f64>,
    /// Relevance absorbed by the stabilizer.
    pub stabilizer: Vec<f64>,
    /// Relevance lost (positive) or created (negative) by the rule.
    pub rule: Vec<f64>,
    /// `Σ |R|` received.
    pub received_abs: Vec<f64>,
    /// `Σ |R|` propagated.
    pub propagated_abs: Vec<f64>,
}

impl Entry {
    /// `received − propagated − bias − stabilizer − rule`: zero but for rounding.
    pub fn imbalance(&self, sample: usize) -> f64 {
        self.received[sample]
            - self.propagated[sample]
            - self.bias[sample]
            - self.stabilizer[sample]
            - self.rule[sample]
    }

    /// Whether every account of a sample is a finite number.
    fn is_finite(&self, sample: usize) -> bool {
        let sums = [&self.received_abs, &self.propagated_abs, &self.bias, &self.stabilizer, &self.rule];
        sums.iter().all(|account| account[sample].is_finite())
    }

    /// The imbalance in proportion to the relevance that was moved.
    pub fn relative_imbalance(&self, sample: usize) -> f64 {
        let moved = [&self.received_abs, &self.propagated_abs, &self.bias, &self.stabilizer, &self.rule];
        ratio(self.imbalance(sample), moved.iter().map(|a| a[sample].abs()).fold(0.0, f64::max))
    }

    /// `Σ|R| propagated / Σ|R| received`: above one if positive and negative relevance is created in pairs.
    pub fn amplification(&self, sample: usize) -> f64 {
        ratio(self.propagated_abs[sample], self.received_abs[sample])
    }
}

/// The ledger of a whole walk.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    /// Relevance that the walk starts with, per sample.
    pub start: Vec<f64>,
    /// Relevance received by the model's inputs, per sample.
    pub input: Vec<f64>,
    /// One entry per node that relevance passed, from the output to the input.
    pub entries: Vec<Entry>,
}

/// Sums over all entries for one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Totals {
    /// Relevance that the walk starts with.
    pub start: f64,
    /// Relevance received by the inputs.
    pub input: f64,
    /// Relevance absorbed by biases and other constants.
    pub bias: f64,
    /// Relevance absorbed by stabilizers.
    pub stabilizer: f64,
    /// Relevance lost (positive) or created (negative) by rules.
    pub rule: f64,
}

impl Totals {
    /// `start − input − bias − stabilizer − rule`: zero but for rounding.
    pub fn imbalance(&self) -> f64 {
        self.start - self.input - self.bias - self.stabilizer - self.rule
    }

    /// The imbalance in proportion to the largest account.
    pub fn relative_imbalance(&self) -> f64 {
        let accounts = [self.start, self.input, self.bias, self.stabilizer, self.rule];
        ratio(self.imbalance(), accounts.iter().fold(0.0, |m, a| a.abs().max(m)))
    }
}

impl Ledger {
    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.start.len()
    }

    /// The totals of one sample.
    pub fn totals(&self, sample: usize) -> Totals {
        let sum = |f: fn(&Entry) -> &Vec<f64>| self.entries.iter().map(|e| f(e)[sample]).sum();
        Totals {
            start: self.start[sample],
            input: self.input[sample],
            bias: sum(|e| &e.bias),
            stabilizer: sum(|e| &e.stabilizer),
            rule: sum(|e| &e.rule),
        }
    }

    /// Checks that relevance stayed finite at every node. The ledger has `Σ|R|` received and propagated at each node: it is not
    /// finite if any element is not, also if a later node hides it (a ReLU makes zero of NaN).
    ///
    /// # Errors
    /// Names the first node, from the output on, that propagates a value that is not finite.
    pub fn check_finite<T: Scalar>(&self, model: &Model<T>) -> Result<(), Error> {
        for entry in &self.entries {
            if let Some(sample) = (0..entry.received.len()).find(|&sample| !entry.is_finite(sample)) {
                return Err(Error::RelevanceNotFinite { node: model.node(entry.node).name.clone(), sample });
            }
        }
        Ok(())
    }

    /// The node with the largest relative imbalance of a sample, and that imbalance.
    pub fn worst_entry(&self, sample: usize) -> Option<(NodeId, f64)> {
        // The bits of NaN are above those of infinity: it is the worst.
        let imbalances = self.entries.iter().map(|entry| (entry.node, entry.relative_imbalance(sample).abs()));
        imbalances.max_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// The largest relative imbalance over entries, samples and totals.
    pub fn worst_imbalance(&self) -> f64 {
        let worst = (0..self.samples()).flat_map(|s| {
            let entries = self.entries.iter().map(move |e| e.relative_imbalance(s));
            entries.chain([self.totals(s).relative_imbalance()])
        });
        // A NaN must not hide behind a comparison.
        worst.fold(0.0, |m: f64, v| if v.is_nan() { f64::INFINITY } else { m.max(v.abs()) })
    }
}

/// `a / b`, with 0 / 0 = 0.
fn ratio(a: f64, b: f64) -> f64 {
    if a == 0.0 { 0.0 } else { a / b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_term_is_noticed() {
        let entry = Entry {
            node: NodeId(0),
            received: vec![10.0],
            propagated: vec![7.0],
            bias: vec![2.0],
            stabilizer: vec![0.5],
            rule: vec![0.25],
            received_abs: vec![10.0],
            propagated_abs: vec![15.0],
        };
        assert_eq!(entry.imbalance(0), 0.25);
        assert_eq!(entry.relative_imbalance(0), 0.25 / 15.0);
        assert_eq!(entry.amplification(0), 1.5);
        let mut ledger = Ledger { start: vec![10.0], input: vec![7.0], entries: vec![entry] };
        assert_eq!(ledger.totals(0).imbalance(), 0.25);
        assert_eq!(ledger.worst_imbalance(), 0.025);
        assert_eq!(ledger.worst_entry(0), Some((NodeId(0), 0.25 / 15.0)));
        ledger.input = vec![f64::NAN];
        assert_eq!(ledger.worst_imbalance(), f64::INFINITY);
        ledger.entries[0].rule = vec![f64::NAN];
        assert!(ledger.worst_entry(0).unwrap().1.is_nan());
    }
}
