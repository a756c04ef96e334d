//! An imported model, with labels and the notes of the importer.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lrp_config::{Recipe, Target as Wanted};
use lrp_core::text::clean;
use lrp_core::{Model, Scalar, Target, Tensor};
use lrp_onnx::{ErrorKind, Fixed, Import, ModelFile, Options};

use crate::error::{Error, OutputError};
use crate::given::Given;
use crate::text::{TextReader, Tokenizer};

/// Characters of a note.
const NOTE: usize = 2000;

/// The model to load, and options.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelOptions {
    /// The ONNX file.
    pub path: PathBuf,
    /// The shape of a sample, where the model leaves axes open.
    pub sample_shape: Option<Vec<usize>>,
    /// The shapes of arrays that are there for inputs, by name: see [`lrp_onnx::Options::array_shapes`].
    pub array_shapes: BTreeMap<String, Vec<usize>>,
    /// Values of inputs that are not explained.
    pub fixed: Fixed,
    /// The inputs that are explained. Without names: see [`lrp_onnx::Options::sources`].
    pub sources: Option<Vec<String>>,
    /// The name of the output to explain; without one, the first that holds no classes.
    pub output: Option<String>,
    /// Whether every product is computed, however slow that is.
    pub exact: bool,
    /// Whether memory counts more than time.
    pub low_memory: bool,
    /// Whether the model's files are read as a whole, however large they are, instead of mapped into memory.
    pub no_mmap: bool,
}

impl ModelOptions {
    /// A model in a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }
}

/// A model, as imported.
pub struct Loaded<T: Scalar> {
    /// The options of loading.
    pub options: ModelOptions,
    /// The files that it was read from.
    pub files: Vec<ModelFile>,
    /// The network and the notes of the importer.
    pub import: Import<T>,
    /// The network, shared.
    pub model: Arc<Model<T>>,
    /// The inputs that are given for each sample.
    pub given: Given,
    /// A label for each class, or nothing.
    pub labels: Vec<String>,
    /// The reader of texts, if there is a tokenizer.
    pub texts: Option<Arc<TextReader>>,
}

impl<T: Scalar> Loaded<T> {
    /// Reads the model.
    ///
    /// # Errors
    /// When it cannot be imported; the error has a remedy.
    pub fn new(options: &ModelOptions) -> Result<Self, Error> {
        let imported = lrp_onnx::load_with_files::<T>(&options.path, &of_importer(options));
        let (import, files) = imported.map_err(|error| import_error(&options.path, error))?;
        Self::of_import(import, files, options)
    }

    /// A model from the bytes of an ONNX file, without weights in other files. Messages call it `options.path`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_bytes(bytes: Vec<u8>, options: &ModelOptions) -> Result<Self, Error> {
        let name = options.path.display().to_string();
        let import = lrp_onnx::from_bytes::<T>(&name, bytes, &of_importer(options));
        Self::of_import(import.map_err(|error| import_error(&options.path, error))?, Vec::new(), options)
    }

    fn of_import(import: Import<T>, files: Vec<ModelFile>, options: &ModelOptions) -> Result<Self, Error> {
        let given = Given::new(&options.path, &import.inputs, options.sources.as_deref())?;
        // Double precision is the reference: nothing in it is rounded more than it must be.
        let exact = options.exact || T::NAME == "f64";
        let model = Arc::new(match (options.low_memory, exact) {
            (true, _) => import.model.low_memory(),
            (false, true) => import.model.clone(),
            (false, false) => import.model.fastest(),
        });
        Ok(Self { options: options.clone(), files, import, model, given, labels: Vec::new(), texts: None })
    }

    /// With labels from a text with one on each line, in the order of the model's outputs; of an output `[T, C]` or `[C, H, W]`, in that of
    /// its classes. Messages call it `name`.
    ///
    /// # Errors
    /// When there are more or fewer than the model has outputs or classes.
    pub fn labelled(mut self, name: &str, text: &str) -> Result<Self, Error> {
        // An empty line within is a class without a name: leaving it out would shift all that follow.
        self.labels = text.trim_end().lines().map(|line| line.trim().to_owned()).collect();
        let (labels, classes) = (self.labels.len(), self.classes());
        let shape = self.output_shape();
        let along_an_axis =
            shape.len() > 1 && (shape.last() == Some(&labels) || (shape.len() > 2 && shape[0] == labels));
        if labels == classes || along_an_axis {
            return Ok(self);
        }
        Err(OutputError::Labels { file: name.to_owned(), labels, classes, model: self.options.path.clone() }.into())
    }

    /// With a tokenizer. A vocabulary that is not as large as the model's table gives a note.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: Tokenizer) -> Self {
        let texts = TextReader::new(tokenizer, &self.given).of_model(&self.model);
        self.import.notes.extend(texts.note());
        self.texts = Some(Arc::new(texts));
        self
    }

    /// The importer's notes, long ones shortened, each safe to print.
    pub fn notes(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.import.notes.iter().map(|note| clean(note, NOTE))
    }

    /// The model's inputs for a batch of those that are given, joined as [`Given::join`] does.
    pub fn enter(&self, batch: Tensor<T>) -> Vec<Tensor<T>> {
        self.given.split(batch)
    }

    /// The outputs that are explained, `[N, …]`, for a batch of the given inputs, joined as [`Given::join`] does.
    ///
    /// # Errors
    /// When the batch is not one of this model's.
    pub fn output(&self, batch: Tensor<T>) -> Result<Tensor<T>, Error> {
        let inputs = self.enter(batch);
        let output = lrp_onnx::output(&self.model, &inputs.iter().collect::<Vec<_>>());
        output.ok_or_else(|| Error::Internal("a batch without all of the model's inputs".to_owned()))
    }

    /// The relevance of the explained inputs, joined as [`Given`] says, for that of the model's inputs; and the sums over each sample of the
    /// relevance of inputs that are not explained, if there are some.
    ///
    /// # Errors
    /// When the relevance is not that of this model.
    pub fn leave(&self, relevance: Vec<Tensor<T>>) -> Result<(Tensor<T>, Option<Vec<f64>>), Error> {
        self.given.join_relevance(relevance)
    }

    /// Refuses a model that cannot be explained in the memory there is, whatever the batch: where an allocation fails, the program ends.
    ///
    /// # Errors
    /// Names the largest node.
    pub fn check_memory(&self) -> Result<(), Error> {
        let bytes =
            |shape: &[usize]| shape.iter().fold(size_of::<T>() as u128, |bytes, n| bytes.saturating_mul(*n as u128));
        let largest = self.model.nodes().map(|(_, node)| node).max_by_key(|node| bytes(&node.shape));
        let (Some(node), Some(limit)) = (largest, lrp_core::memory::limit()) else { return Ok(()) };
        // The value, and the relevance received there.
        if 2 * bytes(&node.shape) <= u128::from(limit) {
            return Ok(());
        }
        let needed = u64::try_from(bytes(&node.shape)).unwrap_or(u64::MAX);
        Err(Error::Memory { node: node.name.clone(), needed, limit })
    }

    /// The shape of a sample's output.
    pub fn output_shape(&self) -> &[usize] {
        &self.model.node(self.model.output()).shape
    }

    /// Number of outputs of a sample.
    pub fn classes(&self) -> usize {
        self.output_shape().iter().product()
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

    /// The label of a class, if labels are known: of an element of the output, or `along` the axis of classes. Of an output of several axes,
    /// labels are of either.
    pub fn label_of(&self, class: usize, along: bool) -> Option<String> {
        let of_elements = self.labels.len() == self.classes();
        let fits = self.output_shape().len() < 2 || along != of_elements;
        self.labels.get(class).filter(|_| fits).cloned()
    }

    /// The outputs to explain, one after the other. If the recipe asks for an output that the model does not have, the error shows the
    /// position.
    ///
    /// # Errors
    /// When the model has no such class or label.
    pub fn targets(&self, wanted: &Wanted, recipe: Option<&Recipe>) -> Result<Vec<Target>, Error> {
        self.targets_with(wanted, recipe, None)
    }

    /// As [`targets`](Self::targets), where `file` has the numbers of the file that the target names, if it names one.
    ///
    /// # Errors
    /// As [`targets`](Self::targets), and when the numbers do not go with the output.
    pub fn targets_with(
        &self,
        wanted: &Wanted,
        recipe: Option<&Recipe>,
        file: Option<&Tensor<f64>>,
    ) -> Result<Vec<Target>, Error> {
        if let Some(recipe) = recipe.filter(|recipe| recipe.explain().target.as_ref() == Some(wanted)) {
            recipe.check_target(&self.labels, self.output_shape(), file)?;
        }
        let class = |class: &lrp_config::Class| {
            let index = class.index(&self.labels);
            let index = index.map_err(|reason| OutputError::Label { reason, respelt: class.respelt() })?;
            if index < self.classes() { Ok(index) } else { Err(self.no_such_class(index)) }
        };
        Ok(match wanted {
            Wanted::Argmax => vec![Target::Argmax],
            Wanted::Class(c) => vec![Target::Class(class(c)?)],
            Wanted::Contrast(a, b) => vec![Target::Contrast(class(a)?, class(b)?)],
            Wanted::Elements(elements) => {
                let target = elements.of_output(&self.labels, self.output_shape(), file);
                vec![target.map_err(OutputError::Elements)?]
            }
            Wanted::All => (0..self.classes()).map(Target::Class).collect(),
            Wanted::Top(n) if *n <= self.classes() => (0..*n).map(Target::Rank).collect(),
            Wanted::Top(n) => {
                return Err(OutputError::Top { asked: *n, classes: self.classes() }.into());
            }
        })
    }

    fn no_such_class(&self, index: usize) -> Error {
        let (class, classes) = (index, self.classes());
        OutputError::NoClass { class, classes, model: self.options.path.clone() }.into()
    }
}

fn of_importer(options: &ModelOptions) -> Options {
    Options {
        sample_shape: options.sample_shape.clone(),
        array_shapes: options.array_shapes.clone(),
        fixed: options.fixed.clone(),
        sources: options.sources.clone(),
        output: options.output.clone(),
        no_map: options.no_mmap,
    }
}

/// An error of the importer, with a remedy where its message has none.
fn import_error(path: &Path, error: lrp_onnx::Error) -> Error {
    let help = match &error.kind {
        ErrorKind::Io(_) => {
            let give = "give an ONNX file with -m, or path = \"…\" under [model]";
            Some(match lrp_config::closest_file(path).filter(|_| !path.exists()) {
                Some(file) => format!("did you mean '{}'? Or {give}", file.display()),
                None => give.to_owned(),
            })
        }
        ErrorKind::Shape { .. } => Some(
            "--input-shape says what open axes are, and so do arrays that are given as inputs (lrp explain -i NAME=FILE, one for each input)"
                .to_owned(),
        ),
        ErrorKind::Input { .. } => Some(
            "inputs that are given have the batch as axis 0; fix one that is the same for every sample with --fix NAME=VALUE"
                .to_owned(),
        ),
        ErrorKind::NotOnnx(_) => Some("give a file as torch.onnx.export or tf2onnx write it".to_owned()),
        ErrorKind::Node { before: Some(before), .. } => {
            Some(format!("--model-output '{before}' explains what this node reads, without it"))
        }
        ErrorKind::Unsupported { before: Some(before), .. } => Some(format!(
            "--model-output '{before}' explains what the first of them reads, without these nodes; `lrp layers --supported` lists what is read"
        )),
        ErrorKind::Unsupported { before: None, .. } => Some(
            "`lrp layers --supported` lists what is read; docs/how-to/own-operator.md adds an operator".to_owned(),
        ),
        _ => None,
    };
    Error::Import { error: Box::new(error), help }
}
