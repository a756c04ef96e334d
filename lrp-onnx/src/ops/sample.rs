//! `GridSample` at constant positions: each output is a weighted sum of a few inputs, as in a resize.

use lrp_core::ops::{Reshape, Resize, Taps, shared};
use lrp_core::{Scalar, Tensor};

use super::resize::whole;
use super::{Context, Translated};
use crate::error::{Problem, Shape};
use crate::graph::Origin;
use crate::resizing::cubic_weights;
use crate::tensor::volume;

/// Images `[…, H, W]` at the positions of a grid `[H′, W′, 2]`, from −1 to 1 across the image.
pub(super) fn grid_sample<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let full = cx.full_shape(x).len();
    let grid: Tensor<T> = cx.per_sample(cx.constant(1)?, full)?;
    let misfit = || {
        Problem::unsupported(format!(
            "of {} at a grid of shape {:?}: one image, or a batch of them, at positions in a plane",
            Shape(&input),
            grid.shape()
        ))
    };
    let &[.., height, width] = input.as_slice() else { return Err(misfit()) };
    let (grid_height, grid_width) = match (grid.shape(), cx.has_batch(x), input.first()) {
        (&[h, w, 2], true, _) if full == 4 => (h, w),
        (&[1, h, w, 2], false, Some(1)) if full == 4 => (h, w),
        _ => return Err(misfit()),
    };
    let mode = match cx.node.text("mode").as_deref() {
        None | Some("linear" | "bilinear") => Mode::Linear,
        Some("nearest") => Mode::Nearest,
        Some("cubic" | "bicubic") => Mode::Cubic,
        Some(other) => return Err(Problem::invalid(format!("it has the mode '{other}'"))),
    };
    let padding = match cx.node.text("padding_mode").as_deref() {
        None | Some("zeros") => Padding::Zeros,
        Some("border") => Padding::Border,
        Some("reflection") => Padding::Reflection,
        Some(other) => return Err(Problem::invalid(format!("it has the padding_mode '{other}'"))),
    };
    let aligned = cx.node.int("align_corners").unwrap_or(0) != 0;
    let images = input.get(..input.len() - 2).and_then(volume).ok_or_else(misfit)?;
    let points = volume(&[grid_height, grid_width]).ok_or_else(misfit)?;
    cx.tables.charge_weights(points, points.saturating_mul(16))?;
    cx.tables.charge_weights(images, images)?;
    let across = |at: T, length: usize| Axis { length, aligned, padding }.taps(at.wide(), mode);
    let values: Vec<T> = grid.iter().copied().collect();
    let taps = |point: &[T]| -> Taps<T> {
        let &[at_x, at_y] = point else { return Vec::new() };
        let (columns, rows) = (across(at_x, width), across(at_y, height));
        let row = |&(row, v): &(usize, f64)| {
            columns.iter().map(move |&(column, w)| (row * width + column, T::of(v * w))).collect::<Taps<T>>()
        };
        rows.iter().flat_map(row).collect()
    };
    let table: Vec<Taps<T>> = values.chunks(2).map(taps).collect();
    let flat = [images, height * width];
    let joined = cx.push_extra("flatten", Reshape::new(&input, &flat)?, &[x]);
    let op = Resize::new(&[whole(images), table], &flat)?;
    let sampled = cx.push_extra_made_from("sample", shared(op), Origin::Other, &[joined]);
    let output: Vec<usize> = input.iter().copied().take(input.len() - 2).chain([grid_height, grid_width]).collect();
    cx.push(Reshape::new(&cx.shape(sampled), &output)?, &[sampled])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Linear,
    Nearest,
    Cubic,
}

/// What stands outside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

/// One axis of an image.
#[derive(Debug, Clone, Copy)]
struct Axis {
    length: usize,
    /// −1 and 1 are the centres of the outermost pixels rather than the edges of the image.
    aligned: bool,
    padding: Padding,
}

impl Axis {
    /// The first and the last position that is inside.
    fn ends(self) -> (f64, f64) {
        let last = self.length as f64 - 1.0;
        if self.aligned { (0.0, last) } else { (-0.5, last + 0.5) }
    }

    /// The pixels that a position is made of, with their weights. Where they are outside, padding says which pixels they are.
    fn taps(self, at: f64, mode: Mode) -> Vec<(usize, f64)> {
        let (low, high) = self.ends();
        let mut at = low + (at + 1.0) / 2.0 * (high - low);
        if mode == Mode::Nearest {
            at = at.round_ties_even();
        }
        let base = at.floor();
        let part = at - base;
        let weights: Vec<(f64, f64)> = match mode {
            Mode::Nearest => vec![(at.round_ties_even(), 1.0)],
            Mode::Linear => vec![(base, 1.0 - part), (base + 1.0, part)],
            Mode::Cubic => {
                [-1.0, 0.0, 1.0, 2.0].map(|offset| base + offset).into_iter().zip(cubic_weights(part, -0.75)).collect()
            }
        };
        weights
            .into_iter()
            .filter_map(|(at, weight)| Some((self.pixel(at)?, weight)))
            .filter(|(_, w)| *w != 0.0)
            .collect()
    }

    /// The pixel at a whole position, if there is one.
    fn pixel(self, at: f64) -> Option<usize> {
        let last = self.length as f64 - 1.0;
        let at = match self.padding {
            Padding::Zeros => Some(at).filter(|at| (0.0..=last).contains(at))?,
            Padding::Border => at.clamp(0.0, last),
            Padding::Reflection => {
                let (low, high) = self.ends();
                reflected(at, low, high).round().clamp(0.0, last)
            }
        };
        Some(at as usize)
    }
}

/// A position reflected at both ends until it is between them.
fn reflected(at: f64, low: f64, high: f64) -> f64 {
    let range = high - low;
    if range <= 0.0 {
        return low;
    }
    let beyond = (at - low).rem_euclid(2.0 * range);
    low + if beyond > range { 2.0 * range - beyond } else { beyond }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net};
    use ndarray::array;

    /// A row of 10, 20, 30 at positions of x.
    fn sampled(at: &[f32], attributes: &[(&str, Attr<'_>)]) -> Vec<f64> {
        let mut net = Net::new(&[1, 1, 3]);
        let grid: Vec<f32> = at.iter().flat_map(|&x| [x, 0.0]).collect();
        let grid = net.floats(&[1, 1, at.len() as i64, 2], &grid);
        net.op("GridSample", &["x", &grid], attributes);
        net.run(&array![[[[10.0, 20.0, 30.0]]]].into_dyn()).iter().map(|v| (v * 1e5).round() / 1e5).collect()
    }

    #[test]
    fn by_hand() {
        let corners = ("align_corners", Attr::Int(1));
        assert_eq!(sampled(&[-1.0, -0.5, 0.0, 1.0], &[corners]), [10.0, 15.0, 20.0, 30.0]);
        // Position −1 is half a pixel before the first: half of it is outside.
        assert_eq!(sampled(&[-1.0, 0.0, 1.0], &[]), [5.0, 20.0, 15.0]);
        let padding = |name: &'static str| ("padding_mode", Attr::Text(name));
        assert_eq!(sampled(&[-1.0, -3.0, 2.0], &[padding("border")]), [10.0, 10.0, 30.0]);
        assert_eq!(sampled(&[-1.0, -2.0], &[padding("reflection"), corners]), [10.0, 20.0]);
        assert_eq!(sampled(&[-1.0, -1.0 - 2.0 / 3.0], &[padding("reflection")]), [10.0, 15.0]);
        let nearest = ("mode", Attr::Text("nearest"));
        assert_eq!(sampled(&[-0.6, 0.2, 0.9, 1.6], &[nearest, corners]), [10.0, 20.0, 30.0, 0.0]);
        assert_eq!(sampled(&[-1.0, 0.0], &[("mode", Attr::Text("cubic")), corners]), [10.0, 20.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut net = Net::new(&[1, 3]);
        let grid = net.floats(&[1, 1, 2], &[0.0, 0.0]);
        net.op("GridSample", &["x", &grid], &[]);
        assert!(net.error().contains("positions in a plane"), "{}", net.error());
        let mut net = Net::new(&[1, 1, 3]);
        net.op("GridSample", &["x", "x"], &[]);
        assert!(net.error().contains("which has to be a constant"), "{}", net.error());
    }
}
