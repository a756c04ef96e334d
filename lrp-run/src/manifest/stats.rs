//! The table of `--stats`: time and memory, node by node.

use lrp_config::Resolved;
use lrp_core::profile::Profile;
use lrp_core::{Model, Scalar};
use serde::Serialize;

use super::layers::LayerRecord;

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
    /// The node.
    #[serde(flatten)]
    pub layer: LayerRecord,
    /// Milliseconds of the forward pass, per sample. A function that clips is computed with the operator before it.
    pub forward_ms: f64,
    /// Milliseconds of the walk, per sample; of all targets together.
    pub relevance_ms: f64,
    /// Both, as fractions of those of all operators.
    pub share: f64,
    /// Bytes of its output that the walk reads, for one batch.
    pub kept_bytes: usize,
}

impl Stats {
    /// From measurements.
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
}
