//! Heatmaps: the relevance of one sample as a picture.

use image::{RgbImage, imageops};
use lrp_config::{Scale, Size};
use lrp_core::Scalar;
use ndarray::{ArrayViewD, Axis, Ix2, Ix3};

use crate::layout::Layout;
use crate::look::Look;
use crate::picture::over;

/// Relevance per pixel, channels summed, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Heatmap {
    width: u32,
    height: u32,
    values: Vec<f64>,
}

impl Heatmap {
    /// The heatmap of one sample (without batch axis), or `None` where a sample is no picture.
    pub fn new<T: Scalar>(relevance: ArrayViewD<'_, T>) -> Option<Self> {
        let layout = Layout::of(relevance.shape())?;
        let wide = relevance.mapv(Scalar::wide);
        let pixels = match layout {
            Layout::ChannelsFirst { .. } => wide.into_dimensionality::<Ix3>().ok()?.sum_axis(Axis(0)),
            Layout::ChannelsLast { .. } => wide.into_dimensionality::<Ix3>().ok()?.sum_axis(Axis(2)),
            Layout::Plane { .. } => wide.into_dimensionality::<Ix2>().ok()?,
        };
        let (height, width) = layout.size();
        Some(Self { width, height, values: pixels.iter().copied().collect() })
    }

    /// The largest absolute value.
    pub fn max(&self) -> f64 {
        self.values.iter().fold(0.0, |m, v| v.abs().max(m))
    }

    /// The sum.
    pub fn sum(&self) -> f64 {
        self.values.iter().sum()
    }

    /// One pixel for each value. A map of zeros is neutral everywhere. Over the sample's picture, where that is wanted, large relevance
    /// is opaque and zero relevance cannot be seen.
    pub fn paint(&self, look: &Look, input: Option<&RgbImage>) -> RgbImage {
        let limit = look.limit(&self.values);
        let under = look.overlay.zip(input.filter(|input| input.dimensions() == (self.width, self.height)));
        RgbImage::from_fn(self.width, self.height, |x, y| {
            let value = self.values.get((y * self.width + x) as usize).copied().unwrap_or(0.0);
            let value = look.scaled(value, limit);
            let seen = if look.scale == Scale::Positive { value.max(0.0) } else { value.abs() };
            match under {
                // Colours are faint near zero by themselves: the root keeps them from fading twice.
                Some((opacity, input)) => over(*input.get_pixel(x, y), look.color(value), opacity * seen.sqrt()),
                None => look.color(value),
            }
        })
    }

    /// As [`paint`](Self::paint), enlarged without smoothing to a size that can be looked at.
    pub fn picture(&self, look: &Look, input: Option<&RgbImage>) -> RgbImage {
        enlarge(&self.paint(look, input), look.size.unwrap_or_default())
    }
}

/// Enlarges by a whole factor.
pub fn enlarge(image: &RgbImage, size: Size) -> RgbImage {
    let factor = size.factor(image.width().max(image.height()));
    imageops::resize(image, image.width() * factor, image.height() * factor, imageops::FilterType::Nearest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use ndarray::Array;

    #[test]
    fn zero_is_white_and_an_empty_map_is_all_white() {
        let bwr = Look::default();
        let map = Heatmap::new(Array::from_shape_vec(vec![1, 1, 3], vec![-2.0, 0.0, 1.0]).unwrap().view()).unwrap();
        let painted = map.paint(&bwr, None);
        assert_eq!(painted.get_pixel(0, 0), &Rgb([0, 0, 255]));
        assert_eq!(painted.get_pixel(1, 0), &Rgb([255, 255, 255]));
        assert_eq!(painted.get_pixel(2, 0), &Rgb([255, 128, 128]));
        let nothing = Heatmap::new(Array::<f32, _>::zeros(vec![3, 4, 4]).view()).unwrap();
        assert!(nothing.picture(&bwr, None).pixels().all(|p| *p == Rgb([255, 255, 255])));
    }

    #[test]
    fn over_the_input_zero_shows_the_input_and_the_largest_is_opaque() {
        let look = Look { overlay: Some(1.0), ..Look::default() };
        let input = RgbImage::from_pixel(3, 1, Rgb([40, 40, 40]));
        let map = Heatmap::new(Array::from_shape_vec(vec![1, 1, 3], vec![-2.0, 0.0, 1.0]).unwrap().view()).unwrap();
        let painted = map.paint(&look, Some(&input));
        assert_eq!(painted.get_pixel(0, 0), &Rgb([0, 0, 255]));
        assert_eq!(painted.get_pixel(1, 0), &Rgb([40, 40, 40]));
        // Half of the largest: √½ of the way from grey to pale red.
        assert_eq!(painted.get_pixel(2, 0), &Rgb([192, 102, 102]));
    }

    #[test]
    fn channels_are_summed_in_either_layout() {
        let first = Array::from_shape_fn(vec![3, 5, 4], |i| i[0] as f64 + i[1] as f64 * 10.0);
        let last = first.view().permuted_axes(vec![1, 2, 0]).to_owned();
        assert_eq!(Heatmap::new(first.view()), Heatmap::new(last.view()));
        assert!(Heatmap::new(Array::<f32, _>::zeros(vec![7]).view()).is_none());
    }
}
