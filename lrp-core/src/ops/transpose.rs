//! Permutation of axes.

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, permuted};

/// A permutation of the axes that leaves the batch in front.
#[derive(Debug, Clone)]
pub struct Transpose {
    permutation: Vec<usize>,
    inverse: Vec<usize>,
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

impl Transpose {
    /// Axis `i` of the result is axis `permutation[i]` of the input, the batch being axis 0.
    ///
    /// # Errors
    /// When it is no permutation, or moves the batch axis.
    pub fn new(permutation: &[usize], input: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        let mut inverse = vec![usize::MAX; input.len() + 1];
        for (i, &p) in permutation.iter().enumerate() {
            if let Some(slot) = inverse.get_mut(p) {
                *slot = i;
            }
        }
        if permutation.len() != inverse.len() || inverse.contains(&usize::MAX) {
            return Err(OperatorError::new(format!("{permutation:?} is no permutation of {} axes", input.len() + 1)));
        }
        if permutation.first() != Some(&0) {
            return Err(OperatorError::new(format!("the permutation {permutation:?} moves the batch axis")));
        }
        let output_shape = permutation.iter().skip(1).map(|&p| input[p - 1]).collect();
        Ok(Self { permutation: permutation.to_vec(), inverse, input_shape: one(input), output_shape })
    }
}

impl<T: Scalar> Operator<T> for Transpose {
    fn kind(&self) -> Kind {
        Kind::Transpose
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        xs.first().map_or_else(crate::tensor::empty, |x| permuted(x, &self.permutation))
    }

    fn vjp(&self, _: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        vec![permuted(g, &self.inverse)]
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }

    fn detail(&self) -> String {
        self.permutation.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let op = Transpose::new(&[0, 2, 3, 1], &[2, 3, 4]).unwrap();
        let x = Tensor::from_shape_fn(vec![1, 2, 3, 4], |i| (i[1] * 12 + i[2] * 4 + i[3]) as f64);
        let y = op.forward(&[&x]);
        assert_eq!(y[[0, 2, 3, 1]], x[[0, 1, 2, 3]]);
        assert_eq!(op.vjp(Io { inputs: &[&x], output: &y }, &y), vec![x]);
        assert!(Transpose::new(&[1, 0], &[2]).is_err());
        assert!(Transpose::new(&[0, 1, 1], &[2, 2]).is_err());
    }
}
