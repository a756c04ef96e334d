//! Division by a statistic of the input: root mean squares, norms along an axis, and sums of squares of neighbouring channels.

use super::one;
use super::rows::Rows;
use crate::error::OperatorError;
use crate::operator::{Fixed, Io, Kind, Operator};
use crate::scalar::{Scalar, count};
use crate::tensor::{Tensor, sums_of_piece};

/// What every element of a row is divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Divisor {
    /// `√(mean(x²) + ε)`.
    RootMeanSquare {
        /// ε.
        epsilon: f64,
    },
    /// `√(Σ x²)`; a row of zeros stays zero.
    L2,
    /// `Σ |x|`; a row of zeros stays zero.
    L1,
    /// `(bias + alpha / size · Σ x²)^beta`, summed over the `size` elements around each (Krizhevsky et al. 2012).
    Neighbours {
        /// Length of the neighbourhood.
        size: usize,
        /// Factor of the mean of squares.
        alpha: f64,
        /// Exponent.
        beta: f64,
        /// Summand.
        bias: f64,
    },
}

/// `x / d(x)` for every row along an axis, without centring.
///
/// The divisor is taken as a constant, and the numerator receives all relevance (Achtibat et al. 2024, Proposition 3.4). Then each output is one
/// input times a number: relevance passes unchanged.
#[derive(Debug, Clone)]
pub struct Normalize {
    divisor: Divisor,
    axis: usize,
    rows: Rows,
    shape: [Vec<usize>; 1],
}

impl Normalize {
    /// `axis` counts from the batch axis, which is 0 and not allowed; `input` is the sample shape.
    ///
    /// # Errors
    /// When the axis is the batch or does not exist, or a parameter makes no sense.
    pub fn new(divisor: Divisor, axis: usize, input: &[usize]) -> Result<Self, OperatorError> {
        let sensible = match divisor {
            Divisor::RootMeanSquare { epsilon } => epsilon.is_finite() && epsilon >= 0.0,
            Divisor::L1 | Divisor::L2 => true,
            Divisor::Neighbours { size, alpha, beta, bias } => {
                size > 0 && [alpha, beta, bias].iter().all(|v| v.is_finite()) && bias >= 0.0 && alpha >= 0.0
            }
        };
        if !sensible {
            return Err(OperatorError::new(format!("a division by {divisor:?}")));
        }
        Ok(Self { divisor, axis, rows: Rows::new("a normalisation", axis, input)?, shape: one(input) })
    }

    /// The factor of all elements of a row, the reciprocal of their divisor; none if each has its own.
    fn common_factor<T: Scalar>(&self, row: &[T]) -> Option<T> {
        let squares = || {
            let [sum] = sums_of_piece(row, row, |x, _| [(x * x).wide()]);
            T::of(sum)
        };
        let divisor = match self.divisor {
            Divisor::RootMeanSquare { epsilon } => (squares() / count(row.len()) + T::of(epsilon)).sqrt(),
            Divisor::L2 => squares().sqrt(),
            Divisor::L1 => row.iter().map(|x| x.abs()).sum(),
            Divisor::Neighbours { .. } => return None,
        };
        Some(if divisor.is_zero() { T::zero() } else { divisor.recip() })
    }

    /// The factor of each element of a row.
    fn factors<T: Scalar>(&self, row: &[T]) -> Vec<T> {
        match (self.common_factor(row), self.divisor) {
            (None, Divisor::Neighbours { size, alpha, beta, bias }) => {
                let bases = bases(row, size, alpha, bias);
                bases.into_iter().map(|base| base.powf(T::of(-beta))).collect()
            }
            (factor, _) => vec![factor.unwrap_or_else(T::one); row.len()],
        }
    }

    /// The gradient at a row, from `g` at its output.
    fn gradient<T: Scalar>(&self, row: &[T], g: &[T], out: &mut [T]) {
        let factors = self.factors(row);
        // Σ g x: what a change of a common divisor changes.
        let along = || row.iter().zip(g).map(|(&x, &g)| x * g).sum::<T>();
        let first = factors.first().copied().unwrap_or_else(T::zero);
        let slopes: Vec<T> = match self.divisor {
            Divisor::RootMeanSquare { .. } | Divisor::L2 => {
                let n = if self.divisor == Divisor::L2 { T::one() } else { count(row.len()) };
                let common = along() * first * first * first / n;
                row.iter().map(|&x| common * x).collect()
            }
            Divisor::L1 => {
                let common = along() * first * first;
                let sign = |x: T| if x.is_zero() { T::zero() } else { x.signum() };
                row.iter().map(|&x| common * sign(x)).collect()
            }
            Divisor::Neighbours { size, alpha, beta, bias } => {
                // Of each output, by its base; an element is in as many bases as it has neighbours.
                let by_base: Vec<T> = bases(row, size, alpha, bias)
                    .into_iter()
                    .zip(row.iter().zip(g))
                    .map(|(base, (&x, &g))| g * x * base.powf(T::of(-beta - 1.0)))
                    .collect();
                let factor = T::of(2.0 * alpha * beta) / count(size);
                // The neighbourhood seen from the other side.
                let (before, after) = (size - 1 - (size - 1) / 2, (size - 1) / 2);
                let around = |i: usize| window_sum(&by_base, i, before, after);
                row.iter().enumerate().map(|(i, &x)| factor * x * around(i)).collect()
            }
        };
        for (i, out) in out.iter_mut().enumerate() {
            *out = g[i] * factors[i] - slopes[i];
        }
    }
}

/// `bias + alpha / size · Σ x²` around each element. Of an even number of neighbours, one more comes after.
fn bases<T: Scalar>(row: &[T], size: usize, alpha: f64, bias: f64) -> Vec<T> {
    let squares: Vec<T> = row.iter().map(|&x| x * x).collect();
    let (before, after) = ((size - 1) / 2, size - 1 - (size - 1) / 2);
    let factor = T::of(alpha) / count(size);
    (0..row.len()).map(|i| T::of(bias) + factor * window_sum(&squares, i, before, after)).collect()
}

/// The sum of the elements from `before` in front of `i` to `after` behind it.
fn window_sum<T: Scalar>(values: &[T], i: usize, before: usize, after: usize) -> T {
    let end = i.saturating_add(after).saturating_add(1).min(values.len());
    values[i.saturating_sub(before)..end].iter().copied().sum()
}

impl<T: Scalar> Operator<T> for Normalize {
    fn kind(&self) -> Kind {
        if matches!(self.divisor, Divisor::RootMeanSquare { .. }) { Kind::RmsNorm } else { Kind::Normalize }
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape[0]
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        let made = self.rows.each([*x], |[row], y: &mut [T]| {
            match self.common_factor(row) {
                Some(factor) => y.iter_mut().zip(row).for_each(|(y, &x)| *y = x * factor),
                None => y.iter_mut().zip(row).zip(self.factors(row)).for_each(|((y, &x), factor)| *y = x * factor),
            }
            0.0
        });
        made.0
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let Some(x) = io.inputs.first() else { return Vec::new() };
        let made = self.rows.each([*x, g], |[row, g], out: &mut [T]| {
            self.gradient(row, g, out);
            0.0
        });
        vec![made.0]
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn fixed(&self) -> Fixed {
        Fixed::Pass
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }

    fn detail(&self) -> String {
        let by = match self.divisor {
            Divisor::RootMeanSquare { .. } => "",
            Divisor::L2 => ", L2",
            Divisor::L1 => ", L1",
            Divisor::Neighbours { size, .. } => return format!("along axis {}, {size} neighbours", self.axis),
        };
        format!("along axis {}{by}", self.axis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    const EVERY: [Divisor; 5] = [
        Divisor::RootMeanSquare { epsilon: 0.1 },
        Divisor::L2,
        Divisor::L1,
        Divisor::Neighbours { size: 3, alpha: 0.5, beta: 0.75, bias: 2.0 },
        Divisor::Neighbours { size: 4, alpha: 0.5, beta: 0.75, bias: 1.0 },
    ];

    #[test]
    fn by_hand() {
        let x = array![[[3.0, -4.0], [0.0, 0.0]]].into_dyn();
        let y = |divisor| Normalize::new(divisor, 2, &[2, 2]).unwrap().forward(&[&x]);
        let norm = y(Divisor::L2);
        assert!((norm - array![[[0.6, -0.8], [0.0, 0.0]]].into_dyn()).iter().all(|d: &f64| d.abs() < 1e-15));
        assert_eq!(y(Divisor::L1), array![[[3.0 / 7.0, -4.0 / 7.0], [0.0, 0.0]]].into_dyn());
        // √(25/2 + 3.5) = 4.
        let rms = y(Divisor::RootMeanSquare { epsilon: 3.5 });
        assert!((rms - array![[[0.75, -1.0], [0.0, 0.0]]].into_dyn()).iter().all(|d: &f64| d.abs() < 1e-15));
        // Of two, the second one comes after: 1 + 2/2 · (9 + 16) = 26, then 1 + 16 = 17.
        let lrn = y(Divisor::Neighbours { size: 2, alpha: 2.0, beta: 1.0, bias: 1.0 });
        assert!(
            (lrn - array![[[3.0 / 26.0, -4.0 / 17.0], [0.0, 0.0]]].into_dyn()).iter().all(|d: &f64| d.abs() < 1e-15)
        );
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let x = array![[[1.0, -2.5, 3.0, 0.7, -0.2], [3.0, -3.0, 0.5, 1.1, 2.0]]].into_dyn();
        let g = x.mapv(|v: f64| (3.0 * v).sin());
        for divisor in EVERY {
            for axis in [1, 2] {
                crate::testing::assert_gradient(&Normalize::new(divisor, axis, &[2, 5]).unwrap(), &[&x], &g);
            }
        }
        // At zero, where a norm has no derivative, the gradient is that of a constant divisor of infinity.
        let op = Normalize::new(Divisor::L2, 1, &[2]).unwrap();
        let zero = array![[0.0, 0.0]].into_dyn();
        assert_eq!(op.vjp(Io { inputs: &[&zero], output: &zero }, &zero), std::slice::from_ref(&zero));
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        assert!(Normalize::new(Divisor::RootMeanSquare { epsilon: -1.0 }, 1, &[2]).is_err());
        assert!(Normalize::new(Divisor::Neighbours { size: 0, alpha: 1.0, beta: 1.0, bias: 1.0 }, 1, &[2]).is_err());
        assert!(Normalize::new(Divisor::L1, 0, &[2]).is_err());
    }
}
