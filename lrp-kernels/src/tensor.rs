//! Tensors: `ndarray` arrays of dynamic rank whose axis 0 is the batch, and the few helpers that
//! rules and operators share.
//!
//! A *sample shape* is a shape without the batch axis: an image batch `[N, C, H, W]` has the sample
//! shape `[C, H, W]`. Every tensor that crosses a layer's boundary is in standard (row-major) layout.

pub mod elementwise;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::{ArrayD, IxDyn};

pub use self::elementwise::{
    apply_epilogue, map, seen, sum_of, sums_of, sums_of_piece, take_negative, totals, update, update_piece,
    update_sums, zip, zip_sums,
};
use crate::blocks::{self, sum_blocks, write_blocks};
use crate::simd::scalar::Scalar;

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
pub fn from_elements<T: Scalar>(shape: &[usize], mut data: Vec<T>) -> Tensor<T> {
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

/// Number of elements of one sample of a batch.
pub fn per_sample<T>(x: &Tensor<T>) -> usize {
    x.len() / samples(x).max(1)
}

/// `x⁺ = max(x, 0)`, elementwise.
pub fn positive<T: Scalar>(x: &Tensor<T>) -> Tensor<T> {
    map(x, pos)
}

/// `x⁻ = min(x, 0)`, elementwise.
pub fn negative<T: Scalar>(x: &Tensor<T>) -> Tensor<T> {
    map(x, neg)
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
    seen(x, x, |v, _| [v < T::zero()]) == [false]
}

/// `Σ` over each sample, accumulated in `f64`: one number per sample.
pub fn sums<T: Scalar>(x: &Tensor<T>) -> Vec<f64> {
    fold(x, |v| v.wide())
}

/// `Σ |·|` over each sample, accumulated in `f64`: one number per sample.
pub fn abs_sums<T: Scalar>(x: &Tensor<T>) -> Vec<f64> {
    fold(x, |v| v.wide().abs())
}

/// Whether every element is a finite number.
pub fn is_finite<T: Scalar>(x: &Tensor<T>) -> bool {
    /// Elements that are examined before a branch, so that compilers can vectorize.
    const CHUNK: usize = 1 << 12;
    let Some(all) = x.as_slice_memory_order() else { return x.iter().all(|v| v.is_finite()) };
    let finite = AtomicBool::new(true);
    crate::each(all.len().div_ceil(CHUNK), 16, &|chunk| {
        let chunk = &all[chunk * CHUNK..all.len().min((chunk + 1) * CHUNK)];
        if !chunk.iter().fold(true, |finite, v| finite & v.is_finite()) {
            finite.store(false, Ordering::Relaxed);
        }
    });
    finite.into_inner()
}

/// `Σ` along an axis, which goes. The order of ndarray's own sum depends on strides, and those of an axis of length one (a batch of
/// a single sample) can be anything: they are made what they are in a batch.
pub fn sum_axis<T: Scalar>(x: &Tensor<T>, axis: usize) -> Tensor<T> {
    from_elements(x.shape(), elements(x).into_owned()).sum_axis(ndarray::Axis(axis))
}

/// The same elements with their axes in another order, in standard layout: axis `i` of the result is axis `axes[i]` of `x`.
pub fn permuted<T: Scalar>(x: &Tensor<T>, axes: &[usize]) -> Tensor<T> {
    let all = elements(x);
    let shape: Vec<usize> = axes.iter().map(|&axis| x.shape()[axis]).collect();
    let strides: Vec<usize> = axes.iter().map(|&axis| x.shape()[axis + 1..].iter().product()).collect();
    let (Some((&length, outer)), Some((&step, steps))) = (shape.split_last(), strides.split_last()) else {
        return x.clone();
    };
    if x.is_empty() {
        return Tensor::zeros(shape);
    }
    let rows = (blocks::BLOCK / length).max(1);
    let mut y = vec![T::zero(); x.len()];
    crate::each_chunk(&mut y, rows * length, 1, &|chunk, y| {
        for (row, y) in y.chunks_mut(length).enumerate() {
            // The position of the row's first element.
            let (mut index, mut start) = (chunk * rows + row, 0);
            for (&len, &step) in outer.iter().zip(steps).rev() {
                start += index % len * step;
                index /= len;
            }
            if step == 1 {
                y.copy_from_slice(&all[start..start + length]);
            } else {
                y.iter_mut().zip(all[start..].iter().step_by(step)).for_each(|(y, &x)| *y = x);
            }
        }
    });
    from_elements(&shape, y)
}

/// Root mean square of each sample: one number per sample.
pub fn rms<T: Scalar>(x: &Tensor<T>) -> Vec<f64> {
    let per_sample = (x.len() / samples(x).max(1)).max(1) as f64;
    fold(x, |v| v.wide() * v.wide()).into_iter().map(|sum| (sum / per_sample).sqrt()).collect()
}

/// `Σ f(v)` over each sample.
pub fn fold<T: Scalar>(x: &Tensor<T>, f: impl Fn(T) -> f64 + Sync) -> Vec<f64> {
    sums_of(x, x, |v, _| [f(v)]).into_iter().map(|[sum]| sum).collect()
}

/// Elements below which a loop over some is faster than vectors.
const SHORT: usize = 32;

/// `Σ a·b` over each sample, accumulated in `f64`; `b` broadcasts to `a`.
pub fn dots<T: Scalar>(a: &Tensor<T>, b: &Tensor<T>) -> Vec<f64> {
    let product = |a: T, b: T| [a.wide() * b.wide()];
    let products = |b: &Tensor<T>| {
        let sums = sums_of(a, b, product);
        sums.into_iter().map(|[sum]| sum).collect()
    };
    let run = match run_of(a, b) {
        _ if a.shape() == b.shape() => return products(b),
        Some(1) if b.len() == per_sample(a) => return products(b),
        Some(run) => run,
        None => {
            return b.broadcast(a.raw_dim()).map_or_else(|| vec![f64::NAN; samples(a)], |b| products(&b.to_owned()));
        }
    };
    let (a_all, b_all) = (elements(a), elements(b));
    let sums = sum_blocks(samples(a), per_sample(a), &|range| {
        let mut sum = 0.0;
        for_each_run(range, run, |range, position| {
            let offset = position % b_all.len();
            if run > 1 {
                sum += crate::tensor::elementwise::sum_of(&a_all[range]) * b_all[offset].wide();
            } else if b_all.len() < SHORT {
                let b = b_all.iter().cycle().skip(offset);
                sum += a_all[range].iter().zip(b).map(|(a, b)| a.wide() * b.wide()).sum::<f64>();
            } else {
                let (mut start, mut offset) = (range.start, offset);
                while start < range.end {
                    let len = (range.end - start).min(b_all.len() - offset);
                    let piece = sums_of_piece(&a_all[start..start + len], &b_all[offset..offset + len], product);
                    sum += piece[0];
                    (start, offset) = (start + len, 0);
                }
            }
        });
        [sum]
    });
    sums.into_iter().map(|[sum]| sum).collect()
}

/// `z += b`, where `b` broadcasts to `z`: what adding a bias is.
pub fn add_broadcast<T: Scalar>(z: &mut Tensor<T>, b: &Tensor<T>) {
    let (run, len, b_all) = (run_of(z, b), per_sample(z), elements(b));
    match (z.as_slice_mut(), run) {
        (Some(z), Some(run)) => {
            write_blocks(z, len, &|range, z| {
                let start = range.start;
                for_each_run(range, run, |range, position| {
                    let z = &mut z[range.start - start..range.end - start];
                    let offset = position % b_all.len();
                    if run > 1 {
                        let b = b_all[offset];
                        z.iter_mut().for_each(|z| *z += b);
                    } else if z.len() <= b_all.len() - offset {
                        z.iter_mut().zip(&b_all[offset..]).for_each(|(z, &b)| *z += b);
                    } else {
                        let b = b_all.iter().cycle().skip(offset);
                        z.iter_mut().zip(b).for_each(|(z, &b)| *z += b);
                    }
                });
                []
            });
        }
        _ => *z += b,
    }
}

/// For a `b` that is the same for every sample of `a`: how many elements in a row see the same element of it. One for a whole
/// sample, or the last axis of one; the number of positions for a number per channel (`[C, 1, 1]`).
fn run_of<T: Scalar>(a: &Tensor<T>, b: &Tensor<T>) -> Option<usize> {
    let sample = a.shape().get(1..)?;
    let own: Vec<usize> =
        std::iter::repeat_n(1, (sample.len() + 1).saturating_sub(b.ndim())).chain(b.shape().iter().copied()).collect();
    let (first, own) = own.split_first()?;
    if *first != 1 || own.len() != sample.len() || b.is_empty() {
        return None;
    }
    // Ones, then axes as they are, then ones.
    let start = own.iter().position(|&d| d != 1).unwrap_or(own.len());
    let end = own.iter().rposition(|&d| d != 1).map_or(start, |last| last + 1);
    (own[start..end] == sample[start..end]).then(|| sample[end..].iter().product())
}

/// Calls `f` with the parts of a range of elements that see the same element of a `b` (see [`run_of`]), and that element's position
/// among all that there are, before it repeats itself. With runs of one, parts are the range up to where it would repeat.
fn for_each_run(range: Range<usize>, run: usize, mut f: impl FnMut(Range<usize>, usize)) {
    if run == 1 {
        f(range.clone(), range.start);
        return;
    }
    let mut start = range.start;
    while start < range.end {
        let end = range.end.min((start / run + 1) * run);
        f(start..end, start / run);
        start = end;
    }
}

/// Two tensors `[N, C, …]`, one after the other on axis 1: `[N, 2C, …]`.
pub fn concat_channels<T: Scalar>(a: &Tensor<T>, b: &Tensor<T>) -> Tensor<T> {
    let (a_all, b_all, len) = (elements(a), elements(b), per_sample(a).max(1));
    let mut both = crate::uninit(2 * a.len());
    a_all.chunks(len).zip(b_all.chunks(len)).for_each(|(a, b)| {
        both.extend_from_slice(a);
        both.extend_from_slice(b);
    });
    let mut shape = a.shape().to_vec();
    shape[1] *= 2;
    from_elements(&shape, both)
}

/// The sum `a + b` of [concatenated](concat_channels) tensors.
pub fn sum_of_halves<T: Scalar>(both: &Tensor<T>) -> Tensor<T> {
    let mut shape = both.shape().to_vec();
    shape[1] /= 2;
    let len = per_sample(both) / 2;
    let all = elements(both);
    let mut sum = Tensor::zeros(shape);
    if let Some(sum) = sum.as_slice_mut() {
        write_blocks(sum, len, &|range, sum| {
            let first = range.start / len.max(1) * len + range.start;
            let (a, b) = (&all[first..][..sum.len()], &all[first + len..][..sum.len()]);
            sum.copy_from_slice(a);
            update_piece(sum, b, b, |a, b, _| (a + b, []))
        });
    }
    sum
}

/// `x ⊙ c`, with every zero made `+0` so that skipping a branch whose share is zero cannot change a bit.
pub fn times<T: Scalar>(x: &Tensor<T>, c: &Tensor<T>) -> Tensor<T> {
    zip(x, c, |x, c| x * c + T::zero())
}

/// `sum += x`; both have the same shape.
pub fn add<T: Scalar>(sum: &mut Tensor<T>, x: &Tensor<T>) {
    update(sum, x, x, |sum, x, _| sum + x);
}

/// `sum += x ⊙ c`; all have the same shape.
pub fn add_times<T: Scalar>(sum: &mut Tensor<T>, x: &Tensor<T>, c: &Tensor<T>) {
    update(sum, x, c, |sum, x, c| sum + x * c);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_in_any_order() {
        let x = Tensor::from_shape_fn(vec![2, 3, 4, 50], |i| (i[0] * 600 + i[1] * 200 + i[2] * 50 + i[3]) as f64);
        for axes in [[0, 1, 2, 3], [0, 2, 1, 3], [0, 2, 3, 1], [3, 0, 2, 1], [1, 0, 2, 3]] {
            let y = permuted(&x, &axes);
            assert!(y == x.view().permuted_axes(&axes[..]) && y.is_standard_layout(), "{axes:?}");
        }
    }

    #[test]
    fn broadcasts_of_every_shape() {
        let z =
            Tensor::from_shape_fn(vec![2, 3, 4, 5], |i| ((i[0] * 7 + i[1] * 5 + i[2] * 3 + i[3]) % 11) as f64 - 5.0);
        for shape in
            [&[3, 1, 1][..], &[3, 4, 5], &[1, 3, 4, 1], &[5], &[4, 5], &[4, 1], &[1], &[2, 1, 1, 1], &[1, 1, 5]]
        {
            let b = Tensor::from_shape_fn(shape.to_vec(), |i| {
                (0..shape.len()).map(|a| (i[a] * (a + 2)) as f64).sum::<f64>() - 3.0
            });
            let mut sum = z.clone();
            add_broadcast(&mut sum, &b);
            assert_eq!(sum, &z + &b, "{shape:?}");
            let expected = fold(&(&z * &b), |v| v);
            assert!(dots(&z, &b).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{shape:?}");
        }
    }

    /// A sample that was cut out of a batch has strides of its own; its sums must not show that.
    #[test]
    fn sums_along_an_axis_do_not_depend_on_strides() {
        let batch = Tensor::from_shape_fn(vec![2, 2, 37], |i| 1.0 / (1 + i[0] * 83 + i[1] * 41 + i[2]) as f64);
        let cut = batch.slice_axis(ndarray::Axis(0), (0..1).into()).to_owned();
        let cut = cut.slice_axis(ndarray::Axis(1), (1..2).into()).to_owned();
        for axis in [1, 2] {
            let whole = sum_axis(&batch.slice_axis(ndarray::Axis(1), (1..2).into()).to_owned(), axis);
            let alone = sum_axis(&cut, axis);
            assert!(alone.iter().zip(&whole).all(|(a, b)| a.to_bits() == b.to_bits()), "{alone} and {whole}");
        }
    }

    #[test]
    fn sums_of_products_do_not_depend_on_the_batch() {
        let a = Tensor::from_shape_fn(vec![2, 53], |i| 1.0 / (1 + i[0] * 83 + i[1]) as f32);
        let first = |t: &Tensor<f32>| t.slice_axis(ndarray::Axis(0), (0..1).into()).to_owned();
        assert_eq!(dots(&a, &a)[..1], dots(&first(&a), &first(&a)));
        let row = first(&a);
        assert_eq!(dots(&a, &row)[..1], dots(&row, &row));
    }

    #[test]
    fn one_value_that_is_not_finite_is_found_wherever_it_stands() {
        let shape = [3, 100_000];
        assert!(is_finite(&Tensor::<f32>::from_elem(shape.as_slice(), f32::MAX)));
        assert!(is_finite(&Tensor::<f32>::zeros(vec![2, 0])));
        for place in [0, 4095, 4096, 199_999, 299_999] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut x = Tensor::<f32>::zeros(shape.as_slice());
                x.as_slice_mut().unwrap()[place] = value;
                assert!(!is_finite(&x), "{value} at {place}");
                assert!(!is_finite(&x.reversed_axes()));
            }
        }
    }

    #[test]
    fn sums_in_one_pass() {
        let x = Tensor::from_shape_vec(vec![2, 2], vec![1.0_f32, -3.0, 0.5, 0.5]).unwrap();
        assert_eq!(totals(&x), [[-2.0, 4.0], [1.0, 1.0]]);
        assert_eq!((sums(&x), abs_sums(&x)), (vec![-2.0, 1.0], vec![4.0, 1.0]));
        let mut sum = x.clone();
        add_times(&mut sum, &x, &x);
        assert_eq!(sum, &x + &(&x * &x));
    }
}
