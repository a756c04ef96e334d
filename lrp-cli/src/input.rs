//! Reading inputs: images, `.npy` and `.npz` files, folders and globs of them.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, imageops::FilterType};
use lrp_config::{Input, Resize};
use lrp_core::{Scalar, Tensor};
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpyExt, ReadNpzError, ReadableElement};
use num_traits::AsPrimitive;

use crate::failure::Failure;
use crate::layout::Layout;

/// One input file, read.
#[derive(Debug)]
pub struct InputFile<T: Scalar> {
    /// Where it came from.
    pub path: PathBuf,
    /// The file's name without its extension: results are named after it.
    pub stem: String,
    /// Its samples, `[N, …]`.
    pub samples: Tensor<T>,
}

/// Extensions that are read, in folders and elsewhere.
const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp", "npy", "npz"];

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
    short.unwrap_or_else(|| path.to_path_buf()).display().to_string()
}

/// The files that these paths stand for: files, folders (every image and array in them, by name) and globs.
///
/// # Errors
/// When a path matches nothing, or two files would write results of the same name.
pub fn expand(patterns: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        let found = if pattern.is_dir() {
            let listing = std::fs::read_dir(pattern)
                .map_err(|e| Failure::plain(format!("cannot read the folder '{}': {e}", pattern.display())))?;
            let mut found: Vec<PathBuf> = listing
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.is_file() && EXTENSIONS.contains(&extension(path).as_str()))
                .collect();
            found.sort();
            found
        } else if pattern.exists() {
            vec![pattern.clone()]
        } else if !pattern.to_string_lossy().contains(['*', '?', '[']) {
            return Err(Failure::user(
                format!("there is no file and no folder '{}'", pattern.display()),
                format!("inputs are {} files, folders with such files, or globs", EXTENSIONS.join(", ")),
            ));
        } else {
            let text = pattern.to_string_lossy();
            let paths = glob::glob(&text).map_err(|e| {
                Failure::user(
                    format!("'{text}' is no file and no valid glob: {e}"),
                    "check the path, or escape * ? and [ in it",
                )
            })?;
            paths.filter_map(Result::ok).filter(|p| p.is_file()).collect()
        };
        if found.is_empty() {
            let message = match pattern.is_dir() {
                true => format!("the folder '{}' holds no input", pattern.display()),
                false => format!("'{}' matches no file", pattern.display()),
            };
            let help = format!("inputs are {} files, folders with such files, or globs", EXTENSIONS.join(", "));
            return Err(Failure::user(message, help));
        }
        files.extend(found.into_iter().filter(|f| !files.contains(f)).collect::<Vec<_>>());
    }
    for (i, file) in files.iter().enumerate() {
        if let Some(other) = files.iter().take(i).find(|other| stem(other) == stem(file)) {
            return Err(Failure::user(
                format!("'{}' and '{}' would both write '{}.…'", other.display(), file.display(), stem(file)),
                "explain them into different folders, or rename one",
            ));
        }
    }
    Ok(files)
}

/// The shape of the array in an `.npy` or `.npz` file without its first axis, to bind symbolic axes of a model with.
pub fn sample_shape(path: &Path) -> Option<Vec<usize>> {
    let array = read_array::<f64>(path).ok()?;
    array.shape().get(1..).map(<[usize]>::to_vec)
}

/// Whether a file holds numbers that go to the model as they are.
pub fn is_array(path: &Path) -> bool {
    matches!(extension(path).as_str(), "npy" | "npz")
}

/// Reads one file for a model that takes samples of this shape.
///
/// # Errors
/// When the file cannot be read, has another shape than the model's input, or holds NaN or infinities.
pub fn read<T: Scalar>(path: &Path, shape: &[usize], expected: &Input) -> Result<InputFile<T>, Failure> {
    let samples = if is_array(path) {
        let array = read_array::<T>(path)?;
        check_shape(path, array.shape(), shape)?;
        array
    } else {
        read_image(path, shape, expected)?
    };
    for (i, sample) in samples.outer_iter().enumerate() {
        if let Some((index, value)) = sample.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(Failure::user(
                format!(
                    "'{}': sample {i} has the value {value} at {:?}",
                    path.display(),
                    ndarray::Dimension::slice(&index)
                ),
                "NaN and infinite values cannot be explained: clean the array, for example with numpy.nan_to_num",
            ));
        }
    }
    Ok(InputFile { path: path.to_path_buf(), stem: stem(path), samples })
}

fn check_shape(path: &Path, got: &[usize], sample: &[usize]) -> Result<(), Failure> {
    let list = |shape: &[usize]| shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    if got.len() == sample.len() + 1 && got[1..] == *sample && got[0] > 0 {
        return Ok(());
    }
    let message = format!("'{}' has the shape [{}], the model takes [N, {}]", path.display(), list(got), list(sample));
    let help = if got == sample {
        "add the batch axis: x[None] in numpy".to_owned()
    } else if got.first() == Some(&0) {
        "it holds no samples: give at least one".to_owned()
    } else {
        format!("reshape or preprocess the array to [N, {}], N being the number of samples", list(sample))
    };
    Err(Failure::user(message, help))
}

/// Reads the one array of a file, whatever its number type.
fn read_array<T: Scalar>(path: &Path) -> Result<Tensor<T>, Failure> {
    let unreadable = |what: String| {
        let help = "write it with numpy.save or numpy.savez, as float32, float64 or integers";
        Failure::user(format!("cannot read '{}': {what}", path.display()), help)
    };
    let bytes = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
    if extension(path) == "npy" {
        check_header(&bytes).map_err(unreadable)?;
    }
    let key = if extension(path) == "npz" { Some(array_name(path, &bytes).map_err(unreadable)??) } else { None };
    let source = Source { bytes: &bytes, key: key.as_deref() };
    let mut reason = String::new();
    for read in [
        Source::read_as::<f32, T>,
        Source::read_as::<f64, T>,
        Source::read_as::<u8, T>,
        Source::read_as::<i64, T>,
        Source::read_as::<i32, T>,
        Source::read_as::<u16, T>,
        Source::read_as::<i8, T>,
        Source::read_as::<i16, T>,
        Source::read_as::<u32, T>,
        Source::read_as::<u64, T>,
    ] {
        match read(&source) {
            Ok(array) => return Ok(array),
            Err(ReadNpyError::WrongDescriptor(kind)) => reason = format!("its number type {kind} is not supported"),
            Err(error) => return Err(unreadable(error.to_string())),
        }
    }
    Err(unreadable(reason))
}

/// Checks what an `.npy` file says of itself against its length, before memory is set aside for what it promises.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(if bytes.is_empty() { "the file is empty" } else { "it is not an .npy file" }.to_owned());
    }
    // The header is text: {'descr': '<f4', 'fortran_order': False, 'shape': (16, 1, 28, 28), }
    let end = bytes.iter().position(|b| *b == b'\n').ok_or("it is cut off within its header")?;
    let header = String::from_utf8_lossy(&bytes[..end]);
    let after = |key: &str| header.split_once(key).map(|(_, rest)| rest.trim_start_matches([' ', ':']));
    let shape = after("'shape'").and_then(|s| s.strip_prefix('(')?.split_once(')')).map_or("", |(shape, _)| shape);
    let size = after("'descr'").and_then(|d| d.strip_prefix('\'')?.split_once('\'')).map_or("", |(descr, _)| descr);
    let size: u128 = size.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(1);
    let axes = shape.split(',').filter_map(|axis| axis.trim().parse::<u128>().ok());
    let promised = axes.fold(size, u128::saturating_mul);
    let there = (bytes.len() - end - 1) as u128;
    if promised <= there {
        Ok(())
    } else {
        Err(format!("it is truncated: its header announces {promised} bytes of numbers, and {there} are there"))
    }
}

/// Which array of an archive to read: the only one, or one called `x`, `input` or `arr_0`.
fn array_name(path: &Path, bytes: &[u8]) -> Result<Result<String, Failure>, String> {
    let names = NpzReader::new(Cursor::new(bytes))
        .and_then(|mut a| a.names())
        .map_err(|e| format!("it is no complete .npz archive ({e})"))?;
    let wanted = ["x", "input", "arr_0"].map(str::to_owned);
    Ok(match names.as_slice() {
        [only] => Ok(only.clone()),
        [] => {
            Err(Failure::user(format!("'{}' holds no array", path.display()), "write it with numpy.savez(file, x=…)"))
        }
        _ => wanted.into_iter().find(|name| names.contains(name)).ok_or_else(|| {
            Failure::user(
                format!("'{}' holds several arrays: {}", path.display(), names.join(", ")),
                "call the one to explain 'x', or save it alone",
            )
        }),
    })
}

/// An array within the bytes of a file.
struct Source<'a> {
    bytes: &'a [u8],
    /// Its name, in an archive.
    key: Option<&'a str>,
}

impl Source<'_> {
    /// The array as `T`, if it holds numbers of type `E`.
    fn read_as<E: ReadableElement + Copy + AsPrimitive<f64>, T: Scalar>(&self) -> Result<Tensor<T>, ReadNpyError> {
        let array = match self.key {
            None => ArrayD::<E>::read_npy(Cursor::new(self.bytes))?,
            Some(key) => {
                let archive =
                    NpzReader::new(Cursor::new(self.bytes)).and_then(|mut a| a.by_name::<OwnedRepr<E>, IxDyn>(key));
                match archive {
                    Ok(array) => array,
                    Err(ReadNpzError::Npy(error)) => return Err(error),
                    Err(ReadNpzError::Zip(error)) => return Err(std::io::Error::other(error).into()),
                }
            }
        };
        Ok(array.as_standard_layout().mapv(|v| T::of(v.as_())))
    }
}

/// Reads an image as one sample: resized as the recipe allows, scaled to 0…1, then `(pixel − mean) / std`.
fn read_image<T: Scalar>(path: &Path, shape: &[usize], expected: &Input) -> Result<Tensor<T>, Failure> {
    let Some(layout) = Layout::of(shape).filter(|l| matches!(l.channels(), 1 | 3)) else {
        return Err(Failure::user(
            format!(
                "'{}': the model takes samples of shape {shape:?}, which is no image with 1 or 3 channels",
                path.display()
            ),
            "give its input as an .npy file",
        ));
    };
    let unreadable = |e: String| {
        Failure::user(format!("cannot read the image '{}': {e}", path.display()), "PNG, JPEG and WebP are read")
    };
    let image = image::ImageReader::open(path)
        .and_then(image::ImageReader::with_guessed_format)
        .map_err(|e| unreadable(e.to_string()))?
        .decode()
        .map_err(|e| unreadable(e.to_string()))?;
    let image = resized(path, image, layout.size(), expected.resize)?;
    let channels = layout.channels();
    for (key, list) in [("mean", &expected.mean), ("std", &expected.std)] {
        if let Some(list) = list.as_ref().filter(|l| l.len() > 1 && l.len() != channels) {
            return Err(Failure::user(
                format!("[input] {key} is for {} channels, the model's input has {channels}", list.len()),
                "give one number for all channels, or one for each",
            ));
        }
    }
    // Sixteen bits hold the value of every eight-bit pixel exactly: v·257 / 65535 = v / 255.
    let pixels: Vec<u16> = if channels == 1 { image.to_luma16().into_raw() } else { image.to_rgb16().into_raw() };
    let (height, width) = (image.height() as usize, image.width() as usize);
    let value = |y: usize, x: usize, c: usize| {
        let pixel = pixels.get((y * width + x) * channels + c).copied().unwrap_or(0);
        T::of(expected.normalized(f64::from(pixel) / 65535.0, c))
    };
    let mut batch = vec![1];
    batch.extend_from_slice(shape);
    Ok(match layout {
        Layout::ChannelsFirst { .. } => ArrayD::from_shape_fn(batch, |i| value(i[2], i[3], i[1])),
        Layout::ChannelsLast { .. } => ArrayD::from_shape_fn(batch, |i| value(i[1], i[2], i[3])),
        Layout::Plane { .. } => {
            debug_assert_eq!(height * width * channels, pixels.len());
            ArrayD::from_shape_fn(batch, |i| value(i[1], i[2], 0))
        }
    })
}

/// Brings an image to the model's size, if the recipe says how.
fn resized(path: &Path, image: DynamicImage, size: (u32, u32), how: Option<Resize>) -> Result<DynamicImage, Failure> {
    let (height, width) = size;
    if (image.height(), image.width()) == size {
        return Ok(image);
    }
    match how {
        Some(Resize::Stretch) => Ok(image.resize_exact(width, height, FilterType::Triangle)),
        Some(Resize::Crop) => Ok(image.resize_to_fill(width, height, FilterType::Triangle)),
        None => Err(Failure::user(
            format!(
                "'{}' is {}×{} pixels, the model takes {width}×{height}",
                path.display(),
                image.width(),
                image.height()
            ),
            "let the recipe say how to resize it, resize = \"crop\" (keeps proportions) or \"stretch\" under [input], or pass --resize",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma};

    #[test]
    fn pixels_are_scaled_and_normalised() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        GrayImage::from_fn(2, 1, |x, _| Luma([if x == 0 { 0 } else { 51 }])).save(&path).unwrap();
        let expected = Input { mean: Some(vec![0.5]), std: Some(vec![0.25]), ..Input::default() };
        let read = read::<f64>(&path, &[1, 1, 2], &expected).unwrap();
        assert_eq!(read.samples.shape(), [1, 1, 1, 2]);
        assert_eq!(read.samples.iter().copied().collect::<Vec<_>>(), [-2.0, (0.2 - 0.5) / 0.25]);
        assert!(super::read::<f64>(&path, &[1, 2, 2], &expected).is_err());
        let stretched = Input { resize: Some(Resize::Stretch), ..expected };
        assert_eq!(super::read::<f64>(&path, &[3, 2, 2], &stretched).unwrap().samples.shape(), [1, 3, 2, 2]);
    }

    #[test]
    fn arrays_of_any_number_type_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        ndarray_npy::write_npy(&path, &ndarray::array![[1_u8, 2], [3, 4]]).unwrap();
        let read = read::<f32>(&path, &[2], &Input::default()).unwrap();
        assert_eq!(read.samples, ndarray::array![[1.0, 2.0], [3.0, 4.0]].into_dyn());
        assert!(super::read::<f32>(&path, &[3], &Input::default()).is_err());
    }

    #[test]
    fn headers_that_promise_too_much_are_refused() {
        let npy = |shape: &str, data: usize| {
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
            bytes.extend(header.as_bytes());
            bytes.extend(vec![0; data]);
            bytes
        };
        assert_eq!(check_header(&npy("(2, 3)", 24)), Ok(()));
        assert_eq!(check_header(&npy("(5,)", 20)), Ok(()));
        assert_eq!(check_header(&npy("()", 4)), Ok(()));
        for bytes in [npy("(2, 3)", 23), npy("(1099511627776, 28, 28)", 24), npy(&format!("({}, 9)", u128::MAX), 24)] {
            assert!(check_header(&bytes).unwrap_err().contains("truncated"));
        }
        assert!(check_header(b"").is_err() && check_header(b"hello").is_err() && check_header(b"\x93NUMPY").is_err());
    }

    #[test]
    fn two_files_of_one_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "a.npy"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(expand(&[folder.path().to_path_buf()]).is_err());
        assert!(expand(&[folder.path().join("*.png")]).is_ok());
        assert!(expand(&[folder.path().join("*.jpg")]).is_err());
    }
}
