//! A model under a recipe: the front door of this library.

use std::path::Path;

use lrp_config::Recipe;
use lrp_core::ledger::Totals;
use lrp_core::profile::Profile;
use lrp_core::{Scalar, Target, Tensor};
use ndarray::{ArrayViewD, Axis};

use crate::diagnosis::Diagnosis;
use crate::error::Error;
use crate::explain::{Asked, Explained, Options, Outcome, explain_samples};
use crate::fit::Fit;
use crate::input;
use crate::loaded::{Loaded, ModelOptions};
use crate::prepared::Prepared;

/// Explains a model's outputs as a recipe says. Made once, it serves any number of batches from any number of threads.
///
/// `T` is `f32` (speed) or `f64` (reference).
pub struct Explainer<T: Scalar> {
    loaded: Loaded<T>,
    prepared: Prepared<T>,
    options: Options,
    shape: Vec<usize>,
}

impl<T: Scalar> Explainer<T> {
    /// Reads an ONNX file and prepares the rules of a recipe, or of a [`Composite`](lrp_config::Composite), for it.
    ///
    /// # Errors
    /// As [`Loaded::new`] and [`new`](Self::new).
    pub fn load(path: impl AsRef<Path>, recipe: impl Into<Recipe>) -> Result<Self, Error> {
        let recipe = recipe.into();
        Self::new(Loaded::new(&options(path.as_ref(), &recipe))?, recipe)
    }

    /// As [`load`](Self::load), from the bytes of an ONNX file; messages call it `name`.
    ///
    /// # Errors
    /// As [`Loaded::from_bytes`] and [`new`](Self::new).
    pub fn from_bytes(name: &str, bytes: Vec<u8>, recipe: impl Into<Recipe>) -> Result<Self, Error> {
        let recipe = recipe.into();
        Self::new(Loaded::from_bytes(bytes, &options(Path::new(name), &recipe))?, recipe)
    }

    /// Prepares the recipe's rules for a model. The recipe's `[explain]` says what relevance starts with and how many samples are
    /// explained at once.
    ///
    /// # Errors
    /// When the recipe does not fit the model, when the model has several inputs, and when one sample does not fit into memory.
    pub fn new(loaded: Loaded<T>, recipe: impl Into<Recipe>) -> Result<Self, Error> {
        let recipe = recipe.into();
        let explain = recipe.explain();
        let options =
            Options { start: explain.start().unwrap_or_default(), batch: explain.batch.unwrap_or(Options::BATCH) };
        let prepared = Prepared::new(recipe, &loaded, None)?;
        let shape = loaded.input_shape()?.to_vec();
        loaded.check_memory()?;
        Ok(Self { loaded, prepared, options, shape })
    }

    /// The shape of a sample, without the batch axis: `[C, H, W]`, for example.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The model: its graph, labels, and the importer's notes.
    pub fn model(&self) -> &Loaded<T> {
        &self.loaded
    }

    /// The recipe, the rule of each node, and the plan.
    pub fn prepared(&self) -> &Prepared<T> {
        &self.prepared
    }

    /// The bytes of a PNG, JPEG or WebP file as a batch of one sample, `[1, C, H, W]` (or as the model's layout is): resized and scaled as
    /// the recipe's `[input]` says, from pixels 0…255 to 0…1 where it says nothing.
    ///
    /// # Errors
    /// When the bytes are no image, when it has another size and the recipe does not say how to resize it, and when the model expects no images.
    pub fn read_image(&self, bytes: &[u8]) -> Result<Tensor<T>, Error> {
        let (samples, _) = input::read_image(Path::new("<bytes>"), bytes, &self.shape, self.prepared.recipe.input())?;
        Ok(samples)
    }

    /// Relevance of every value of a batch, `[N, …]`, for one output of each sample. [`Target::Argmax`] is the largest.
    ///
    /// # Errors
    /// When the batch has another shape, when it holds NaN or infinities, when the target does not exist, and when relevance overflows; the
    /// error names the node and the sample.
    pub fn explain(&self, batch: &Tensor<T>, target: &Target) -> Result<Explanation<T>, Error> {
        let (targets, mut profile) = (std::slice::from_ref(target), Profile::default());
        let Explained { mut relevance, outcomes, .. } =
            explain_samples(&self.loaded, &self.prepared.plan, batch, Asked::of(targets), self.options, &mut profile)?;
        let outcomes = outcomes.into_iter().flatten().collect();
        Ok(Explanation { relevance: relevance.pop().unwrap_or_else(lrp_core::tensor::empty), outcomes })
    }

    /// Warnings about a batch, `[N, …]`: values outside the recipe's bounds, or unlike those of training.
    pub fn warnings(&self, batch: &Tensor<T>) -> Vec<Diagnosis> {
        let mut fit = Fit::new(&self.loaded, &self.prepared);
        fit.see(batch);
        fit.warnings()
    }
}

fn options(path: &Path, recipe: &Recipe) -> ModelOptions {
    let explain = recipe.explain();
    ModelOptions { output: explain.output.clone(), exact: explain.exact.unwrap_or_default(), ..ModelOptions::new(path) }
}

/// The explanations of a batch for one target.
#[derive(Debug, Clone)]
pub struct Explanation<T: Scalar> {
    relevance: Tensor<T>,
    outcomes: Vec<Outcome>,
}

impl<T: Scalar> Explanation<T> {
    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.outcomes.len()
    }

    /// The relevance of all samples, `[N, …]` as the batch.
    pub fn batch(&self) -> &Tensor<T> {
        &self.relevance
    }

    /// The relevance of a sample, without the batch axis: `[C, H, W]`, for example. Its sum is
    /// [`ledger(sample).input`](Self::ledger).
    ///
    /// # Panics
    /// When there is no such sample, as all that follow.
    pub fn relevance(&self, sample: usize) -> ArrayViewD<'_, T> {
        self.relevance.index_axis(Axis(0), sample)
    }

    /// The class that was explained, where the target is one.
    pub fn class(&self, sample: usize) -> Option<usize> {
        self.outcome(sample).class
    }

    /// The output that was explained, in words: a class by its label, or its number, or a place in the output.
    pub fn explained(&self, sample: usize) -> String {
        self.outcome(sample).explained()
    }

    /// The output that was explained: a logit where the model ends in a softmax or a sigmoid, whose value is `outcome(sample).probability`.
    pub fn score(&self, sample: usize) -> f64 {
        self.outcome(sample).score
    }

    /// Where relevance went: `start = input + bias + stabilizer + rule`.
    pub fn ledger(&self, sample: usize) -> Totals {
        self.outcome(sample).totals
    }

    /// All that is known of a sample, the ledger of every node among it.
    pub fn outcome(&self, sample: usize) -> &Outcome {
        &self.outcomes[sample]
    }
}
