//! The largest or the smallest elements along an axis.

use super::one;
use super::rows::Rows;
use crate::error::OperatorError;
use crate::operator::{Io, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// The `k` largest (or smallest) elements along an axis, in that order; of equals the first comes first. With `k = 1` it is the maximum (or the
/// minimum) along the axis. Relevance goes to the elements that won, as in max pooling.
#[derive(Debug, Clone)]
pub struct TopK {
    axis: usize,
    largest: bool,
    rows: Rows,
    taken: Rows,
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

impl TopK {
    /// `axis` counts from the batch axis, which is 0 and not allowed; `input` is the sample shape. The axis keeps the length `k`.
    ///
    /// # Errors
    /// When the axis is the batch or does not exist, or has less than `k` elements.
    pub fn new(axis: usize, k: usize, largest: bool, input: &[usize]) -> Result<Self, OperatorError> {
        let rows = Rows::new("the largest elements", axis, input)?;
        if k == 0 || k > rows.length {
            return Err(OperatorError::new(format!("the {k} largest or smallest of {} elements", rows.length)));
        }
        let mut output_shape = input.to_vec();
        output_shape[axis - 1] = k;
        Ok(Self { axis, largest, rows, taken: rows.with_length(k), input_shape: one(input), output_shape })
    }

    /// The positions of the winners of a row, the best first.
    fn winners<T: Scalar>(&self, row: &[T]) -> Vec<usize> {
        // Whatever is no number loses, so that there is an order.
        let size = |i: usize| match (row[i].is_nan(), self.largest) {
            (true, _) => T::neg_infinity(),
            (false, true) => row[i],
            (false, false) => -row[i],
        };
        let beats = |a: usize, b: usize| size(a) > size(b);
        if self.taken.length == 1 {
            return vec![(1..row.len()).fold(0, |best, i| if beats(i, best) { i } else { best })];
        }
        let mut order: Vec<usize> = (0..row.len()).collect();
        // Stable: equals keep their order.
        order.sort_by(|&a, &b| beats(b, a).cmp(&beats(a, b)));
        order.truncate(self.taken.length);
        order
    }
}

impl<T: Scalar> Operator<T> for TopK {
    fn kind(&self) -> Kind {
        match (self.taken.length, self.largest) {
            (1, true) => Kind::Maximum,
            (1, false) => Kind::Minimum,
            _ => Kind::TopK,
        }
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        self.rows.map(x, self.taken, &self.output_shape, |row, y| {
            y.iter_mut().zip(self.winners(row)).for_each(|(y, winner)| *y = row[winner]);
        })
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let Some(x) = io.inputs.first() else { return Vec::new() };
        vec![self.rows.zip(x, g, self.taken, |row, g, routed| {
            routed.fill(T::zero());
            self.winners(row).into_iter().zip(g).for_each(|(winner, &g)| routed[winner] = g);
        })]
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }

    fn detail(&self) -> String {
        match self.taken.length {
            1 => format!("along axis {}", self.axis),
            k => format!("{k} {} along axis {}", if self.largest { "largest" } else { "smallest" }, self.axis),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_first_of_equals_wins() {
        let x = array![[[1.0, 5.0, -2.0, 5.0], [0.0, -3.0, -3.0, 7.0]]].into_dyn();
        let case = |axis, k, largest, expected: Tensor<f64>, routed: Tensor<f64>| {
            let op = TopK::new(axis, k, largest, &[2, 4]).unwrap();
            let y = op.forward(&[&x]);
            assert_eq!(y, expected);
            let mut i = 0.0;
            let r = y.mapv(|_| {
                i += 1.0;
                i
            });
            assert_eq!(op.vjp(Io { inputs: &[&x], output: &y }, &r), [routed]);
        };
        case(
            2,
            2,
            true,
            array![[[5.0, 5.0], [7.0, 0.0]]].into_dyn(),
            array![[[0.0, 1.0, 0.0, 2.0], [4.0, 0.0, 0.0, 3.0]]].into_dyn(),
        );
        case(
            2,
            3,
            false,
            array![[[-2.0, 1.0, 5.0], [-3.0, -3.0, 0.0]]].into_dyn(),
            array![[[2.0, 3.0, 1.0, 0.0], [6.0, 4.0, 5.0, 0.0]]].into_dyn(),
        );
        case(
            1,
            1,
            true,
            array![[[1.0, 5.0, -2.0, 7.0]]].into_dyn(),
            array![[[1.0, 2.0, 3.0, 0.0], [0.0, 0.0, 0.0, 4.0]]].into_dyn(),
        );
        case(
            2,
            1,
            false,
            array![[[-2.0], [-3.0]]].into_dyn(),
            array![[[0.0, 0.0, 1.0, 0.0], [0.0, 2.0, 0.0, 0.0]]].into_dyn(),
        );
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        assert!(TopK::new(1, 0, true, &[2]).is_err());
        assert!(TopK::new(1, 3, true, &[2]).is_err());
        assert!(TopK::new(0, 1, true, &[2]).is_err());
    }
}
