//! Convolution of one sample, forward and adjoint, for any groups, strides, paddings and dilations.
//!
//! The windows are gathered into a matrix (im2col) and multiplied with the weights; the adjoint multiplies with the
//! transposed weights and scatters back. A transposed convolution is the same pair with the roles swapped.

use std::sync::Arc;

use super::map_samples;
use super::matmul::{Mat, matmul};
use super::window::Window;
use crate::scalar::Scalar;

/// Weights and geometry of a convolution from `wide·groups`… channels to `narrow` ones; see the fields.
#[derive(Debug, Clone)]
pub struct ConvKernel<T> {
    /// `[out, in / groups, taps]`, row-major.
    pub weights: Arc<Vec<T>>,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Number of groups; divides both.
    pub groups: usize,
    /// Which input positions each output position sees.
    pub window: Window,
}

impl<T: Scalar> ConvKernel<T> {
    /// `W x` for a batch `x` of samples `[inputs, positions]`.
    pub fn forward(&self, x: &[T]) -> Vec<T> {
        let (rows, cols) = (self.group_rows(), self.window.output_len());
        let (in_len, out_len) = (self.window.input_len(), self.window.output_len());
        map_samples(x, self.inputs * in_len, self.outputs * out_len, |x, y| {
            let mut gathered = Vec::new();
            for ((x, y), w) in x
                .chunks(self.inputs / self.groups * in_len)
                .zip(y.chunks_mut(self.outputs / self.groups * out_len))
                .zip(self.group_weights())
            {
                let columns = if self.window.is_pointwise() {
                    x
                } else {
                    self.gather(x, &mut gathered);
                    &gathered
                };
                matmul(Mat::new(w, self.outputs / self.groups, rows), Mat::new(columns, rows, cols), y);
            }
        })
    }

    /// `Wᵀ s` for a batch `s` of samples `[outputs, positions]`.
    pub fn adjoint(&self, s: &[T]) -> Vec<T> {
        let (rows, cols) = (self.group_rows(), self.window.output_len());
        let (in_len, out_len) = (self.window.input_len(), self.window.output_len());
        map_samples(s, self.outputs * out_len, self.inputs * in_len, |s, g| {
            let mut columns = Vec::new();
            for ((s, g), w) in s
                .chunks(self.outputs / self.groups * out_len)
                .zip(g.chunks_mut(self.inputs / self.groups * in_len))
                .zip(self.group_weights())
            {
                let w = Mat::new(w, self.outputs / self.groups, rows).t();
                let s = Mat::new(s, self.outputs / self.groups, cols);
                if self.window.is_pointwise() {
                    matmul(w, s, g);
                } else {
                    columns.resize(rows * cols, T::zero());
                    matmul(w, s, &mut columns);
                    self.scatter(&columns, g);
                }
            }
        })
    }

    /// The same geometry with other weights.
    pub fn map(&self, f: &dyn Fn(T) -> T) -> Self {
        self.with_weights(self.weights.iter().map(|&w| f(w)).collect())
    }

    /// The same geometry with weights `f(output channel, input channel within its group, weight)`.
    pub fn map_by_channel(&self, f: impl Fn(usize, usize, T) -> T) -> Self {
        let (taps, ins) = (self.window.taps(), self.inputs / self.groups);
        let weight = |(i, &w): (usize, &T)| f(i / (taps * ins), i / taps % ins, w);
        self.with_weights(self.weights.iter().enumerate().map(weight).collect())
    }

    fn with_weights(&self, weights: Vec<T>) -> Self {
        Self { weights: Arc::new(weights), window: self.window.clone(), ..*self }
    }

    fn group_rows(&self) -> usize {
        self.inputs / self.groups * self.window.taps()
    }

    fn group_weights(&self) -> impl Iterator<Item = &[T]> {
        self.weights.chunks((self.outputs / self.groups * self.group_rows()).max(1))
    }

    /// Gathers `x` (`[channels, positions]` of one group) into `columns` (`[channels·taps, outputs]`).
    fn gather(&self, x: &[T], columns: &mut Vec<T>) {
        let (taps, out_len) = (self.window.taps(), self.window.output_len());
        columns.clear();
        columns.resize(self.group_rows() * out_len, T::zero());
        for (x, columns) in x.chunks(self.window.input_len()).zip(columns.chunks_mut(taps * out_len)) {
            self.window.for_each_row(|row| {
                let target = &mut columns[row.tap * out_len + row.output..][..row.len];
                for (t, &v) in target.iter_mut().zip(x[row.input..].iter().step_by(row.step)) {
                    *t = v;
                }
            });
        }
    }

    /// Adds `columns` back to where [`gather`](Self::gather) took them from.
    fn scatter(&self, columns: &[T], g: &mut [T]) {
        let (taps, out_len) = (self.window.taps(), self.window.output_len());
        for (g, columns) in g.chunks_mut(self.window.input_len()).zip(columns.chunks(taps * out_len)) {
            self.window.for_each_row(|row| {
                let source = &columns[row.tap * out_len + row.output..][..row.len];
                for (t, &v) in g[row.input..].iter_mut().step_by(row.step).zip(source) {
                    *t += v;
                }
            });
        }
    }
}
