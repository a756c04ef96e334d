//! A model and a recipe, brought together: what every command that runs something starts with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lrp_config::{OnUnknown, Recipe, Resolved, Target as Wanted};
use lrp_core::file::{self, Limit};
use lrp_core::text::{clean, shown};
use lrp_core::{Error, Model, Plan, Scalar, Target, Tensor};
use lrp_onnx::{ErrorKind, Import, ModelFile, Options};

use crate::failure::Failure;
use crate::input;
use crate::job::ModelJob;
use crate::output::report;
use crate::threads;

/// Characters of a note.
const NOTE: usize = 2000;

/// A model, as imported.
pub struct Loaded<T: Scalar> {
    /// Where it came from.
    pub path: PathBuf,
    /// The files that it was read from.
    pub files: Vec<ModelFile>,
    /// The network and what the importer has to say about it.
    pub import: Import<T>,
    /// The network, shared.
    pub model: Arc<Model<T>>,
    /// A label for each class, or nothing.
    pub labels: Vec<String>,
}

impl<T: Scalar> Loaded<T> {
    /// Reads the model; what the user should know about it goes to standard error.
    pub fn new(job: &ModelJob) -> Result<Self, Failure> {
        threads::start(None)?;
        let (import, files) = import::<T>(job)?;
        // Double precision is the reference: nothing in it is rounded more than it must be.
        let exact = job.exact || T::NAME == "f64";
        let model = Arc::new(match (job.low_memory, exact) {
            (true, _) => import.model.low_memory(),
            (false, true) => import.model.clone(),
            (false, false) => import.model.fastest(),
        });
        let labels = match &job.labels {
            Some(path) => read_labels(path)?,
            None => Vec::new(),
        };
        let loaded = Self { path: job.path.clone(), files, import, model, labels };
        if let Some(path) = job.labels.as_ref().filter(|_| loaded.labels.len() != loaded.classes()) {
            let (labels, classes) = (loaded.labels.len(), loaded.classes());
            return Err(Failure::user(
                format!("'{}' has {labels} labels, '{}' has {classes} outputs", path.display(), loaded.path.display()),
                "give one label on a line, in the order of the model's outputs",
            ));
        }
        Ok(loaded)
    }

    /// Prints the importer's notes.
    pub fn print_notes(&self) {
        for note in &self.import.notes {
            report(format_args!("note: {}\n", clean(note, NOTE)));
        }
    }

    /// The sample shape of the one input.
    pub fn input_shape(&self) -> Result<&[usize], Failure> {
        match self.model.inputs() {
            [only] => Ok(&self.model.node(*only).shape),
            inputs => Err(Failure::user(
                format!(
                    "'{}' has {} inputs, and this program explains models with one",
                    self.path.display(),
                    inputs.len()
                ),
                "use the lrp-core library (Plan::record_all), or fix the other inputs in the model",
            )),
        }
    }

    /// Refuses a model that cannot be explained in the memory there is, whatever the batch: where an allocation fails, the program ends.
    pub fn check_memory(&self) -> Result<(), Failure> {
        let bytes =
            |shape: &[usize]| shape.iter().fold(size_of::<T>() as u128, |bytes, n| bytes.saturating_mul(*n as u128));
        let largest = self.model.nodes().map(|(_, node)| node).max_by_key(|node| bytes(&node.shape));
        let (Some(node), Some(limit)) = (largest, lrp_core::memory::limit()) else { return Ok(()) };
        // The value, and the relevance that arrives there.
        if 2 * bytes(&node.shape) <= u128::from(limit) {
            return Ok(());
        }
        let words = |bytes: u128| file::Bytes(u64::try_from(bytes).unwrap_or(u64::MAX));
        let message = format!(
            "the values of node '{}' take {} for one sample, and this process can have {} of memory",
            shown(&node.name),
            words(bytes(&node.shape)),
            words(limit.into())
        );
        let help = "see lrp layers for its shape: a padding, a size or an --input-shape may be wrong";
        Err(Failure::user(message, help))
    }

    /// Number of outputs of a sample.
    pub fn classes(&self) -> usize {
        self.model.node(self.model.output()).shape.iter().product()
    }

    /// The model's own output, given the outputs `[N, …]` that are explained: probabilities where those are logits. None where
    /// they are the same.
    pub fn own_output(&self, explained: &Tensor<T>) -> Option<Tensor<T>> {
        self.import.output_function.as_ref().map(|function| function.of(explained))
    }

    /// The label of a class, or its number.
    pub fn label(&self, class: usize) -> String {
        self.labels.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// What was explained, in words: a class, or the difference of two.
    pub fn explained(&self, class: usize, against: Option<usize>) -> String {
        let against = against.map(|other| format!(" − {}", self.label(other))).unwrap_or_default();
        format!("{}{against}", self.label(class))
    }

    /// The outputs to explain, one after the other. Where it is the recipe that asks for what the model does not have, the error shows the
    /// place.
    pub fn targets(&self, wanted: &Wanted, recipe: Option<&Recipe>) -> Result<Vec<Target>, Failure> {
        if let Some(recipe) = recipe.filter(|recipe| recipe.explain().target.as_ref() == Some(wanted)) {
            recipe.check_target(&self.labels, self.classes())?;
        }
        let class = |class: &lrp_config::Class| {
            let index = class.index(&self.labels).map_err(|e| {
                let labels = "classes are numbers, or labels from the file that --labels or [model] labels names";
                Failure::user(e, class.respelt().unwrap_or_else(|| labels.to_owned()))
            })?;
            if index < self.classes() { Ok(index) } else { Err(self.no_such_class(index)) }
        };
        Ok(match wanted {
            Wanted::Argmax => vec![Target::Argmax],
            Wanted::Class(c) => vec![Target::Class(class(c)?)],
            Wanted::Contrast(a, b) => vec![Target::Contrast(class(a)?, class(b)?)],
            Wanted::All => (0..self.classes()).map(Target::Class).collect(),
            Wanted::Top(n) if *n <= self.classes() => (0..*n).map(Target::Rank).collect(),
            Wanted::Top(n) => {
                let message = format!("target: the top {n} of {} outputs", self.classes());
                return Err(Failure::user(message, format!("ask for at most {}", self.classes())));
            }
        })
    }

    fn no_such_class(&self, index: usize) -> Failure {
        let count = self.classes();
        Failure::user(
            format!("target {index} does not exist: '{}' has {count} outputs", self.path.display()),
            format!("give a number from 0 to {}", count.saturating_sub(1)),
        )
    }
}

/// Imports the model. Where it leaves axes open and the user states no shape, that of the first array is tried.
fn import<T: Scalar>(job: &ModelJob) -> Result<(Import<T>, Vec<ModelFile>), Failure> {
    let options = Options { sample_shape: job.sample_shape.clone(), no_map: job.no_mmap };
    lrp_onnx::load_with_files::<T>(&job.path, &options).or_else(|error| {
        let example = match &job.sample_shape {
            None if matches!(error.kind, ErrorKind::Shape { .. }) => job.example.as_deref(),
            _ => None,
        };
        let Some(shape) = example.and_then(input::sample_shape) else { return Err(import_failure(&job.path, &error)) };
        lrp_onnx::load_with_files::<T>(&job.path, &Options { sample_shape: Some(shape), ..options })
            .map_err(|_| import_failure(&job.path, &error))
    })
}

/// An error of the importer, with a way out where its message has none.
fn import_failure(path: &Path, error: &lrp_onnx::Error) -> Failure {
    match &error.kind {
        ErrorKind::Io(_) => {
            let give = "give an ONNX file with -m, or path = \"…\" under [model]";
            match lrp_config::closest_file(path).filter(|_| !path.exists()) {
                Some(file) => Failure::user(error, format!("did you mean '{}'? Or {give}", file.display())),
                None => Failure::user(error, give),
            }
        }
        ErrorKind::Shape { .. } => Failure::user(
            error,
            "--input-shape C,H,W says what open axes are; `lrp layers` shows the shapes of a model that has none",
        ),
        ErrorKind::NotOnnx(_) => Failure::user(error, "give a file as torch.onnx.export or tf2onnx write it"),
        ErrorKind::Unsupported { .. } => Failure::user(
            error,
            "export the model with operators that are supported, or add these: docs/how-to/own-operator.md",
        ),
        _ => Failure::plain(error),
    }
}

fn read_labels(path: &Path) -> Result<Vec<String>, Failure> {
    let text = file::read_text(path, Limit::LABELS).map_err(|e| {
        Failure::user(
            format!("cannot read the labels '{}': {e}", path.display()),
            "give a text file with one label on a line",
        )
    })?;
    // An empty line within is a class without a name: leaving it out would shift all that follow.
    Ok(text.trim_end().lines().map(|line| line.trim().to_owned()).collect())
}

/// A recipe resolved for a model, with every rule prepared.
pub struct Prepared<T: Scalar> {
    /// The recipe.
    pub recipe: Recipe,
    /// Which entry chose which rule.
    pub resolved: Resolved<T>,
    /// The model, ready to explain.
    pub plan: Plan<T>,
}

impl<T: Scalar> Prepared<T> {
    /// Resolves a recipe and prepares its rules; nodes that need one and have none get what `on_unknown` says.
    pub fn new(recipe: Recipe, loaded: &Loaded<T>, on_unknown: Option<OnUnknown>) -> Result<Self, Failure> {
        let resolved = recipe.resolve_with(&loaded.model, on_unknown)?;
        Self::prepare(recipe, resolved, loaded)
    }

    /// Prepares the rules of a resolved recipe.
    pub fn prepare(recipe: Recipe, resolved: Resolved<T>, loaded: &Loaded<T>) -> Result<Self, Failure> {
        recipe.check_missing(&loaded.model, &resolved)?;
        let plan = Plan::new(Arc::clone(&loaded.model), &resolved.assignment()).map_err(|error| match &error {
            // A rule that does not go with its operator: show the entry that brought them together.
            Error::Rule { node, .. } => {
                let id = loaded.model.nodes().find(|(_, n)| n.name == *node).map(|(id, _)| id);
                match id {
                    Some(id) => Failure::Recipe(resolved.diagnose(id, error.to_string())),
                    None => Failure::plain(&error),
                }
            }
            _ => Failure::plain(&error),
        })?;
        let plan = plan.times_input(resolved.times_input);
        Ok(Self { recipe, resolved, plan })
    }
}

/// What [`Error::NotFinite`] calls the relevance at the input.
pub const RELEVANCE: &str = "the relevance at the input";

/// An error of the forward pass or the walk on inputs that were read without one.
pub fn forward_failure(error: &Error) -> Failure {
    match error {
        Error::RelevanceNotFinite { .. } => Failure::user(
            error,
            "a denominator came too close to zero there, or relevance became too large: choose a larger stabilizer for this node in \
             the recipe, or use --precision f64",
        ),
        Error::NotFinite { place, .. } if place == RELEVANCE => Failure::user(
            error,
            "a denominator came too close to zero: choose larger stabilizers in the recipe, or use --precision f64",
        ),
        Error::NotFinite { .. } => Failure::user(
            error,
            "the input is finite, so the model overflows on it: check its preprocessing ([input] mean and std), or use \
             --precision f64",
        ),
        _ => Failure::plain(error),
    }
}
