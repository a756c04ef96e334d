//! What to do, decided: arguments and a recipe merged into values that a run starts from.

use std::path::PathBuf;

use lrp::{Error, Loaded, ModelOptions, Options};
use lrp_config::{Input, OnUnknown, Precision, Recipe, Save, Start, Target};
use lrp_core::Scalar;
use lrp_onnx::ErrorKind;
use lrp_render::Look;

use crate::input;

/// Which model, and what is known of it.
#[derive(Debug, Clone)]
pub struct ModelJob {
    /// The ONNX file, and how it is loaded.
    pub options: ModelOptions,
    /// The first input that is an array: its shape serves where the model leaves axes open and the user states none.
    pub example: Option<PathBuf>,
    /// A file with a label for each class.
    pub labels: Option<PathBuf>,
}

impl ModelJob {
    /// Loads the model and its labels.
    ///
    /// # Errors
    /// When one of both cannot be read, or they do not go together.
    pub fn load<T: Scalar>(&self) -> Result<Loaded<T>, Error> {
        let loaded = Loaded::<T>::new(&self.options).or_else(|error| {
            let leaves_axes_open =
                matches!(&error, Error::Import { error, .. } if matches!(error.kind, ErrorKind::Shape { .. }));
            let example = self.example.as_deref().filter(|_| leaves_axes_open && self.options.sample_shape.is_none());
            let Some(shape) = example.and_then(input::sample_shape) else { return Err(error) };
            Loaded::new(&ModelOptions { sample_shape: Some(shape), ..self.options.clone() }).map_err(|_| error)
        })?;
        match &self.labels {
            Some(path) => loaded.labelled(&path.display().to_string(), &input::labels(path)?),
            None => Ok(loaded),
        }
    }
}

/// What is explained, and how.
#[derive(Debug, Clone)]
pub struct HowJob {
    /// The outputs.
    pub target: Target,
    /// Relevance put on them.
    pub start: Start,
    /// Numbers to calculate with.
    pub precision: Precision,
    /// Samples at once.
    pub batch: usize,
    /// How images become input.
    pub input: Input,
    /// The rule of nodes that need one and have none.
    pub on_unknown: Option<OnUnknown>,
}

impl HowJob {
    /// What the computation needs of it.
    pub fn options(&self) -> Options {
        Options { start: self.start, batch: self.batch }
    }
}

/// What an explanation, or a check of one, is made of.
pub struct WhatJob {
    /// The model.
    pub model: ModelJob,
    /// The recipe.
    pub recipe: Recipe,
    /// The input files.
    pub inputs: Vec<PathBuf>,
    /// What is explained, and how.
    pub how: HowJob,
}

/// Where results go.
#[derive(Debug, Clone)]
pub struct OutputJob {
    /// The folder.
    pub dir: PathBuf,
    /// What is written.
    pub save: Vec<Save>,
    /// How heatmaps look.
    pub look: Look,
    /// Whether a run that was interrupted is continued.
    pub resume: bool,
    /// Whether what another run has left there is removed.
    pub force: bool,
    /// Whether time and memory of every layer are measured.
    pub stats: bool,
}

impl OutputJob {
    /// Whether relevance and ledger are written: for themselves, or to make others from.
    pub fn keeps_relevance(&self) -> bool {
        self.save.iter().any(|what| !matches!(what, Save::Png | Save::Json | Save::Html))
    }
}

/// Everything that an explanation run is made of.
pub struct ExplainJob {
    /// What is explained.
    pub what: WhatJob,
    /// Where results go.
    pub output: OutputJob,
    /// The command line, for the manifest.
    pub command: Vec<String>,
}
