//! Tensors: `ndarray` arrays of dynamic rank whose axis 0 is the batch, and the few helpers that
//! rules and operators share.
//!
//! A *sample shape* is a shape without the batch axis: an image batch `[N, C, H, W]` has the sample
//! shape `[C, H, W]`. Every tensor that crosses a layer's boundary is in standard (row-major) layout.

use std::borrow::Cow;

use ndarray::{ArrayD, Axis, IxDyn, Zip};

use crate::scalar::Scalar;

/// A tensor of any rank. Axis 0 is the batch wherever a doc comment does not say otherwise.
pub type Tensor<T> = ArrayD<T>;

/// The tensor's elements in row-major order, copied only where its layout is not standard.
pub fn elements<T: Scalar>(tensor: &Tensor<T>) -> Cow<'_, [T]> {
    match tensor.as_slice() {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(tensor.iter().copied().collect()),
    }
}

/// The tensor's elements in row-major order, without copying where its layout is standard.
pub fn into_elements<T: Scalar>(tensor: Tensor<T>) -> Vec<T> {
    if !tensor.is_standard_layout() {
        return tensor.iter().copied().collect();
    }
    let len = tensor.len();
    let (data, offset) = tensor.into_raw_vec_and_offset();
    let start = offset.unwrap_or(0);
    // An array can be a part of its allocation.
    if start == 0 && data.len() == len { data } else { data.into_iter().skip(start).take(len).collect() }
}

/// A tensor of `shape` from row-major `data`; missing elements are zero, surplus ones are dropped.
///
/// Kernels call this with exactly as many elements as the shape has.
pub(crate) fn from_elements<T: Scalar>(shape: &[usize], mut data: Vec<T>) -> Tensor<T> {
    let len = shape.iter().product();
    debug_assert_eq!(data.len(), len);
    data.resize(len, T::zero());
    ArrayD::from_shape_vec(IxDyn(shape), data).unwrap_or_else(|_| ArrayD::zeros(IxDyn(shape)))
}

/// A tensor without elements: stands for an activation that nobody reads.
pub fn empty<T: Scalar>() -> Tensor<T> {
    ArrayD::zeros(IxDyn(&[0]))
}

/// The shape of a batch of `n` samples of `sample` shape.
pub fn batch_shape(n: usize, sample: &[usize]) -> Vec<usize> {
    let mut shape = Vec::with_capacity(sample.len() + 1);
    shape.push(n);
    shape.extend_from_slice(sample);
    shape
}

/// Number of elements of a sample of this shape.
pub fn volume(sample: &[usize]) -> usize {
    sample.iter().product()
}

/// Number of samples in a batch.
pub fn samples<T>(tensor: &Tensor<T>) -> usize {
    tensor.shape().first().copied().unwrap_or(1)
}

/// `x⁺ = max(x, 0)`, elementwise.
pub fn positive<T: Scalar>(x: &Tensor<T>) -> Tensor<T> {
    x.mapv(pos)
}

/// `x⁻ = min(x, 0)`, elementwise.
pub fn negative<T: Scalar>(x: &Tensor<T>) -> Tensor<T> {
    x.mapv(neg)
}

/// `max(v, 0)`.
pub fn pos<T: Scalar>(v: T) -> T {
    if v > T::zero() { v } else { T::zero() }
}

/// `min(v, 0)`.
pub fn neg<T: Scalar>(v: T) -> T {
    if v < T::zero() { v } else { T::zero() }
}

/// Whether no element is negative.
pub fn is_nonnegative<T: Scalar>(x: &Tensor<T>) -> bool {
    !x.iter().any(|&v| v < T::zero())
}

/// Whether every element is zero.
pub fn is_zero<T: Scalar>(x: &Tensor<T>) -> bool {
    x.iter().all(|v| v.is_zero())
}

/// `Σ` over each sample, accumulated in `f64`: one number per sample.
pub fn sums<T: Scalar>(x: &Tensor<T>) -> Vec<f64> {
    fold(x, |v| v.wide())
}

/// `Σ |·|` over each sample, accumulated in `f64`: one number per sample.
pub fn abs_sums<T: Scalar>(x: &Tensor<T>) -> Vec<f64> {
    fold(x, |v| v.wide().abs())
}

/// Root mean square of each sample: one number per sample.
pub fn rms<T: Scalar>(x: &Tensor<T>) -> Vec<f64> {
    let per_sample = (x.len() / samples(x).max(1)).max(1) as f64;
    fold(x, |v| v.wide() * v.wide()).into_iter().map(|sum| (sum / per_sample).sqrt()).collect()
}

/// `Σ f(v)` over each sample.
pub fn fold<T: Scalar>(x: &Tensor<T>, f: impl Fn(T) -> f64) -> Vec<f64> {
    x.axis_iter(Axis(0)).map(|sample| sample.iter().map(|&v| f(v)).sum()).collect()
}

/// `Σ a·b` over each sample, accumulated in `f64`; `b` broadcasts to `a`.
pub fn dots<T: Scalar>(a: &Tensor<T>, b: &Tensor<T>) -> Vec<f64> {
    match b.broadcast(a.raw_dim()) {
        Some(b) => a
            .axis_iter(Axis(0))
            .zip(b.axis_iter(Axis(0)))
            .map(|(a, b)| Zip::from(&a).and(&b).fold(0.0, |sum, x, y| sum + x.wide() * y.wide()))
            .collect(),
        None => vec![f64::NAN; samples(a)],
    }
}

/// `x ⊙ c`, with every zero made `+0` so that skipping a branch whose share is zero cannot change a bit.
pub fn times<T: Scalar>(x: &Tensor<T>, c: &Tensor<T>) -> Tensor<T> {
    Zip::from(x).and(c).map_collect(|&x, &c| x * c + T::zero())
}
