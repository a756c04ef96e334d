//! Properties of inputs: the range of arrays, and the sizes of images.

use std::path::Path;

use lrp::Error;
use lrp::init::{Measured, Seen, picture};
use lrp_config::Input;

use super::{FileSet, Source, image, is_array, is_image};

/// The number of samples of arrays that are examined.
const SAMPLES: usize = 256;

/// Examines files for a model with samples of this shape.
///
/// # Errors
/// When an array cannot be read or does not go with the model, or an image cannot be read.
pub fn measure(sets: &[FileSet], shape: &[usize]) -> Result<Seen, Error> {
    let (arrays, images): (Vec<&Path>, Vec<&Path>) = sets.iter().map(FileSet::path).partition(|path| is_array(path));
    let mut seen = Seen { images: !images.is_empty(), ..Seen::default() };
    for path in arrays {
        add(&mut seen.measured, path, shape)?;
    }
    if let Some(layout) = picture(shape, seen.images) {
        let (height, width) = layout.size();
        for path in images.into_iter().filter(|path| is_image(path)) {
            let size = lrp::input::image_size(path, &image(path)?)?;
            seen.resized |= size != (width, height);
        }
    }
    Ok(seen)
}

fn add(measured: &mut Option<Measured>, path: &Path, shape: &[usize]) -> Result<(), Error> {
    let mut source = Source::<f32>::open(path, shape, &Input::default())?;
    let before = measured.map_or(0, |seen| seen.samples);
    let count = source.left().min(SAMPLES.saturating_sub(before));
    if count == 0 {
        return Ok(());
    }
    let seen = measured.get_or_insert(Measured { low: f64::INFINITY, high: f64::NEG_INFINITY, samples: 0 });
    for _ in 0..count {
        for &value in &source.take(1)? {
            seen.low = seen.low.min(f64::from(value));
            seen.high = seen.high.max(f64::from(value));
        }
    }
    seen.samples += count;
    Ok(())
}
