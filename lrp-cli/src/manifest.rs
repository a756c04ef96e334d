//! The manifest: everything an auditor needs to run the same explanation again and to compare.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use lrp_config::{Channels, Input, Resize, Resolved};
use lrp_core::file::Limit;
use lrp_core::kernels::conv::Algorithm;
use lrp_core::ledger::Totals;
use lrp_core::{Model, Scalar};
use serde::{Deserialize, Serialize};

use crate::explain::{Fingerprint, Stats};
use crate::failure::Failure;
use crate::hash;

/// The format that is written and read. Keys may be added to it: a reader passes over those that it does not know.
pub const SCHEMA: u32 = 1;

/// The whole manifest. Keys that earlier versions did not write have a default.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of this file.
    pub schema: u32,
    /// What wrote it.
    pub program: Program,
    /// The command that it was called with.
    #[serde(default)]
    pub command: Vec<String>,
    /// Everything that results depend on, the inputs excepted: a run with another fingerprint is another run.
    #[serde(default)]
    pub fingerprint: Fingerprint,
    /// The model.
    pub model: ModelRecord,
    /// The file of labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<FileRecord>,
    /// The file of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<FileRecord>,
    /// The recipe.
    pub recipe: RecipeRecord,
    /// What the model expects of its input, and how images became that.
    #[serde(default)]
    pub expects: Expected,
    /// `f32` or `f64`.
    pub precision: Cow<'static, str>,
    /// What was asked for, as a recipe writes it.
    pub target: String,
    /// `logit` or `one`.
    pub start: Cow<'static, str>,
    /// Whether relevance was multiplied with the input at the end.
    pub times_input: bool,
    /// The colours of heatmaps.
    #[serde(default)]
    pub colormap: String,
    /// What the importer had to say about the model, and warnings about its inputs.
    pub notes: Vec<String>,
    /// The rule of every node that relevance can pass.
    pub layers: Vec<LayerRecord>,
    /// What the rows of a ledger file are about, from the output to the input.
    #[serde(default)]
    pub ledger: Vec<LedgerNode>,
    /// What was explained.
    pub inputs: Vec<InputRecord>,
    /// What was made of all of it, for other programs, within the output folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<String>,
    /// These files, with their SHA-256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
    /// Inputs that could not be explained, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedRecord>,
    /// How long it took.
    pub timings: Timings,
    /// Time and memory, node by node, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub stats: Option<Stats>,
}

impl Manifest {
    /// All results, with their SHA-256.
    pub fn results(&self) -> impl Iterator<Item = &FileRecord> {
        self.inputs.iter().flat_map(|input| &input.files).chain(&self.files)
    }
}

/// This program.
#[derive(Debug, Serialize, Deserialize)]
pub struct Program {
    /// `lrp`.
    pub name: Cow<'static, str>,
    /// As Cargo has it.
    pub version: Cow<'static, str>,
}

impl Program {
    /// This program, in this version.
    pub const THIS: Program = Program { name: Cow::Borrowed("lrp"), version: Cow::Borrowed(env!("CARGO_PKG_VERSION")) };
}

/// What the model expects of its input.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Expected {
    /// The shape of a sample.
    pub shape: Vec<usize>,
    /// What the darkest and the brightest pixel are, if that was said: 0 and 1 otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Vec<[f64; 2]>>,
    /// What is subtracted from pixels, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// What the difference is divided by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f64>>,
    /// `rgb`, `bgr` or `grey`, if that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Channels>,
    /// `crop` or `stretch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
}

impl Expected {
    /// Of samples of this shape, as the recipe's `[input]` says.
    pub fn new(shape: &[usize], input: &Input) -> Self {
        let Input { range, mean, std, channels, resize, .. } = input.clone();
        Self { shape: shape.to_vec(), range, mean, std, channels, resize }
    }
}

/// A file and its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its path, as it was given.
    pub path: String,
    /// SHA-256 of its contents, in hexadecimal.
    pub sha256: String,
}

impl FileRecord {
    /// The record of a file that is read by `read`, which may be several times: it must be the same before and after.
    pub fn around<R>(
        path: &Path,
        limit: Limit,
        read: impl FnOnce() -> Result<R, Failure>,
    ) -> Result<(Option<Self>, R), Failure> {
        let record = || {
            let sha256 = hash::of_bytes(&lrp_core::file::read(path, limit).ok()?);
            Some(Self { path: path.display().to_string(), sha256 })
        };
        // What cannot be read is complained of by whoever reads it.
        let before = record();
        let result = read()?;
        if before.is_some() && before != record() {
            let message = format!("'{}' was written to while it was read", path.display());
            return Err(Failure::user(message, "run it again when the file is complete"));
        }
        Ok((before, result))
    }
}

/// The files of a model.
#[derive(Debug, Serialize, Deserialize)]
pub struct ModelRecord {
    /// The model.
    #[serde(flatten)]
    pub file: FileRecord,
    /// Weights that are stored in files beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<FileRecord>,
}

/// The recipe and every recipe it extends.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecipeRecord {
    /// Its name.
    pub name: String,
    /// Its file, or `preset NAME`, and those it extends; each with its fingerprint.
    pub sources: Vec<SourceRecord>,
}

/// The text of a recipe.
#[derive(Debug, Serialize, Deserialize)]
pub struct SourceRecord {
    /// Its file, or `preset NAME`, and its fingerprint.
    #[serde(flatten)]
    pub file: FileRecord,
    /// All of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl RecipeRecord {
    /// The recipe's record.
    pub fn new(recipe: &lrp_config::Recipe) -> Self {
        let record = |s: &lrp_config::Source| SourceRecord {
            file: FileRecord { path: s.name().to_owned(), sha256: hash::of_bytes(s.text().as_bytes()) },
            text: Some(s.text().to_owned()),
        };
        Self { name: title(recipe), sources: recipe.sources().map(record).collect() }
    }
}

/// What relevance meets at one node.
#[derive(Debug, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Its index among the weighted layers, if it is one.
    pub index: Option<usize>,
    /// The node's name.
    pub name: String,
    /// Its operator.
    pub op: Cow<'static, str>,
    /// How it is computed, where there is a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Cow<'static, str>>,
    /// The rule, or the operator's fixed behaviour.
    pub rule: String,
    /// The recipe entry that chose the rule, if one did.
    pub origin: Option<String>,
    /// For a product: what the importer decided about its two inputs, and why. A rule of the recipe overrides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factors: Option<String>,
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
                    op: node.kind_name().into(),
                    algorithm: op.algorithm().map(|algorithm| algorithm.name().into()),
                    rule: choice.map_or_else(|| op.fixed().name().to_owned(), |c| c.rule.to_string()),
                    origin: choice.map(|c| c.origin.to_string()),
                    factors: op.factors(),
                }
            })
            .collect()
    }

    /// The operator, and how it is computed unless that is the usual way.
    pub fn operator(&self) -> String {
        match &self.algorithm {
            Some(algorithm) if algorithm != Algorithm::default().name() => format!("{} ({algorithm})", self.op),
            _ => self.op.clone().into_owned(),
        }
    }
}

/// A node that relevance passes: a row of a ledger file, whose columns are what it received, what it handed on, and what bias,
/// stabilizer and rule took.
#[derive(Debug, Serialize, Deserialize)]
pub struct LedgerNode {
    /// The node's name.
    pub name: String,
    /// Its operator.
    pub op: Cow<'static, str>,
    /// The nodes that its inputs come from.
    pub inputs: Vec<String>,
}

impl LedgerNode {
    /// The nodes that the output depends on, in the order in which the walk passes them.
    pub fn list<T: Scalar>(model: &Model<T>) -> Vec<Self> {
        let mut reached = HashSet::from([model.output()]);
        let mut list = Vec::new();
        for (id, node) in model.nodes().rev() {
            if reached.contains(&id) {
                reached.extend(&node.inputs);
                let inputs = node.inputs.iter().map(|&input| model.node(input).name.clone()).collect();
                list.push(Self { name: node.name.clone(), op: node.kind_name().into(), inputs });
            }
        }
        list
    }
}

/// One input file and its results.
#[derive(Debug, Serialize, Deserialize)]
pub struct InputRecord {
    /// The file.
    #[serde(flatten)]
    pub file: FileRecord,
    /// The relevance file, within the output folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relevance: Option<String>,
    /// The ledger file, within the output folder: float64, `[N, rows, 5]`, with a leading axis for targets where the relevance has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
    /// What else was made of it, within the output folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<String>,
    /// What was changed in an image before its pixels were scaled: rotated as its EXIF data say, made grey, and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversions: Vec<String>,
    /// One for each sample.
    pub samples: Vec<SampleRecord>,
    /// The files that were made of it, within the output folder, with their SHA-256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
}

impl InputRecord {
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
    /// What the model itself says there: the probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
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
    /// The label of that class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_label: Option<String>,
    /// The model's output for the class, which is explained: the logit, where the model ends in a softmax, a sigmoid or a relative.
    /// For a contrast, by how much it is above that for the other.
    pub score: f64,
    /// What the model itself says there: the probability; for a contrast, by how much it is above the other's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Where relevance went.
    pub ledger: LedgerRecord,
    /// The node whose books balance worst, where that is more than rounding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unbalanced: Option<Unbalanced>,
    /// The heatmap's file, within the output folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heatmap: Option<String>,
}

/// A node whose books do not balance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unbalanced {
    /// The node's name.
    pub node: String,
    /// What is missing, or too much, in proportion to the relevance that was moved there.
    pub imbalance: f64,
}

/// The totals of the books: `start = input + bias + stabilizer + rule`.
#[derive(Debug, Serialize, Deserialize)]
pub struct LedgerRecord {
    /// What was put on the target.
    pub start: f64,
    /// What arrived at the input.
    pub input: f64,
    /// What biases took.
    pub bias: f64,
    /// What stabilizers took.
    pub stabilizer: f64,
    /// What rules took.
    pub rule: f64,
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

/// What to call a recipe: its name, or that of its file or preset.
pub fn title(recipe: &lrp_config::Recipe) -> String {
    recipe.name().unwrap_or_else(|| recipe.source().name()).to_owned()
}
