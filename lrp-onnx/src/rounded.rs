//! The forward pass of a quantized file with the rounding that it asks for, to be compared with that of the float network it is read as.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use lrp_core::kernels::entrance;
use lrp_core::{Model, Scalar, Tensor};

use crate::error::ErrorKind;
use crate::file::{self, External};
use crate::proto::ModelProto;
use crate::{Options, forward, import};

/// The forward pass of a quantized file: every step of a quantization rounds as the file says.
///
/// Scales that a file computes from activations are computed for each sample. Two things are not rounded: activations with a scale
/// for each channel, and the states of recurrent layers.
///
/// The file is read for this when an output is asked for, and not before.
#[derive(Clone)]
pub struct Quantized<T: Scalar> {
    file: Arc<QuantizedFile>,
    model: OnceLock<Result<Model<T>, String>>,
}

/// A file that can be read again.
pub(crate) struct QuantizedFile {
    /// Its contents.
    pub bytes: Bytes,
    /// Its path, beside which weights in other files are.
    pub path: Option<PathBuf>,
    /// As it was read before.
    pub options: Options,
    /// Whether it is a [whole run](crate::whole).
    pub whole: bool,
}

impl<T: Scalar> Quantized<T> {
    pub(crate) fn new(file: QuantizedFile) -> Self {
        Self { file: Arc::new(file), model: OnceLock::new() }
    }

    /// The file's own output for its inputs, in the order of [`Model::inputs`], `[N, …]` each; no tensor where inputs are missing, or where
    /// there is an [error](Self::error).
    pub fn output(&self, inputs: &[&Tensor<T>]) -> Option<Tensor<T>> {
        forward::output(self.model().as_ref().ok()?, inputs)
    }

    /// Why the file cannot be read with rounding, if it cannot.
    pub fn error(&self) -> Option<&str> {
        self.model().as_ref().err().map(String::as_str)
    }

    fn model(&self) -> &Result<Model<T>, String> {
        self.model.get_or_init(|| {
            let QuantizedFile { bytes, path, options, whole } = &*self.file;
            let mut external = External::beside(path.as_deref(), options.no_map);
            let read = file::decode(bytes)
                .and_then(|model| T::enter::<Entrance>((&model, bytes.len(), &mut external, (options, *whole))));
            read.map_err(|kind| kind.to_string())
        })
    }
}

impl<T: Scalar> fmt::Debug for Quantized<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quantized").field("bytes", &self.file.bytes.len()).finish_non_exhaustive()
    }
}

type Arguments<'a> = (&'a ModelProto, usize, &'a mut External, (&'a Options, bool));

entrance!(
    Entrance<'p, 'a, T>: Arguments<'a> => Result<Model<T>, ErrorKind>,
    |(model, bytes, external, (options, whole)): Arguments<'_>| import::rounded(model, bytes, external, options, whole)
);
