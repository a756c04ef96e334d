//! Average pooling over windows.

use std::sync::Arc;

use super::{channels_and_space, check_shape, one};
use crate::error::OperatorError;
use crate::kernels::conv::ConvKernel;
use crate::kernels::window::{Window, WindowSpec};
use crate::operator::{Affine, Kind, Operator, batch_of};
use crate::scalar::{Scalar, count};
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples};

/// Average pooling `[N, C, spatial…] → [N, C, spatial…]`: every output weighs the inputs it sees equally.
#[derive(Debug, Clone)]
pub struct AvgPool<T> {
    /// The sum over each window: a depthwise convolution with weights of one.
    sum: ConvKernel<T>,
    /// The weight of each input of each output position.
    weights: Vec<T>,
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

impl<T: Scalar> AvgPool<T> {
    /// `input` is the sample shape `[C, spatial…]`. With `count_include_pad`, padded positions count in the divisor
    /// (but those beyond the padding, which ceil mode can reach, do not).
    ///
    /// # Errors
    /// When the window does not fit.
    pub fn new(spec: &WindowSpec, count_include_pad: bool, input: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        let (channels, space) = channels_and_space(input)?;
        let window = Window::new(spec, space)?;
        let mut output_shape = vec![channels];
        output_shape.extend(window.output());
        let mut seen = vec![0usize; window.output_len()];
        if count_include_pad {
            let [d, h, w] = &window.axes.map(|a| {
                (0..a.output)
                    .map(|o| {
                        (0..a.kernel)
                            .filter(|k| o * a.stride + k * a.dilation < a.pad_begin + a.input + a.pad_end)
                            .count()
                    })
                    .collect::<Vec<_>>()
            });
            let counts = d.iter().flat_map(|d| h.iter().flat_map(move |h| w.iter().map(move |w| d * h * w)));
            seen = counts.collect();
        } else {
            window.for_each_row(|row| row.pairs().for_each(|(o, _)| seen[o] += 1));
        }
        // A window that sees nothing but padding gives 0, not 0/0.
        let weights = seen.into_iter().map(|n| if n == 0 { T::zero() } else { T::one() / count(n) }).collect();
        let ones = vec![T::one(); channels * window.taps()];
        let sum = ConvKernel::new(ones, channels, channels, channels, window);
        Ok(Self { sum, weights, input_shape: one(input), output_shape })
    }

    /// Multiplies what stands at every output position with its weight.
    fn weigh(&self, outputs: &mut [T]) {
        for plane in outputs.chunks_mut(self.weights.len()) {
            plane.iter_mut().zip(&self.weights).for_each(|(v, &w)| *v *= w);
        }
    }
}

impl<T: Scalar> Operator<T> for AvgPool<T> {
    fn kind(&self) -> Kind {
        Kind::AvgPool
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    affine_methods!();

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }

    fn detail(&self) -> String {
        self.sum.window.describe()
    }
}

impl<T: Scalar> Affine<T> for AvgPool<T> {
    fn apply(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let y = xs.first().map_or_else(Vec::new, |x| {
            let mut y = self.sum.forward(&elements(x));
            self.weigh(&mut y);
            y
        });
        from_elements(&batch_shape(batch_of(xs), &self.output_shape), y)
    }

    fn adjoint(&self, s: &Tensor<T>) -> Vec<Tensor<T>> {
        let mut weighted = elements(s).into_owned();
        self.weigh(&mut weighted);
        vec![from_elements(&batch_shape(samples(s), &self.input_shape[0]), self.sum.adjoint(&weighted))]
    }

    fn bias(&self) -> Option<&Tensor<T>> {
        None
    }

    fn map_weights(&self, f: &dyn Fn(T) -> T) -> Arc<dyn Affine<T>> {
        Arc::new(Self { weights: self.weights.iter().map(|&w| f(w)).collect(), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn by_hand_with_and_without_padding() {
        let x = array![[[2.0, 4.0, 6.0]]].into_dyn();
        let spec = WindowSpec::new(&[2]).stride(2).pad(1);
        let including = AvgPool::new(&spec, true, &[1, 3]).unwrap();
        assert_eq!(including.forward(&[&x]), array![[[1.0, 5.0]]].into_dyn());
        let excluding = AvgPool::new(&spec, false, &[1, 3]).unwrap();
        assert_eq!(excluding.forward(&[&x]), array![[[2.0, 5.0]]].into_dyn());
    }

    #[test]
    fn divisors_with_padding_are_right_in_two_dimensions() {
        let mut spec = WindowSpec::new(&[2, 3]).stride(2);
        spec.pad_begin = vec![1, 0];
        spec.ceil_mode = true;
        let x = Tensor::<f64>::ones(vec![1, 1, 4, 4]);
        let pool = AvgPool::new(&spec, true, &[1, 4, 4]).unwrap();
        // Rows: padding + row 0, rows 1–2, row 3 alone; columns: 0–2, 2–3 (the third is beyond the input).
        assert_eq!(pool.forward(&[&x]), array![[[[0.5, 0.5], [1.0, 1.0], [1.0, 1.0]]]].into_dyn());
    }
}
