//! The manifest: everything an auditor needs to run the same explanation again and to compare.

mod files;
mod fingerprint;
mod layers;
mod results;
mod stats;

use std::borrow::Cow;

use lrp::{Given, GivenInput, QuantizationError};
use lrp_config::{Channels, Input, Resize};
use serde::{Deserialize, Serialize};

pub use self::files::{FileRecord, FixedRecord, ModelRecord, Program, RecipeRecord, SourceRecord};
pub use self::fingerprint::Fingerprint;
pub use self::layers::{InsideRecord, LayerRecord, LedgerNode};
pub use self::results::{
    ExplainedRecord, FailedRecord, HeatmapRecord, InputRecord, LedgerRecord, MapRecord, SampleRecord, ScoreRecord,
    TargetRecord, Timings,
};
pub use self::stats::{LayerStats, Stats};

/// The format that is written and read. Keys may be added to it: a reader passes over those that it does not know.
pub const SCHEMA: u32 = 1;

/// The whole manifest. Keys that earlier versions did not write have a default.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of this file.
    pub schema: u32,
    /// The program that wrote it.
    pub program: Program,
    /// The command that it was called with.
    #[serde(default)]
    pub command: Vec<String>,
    /// Everything that results depend on, the inputs excepted: a run with another fingerprint is another run.
    #[serde(default)]
    pub fingerprint: Fingerprint,
    /// The model.
    pub model: ModelRecord,
    /// The name of the model's output that is explained.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// The file of labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<FileRecord>,
    /// The file of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<FileRecord>,
    /// The tokenizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<FileRecord>,
    /// The recipe.
    pub recipe: RecipeRecord,
    /// The inputs of the model that are the same for every sample.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed: Vec<FixedRecord>,
    /// Input that the model expects, and the conversion of images.
    #[serde(default)]
    pub expects: Expected,
    /// `f32` or `f64`.
    pub precision: Cow<'static, str>,
    /// The requested target, as a recipe writes it.
    pub target: String,
    /// The files that targets were read from: a mask, relevance to start with, a table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_files: Vec<FileRecord>,
    /// `logit`, `one`, or a node inside the network, as a recipe writes it.
    pub start: Cow<'static, str>,
    /// Whether relevance was multiplied with the input at the end.
    pub times_input: bool,
    /// Of a quantized model: the difference of the explained network's output from that of the quantized forward pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding: Option<QuantizationError>,
    /// The colours of heatmaps.
    #[serde(default)]
    pub colormap: String,
    /// Notes of the importer about the model, and warnings about its inputs.
    pub notes: Vec<String>,
    /// The rule of every node that relevance can pass.
    pub layers: Vec<LayerRecord>,
    /// The nodes of the rows of a ledger file, from the output to the input.
    #[serde(default)]
    pub ledger: Vec<LedgerNode>,
    /// The nodes inside the network whose relevance is saved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<InsideRecord>,
    /// The explained inputs.
    pub inputs: Vec<InputRecord>,
    /// Exports of the whole run for other programs, within the output folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<String>,
    /// These files, with their SHA-256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
    /// Inputs that could not be explained, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedRecord>,
    /// The duration.
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

/// Input that the model expects.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Expected {
    /// The shape of a sample; of several inputs, their number of elements.
    pub shape: Vec<usize>,
    /// The inputs that are given for each sample, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<ExpectedInput>,
    /// Values of the darkest and the brightest pixel, if given: 0 and 1 otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Vec<[f64; 2]>>,
    /// Subtracted from pixels, if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// Divisor of the difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f64>>,
    /// `rgb`, `bgr` or `grey`, if that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Channels>,
    /// `crop` or `stretch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
}

/// One of several inputs of the model.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedInput {
    /// Its name.
    pub name: String,
    /// The type of its elements, as NumPy calls it.
    pub dtype: String,
    /// The shape of a sample.
    pub shape: Vec<usize>,
    /// Whether it is explained.
    pub explained: bool,
}

impl Expected {
    /// Of samples of these inputs, as the recipe's `[input]` says.
    pub fn new(given: &Given, input: &Input) -> Self {
        let Input { range, mean, std, channels, resize, .. } = input.clone();
        let one = |input: &GivenInput| ExpectedInput {
            name: input.name.clone(),
            dtype: input.dtype.to_owned(),
            shape: input.shape.clone(),
            explained: input.is_explained,
        };
        let inputs = if given.only().is_some() { Vec::new() } else { given.all().iter().map(one).collect() };
        Self { shape: given.shape(), inputs, range, mean, std, channels, resize }
    }

    /// The inputs that are given for each sample.
    pub fn given(&self) -> Given {
        let of = |name: &str, dtype: &str, shape: &[usize], is_explained: bool| GivenInput {
            name: name.to_owned(),
            dtype: dtype.to_owned(),
            shape: shape.to_vec(),
            // Their values are only shown.
            is_integer: false,
            is_explained,
        };
        match self.inputs.as_slice() {
            [] => Given::of(vec![of("", "float32", &self.shape, true)]),
            several => Given::of(several.iter().map(|i| of(&i.name, &i.dtype, &i.shape, i.explained)).collect()),
        }
    }
}
