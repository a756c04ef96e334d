//! What is printed when inputs have been explained.

use std::path::Path;

use lrp_core::Scalar;

use crate::failure::Failure;
use crate::figure::short;
use crate::input;
use crate::manifest::InputRecord;
use crate::output::say;
use crate::session::Loaded;
use crate::table;

/// Above this many samples the summary is not printed sample by sample.
const SUMMARY: usize = 40;

/// One line for each sample, unless there are too many.
pub fn print<T: Scalar>(records: &[InputRecord], loaded: &Loaded<T>, dir: &Path) -> Result<(), Failure> {
    let samples: usize = records.iter().map(|r| r.samples.len()).sum();
    if samples <= SUMMARY {
        let headings = ["input", "target", "score", "relevance", "bias", "stabilizer", "rule"];
        let mut table = table::table(&headings, &headings[2..]);
        for record in records {
            for (i, sample) in record.samples.iter().enumerate() {
                let name = input::stem(Path::new(&record.file.path));
                let name = if record.samples.len() > 1 { format!("{name} [{i}]") } else { name };
                for target in &sample.targets {
                    let [relevance, bias, stabilizer, rule] = target.ledger.shares().map(short);
                    table.add_row([
                        name.clone(),
                        loaded.explained(target.class, target.against),
                        short(target.score),
                        relevance,
                        bias,
                        stabilizer,
                        rule,
                    ]);
                }
            }
        }
        table::print(&table)?;
    }
    let plural = if samples == 1 { "" } else { "s" };
    say!("{samples} sample{plural} explained into {}", input::shown(dir))
}
