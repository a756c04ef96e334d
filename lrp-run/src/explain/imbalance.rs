//! Nodes whose ledger does not balance.

use lrp::Diagnosis;
use lrp_core::text::shown;

use crate::manifest::InputRecord;

/// The number of nodes that a warning names.
const NODES: usize = 3;

/// Warns of nodes whose ledger does not balance: rounding lost relevance there, and the rest is no explanation.
pub fn warnings(records: &[InputRecord]) -> Vec<Diagnosis> {
    let mut nodes: Vec<(&str, usize, f64)> = Vec::new();
    let targets = records.iter().flat_map(|record| &record.samples).flat_map(|sample| &sample.targets);
    for unbalanced in targets.filter_map(|target| target.unbalanced.as_ref()) {
        match nodes.iter_mut().find(|(name, ..)| *name == unbalanced.node) {
            Some((_, count, worst)) => (*count, *worst) = (*count + 1, worst.max(unbalanced.imbalance)),
            None => nodes.push((&unbalanced.node, 1, unbalanced.imbalance)),
        }
    }
    nodes.sort_by(|a, b| b.2.total_cmp(&a.2));
    let warning = |(name, count, worst): &(&str, usize, f64)| {
        Diagnosis::remark(format!(
            "the ledger of node '{}' does not balance in {count} of the explanations (at worst, {:.1} % of the relevance moved \
             there): numbers became too small or too large; use --precision f64, and see lrp check",
            shown(name),
            100.0 * worst
        ))
    };
    nodes.iter().take(NODES).map(warning).collect()
}
