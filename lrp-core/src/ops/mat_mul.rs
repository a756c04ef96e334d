//! Matrix products of two activations, as attention has them: queries with keys, weights with values.

use std::sync::Arc;

use super::check_shape;
use super::quotient::Quotient;
use crate::error::OperatorError;
use crate::formula::STABILIZER;
use crate::kernels::product::{Finish, Matrices, Product};
use crate::operator::{Fixed, Io, Kind, Operator};
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, samples};

/// `O = A B`, a matrix product for each sample and each position of the leading axes.
///
/// Relevance by Achtibat et al. 2024 (AttnLRP, Proposition 3.3): with `q = R / stab(O)`, `R_A = ½ A ⊙ (q Bᵀ)` and `R_B = ½ B ⊙ (Aᵀ q)`. Where one
/// factor is a constant, the other one receives both halves.
#[derive(Debug, Clone)]
pub struct MatMul {
    /// Matrices of each sample.
    stack: usize,
    /// Rows of `A`, columns of `A` (which are the rows of `B`), columns of `B`.
    sizes: [usize; 3],
    /// Fractions of the relevance that the two factors receive.
    shares: [f64; 2],
    stabilizer: f64,
    shapes: [Vec<usize>; 2],
    output_shape: Vec<usize>,
}

impl MatMul {
    /// The product of samples of the shapes `[…, m, k]` and `[…, k, n]`, whose leading axes agree.
    ///
    /// # Errors
    /// When the shapes do not fit together.
    pub fn new(a: &[usize], b: &[usize]) -> Result<Self, OperatorError> {
        check_shape(a)?;
        check_shape(b)?;
        let (Some((&[m, k], leading)), Some((&[rows, n], others))) = (split(a), split(b)) else {
            return Err(OperatorError::new(format!("a matrix product of samples of the shapes {a:?} and {b:?}")));
        };
        if k != rows || leading != others {
            return Err(OperatorError::new(format!("the matrices {a:?} and {b:?} do not fit together")));
        }
        let output_shape: Vec<usize> = leading.iter().copied().chain([m, n]).collect();
        check_shape(&output_shape)?;
        let stack = leading.iter().product();
        Ok(Self {
            stack,
            sizes: [m, k, n],
            shares: [0.5; 2],
            stabilizer: STABILIZER,
            shapes: [a.to_vec(), b.to_vec()],
            output_shape,
        })
    }

    /// The same product with all relevance for one factor (0 or 1), the other one being a constant.
    #[must_use]
    pub fn all_to(self, factor: usize) -> Self {
        Self { shares: if factor == 0 { [1.0, 0.0] } else { [0.0, 1.0] }, ..self }
    }

    /// The products of a batch: `A B`, `G Bᵀ` or `Aᵀ G`, whose sizes are those of this operator's factors.
    fn products<T: Scalar>(
        &self,
        n: usize,
        [a, b]: [Matrices<'_, T>; 2],
        sizes: [usize; 3],
        finish: Finish<'_, T>,
    ) -> Vec<T> {
        Product { a, b, count: n * self.stack, sizes }.compute(finish)
    }

    /// `a ⊙ share G Bᵀ` and `b ⊙ share Aᵀ G` with a share for each, zeros where that is zero; without `a` and `b` if they are not to be `times`.
    fn adjoints<T: Scalar>(
        &self,
        [a, b]: [&Tensor<T>; 2],
        g: &Tensor<T>,
        shares: [f64; 2],
        times: bool,
    ) -> Vec<Tensor<T>> {
        let n = samples(g);
        let [rows, inner, columns] = self.sizes;
        let (a, b, g) = (elements(a), elements(b), elements(g));
        let [of_a, of_b, of_g] = [&a, &b, &g].map(|matrices| Matrices::new(matrices));
        let one = |factor: usize, factors: [Matrices<'_, T>; 2], sizes: [usize; 3], x: &[T]| {
            let shape = batch_shape(n, &self.shapes[factor]);
            if shares[factor] == 0.0 {
                return Tensor::zeros(shape);
            }
            let finish = if times { Finish::Times(x, T::of(shares[factor])) } else { Finish::Plain };
            from_elements(&shape, self.products(n, factors, sizes, finish))
        };
        vec![
            one(0, [of_g, of_b.transposed()], [rows, columns, inner], &a),
            one(1, [of_a.transposed(), of_g], [inner, rows, columns], &b),
        ]
    }
}

/// The last two axes, and those before them.
fn split(shape: &[usize]) -> Option<(&[usize; 2], &[usize])> {
    shape.split_last_chunk().map(|(leading, last)| (last, leading))
}

impl<T: Scalar> Operator<T> for MatMul {
    fn kind(&self) -> Kind {
        Kind::MatMul
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let [a, b] = xs else { return crate::tensor::empty() };
        let [rows, inner, columns] = self.sizes;
        let n = samples(a);
        let (a, b) = (elements(a), elements(b));
        let factors = [Matrices::new(&a), Matrices::new(&b)];
        let product = self.products(n, factors, [rows, inner, columns], Finish::Plain);
        from_elements(&batch_shape(n, &self.output_shape), product)
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let [a, b] = io.inputs else { return Vec::new() };
        self.adjoints([a, b], g, [1.0; 2], false)
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn fixed(&self) -> Fixed {
        let name = match self.shares {
            [1.0, 0.0] | [0.0, 1.0] => "epsilon, one factor constant",
            _ => "epsilon, half to each factor",
        };
        Fixed::Own { name, needs: Needs::BOTH }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let [a, b] = io.inputs else { return Propagated::lossless(Vec::new()) };
        let quotient = Quotient::new(r, io.output, self.stabilizer);
        let relevance = self.adjoints([a, b], &quotient.q, self.shares, true);
        quotient.booked(relevance)
    }

    fn factors(&self) -> Option<String> {
        Some(match self.shares {
            [1.0, 0.0] => "input 1 is a constant".to_owned(),
            [0.0, 1.0] => "input 0 is a constant".to_owned(),
            _ => "uniform".to_owned(),
        })
    }

    fn with_shares(&self, shares: [f64; 2]) -> Option<Arc<dyn Operator<T>>> {
        Some(Arc::new(Self { shares, ..self.clone() }))
    }

    fn with_stabilizer(&self, stabilizer: f64) -> Option<Arc<dyn Operator<T>>> {
        Some(Arc::new(Self { stabilizer, ..self.clone() }))
    }

    fn nonnegative(&self, inputs: &[bool]) -> bool {
        inputs.iter().all(|&i| i)
    }

    fn detail(&self) -> String {
        let [rows, inner, columns] = self.sizes;
        let stack = if self.stack == 1 { String::new() } else { format!("{} × ", self.stack) };
        format!("{stack}{rows}×{inner} · {inner}×{columns}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn varied(shape: &[usize], seed: f64) -> Tensor<f64> {
        let mut i = seed;
        Tensor::from_shape_simple_fn(shape, || {
            i += 1.0;
            (i * 12.9898).sin()
        })
    }

    #[test]
    fn by_hand() {
        let (a, b) = (array![[[1.0, 2.0], [3.0, -4.0]]].into_dyn(), array![[[5.0], [6.0]]].into_dyn());
        let op = MatMul::new(&[2, 2], &[2, 1]).unwrap();
        let o = op.forward(&[&a, &b]);
        assert_eq!(o, array![[[17.0], [-9.0]]].into_dyn());
        // q = R / O = [1, 2]: half of A ⊙ q Bᵀ and of B ⊙ Aᵀ q.
        let r = array![[[17.0], [-18.0]]].into_dyn();
        let out = op.propagate(Io { inputs: &[&a, &b], output: &o }, &r);
        let expected_a = array![[[2.5, 6.0], [15.0, -24.0]]].into_dyn();
        let expected_b = array![[[17.5], [-18.0]]].into_dyn();
        for (got, expected) in out.relevance.iter().zip([&expected_a, &expected_b]) {
            assert!((got - expected).iter().all(|d: &f64| d.abs() < 1e-4), "{got}");
        }
        let one = op.all_to(0).propagate(Io { inputs: &[&a, &b], output: &o }, &r);
        assert!((&one.relevance[0] - expected_a * 2.0).iter().all(|d: &f64| d.abs() < 1e-4));
        assert_eq!(one.relevance[1], &b * 0.0);
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let (a, b) = (varied(&[2, 3, 2, 4], 1.0), varied(&[2, 3, 4, 2], 50.0));
        let op = MatMul::new(&[3, 2, 4], &[3, 4, 2]).unwrap();
        crate::testing::assert_gradient(&op, &[&a, &b], &varied(&[2, 3, 2, 2], 90.0));
    }

    #[test]
    fn the_ledger_balances() {
        let (a, b) = (varied(&[2, 3, 2, 4], 1.0), varied(&[2, 3, 4, 2], 50.0));
        let r = varied(&[2, 3, 2, 2], 90.0);
        let op = MatMul::new(&[3, 2, 4], &[3, 4, 2]).unwrap();
        let o = op.forward(&[&a, &b]);
        for op in [op.clone(), op.clone().all_to(0), op.all_to(1)] {
            let out = op.propagate(Io { inputs: &[&a, &b], output: &o }, &r);
            for sample in 0..2 {
                let sum = |t: &Tensor<f64>| t.index_axis(ndarray::Axis(0), sample).sum();
                let booked = out.relevance.iter().map(sum).sum::<f64>() + out.stabilizer[sample];
                assert!((sum(&r) - booked).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(MatMul::new(&[2, 3], &[2, 3]).is_err());
        assert!(MatMul::new(&[1, 2, 3], &[2, 3, 2]).is_err());
        assert!(MatMul::new(&[3], &[3, 2]).is_err());
    }
}
