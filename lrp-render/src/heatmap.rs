//! Heatmaps: the relevance of one sample as a picture.

use image::{Rgb, RgbImage};
use lrp_config::{Scale, Size};
use lrp_core::Scalar;
use ndarray::{ArrayViewD, Axis};

use crate::arrangement::Arrangement;
use crate::look::Look;
use crate::picture::over;

/// Relevance per position of a picture, channels summed.
#[derive(Debug, Clone, PartialEq)]
pub struct Heatmap {
    arrangement: Arrangement,
    values: Vec<f64>,
}

/// Between the slices of a volume, and after the last of them.
const BETWEEN: Rgb<u8> = Rgb([200, 200, 200]);

impl Heatmap {
    /// The heatmap of one sample (without batch axis).
    pub fn new<T: Scalar>(relevance: ArrayViewD<'_, T>) -> Self {
        let arrangement = Arrangement::of(relevance.shape());
        let mut values = vec![0.0; arrangement.places()];
        let numbers: Vec<f64> = relevance.iter().map(|r| r.wide()).collect();
        for channel in 0..arrangement.channels() {
            for (place, value) in values.iter_mut().enumerate() {
                *value += numbers.get(arrangement.index(channel, place)).copied().unwrap_or_default();
            }
        }
        Self { arrangement: arrangement.summed(), values }
    }

    /// The heatmap of relevance `[C, H, W]` inside a network, where the first axis are channels, whatever its length.
    pub fn of_map<T: Scalar>(relevance: ArrayViewD<'_, T>) -> Self {
        let plane = relevance.shape().get(1..).unwrap_or_default().to_vec();
        let mut values = vec![0.0; plane.iter().product()];
        for channel in relevance.axis_iter(Axis(0)) {
            values.iter_mut().zip(channel).for_each(|(value, r)| *value += r.wide());
        }
        let shape: Vec<usize> = std::iter::once(1).chain(plane).collect();
        Self { arrangement: Arrangement::of(&shape), values }
    }

    /// Its width and height, one pixel for each value.
    pub fn size(&self) -> (u32, u32) {
        self.arrangement.size()
    }

    /// The largest absolute value.
    pub fn max(&self) -> f64 {
        self.values.iter().fold(0.0, |m, v| v.abs().max(m))
    }

    /// The sum.
    pub fn sum(&self) -> f64 {
        self.values.iter().sum()
    }

    /// The same map over a picture of at least its own size: each pixel has the value whose part of the picture it is in, without smoothing.
    pub fn spread(&self, width: u32, height: u32) -> Self {
        let (own_width, own_height) = self.arrangement.size();
        let (width, height) = (width.max(own_width), height.max(own_height));
        let at =
            |pixel: u32, pixels: u32, own: u32| (u64::from(pixel) * u64::from(own) / u64::from(pixels.max(1))) as u32;
        let value = |x: u32, y: u32| {
            let place = self.arrangement.place(at(x, width, own_width), at(y, height, own_height));
            place.and_then(|place| self.values.get(place)).copied().unwrap_or_default()
        };
        let values = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| value(x, y)).collect();
        Self { arrangement: Arrangement::of(&[1, height as usize, width as usize]), values }
    }

    /// One pixel for each value. A map of zeros is neutral everywhere. Over the sample's picture, where that is wanted, large relevance
    /// is opaque and zero relevance cannot be seen.
    pub fn paint(&self, look: &Look, input: Option<&RgbImage>) -> RgbImage {
        let limit = look.limit(&self.values);
        let (width, height) = self.arrangement.size();
        let under = look.overlay.zip(input.filter(|input| input.dimensions() == (width, height)));
        RgbImage::from_fn(width, height, |x, y| {
            let Some(place) = self.arrangement.place(x, y) else { return BETWEEN };
            let value = self.values.get(place).copied().unwrap_or(0.0);
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

/// The least height and width of an enlarged picture: one row of pixels can hardly be seen.
const LEAST: u32 = 16;

/// Enlarges by a whole factor; a single row or column by more, if need be.
pub fn enlarge(image: &RgbImage, size: Size) -> RgbImage {
    let factor = size.factor(image.width().max(image.height()));
    let [x_factor, y_factor] =
        [image.width(), image.height()].map(|pixels| if pixels == 1 { factor.max(LEAST) } else { factor });
    // `imageops::resize` rounds each channel of each pixel, which took most of the time of a small run.
    RgbImage::from_fn(image.width() * x_factor, image.height() * y_factor, |x, y| {
        *image.get_pixel(x / x_factor, y / y_factor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array;

    #[test]
    fn zero_is_white_and_an_empty_map_is_all_white() {
        let bwr = Look::default();
        let map = Heatmap::new(Array::from_shape_vec(vec![1, 1, 3], vec![-2.0, 0.0, 1.0]).unwrap().view());
        let painted = map.paint(&bwr, None);
        assert_eq!(painted.get_pixel(0, 0), &Rgb([0, 0, 255]));
        assert_eq!(painted.get_pixel(1, 0), &Rgb([255, 255, 255]));
        assert_eq!(painted.get_pixel(2, 0), &Rgb([255, 128, 128]));
        let nothing = Heatmap::new(Array::<f32, _>::zeros(vec![3, 4, 4]).view());
        assert!(nothing.picture(&bwr, None).pixels().all(|p| *p == Rgb([255, 255, 255])));
    }

    #[test]
    fn over_the_input_zero_shows_the_input_and_the_largest_is_opaque() {
        let look = Look { overlay: Some(1.0), ..Look::default() };
        let input = RgbImage::from_pixel(3, 1, Rgb([40, 40, 40]));
        let map = Heatmap::new(Array::from_shape_vec(vec![1, 1, 3], vec![-2.0, 0.0, 1.0]).unwrap().view());
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
    }

    #[test]
    fn a_map_is_spread_over_a_larger_picture() {
        let map = Heatmap::of_map(Array::from_shape_vec(vec![2, 1, 2], vec![1.0, 2.0, 3.0, -2.0]).unwrap().view());
        let spread = map.spread(5, 2);
        assert_eq!(spread.values, [4.0, 4.0, 4.0, 0.0, 0.0, 4.0, 4.0, 4.0, 0.0, 0.0]);
        assert_eq!(spread.size(), (5, 2));
        // A map that is finer than the picture keeps its size.
        assert_eq!(map.spread(1, 1).values, [4.0, 0.0]);
        // Five rows of three columns, and not three channels that come last.
        let deep = Array::from_shape_fn(vec![8, 5, 3], |i| (i[1] * 3 + i[2]) as f64);
        let deep = Heatmap::of_map(deep.view());
        assert_eq!((deep.size(), deep.values.iter().copied().last()), ((3, 5), Some(8.0 * 14.0)));
    }

    #[test]
    fn volumes_and_vectors_are_drawn() {
        // The channels of a voxel cancel in the second slice.
        let volume = Array::from_shape_vec(vec![2, 2, 1, 2], vec![1.0, 2.0, 3.0, 4.0, 0.0, 0.0, -3.0, -4.0]).unwrap();
        let painted = Heatmap::new(volume.view()).paint(&Look::default(), None);
        let colours: Vec<Rgb<u8>> = painted.pixels().copied().collect();
        assert!(colours.contains(&Rgb([255, 0, 0])) && colours.contains(&BETWEEN) && colours.contains(&Rgb([255; 3])));
        let vector = Heatmap::new(Array::from_shape_vec(vec![3], vec![-1.0, 0.0, 1.0]).unwrap().view());
        let painted = vector.paint(&Look::default(), None);
        assert_eq!(painted.as_raw(), &[0, 0, 255, 255, 255, 255, 255, 0, 0]);
        assert!(vector.picture(&Look::default(), None).height() >= LEAST);
        // Channels without height and width are not summed to one pixel.
        assert_eq!(Heatmap::new(Array::<f32, _>::zeros(vec![5, 1, 1]).view()).paint(&Look::default(), None).width(), 5);
    }
}
