//! Repetition along axes of length one, as binary operators imply it.

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples};

/// Repeats axes of length one to the lengths of `output`. Relevance of the copies adds up.
#[derive(Debug, Clone)]
pub struct Broadcast {
    input_shape: [Vec<usize>; 1],
    /// The input's sample shape with leading ones, as long as the output's.
    aligned: Vec<usize>,
    output_shape: Vec<usize>,
}

impl Broadcast {
    /// From one sample shape to another.
    ///
    /// # Errors
    /// When the shapes do not broadcast.
    pub fn new(input: &[usize], output: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        check_shape(output)?;
        let missing = output.len().checked_sub(input.len());
        let mut aligned = vec![1; missing.unwrap_or(0)];
        aligned.extend_from_slice(input);
        if missing.is_none() || aligned.iter().zip(output).any(|(&i, &o)| i != o && i != 1) {
            return Err(OperatorError::new(format!("{input:?} does not broadcast to {output:?}")));
        }
        Ok(Self { input_shape: one(input), aligned, output_shape: output.to_vec() })
    }
}

impl<T: Scalar> Operator<T> for Broadcast {
    fn kind(&self) -> Kind {
        Kind::Broadcast
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        let n = samples(x);
        let aligned = from_elements(&batch_shape(n, &self.aligned), elements(x).into_owned());
        aligned
            .broadcast(batch_shape(n, &self.output_shape))
            .map_or_else(crate::tensor::empty, |y| y.as_standard_layout().into_owned())
    }

    fn vjp(&self, _: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let mut sum = g.clone();
        for (axis, (&i, &o)) in self.aligned.iter().zip(&self.output_shape).enumerate() {
            if i != o {
                sum = crate::tensor::sum_axis(&sum, axis + 1).insert_axis(ndarray::Axis(axis + 1));
            }
        }
        vec![from_elements(&batch_shape(samples(g), &self.input_shape[0]), sum.iter().copied().collect())]
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn copies_add_up() {
        let op = Broadcast::new(&[2, 1], &[2, 3]).unwrap();
        let x = array![[[1.0], [2.0]]].into_dyn();
        let y = op.forward(&[&x]);
        assert_eq!(y, array![[[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]].into_dyn());
        assert_eq!(op.vjp(Io { inputs: &[&x], output: &y }, &y), vec![array![[[3.0], [6.0]]].into_dyn()]);
        assert!(Broadcast::new(&[2], &[3]).is_err());
    }
}
