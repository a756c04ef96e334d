//! Sizes, positions and weights of Resize, and of Upsample, as it was called before operator set 10.
//!
//! Where the standard leaves room, positions are computed as ONNX Runtime computes them.

use crate::consteval::axis;
use crate::error::Problem;
use crate::proto::NodeProto;
use crate::tensor::Constant;

/// The new length of an axis, and the factor.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub struct Length {
    pub input: usize,
    pub output: usize,
    pub scale: f64,
}

impl Length {
    fn kept(input: usize) -> Self {
        Self { input, output: input, scale: 1.0 }
    }

    /// An axis that keeps its length is not resized, whatever the coordinates.
    pub fn is_kept(&self) -> bool {
        self.input == self.output && self.scale == 1.0
    }
}

/// A Resize or Upsample node on a tensor of a known shape.
#[derive(Debug)]
pub struct Resizing {
    /// The lengths of all axes.
    pub axes: Vec<Length>,
    mode: Mode,
    coordinates: Coordinates,
    rounding: Rounding,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    Linear,
    Cubic { a: f64 },
}

impl Resizing {
    /// Of a node whose input has this shape; `given` has its other inputs. Sizes are given by scales or outright, from operator
    /// set 18 on for some axes only.
    ///
    /// # Errors
    /// When the node is malformed, or resizes in a way that is not supported.
    pub fn new(
        node: &NodeProto,
        opset: i64,
        shape: &[usize],
        given: impl Fn(usize) -> Result<Option<Constant>, Problem>,
    ) -> Result<Self, Problem> {
        // One without elements counts as left out.
        let floats = |index| -> Result<Option<Vec<f64>>, Problem> {
            Ok(given(index)?.map(|c| c.floats()).filter(|values| !values.is_empty()))
        };
        let old = node.op_type == "Upsample" || opset < 11;
        let scales = match node.attribute("scales") {
            // An attribute in operator set 7.
            Some(a) if node.op_type == "Upsample" => Some(a.floats.iter().map(|&v| f64::from(v)).collect()),
            _ => floats(if old { 1 } else { 2 })?,
        };
        let (coordinates, rounding) = match old {
            true if node.op_type == "Upsample" => (Coordinates::Asymmetric, Rounding::Floor),
            true => (Coordinates::Asymmetric, Rounding::ByScale),
            false => {
                for (attribute, meaning) in [("antialias", "antialiasing"), ("exclude_outside", "exclude_outside")] {
                    if node.int(attribute).unwrap_or(0) != 0 {
                        return Err(Problem::unsupported(format!("with {attribute} = 1 ({meaning})")));
                    }
                }
                let coordinates = Coordinates::of(node.text("coordinate_transformation_mode").as_deref())?;
                (coordinates, Rounding::of(node.text("nearest_mode").as_deref())?)
            }
        };
        let sizes = if old { None } else { given(3)? };
        let axes = match (scales, sizes) {
            (_, Some(sizes)) => by_size(node, shape, &sizes)?,
            (Some(scales), None) => by_scale(node, shape, &scales)?,
            (None, None) if old => return Err(Problem::invalid("it has no scales")),
            (None, None) => return Err(Problem::invalid("it has neither scales nor sizes")),
        };
        let mode = match node.text("mode").as_deref() {
            None | Some("nearest") => Mode::Nearest,
            Some("linear") => Mode::Linear,
            Some("cubic") => Mode::Cubic { a: node.float("cubic_coeff_a").unwrap_or(-0.75) },
            Some(other) => return Err(Problem::unsupported(format!("with mode '{other}'"))),
        };
        Ok(Self { axes, mode, coordinates, rounding })
    }

    /// Whether every output is one of the inputs.
    pub fn is_nearest(&self) -> bool {
        self.mode == Mode::Nearest
    }

    /// The input that each output along an axis copies.
    pub fn nearest(&self, axis: &Length) -> Vec<usize> {
        let at = |i| self.coordinates.source(i, *axis);
        (0..axis.output).map(|i| self.rounding.nearest(at(i), axis)).collect()
    }

    /// The inputs, with weights, that each output along an axis is the sum of: four at most.
    pub fn taps(&self, axis: &Length) -> Vec<Vec<(usize, f64)>> {
        let at = |i| if axis.is_kept() { i as f64 } else { self.coordinates.source(i, *axis) };
        let taps = |i| match self.mode {
            Mode::Nearest => vec![(self.rounding.nearest(at(i), axis), 1.0)],
            Mode::Linear => linear(at(i), axis.input),
            Mode::Cubic { a } => cubic_taps(at(i), axis.input, a),
        };
        (0..axis.output).map(taps).collect()
    }
}

/// The lengths of all axes, with a value for each axis that `axes` names (all, if it is left out).
fn along<V: Copy>(
    node: &NodeProto,
    shape: &[usize],
    values: &[V],
    length: impl Fn(usize, V) -> Option<Length>,
) -> Result<Vec<Length>, Problem> {
    let axes: Vec<usize> = match node.ints("axes") {
        Some(axes) => axes.iter().map(|&a| axis(a, shape.len())).collect::<Result<_, _>>()?,
        None => (0..shape.len()).collect(),
    };
    if values.len() != axes.len() {
        return Err(Problem::invalid(format!("it has {} sizes or scales for {} axes", values.len(), axes.len())));
    }
    let mut lengths: Vec<Length> = shape.iter().copied().map(Length::kept).collect();
    for (&axis, &value) in axes.iter().zip(values) {
        let Some(slot) = lengths.get_mut(axis) else { continue };
        *slot = length(slot.input, value).ok_or_else(|| {
            Problem::invalid(format!("it resizes axis {axis} of {shape:?} to nothing, or absurdly much"))
        })?;
    }
    Ok(lengths)
}

fn by_scale(node: &NodeProto, shape: &[usize], scales: &[f64]) -> Result<Vec<Length>, Problem> {
    along(node, shape, scales, |input, scale| {
        let output = (input as f64 * scale).floor();
        // Also false for NaN.
        let possible = output >= 1.0 && output <= 2f64.powi(31) && scale > 0.0;
        possible.then_some(Length { input, output: output as usize, scale })
    })
}

fn by_size(node: &NodeProto, shape: &[usize], sizes: &Constant) -> Result<Vec<Length>, Problem> {
    let sizes = sizes.ints().map_err(|e| Problem::invalid(format!("its input number 4 {e}")))?;
    match node.text("keep_aspect_ratio_policy").as_deref() {
        None | Some("stretch") => {}
        Some(other) => return Err(Problem::unsupported(format!("with the keep_aspect_ratio_policy '{other}'"))),
    }
    along(node, shape, &sizes, |input, size| {
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
    /// As before operator set 11: up where the axis shrinks, else down.
    ByScale,
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

    fn nearest(self, at: f64, axis: &Length) -> usize {
        let rounded = match self {
            Rounding::PreferFloor => (at - 0.5).ceil(),
            Rounding::PreferCeil => (at + 0.5).floor(),
            Rounding::Floor => at.floor(),
            Rounding::Ceil => at.ceil(),
            Rounding::ByScale if axis.scale < 1.0 => at.ceil(),
            Rounding::ByScale => at.floor(),
        };
        clamped(rounded, axis.input)
    }
}

/// A whole number as a position on an axis.
fn clamped(at: f64, input: usize) -> usize {
    (at.max(0.0) as usize).min(input.saturating_sub(1))
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
    let weights = cubic_weights(part, a);
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

/// The weights of the pixels at −1, 0, 1 and 2 for the position `part` between 0 and 1.
pub fn cubic_weights(part: f64, a: f64) -> [f64; 4] {
    let near = |d: f64| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
    let far = |d: f64| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
    [far(1.0 + part), near(part), near(1.0 - part), far(2.0 - part)]
}
