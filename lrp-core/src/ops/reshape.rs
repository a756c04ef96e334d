//! Flatten, reshape, squeeze, unsqueeze: the same elements in another shape.

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples, volume};

/// A change of the sample shape that keeps the order of elements.
#[derive(Debug, Clone)]
pub struct Reshape {
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

impl Reshape {
    /// From one sample shape to another.
    ///
    /// # Errors
    /// When the numbers of elements differ.
    pub fn new(input: &[usize], output: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        check_shape(output)?;
        if volume(input) != volume(output) {
            return Err(OperatorError::new(format!("{input:?} cannot be reshaped to {output:?}")));
        }
        Ok(Self { input_shape: one(input), output_shape: output.to_vec() })
    }
}

fn reshaped<T: Scalar>(x: &Tensor<T>, sample: &[usize]) -> Tensor<T> {
    from_elements(&batch_shape(samples(x), sample), elements(x).into_owned())
}

impl<T: Scalar> Operator<T> for Reshape {
    fn kind(&self) -> Kind {
        Kind::Reshape
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        xs.first().map_or_else(crate::tensor::empty, |x| reshaped(x, &self.output_shape))
    }

    fn vjp(&self, _: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        vec![reshaped(g, &self.input_shape[0])]
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_keep_their_order() {
        let op = Reshape::new(&[2, 3], &[6]).unwrap();
        let x = Tensor::from_shape_fn(vec![2, 2, 3], |i| (i[0] * 6 + i[1] * 3 + i[2]) as f64);
        let y = op.forward(&[&x]);
        assert_eq!(y[[1, 4]], 10.0);
        assert_eq!(op.vjp(Io { inputs: &[&x], output: &y }, &y), vec![x]);
        assert!(Reshape::new(&[2, 3], &[5]).is_err());
    }
}
