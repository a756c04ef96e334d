//! What is printed when inputs have been explained.

use std::path::Path;

use lrp_core::Scalar;
use lrp_core::text::shown;

use crate::failure::Failure;
use crate::figure::short;
use crate::input;
use crate::manifest::InputRecord;
use crate::output::{report, say};
use crate::session::Loaded;
use crate::table;

/// Above this many samples the summary is not printed sample by sample.
const SUMMARY: usize = 40;

/// One line for each sample, unless there are too many.
pub fn print<T: Scalar>(records: &[InputRecord], loaded: &Loaded<T>, dir: &Path) -> Result<(), Failure> {
    let samples: usize = records.iter().map(|record| record.explained().count()).sum();
    if samples <= SUMMARY {
        let targets = records.iter().flat_map(|record| &record.samples).flat_map(|sample| &sample.targets);
        let probable = targets.into_iter().any(|target| target.probability.is_some());
        let mut headings = vec!["input", "target", "score"];
        headings.extend(probable.then_some("probability"));
        headings.extend(["relevance", "bias", "stabilizer", "rule"]);
        let mut table = table::table(&headings, &headings[2..]);
        for record in records {
            for (i, sample) in record.samples.iter().enumerate() {
                let name = input::stem(Path::new(&record.file.path));
                let name = if record.samples.len() > 1 { format!("{name} [{i}]") } else { name };
                for target in &sample.targets {
                    let [relevance, bias, stabilizer, rule] = target.ledger.shares().map(short);
                    let mut row =
                        vec![name.clone(), loaded.explained(target.class, target.against), short(target.score)];
                    row.extend(probable.then(|| target.probability.map(short).unwrap_or_default()));
                    row.extend([relevance, bias, stabilizer, rule]);
                    table.add_row(row);
                }
            }
        }
        table::print(&table)?;
    }
    let plural = if samples == 1 { "" } else { "s" };
    say!("{samples} sample{plural} explained into {}", input::shown(dir))
}

/// The number of nodes that a warning names.
const NODES: usize = 3;

/// Says at which nodes the books do not balance: relevance got lost there in rounding, and what is left of it is no explanation.
pub fn warn_of_imbalance(records: &[InputRecord]) {
    let mut nodes: Vec<(&str, usize, f64)> = Vec::new();
    let targets = records.iter().flat_map(|record| &record.samples).flat_map(|sample| &sample.targets);
    for unbalanced in targets.filter_map(|target| target.unbalanced.as_ref()) {
        match nodes.iter_mut().find(|(name, ..)| *name == unbalanced.node) {
            Some((_, count, worst)) => (*count, *worst) = (*count + 1, worst.max(unbalanced.imbalance)),
            None => nodes.push((&unbalanced.node, 1, unbalanced.imbalance)),
        }
    }
    nodes.sort_by(|a, b| b.2.total_cmp(&a.2));
    for (name, count, worst) in nodes.iter().take(NODES) {
        report(format_args!(
            "warning: the books of node '{}' do not balance in {count} of the explanations (at worst, {:.1} % of the relevance moved \
             there): numbers became too small or too large; use --precision f64, and see lrp check\n",
            shown(name),
            100.0 * worst
        ));
    }
}
