//! Fully connected layers: `z = W x + b` over the last axis.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::kernels::Accounts;
use crate::kernels::dense::DenseKernel;
use crate::kernels::each;
use crate::kernels::product::{Finish, Matrices, Product};
use crate::operator::fused::{AdjointEpilogue, Epilogue, Fused};
use crate::operator::{Affine, Kind, Operator, Rescale, batch_of};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, add_broadcast, batch_shape, elements, from_elements, samples, volume};
use crate::weights::Weights;

/// A fully connected layer over the last axis: `[N, …, K] → [N, …, O]`.
#[derive(Debug, Clone)]
pub struct Dense<T> {
    /// `[O, K]`.
    weights: Weights<T>,
    inputs: usize,
    outputs: usize,
    bias: Option<Tensor<T>>,
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

/// A row of relevance with at most one non-zero in this many outputs is treated output by output.
const SPARSE: usize = 4;

/// From this number of rows in a sample on, packing weights for a matrix product costs less than it saves.
const MANY_ROWS: usize = 4;

/// Elements that are counted by one thread.
const GRAIN: usize = 1 << 16;

impl<T: Scalar> Dense<T> {
    /// `weights` is `[O, K]`, `bias` has `O` elements, the input's sample shape ends in `K`.
    ///
    /// # Errors
    /// When the sizes disagree.
    pub fn new(weights: impl Into<Weights<T>>, bias: Option<Vec<T>>, input: &[usize]) -> Result<Self, OperatorError> {
        let weights = weights.into();
        check_shape(input)?;
        let &[outputs, inputs] = weights.shape() else {
            return Err(OperatorError::new(format!("weights must be [outputs, inputs], got {:?}", weights.shape())));
        };
        check_shape(weights.shape())?;
        if input.last() != Some(&inputs) {
            return Err(OperatorError::new(format!(
                "weights take {inputs} inputs, the input's last axis of {input:?} differs"
            )));
        }
        if let Some(b) = bias.as_ref().filter(|b| b.len() != outputs) {
            return Err(OperatorError::new(format!("bias has {} elements for {outputs} outputs", b.len())));
        }
        let mut output_shape = input.to_vec();
        if let Some(last) = output_shape.last_mut() {
            *last = outputs;
        }
        Ok(Self {
            weights,
            inputs,
            outputs,
            bias: bias.map(|b| from_elements(&[outputs], b)),
            input_shape: one(input),
            output_shape,
        })
    }

    fn with(&self, weights: Weights<T>, bias: Option<Vec<T>>) -> Self {
        Self {
            weights,
            bias: bias.map(|b| from_elements(&[self.outputs], b)),
            input_shape: self.input_shape.clone(),
            output_shape: self.output_shape.clone(),
            ..*self
        }
    }

    fn kernel(&self) -> DenseKernel<'_, T> {
        DenseKernel::new(self.weights.stored(), self.inputs)
    }

    /// Whether each sample has enough rows for a packed matrix product to be faster. Only the layer decides, never the batch size: results are
    /// bit-identical for every batch size.
    fn has_many_rows(&self) -> bool {
        volume(&self.input_shape[0]) >= MANY_ROWS * self.inputs
    }

    /// `W x`, for rows of `x`.
    fn dense_forward(&self, x: &[T], finish: Finish<'_, T>) -> Vec<T> {
        let b = Matrices::stored(self.weights.stored()).transposed();
        let sizes = [x.len() / self.inputs, self.inputs, self.outputs];
        Product { a: Matrices::new(x), b, count: 1, sizes }.compute(finish)
    }

    /// `Wᵀ s`, for rows of `s`.
    fn dense_adjoint(&self, s: &[T], finish: Finish<'_, T>) -> Vec<T> {
        let b = Matrices::stored(self.weights.stored());
        let sizes = [s.len() / self.outputs, self.outputs, self.inputs];
        Product { a: Matrices::new(s), b, count: 1, sizes }.compute(finish)
    }

    /// `W x` for rows of `x`, by the kernel for as many rows as the layer has.
    fn forward_rows(&self, x: &[T]) -> Vec<T> {
        if self.has_many_rows() { self.dense_forward(x, Finish::Plain) } else { self.kernel().forward(x) }
    }

    /// `Wᵀ s` for rows of `s`, likewise.
    fn adjoint_rows(&self, s: &[T]) -> Vec<T> {
        if self.has_many_rows() { self.dense_adjoint(s, Finish::Plain) } else { self.kernel().adjoint(s) }
    }

    /// Whether no row of `s` has few nonzero outputs; see [`by_sparsity`](Self::by_sparsity).
    fn is_full(&self, s: &[T]) -> bool {
        let full = AtomicBool::new(true);
        each(s.len() / self.outputs, GRAIN.div_ceil(self.outputs), &|row| {
            if is_sparse(&s[row * self.outputs..][..self.outputs]) {
                full.store(false, Ordering::Relaxed);
            }
        });
        full.into_inner()
    }

    /// Rows of `s` with few nonzero outputs are given to `sparse(row, s, target)`; the others are
    /// collected for one matrix product. The decision depends on one row alone, so a batch cannot change a bit.
    fn by_sparsity(
        s: &[T],
        width: usize,
        out: &mut [T],
        out_width: usize,
        sparse: impl Fn(usize, &[T], &mut [T]),
        dense: impl FnOnce(&[usize], &mut [T]),
    ) {
        let mut full = Vec::new();
        for (row, (s, out)) in s.chunks(width).zip(out.chunks_mut(out_width)).enumerate() {
            if is_sparse(s) {
                sparse(row, s, out);
            } else {
                full.push(row);
            }
        }
        if !full.is_empty() {
            dense(&full, out);
        }
    }
}

/// Whether at most one element in [`SPARSE`] is nonzero.
fn is_sparse<T: Scalar>(row: &[T]) -> bool {
    // Counted in numbers of 32 bits, of which vectors hold more.
    row.iter().map(|v| u32::from(!v.is_zero())).sum::<u32>() as usize * SPARSE <= row.len()
}

/// Indices of the nonzero elements.
fn nonzero<T: Scalar>(values: &[T]) -> Vec<usize> {
    values.iter().enumerate().filter(|(_, v)| !v.is_zero()).map(|(i, _)| i).collect()
}

/// Copies the rows with these indices into one block.
fn pick<T: Scalar>(rows: &[usize], data: &[T], width: usize) -> Vec<T> {
    rows.iter().flat_map(|&r| &data[r * width..(r + 1) * width]).copied().collect()
}

/// Writes a block of rows back to the rows from which [`pick`] copies.
fn put<T: Scalar>(rows: &[usize], block: &[T], data: &mut [T], width: usize) {
    for (&r, row) in rows.iter().zip(block.chunks(width)) {
        data[r * width..(r + 1) * width].copy_from_slice(row);
    }
}

impl<T: Scalar> Operator<T> for Dense<T> {
    fn kind(&self) -> Kind {
        Kind::Dense
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

    fn parameters(&self) -> usize {
        self.weights.len() + self.bias.as_ref().map_or(0, Tensor::len)
    }

    fn detail(&self) -> String {
        format!("{}→{}", self.inputs, self.outputs)
    }
}

impl<T: Scalar> Affine<T> for Dense<T> {
    fn apply(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let n = batch_of(xs);
        let y = xs.first().map_or_else(Vec::new, |x| self.forward_rows(&elements(x)));
        from_elements(&batch_shape(n, &self.output_shape), y)
    }

    fn adjoint(&self, s: &Tensor<T>) -> Vec<Tensor<T>> {
        let n = samples(s);
        let s = elements(s);
        let shape = batch_shape(n, &self.input_shape[0]);
        if self.has_many_rows() && self.is_full(&s) {
            return vec![from_elements(&shape, self.dense_adjoint(&s, Finish::Plain))];
        }
        let mut g = vec![T::zero(); s.len() / self.outputs * self.inputs];
        Self::by_sparsity(
            &s,
            self.outputs,
            &mut g,
            self.inputs,
            |_, s, g| self.kernel().adjoint_of_some(s, &nonzero(s), g),
            |rows, g| put(rows, &self.adjoint_rows(&pick(rows, &s, self.outputs)), g, self.inputs),
        );
        vec![from_elements(&shape, g)]
    }

    fn bias(&self) -> Option<&Tensor<T>> {
        self.bias.as_ref()
    }

    fn map_weights(&self, f: &dyn Fn(T) -> T) -> Arc<dyn Affine<T>> {
        Arc::new(self.with(self.weights.map(f), None))
    }

    fn fused(&self) -> Option<&dyn Fused<T>> {
        Some(self)
    }
}

impl<T: Scalar> Fused<T> for Dense<T> {
    fn is_compute_bound(&self) -> bool {
        self.has_many_rows()
    }

    fn apply_at(&self, xs: &[&Tensor<T>], at: &[usize]) -> Option<Vec<T>> {
        let (x, weights) = (elements(xs.first()?), self.weights.stored());
        let product = |&index: &usize| {
            let (x, w) = (&x[index / self.outputs * self.inputs..], &weights[index % self.outputs * self.inputs..]);
            T::of(w.iter().zip(x).take(self.inputs).map(|(w, x)| w.get().wide() * x.wide()).sum())
        };
        Some(at.iter().map(product).collect())
    }

    /// Skips outputs that the mask excludes.
    fn apply_then(&self, xs: &[&Tensor<T>], epilogue: Epilogue<'_, T>) -> Option<(Tensor<T>, Vec<Accounts>)> {
        let Epilogue::Add { b, mask } = epilogue else { return None };
        let x = xs.first()?;
        let (n, mask, x) = (samples(x), mask.map(elements), elements(x));
        if self.has_many_rows() && mask.as_ref().is_none_or(|mask| self.is_full(mask)) {
            let b = b.map(elements);
            let finish = match b.as_deref() {
                Some(b) if b.len() != self.outputs => return None,
                Some(b) => Finish::Plus(b),
                None => Finish::Plain,
            };
            return Some((
                from_elements(&batch_shape(n, &self.output_shape), self.dense_forward(&x, finish)),
                Vec::new(),
            ));
        }
        let mask = mask?;
        let mut y = vec![T::zero(); mask.len()];
        Self::by_sparsity(
            &mask,
            self.outputs,
            &mut y,
            self.outputs,
            |row, mask, y| self.kernel().forward_some(&x[row * self.inputs..], &nonzero(mask), y),
            |rows, y| put(rows, &self.forward_rows(&pick(rows, &x, self.inputs)), y, self.outputs),
        );
        let mut z = from_elements(&batch_shape(n, &self.output_shape), y);
        if let Some(b) = b {
            add_broadcast(&mut z, b);
        }
        Some((z, Vec::new()))
    }

    fn adjoint_then(&self, s: &Tensor<T>, epilogue: AdjointEpilogue<'_, T>) -> Option<Vec<Tensor<T>>> {
        let s = elements(s);
        if !(self.has_many_rows() && self.is_full(&s)) {
            return None;
        }
        let (x, product) = match epilogue {
            AdjointEpilogue::Times(&[x]) => (x, self.dense_adjoint(&s, Finish::Times(&elements(x), T::one()))),
            AdjointEpilogue::TimesOnto(&[x], [r]) => {
                (x, self.dense_adjoint(&s, Finish::TimesOnto(&elements(x), &elements(r))))
            }
            _ => return None,
        };
        Some(vec![from_elements(x.shape(), product)])
    }
}

impl<T: Scalar> Rescale<T> for Dense<T> {
    fn rescale_output(&self, scale: &[T], shift: &[T]) -> Option<Arc<dyn Operator<T>>> {
        // Channels are axis 1: the last axis only where there is no other.
        if self.output_shape.len() != 1 || scale.len() != self.outputs || shift.len() != self.outputs {
            return None;
        }
        let weights = self.weights.map_indexed(|i, w| scale[i / self.inputs] * w);
        let bias = (0..self.outputs).map(|k| {
            scale[k] * self.bias.as_ref().and_then(|b| b.get([k]).copied()).unwrap_or_else(T::zero) + shift[k]
        });
        Some(Arc::new(self.with(weights, Some(bias.collect()))))
    }

    fn rescale_input(&self, scale: &[T], shift: &[T]) -> Option<Arc<dyn Operator<T>>> {
        if self.output_shape.len() != 1 || scale.len() != self.inputs || shift.len() != self.inputs {
            return None;
        }
        let weights = self.weights.map_indexed(|i, w| scale[i % self.inputs] * w);
        let bias = self.weights.stored().chunks(self.inputs).enumerate().map(|(k, row)| {
            let own = self.bias.as_ref().and_then(|b| b.get([k]).copied()).unwrap_or_else(T::zero);
            row.iter().zip(shift).fold(own, |sum, (w, &t)| sum + w.get() * t)
        });
        Some(Arc::new(self.with(weights, Some(bias.collect()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn by_hand() {
        let dense =
            Dense::new(array![[1.0, 2.0], [3.0, -4.0], [0.0, 1.0]].into_dyn(), Some(vec![0.5, 0.0, -1.0]), &[2])
                .unwrap();
        let x = array![[1.0, 1.0], [2.0, -1.0]].into_dyn();
        assert_eq!(dense.forward(&[&x]), array![[3.5, -1.0, 0.0], [0.5, 10.0, -2.0]].into_dyn());
        let s = array![[1.0, 1.0, 2.0], [0.0, 0.0, 1.0]].into_dyn();
        assert_eq!(dense.adjoint(&s), vec![array![[4.0, 0.0], [0.0, 1.0]].into_dyn()]);
    }

    #[test]
    fn wanted_outputs_are_the_same_as_all() {
        let w = Tensor::from_shape_fn(vec![9, 3], |i| (i[0] * 3 + i[1]) as f64 - 7.0);
        let dense = Dense::new(w, None, &[3]).unwrap();
        let x = array![[1.0, -2.0, 0.5], [3.0, 1.0, 2.0]].into_dyn();
        let mut mask = Tensor::zeros(vec![2, 9]);
        mask[[0, 4]] = 1.0;
        mask.index_axis_mut(ndarray::Axis(0), 1).fill(1.0);
        let some = crate::operator::fused::apply_biased(&dense, &[&x], None, Some(&mask));
        let all = dense.apply(&[&x]);
        for (i, w) in mask.indexed_iter().filter(|(_, w)| **w != 0.0) {
            assert!((some[&i] - all[&i]).abs() < 1e-12, "{i:?} {w}");
        }
    }
}
