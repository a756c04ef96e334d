//! Max pooling: relevance goes to the winner, the first of equals.

use super::{channels_and_space, check_shape, one};
use crate::error::OperatorError;
use crate::kernels::window::{Window, WindowSpec};
use crate::kernels::{Isa, pool};
use crate::operator::{Io, Kind, Operator, batch_of};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples};

/// Max pooling `[N, C, spatial…] → [N, C, spatial…]`. Padding never wins.
#[derive(Debug, Clone)]
pub struct MaxPool {
    window: Window,
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

impl MaxPool {
    /// `input` is the sample shape `[C, spatial…]`.
    ///
    /// # Errors
    /// When the window does not fit, or one of its positions would see nothing but padding.
    pub fn new(spec: &WindowSpec, input: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        let (channels, space) = channels_and_space(input)?;
        let window = Window::new(spec, space)?;
        let mut seen = vec![false; window.output_len()];
        window.for_each_row(|row| row.pairs().for_each(|(o, _)| seen[o] = true));
        if seen.contains(&false) {
            return Err(OperatorError::new("a max-pooling window sees nothing but padding"));
        }
        let mut output_shape = vec![channels];
        output_shape.extend(window.output());
        Ok(Self { window, input_shape: one(input), output_shape })
    }
}

impl<T: Scalar> Operator<T> for MaxPool {
    fn kind(&self) -> Kind {
        Kind::MaxPool
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let y = xs.first().map_or_else(Vec::new, |x| pool::max(&self.window, &elements(x), Isa::best()));
        from_elements(&batch_shape(batch_of(xs), &self.output_shape), y)
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let shape = batch_shape(samples(g), &self.input_shape[0]);
        let route =
            |x: &&Tensor<T>| from_elements(&shape, pool::route(&self.window, &elements(x), &elements(g), Isa::best()));
        vec![io.inputs.first().map_or_else(|| Tensor::zeros(shape.clone()), route)]
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }

    fn detail(&self) -> String {
        self.window.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_first_of_equals_wins() {
        let pool = MaxPool::new(&WindowSpec::new(&[2, 2]).stride(2), &[1, 2, 4]).unwrap();
        let x = array![[[[1.0, 3.0, 0.0, 0.0], [3.0, 2.0, 0.0, -1.0]]]].into_dyn();
        let y = pool.forward(&[&x]);
        assert_eq!(y, array![[[[3.0, 0.0]]]].into_dyn());
        let r = array![[[[5.0, 7.0]]]].into_dyn();
        let routed = pool.vjp(Io { inputs: &[&x], output: &y }, &r);
        assert_eq!(routed, vec![array![[[[0.0, 5.0, 7.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]].into_dyn()]);
    }

    #[test]
    fn padding_does_not_win_over_negative_values() {
        let pool = MaxPool::new(&WindowSpec::new(&[3]).pad(1), &[1, 2]).unwrap();
        let x = array![[[-2.0, -5.0]]].into_dyn();
        assert_eq!(pool.forward(&[&x]), array![[[-2.0, -2.0]]].into_dyn());
    }
}
