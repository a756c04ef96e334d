//! Padding as an operator of its own (most padding is part of a convolution).

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::kernels::axes::{AxisMap, Sources};
use crate::kernels::map_samples;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples};

/// The values of padded positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PadMode {
    /// A constant. Relevance of such a position belongs to no input; the ledger records it as bias.
    Constant(f64),
    /// The input mirrored at its edge, without repeating the edge.
    Reflect,
    /// The value at the edge.
    Edge,
}

/// Padding (or, with negative numbers, cropping) of a tensor.
#[derive(Debug, Clone)]
pub struct Pad {
    mode: PadMode,
    begin: Vec<i64>,
    end: Vec<i64>,
    map: AxisMap,
    input_shape: [Vec<usize>; 1],
}

impl Pad {
    /// `begin` and `end` are given per axis of the sample shape `input`; negative numbers crop.
    ///
    /// # Errors
    /// When a result would be empty, or a reflection is larger than the input.
    pub fn new(mode: PadMode, begin: &[i64], end: &[i64], input: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        if begin.len() != input.len() || end.len() != input.len() {
            return Err(OperatorError::new(format!("{} pads for {} axes", begin.len(), input.len())));
        }
        let limit = 1_i64 << 31;
        let mut output_shape = Vec::new();
        for ((&d, &b), &e) in input.iter().zip(begin).zip(end) {
            let d = i64::try_from(d).unwrap_or(limit);
            let absurd = |pad: i64| pad.unsigned_abs() > limit.unsigned_abs();
            if absurd(b) || absurd(e) || d + b + e < 1 {
                return Err(OperatorError::new(format!("padding an axis of {d} by {b} and {e}")));
            }
            if mode == PadMode::Reflect && (b >= d || e >= d) {
                return Err(OperatorError::new(format!(
                    "reflection by {b} and {e} is larger than the axis of {d} allows"
                )));
            }
            output_shape.push(usize::try_from(d + b + e).unwrap_or(0));
        }
        check_shape(&output_shape)?;
        let sources = |axis: usize| -> Sources {
            let last = i64::try_from(input[axis]).unwrap_or(limit) - 1;
            let source = |position: usize| {
                let o = i64::try_from(position).unwrap_or(limit) - begin[axis];
                let i = match mode {
                    PadMode::Constant(_) => Some(o).filter(|o| (0..=last).contains(o)),
                    PadMode::Edge => Some(o.clamp(0, last)),
                    PadMode::Reflect if o < 0 => Some(-o),
                    PadMode::Reflect if o > last => Some(2 * last - o),
                    PadMode::Reflect => Some(o),
                };
                i.and_then(|i| usize::try_from(i).ok())
            };
            (0..output_shape[axis]).map(source).collect()
        };
        let map = AxisMap::new((0..input.len()).map(sources).collect(), input);
        Ok(Self { mode, begin: begin.to_vec(), end: end.to_vec(), map, input_shape: one(input) })
    }

    /// The values of padded positions.
    pub fn mode(&self) -> PadMode {
        self.mode
    }

    /// Padding before and after, per axis of the sample shape.
    pub fn pads(&self) -> (&[i64], &[i64]) {
        (&self.begin, &self.end)
    }
}

impl<T: Scalar> Operator<T> for Pad {
    fn kind(&self) -> Kind {
        Kind::Pad
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        self.map.output()
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        let fill = if let PadMode::Constant(value) = self.mode { T::of(value) } else { T::zero() };
        let (in_len, out_len) = self.map.lengths();
        let y = map_samples(&elements(x), in_len, out_len, |x, y| self.map.gather(x, y, fill));
        from_elements(&batch_shape(samples(x), self.map.output()), y)
    }

    fn vjp(&self, _: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let (in_len, out_len) = self.map.lengths();
        let routed = map_samples(&elements(g), out_len, in_len, |g, routed| self.map.scatter(g, routed));
        vec![from_elements(&batch_shape(samples(g), &self.input_shape[0]), routed)]
    }

    fn constant_share(&self, r: &Tensor<T>) -> Vec<f64> {
        let (_, out_len) = self.map.lengths();
        elements(r).chunks(out_len).map(|r| self.map.constant_sum(r)).collect()
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i) && !matches!(self.mode, PadMode::Constant(v) if v < 0.0)
    }

    fn detail(&self) -> String {
        let list = |v: &[i64]| v.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
        let mode = match self.mode {
            PadMode::Constant(v) => format!("constant {v}"),
            PadMode::Reflect => "reflect".into(),
            PadMode::Edge => "edge".into(),
        };
        format!("{mode}, {} before, {} after", list(&self.begin), list(&self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn forward(mode: PadMode, begin: i64, end: i64) -> Vec<f64> {
        let pad = Pad::new(mode, &[begin], &[end], &[3]).unwrap();
        pad.forward(&[&array![[1.0, 2.0, 3.0]].into_dyn()]).into_raw_vec_and_offset().0
    }

    #[test]
    fn by_hand() {
        assert_eq!(forward(PadMode::Constant(9.0), 1, 2), [9.0, 1.0, 2.0, 3.0, 9.0, 9.0]);
        assert_eq!(forward(PadMode::Reflect, 2, 1), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
        assert_eq!(forward(PadMode::Edge, 1, 1), [1.0, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(forward(PadMode::Constant(0.0), -1, 0), [2.0, 3.0]);
        assert!(Pad::new(PadMode::Reflect, &[3], &[0], &[3]).is_err());
        assert!(Pad::new(PadMode::Constant(0.0), &[-2], &[-1], &[3]).is_err());
        assert!(Pad::new(PadMode::Constant(0.0), &[i64::MIN], &[i64::MAX], &[3]).is_err());
    }

    #[test]
    fn relevance_of_constants_is_counted() {
        let pad = Pad::new(PadMode::Constant(0.0), &[1, 0], &[0, 1], &[1, 2]).unwrap();
        let r = array![[[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]].into_dyn();
        assert_eq!(pad.constant_share(&r), [39.0]);
        let io = Io { inputs: &[], output: &r };
        assert_eq!(pad.vjp(io, &r), vec![array![[[8.0, 16.0]]].into_dyn()]);
    }
}
