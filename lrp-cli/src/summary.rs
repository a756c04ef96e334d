//! The table after inputs have been explained.

use std::path::Path;

use lrp::Error;
use lrp::numbers::short;
use lrp_run::manifest::InputRecord;

use crate::output::{say, shown};
use crate::table;

/// Above this many samples the summary is not printed sample by sample.
const SUMMARY: usize = 40;

/// One line for each sample, unless there are too many.
pub fn print(records: &[InputRecord], dir: &Path) -> Result<(), Error> {
    let samples: usize = records.iter().map(|record| record.explained().count()).sum();
    if samples <= SUMMARY {
        let targets = records.iter().flat_map(|record| &record.samples).flat_map(|sample| &sample.targets);
        let probable = targets.into_iter().any(|target| target.probability.is_some());
        let mut headings = vec!["input", "target", "score"];
        headings.extend(probable.then_some("probability"));
        headings.extend(["relevance", "bias", "stabilizer", "rule"]);
        let targets = records.iter().flat_map(|record| &record.samples).flat_map(|sample| &sample.targets);
        let others = targets.into_iter().any(|target| target.ledger.unexplained.is_some());
        headings.extend(others.then_some("inputs that are not explained"));
        let mut table = table::table(&headings, 2..headings.len());
        for record in records {
            for (i, sample) in record.samples.iter().enumerate() {
                let name = record.stem();
                let name = if record.samples.len() > 1 { format!("{name} [{i}]") } else { name };
                for target in &sample.targets {
                    let [relevance, bias, stabilizer, rule] = target.ledger.shares();
                    let unexplained = target.ledger.unexplained;
                    let [relevance, bias, stabilizer, rule] =
                        [relevance - unexplained.unwrap_or_default(), bias, stabilizer, rule].map(short);
                    let mut row = vec![name.clone(), target.explained(), short(target.score)];
                    row.extend(probable.then(|| target.probability.map(short).unwrap_or_default()));
                    row.extend([relevance, bias, stabilizer, rule]);
                    row.extend(others.then(|| unexplained.map(short).unwrap_or_default()));
                    table.add_row(row);
                }
            }
        }
        table::print(&table)?;
    }
    let plural = if samples == 1 { "" } else { "s" };
    say!("{samples} sample{plural} explained into {}", shown(dir))
}
