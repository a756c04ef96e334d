//! Layer normalisation.

use std::sync::Arc;

use super::quotient::Quotient;
use super::rows::Rows;
use super::{check_shape, one};
use crate::error::OperatorError;
use crate::formula::STABILIZER;
use crate::operator::{Fixed, Io, Kind, Operator};
use crate::propagated::{Needs, Propagated};
use crate::scalar::{Scalar, count};
use crate::tensor::{
    Tensor, batch_shape, dots, elements, from_elements, samples, sum_of, sums_of_piece, update_piece, volume,
};

/// `γ (x − mean(x)) / √(var(x) + ε) + β` over the last axes of each sample.
///
/// With the standard deviation taken as a constant this is affine in `x`, and relevance is divided as LRP-ε divides it (Ali et
/// al. 2022): the mean belongs to the inputs that it is made of, `β` is recorded as bias.
#[derive(Debug, Clone)]
pub struct LayerNorm<T> {
    gamma: Vec<T>,
    beta: Vec<T>,
    epsilon: T,
    stabilizer: f64,
    /// Shape of `γ` and `β` within a sample: the normalised axes.
    weights_shape: Vec<usize>,
    shape: [Vec<usize>; 1],
}

impl<T: Scalar> LayerNorm<T> {
    /// Normalises the last axes of the sample shape `input`, as many as `gamma` has elements for; `axes` of them.
    ///
    /// # Errors
    /// When `gamma` or `beta` do not have one element for each normalised position.
    pub fn new(
        axes: usize,
        gamma: Vec<T>,
        beta: Option<Vec<T>>,
        epsilon: T,
        input: &[usize],
    ) -> Result<Self, OperatorError> {
        check_shape(input)?;
        if axes == 0 || axes > input.len() {
            return Err(OperatorError::new(format!("normalises the last {axes} of {} axes", input.len())));
        }
        let weights_shape = input[input.len() - axes..].to_vec();
        let n = volume(&weights_shape);
        let beta = beta.unwrap_or_else(|| vec![T::zero(); n]);
        if gamma.len() != n || beta.len() != n {
            return Err(OperatorError::new(format!(
                "scale and bias have {} and {} elements for {n} normalised positions",
                gamma.len(),
                beta.len()
            )));
        }
        if !epsilon.is_finite() || epsilon < T::zero() {
            return Err(OperatorError::new(format!("an epsilon of {epsilon}")));
        }
        Ok(Self { gamma, beta, epsilon, stabilizer: STABILIZER, weights_shape, shape: one(input) })
    }

    /// Number of positions that are normalised together.
    fn width(&self) -> usize {
        self.gamma.len()
    }

    /// Mean and `1 / √(var + ε)` of a row.
    fn statistics(&self, row: &[T]) -> (T, T) {
        let n = count::<T>(row.len());
        let mean = T::of(sum_of(row)) / n;
        let [squares] = sums_of_piece(row, row, move |v, _| {
            let v = v - mean;
            [(v * v).wide()]
        });
        (mean, (T::of(squares) / n + self.epsilon).sqrt().recip())
    }

    /// `x ⊙ Aᵀ s` where `A` is the affine map with the standard deviation of each row of `x` as a constant.
    fn detached_relevance(&self, x: &Tensor<T>, s: &Tensor<T>) -> Tensor<T> {
        let made = self.rows().each([x, s], |[x, s], out: &mut [T]| {
            let (_, scale) = self.statistics(x);
            out.copy_from_slice(s);
            let [sum] = update_piece(out, &self.gamma, &self.gamma, move |s, g, _| {
                let scaled = s * g * scale;
                (scaled, [scaled.wide()])
            });
            let mean = T::of(sum) / count(x.len());
            update_piece(out, x, x, move |scaled, x, _| (x * (scaled - mean) + T::zero(), []));
            0.0
        });
        made.0
    }

    /// What is normalised together.
    fn rows(&self) -> Rows {
        Rows::contiguous(self.width())
    }
}

impl<T: Scalar> Operator<T> for LayerNorm<T> {
    fn kind(&self) -> Kind {
        Kind::LayerNorm
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape[0]
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        let made = self.rows().each([*x], |[x], y: &mut [T]| {
            let (mean, scale) = self.statistics(x);
            y.copy_from_slice(x);
            update_piece(y, &self.gamma, &self.beta, move |v, g, b| (g * (v - mean) * scale + b, []));
            0.0
        });
        made.0
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let Some(x) = io.inputs.first() else { return Vec::new() };
        let (x, g_rows) = (elements(x), elements(g));
        let mut gradient = Vec::with_capacity(x.len());
        for (x, g) in x.chunks(self.width()).zip(g_rows.chunks(self.width())) {
            let (mean, scale) = self.statistics(x);
            let n = count::<T>(x.len());
            let hat: Vec<T> = x.iter().map(|&v| (v - mean) * scale).collect();
            let scaled: Vec<T> = g.iter().zip(&self.gamma).map(|(&g, &w)| g * w).collect();
            let average = scaled.iter().copied().sum::<T>() / n;
            let along = scaled.iter().zip(&hat).map(|(&s, &h)| s * h).sum::<T>() / n;
            gradient.extend(scaled.iter().zip(&hat).map(|(&s, &h)| scale * (s - average - h * along)));
        }
        vec![from_elements(&batch_shape(samples(g), &self.shape[0]), gradient)]
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn fixed(&self) -> Fixed {
        Fixed::Own { name: "epsilon, σ constant", needs: Needs::BOTH }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let Some(x) = io.inputs.first() else { return Propagated::lossless(Vec::new()) };
        let quotient = Quotient::new(r, io.output, self.stabilizer);
        let relevance = self.detached_relevance(x, &quotient.q);
        let beta = from_elements(&self.weights_shape, self.beta.clone());
        let bias = dots(&quotient.q, &beta);
        let mut result = quotient.booked(vec![relevance]);
        result.bias = bias;
        result
    }

    fn with_stabilizer(&self, stabilizer: f64) -> Option<Arc<dyn Operator<T>>> {
        Some(Arc::new(Self { stabilizer, ..self.clone() }))
    }

    fn parameters(&self) -> usize {
        2 * self.width()
    }

    fn detail(&self) -> String {
        format!("over the last {}", self.weights_shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn op() -> LayerNorm<f64> {
        LayerNorm::new(1, vec![2.0, 1.0, -1.0], Some(vec![0.5, 0.0, 1.0]), 0.0, &[2, 3]).unwrap()
    }

    #[test]
    fn by_hand() {
        // mean 2, variance 2/3.
        let x = array![[[1.0, 2.0, 3.0], [3.0, 3.0, 0.0]]].into_dyn();
        let scale = 1.5_f64.sqrt();
        let y = op().forward(&[&x]);
        let expected = [-2.0 * scale + 0.5, 0.0, 1.0 - scale];
        assert!(y.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{y:?}");
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let op = op();
        let x = array![[[1.0, 2.5, 3.0], [3.0, -3.0, 0.5]]].into_dyn();
        let g = array![[[1.0, -2.0, 0.5], [0.3, 0.7, 2.0]]].into_dyn();
        crate::testing::assert_gradient(&op, &[&x], &g);
    }

    #[test]
    fn the_ledger_balances() {
        let op = op();
        let x = array![[[1.0, 2.5, 3.0], [3.0, -3.0, 0.5]]].into_dyn();
        let y = op.forward(&[&x]);
        let r = array![[[1.0, -2.0, 0.5], [0.3, 0.7, 2.0]]].into_dyn();
        let out = op.propagate(Io { inputs: &[&x], output: &y }, &r);
        let booked = out.relevance[0].sum() + out.bias[0] + out.stabilizer[0] + out.rule[0];
        assert!((r.sum() - booked).abs() < 1e-12);
    }
}
