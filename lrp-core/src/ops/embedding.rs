//! Rows of a table by number: the embedding of token ids.

use super::check_shape;
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, from_elements, samples, volume};

/// Rows of a table, `[V, …]`, for whole numbers below `V`; negative ones count from the end.
///
/// Relevance of an id is the sum of the relevance of its row's elements. For a number that the table does not have, the row is NaN, which the
/// forward pass reports.
#[derive(Debug, Clone)]
pub struct Embedding<T: Scalar> {
    table: Tensor<T>,
    /// The number of elements of a row.
    width: usize,
    /// Numbers that the table does not have give a row of zeros, and none counts from the end.
    is_one_hot: bool,
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

impl<T: Scalar> Embedding<T> {
    /// Of a table `[V, …]`, for ids of this sample shape; the result has the shape of the ids and then that of a row.
    ///
    /// # Errors
    /// When the table has no rows, or a shape is empty or too large.
    pub fn new(table: Tensor<T>, input: &[usize]) -> Result<Self, OperatorError> {
        let Some(row) = table.shape().get(1..).filter(|_| !table.is_empty()) else {
            return Err(OperatorError::new(format!("a table of shape {:?} has no rows", table.shape())));
        };
        let output_shape = [input, row].concat();
        check_shape(input)?;
        check_shape(&output_shape)?;
        let width = volume(row);
        Ok(Self {
            width,
            is_one_hot: false,
            input_shape: [input.to_vec()],
            output_shape,
            table: table.as_standard_layout().into_owned(),
        })
    }

    /// One-hot vectors of numbers below `depth`, for ids of this sample shape, whose last axis has length one and gives way to the vectors. Any
    /// other number gives a vector of zeros.
    ///
    /// # Errors
    /// When the last axis is another one, or a shape is empty or too large.
    pub fn one_hot(depth: usize, input: &[usize]) -> Result<Self, OperatorError> {
        let Some((1, ids)) = input.split_last() else {
            return Err(OperatorError::new(format!("one-hot vectors along the last axis of {input:?}")));
        };
        check_shape(&[depth, depth])?;
        let diagonal = |at: ndarray::IxDyn| if at[0] == at[1] { T::one() } else { T::zero() };
        let made = Self::new(Tensor::from_shape_fn(vec![depth, depth], diagonal), ids)?;
        Ok(Self { is_one_hot: true, input_shape: [input.to_vec()], ..made })
    }

    /// The number of a row.
    fn row(&self, id: T) -> Option<usize> {
        let (id, rows) = (id.wide(), self.table.shape()[0] as f64);
        let row = if id < 0.0 && !self.is_one_hot { id + rows } else { id };
        // Whole and below the number of rows, so exact.
        (row.fract() == 0.0 && (0.0..rows).contains(&row)).then_some(row as usize)
    }
}

impl<T: Scalar> Operator<T> for Embedding<T> {
    fn kind(&self) -> Kind {
        Kind::Embedding
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(ids) = xs.first() else { return crate::tensor::empty() };
        let rows = crate::tensor::elements(&self.table);
        let outside = if self.is_one_hot { T::zero() } else { T::nan() };
        let mut values = Vec::with_capacity(ids.len() * self.width);
        for &id in ids.iter() {
            match self.row(id) {
                Some(row) => values.extend_from_slice(&rows[row * self.width..(row + 1) * self.width]),
                None => values.extend(std::iter::repeat_n(outside, self.width)),
            }
        }
        from_elements(&batch_shape(samples(ids), &self.output_shape), values)
    }

    fn vjp(&self, _: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let elements = crate::tensor::elements(g);
        let sums = elements.chunks(self.width).map(|row| row.iter().fold(T::zero(), |sum, &r| sum + r)).collect();
        vec![from_elements(&batch_shape(samples(g), &self.input_shape[0]), sums)]
    }

    fn nonnegative(&self, _: &[bool]) -> bool {
        crate::tensor::is_nonnegative(&self.table)
    }

    fn parameters(&self) -> usize {
        if self.is_one_hot { 0 } else { self.table.len() }
    }

    fn rows(&self) -> Option<usize> {
        (!self.is_one_hot).then(|| self.table.shape()[0])
    }

    fn detail(&self) -> String {
        format!("{} rows of {}", self.table.shape()[0], self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rows_by_number() {
        let op = Embedding::new(array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]].into_dyn(), &[3]).unwrap();
        let ids = array![[2.0, 0.0, -2.0]].into_dyn();
        let rows = op.forward(&[&ids]);
        assert_eq!(rows, array![[[5.0, 6.0], [1.0, 2.0], [3.0, 4.0]]].into_dyn());
        let io = Io { inputs: &[&ids], output: &rows };
        assert_eq!(op.vjp(io, &rows), vec![array![[11.0, 3.0, 7.0]].into_dyn()]);
    }

    #[test]
    fn one_hot_vectors() {
        let op = Embedding::one_hot(2, &[3, 1]).unwrap();
        let ids = array![[[1.0], [-1.0], [2.0]]].into_dyn();
        let rows: Tensor<f64> = op.forward(&[&ids]);
        assert_eq!(rows, array![[[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]].into_dyn());
        let io = Io { inputs: &[&ids], output: &rows };
        assert_eq!(op.vjp(io, &rows), vec![ids.mapv(|id| if id == 1.0 { 1.0 } else { 0.0 })]);
        assert!(Embedding::<f64>::one_hot(2, &[3]).is_err());
    }

    #[test]
    fn numbers_that_the_table_does_not_have() {
        let op = Embedding::new(array![[1.0], [2.0]].into_dyn(), &[1]).unwrap();
        for id in [2.0, -3.0, 0.5, f64::NAN, 1e300] {
            assert!(op.forward(&[&array![[id]].into_dyn()])[[0, 0, 0]].is_nan(), "{id}");
        }
        assert_eq!((op.rows(), Embedding::<f64>::one_hot(2, &[1]).unwrap().rows()), (Some(2), None));
        assert!(Embedding::<f64>::new(Tensor::zeros(vec![0, 2]), &[1]).is_err());
    }
}
