//! Softmax inside a model (one at the end is cut by the importer: logits are explained).

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::operator::{Fixed, Io, Kind, Operator};
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples};

/// `exp(x_i) / Σ exp(x_j)` along one axis.
///
/// Relevance by the Taylor expansion of Achtibat et al. 2024 (AttnLRP, Proposition 3.1): `R_i = x_i (R_i − s_i Σ_j R_j)`. It does not
/// conserve: the expansion's constant term absorbs the rest, which the ledger records in the rule's account. Where `s_i` is zero, as behind a
/// mask, `R_i` is zero, too, whatever `x_i` is.
#[derive(Debug, Clone)]
pub struct Softmax {
    /// Length of the axis, and the distance between its elements.
    length: usize,
    stride: usize,
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
        check_shape(input)?;
        let Some((&length, after)) = axis.checked_sub(1).and_then(|a| input.get(a..)).and_then(<[usize]>::split_first)
        else {
            return Err(OperatorError::new(format!(
                "a softmax along axis {axis} of a tensor of rank {} (axis 0 is the batch)",
                input.len() + 1
            )));
        };
        Ok(Self { length, stride: after.iter().product(), axis, log: false, shape: one(input) })
    }

    /// The logarithm of the softmax, which has no relevance behaviour: a rule has to be assigned.
    #[must_use]
    pub fn logarithm(self) -> Self {
        Self { log: true, ..self }
    }

    /// Calls `f` with the positions of every row along the axis.
    fn for_each_row(&self, len: usize, mut f: impl FnMut(&[usize])) {
        let mut row = vec![0; self.length];
        for start in (0..len).step_by(self.length * self.stride) {
            for offset in 0..self.stride {
                row.iter_mut().enumerate().for_each(|(i, p)| *p = start + offset + i * self.stride);
                f(&row);
            }
        }
    }

    /// A tensor of `shape` that `f` fills row by row.
    fn by_row<T: Scalar>(&self, shape: &[usize], f: impl Fn(&[usize], &mut [T])) -> Tensor<T> {
        let mut out = vec![T::zero(); shape.iter().product()];
        self.for_each_row(out.len(), |row| f(row, &mut out));
        from_elements(shape, out)
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
        let x = elements(x);
        let shape = batch_shape(samples(xs[0]), &self.shape[0]);
        self.by_row(&shape, |row, y: &mut [T]| {
            let top = row.iter().fold(T::neg_infinity(), |m, &p| m.max(x[p]));
            row.iter().for_each(|&p| y[p] = (x[p] - top).exp());
            let sum = row.iter().map(|&p| y[p]).sum::<T>();
            if self.log {
                row.iter().for_each(|&p| y[p] = x[p] - top - sum.ln());
            } else {
                row.iter().for_each(|&p| y[p] /= sum);
            }
        })
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let y = Operator::<T>::forward(self, io.inputs);
        let (s, g_all) = (elements(&y), elements(g));
        vec![self.by_row(g.shape(), |row, out: &mut [T]| {
            if self.log {
                let along = row.iter().map(|&p| g_all[p]).sum::<T>();
                row.iter().for_each(|&p| out[p] = g_all[p] - s[p].exp() * along);
            } else {
                let along = row.iter().map(|&p| s[p] * g_all[p]).sum::<T>();
                row.iter().for_each(|&p| out[p] = s[p] * (g_all[p] - along));
            }
        })]
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn fixed(&self) -> Fixed {
        if self.log { Fixed::RuleNeeded } else { Fixed::Own { name: "softmax (AttnLRP)", needs: Needs::BOTH } }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let Some(x) = io.inputs.first() else { return Propagated::lossless(Vec::new()) };
        let (x, s, r_all) = (elements(x), elements(io.output), elements(r));
        let relevance = self.by_row(r.shape(), |row, out: &mut [T]| {
            let total = row.iter().map(|&p| r_all[p]).sum::<T>();
            row.iter()
                .filter(|&&p| !s[p].is_zero())
                .for_each(|&p| out[p] = x[p] * (r_all[p] - s[p] * total) + T::zero());
        });
        // Σ R_i (1 − x_i + Σ_j x_j s_j): what the constant term of the expansion takes.
        let mut rule = vec![0.0; samples(r)];
        let per_sample = r_all.len() / rule.len().max(1);
        self.for_each_row(r_all.len(), |row| {
            let share = |p: usize| s[p].wide();
            // Nothing of what is behind a mask counts.
            let value = |p: usize| if share(p) == 0.0 { 0.0 } else { x[p].wide() };
            let mean: f64 = row.iter().map(|&p| value(p) * share(p)).sum();
            let taken: f64 = row.iter().map(|&p| r_all[p].wide() * (1.0 - value(p) + mean)).sum();
            if let Some(account) = row.first().and_then(|&p| rule.get_mut(p / per_sample)) {
                *account += taken;
            }
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
