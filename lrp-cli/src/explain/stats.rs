//! What `--stats` shows: where time and memory went, node by node.

use indicatif::BinaryBytes;
use lrp_config::Resolved;
use lrp_core::profile::Profile;
use lrp_core::{Model, Scalar};
use serde::Serialize;

use crate::failure::Failure;
use crate::figure::short;
use crate::manifest::LayerRecord;
use crate::output::say;
use crate::table;

/// Time and memory of a run.
#[derive(Debug, Serialize)]
pub struct Stats {
    /// The samples that were explained.
    pub samples: usize,
    /// The operators, in topological order.
    pub layers: Vec<LayerStats>,
    /// The most memory that the process has had, in bytes, where the system says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<usize>,
}

/// Time and memory of an operator.
#[derive(Debug, Serialize)]
pub struct LayerStats {
    /// Which one.
    #[serde(flatten)]
    pub layer: LayerRecord,
    /// Milliseconds of the forward pass, per sample. A function that clips is computed with the operator before it.
    pub forward_ms: f64,
    /// Milliseconds of the walk, per sample; of all targets together.
    pub relevance_ms: f64,
    /// Both, as a part of what all operators took.
    pub share: f64,
    /// Bytes of its output that the walk reads, for one batch.
    pub kept_bytes: usize,
}

impl Stats {
    /// From what was measured.
    pub fn new<T: Scalar>(model: &Model<T>, resolved: &Resolved<T>, profile: &Profile) -> Self {
        let operators = model.nodes().filter(|(_, node)| node.op().is_some()).map(|(id, _)| id.index());
        let nodes: Vec<_> = operators.map(|i| profile.nodes.get(i).copied().unwrap_or_default()).collect();
        let total: f64 = nodes.iter().map(|node| node.forward + node.walk).sum();
        let per_sample = |seconds: f64| 1e3 * seconds / profile.samples.max(1) as f64;
        let layers = LayerRecord::list(model, resolved).into_iter().zip(nodes);
        let layers = layers.map(|(layer, node)| LayerStats {
            layer,
            forward_ms: per_sample(node.forward),
            relevance_ms: per_sample(node.walk),
            share: if total > 0.0 { (node.forward + node.walk) / total } else { 0.0 },
            kept_bytes: node.kept,
        });
        Self { samples: profile.samples, layers: layers.collect(), peak_memory: lrp_core::memory::peak() }
    }

    /// Prints a table, and what is to be said of the whole.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print(&self) -> Result<(), Failure> {
        let headings = ["index", "name", "operator", "rule", "forward ms", "relevance ms", "share", "kept"];
        let right = ["index", "forward ms", "relevance ms", "share", "kept"];
        let mut listing = table::table(&headings, &right);
        for stats in &self.layers {
            listing.add_row([
                stats.layer.index.map(|i| i.to_string()).unwrap_or_default(),
                stats.layer.name.clone(),
                stats.layer.operator(),
                table::rule(&stats.layer.rule),
                short(stats.forward_ms),
                short(stats.relevance_ms),
                format!("{:.1} %", 100.0 * stats.share),
                if stats.kept_bytes > 0 { BinaryBytes(stats.kept_bytes as u64).to_string() } else { String::new() },
            ]);
        }
        let sum = |part: fn(&LayerStats) -> f64| short(self.layers.iter().map(part).sum());
        let kept = BinaryBytes(self.layers.iter().map(|stats| stats.kept_bytes as u64).sum()).to_string();
        let (forward, relevance) = (sum(|stats| stats.forward_ms), sum(|stats| stats.relevance_ms));
        listing.add_row(["", "total", "", "", &forward, &relevance, "", &kept]);
        say!("")?;
        table::print(&listing)?;
        say!("")?;
        let samples = match self.samples {
            1 => "1 sample".to_owned(),
            n => format!("{n} samples"),
        };
        let peak = self.peak_memory.map(|bytes| format!("; peak memory {}", BinaryBytes(bytes as u64)));
        say!("times are per sample, of {samples}; kept is for one batch{}", peak.unwrap_or_default())
    }
}
