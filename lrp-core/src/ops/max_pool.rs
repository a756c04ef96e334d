//! Max pooling: relevance goes to the winner, the first of equals.

use super::{channels_and_space, check_shape, one};
use crate::error::OperatorError;
use crate::kernels::map_samples;
use crate::kernels::window::{Window, WindowSpec};
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

    /// Index of the winner of every window of one channel: the first of equals in row-major order.
    fn winners<T: Scalar>(&self, x: &[T]) -> Vec<usize> {
        let mut winners = vec![usize::MAX; self.window.output_len()];
        // Rows come tap by tap, and taps in row-major order: a later tap must be strictly larger to win.
        self.window.for_each_row(|row| {
            for (o, i) in row.pairs() {
                let winner = &mut winners[o];
                if *winner == usize::MAX || x[i] > x[*winner] {
                    *winner = i;
                }
            }
        });
        winners
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
        let (in_len, out_len) = (self.window.input_len(), self.window.output_len());
        let y = xs.first().map_or_else(Vec::new, |x| {
            map_samples(&elements(x), in_len, out_len, |x, y| {
                y.iter_mut().zip(self.winners(x)).for_each(|(y, winner)| *y = x[winner]);
            })
        });
        from_elements(&batch_shape(batch_of(xs), &self.output_shape), y)
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let mut routed = Tensor::zeros(batch_shape(samples(g), &self.input_shape[0]));
        if let (Some(x), Some(routed)) = (io.inputs.first(), routed.as_slice_mut()) {
            let (in_len, out_len) = (self.window.input_len(), self.window.output_len());
            let (x, g) = (elements(x), elements(g));
            for ((x, g), routed) in x.chunks(in_len).zip(g.chunks(out_len)).zip(routed.chunks_mut(in_len)) {
                for (winner, &g) in self.winners(x).into_iter().zip(g) {
                    routed[winner] += g;
                }
            }
        }
        vec![routed]
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
