//! A choice between two tensors, element by element.

use super::check_shape;
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, elements, from_elements};

/// `z = a` where the condition is not zero, `z = b` elsewhere, for three inputs (condition, `a`, `b`) of one shape.
///
/// Relevance goes to the element that was chosen, and none to the condition: it decides which element it is, and has no part in its value.
#[derive(Debug, Clone)]
pub struct Where {
    shapes: [Vec<usize>; 3],
}

impl Where {
    /// A choice between two tensors of this sample shape, by a condition of this shape.
    ///
    /// # Errors
    /// When the shape is empty or too large.
    pub fn new(shape: &[usize]) -> Result<Self, OperatorError> {
        check_shape(shape)?;
        Ok(Self { shapes: [shape.to_vec(), shape.to_vec(), shape.to_vec()] })
    }
}

/// Elements of `g` where the condition is as wanted, zero elsewhere.
fn where_it_is<T: Scalar>(wanted: bool, condition: &Tensor<T>, g: &Tensor<T>) -> Tensor<T> {
    crate::tensor::zip(condition, g, |c, g| if c.is_zero() == wanted { T::zero() } else { g })
}

impl<T: Scalar> Operator<T> for Where {
    fn kind(&self) -> Kind {
        Kind::Where
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    fn output_shape(&self) -> &[usize] {
        &self.shapes[0]
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let [condition, a, b] = xs else { return crate::tensor::empty() };
        let (chosen, c) = (elements(a), elements(condition));
        let others = elements(b);
        let pick = |((&c, &a), &b): ((&T, &T), &T)| if c.is_zero() { b } else { a };
        from_elements(a.shape(), c.iter().zip(chosen.iter()).zip(others.iter()).map(pick).collect())
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let Some(condition) = io.inputs.first() else { return Vec::new() };
        vec![Tensor::zeros(g.raw_dim()), where_it_is(true, condition, g), where_it_is(false, condition, g)]
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().skip(1).all(|&i| i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn relevance_goes_to_the_chosen_element() {
        let op = Where::new(&[3]).unwrap();
        let condition = array![[1.0, 0.0, -2.0]].into_dyn();
        let (a, b) = (array![[5.0, 6.0, 7.0]].into_dyn(), array![[-1.0, -2.0, -3.0]].into_dyn());
        let xs = [&condition, &a, &b];
        let y = op.forward(&xs);
        assert_eq!(y, array![[5.0, -2.0, 7.0]].into_dyn());
        let r = array![[10.0, 20.0, 30.0]].into_dyn();
        let routed = op.vjp(Io { inputs: &xs, output: &y }, &r);
        let expected = [[0.0, 0.0, 0.0], [10.0, 0.0, 30.0], [0.0, 20.0, 0.0]]
            .map(|r| Tensor::from_shape_vec(vec![1, 3], r.to_vec()).unwrap());
        assert_eq!(routed, expected);
        crate::testing::assert_gradient(&op, &xs, &r);
        assert!(Operator::<f64>::nonnegative(&op, &[false, true, true]));
        assert!(!Operator::<f64>::nonnegative(&op, &[true, true, false]));
        assert!(Where::new(&[0]).is_err());
    }
}
