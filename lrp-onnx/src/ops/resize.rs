//! Enlargement and reduction of images: Resize, and Upsample as it was called before operator set 10.
//!
//! Nearest-neighbour resizing only copies elements, so that it is structural; interpolation is an affine operator. Where
//! the standard leaves room, positions are computed as ONNX Runtime computes them.

use lrp_core::Scalar;
use lrp_core::operator::Kind;
use lrp_core::ops::{Identity, Resize, Select, Taps, shared};

use super::{Context, Translated};
use crate::consteval::axis;
use crate::error::{Problem, Shape};
use crate::graph::Origin;

/// Sizes can be given by scales or outright, from operator set 18 on for some axes only.
pub(super) fn resize<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    if cx.opset < 11 {
        let scales = floats(cx, 1)?.ok_or_else(|| Problem::invalid("it has no scales"))?;
        let rounding = |scale: f64| if scale < 1.0 { Rounding::Ceil } else { Rounding::Floor };
        return resized(cx, x, &lengths_by_scale(cx, x, &scales)?, Coordinates::Asymmetric, rounding);
    }
    for (attribute, meaning) in [("antialias", "antialiasing"), ("exclude_outside", "exclude_outside")] {
        if cx.node.int(attribute).unwrap_or(0) != 0 {
            return Err(Problem::unsupported(format!("with {attribute} = 1 ({meaning})")));
        }
    }
    let coordinates = Coordinates::of(cx.node.text("coordinate_transformation_mode").as_deref())?;
    let rounding = Rounding::of(cx.node.text("nearest_mode").as_deref())?;
    let axes = match (floats(cx, 2)?, cx.optional(3)?) {
        (_, Some(_)) => lengths(cx, x)?,
        (Some(scales), None) => lengths_by_scale(cx, x, &scales)?,
        (None, None) => return Err(Problem::invalid("it has neither scales nor sizes")),
    };
    resized(cx, x, &axes, coordinates, |_| rounding)
}

/// Scales are an attribute in operator set 7 and an input in 9.
pub(super) fn upsample<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let attribute = cx.node.attribute("scales").map(|a| a.floats.iter().map(|&v| f64::from(v)).collect());
    let scales = if attribute.is_some() { attribute } else { floats(cx, 1)? };
    let scales: Vec<f64> = scales.ok_or_else(|| Problem::invalid("it has no scales"))?;
    resized(cx, x, &lengths_by_scale(cx, x, &scales)?, Coordinates::Asymmetric, |_| Rounding::Floor)
}

/// The new length of an axis, and the factor.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Length {
    input: usize,
    output: usize,
    scale: f64,
}

impl Length {
    fn kept(input: usize) -> Self {
        Self { input, output: input, scale: 1.0 }
    }
}

/// An input of numbers; one without elements counts as left out.
fn floats<T: Scalar>(cx: &Context<'_, T>, index: usize) -> Result<Option<Vec<f64>>, Problem> {
    Ok(cx.optional(index)?.map(|c| c.floats::<f64>()).filter(|values| !values.is_empty()))
}

/// The lengths of all axes, the batch first, with a value for each axis that `axes` names (all, if it is left out).
fn along<T: Scalar, V: Copy>(
    cx: &Context<'_, T>,
    x: usize,
    values: &[V],
    length: impl Fn(usize, V) -> Option<Length>,
) -> Result<Vec<Length>, Problem> {
    let full = cx.full_shape(x);
    let axes: Vec<usize> = match cx.node.ints("axes") {
        Some(axes) => axes.iter().map(|&a| axis(a, full.len())).collect::<Result<_, _>>()?,
        None => (0..full.len()).collect(),
    };
    if values.len() != axes.len() {
        return Err(Problem::invalid(format!("it has {} sizes or scales for {} axes", values.len(), axes.len())));
    }
    let mut lengths: Vec<Length> = full.iter().copied().map(Length::kept).collect();
    for (&axis, &value) in axes.iter().zip(values) {
        let Some(slot) = lengths.get_mut(axis) else { continue };
        *slot = length(slot.input, value).ok_or_else(|| {
            Problem::invalid(format!("it resizes axis {axis} of {} to nothing, or absurdly much", Shape(&cx.shape(x))))
        })?;
    }
    match lengths.split_first() {
        Some((batch, rest)) if batch.input == batch.output => Ok(rest.to_vec()),
        _ => Err(Problem::invalid("it resizes the batch axis; axis 0 must stay the batch")),
    }
}

fn lengths_by_scale<T: Scalar>(cx: &Context<'_, T>, x: usize, scales: &[f64]) -> Result<Vec<Length>, Problem> {
    along(cx, x, scales, |input, scale| {
        let output = (input as f64 * scale).floor();
        // Also false for NaN.
        let possible = output >= 1.0 && output <= 2f64.powi(31) && scale > 0.0;
        possible.then_some(Length { input, output: output as usize, scale })
    })
}

fn lengths<T: Scalar>(cx: &Context<'_, T>, x: usize) -> Result<Vec<Length>, Problem> {
    let sizes = cx.constant(3)?.ints().map_err(|e| Problem::invalid(format!("its input number 4 {e}")))?;
    match cx.node.text("keep_aspect_ratio_policy").as_deref() {
        None | Some("stretch") => {}
        Some(other) => return Err(Problem::unsupported(format!("with the keep_aspect_ratio_policy '{other}'"))),
    }
    along(cx, x, &sizes, |input, size| {
        let output = usize::try_from(size).ok().filter(|&n| (1..1 << 31).contains(&n))?;
        Some(Length { input, output, scale: output as f64 / input as f64 })
    })
}

/// Where an output position lies on the input's axis.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    TfHalfPixelForNearest,
}

impl Coordinates {
    fn of(mode: Option<&str>) -> Result<Self, Problem> {
        Ok(match mode {
            None | Some("half_pixel") => Coordinates::HalfPixel,
            Some("half_pixel_symmetric") => Coordinates::HalfPixelSymmetric,
            Some("pytorch_half_pixel") => Coordinates::PytorchHalfPixel,
            Some("align_corners") => Coordinates::AlignCorners,
            Some("asymmetric") => Coordinates::Asymmetric,
            Some("tf_half_pixel_for_nn") => Coordinates::TfHalfPixelForNearest,
            Some(other) => {
                return Err(Problem::unsupported(format!("with the coordinate_transformation_mode '{other}'")));
            }
        })
    }

    fn source(self, position: usize, length: Length) -> f64 {
        let Length { input, output, scale } = length;
        let at = position as f64;
        let half_pixel = (at + 0.5) / scale - 0.5;
        match self {
            Coordinates::HalfPixel => half_pixel,
            Coordinates::HalfPixelSymmetric => {
                let center = input as f64 / 2.0;
                center * (1.0 - output as f64 / (scale * input as f64)) + half_pixel
            }
            Coordinates::PytorchHalfPixel if output > 1 => half_pixel,
            Coordinates::AlignCorners if output > 1 => at * (input as f64 - 1.0) / (output as f64 - 1.0),
            Coordinates::PytorchHalfPixel | Coordinates::AlignCorners => 0.0,
            Coordinates::Asymmetric => at / scale,
            Coordinates::TfHalfPixelForNearest => (at + 0.5) / scale,
        }
    }
}

/// The choice of the nearest neighbour.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
}

impl Rounding {
    fn of(mode: Option<&str>) -> Result<Self, Problem> {
        Ok(match mode {
            None | Some("round_prefer_floor") => Rounding::PreferFloor,
            Some("round_prefer_ceil") => Rounding::PreferCeil,
            Some("floor") => Rounding::Floor,
            Some("ceil") => Rounding::Ceil,
            Some(other) => return Err(Problem::invalid(format!("it has the nearest_mode '{other}'"))),
        })
    }

    fn nearest(self, at: f64, input: usize) -> usize {
        let rounded = match self {
            Rounding::PreferFloor => (at - 0.5).ceil(),
            Rounding::PreferCeil => (at + 0.5).floor(),
            Rounding::Floor => at.floor(),
            Rounding::Ceil => at.ceil(),
        };
        clamped(rounded, input)
    }
}

/// A whole number as a position on an axis.
fn clamped(at: f64, input: usize) -> usize {
    (at.max(0.0) as usize).min(input.saturating_sub(1))
}

fn resized<T: Scalar>(
    cx: &mut Context<'_, T>,
    x: usize,
    axes: &[Length],
    coordinates: Coordinates,
    rounding: impl Fn(f64) -> Rounding,
) -> Translated {
    let input = cx.shape(x);
    if axes.iter().all(|a| a.scale == 1.0 && a.input == a.output) {
        return cx.push(Identity::new(&input)?, &[x]);
    }
    let cubic = cx.node.float("cubic_coeff_a").unwrap_or(-0.75);
    let interpolate: fn(f64, usize, f64) -> Vec<(usize, f64)> = match cx.node.text("mode").as_deref() {
        None | Some("nearest") => {
            cx.tables.charge_axes(axes.iter().map(|a| a.output))?;
            let pick = |a: &Length| {
                let nearest = |i| rounding(a.scale).nearest(coordinates.source(i, *a), a.input);
                (0..a.output).map(nearest).collect()
            };
            let indices: Vec<Vec<usize>> = axes.iter().map(pick).collect();
            let sizes: Vec<String> = axes.iter().skip(1).map(|a| a.output.to_string()).collect();
            let op = Select::new(Kind::ResizeNearest, format!("to {}, nearest", sizes.join("×")), &indices, &input)?;
            return cx.push(op, &[x]);
        }
        Some("linear") => |at, input, _| linear(at, input),
        Some("cubic") => cubic_taps,
        Some(other) => return Err(Problem::unsupported(format!("with mode '{other}'"))),
    };
    let taps = |a: &Length| -> Vec<Taps<T>> {
        // An axis that keeps its length is not resized, whatever the coordinates.
        let whole = a.input == a.output && a.scale == 1.0;
        let position = |i| if whole { i as f64 } else { coordinates.source(i, *a) };
        let narrow = |(index, weight): (usize, f64)| (index, T::of(weight));
        (0..a.output).map(|i| interpolate(position(i), a.input, cubic).into_iter().map(narrow).collect()).collect()
    };
    // Four taps at most, for every position along an axis.
    let outputs = axes.iter().try_fold(0usize, |n, a| n.checked_add(a.output)).unwrap_or(usize::MAX);
    cx.tables.charge_weights(outputs, outputs.saturating_mul(4))?;
    let taps: Vec<Vec<Taps<T>>> = axes.iter().map(taps).collect();
    // The weights sum up to one, those below zero (of cubic interpolation) to half of what the absolute values have beyond that.
    let size = |taps: &Taps<T>| taps.iter().map(|(_, weight)| weight.wide().abs()).sum::<f64>();
    let largest = |axis: &Vec<Taps<T>>| axis.iter().map(size).fold(0.0, f64::max);
    let overshoot = (taps.iter().map(largest).product::<f64>() - 1.0).max(0.0) / 2.0;
    let overshoot = if overshoot < 1e-6 { 0.0 } else { overshoot };
    let op = shared(Resize::new(&taps, &input)?);
    cx.push_made_from(op, Origin::Combination { total: 1.0, overshoot }, &[x])
}

/// The two neighbours, in proportion to their closeness.
fn linear(at: f64, input: usize) -> Vec<(usize, f64)> {
    let at = at.clamp(0.0, input.saturating_sub(1) as f64);
    let (low, part) = (at.floor(), at - at.floor());
    let taps = [(clamped(low, input), 1.0 - part), (clamped(low + 1.0, input), part)];
    taps.into_iter().filter(|(_, weight)| *weight != 0.0).collect()
}

/// The four neighbours by Keys' cubic convolution; beyond the edge, the edge is repeated.
fn cubic_taps(at: f64, input: usize, a: f64) -> Vec<(usize, f64)> {
    let (low, part) = (at.floor(), at - at.floor());
    let near = |d: f64| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
    let far = |d: f64| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
    let weights = [far(1.0 + part), near(part), near(1.0 - part), far(2.0 - part)];
    let mut taps: Vec<(usize, f64)> = Vec::new();
    for (offset, weight) in [-1.0, 0.0, 1.0, 2.0].into_iter().zip(weights) {
        let index = clamped(low + offset, input);
        match taps.iter_mut().find(|(i, _)| *i == index) {
            Some((_, sum)) => *sum += weight,
            None => taps.push((index, weight)),
        }
    }
    taps.retain(|(_, weight)| *weight != 0.0);
    taps
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, kinds};
    use ndarray::array;

    /// The result for 0, 10, 20, 30 at this length of the axis.
    fn resized(to: i64, mode: &'static str, coordinates: &'static str, nearest: &'static str) -> Vec<f64> {
        let mut net = Net::new(&[1, 4]);
        let sizes = net.ints(&[13, 1, to]);
        let attributes = [
            ("mode", Attr::Text(mode)),
            ("coordinate_transformation_mode", Attr::Text(coordinates)),
            ("nearest_mode", Attr::Text(nearest)),
        ];
        net.op("Resize", &["x", "", "", &sizes], &attributes);
        let y = net.run(&array![[[0.0, 10.0, 20.0, 30.0]]].into_dyn());
        y.iter().map(|v| (v * 1e6).round() / 1e6).collect()
    }

    /// The values that ONNX Runtime 1.32 computes.
    #[test]
    fn modes_by_hand() {
        let doubled = [0.0, 0.0, 10.0, 10.0, 20.0, 20.0, 30.0, 30.0];
        assert_eq!(resized(8, "nearest", "asymmetric", "floor"), doubled);
        assert_eq!(resized(8, "nearest", "half_pixel", "round_prefer_floor"), doubled);
        assert_eq!(resized(8, "nearest", "pytorch_half_pixel", "round_prefer_ceil"), doubled);
        assert_eq!(resized(8, "nearest", "asymmetric", "ceil"), [0.0, 10.0, 10.0, 20.0, 20.0, 30.0, 30.0, 30.0]);
        assert_eq!(resized(2, "nearest", "align_corners", "floor"), [0.0, 30.0]);
        assert_eq!(resized(2, "nearest", "tf_half_pixel_for_nn", "floor"), [10.0, 30.0]);
        let half = [0.0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30.0];
        assert_eq!(resized(8, "linear", "half_pixel", "floor"), half);
        assert_eq!(resized(8, "linear", "pytorch_half_pixel", "floor"), half);
        assert_eq!(resized(8, "linear", "half_pixel_symmetric", "floor"), half);
        assert_eq!(resized(7, "linear", "align_corners", "floor"), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(resized(8, "linear", "asymmetric", "floor"), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 30.0]);
        assert_eq!(resized(1, "linear", "pytorch_half_pixel", "floor"), [0.0]);
        assert_eq!(resized(2, "linear", "half_pixel", "floor"), [5.0, 25.0]);
        let cubic = resized(8, "cubic", "half_pixel", "floor");
        assert_eq!(cubic, [-1.054688, 1.914063, 6.679688, 12.96875, 17.03125, 23.320313, 28.085938, 31.054688]);
    }

    #[test]
    fn scales_in_every_place() {
        let x = array![[[0.0, 10.0]]].into_dyn();
        let expected = array![[[0.0, 0.0, 10.0, 10.0]]].into_dyn();
        for (opset, op) in [(9, "Upsample"), (10, "Resize"), (13, "Resize")] {
            let mut net = Net::new(&[1, 2]).opset(opset);
            let scales = net.floats(&[3], &[1.0, 1.0, 2.0]);
            net.op(op, &if opset < 11 { vec!["x", &scales] } else { vec!["x", "", &scales] }, &[]);
            assert_eq!(net.run(&x), expected, "{op}");
            assert_eq!(kinds(&net.raw()), ["resize-nearest"]);
        }
        let mut net = Net::new(&[1, 2]).opset(18);
        let scales = net.floats(&[1], &[2.0]);
        net.op("Resize", &["x", "", &scales], &[("axes", Attr::Ints(&[-1]))]);
        assert_eq!(net.run(&x), expected);
    }

    /// Each of them is small enough, together they are not.
    #[test]
    fn many_large_interpolations_are_refused() {
        let mut net = Net::new(&[1, 2]);
        let (large, small) = (net.ints(&[13, 1, 1 << 22]), net.ints(&[13, 1, 2]));
        let mut y = "x".to_owned();
        for _ in 0..6 {
            for size in [&large, &small] {
                y = net.op("Resize", &[&y, "", "", size], &[("mode", Attr::Text("linear"))]);
            }
        }
        assert!(net.batch_first_error().contains("absurdly many"), "{}", net.batch_first_error());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (scales, reason) in [
            (&[2.0, 1.0, 1.0][..], "resizes the batch axis"),
            (&[1.0, 1.0, f32::NAN], "to nothing, or absurdly much"),
            (&[1.0, 1.0, 0.1], "to nothing, or absurdly much"),
            (&[1.0, 1.0, 1e30], "to nothing, or absurdly much"),
            (&[1.0, 1.0, 1e9], "absurdly large"),
            (&[1.0, 1.0], "2 sizes or scales for 3 axes"),
        ] {
            let mut net = Net::new(&[1, 2]);
            let scales = net.floats(&[scales.len() as i64], scales);
            net.op("Resize", &["x", "", &scales], &[]);
            assert!(net.error().contains(reason), "{}", net.error());
        }
        let mut net = Net::new(&[1, 2]);
        let scales = net.floats(&[3], &[1.0, 1.0, 2.0]);
        net.op("Resize", &["x", "", &scales], &[("coordinate_transformation_mode", Attr::Text("tf_crop_and_resize"))]);
        assert!(net.error().contains("tf_crop_and_resize"), "{}", net.error());
    }
}
