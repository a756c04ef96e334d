//! The largest or the smallest of several activations, element by element.

use super::check_shape;
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, elements, from_elements};

/// `max(a, b, …)` or `min(a, b, …)` for inputs of one shape. Relevance goes to the element that won, the first of equals,
/// as in max pooling.
#[derive(Debug, Clone)]
pub struct Extremum {
    largest: bool,
    shapes: Vec<Vec<usize>>,
}

impl Extremum {
    /// The largest of `count` tensors of this sample shape.
    ///
    /// # Errors
    /// When there is none, or the shape is empty or too large.
    pub fn maximum(count: usize, shape: &[usize]) -> Result<Self, OperatorError> {
        Self::new(true, count, shape)
    }

    /// The smallest of `count` tensors of this sample shape.
    ///
    /// # Errors
    /// As [`maximum`](Self::maximum).
    pub fn minimum(count: usize, shape: &[usize]) -> Result<Self, OperatorError> {
        Self::new(false, count, shape)
    }

    fn new(largest: bool, count: usize, shape: &[usize]) -> Result<Self, OperatorError> {
        check_shape(shape)?;
        if count == 0 {
            return Err(OperatorError::new("the extremum of nothing"));
        }
        Ok(Self { largest, shapes: vec![shape.to_vec(); count] })
    }

    /// For each element the input that wins.
    fn winners<T: Scalar>(&self, xs: &[&Tensor<T>]) -> Vec<usize> {
        let xs: Vec<_> = xs.iter().map(|x| elements(x)).collect();
        let beats = |a: T, b: T| if self.largest { a > b } else { a < b };
        let winner = |i| (1..xs.len()).fold(0, |best, k| if beats(xs[k][i], xs[best][i]) { k } else { best });
        (0..xs.first().map_or(0, |x| x.len())).map(winner).collect()
    }
}

impl<T: Scalar> Operator<T> for Extremum {
    fn kind(&self) -> Kind {
        if self.largest { Kind::Maximum } else { Kind::Minimum }
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    fn output_shape(&self) -> &[usize] {
        &self.shapes[0]
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let all: Vec<_> = xs.iter().map(|x| elements(x)).collect();
        let y = self.winners(xs).into_iter().enumerate().map(|(i, winner)| all[winner][i]).collect();
        xs.first().map_or_else(crate::tensor::empty, |x| from_elements(x.shape(), y))
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let mut routed = vec![vec![T::zero(); g.len()]; io.inputs.len()];
        for (i, (winner, &g)) in self.winners(io.inputs).into_iter().zip(elements(g).iter()).enumerate() {
            routed[winner][i] = g;
        }
        routed.into_iter().map(|r| from_elements(g.shape(), r)).collect()
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        if self.largest { inputs.iter().any(|&i| i) } else { inputs.iter().all(|&i| i) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_first_of_equals_wins() {
        let (a, b) = (array![[2.0, -3.0, 1.0]].into_dyn(), array![[0.5, -1.5, 1.0]].into_dyn());
        let r = array![[5.0, 7.0, 9.0]].into_dyn();
        let routed = |op: &Extremum, y: [f64; 3], first: [f64; 3]| {
            let z = op.forward(&[&a, &b]);
            let expected: Tensor<f64> = array![y].into_dyn();
            assert_eq!(z, expected);
            let parts = op.vjp(Io { inputs: &[&a, &b], output: &z }, &r);
            let first: Tensor<f64> = array![first].into_dyn();
            assert_eq!(parts, [first.clone(), &r - &first]);
        };
        routed(&Extremum::maximum(2, &[3]).unwrap(), [2.0, -1.5, 1.0], [5.0, 0.0, 9.0]);
        routed(&Extremum::minimum(2, &[3]).unwrap(), [0.5, -3.0, 1.0], [0.0, 7.0, 9.0]);
        assert!(Extremum::maximum(0, &[3]).is_err());
    }
}
