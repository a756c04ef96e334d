//! Elements picked from a tensor: slices, splits, gathers with constant indices, nearest-neighbour resizing.

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::kernels::axes::AxisMap;
use crate::kernels::map_samples;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples};

/// Every output element is a copy of one input element, chosen axis by axis. Relevance of copies adds up at their source;
/// elements that nobody picked get none.
#[derive(Debug, Clone)]
pub struct Select {
    kind: Kind,
    detail: String,
    map: AxisMap,
    input_shape: [Vec<usize>; 1],
}

impl Select {
    /// Picks `indices[axis]` along every axis of the sample shape `input`.
    ///
    /// # Errors
    /// When an index is beyond its axis, or nothing is picked.
    pub fn new(kind: Kind, detail: String, indices: &[Vec<usize>], input: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        if indices.len() != input.len() {
            return Err(OperatorError::new(format!("indices for {} axes of {}", indices.len(), input.len())));
        }
        for (list, &length) in indices.iter().zip(input) {
            if let Some(index) = list.iter().find(|&&i| i >= length) {
                return Err(OperatorError::new(format!("the index {index} is beyond an axis of length {length}")));
            }
        }
        let output_shape: Vec<usize> = indices.iter().map(Vec::len).collect();
        check_shape(&output_shape)?;
        let axes = indices.iter().map(|list| list.iter().map(|&i| Some(i)).collect()).collect();
        Ok(Self { kind, detail, map: AxisMap::new(axes, input), input_shape: one(input) })
    }

    /// A slice: `start..`, every `step`-th, `len` elements of one axis (counted from the batch axis, which is 0).
    ///
    /// # Errors
    /// When the slice reaches beyond the axis, or the axis is the batch.
    pub fn slice(axis: usize, start: usize, step: i64, len: usize, input: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        let Some(sliced) = axis.checked_sub(1).filter(|&a| a < input.len()) else {
            return Err(OperatorError::new(format!("a slice along axis {axis} (axis 0 is the batch)")));
        };
        if len > input[sliced] {
            return Err(OperatorError::new(format!("a slice of {len} from an axis of length {}", input[sliced])));
        }
        let at = |i: usize| -> Option<usize> {
            let offset = i64::try_from(i).ok()?.checked_mul(step)?;
            usize::try_from(i64::try_from(start).ok()?.checked_add(offset)?).ok()
        };
        let picked: Option<Vec<usize>> = (0..len).map(at).collect();
        let Some(picked) = picked else {
            return Err(OperatorError::new(format!("a slice from {start} in steps of {step} leaves its axis")));
        };
        let mut indices: Vec<Vec<usize>> = input.iter().map(|&d| (0..d).collect()).collect();
        indices[sliced] = picked;
        let detail = match step {
            1 => format!("axis {axis}, {start}..{}", start + len),
            _ => format!("axis {axis}, {len} from {start} in steps of {step}"),
        };
        Self::new(Kind::Slice, detail, &indices, input)
    }
}

impl<T: Scalar> Operator<T> for Select {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        self.map.output()
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        let (in_len, out_len) = self.map.lengths();
        let y = map_samples(&elements(x), in_len, out_len, |x, y| self.map.gather(x, y, T::zero()));
        from_elements(&batch_shape(samples(x), self.map.output()), y)
    }

    fn vjp(&self, _: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let (in_len, out_len) = self.map.lengths();
        let routed = map_samples(&elements(g), out_len, in_len, |g, routed| self.map.scatter(g, routed));
        vec![from_elements(&batch_shape(samples(g), &self.input_shape[0]), routed)]
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }

    fn detail(&self) -> String {
        self.detail.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn slices_and_copies_by_hand() {
        let x = array![[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]].into_dyn();
        let back = Select::slice(2, 2, -2, 2, &[2, 3]).unwrap();
        let y = back.forward(&[&x]);
        assert_eq!(y, array![[[3.0, 1.0], [6.0, 4.0]]].into_dyn());
        let io = Io { inputs: &[], output: &y };
        assert_eq!(back.vjp(io, &y), vec![array![[[1.0, 0.0, 3.0], [4.0, 0.0, 6.0]]].into_dyn()]);

        let twice = Select::new(Kind::Gather, String::new(), &[vec![1, 1], vec![0, 1, 2]], &[2, 3]).unwrap();
        let y = twice.forward(&[&x]);
        assert_eq!(y, array![[[4.0, 5.0, 6.0], [4.0, 5.0, 6.0]]].into_dyn());
        let io = Io { inputs: &[], output: &y };
        assert_eq!(twice.vjp(io, &y), vec![array![[[0.0, 0.0, 0.0], [8.0, 10.0, 12.0]]].into_dyn()]);
    }

    #[test]
    fn indices_beyond_the_axis_are_refused() {
        assert!(Select::slice(1, 1, 1, 2, &[2]).is_err());
        assert!(Select::slice(1, 0, -1, 2, &[2]).is_err());
        assert!(Select::slice(0, 0, 1, 1, &[2]).is_err());
        assert!(Select::slice(1, 0, i64::MAX, 2, &[2]).is_err());
        assert!(Select::new(Kind::Gather, String::new(), &[vec![]], &[2]).is_err());
    }
}
