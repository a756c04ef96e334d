//! Transposed convolution: the adjoint of a convolution, used forward.

use std::sync::Arc;

use super::conv::{checked_bias, describe, rescaled_bias};
use super::{channels_and_space, check_shape, one};
use crate::error::OperatorError;
use crate::kernels::conv::{Algorithm, ConvKernel, Direction};
use crate::kernels::window::{Window, WindowSpec};
use crate::operator::{Affine, Kind, Operator, Rescale, batch_of};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples};
use crate::weights::Weights;

/// A transposed convolution `[N, C, spatial…] → [N, O, spatial…]`.
#[derive(Debug, Clone)]
pub struct ConvTranspose<T> {
    /// The convolution that this is the adjoint of: from `O` channels to `C`.
    kernel: ConvKernel<T>,
    bias: Option<Tensor<T>>,
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

impl<T: Scalar> ConvTranspose<T> {
    /// `weights` is `[C, O / groups, taps…]`, `bias` has `O` elements, `input` is the sample shape `[C, spatial…]`,
    /// `output_space` the spatial sizes of the output.
    ///
    /// # Errors
    /// When the sizes disagree: a convolution with `spec` over `output_space` must give the input's sizes.
    pub fn new(
        weights: impl Into<Weights<T>>,
        bias: Option<Vec<T>>,
        spec: &WindowSpec,
        groups: usize,
        input: &[usize],
        output_space: &[usize],
    ) -> Result<Self, OperatorError> {
        let weights = weights.into();
        check_shape(input)?;
        check_shape(weights.shape())?;
        let (channels, space) = channels_and_space(input)?;
        let per_group = match weights.shape() {
            [c, o, taps @ ..] if taps == spec.kernel.as_slice() && *c == channels => *o,
            shape => {
                return Err(OperatorError::new(format!(
                    "weights {shape:?} do not fit {channels} input channels and a kernel of {:?}",
                    spec.kernel
                )));
            }
        };
        if groups == 0 || channels % groups != 0 {
            return Err(OperatorError::new(format!("{channels} input channels cannot be split into {groups} groups")));
        }
        let outputs = per_group * groups;
        let mut output_shape = vec![outputs];
        output_shape.extend(output_space);
        check_shape(&output_shape)?;
        let window = Window::new(spec, output_space)?;
        if window.output() != space {
            return Err(OperatorError::new(format!(
                "an output of {output_space:?} does not belong to an input of {space:?} with {}",
                window.describe()
            )));
        }
        Ok(Self {
            bias: checked_bias(bias, outputs, space.len())?,
            kernel: ConvKernel::new(weights, outputs, channels, groups, window),
            input_shape: one(input),
            output_shape,
        })
    }

    fn with(&self, kernel: ConvKernel<T>, bias: Option<Tensor<T>>) -> Self {
        Self { kernel, bias, input_shape: self.input_shape.clone(), output_shape: self.output_shape.clone() }
    }
}

impl<T: Scalar> Operator<T> for ConvTranspose<T> {
    fn kind(&self) -> Kind {
        Kind::ConvTranspose
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    affine_methods!();

    fn as_rescale(&self) -> Option<&dyn Rescale<T>> {
        Some(self)
    }

    convolution_methods!(Direction::Adjoint);

    fn detail(&self) -> String {
        describe(self.kernel.outputs, self.kernel.inputs, &self.kernel)
    }
}

impl<T: Scalar> Affine<T> for ConvTranspose<T> {
    fn apply(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let y = xs.first().map_or_else(Vec::new, |x| self.kernel.adjoint(&elements(x)));
        from_elements(&batch_shape(batch_of(xs), &self.output_shape), y)
    }

    fn adjoint(&self, s: &Tensor<T>) -> Vec<Tensor<T>> {
        vec![from_elements(&batch_shape(samples(s), &self.input_shape[0]), self.kernel.forward(&elements(s)))]
    }

    fn bias(&self) -> Option<&Tensor<T>> {
        self.bias.as_ref()
    }

    fn map_weights(&self, f: &dyn Fn(T) -> T) -> Arc<dyn Affine<T>> {
        Arc::new(self.with(self.kernel.map(f), None))
    }
}

impl<T: Scalar> Rescale<T> for ConvTranspose<T> {
    fn rescale_output(&self, scale: &[T], shift: &[T]) -> Option<Arc<dyn Operator<T>>> {
        let k = &self.kernel;
        if scale.len() != k.inputs || shift.len() != k.inputs {
            return None;
        }
        // The kernel is stored for the convolution O → C: our output channels are its inputs.
        let per_group = k.inputs / k.groups;
        let kernel = k.map_by_channel(|c, o, w| scale[c / (k.outputs / k.groups) * per_group + o] * w);
        let mut shape = vec![1; self.output_shape.len()];
        shape[0] = k.inputs;
        let bias = from_elements(&shape, rescaled_bias(self.bias.as_ref(), scale, shift));
        Some(Arc::new(self.with(kernel, Some(bias))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn by_hand() {
        // Each input spreads [1, 2] over two outputs, two apart.
        let w = array![[[1.0, 2.0]]].into_dyn();
        let spec = WindowSpec::new(&[2]).stride(2);
        let op = ConvTranspose::new(w, Some(vec![0.5]), &spec, 1, &[1, 2], &[4]).unwrap();
        let x = array![[[3.0, -1.0]]].into_dyn();
        assert_eq!(op.forward(&[&x]), array![[[3.5, 6.5, -0.5, -1.5]]].into_dyn());
    }

    #[test]
    fn rescaling_the_output_is_exact_with_groups() {
        let w = Tensor::from_shape_fn(vec![4, 3, 2], |i| (i[0] * 6 + i[1] * 2 + i[2]) as f64 - 9.5);
        let spec = WindowSpec::new(&[2]);
        let op = ConvTranspose::new(w, Some(vec![1.0; 6]), &spec, 2, &[4, 2], &[3]).unwrap();
        let (scale, shift) = ([1.0, 2.0, 3.0, -1.0, 0.5, 4.0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let x = Tensor::from_shape_fn(vec![1, 4, 2], |i| (1 + i[1] * 3) as f64 - i[2] as f64);
        let mut y = op.forward(&[&x]);
        for (i, v) in y.indexed_iter_mut() {
            *v = *v * scale[i[1]] + shift[i[1]];
        }
        assert_eq!(op.rescale_output(&scale, &shift).unwrap().forward(&[&x]), y);
    }
}
