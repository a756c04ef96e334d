//! Reading inputs: images, `.npy` and `.npz` files, tables, folders and globs of them.

mod complete;
mod convert;
mod csv;
mod expand;
mod kind;
mod npy;
mod npz;
mod picture;
mod source;

use std::path::Path;

use lrp_config::Input;
use lrp_core::text::shortened;
use lrp_core::{Scalar, Tensor};

pub use self::convert::{TO_GREY, TRANSPARENT};
pub use self::expand::expand;
pub use self::npy::{Npy, Rows};
pub use self::picture::size as picture_size;
pub use self::source::Source;
use crate::failure::Failure;

/// One input file, read.
#[derive(Debug)]
pub struct InputFile<T: Scalar> {
    /// The file's name without its extension: results are named after it.
    pub stem: String,
    /// Its samples, `[N, …]`.
    pub samples: Tensor<T>,
    /// What was changed in an image before its pixels were scaled, in words.
    pub conversions: Vec<String>,
}

/// Characters of a path that are shown.
const PATH: usize = 1000;

/// Extensions that are read, in folders and elsewhere.
const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp", "npy", "npz", "csv"];

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// The stem that results are named after.
pub fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A path as a person would write it: without the detours that joining paths brings (`configs/../out`).
pub fn shown(path: &Path) -> String {
    let short = std::env::current_dir()
        .and_then(|here| Ok((path.canonicalize()?, here.canonicalize()?)))
        .ok()
        .and_then(|(path, here)| path.strip_prefix(here).map(Path::to_path_buf).ok())
        .filter(|path| !path.as_os_str().is_empty());
    named(&short.unwrap_or_else(|| path.to_path_buf()))
}

/// A path as it was given, in one line: what a terminal would act on as escapes.
pub fn named(path: &Path) -> String {
    shortened(&path.display().to_string(), PATH).into_owned()
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

/// How many samples a file promises.
pub fn expected_samples(path: &Path) -> usize {
    array_shape(path).and_then(|shape| shape.first().copied()).unwrap_or(1)
}

/// Reads one file for a model that takes samples of this shape.
///
/// # Errors
/// When the file cannot be read, has another shape than the model's input, or holds NaN or infinities.
pub fn read<T: Scalar>(path: &Path, shape: &[usize], expected: &Input) -> Result<InputFile<T>, Failure> {
    let mut source = Source::open(path, shape, expected)?;
    let samples = source.take(source.left())?;
    Ok(InputFile { stem: stem(path), samples, conversions: source.conversions().to_vec() })
}

/// What is wrong with an array's file.
fn unreadable(path: &Path, what: impl std::fmt::Display) -> Failure {
    let help = "write it with numpy.save or numpy.savez, as float16, float32, float64 or integers";
    Failure::user(format!("cannot read '{}': {what}", path.display()), help)
}
