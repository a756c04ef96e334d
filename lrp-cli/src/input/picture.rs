//! Images as inputs: one sample each.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat, ImageReader, Limits, imageops::FilterType};
use lrp_config::{Input, Resize};
use lrp_core::file::{self, Limit};
use lrp_core::{Scalar, Tensor};
use ndarray::ArrayD;

use super::complete;

use crate::failure::Failure;
use crate::layout::Layout;

/// Pixels of an image: as many as the largest cameras take. A small file can claim, or unpack to, any number of them.
const MOST_PIXELS: u64 = 150_000_000;

/// What decoding an image may take.
fn limits() -> Limits {
    let mut limits = Limits::default();
    // Sixteen bits for each of four channels.
    limits.max_alloc = Some(8 * MOST_PIXELS);
    limits
}

/// The contents of an image file.
pub fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    file::read(path, Limit::IMAGE).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::user(format!("cannot read the image '{}': {why}", path.display()), "PNG, JPEG and WebP are read")
}

/// Reads an image as one sample: resized as the recipe allows, scaled to 0…1, then `(pixel − mean) / std`.
pub fn read<T: Scalar>(path: &Path, bytes: &[u8], shape: &[usize], expected: &Input) -> Result<Tensor<T>, Failure> {
    let Some(layout) = Layout::of(shape).filter(|l| matches!(l.channels(), 1 | 3)) else {
        return Err(Failure::user(
            format!(
                "'{}': the model takes samples of shape {shape:?}, which is no image with 1 or 3 channels",
                path.display()
            ),
            "give its input as an .npy file",
        ));
    };
    let mut image = ImageReader::new(Cursor::new(bytes));
    // What the contents say counts, and where they say nothing, the name.
    if let Ok(format) = ImageFormat::from_path(path) {
        image.set_format(format);
    }
    let mut image = image.with_guessed_format().map_err(|e| unreadable(path, &e))?;
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
    image.limits(limits());
    let image = image.decode().map_err(|e| unreadable(path, &e))?;
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
        let image = bytes(&path).unwrap();
        let expected = Input { mean: Some(vec![0.5]), std: Some(vec![0.25]), ..Input::default() };
        let samples = read::<f64>(&path, &image, &[1, 1, 2], &expected).unwrap();
        assert_eq!(samples.shape(), [1, 1, 1, 2]);
        assert_eq!(samples.iter().copied().collect::<Vec<_>>(), [-2.0, (0.2 - 0.5) / 0.25]);
        assert!(read::<f64>(&path, &image, &[1, 2, 2], &expected).is_err());
        let stretched = Input { resize: Some(Resize::Stretch), ..expected };
        assert_eq!(read::<f64>(&path, &image, &[3, 2, 2], &stretched).unwrap().shape(), [1, 3, 2, 2]);
    }
}
