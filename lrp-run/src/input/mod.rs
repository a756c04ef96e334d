//! Reading inputs: images, `.npy` and `.npz` files, tables, texts, folders and globs of them.

mod csv;
mod expand;
mod kind;
pub mod measure;
mod npy;
mod npz;
mod set;
mod source;
mod sources;

use std::path::{Path, PathBuf};

use lrp::text::{TextReader, Tokenizer};
use lrp::{Error, Given, TextError};
use lrp_config::Input;
use lrp_core::file::{self, Limit};
use lrp_core::{Scalar, Tensor};
use lrp_render::Tokens;

use crate::hash;

pub use self::npy::{Npy, Rows};
pub use self::set::{FileSet, NamedFile, Part, Pattern, in_order, sets};
pub use self::source::Source;
pub use self::sources::Sources;

/// One input of a run, read.
#[derive(Debug)]
pub struct InputFile<T: Scalar> {
    /// The start of the names of its results.
    pub stem: String,
    /// Its samples, `[N, …]`, those of several inputs of the model joined as [`Given::join`] does.
    pub samples: Tensor<T>,
    /// The changes of images before their pixels were scaled, in words.
    pub conversions: Vec<String>,
}

/// Extensions that are read, in folders and elsewhere.
const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp", "npy", "npz", "csv"];

/// The extension of texts, which are not listed in folders: notes and labels are texts, too.
const TEXT: &str = "txt";

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
    !is_array(path) && !is_table(path) && !is_text(path)
}

/// Whether a file is a table: a time series.
pub fn is_table(path: &Path) -> bool {
    extension(path) == "csv"
}

/// Whether a file has texts, a sample on each line.
pub fn is_text(path: &Path) -> bool {
    extension(path) == TEXT
}

/// The shape of the array in an `.npy` or `.npz` file; in an archive of several, of the one of this name.
fn array_shape(path: &Path, array: Option<&str>) -> Option<Vec<usize>> {
    match extension(path).as_str() {
        "npy" => Some(npy::Npy::<f32>::open(path).ok()?.shape().to_vec()),
        "npz" => npz::shape(path, array).ok(),
        _ => None,
    }
}

/// Shapes of samples that the array in a file can have, to bind open axes of a model with: its shape without the first axis, and all of it.
pub fn sample_shapes(path: &Path) -> Vec<Vec<usize>> {
    let Some(shape) = array_shape(path, None) else { return Vec::new() };
    let rest = shape.get(1..).map(<[usize]>::to_vec);
    rest.into_iter().chain([shape]).collect()
}

/// Whether the array of an input is one sample, without an axis for the batch, by its header.
pub fn is_sample(part: &Part<'_>) -> bool {
    array_shape(part.path, part.array).is_some_and(|shape| shape == part.input.shape)
}

/// The number of samples of these inputs, by the headers of their files.
pub fn count(inputs: &[FileSet], given: &Given) -> usize {
    inputs.iter().map(|set| samples_of(set, given)).sum()
}

/// The number of samples of an input, by the header of its first file; of a table 1.
pub fn samples_of(set: &FileSet, given: &Given) -> usize {
    let of = |part: &Part<'_>| match array_shape(part.path, part.array) {
        None if is_text(part.path) => texts(part.path).map_or(1, |(text, _)| text.trim_end().lines().count()),
        Some(shape) if shape != part.input.shape => shape.first().copied().unwrap_or(1),
        _ => 1,
    };
    set.parts(given).first().map_or(1, of)
}

/// The array in an `.npy` or `.npz` file, and the SHA-256 of the file.
///
/// # Errors
/// When it cannot be read.
pub fn array(path: &Path) -> Result<(Tensor<f64>, String), Error> {
    match extension(path).as_str() {
        "npz" => {
            let bytes = file::read(path, Limit::ARCHIVE).map_err(|e| unreadable(path, e))?;
            Ok((npz::read(path, &bytes, None)?, hash::of_bytes(&bytes)))
        }
        _ => {
            let mut npy = npy::Npy::<f64>::open(path).map_err(|e| unreadable(path, e))?;
            let array = npy.whole().map_err(|e| unreadable(path, e))?;
            Ok((array, npy.sha256()))
        }
    }
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

/// The tokenizer in a file.
///
/// # Errors
/// When it cannot be read.
pub fn tokenizer(path: &Path) -> Result<Tokenizer, Error> {
    let bytes = file::read(path, Limit::TOKENIZER);
    let bytes = bytes.map_err(|e| TextError::Tokenizer { file: path.to_owned(), why: e.to_string() })?;
    Tokenizer::from_bytes(path, &bytes)
}

/// A file of texts, and its SHA-256.
fn texts(path: &Path) -> Result<(String, String), Error> {
    let unreadable = |why: String| Error::from(TextError::Unreadable { file: path.to_owned(), why });
    let text = file::read_text(path, Limit::TEXTS).map_err(|e| unreadable(e.to_string()))?;
    let sha256 = hash::of_bytes(text.as_bytes());
    Ok((text, sha256))
}

/// The number of tokens of the longest text in these files, if there are files.
///
/// # Errors
/// When one cannot be read.
pub fn longest(tokenizer: &Tokenizer, files: &[PathBuf]) -> Result<Option<usize>, Error> {
    let of = |path: &PathBuf| TextReader::longest(tokenizer, path, &texts(path)?.0);
    let lengths = files.iter().map(of).collect::<Result<Vec<_>, _>>()?;
    Ok(lengths.into_iter().max())
}

/// The error of the first text of a file that has more tokens than these, if there is one.
///
/// # Errors
/// When the file cannot be read.
pub fn too_long(tokenizer: &Tokenizer, path: &Path, most: usize) -> Result<Option<TextError>, Error> {
    TextReader::too_long(tokenizer, path, &texts(path)?.0, most)
}

/// The contents of an image file.
fn image(path: &Path) -> Result<Vec<u8>, Error> {
    file::read(path, Limit::IMAGE).map_err(|e| lrp::input::unreadable(path, &e))
}

/// Reads one input of a run, for these inputs of the model; texts with this reader.
///
/// # Errors
/// When a file cannot be read, has another shape than the model's input, or holds NaN or infinities.
pub fn read<T: Scalar>(
    set: &FileSet,
    given: &Given,
    (expected, texts): (&Input, Option<&TextReader>),
) -> Result<InputFile<T>, Error> {
    let mut sources = Sources::open(set, given, (expected, texts))?;
    let samples = sources.take(sources.left())?;
    Ok(InputFile { stem: set.stem().to_owned(), samples, conversions: sources.conversions() })
}

/// The error of an array's file.
fn unreadable(path: &Path, what: impl std::fmt::Display) -> Error {
    let help = "write it with numpy.save or numpy.savez, as float16, float32, float64 or integers";
    Error::user(format!("cannot read '{}': {what}", path.display()), help)
}
