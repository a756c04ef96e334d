//! `lrp report`: the report of a folder.

use std::path::Path;

use indicatif::DecimalBytes;
use lrp::Error;
use lrp_run::report::{Limits, Made};

use crate::args::ReportArgs;
use crate::output::{note, print_json, say, shown};
use crate::progress::Progress;

/// Makes a report.
pub fn report(args: &ReportArgs) -> Result<(), Error> {
    let defaults = Limits::default();
    let limits = Limits {
        samples: args.max_samples.unwrap_or(defaults.samples),
        bytes: args.max_size.map_or(defaults.bytes, |megabytes| u64::from(megabytes) * 1_000_000),
    };
    let made = lrp_run::report::report(&args.dir, args.out.as_deref(), &args.inputs, limits, &Progress::default())?;
    if args.listing.json { print_json(&made) } else { print(&made) }
}

/// Prints the path of a report, and its omissions.
pub fn print(made: &Made) -> Result<(), Error> {
    let of = if made.samples < made.of { format!("{} of {}", made.samples, made.of) } else { made.of.to_string() };
    let plural = if made.of == 1 { "" } else { "s" };
    say!("{}: {of} sample{plural}, {}", shown(Path::new(&made.report)), DecimalBytes(made.bytes))?;
    if made.samples < made.of {
        note(&format!(
            "the report shows the first {} samples, so that it stays small enough to open; the others are in the folder. \
             lrp report sets other limits with --max-samples and --max-size",
            made.samples
        ));
    }
    if !made.left_out.is_empty() {
        note(&format!(
            "so that the report stays small, {}; the arrays in the folder have everything",
            made.left_out.join("; ")
        ));
    }
    Ok(())
}
