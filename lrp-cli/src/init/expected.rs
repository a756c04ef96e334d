//! What is known of the model's input: its layout, what the file says of pixels, and what arrays hold.

use std::path::{Path, PathBuf};

use lrp_config::{Input, InputPreset};

use super::inside::Inside;
use crate::failure::Failure;
use crate::input::{self, Source};
use crate::layout::Layout;

/// So many samples of the arrays are looked at.
const SAMPLES: usize = 256;
/// The side of the smallest picture: a sample `[1, 2, 3]` is no picture.
const SIDE: u32 = 8;

/// What is known of the input.
#[derive(Debug, Default)]
pub struct Expected {
    /// Its layout, where samples are pictures.
    pub picture: Option<Layout>,
    /// What the user says of pixels.
    pub preset: Option<InputPreset>,
    /// What the file says of pixel values.
    pub stated: Option<Stated>,
    /// Whether the file says that the model expects blue, green, red.
    pub bgr: bool,
    /// Lowest and highest number in the arrays to explain.
    pub measured: Option<Measured>,
    /// What the model does to pixels itself.
    pub inside: Option<Inside>,
    /// Whether some image to explain has another size than the model's input.
    pub resized: bool,
}

/// Numbers that were looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// In so many samples.
    pub samples: usize,
}

/// `Image.NominalPixelRange` in a file's metadata, as ONNX defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stated {
    /// Pixels from 0 to 1.
    ZeroToOne,
    /// Pixels from −1 to 1.
    MinusOneToOne,
    /// Pixels from 0 to 255.
    ZeroTo255,
}

impl Expected {
    /// Gathers what the file says and what the inputs show.
    ///
    /// # Errors
    /// When an array cannot be read or does not go with the model, or an image cannot be read.
    pub fn new(metadata: &[(String, String)], shape: &[usize], files: &[PathBuf]) -> Result<Self, Failure> {
        let (arrays, images): (Vec<&PathBuf>, Vec<&PathBuf>) = files.iter().partition(|path| input::is_array(path));
        let value = |wanted: &str| metadata.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str());
        let picture = Layout::of(shape).filter(|layout| match layout {
            Layout::Plane { .. } => !images.is_empty(),
            _ => matches!(layout.channels(), 1 | 3) && layout.size().0.min(layout.size().1) >= SIDE,
        });
        let mut expected = Self {
            stated: value("Image.NominalPixelRange").and_then(Stated::parse).filter(|_| picture.is_some()),
            bgr: value("Image.BitmapPixelFormat").is_some_and(|format| format.starts_with("Bgr")),
            picture,
            ..Self::default()
        };
        for path in arrays {
            expected.measure(path, shape)?;
        }
        if let Some(layout) = picture {
            let (height, width) = layout.size();
            for path in images {
                let size = input::picture_size(path)?;
                expected.resized |= size != (width, height);
            }
        }
        Ok(expected)
    }

    /// Whether pixels go to the model as they are, from 0 to 1: what is stated or measured does not say otherwise.
    pub fn unit_range(&self) -> bool {
        self.picture.is_some() && self.fits([0.0, 1.0])
    }

    /// Whether all numbers of the arrays lie within a range.
    pub fn fits(&self, [low, high]: [f64; 2]) -> bool {
        self.measured.is_none_or(|seen| seen.low >= low && seen.high <= high)
    }

    /// Whether `[input]` can have a range, and z-box with it.
    pub fn has_range(&self) -> bool {
        self.picture.is_some()
            && (self.preset.is_some() || self.stated.is_some() || self.unit_range() || self.measured.is_some())
    }

    fn measure(&mut self, path: &Path, shape: &[usize]) -> Result<(), Failure> {
        let mut source = Source::<f32>::open(path, shape, &Input::default())?;
        let before = self.measured.map_or(0, |seen| seen.samples);
        let count = source.left().min(SAMPLES.saturating_sub(before));
        if count == 0 {
            return Ok(());
        }
        let seen = self.measured.get_or_insert(Measured { low: f64::INFINITY, high: f64::NEG_INFINITY, samples: 0 });
        for _ in 0..count {
            for &value in &source.take(1)? {
                seen.low = seen.low.min(f64::from(value));
                seen.high = seen.high.max(f64::from(value));
            }
        }
        seen.samples += count;
        Ok(())
    }
}

impl Stated {
    fn parse(range: &str) -> Option<Self> {
        match range {
            "Normalized_0_1" => Some(Stated::ZeroToOne),
            "Normalized_1_1" => Some(Stated::MinusOneToOne),
            "NominalRange_0_255" => Some(Stated::ZeroTo255),
            _ => None,
        }
    }
}

impl Stated {
    /// The name in the file, and the range that it stands for.
    pub fn range(self) -> (&'static str, [f64; 2]) {
        match self {
            Stated::ZeroToOne => ("Normalized_0_1", [0.0, 1.0]),
            Stated::MinusOneToOne => ("Normalized_1_1", [-1.0, 1.0]),
            Stated::ZeroTo255 => ("NominalRange_0_255", [0.0, 255.0]),
        }
    }
}

impl Measured {
    /// The interval, widened to two digits: `[-2.1, 2.7]` for −2.03 and 2.64.
    pub fn widened(self) -> [f64; 2] {
        let size = self.low.abs().max(self.high.abs());
        if size == 0.0 {
            return [0.0, 1.0];
        }
        // Dividing by a whole power of ten rounds to the nearest decimal, multiplying by a tenth does not.
        let digits = 1 - size.log10().floor() as i32;
        let (up, unit) = (digits >= 0, 10_f64.powi(digits.abs()));
        let round = |value: f64, whole: fn(f64) -> f64| {
            if up { whole(value * unit) / unit } else { whole(value / unit) * unit }
        };
        [round(self.low, f64::floor), round(self.high, f64::ceil)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(low: f64, high: f64) -> Measured {
        Measured { low, high, samples: 1 }
    }

    #[test]
    fn intervals_are_widened() {
        assert_eq!(measured(-2.03, 2.64).widened(), [-2.1, 2.7]);
        assert_eq!(measured(0.0, 253.0).widened(), [0.0, 260.0]);
        assert_eq!(measured(-0.01234, 0.0).widened(), [-0.013, 0.0]);
        assert_eq!(measured(0.0, 0.0).widened(), [0.0, 1.0]);
    }

    #[test]
    fn what_a_file_says_of_pixels() {
        let says = |range: &str, shape: &[usize]| {
            let metadata = [("Image.NominalPixelRange".to_owned(), range.to_owned())];
            Expected::new(&metadata, shape, &[]).unwrap()
        };
        assert_eq!(says("NominalRange_0_255", &[3, 32, 32]).stated, Some(Stated::ZeroTo255));
        assert_eq!(says("NominalRange_0_255", &[8]).stated, None);
        assert_eq!(says("whatever", &[3, 32, 32]).stated, None);
        assert!(says("", &[3, 32, 32]).unit_range());
        assert!(!says("", &[64]).has_range() && !says("", &[12, 128]).has_range() && !says("", &[1, 2, 3]).has_range());
    }
}
