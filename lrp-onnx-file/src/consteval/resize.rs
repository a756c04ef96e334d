//! Resize and Upsample, of positional embeddings for instance: one axis after the other.

use ndarray::{ArrayD, Axis, IxDyn};

use super::Evaluation;
use crate::error::Problem;
use crate::resizing::{Length, Resizing};
use crate::tensor::Array;

impl Evaluation<'_> {
    pub(super) fn resize(&mut self) -> Result<Array, Problem> {
        let shape = self.input(0)?.shape().to_vec();
        let given = |index: usize| Ok(self.inputs.get(index).cloned().flatten());
        let resizing = Resizing::new(self.node, self.opset, &shape, given)?;
        let mut x = self.array(0)?.into_floats();
        for (at, axis) in resizing.axes.iter().enumerate().filter(|(_, axis)| !axis.is_kept()) {
            x = self.resized_along(&x, at, axis, &resizing)?;
        }
        Ok(Array::Float(x))
    }

    fn resized_along(
        &mut self,
        x: &ArrayD<f64>,
        at: usize,
        axis: &Length,
        resizing: &Resizing,
    ) -> Result<ArrayD<f64>, Problem> {
        let mut shape = x.shape().to_vec();
        if let Some(length) = shape.get_mut(at) {
            *length = axis.output;
        }
        self.budget.charge(&shape)?;
        let mut y = ArrayD::zeros(IxDyn(&shape));
        for (mut output, taps) in y.axis_iter_mut(Axis(at)).zip(resizing.taps(axis)) {
            for (input, weight) in taps {
                output.scaled_add(weight, &x.index_axis(Axis(at), input));
            }
        }
        Ok(y)
    }
}
