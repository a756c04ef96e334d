//! Heatmaps: the relevance of one sample as a picture.

use image::{RgbImage, imageops};
use lrp_core::Scalar;
use ndarray::{ArrayViewD, Axis, Ix2, Ix3};

use crate::colormap::Colormap;
use crate::layout::Layout;

/// Heatmaps are enlarged by a whole factor until their longer side has this many pixels.
const SIDE: u32 = 224;

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

    /// The largest absolute value: what the ends of the colour scale stand for.
    pub fn limit(&self) -> f64 {
        self.values.iter().fold(0.0, |m, v| v.abs().max(m))
    }

    /// The sum.
    pub fn sum(&self) -> f64 {
        self.values.iter().sum()
    }

    /// One pixel for each value, `limit` at the ends of the scale. A map of zeros is neutral everywhere.
    pub fn paint(&self, colormap: Colormap, limit: f64) -> RgbImage {
        RgbImage::from_fn(self.width, self.height, |x, y| {
            let value = self.values.get((y * self.width + x) as usize).copied().unwrap_or(0.0);
            colormap.color(if limit > 0.0 { value / limit } else { 0.0 })
        })
    }

    /// As [`paint`](Self::paint), enlarged without smoothing to a size that can be looked at.
    pub fn picture(&self, colormap: Colormap) -> RgbImage {
        enlarge(&self.paint(colormap, self.limit()), SIDE)
    }
}

/// Enlarges by the smallest whole factor that makes the longer side at least `side` pixels long.
pub fn enlarge(image: &RgbImage, side: u32) -> RgbImage {
    let longer = image.width().max(image.height()).max(1);
    let factor = side.div_ceil(longer).max(1);
    imageops::resize(image, image.width() * factor, image.height() * factor, imageops::FilterType::Nearest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use ndarray::Array;

    #[test]
    fn zero_is_white_and_an_empty_map_is_all_white() {
        let bwr = Colormap::find("bwr").unwrap();
        let map = Heatmap::new(Array::from_shape_vec(vec![1, 1, 3], vec![-2.0, 0.0, 1.0]).unwrap().view()).unwrap();
        let painted = map.paint(bwr, map.limit());
        assert_eq!(painted.get_pixel(0, 0), &Rgb([0, 0, 255]));
        assert_eq!(painted.get_pixel(1, 0), &Rgb([255, 255, 255]));
        assert_eq!(painted.get_pixel(2, 0), &Rgb([255, 128, 128]));
        let nothing = Heatmap::new(Array::<f32, _>::zeros(vec![3, 4, 4]).view()).unwrap();
        assert!(nothing.picture(bwr).pixels().all(|p| *p == Rgb([255, 255, 255])));
    }

    #[test]
    fn channels_are_summed_in_either_layout() {
        let first = Array::from_shape_fn(vec![3, 5, 4], |i| i[0] as f64 + i[1] as f64 * 10.0);
        let last = first.view().permuted_axes(vec![1, 2, 0]).to_owned();
        assert_eq!(Heatmap::new(first.view()), Heatmap::new(last.view()));
        assert!(Heatmap::new(Array::<f32, _>::zeros(vec![7]).view()).is_none());
    }
}
