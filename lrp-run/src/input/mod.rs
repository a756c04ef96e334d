//! Reading inputs: images, `.npy` and `.npz` files, tables, folders and globs of them.

mod csv;
mod expand;
mod kind;
pub mod measure;
mod npy;
mod npz;
mod source;

use std::path::{Path, PathBuf};

use lrp::Error;
use lrp_config::Input;
use lrp_core::file::{self, Limit};
use lrp_core::{Scalar, Tensor};
use lrp_render::Tokens;

pub use self::expand::expand;
pub use self::npy::{Npy, Rows};
pub use self::source::Source;

/// One input file, read.
#[derive(Debug)]
pub struct InputFile<T: Scalar> {
    /// The file's name without its extension: results are named after it.
    pub stem: String,
    /// Its samples, `[N, …]`.
    pub samples: Tensor<T>,
    /// The changes of an image before its pixels were scaled, in words.
    pub conversions: Vec<String>,
}

/// Extensions that are read, in folders and elsewhere.
const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp", "npy", "npz", "csv"];

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// The stem that results are named after.
pub fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether a file holds numbers that go to the model as they are.
pub fn is_array(path: &Path) -> bool {
    matches!(extension(path).as_str(), "npy" | "npz")
}

/// Whether a file is an image.
pub fn is_image(path: &Path) -> bool {
    !is_array(path) && !is_table(path)
}

/// Whether a file is a table: a time series.
pub fn is_table(path: &Path) -> bool {
    extension(path) == "csv"
}

/// The shape of the array in an `.npy` or `.npz` file.
fn array_shape(path: &Path) -> Option<Vec<usize>> {
    match extension(path).as_str() {
        "npy" => Some(npy::Npy::<f32>::open(path).ok()?.shape().to_vec()),
        "npz" => npz::shape(path).ok(),
        _ => None,
    }
}

/// The shape of the array in a file without its first axis, to bind symbolic axes of a model with.
pub fn sample_shape(path: &Path) -> Option<Vec<usize>> {
    array_shape(path)?.get(1..).map(<[usize]>::to_vec)
}

/// The number of samples of a file, by its header.
pub fn expected_samples(path: &Path) -> usize {
    array_shape(path).and_then(|shape| shape.first().copied()).unwrap_or(1)
}

/// The number of samples of these inputs, by their headers.
pub fn count(inputs: &[PathBuf]) -> usize {
    inputs.iter().map(|path| expected_samples(path)).sum()
}

/// The text of a file of labels.
///
/// # Errors
/// When it cannot be read.
pub fn labels(path: &Path) -> Result<String, Error> {
    file::read_text(path, Limit::LABELS).map_err(|e| {
        Error::user(
            format!("cannot read the labels '{}': {e}", path.display()),
            "give a text file with one label on a line",
        )
    })
}

/// The texts of tokens in a file.
///
/// # Errors
/// When it cannot be read.
pub fn tokens(path: &Path) -> Result<Tokens, Error> {
    let text = file::read_text(path, Limit::TOKENS).map_err(|e| Tokens::unreadable(path, &e))?;
    Tokens::parse(path, &text)
}

/// The contents of an image file.
fn image(path: &Path) -> Result<Vec<u8>, Error> {
    file::read(path, Limit::IMAGE).map_err(|e| lrp::input::unreadable(path, &e))
}

/// Reads one file for a model with samples of this shape.
///
/// # Errors
/// When the file cannot be read, has another shape than the model's input, or holds NaN or infinities.
pub fn read<T: Scalar>(path: &Path, shape: &[usize], expected: &Input) -> Result<InputFile<T>, Error> {
    let mut source = Source::open(path, shape, expected)?;
    let samples = source.take(source.left())?;
    Ok(InputFile { stem: stem(path), samples, conversions: source.conversions().to_vec() })
}

/// The error of an array's file.
fn unreadable(path: &Path, what: impl std::fmt::Display) -> Error {
    let help = "write it with numpy.save or numpy.savez, as float16, float32, float64 or integers";
    Error::user(format!("cannot read '{}': {what}", path.display()), help)
}
