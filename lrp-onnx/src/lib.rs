//! Reads ONNX files into [`lrp_core::Model`]s.
//!
//! [`load`] maps the file into memory, decodes the messages (`proto`), sorts the graph and walks it (`import`): what is
//! constant is computed (`consteval`), every other node is translated into an operator of `lrp-core` (`ops`). Then small
//! passes bring the graph into the form that relevance rules expect (`passes`).
//!
//! The batch is axis 0 of every activation, whatever batch size the file was exported with. Where a file moves its batch, merges it with
//! another axis, or has none, it is read as a whole run (`whole`): every axis of the file belongs to the sample, and each sample runs
//! through the file alone. Files are not trusted: whatever is wrong with one ends in an [`Error`] that names the place.
//!
//! ```no_run
//! let import = lrp_onnx::load::<f32>("model.onnx".as_ref(), &lrp_onnx::Options::default())?;
//! println!("{} layers", import.model.layers().len());
//! # Ok::<(), lrp_onnx::Error>(())
//! ```

mod bind;
mod carriers;
mod forward;
mod functions;
mod fused;
mod graph;
mod import;
mod input_statistics;
mod inputs;
mod names;
mod one_hot;
mod ops;
mod outputs;
mod passes;
mod quantization;
mod rounded;
#[cfg(test)]
mod testing;
mod whole;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use lrp_core::kernels::entrance;
use lrp_core::{Model, Scalar, Tensor};
use lrp_onnx_file::{consteval, error, file, proto, resizing, tensor};

pub use error::{Error, ErrorKind, UnsupportedNode};
use file::External;
pub use file::{ModelFile, Stamp};
pub use forward::output;
use import::Reading;
use proto::ModelProto;
use rounded::QuantizedFile;

pub use ops::supported::{Supported, behaviour, supported, supported_as_markdown};

pub use input_statistics::{Distance, InputStatistics, SIGMAS};
pub use inputs::{Fixed, FixedValue, InputInfo, Role};
pub use outputs::OutputInfo;
pub use rounded::Quantized;

/// Options of an import.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Shape of one sample (`[3, 224, 224]`), for models that leave it open. Where the file fixes an axis, they must agree.
    pub sample_shape: Option<Vec<usize>>,
    /// The shapes of arrays that are there for inputs, by name, with the batch axis or of one sample: they bind axes that the file leaves open.
    pub array_shapes: BTreeMap<String, Vec<usize>>,
    /// Values of inputs that are the same for every sample.
    pub fixed: Fixed,
    /// The names of the inputs that are explained; the others are [given](Role::Given). Without it: floating-point numbers, 8-bit and 16-bit
    /// integers, and ids that go through an embedding, or all if there are none of these.
    pub sources: Option<Vec<String>>,
    /// The name of the output to explain, or of a tensor or node inside the model; without one, the first output that holds no classes.
    pub output: Option<String>,
    /// Read every file into memory as a whole. Otherwise, those above 64 MiB are mapped.
    pub no_map: bool,
}

/// An imported model, and what is known about where it comes from.
#[derive(Debug, Clone)]
pub struct Import<T: Scalar> {
    /// The model, for batches of any size.
    pub model: Model<T>,
    /// From the output of `model` to the model's own output, where the pass `cut-output` has cut a softmax, a sigmoid or a
    /// relative: logits to probabilities. None where nothing was cut, and where outputs depend on logits that are not
    /// among those that are explained (one probability of a softmax).
    pub output_function: Option<OutputFunction<T>>,
    /// The ONNX operator set that the file is written in.
    pub opset: i64,
    /// The program that wrote the file, with its version.
    pub producer: String,
    /// The metadata of the file (`metadata_props`), key and value, in its order; at most 80 characters of each, control
    /// characters replaced. Example: `("Image.NominalPixelRange", "Normalized_0_1")`.
    pub metadata: Vec<(String, String)>,
    /// The names of the inputs, in the order of [`Model::inputs`].
    pub input_names: Vec<String>,
    /// All inputs of the file.
    pub inputs: Vec<InputInfo>,
    /// All outputs of the file.
    pub outputs: Vec<OutputInfo>,
    /// The name of the file's output that is explained.
    pub output_name: String,
    /// Input statistics from the first batch norm, if the file has one.
    pub input_statistics: Option<InputStatistics<T>>,
    /// The changes of each canonization pass, in the order in which they ran.
    pub passes: Vec<PassReport>,
    /// The forward pass of the file with the rounding that it asks for, if it is quantized. It is read when it is asked for.
    pub quantized: Option<Quantized<T>>,
    /// Notes for the user, a sentence each.
    pub notes: Vec<String>,
}

impl<T: Scalar> Import<T> {
    /// Whether the pass `cut-output` has cut something off the model's end.
    pub fn is_cut(&self) -> bool {
        self.passes.iter().any(|pass| pass.name == passes::CUT_OUTPUT && pass.changes > 0)
    }
}

/// The function that the pass `cut-output` has cut off a model: from the outputs that are explained to the model's own.
#[derive(Debug, Clone)]
pub struct OutputFunction<T: Scalar>(pub(crate) Model<T>);

impl<T: Scalar> OutputFunction<T> {
    /// The model's own outputs for those that are explained, `[N, …]`: probabilities for logits.
    pub fn of(&self, explained: &Tensor<T>) -> Tensor<T> {
        // Nothing but the logits and what is computed from them is ever cut off.
        forward::output(&self.0, &[explained]).unwrap_or_else(|| explained.clone())
    }
}

/// The changes of one canonization pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassReport {
    /// The name of the pass.
    pub name: &'static str,
    /// The number of changes.
    pub changes: usize,
    /// Each change in words: `'bn1' into 'conv1' before it`.
    pub what: Vec<String>,
}

/// Imports the model in a file. Weights of any floating-point type are read as `T`.
///
/// Weights that have that type in the file are used in place. A file of at most 64 MiB is read; a larger one stays mapped into memory for as
/// long as the model lives: it can be deleted or replaced by another, but must not be written to. [`load_with_files`] lets you notice.
///
/// # Errors
/// When the file cannot be read, is not ONNX, is damaged, or contains what cannot be explained; see [`ErrorKind`].
pub fn load<T: Scalar>(path: &Path, options: &Options) -> Result<Import<T>, Error> {
    load_with_files(path, options).map(|(import, _)| import)
}

/// As [`load`]; gives every file that was read, too: the model's, and then those of weights beside it.
///
/// # Errors
/// As [`load`].
pub fn load_with_files<T: Scalar>(path: &Path, options: &Options) -> Result<(Import<T>, Vec<ModelFile>), Error> {
    let name = path.display().to_string();
    let file = match file::open(path, options.no_map) {
        Ok(file) => file,
        Err(error) => return Err(Error { file: name, kind: ErrorKind::Io(error) }),
    };
    let mut external = External::beside(Some(path), options.no_map);
    let import = from(&name, (file.bytes().clone(), Some(path)), &mut external, options)?;
    Ok((import, std::iter::once(file).chain(external.into_files()).collect()))
}

/// Imports a model from memory; messages call it `name`. Weights in other files cannot be read.
///
/// # Errors
/// As [`load`].
pub fn from_bytes<T: Scalar>(name: &str, bytes: impl Into<Bytes>, options: &Options) -> Result<Import<T>, Error> {
    from(name, (bytes.into(), None), &mut External::beside(None, false), options)
}

fn from<T: Scalar>(
    name: &str,
    (bytes, path): (Bytes, Option<&Path>),
    external: &mut External,
    options: &Options,
) -> Result<Import<T>, Error> {
    let import = file::decode(&bytes).and_then(|model| T::enter::<Entrance>((&model, bytes.len(), external, options)));
    let (mut import, rounded) = import.map_err(|kind| Error { file: name.to_owned(), kind })?;
    import.quantized = rounded.map(|reading| {
        let (path, options) = (path.map(Path::to_path_buf), options.clone());
        Quantized::new(QuantizedFile { bytes, path, options, whole: reading.whole })
    });
    Ok(import)
}

type Arguments<'a> = (&'a ModelProto, usize, &'a mut External, &'a Options);

entrance!(
    Entrance<'p, 'a, T>: Arguments<'a> => Result<(Import<T>, Option<Reading>), ErrorKind>,
    |(model, bytes, external, options): Arguments<'_>| import::import(model, bytes, external, options)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::StringStringEntryProto;
    use crate::testing::{Attr, Net, forward, varied};

    fn dense() -> Net {
        let mut net = Net::new(&[4]);
        let w = net.weight(&[4, 3]);
        net.op("MatMul", &["x", &w], &[]);
        net
    }

    #[test]
    fn a_file_with_its_weights_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.onnx");
        let mut net = dense();
        let x = varied(&[2, 4]);
        let expected = net.run(&x);
        let weights = net.graph().initializer[0].raw_data.take().unwrap();
        std::fs::write(folder.path().join("net.weights"), [b"odd".as_slice(), &weights].concat()).unwrap();
        let entry = |k: &str, v: &str| StringStringEntryProto { key: k.into(), value: v.into() };
        net.graph().initializer[0].data_location = 1;
        net.graph().initializer[0].external_data = vec![entry("location", "net.weights"), entry("offset", "3")];
        std::fs::write(&path, net.bytes()).unwrap();
        let import = load::<f64>(&path, &Options::default()).unwrap();
        assert_eq!(forward(&import.model, &x), expected);
        // From memory, there is no folder to look in.
        assert!(net.error().contains("tensor 'c0' is stored in another file"), "{}", net.error());
        net.graph().initializer[0].external_data[0].value = "../net.weights".into();
        std::fs::write(&path, net.bytes()).unwrap();
        let text = load::<f64>(&path, &Options::default()).unwrap_err().to_string();
        assert!(text.contains("outside the model's folder"), "{text}");
    }

    #[test]
    fn a_mapped_model_computes_what_one_in_memory_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.onnx");
        let mut net = Net::new(&[2, 6, 6]);
        let (kernel, matrix) = (net.weight(&[5, 2, 3, 3]), net.weight(&[7, 80]));
        let z = net.op("Conv", &["x", &kernel], &[]);
        let flat = net.op("Flatten", &[&z], &[]);
        net.op("Gemm", &[&flat, &matrix], &[("transB", Attr::Int(1))]);
        std::fs::write(&path, net.bytes()).unwrap();
        let import = load::<f32>(&path, &Options::default()).unwrap();
        let other = from_bytes::<f32>("net.onnx", net.bytes(), &Options::default()).unwrap();
        let x = varied(&[3, 2, 6, 6]).mapv(|v| v as f32);
        for (a, b) in [(import.model.low_memory(), other.model.low_memory()), (import.model, other.model)] {
            assert_eq!(forward(&a, &x), forward(&b, &x));
        }
    }

    #[test]
    fn files_that_are_missing_or_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("none.onnx"), folder.path().to_owned()] {
            let text = load::<f32>(&path, &Options::default()).unwrap_err().to_string();
            assert!(text.starts_with(&path.display().to_string()) && text.contains("cannot be read"), "{text}");
        }
        let bytes = dense().bytes();
        for cut in 0..bytes.len() {
            let error = from_bytes::<f32>("cut.onnx", bytes[..cut].to_vec(), &Options::default()).unwrap_err();
            let within_graph = (8..bytes.len() - 10).contains(&cut);
            assert!(!within_graph || matches!(error.kind, ErrorKind::Truncated(_)), "{cut}: {error}");
        }
    }
}
