//! Jobs: arguments and a recipe merged into values that a run starts from.

use std::path::PathBuf;

use lrp::text::{TextRole, Tokenizer};
use lrp::{Error, Loaded, ModelOptions, Options, TextError, fixed_value};
use lrp_config::{FixedInputs, Input, NameGlob, OnUnknown, Precision, Recipe, Save, Start, StartAt, Target};
use lrp_core::Scalar;
use lrp_onnx::ErrorKind;
use lrp_render::{Format, Look};

use crate::input::{self, FileSet};
use crate::manifest::{FileRecord, FixedRecord};

/// The model, its input shape and its labels.
#[derive(Debug, Clone, Default)]
pub struct ModelJob {
    /// The ONNX file, and how it is loaded.
    pub options: ModelOptions,
    /// The first input that is an array: its shape serves where the model leaves axes open and the user states none.
    pub example: Option<FileSet>,
    /// A file with a label for each class.
    pub labels: Option<PathBuf>,
    /// Inputs that have the same value for every sample.
    pub fixed: FixedInputs,
    /// The tokenizer's file.
    pub tokenizer: Option<PathBuf>,
    /// The inputs that are texts: the longest gives the shape where the model leaves axes open and the user states none.
    pub texts: Vec<PathBuf>,
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
        let tokenizer = self.tokenizer()?;
        let loaded = Loaded::<T>::new(&options).or_else(|error| {
            let leaves_axes_open = is_of_shape(&error) && options.sample_shape.is_none();
            let example = self.example.as_ref().filter(|_| leaves_axes_open);
            let named = example.map(FileSet::array_shapes).unwrap_or_default();
            let by_name = ModelOptions { array_shapes: named, ..options.clone() };
            let mut shapes = example.map(|set| input::sample_shapes(set.path())).unwrap_or_default();
            if let Some(tokenizer) = tokenizer.as_ref().filter(|_| leaves_axes_open) {
                shapes.extend(input::longest(tokenizer, &self.texts)?.map(|tokens| vec![tokens]));
            }
            let of_one = shapes.into_iter().map(|shape| ModelOptions { sample_shape: Some(shape), ..options.clone() });
            let tries = std::iter::once(by_name).filter(|by_name| !by_name.array_shapes.is_empty()).chain(of_one);
            // What is wrong once the axes are known says more than that they are open.
            let mut says_more = None;
            let found = tries.into_iter().find_map(|options| match Loaded::new(&options) {
                Ok(loaded) => Some(loaded),
                Err(error) => {
                    let shape = options.sample_shape.clone().or_else(|| sequence(&options));
                    says_more = says_more.take().or((!is_of_shape(&error)).then_some((error, shape)));
                    None
                }
            });
            found.ok_or_else(|| {
                let (error, shape) = says_more.unwrap_or((error, options.sample_shape.clone()));
                self.too_long::<T>(error, shape.as_deref(), &options, tokenizer.as_ref())
            })
        })?;
        let loaded = match &self.labels {
            Some(path) => loaded.labelled(&path.display().to_string(), &input::labels(path)?)?,
            None => loaded,
        };
        let loaded = match tokenizer {
            Some(tokenizer) => loaded.with_tokenizer(tokenizer),
            None => loaded,
        };
        Ok((loaded, records))
    }

    /// The error of a model that cannot be read with sequences of this length: the number that it takes, if it takes shorter ones, as it
    /// does where its table of positions ends.
    fn too_long<T: Scalar>(
        &self,
        error: Error,
        shape: Option<&[usize]>,
        options: &ModelOptions,
        tokenizer: Option<&Tokenizer>,
    ) -> Error {
        let Some(&[length]) = shape.filter(|_| !is_of_shape(&error)) else { return error };
        let takes =
            |n: usize| Loaded::<T>::new(&ModelOptions { sample_shape: Some(vec![n]), ..options.clone() }).is_ok();
        let (mut most, mut more) = (0, length);
        while most + 1 < more {
            let middle = most.midpoint(more);
            if takes(middle) { most = middle } else { more = middle }
        }
        let of_text = tokenizer.filter(|_| most > 0).and_then(|tokenizer| {
            let mut texts = self.texts.iter();
            texts.find_map(|path| input::too_long(tokenizer, path, most).transpose())
        });
        match (of_text, error) {
            (Some(of_text), _) => of_text.map_or_else(|error| error, Error::from),
            (None, Error::Import { error, .. }) if most > 0 => {
                let help = format!("the model takes sequences of up to {most}, and not of {length}: shorten them");
                Error::Import { error, help: Some(help) }
            }
            (None, error) => error,
        }
    }

    /// The tokenizer, if there is one, which texts need.
    fn tokenizer(&self) -> Result<Option<Tokenizer>, Error> {
        match (&self.tokenizer, self.texts.first()) {
            (None, Some(file)) => Err(TextError::NoTokenizer { file: file.clone() }.into()),
            (None, None) => Ok(None),
            (Some(path), texts) => {
                let is_mask = |name: &&String| TextRole::by_name(name) == Some(TextRole::Mask);
                match self.fixed.keys().find(is_mask).filter(|_| texts.is_some()) {
                    Some(name) => Err(TextError::Conflict { name: name.clone() }.into()),
                    None => input::tokenizer(path).map(Some),
                }
            }
        }
    }
}

/// The shape of a sample of ids, where all arrays are batches of those of one length.
fn sequence(options: &ModelOptions) -> Option<Vec<usize>> {
    let mut shapes = options.array_shapes.values();
    let &[_, length] = shapes.next()?.as_slice() else { return None };
    shapes.all(|shape| shape.get(1..) == Some(&[length])).then(|| vec![length])
}

/// Whether an error is about the shape of an input.
fn is_of_shape(error: &Error) -> bool {
    matches!(error, Error::Import { error, .. } if matches!(error.kind, ErrorKind::Shape { .. }))
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
