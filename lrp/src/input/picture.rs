//! Images as inputs: one sample each.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat, ImageReader, Limits, imageops::FilterType};
use lrp_config::{Channels, Input, Resize};
use lrp_core::{Scalar, Tensor};
use ndarray::ArrayD;

use super::{complete, convert};
use crate::error::{Error, ImageError};
use crate::layout::Layout;

/// Pixels of an image: as many as the largest cameras take. A small file can claim, or unpack to, any number of them.
const MOST_PIXELS: u64 = 150_000_000;

/// The limits of decoding an image.
fn limits() -> Limits {
    let mut limits = Limits::default();
    // Sixteen bits for each of four channels.
    limits.max_alloc = Some(8 * MOST_PIXELS);
    limits
}

/// The error for an image that cannot be read.
pub fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Error {
    ImageError::Unreadable { file: path.to_owned(), reason: why.to_string() }.into()
}

/// Width and height in pixels of an image once it is upright. Messages call it `path`.
///
/// # Errors
/// When the bytes are no image.
pub fn size(path: &Path, bytes: &[u8]) -> Result<(u32, u32), Error> {
    let image = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut decoder = image.map_err(|e| unreadable(path, &e))?.into_decoder().map_err(|e| unreadable(path, &e))?;
    Ok(convert::upright_size(&mut decoder))
}

/// Reads an image as one sample `[1, …]`, the rest being `shape`: resized as the recipe allows, scaled to `range`, then `(pixel − mean) / std`.
/// Returns the changes made before, in words. Messages call the image `path`; no file is read.
///
/// # Errors
/// When the bytes are no image, when it has another size and the recipe does not say how to resize it, or other channels than the model's input.
pub fn read<T: Scalar>(
    path: &Path,
    bytes: &[u8],
    shape: &[usize],
    expected: &Input,
) -> Result<(Tensor<T>, Vec<String>), Error> {
    let Some(layout) = Layout::of(shape).filter(|l| matches!(l.channels(), 1 | 3)) else {
        return Err(ImageError::NoImages { file: path.to_owned(), shape: shape.to_vec() }.into());
    };
    let mut image = ImageReader::new(Cursor::new(bytes));
    // What the contents say counts, and where they say nothing, the name.
    if let Ok(format) = ImageFormat::from_path(path) {
        image.set_format(format);
    }
    let image = image.with_guessed_format().map_err(|e| unreadable(path, &e))?;
    // What is no image at all is for the decoder to say.
    if let Ok(format) = image::guess_format(bytes) {
        complete::check(bytes, format).map_err(|why| unreadable(path, &why))?;
    }
    let size =
        ImageReader::with_format(Cursor::new(bytes), image.format().unwrap_or(ImageFormat::Png)).into_dimensions();
    let (width, height) = size.map_err(|e| unreadable(path, &e))?;
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        let why = format!("it has {width}×{height} pixels, and at most {} million are read", MOST_PIXELS / 1_000_000);
        return Err(unreadable(path, &why));
    }
    let (image, mut conversions) = convert::decoded(image, bytes, limits()).map_err(|e| unreadable(path, &e))?;
    let image = resized(path, image, layout.size(), expected.resize)?;
    let channels = layout.channels();
    check_channels(expected, channels)?;
    let (pixels, conversion) = convert::pixels(&image, channels, expected.channels);
    conversions.extend(conversion.map(str::to_owned));
    let (height, width) = (image.height() as usize, image.width() as usize);
    let value = |y: usize, x: usize, c: usize| {
        let pixel = pixels.get((y * width + x) * channels + c).copied().unwrap_or(0);
        T::of(expected.normalized(pixel, c))
    };
    let mut batch = vec![1];
    batch.extend_from_slice(shape);
    let sample = match layout {
        Layout::ChannelsFirst { .. } => ArrayD::from_shape_fn(batch, |i| value(i[2], i[3], i[1])),
        Layout::ChannelsLast { .. } => ArrayD::from_shape_fn(batch, |i| value(i[1], i[2], i[3])),
        Layout::Plane { .. } => {
            debug_assert_eq!(height * width * channels, pixels.len());
            ArrayD::from_shape_fn(batch, |i| value(i[1], i[2], 0))
        }
    };
    Ok((sample, conversions))
}

/// Checks that `[input]` has the number of channels of the model.
fn check_channels(expected: &Input, channels: usize) -> Result<(), Error> {
    let lengths = [
        ("range", expected.range.as_ref().map(Vec::len)),
        ("mean", expected.mean.as_ref().map(Vec::len)),
        ("std", expected.std.as_ref().map(Vec::len)),
    ];
    for (key, length) in lengths {
        if let Some(values) = length.filter(|length| *length > 1 && *length != channels) {
            return Err(ImageError::Values { key, values, channels }.into());
        }
    }
    match expected.channels {
        Some(colours @ (Channels::Rgb | Channels::Bgr)) if channels == 1 => {
            Err(ImageError::Colours { channels: colours }.into())
        }
        _ => Ok(()),
    }
}

/// Brings an image to the model's size, by the `resize` of the recipe.
fn resized(path: &Path, image: DynamicImage, size: (u32, u32), how: Option<Resize>) -> Result<DynamicImage, Error> {
    let (height, width) = size;
    if (image.height(), image.width()) == size {
        return Ok(image);
    }
    match how {
        Some(Resize::Stretch) => Ok(image.resize_exact(width, height, FilterType::Triangle)),
        Some(Resize::Crop) => Ok(image.resize_to_fill(width, height, FilterType::Triangle)),
        None => {
            let (got, expected) = ([image.width(), image.height()], [width, height]);
            Err(ImageError::Size { file: path.to_owned(), got, expected }.into())
        }
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
        let image = std::fs::read(&path).unwrap();
        let expected = Input { mean: Some(vec![0.5]), std: Some(vec![0.25]), ..Input::default() };
        let (samples, conversions) = read::<f64>(&path, &image, &[1, 1, 2], &expected).unwrap();
        assert!(conversions.is_empty());
        assert_eq!(samples.shape(), [1, 1, 1, 2]);
        assert_eq!(samples.iter().copied().collect::<Vec<_>>(), [-2.0, (0.2 - 0.5) / 0.25]);
        assert!(read::<f64>(&path, &image, &[1, 2, 2], &expected).is_err());
        let stretched = Input { resize: Some(Resize::Stretch), ..expected };
        let (samples, conversions) = read::<f64>(&path, &image, &[3, 2, 2], &stretched).unwrap();
        assert_eq!(
            (samples.shape(), conversions.as_slice()),
            (&[1, 3, 2, 2][..], &[convert::TO_COLOURS.to_owned()][..])
        );
    }
    #[test]
    fn what_is_for_other_channels_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        GrayImage::new(2, 2).save(&path).unwrap();
        let image = std::fs::read(&path).unwrap();
        let refused = |expected: Input| read::<f64>(&path, &image, &[1, 2, 2], &expected).unwrap_err().to_string();
        let three = Input { range: Some(vec![[0.0, 1.0]; 3]), ..Input::default() };
        assert!(refused(three).contains("range is for 3 channels, the model's input has 1"));
        let bgr = Input { channels: Some(Channels::Bgr), ..Input::default() };
        assert!(refused(bgr).contains("channels are \"bgr\", and the model's input has one channel"));
    }
}
