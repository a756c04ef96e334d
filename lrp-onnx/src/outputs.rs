//! The outputs of a file, as a user sees them.

use crate::bind::{axes, dtype};
use crate::error::shown;
use crate::proto::GraphProto;
use crate::tensor::DType;

/// An output of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputInfo {
    /// Its name.
    pub name: String,
    /// The type of its elements, as NumPy calls it: `float32`, `int64`; `unknown` where the file does not say it, or they are no numbers.
    pub dtype: &'static str,
    /// Its axes as the file has them, batch included: a length, or the name of an open axis. Empty where the file does not say them.
    pub axes: Vec<String>,
}

/// The outputs of the file.
pub(crate) fn described_outputs(proto: &GraphProto) -> Vec<OutputInfo> {
    let described = |output: &crate::proto::ValueInfoProto| OutputInfo {
        name: shown(&output.name),
        dtype: dtype(output).map_or("unknown", DType::name),
        axes: axes(output),
    };
    proto.output.iter().map(described).collect()
}
