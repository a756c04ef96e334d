//! Rows of a tensor along one axis of its samples, for operators that work on each row by itself.

use super::check_shape;
use crate::blocks::BLOCK;
use crate::error::OperatorError;
use crate::kernels::{each_chunk, map_samples};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, per_sample, samples, volume};

/// Makes a row of others, and gives a number. No type parameter of what divides rows among threads: that would be compiled again for each.
type Made<'f, T, const K: usize> = &'f (dyn Fn([&[T]; K], &mut [T]) -> f64 + Sync);

/// The rows along an axis: their length, and the distance between the elements of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rows {
    pub length: usize,
    stride: usize,
}

impl Rows {
    /// The rows along `axis` of the sample shape `input`. The axis counts from the batch axis, which is 0 and not allowed.
    pub fn new(what: &str, axis: usize, input: &[usize]) -> Result<Self, OperatorError> {
        check_shape(input)?;
        let along = axis.checked_sub(1).and_then(|a| input.get(a..)).and_then(<[usize]>::split_first);
        let Some((&length, after)) = along else {
            return Err(OperatorError::new(format!(
                "{what} along axis {axis} of a tensor of rank {} (axis 0 is the batch)",
                input.len() + 1
            )));
        };
        Ok(Self { length, stride: volume(after) })
    }

    /// Rows of another length at the same places.
    pub fn with_length(self, length: usize) -> Self {
        Self { length, ..self }
    }

    /// Rows of this length, one after the other.
    pub fn contiguous(length: usize) -> Self {
        Self { length, stride: 1 }
    }

    /// The positions of the first elements of all rows, in a sample of `len` elements.
    fn starts(self, len: usize) -> impl Iterator<Item = usize> {
        let Self { length, stride } = self;
        (0..len).step_by((length * stride).max(1)).flat_map(move |start| start..start + stride)
    }

    fn read<T: Scalar>(self, from: &[T], start: usize, row: &mut [T]) {
        row.iter_mut().zip(from[start..].iter().step_by(self.stride)).for_each(|(v, &x)| *v = x);
    }

    fn write<T: Scalar>(self, row: &[T], start: usize, to: &mut [T]) {
        to[start..].iter_mut().step_by(self.stride).zip(row).for_each(|(v, &x)| *v = x);
    }

    /// A tensor of the shape of the inputs, which have one shape: `f` makes each of its rows of those of the inputs, and gives a number, of which
    /// there is the sum over each sample.
    pub fn each<T: Scalar, const K: usize>(
        self,
        inputs: [&Tensor<T>; K],
        f: impl Fn([&[T]; K], &mut [T]) -> f64 + Sync,
    ) -> (Tensor<T>, Vec<f64>) {
        let all = inputs.map(elements);
        let shape = inputs.first().map_or(&[][..], |x| x.shape());
        let (y, numbers) = self.each_of(all.each_ref().map(|x| &x[..]), &f);
        let per_sample = numbers.len() / shape.first().copied().unwrap_or(1).max(1);
        let sums = numbers.chunks(per_sample.max(1)).map(|numbers| numbers.iter().sum()).collect();
        (from_elements(shape, y), sums)
    }

    /// The rows of [`each`](Self::each), and the number of each. Rows that are not contiguous are copied.
    fn each_of<T: Scalar, const K: usize>(self, inputs: [&[T]; K], f: Made<'_, T, K>) -> (Vec<T>, Vec<f64>) {
        let Self { length, stride } = self;
        let len = inputs.first().map_or(0, |x| x.len());
        let mut y = vec![T::zero(); len];
        let mut numbers = vec![0.0; len / length.max(1)];
        // As many rows as are next to each other.
        let group = length * stride;
        let groups = (BLOCK / group.max(1)).max(1);
        let mut work: Vec<_> = y.chunks_mut(groups * group).zip(numbers.chunks_mut(groups * stride)).collect();
        each_chunk(&mut work, 1, 1, &|task, work| {
            let first = task * groups * group;
            for (y, numbers) in work {
                if stride == 1 {
                    for (row, (y, number)) in y.chunks_mut(length).zip(numbers.iter_mut()).enumerate() {
                        let start = first + row * length;
                        *number = f(inputs.map(|x| &x[start..start + length]), y);
                    }
                    continue;
                }
                let (mut rows, mut made) = (inputs.map(|_| vec![T::zero(); length]), vec![T::zero(); length]);
                for (start, number) in self.starts(y.len()).zip(numbers.iter_mut()) {
                    rows.iter_mut().zip(inputs).for_each(|(row, x)| self.read(x, first + start, row));
                    *number = f(rows.each_ref().map(|row| &row[..]), &mut made);
                    self.write(&made, start, y);
                }
            }
        });
        (y, numbers)
    }

    /// A tensor of the sample shape `output`: `f` makes each of its rows, `to`, of one of `x`.
    pub fn map<T: Scalar>(
        self,
        x: &Tensor<T>,
        to: Rows,
        output: &[usize],
        f: impl Fn(&[T], &mut [T]) + Send + Sync,
    ) -> Tensor<T> {
        let y = map_samples(&elements(x), per_sample(x), volume(output), |x, y| {
            let (mut row, mut result) = (vec![T::zero(); self.length], vec![T::zero(); to.length]);
            for (start, end) in self.starts(x.len()).zip(to.starts(y.len())) {
                self.read(x, start, &mut row);
                f(&row, &mut result);
                to.write(&result, end, y);
            }
        });
        from_elements(&batch_shape(samples(x), output), y)
    }

    /// A tensor of the shape of `x`: `f` makes each of its rows of one of `x` and one of `g`, whose rows are `of_g`.
    pub fn zip<T: Scalar>(
        self,
        x: &Tensor<T>,
        g: &Tensor<T>,
        of_g: Rows,
        f: impl Fn(&[T], &[T], &mut [T]) + Send + Sync,
    ) -> Tensor<T> {
        let (all_x, all_g) = (elements(x), elements(g));
        let (x_len, g_len) = (per_sample(x), per_sample(g));
        let mut out = vec![T::zero(); x.len()];
        each_chunk(&mut out, x_len.max(1), 1, &|sample, out| {
            let x = &all_x[sample * x_len..(sample + 1) * x_len];
            let g = &all_g[sample * g_len..(sample + 1) * g_len];
            let (mut row, mut other) = (vec![T::zero(); self.length], vec![T::zero(); of_g.length]);
            let mut result = row.clone();
            for (start, end) in self.starts(x_len).zip(of_g.starts(g_len)) {
                self.read(x, start, &mut row);
                of_g.read(g, end, &mut other);
                f(&row, &other, &mut result);
                self.write(&result, start, out);
            }
        });
        from_elements(x.shape(), out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_number_for_each_row() {
        let x = Tensor::from_shape_fn(vec![2, 3, 2, 20_000], |i| (i[0] * 7 + i[1] * 5 + i[2] * 3 + i[3] % 11) as f64);
        for axis in [1, 2, 3] {
            let rows = Rows::new("a row", axis, &[3, 2, 20_000]).unwrap();
            let (y, sums) = rows.each([&x, &x], |[a, b], y| {
                y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (a, b))| *y = a + b);
                y[0] = a.iter().sum();
                a.iter().sum()
            });
            let whole = x.sum_axis(ndarray::Axis(axis));
            assert_eq!(y.index_axis(ndarray::Axis(axis), 0), whole);
            assert_eq!(y.index_axis(ndarray::Axis(axis), 1), x.index_axis(ndarray::Axis(axis), 1).mapv(|v| 2.0 * v));
            let expected: Vec<f64> = x.outer_iter().map(|x| x.sum()).collect();
            assert_eq!(sums, expected);
        }
    }

    #[test]
    fn rows_in_the_middle() {
        let rows = Rows::new("a row", 2, &[1, 2, 3]).unwrap();
        assert_eq!(rows, Rows { length: 2, stride: 3 });
        let x = array![[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]], [[[7.0, 8.0, 9.0], [0.0, 1.0, 2.0]]]].into_dyn();
        let one = rows.with_length(1);
        let sum = rows.map(&x, one, &[1, 1, 3], |row, sum| sum[0] = row[0] - 10.0 * row[1]);
        assert_eq!(sum, array![[[[-39.0, -48.0, -57.0]]], [[[7.0, -2.0, -11.0]]]].into_dyn());
        let back = rows.zip(&x, &sum, one, |row, g, out| {
            out[0] = row[1] + g[0];
            out[1] = row[0];
        });
        assert_eq!(
            back.index_axis(ndarray::Axis(0), 1).to_owned(),
            array![[[7.0, -1.0, -9.0], [7.0, 8.0, 9.0]]].into_dyn()
        );
        assert!(Rows::new("a row", 0, &[2]).is_err() && Rows::new("a row", 2, &[2]).is_err());
    }
}
