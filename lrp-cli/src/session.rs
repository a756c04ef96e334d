//! A model and a recipe, brought together: what every command that runs something starts with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lrp_config::{Recipe, Resolved, Target as Wanted};
use lrp_core::{Error, Model, Plan, Scalar, Target};
use lrp_onnx::{Import, Options};

use crate::failure::Failure;
use crate::job::ModelJob;

/// A model, as imported.
pub struct Loaded<T: Scalar> {
    /// Where it came from.
    pub path: PathBuf,
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
        let options = Options { sample_shape: job.sample_shape.clone() };
        let import = lrp_onnx::load::<T>(&job.path, &options).map_err(|e| Failure::plain(e.to_string()))?;
        let model = Arc::new(import.model.clone());
        let labels = match &job.labels {
            Some(path) => read_labels(path)?,
            None => Vec::new(),
        };
        Ok(Self { path: job.path.clone(), import, model, labels })
    }

    /// Prints the importer's notes.
    pub fn print_notes(&self) {
        for note in &self.import.notes {
            eprintln!("note: {note}");
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

    /// Number of outputs of a sample.
    pub fn classes(&self) -> usize {
        self.model.node(self.model.output()).shape.iter().product()
    }

    /// The label of a class, or its number.
    pub fn label(&self, class: usize) -> String {
        self.labels.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// The outputs to explain, one after the other.
    pub fn targets(&self, wanted: &Wanted) -> Result<Vec<Target>, Failure> {
        let class = |class: &lrp_config::Class| {
            let index = class.index(&self.labels).map_err(|e| {
                Failure::user(e, "classes are numbers, or labels from the file that --labels or [model] labels names")
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

fn read_labels(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failure::user(
            format!("cannot read the labels '{}': {e}", path.display()),
            "give a text file with one label on a line",
        )
    })?;
    Ok(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect())
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
    /// Resolves a recipe and prepares its rules.
    pub fn new(recipe: Recipe, loaded: &Loaded<T>) -> Result<Self, Failure> {
        let resolved = recipe.resolve(&loaded.model)?;
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

/// An error of the forward pass on inputs that were read without one.
pub fn forward_failure(error: &Error) -> Failure {
    match error {
        Error::NotFinite { .. } => Failure::user(
            error,
            "the input is finite, so the model overflows on it: check its preprocessing ([input] mean and std), or use --precision f64",
        ),
        _ => Failure::plain(error),
    }
}
