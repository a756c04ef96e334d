//! Records of the explanations: inputs, samples, targets and their ledgers.

use lrp::Unbalanced;
use lrp_core::ledger::Totals;
use serde::{Deserialize, Serialize};

use super::files::FileRecord;
use crate::files;

/// One input file and its results.
#[derive(Debug, Serialize, Deserialize)]
pub struct InputRecord {
    /// The file.
    #[serde(flatten)]
    pub file: FileRecord,
    /// The files of the model's other inputs, in the order of the model's inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<FileRecord>,
    /// The start of the names of its results, where that is not the file's name without its extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stem: Option<String>,
    /// The relevance file, within the output folder, if one input of the model is explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relevance: Option<String>,
    /// The explained inputs of the model, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explained: Vec<ExplainedRecord>,
    /// The ledger file, within the output folder: float64, `[N, rows, 5]`, with a leading axis for targets where the relevance has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
    /// The files of relevance inside the network, within the output folder, in the order of the manifest's `at`: each has the axes of the
    /// relevance file, with the shape of the node's samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// Exports of it, within the output folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<String>,
    /// The changes of an image before its pixels were scaled: rotated as its EXIF data say, made grey, and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversions: Vec<String>,
    /// One for each sample.
    pub samples: Vec<SampleRecord>,
    /// The files that were made of it, within the output folder, with their SHA-256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
}

/// One of several explained inputs of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedRecord {
    /// Its name.
    pub name: String,
    /// Its relevance file, within the output folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relevance: Option<String>,
}

/// The heatmap of one of several explained inputs of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeatmapRecord {
    /// The name of the input.
    pub input: String,
    /// The heatmap's file, within the output folder.
    pub file: String,
}

/// The heatmap of a map inside the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapRecord {
    /// The name of the node.
    pub node: String,
    /// The heatmap's file, within the output folder.
    pub file: String,
}

impl InputRecord {
    /// The start of the names of its results.
    pub fn stem(&self) -> String {
        self.stem.clone().unwrap_or_else(|| files::stem(self.file.path.as_ref()))
    }

    /// The files that it was read from.
    pub fn sources(&self) -> impl Iterator<Item = &FileRecord> {
        std::iter::once(&self.file).chain(&self.others)
    }

    /// The relevance files, within the output folder.
    pub fn relevance_files(&self) -> impl Iterator<Item = &String> {
        self.relevance.iter().chain(self.explained.iter().filter_map(|explained| explained.relevance.as_ref()))
    }

    /// The number of targets of each sample that could be explained.
    pub fn targets(&self) -> usize {
        self.samples.iter().map(|sample| sample.targets.len()).max().unwrap_or(0)
    }

    /// The samples that could be explained, with their numbers.
    pub fn explained(&self) -> impl Iterator<Item = (usize, &SampleRecord)> {
        self.samples.iter().enumerate().filter(|(_, sample)| sample.failed.is_none())
    }
}

/// One sample.
#[derive(Debug, Serialize, Deserialize)]
pub struct SampleRecord {
    /// The largest outputs, the largest first.
    #[serde(default)]
    pub top: Vec<ScoreRecord>,
    /// The explained outputs.
    pub targets: Vec<TargetRecord>,
    /// Why it could not be explained, if it could not: its rows in arrays are NaN then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// An output.
#[derive(Debug, Serialize, Deserialize)]
pub struct ScoreRecord {
    /// The class.
    pub class: usize,
    /// Its label, if labels are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The model's output for it: the logit, where the model ends in a softmax, a sigmoid or a relative.
    pub score: f64,
    /// The model's own output: the probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// One explained output of one sample.
#[derive(Debug, Serialize, Deserialize)]
pub struct TargetRecord {
    /// The class, where the target is one: the number of an output, or of a class at a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<usize>,
    /// Its label, if labels are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Where in an output that is no class vector, in words: `t=3`, `mask.npy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The explained output in words: `t=3, class 7`.
    #[serde(default)]
    pub explained: String,
    /// For a contrast: the class it is contrasted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<usize>,
    /// The label of that class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_label: Option<String>,
    /// The model's output for the class, which is explained: the logit, where the model ends in a softmax, a sigmoid or a relative.
    /// For a contrast, by how much it is above that for the other.
    pub score: f64,
    /// The model's own output: the probability; for a contrast, by how much it is above the other's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Where the walk starts inside the network: the part of the score that is left out there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filtered: Option<f64>,
    /// Where relevance went.
    pub ledger: LedgerRecord,
    /// The node whose ledger balances worst, where that is more than rounding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unbalanced: Option<Unbalanced>,
    /// The heatmap's file, within the output folder, if one input of the model is explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heatmap: Option<String>,
    /// The heatmaps of the explained inputs of the model, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heatmaps: Vec<HeatmapRecord>,
    /// The heatmaps of maps inside the network, channels summed, over the input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<MapRecord>,
}

impl TargetRecord {
    /// The files of all its heatmaps.
    pub fn heatmap_files(&self) -> impl Iterator<Item = &String> {
        let inputs = self.heatmap.iter().chain(self.heatmaps.iter().map(|heatmap| &heatmap.file));
        inputs.chain(self.maps.iter().map(|map| &map.file))
    }

    /// The explained output, in words: a class, the difference of two, or a place in the output.
    pub fn explained(&self) -> String {
        let against = (self.against, self.against_label.as_deref());
        lrp::in_words(self.place.as_deref(), (self.class, self.label.as_deref()), against)
    }
}

/// The totals of the ledger: `start = input + bias + stabilizer + rule`.
#[derive(Debug, Serialize, Deserialize)]
pub struct LedgerRecord {
    /// Relevance that the walk starts with.
    pub start: f64,
    /// Relevance received by the input.
    pub input: f64,
    /// Relevance absorbed by biases.
    pub bias: f64,
    /// Relevance absorbed by stabilizers.
    pub stabilizer: f64,
    /// Relevance lost (positive) or created (negative) by rules.
    pub rule: f64,
    /// The part of `input` that is relevance of inputs that are not explained, if there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unexplained: Option<f64>,
}

impl LedgerRecord {
    /// Relevance received by the input, and the accounts bias, stabilizer and rule.
    pub fn shares(&self) -> [f64; 4] {
        [self.input, self.bias, self.stabilizer, self.rule]
    }
}

impl From<Totals> for LedgerRecord {
    fn from(t: Totals) -> Self {
        let Totals { start, input, bias, stabilizer, rule } = t;
        Self { start, input, bias, stabilizer, rule, unexplained: None }
    }
}

/// An input that could not be explained, or one of its samples.
#[derive(Debug, Serialize, Deserialize)]
pub struct FailedRecord {
    /// The file.
    pub path: String,
    /// The number of the sample, where the others were explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<usize>,
    /// Why not.
    pub reason: String,
}

/// Seconds spent, in this run. Reading, explaining and writing overlap.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Timings {
    /// Reading the model and preparing rules.
    pub prepare: f64,
    /// Reading inputs.
    pub read: f64,
    /// Forward pass and relevance walk.
    pub explain: f64,
    /// Writing results.
    pub write: f64,
}

impl From<&LedgerRecord> for Totals {
    fn from(record: &LedgerRecord) -> Self {
        let &LedgerRecord { start, input, bias, stabilizer, rule, .. } = record;
        Self { start, input, bias, stabilizer, rule }
    }
}
