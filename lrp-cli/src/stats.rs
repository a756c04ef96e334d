//! `--stats`: where time and memory went, node by node.

use indicatif::BinaryBytes;
use lrp::Error;
use lrp::numbers::{rule, short};
use lrp_run::manifest::{LayerStats, Stats};

use crate::output::say;
use crate::table;

/// Prints a table, and a summary.
///
/// # Errors
/// When standard output cannot be written.
pub fn print(of: &Stats) -> Result<(), Error> {
    let headings = ["index", "name", "operator", "rule", "forward ms", "relevance ms", "share", "kept"];
    let mut listing = table::table(&headings, [0, 4, 5, 6, 7]);
    for stats in &of.layers {
        listing.add_row([
            stats.layer.index.map(|i| i.to_string()).unwrap_or_default(),
            stats.layer.name.clone(),
            stats.layer.operator(),
            rule(&stats.layer.rule),
            short(stats.forward_ms),
            short(stats.relevance_ms),
            format!("{:.1} %", 100.0 * stats.share),
            if stats.kept_bytes > 0 { BinaryBytes(stats.kept_bytes as u64).to_string() } else { String::new() },
        ]);
    }
    let sum = |part: fn(&LayerStats) -> f64| short(of.layers.iter().map(part).sum());
    let kept = BinaryBytes(of.layers.iter().map(|stats| stats.kept_bytes as u64).sum()).to_string();
    let (forward, relevance) = (sum(|stats| stats.forward_ms), sum(|stats| stats.relevance_ms));
    listing.add_row(["", "total", "", "", &forward, &relevance, "", &kept]);
    say!("")?;
    table::print(&listing)?;
    say!("")?;
    let samples = match of.samples {
        1 => "1 sample".to_owned(),
        n => format!("{n} samples"),
    };
    let peak = of.peak_memory.map(|bytes| format!("; peak memory {}", BinaryBytes(bytes as u64)));
    say!("times are per sample, of {samples}; kept is for one batch{}", peak.unwrap_or_default())
}
