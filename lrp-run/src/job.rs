//! Jobs: arguments and a recipe merged into values that a run starts from.

use std::path::PathBuf;

use lrp::{Error, Loaded, ModelOptions, Options, fixed_value};
use lrp_config::{FixedInputs, Input, NameGlob, OnUnknown, Precision, Recipe, Save, Start, StartAt, Target};
use lrp_core::Scalar;
use lrp_onnx::ErrorKind;
use lrp_render::{Format, Look};

use crate::input::{self, FileSet};
use crate::manifest::{FileRecord, FixedRecord};

/// The model, its input shape and its labels.
#[derive(Debug, Clone)]
pub struct ModelJob {
    /// The ONNX file, and how it is loaded.
    pub options: ModelOptions,
    /// The first input that is an array: its shape serves where the model leaves axes open and the user states none.
    pub example: Option<FileSet>,
    /// A file with a label for each class.
    pub labels: Option<PathBuf>,
    /// Inputs that have the same value for every sample.
    pub fixed: FixedInputs,
}

impl ModelJob {
    /// Loads the model and its labels.
    ///
    /// # Errors
    /// When one of both cannot be read, or they do not go together.
    pub fn load<T: Scalar>(&self) -> Result<Loaded<T>, Error> {
        self.load_recorded().map(|(loaded, _)| loaded)
    }

    /// As [`load`](Self::load), with records of the fixed inputs.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_recorded<T: Scalar>(&self) -> Result<(Loaded<T>, Vec<FixedRecord>), Error> {
        let mut options = self.options.clone();
        let mut records = Vec::new();
        for (name, value) in &self.fixed {
            let mut record = FixedRecord { name: name.clone(), value: value.to_string(), file: None };
            let value = fixed_value(value, |path| {
                let (array, sha256) = input::array(path)?;
                record.file = Some(FileRecord { path: path.display().to_string(), sha256 });
                Ok(array)
            });
            options.fixed.insert(name.clone(), value?);
            records.push(record);
        }
        let loaded = Loaded::<T>::new(&options).or_else(|error| {
            let leaves_axes_open =
                matches!(&error, Error::Import { error, .. } if matches!(error.kind, ErrorKind::Shape { .. }));
            let example = self.example.as_ref().filter(|_| leaves_axes_open && options.sample_shape.is_none());
            let named = example.map(FileSet::array_shapes).unwrap_or_default();
            let by_name = ModelOptions { array_shapes: named, ..options.clone() };
            let of_one = example.map(|set| input::sample_shapes(set.path())).unwrap_or_default();
            let of_one = of_one.into_iter().map(|shape| ModelOptions { sample_shape: Some(shape), ..options.clone() });
            let tries = std::iter::once(by_name).filter(|by_name| !by_name.array_shapes.is_empty()).chain(of_one);
            // What is wrong once the axes are known says more than that they are open.
            let mut says_more = None;
            let found = tries.into_iter().find_map(|options| match Loaded::new(&options) {
                Ok(loaded) => Some(loaded),
                Err(error) => {
                    let is_shape =
                        matches!(&error, Error::Import { error, .. } if matches!(error.kind, ErrorKind::Shape { .. }));
                    says_more = says_more.take().or((!is_shape).then_some(error));
                    None
                }
            });
            found.ok_or_else(|| says_more.unwrap_or(error))
        })?;
        let loaded = match &self.labels {
            Some(path) => loaded.labelled(&path.display().to_string(), &input::labels(path)?)?,
            None => loaded,
        };
        Ok((loaded, records))
    }
}

/// Target and start of the explanation, and options of the computation.
#[derive(Debug, Clone)]
pub struct HowJob {
    /// The outputs.
    pub target: Target,
    /// A table with a target for each sample.
    pub targets: Option<PathBuf>,
    /// Relevance put on them.
    pub start: Start,
    /// The node inside the network where the walk starts, if it does.
    pub start_at: Option<StartAt>,
    /// Numbers to calculate with.
    pub precision: Precision,
    /// Samples at once.
    pub batch: usize,
    /// The scaling of images.
    pub input: Input,
    /// The rule of nodes that need one and have none.
    pub on_unknown: Option<OnUnknown>,
}

impl HowJob {
    /// The start, as a recipe writes it, but for the quotes of a word.
    pub fn start_in_words(&self) -> String {
        match (&self.start_at, self.start) {
            (Some(at), _) => at.to_string(),
            (None, Start::Logit) => "logit".to_owned(),
            (None, Start::One) => "one".to_owned(),
        }
    }

    /// The options of the computation.
    pub fn options(&self) -> Options {
        Options { start: self.start, batch: self.batch }
    }
}

/// The parts of an explanation, or of a check of one.
#[derive(Clone)]
pub struct WhatJob {
    /// The model.
    pub model: ModelJob,
    /// The recipe.
    pub recipe: Recipe,
    /// The inputs: each a file, or a file for each of the model's inputs.
    pub inputs: Vec<FileSet>,
    /// Target and start of the explanation, and options of the computation.
    pub how: HowJob,
}

/// Where results go.
#[derive(Debug, Clone)]
pub struct OutputJob {
    /// The folder.
    pub dir: PathBuf,
    /// The files to write.
    pub save: Vec<Save>,
    /// The nodes inside the network whose relevance is written, too.
    pub at: Vec<NameGlob>,
    /// The appearance of heatmaps.
    pub look: Look,
    /// Whether a run that was interrupted is continued.
    pub resume: bool,
    /// Whether the results of another run there are removed.
    pub force: bool,
    /// Whether time and memory of every layer are measured.
    pub stats: bool,
}

impl OutputJob {
    /// Whether relevance and ledger are written: for themselves, or to make others from.
    pub fn keeps_relevance(&self) -> bool {
        self.save.iter().any(|what| !matches!(what, Save::Png | Save::Svg | Save::Json | Save::Html))
    }

    /// The formats of heatmaps, if they are written.
    pub fn formats(&self) -> impl Iterator<Item = Format> {
        formats(&self.save)
    }
}

/// The formats of pictures in a list of what to save.
pub fn formats(save: &[Save]) -> impl Iterator<Item = Format> {
    let all = [(Save::Png, Format::Png), (Save::Svg, Format::Svg)];
    all.into_iter().filter(|(what, _)| save.contains(what)).map(|(_, format)| format)
}

/// Everything that an explanation run is made of.
#[derive(Clone)]
pub struct ExplainJob {
    /// Model, recipe and inputs.
    pub what: WhatJob,
    /// Where results go.
    pub output: OutputJob,
    /// The command line, for the manifest.
    pub command: Vec<String>,
}
