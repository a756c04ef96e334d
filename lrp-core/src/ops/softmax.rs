//! Softmax inside a model (one at the end is cut by the importer: logits are explained).

use super::one;
use super::rows::Rows;
use crate::error::OperatorError;
use crate::kernels::math;
use crate::operator::{Fixed, Io, Kind, Operator};
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, sum_of, sums_of_piece, update_piece};

/// `exp(x_i) / Σ exp(x_j)` along one axis.
///
/// Relevance by the Taylor expansion of Achtibat et al. 2024 (AttnLRP, Proposition 3.1): `R_i = x_i (R_i − s_i Σ_j R_j)`. It does not
/// conserve: the expansion's constant term absorbs the rest, which the ledger records in the rule's account. Where `s_i` is zero, as behind a
/// mask, `R_i` is zero, too, whatever `x_i` is.
#[derive(Debug, Clone)]
pub struct Softmax {
    rows: Rows,
    axis: usize,
    log: bool,
    shape: [Vec<usize>; 1],
}

impl Softmax {
    /// `axis` counts from the batch axis, which is 0 and not allowed.
    ///
    /// # Errors
    /// When the axis is the batch or does not exist.
    pub fn new(axis: usize, input: &[usize]) -> Result<Self, OperatorError> {
        Ok(Self { rows: Rows::new("a softmax", axis, input)?, axis, log: false, shape: one(input) })
    }

    /// The logarithm of the softmax, which has no relevance behaviour: a rule has to be assigned.
    #[must_use]
    pub fn logarithm(self) -> Self {
        Self { log: true, ..self }
    }
}

impl<T: Scalar> Operator<T> for Softmax {
    fn kind(&self) -> Kind {
        if self.log { Kind::LogSoftmax } else { Kind::Softmax }
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape[0]
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        let log = self.log;
        let made = self.rows.each([*x], |[x], y: &mut [T]| {
            let top = largest(x);
            let [sum] = update_piece(y, x, x, move |_, x, _| {
                let e = math::exp(x - top);
                (e, [e.wide()])
            });
            let (sum, log_sum) = (T::of(sum), T::of(sum.ln()));
            if log {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = x - top - log_sum);
            } else {
                y.iter_mut().for_each(|y| *y /= sum);
            }
            0.0
        });
        made.0
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let (s, log) = (Operator::<T>::forward(self, io.inputs), self.log);
        let made = self.rows.each([&s, g], |[s, g], out: &mut [T]| {
            if log {
                let along = g.iter().copied().sum::<T>();
                out.iter_mut().zip(s.iter().zip(g)).for_each(|(out, (&s, &g))| *out = g - math::exp(s) * along);
            } else {
                let along = s.iter().zip(g).map(|(&s, &g)| s * g).sum::<T>();
                out.iter_mut().zip(s.iter().zip(g)).for_each(|(out, (&s, &g))| *out = s * (g - along));
            }
            0.0
        });
        vec![made.0]
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn fixed(&self) -> Fixed {
        if self.log { Fixed::RuleNeeded } else { Fixed::Own { name: "softmax (AttnLRP)", needs: Needs::BOTH } }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let Some(x) = io.inputs.first() else { return Propagated::lossless(Vec::new()) };
        // Σ R_i (1 − x_i + Σ_j x_j s_j): what the constant term of the expansion takes. Nothing of what is behind a mask counts, and in a row
        // that is masked throughout that is everything.
        let visible = |x: T, s: T| if s.is_zero() || x < T::of(MASKED) { T::zero() } else { x };
        let (relevance, rule) = self.rows.each([*x, io.output, r], |[x, s, r], out: &mut [T]| {
            let total = T::of(sum_of(r));
            let [mean] = sums_of_piece(x, s, |x, s| [visible(x, s).wide() * s.wide()]);
            out.copy_from_slice(x);
            let [taken] = update_piece(out, s, r, move |x, s, r| {
                let x = visible(x, s);
                (x * (r - s * total) + T::zero(), [r.wide() * (1.0 - x.wide() + mean)])
            });
            taken
        });
        Propagated { rule, ..Propagated::lossless(vec![relevance]) }
    }

    fn nonnegative(&self, _: &[bool]) -> bool {
        !self.log
    }

    fn detail(&self) -> String {
        format!("axis {}", self.axis)
    }
}

/// Scores below this one are masked: exporters add −10,000 or less, and no others come near it. Such a score has a weight only where all of
/// its row are masked.
const MASKED: f64 = -5e3;

/// The largest element.
fn largest<T: Scalar>(x: &[T]) -> T {
    // Several at a time: compilers make vectors of that.
    let mut most = [T::neg_infinity(); 16];
    for x in x.chunks(most.len()) {
        most.iter_mut().zip(x).for_each(|(most, &x)| *most = if x > *most { x } else { *most });
    }
    most.into_iter().fold(T::neg_infinity(), T::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn case() -> (Softmax, Tensor<f64>, Tensor<f64>) {
        let x = array![[[1.0, 2.0], [0.5, -1.0], [0.0, 3.0]], [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]].into_dyn();
        let r = array![[[1.0, -2.0], [0.5, 0.3], [2.0, 1.0]], [[1.0, 1.0], [0.0, 2.0], [-1.0, 0.5]]].into_dyn();
        (Softmax::new(1, &[3, 2]).unwrap(), x, r)
    }

    #[test]
    fn rows_sum_to_one_along_the_axis() {
        let (op, x, _) = case();
        let y = op.forward(&[&x]);
        assert!(y.sum_axis(ndarray::Axis(1)).iter().all(|s| (s - 1.0).abs() < 1e-12));
        assert!((y[[0, 0, 0]] - 1f64.exp() / (1f64.exp() + 0.5f64.exp() + 1.0)).abs() < 1e-12);
        assert!(Softmax::new(0, &[3]).is_err() && Softmax::new(2, &[3]).is_err());
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let (op, x, g) = case();
        crate::testing::assert_gradient(&op, &[&x], &g);
        let log = op.clone().logarithm();
        crate::testing::assert_gradient(&log, &[&x], &g);
        let (y, logs) = (op.forward(&[&x]), log.forward(&[&x]));
        assert!(y.iter().zip(&logs).all(|(y, log)| (y.ln() - log).abs() < 1e-12));
        assert_eq!(Operator::<f64>::fixed(&log), Fixed::RuleNeeded);
    }

    /// Relevance of scores is in proportion to them, and a mask is no score.
    #[test]
    fn a_row_that_is_masked_throughout_gets_nothing() {
        let x = array![[-1e9, -1e9 + 1.0]].into_dyn();
        let op = Softmax::new(1, &[2]).unwrap();
        let y = op.forward(&[&x]);
        let out = op.propagate(Io { inputs: &[&x], output: &y }, &array![[1.0, 3.0]].into_dyn());
        assert_eq!((&out.relevance[0], out.rule.as_slice()), (&array![[0.0, 0.0]].into_dyn(), [4.0].as_slice()));
    }

    /// By hand, with a third element behind a mask: `s = (½, ½, 0)`, `R_1 = 1·(1 − ½·4) = −1`, `R_2 = 1·(3 − ½·4) = 1`.
    #[test]
    fn what_is_masked_gets_nothing() {
        let x = array![[1.0, 1.0, f64::MIN]].into_dyn();
        let op = Softmax::new(1, &[3]).unwrap();
        let y = op.forward(&[&x]);
        let out = op.propagate(Io { inputs: &[&x], output: &y }, &array![[1.0, 3.0, 0.0]].into_dyn());
        assert_eq!(out.relevance, vec![array![[-1.0, 1.0, 0.0]].into_dyn()]);
        // 4 − 0 = 1·(1 − 1 + 1) + 3·(1 − 1 + 1).
        assert_eq!(out.rule, [4.0]);
    }

    #[test]
    fn the_ledger_balances() {
        let (op, x, r) = case();
        let y = op.forward(&[&x]);
        let out = op.propagate(Io { inputs: &[&x], output: &y }, &r);
        for sample in 0..2 {
            let sum = |t: &Tensor<f64>| t.index_axis(ndarray::Axis(0), sample).sum();
            assert!((sum(&r) - sum(&out.relevance[0]) - out.rule[sample]).abs() < 1e-12);
        }
    }
}
