//! A model under a recipe: the front door of this library.

use std::path::Path;

use lrp_config::Recipe;
use lrp_core::ledger::Totals;
use lrp_core::profile::Profile;
use lrp_core::{Scalar, Target, Tensor};
use ndarray::{ArrayViewD, Axis};

use crate::diagnosis::Diagnosis;
use crate::error::{Error, InputsError};
use crate::explain::{Asked, Explained, Options, Outcome, explain_samples};
use crate::fit::Fit;
use crate::fixed::fixed_value;
use crate::given::GivenInput;
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
}

impl<T: Scalar> Explainer<T> {
    /// Reads an ONNX file and prepares the rules of a recipe, or of a [`Composite`](lrp_config::Composite), for it.
    ///
    /// # Errors
    /// As [`Loaded::new`] and [`new`](Self::new).
    pub fn load(path: impl AsRef<Path>, recipe: impl Into<Recipe>) -> Result<Self, Error> {
        let recipe = recipe.into();
        Self::new(Loaded::new(&options(path.as_ref(), &recipe)?)?, recipe)
    }

    /// As [`load`](Self::load), from the bytes of an ONNX file; messages call it `name`.
    ///
    /// # Errors
    /// As [`Loaded::from_bytes`] and [`new`](Self::new).
    pub fn from_bytes(name: &str, bytes: Vec<u8>, recipe: impl Into<Recipe>) -> Result<Self, Error> {
        let recipe = recipe.into();
        Self::new(Loaded::from_bytes(bytes, &options(Path::new(name), &recipe)?)?, recipe)
    }

    /// Prepares the recipe's rules for a model. The recipe's `[explain]` says what relevance starts with and how many samples are
    /// explained at once.
    ///
    /// # Errors
    /// When the recipe does not fit the model, and when one sample does not fit into memory.
    pub fn new(loaded: Loaded<T>, recipe: impl Into<Recipe>) -> Result<Self, Error> {
        let recipe = recipe.into();
        let explain = recipe.explain();
        let options =
            Options { start: explain.start().unwrap_or_default(), batch: explain.batch.unwrap_or(Options::BATCH) };
        let prepared = Prepared::new(recipe, &loaded, None)?;
        loaded.check_memory()?;
        Ok(Self { loaded, prepared, options })
    }

    /// The shape of a sample of the first input, without the batch axis: `[C, H, W]`, for example.
    pub fn shape(&self) -> &[usize] {
        self.loaded.given.all().first().map_or(&[], |input| &input.shape)
    }

    /// The inputs that are given for each sample, in the order in which [`explain_all`](Self::explain_all) takes them.
    pub fn inputs(&self) -> &[GivenInput] {
        self.loaded.given.all()
    }

    /// The model: its graph, labels, and the importer's notes.
    pub fn model(&self) -> &Loaded<T> {
        &self.loaded
    }

    /// The recipe, the rule of each node, and the plan.
    pub fn prepared(&self) -> &Prepared<T> {
        &self.prepared
    }

    /// The bytes of a PNG, JPEG or WebP file as a batch of one sample of the first input, `[1, C, H, W]` (or as the model's layout is): resized and scaled as
    /// the recipe's `[input]` says, from pixels 0…255 to 0…1 where it says nothing.
    ///
    /// # Errors
    /// When the bytes are no image, when it has another size and the recipe does not say how to resize it, and when the model expects no images.
    pub fn read_image(&self, bytes: &[u8]) -> Result<Tensor<T>, Error> {
        let (samples, _) = input::read_image(Path::new("<bytes>"), bytes, self.shape(), self.prepared.recipe.input())?;
        Ok(samples)
    }

    /// Relevance of every value of a batch, `[N, …]`, for one output of each sample. [`Target::Argmax`] is the largest. For a model with one
    /// input that is not fixed; [`explain_all`](Self::explain_all) is for several.
    ///
    /// # Errors
    /// When the batch has another shape, when it holds NaN or infinities, when the target does not exist, and when relevance overflows; the
    /// error names the node and the sample.
    pub fn explain(&self, batch: &Tensor<T>, target: &Target) -> Result<Explanation<T>, Error> {
        if self.loaded.given.only().is_none() {
            return self.explain_all(std::slice::from_ref(batch), target);
        }
        self.explain_joined(batch, target)
    }

    /// As [`explain`](Self::explain), for a model with several inputs: a batch of each of [`inputs`](Self::inputs), `[N, …]`, in their order.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (left, right) = (lrp::Tensor::<f32>::zeros(vec![1, 8]), lrp::Tensor::<f32>::zeros(vec![1, 8]));
    /// let explainer = lrp::Explainer::<f32>::load("siamese.onnx", lrp::Recipe::preset("lrp-epsilon")?)?;
    /// let explanation = explainer.explain_all(&[left, right], &lrp::Target::Class(0))?;
    /// let of_left = explanation.relevance_of("left").ok_or("no such input")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`explain`](Self::explain), and when the batches are not those of the inputs.
    pub fn explain_all(&self, batches: &[Tensor<T>], target: &Target) -> Result<Explanation<T>, Error> {
        self.explain_joined(&self.loaded.given.join(batches.to_vec())?, target)
    }

    fn explain_joined(&self, batch: &Tensor<T>, target: &Target) -> Result<Explanation<T>, Error> {
        let (targets, mut profile) = (std::slice::from_ref(target), Profile::default());
        let Explained { mut relevance, outcomes, .. } =
            explain_samples(&self.loaded, &self.prepared.plan, batch, Asked::of(targets), self.options, &mut profile)?;
        let outcomes = outcomes.into_iter().flatten().collect();
        let relevance = relevance.pop().unwrap_or_else(lrp_core::tensor::empty);
        let names = self.loaded.given.explained().map(|input| input.name.clone());
        Ok(Explanation { relevance: names.zip(self.loaded.given.split_relevance(relevance)).collect(), outcomes })
    }

    /// Warnings about a batch, `[N, …]`: values outside the recipe's bounds, or unlike those of training.
    pub fn warnings(&self, batch: &Tensor<T>) -> Vec<Diagnosis> {
        let mut fit = Fit::new(&self.loaded, &self.prepared);
        fit.see(batch);
        fit.warnings()
    }
}

fn options(path: &Path, recipe: &Recipe) -> Result<ModelOptions, Error> {
    let explain = recipe.explain();
    let fixed = explain.fixed.iter().flatten().map(|(name, value)| {
        let value = fixed_value(value, |file| {
            Err(InputsError::FixedToFile { name: name.clone(), file: file.to_owned() }.into())
        });
        Ok((name.clone(), value?))
    });
    Ok(ModelOptions {
        output: explain.output.clone(),
        exact: explain.exact.unwrap_or_default(),
        sources: explain.sources.clone(),
        fixed: fixed.collect::<Result<_, Error>>()?,
        ..ModelOptions::new(path)
    })
}

/// The explanations of a batch for one target.
#[derive(Debug, Clone)]
pub struct Explanation<T: Scalar> {
    /// Of each explained input, with its name.
    relevance: Vec<(String, Tensor<T>)>,
    outcomes: Vec<Outcome>,
}

impl<T: Scalar> Explanation<T> {
    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.outcomes.len()
    }

    /// The relevance of all samples, `[N, …]` as the batch; of several explained inputs, that of the first.
    ///
    /// # Panics
    /// Never: a model without an explained input is not loaded.
    pub fn batch(&self) -> &Tensor<T> {
        &self.relevance[0].1
    }

    /// The relevance of all samples of an explained input, `[N, …]` as its batch; None where there is no such input.
    pub fn relevance_of(&self, name: &str) -> Option<&Tensor<T>> {
        self.relevance.iter().find(|(other, _)| other == name).map(|(_, relevance)| relevance)
    }

    /// The relevance of a sample, without the batch axis: `[C, H, W]`, for example. Where one input is explained and no other is given, its sum
    /// is [`ledger(sample).input`](Self::ledger).
    ///
    /// # Panics
    /// When there is no such sample, as all that follow.
    pub fn relevance(&self, sample: usize) -> ArrayViewD<'_, T> {
        self.batch().index_axis(Axis(0), sample)
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
