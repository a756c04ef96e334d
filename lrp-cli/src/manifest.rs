//! The manifest: everything an auditor needs to run the same explanation again and to compare.

use std::path::Path;

use lrp_config::Resolved;
use lrp_core::kernels::conv::Algorithm;
use lrp_core::ledger::Totals;
use lrp_core::{Model, Scalar};
use serde::{Deserialize, Serialize};

use crate::explain::Stats;
use crate::failure::Failure;
use crate::hash;

/// The whole manifest.
#[derive(Debug, Serialize)]
pub struct Manifest {
    /// The format of this file.
    pub schema: u32,
    /// What wrote it.
    pub program: Program,
    /// The model.
    pub model: FileRecord,
    /// The recipe.
    pub recipe: RecipeRecord,
    /// `f32` or `f64`.
    pub precision: &'static str,
    /// What was asked for, as a recipe writes it.
    pub target: String,
    /// `logit` or `one`.
    pub start: &'static str,
    /// Whether relevance was multiplied with the input at the end.
    pub times_input: bool,
    /// What the importer had to say about the model.
    pub notes: Vec<String>,
    /// The rule of every node that relevance can pass.
    pub layers: Vec<LayerRecord>,
    /// What was explained.
    pub inputs: Vec<InputRecord>,
    /// Inputs that could not be explained, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedRecord>,
    /// How long it took.
    pub timings: Timings,
    /// Time and memory, node by node, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<Stats>,
}

/// This program.
#[derive(Debug, Serialize)]
pub struct Program {
    name: &'static str,
    version: &'static str,
}

impl Program {
    /// This program, in this version.
    pub const THIS: Program = Program { name: "lrp", version: env!("CARGO_PKG_VERSION") };
}

/// A file and its fingerprint.
#[derive(Debug, Serialize)]
pub struct FileRecord {
    /// Its path, as it was given.
    pub path: String,
    /// SHA-256 of its contents, in hexadecimal.
    pub sha256: String,
}

impl FileRecord {
    /// Reads and fingerprints a file.
    pub fn new(path: &Path) -> Result<Self, Failure> {
        let sha256 =
            hash::of_file(path).map_err(|e| Failure::plain(format!("cannot read '{}': {e}", path.display())))?;
        Ok(Self { path: path.display().to_string(), sha256 })
    }
}

/// The recipe and every recipe it extends.
#[derive(Debug, Serialize)]
pub struct RecipeRecord {
    /// Its name.
    pub name: String,
    /// Its file, or `preset NAME`, and those it extends; each with its fingerprint.
    pub sources: Vec<FileRecord>,
}

impl RecipeRecord {
    /// The recipe's record.
    pub fn new(recipe: &lrp_config::Recipe) -> Self {
        let record = |s: &lrp_config::Source| FileRecord {
            path: s.name().to_owned(),
            sha256: hash::of_bytes(s.text().as_bytes()),
        };
        Self { name: title(recipe), sources: recipe.sources().map(record).collect() }
    }
}

/// What relevance meets at one node.
#[derive(Debug, Serialize)]
pub struct LayerRecord {
    /// Its index among the weighted layers, if it is one.
    pub index: Option<usize>,
    /// The node's name.
    pub name: String,
    /// Its operator.
    pub op: &'static str,
    /// How it is computed, where there is a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<&'static str>,
    /// The rule, or the operator's fixed behaviour.
    pub rule: String,
    /// The recipe entry that chose the rule, if one did.
    pub origin: Option<String>,
}

impl LayerRecord {
    /// All operators of a model in topological order.
    pub fn list<T: Scalar>(model: &Model<T>, resolved: &Resolved<T>) -> Vec<Self> {
        let operators = model.nodes().filter_map(|(id, node)| Some((id, node, node.op()?)));
        operators
            .map(|(id, node, op)| {
                let choice = resolved.choices.get(&id);
                LayerRecord {
                    index: model.layer_index(id),
                    name: node.name.clone(),
                    op: node.kind_name(),
                    algorithm: op.algorithm().map(Algorithm::name),
                    rule: choice.map_or_else(|| op.fixed().name().to_owned(), |c| c.rule.to_string()),
                    origin: choice.map(|c| c.origin.to_string()),
                }
            })
            .collect()
    }

    /// The operator, and how it is computed unless that is the usual way.
    pub fn operator(&self) -> String {
        match self.algorithm {
            Some(algorithm) if algorithm != Algorithm::default().name() => format!("{} ({algorithm})", self.op),
            _ => self.op.to_owned(),
        }
    }
}

/// One input file and its results.
#[derive(Debug, Serialize)]
pub struct InputRecord {
    /// The file.
    #[serde(flatten)]
    pub file: FileRecord,
    /// The relevance file, within the output folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relevance: Option<String>,
    /// One for each sample.
    pub samples: Vec<SampleRecord>,
}

/// One sample.
#[derive(Debug, Serialize, Deserialize)]
pub struct SampleRecord {
    /// The explained outputs.
    pub targets: Vec<TargetRecord>,
}

/// One explained output of one sample.
#[derive(Debug, Serialize, Deserialize)]
pub struct TargetRecord {
    /// The class.
    pub class: usize,
    /// Its label, if labels are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// For a contrast: the class it is contrasted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<usize>,
    /// The model's output for the class; for a contrast, by how much it is above that for the other.
    pub score: f64,
    /// Where relevance went.
    pub ledger: LedgerRecord,
    /// The heatmap's file, within the output folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heatmap: Option<String>,
}

/// The totals of the books: `start = input + bias + stabilizer + rule`.
#[derive(Debug, Serialize, Deserialize)]
pub struct LedgerRecord {
    start: f64,
    input: f64,
    bias: f64,
    stabilizer: f64,
    rule: f64,
}

impl LedgerRecord {
    /// What arrived at the input, and what bias, stabilizer and rule took.
    pub fn shares(&self) -> [f64; 4] {
        [self.input, self.bias, self.stabilizer, self.rule]
    }
}

impl From<Totals> for LedgerRecord {
    fn from(t: Totals) -> Self {
        Self { start: t.start, input: t.input, bias: t.bias, stabilizer: t.stabilizer, rule: t.rule }
    }
}

/// An input that could not be explained.
#[derive(Debug, Serialize)]
pub struct FailedRecord {
    /// The file.
    pub path: String,
    /// Why not.
    pub reason: String,
}

/// Seconds spent, in this run. Reading, explaining and writing overlap.
#[derive(Debug, Default, Serialize)]
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

/// What to call a recipe: its name, or that of its file or preset.
pub fn title(recipe: &lrp_config::Recipe) -> String {
    recipe.name().unwrap_or_else(|| recipe.source().name()).to_owned()
}
