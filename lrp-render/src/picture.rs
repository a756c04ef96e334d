//! A sample as a picture, and heatmaps drawn over it.

use image::{Rgb, RgbImage};
use lrp_config::{Channels, Input};
use lrp_core::Scalar;
use ndarray::ArrayViewD;

use crate::arrangement::Arrangement;

/// A sample as a picture, arranged as its heatmap: `[input]` range, mean and std undone, blue, green, red put in order, and values beyond 0…1 stretched to black and white.
pub fn picture<T: Scalar>(sample: ArrayViewD<'_, T>, expected: &Input) -> RgbImage {
    let arrangement = Arrangement::of(sample.shape());
    let numbers: Vec<f64> = sample.iter().map(|v| v.wide()).collect();
    let last = arrangement.channels().saturating_sub(1);
    let pixel = |place: usize, channel: usize| {
        let number = numbers.get(arrangement.index(channel, place)).copied().unwrap_or_default();
        expected.pixel(number, channel)
    };
    let all = (0..=last).flat_map(|channel| (0..arrangement.places()).map(move |place| (place, channel)));
    let (mut low, mut high) = all.fold((0.0_f64, 1.0_f64), |(low, high), (place, channel)| {
        let v = pixel(place, channel);
        (low.min(v), high.max(v))
    });
    // Rounding must not make a picture of pixels a stretched one.
    if low > -1e-3 && high < 1.0 + 1e-3 {
        (low, high) = (0.0, 1.0);
    }
    let (width, height) = arrangement.size();
    RgbImage::from_fn(width, height, |x, y| {
        let value = |channel: usize| {
            let pixel: f64 = arrangement.place(x, y).map_or(high, |place| pixel(place, channel.min(last)));
            ((pixel - low) / (high - low) * 255.0).round().clamp(0.0, 255.0) as u8
        };
        match expected.channels {
            Some(Channels::Bgr) => Rgb([value(2), value(1), value(0)]),
            _ => Rgb([value(0), value(1), value(2)]),
        }
    })
}

/// `color` over a pixel of the input, which is made grey. `opacity` 0 shows the input, and 1 the colour.
pub fn over(input: Rgb<u8>, color: Rgb<u8>, opacity: f64) -> Rgb<u8> {
    let [red, green, blue] = input.0.map(f64::from);
    let grey = 0.299 * red + 0.587 * green + 0.114 * blue;
    Rgb(color.0.map(|c| (grey + (f64::from(c) - grey) * opacity).round().clamp(0.0, 255.0) as u8))
}
