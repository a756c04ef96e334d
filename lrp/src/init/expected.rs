//! The known properties of the model's input: its layout, statements of the file on pixels, and values of arrays.

use lrp_config::InputPreset;

use super::inside::Inside;
use crate::layout::Layout;

/// The side of the smallest picture: a sample `[1, 2, 3]` is no picture.
const SIDE: u32 = 8;

/// The known properties of the input.
#[derive(Debug, Default)]
pub struct Expected {
    /// Its layout, where samples are pictures.
    pub picture: Option<Layout>,
    /// Statements of the user on pixels.
    pub preset: Option<InputPreset>,
    /// Statements of the file on pixel values.
    pub stated: Option<Stated>,
    /// Whether the file says that the model expects blue, green, red.
    pub bgr: bool,
    /// Lowest and highest number in the arrays to explain.
    pub measured: Option<Measured>,
    /// Scaling inside the model.
    pub inside: Option<Inside>,
    /// Whether some image to explain has another size than the model's input.
    pub resized: bool,
}

/// Properties of the inputs to explain.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seen {
    /// Whether there are images among them.
    pub images: bool,
    /// Whether some image has another size than the model's input.
    pub resized: bool,
    /// Lowest and highest number in the arrays.
    pub measured: Option<Measured>,
}

/// The layout of samples that are pictures, given their shape and whether images are to be explained.
pub fn picture(shape: &[usize], images: bool) -> Option<Layout> {
    Layout::of(shape).filter(|layout| match layout {
        Layout::Plane { .. } => images,
        _ => matches!(layout.channels(), 1 | 3) && layout.size().0.min(layout.size().1) >= SIDE,
    })
}

/// Numbers that were looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// The number of samples.
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
    /// Gathers the statements of the file and the properties of the inputs.
    pub fn new(metadata: &[(String, String)], shape: &[usize], seen: Seen) -> Self {
        let value = |wanted: &str| metadata.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str());
        let picture = picture(shape, seen.images);
        Self {
            stated: value("Image.NominalPixelRange").and_then(Stated::parse).filter(|_| picture.is_some()),
            bgr: value("Image.BitmapPixelFormat").is_some_and(|format| format.starts_with("Bgr")),
            picture,
            measured: seen.measured,
            resized: seen.resized,
            ..Self::default()
        }
    }

    /// Whether pixels go to the model as they are, from 0 to 1: no statement or measurement contradicts it.
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
    /// The name in the file, and its range.
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
            Expected::new(&metadata, shape, Seen::default())
        };
        assert_eq!(says("NominalRange_0_255", &[3, 32, 32]).stated, Some(Stated::ZeroTo255));
        assert_eq!(says("NominalRange_0_255", &[8]).stated, None);
        assert_eq!(says("whatever", &[3, 32, 32]).stated, None);
        assert!(says("", &[3, 32, 32]).unit_range());
        assert!(!says("", &[64]).has_range() && !says("", &[12, 128]).has_range() && !says("", &[1, 2, 3]).has_range());
    }
}
