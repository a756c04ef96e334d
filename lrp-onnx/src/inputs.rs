//! The inputs of a file, and the values of those that are fixed.

use std::collections::BTreeMap;

use ndarray::ArrayD;

/// The value of an input that is not explained: the same for every sample.
#[derive(Debug, Clone, PartialEq)]
pub enum FixedValue {
    /// Zero everywhere: an initial state.
    Zeros,
    /// One everywhere: a mask that hides nothing.
    Ones,
    /// This number everywhere: a sample rate, a temperature.
    Number(f64),
    /// These values. Their shape is that of the input in the file, or one that broadcasts to it.
    Values(ArrayD<f64>),
}

/// Values of inputs that are fixed, by the names of the inputs.
pub type Fixed = BTreeMap<String, FixedValue>;

/// What becomes of an input of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is given for each sample, and gets relevance.
    Explained,
    /// It is given for each sample, and gets no relevance: a mask, a length.
    Given,
    /// It has the same value for every sample, which the import was told.
    Fixed,
    /// The output does not depend on it.
    Unused,
}

/// An input of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputInfo {
    /// Its name.
    pub name: String,
    /// The type of its elements, as NumPy calls it: `float32`, `int64`, `bool`.
    pub dtype: &'static str,
    /// Its axes as the file has them, batch included: a length, or the name of an open axis.
    pub axes: Vec<String>,
    /// Shape of one sample of it, as a user gives it, without the batch axis: `[3, 224, 224]`. Empty for what is fixed or unused.
    pub sample: Vec<usize>,
    /// What becomes of it.
    pub role: Role,
}

impl InputInfo {
    /// Whether its elements are integers or truth values.
    pub fn is_integer(&self) -> bool {
        !self.dtype.starts_with("float") && self.dtype != "bfloat16"
    }
}
