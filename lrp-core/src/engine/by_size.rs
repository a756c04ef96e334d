//! One branch for outputs `z ≥ 0` and another for `z < 0`, such as γ has, by the sizes of contributions.
//!
//! `g₊c⁺ + g₋c⁻ = m c + d |c|` with `m = (g₊ + g₋) / 2` and `d = (g₊ − g₋) / 2`, and the size of a contribution is that of its input times that of its
//! weight. So one pass, `A = |w| |x|`, gives all denominators, `m z + d A`; and relevance is `x ⊙ wᵀ (m s) + |x| ⊙ |w|ᵀ (d s)`, with the `m` and `d` of each
//! output. These are three passes, where both signs of inputs by both signs of outputs need six. What is known of a layer's signs does not change the
//! computation, and with it bits: at most it would save one of the three.

use std::sync::Arc;

use super::bias::Bias;
use super::maps::{Gains, Maps};
use super::quotient::{Quotient, epsilons, quotient};
use crate::formula::{BiasMode, Branch, Side, Stabilizer};
use crate::operator::fused::{adjoint_times, apply_biased};
use crate::operator::{Affine, Io};
use crate::prepared::PreparedRule;
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, dots, map, samples, update, zip};

/// The largest ratio of gains. A contribution with the smaller gain is the difference of two that are larger by about this ratio, and has their
/// rounding errors.
const RATIO: f64 = 4.0;

pub(super) struct BySize<T: Scalar> {
    op: Arc<dyn Affine<T>>,
    /// The operator with the sizes of the weights.
    sizes: Arc<dyn Affine<T>>,
    /// Where `z ≥ 0`, and where `z < 0`.
    sides: [Parts<T>; 2],
    bias: Bias<T>,
    stabilizer: Stabilizer,
    needs: Needs,
}

/// Gains as a factor of contributions, and one of their sizes.
#[derive(Debug, Clone, Copy)]
struct Parts<T> {
    m: T,
    d: T,
}

impl<T: Scalar> Parts<T> {
    fn of(branch: &Branch) -> Self {
        let half = |sum: f64| T::of(0.5 * sum);
        Self { m: half(branch.positive + branch.negative), d: half(branch.positive - branch.negative) }
    }
}

impl<T: Scalar> BySize<T> {
    /// If these are such branches, their gains differ little, and passes of the operator are [worth saving](crate::operator::fused::Fused::is_compute_bound).
    pub(super) fn new(
        op: &Arc<dyn Affine<T>>,
        branches: &[Branch],
        (stabilizer, bias, needs): (Stabilizer, BiasMode, Needs),
    ) -> Option<Self> {
        let &[a, b] = branches else { return None };
        let (up, down) = if a.outputs == Side::Nonnegative { (a, b) } else { (b, a) };
        let sides = [up.outputs, down.outputs] == [Side::Nonnegative, Side::Negative];
        let whole = [up, down].iter().all(|branch| branch.coefficient == 1.0);
        // The larger gain for contributions of the output's own sign: then denominators are sums of numbers of one sign.
        let near = |large: f64, small: f64| small > 0.0 && large >= small && large <= RATIO * small;
        let small = near(up.positive, up.negative) && near(down.negative, down.positive);
        let suits = op.fused().is_some_and(|op| op.is_compute_bound());
        if !sides || !whole || !small || !suits {
            return None;
        }
        let bias = Bias::new(op.as_ref(), bias);
        (!bias.is_distributed()).then(|| Self {
            sizes: Maps::new(op).one(Gains { positive: T::one(), negative: -T::one() }),
            op: Arc::clone(op),
            sides: [Parts::of(&up), Parts::of(&down)],
            bias,
            stabilizer,
            needs,
        })
    }
}

impl<T: Scalar> PreparedRule<T> for BySize<T> {
    fn needs(&self) -> Needs {
        self.needs
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let [up, down] = self.sides;
        let sizes: Vec<Tensor<T>> = io.inputs.iter().map(|x| map(x, T::abs)).collect();
        let sizes: Vec<&Tensor<T>> = sizes.iter().collect();
        // The sign is that of the output itself, bias included, whatever the bias does in the denominator (as in zennit).
        let z = self.bias.z(self.op.as_ref(), io.output);
        let epsilon = epsilons(self.stabilizer, samples(r), &z);
        let size_of_bias = self.bias.map(T::abs);
        let mut denominators = apply_biased(self.sizes.as_ref(), &sizes, size_of_bias.as_ref(), Some(r));
        update(&mut denominators, &z, io.output, move |a, z, output| {
            let above = output >= T::zero();
            (if above { up.m } else { down.m }) * z + (if above { up.d } else { down.d }) * a
        });
        let Quotient { s, stabilizer, zero_denominator } = quotient((T::one(), r), &denominators, &epsilon);
        let of_contributions = zip(&s, io.output, move |s, z| (if z >= T::zero() { up.m } else { down.m }) * s);
        let of_sizes = zip(&s, io.output, move |s, z| (if z >= T::zero() { up.d } else { down.d }) * s);
        let relevance = adjoint_times(self.op.as_ref(), &of_contributions, io.inputs, Vec::new());
        let relevance = adjoint_times(self.sizes.as_ref(), &of_sizes, &sizes, relevance);
        let bias = match (self.bias.map(|b| b), size_of_bias) {
            (Some(b), Some(size)) => {
                let parts = dots(&of_contributions, &b).into_iter().zip(dots(&of_sizes, &size));
                parts.map(|(a, b)| a + b).collect()
            }
            _ => vec![0.0; samples(r)],
        };
        Propagated { relevance, bias, stabilizer, rule: zero_denominator }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Dense;

    const ROWS: usize = 8;

    fn gamma(gamma: f64) -> [Branch; 2] {
        let branch = |outputs, positive, negative| Branch { outputs, coefficient: 1.0, positive, negative };
        [branch(Side::Nonnegative, 1.0 + gamma, 1.0), branch(Side::Negative, 1.0, 1.0 + gamma)]
    }

    fn rule(weights: &[f64], bias: Vec<f64>, branches: &[Branch]) -> Option<(Arc<dyn Affine<f64>>, BySize<f64>)> {
        let shape = vec![bias.len(), weights.len() / bias.len()];
        let input = [ROWS, shape[1]];
        let w = Tensor::from_shape_vec(shape, weights.to_vec()).ok()?;
        let op: Arc<dyn Affine<f64>> = Arc::new(Dense::new(w, Some(bias), &input).ok()?);
        let modes = (Stabilizer::Absolute(0.0), BiasMode::Absorb, Needs::BOTH);
        let rule = BySize::new(&op, branches, modes)?;
        Some((op, rule))
    }

    /// By hand: the contributions 2, −3 and a bias of ½ give −½ and, with γ = 1, −6 + 2.5 = −3.5.
    #[test]
    fn by_hand() {
        let (op, rule) = rule(&[2.0, 1.0, 0.0], vec![0.5], &gamma(1.0)).unwrap();
        let x = Tensor::from_shape_fn(vec![1, ROWS, 3], |i| [1.0, -3.0, 5.0][i[2]]);
        let z = op.forward(&[&x]);
        let out = rule.propagate(Io { inputs: &[&x], output: &z }, &Tensor::from_elem(vec![1, ROWS, 1], 7.0));
        assert_eq!(out.relevance[0], Tensor::from_shape_fn(vec![1, ROWS, 3], |i| [-4.0, 12.0, 0.0][i[2]]));
        assert_eq!((out.bias, out.stabilizer), (vec![-(ROWS as f64)], vec![0.0]));
    }

    #[test]
    fn only_where_gains_are_near_each_other() {
        let fits = |branches: &[Branch]| rule(&[1.0; 3], vec![0.0], branches).is_some();
        assert!(fits(&gamma(0.25)) && fits(&gamma(3.0)));
        assert!(!fits(&gamma(3.5)) && !fits(&[Branch::all(1.0, 2.0)]));
    }
}
