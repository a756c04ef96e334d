//! LRP-γ: positive contributions favoured by a factor 1 + γ.

use std::fmt;
use std::sync::{Arc, OnceLock};

use lrp_core::operator::{Affine, Io};
use lrp_core::quotient::Mirrored;
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::tensor::{elements, neg, pos, samples, seen, take_negative};
use lrp_core::{Claims, Rule, RuleError, Scalar, Tensor};

use crate::bias::{Bias, BiasMode};
use crate::parameter::{ParameterError, nonnegative, number, write_rule};
use crate::quotient::{Divide, Quotient};
use crate::signs::{SignedInputs, SignedPair, hand_on, no_shares};

/// LRP-γ (Montavon et al. 2019), generalized to inputs and outputs of either sign (Andéol et al. 2021).
///
/// Where `z ≥ 0`, contributions are `x⁺(w + γw⁺) + x⁻(w + γw⁻)` and the bias `b + γb⁺`; where `z < 0`, they are
/// `x⁺(w + γw⁻) + x⁻(w + γw⁺)` and `b + γb⁻`. Each input gets its contribution over the stabilized sum. For `x ≥ 0` and `z ≥ 0` this is the
/// paper's `x(w + γw⁺) / Σ x(w + γw⁺)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gamma {
    gamma: f64,
    stabilizer: f64,
    bias: BiasMode,
}

impl Gamma {
    /// The rule with this γ.
    ///
    /// # Errors
    /// When γ or the stabilizer is negative or not finite.
    pub fn new(gamma: f64, stabilizer: f64, bias: BiasMode) -> Result<Self, ParameterError> {
        nonnegative("gamma", gamma)?;
        nonnegative("stabilizer", stabilizer)?;
        Ok(Self { gamma, stabilizer, bias })
    }
}

impl fmt::Display for Gamma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parameters = vec![("gamma", number(self.gamma)), ("stabilizer", number(self.stabilizer))];
        parameters.extend(self.bias.parameter(BiasMode::Absorb));
        write_rule(f, "gamma", &parameters)
    }
}

impl<T: Scalar> Rule<T> for Gamma {
    fn prepare(&self, layer: &Layer<'_, T>) -> Result<Box<dyn PreparedRule<T>>, RuleError> {
        let op = layer.affine()?;
        let prepared = Prepared {
            favour_positive: SignedPair::new(&op, favour_positive, favour_negative, T::of(self.gamma)),
            favour_negative: OnceLock::new(),
            favour_each: OnceLock::new(),
            bias: Bias::new(op.as_ref(), self.bias),
            nonnegative: layer.nonnegative_inputs,
            nonnegative_outputs: false,
            op,
            rule: *self,
        };
        Ok(Box::new(prepared))
    }

    fn claims(&self) -> Claims {
        // However contributions cancel, what is favoured is left: with P ≥ N of either sign, (1+γ)P + N over (1+γ)P − N is at most
        // (2+γ)/γ. Not without the bias: the sign of z, which decides, is then not that of what is divided.
        let bounded = self.gamma > 0.0 && self.bias != BiasMode::Ignore;
        let amplification = bounded.then(|| 1.0 + 2.0 / self.gamma);
        Claims { conserving: true, amplification, vanishing: self.bias.vanishes(), ..Claims::default() }
    }
}

/// `w + γw⁺`.
fn favour_positive<T: Scalar>(w: T, gamma: T) -> T {
    w + gamma * pos(w)
}

/// `w + γw⁻`.
fn favour_negative<T: Scalar>(w: T, gamma: T) -> T {
    w + gamma * neg(w)
}

struct Prepared<T: Scalar> {
    rule: Gamma,
    op: Arc<dyn Affine<T>>,
    /// Contributions where `z ≥ 0`.
    favour_positive: SignedPair<T>,
    /// Contributions where `z < 0`; relevance rarely reaches such outputs in a ReLU network.
    favour_negative: OnceLock<SignedPair<T>>,
    /// Contributions of inputs that have no negative part, where `z ≥ 0` and where `z < 0`: the one for what is on one side, the other for what is
    /// on the other.
    favour_each: OnceLock<Option<Arc<dyn Affine<T>>>>,
    bias: Bias<T>,
    nonnegative: bool,
    /// Whether no relevance arrives where `z < 0`.
    nonnegative_outputs: bool,
}

/// Whether relevance arrives at outputs `z ≥ 0`, and whether at others.
fn sides<T: Scalar>(r: &Tensor<T>, z: &Tensor<T>) -> [bool; 2] {
    seen(r, z, |r, z| [!r.is_zero() & (z >= T::zero()), !r.is_zero() & (z < T::zero())])
}

impl<T: Scalar> Prepared<T> {
    /// Where both signs of outputs are to be expected and inputs have one, and the operator has a way to do that: one pass each way, with quotients
    /// that are kept apart as soon as they are made. It is done or not done whatever the batch.
    fn propagate_each(&self, io: Io<'_, T>, r: &Tensor<T>) -> Option<Propagated<T>> {
        if self.nonnegative_outputs || !self.nonnegative || self.bias.is_distributed() {
            return None;
        }
        let gamma = T::of(self.rule.gamma);
        let each = || self.op.doubled(&|w| favour_positive(w, gamma), &|w| favour_negative(w, gamma));
        let contributions = self.favour_each.get_or_init(each).as_deref()?;
        let [up, down] = [favour_positive, favour_negative].map(|favour| self.bias.map(|b| favour(b, gamma)));
        let (output, own) = (elements(io.output), self.bias.denominator(self.op.as_ref(), io.output));
        let mirrored = Some(Mirrored { all: T::of(2.0) + gamma, output: &output, own: &elements(&own) });
        let divide = Divide { share: T::one(), r: &elements(r), epsilon: T::of(self.rule.stabilizer), mirrored };
        let biases = up.as_ref().zip(down.as_ref()).map(<[_; 2]>::from);
        let (s, accounts) = self.favour_positive.for_positive().apply_finished_twice(io.inputs, biases, &divide)?;
        let account = |sum: fn(&[f64; 4]) -> f64| accounts.iter().map(sum).collect();
        Some(Propagated {
            relevance: contributions.adjoint_times(&s, io.inputs),
            bias: account(|[.., up, down]| up + down),
            stabilizer: account(|[stabilizer, ..]| *stabilizer),
            rule: account(|[_, dead, ..]| *dead),
        })
    }
}

impl<T: Scalar> PreparedRule<T> for Prepared<T> {
    fn needs(&self) -> Needs {
        Needs::RELEVANT
    }

    fn expect_nonnegative_outputs(&mut self) {
        self.nonnegative_outputs = true;
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        if let Some(result) = self.propagate_each(io, r) {
            return result;
        }
        let x = SignedInputs::new(io.inputs, self.nonnegative);
        let gamma = T::of(self.rule.gamma);
        // The sign is that of the output itself, bias included, whatever the bias does in the denominator (as in zennit). A side to
        // which no relevance belongs is not computed.
        let [any_up, any_down] = if self.nonnegative_outputs { [true, false] } else { sides(r, io.output) };

        // Both ways to favour one sign add up to 2 + γ times all contributions; and where `z < 0`, the difference does not cancel: it is
        // `(1 + γ)z − γz⁺`.
        let all = T::of(2.0) + gamma;
        let output = elements(io.output);
        let own = any_down.then(|| self.bias.denominator(self.op.as_ref(), io.output));
        let own = own.as_deref().map(elements);
        let mirrored = own.as_deref().map(|own| Mirrored { all, output: &output, own });
        let epsilon = T::of(self.rule.stabilizer);
        let divide = Divide { share: T::one(), r: &elements(r), epsilon, mirrored };
        let b_up = self.bias.map(|b| favour_positive(b, gamma));
        let (Quotient { mut s, stabilizer, dead }, shares) =
            self.favour_positive.quotient(&x, b_up.as_ref(), r, &divide);

        let mut result = Propagated { stabilizer, rule: dead, ..no_shares(samples(r)) };
        // Each side has the quotients of its own outputs.
        let down = (any_up && any_down).then(|| take_negative(&mut s, io.output));
        if any_up || !any_down {
            // Where all outputs are known to be on this side, what the bias takes came with the quotients.
            let shares = shares.filter(|_| self.nonnegative_outputs);
            hand_on(&self.favour_positive, &s, (&self.bias, b_up.as_ref()), shares, &x, &mut result);
        }
        if any_down {
            let s = down.as_ref().unwrap_or(&s);
            let pair = || SignedPair::new(&self.op, favour_negative, favour_positive, gamma);
            let b_down = self.bias.map(|b| favour_negative(b, gamma));
            let contributions = self.favour_negative.get_or_init(pair);
            hand_on(contributions, s, (&self.bias, b_down.as_ref()), None, &x, &mut result);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::kernels::window::WindowSpec;
    use lrp_core::operator::Operator;
    use lrp_core::ops::Conv;

    /// Outputs of both signs, at which relevance of both signs arrives: with quotients that are kept apart, and in two passes.
    #[test]
    fn each_side_in_one_pass_or_in_its_own() {
        let number = |i: usize, seed: usize| f64::from(u32::try_from((i + seed).pow(2) % 97).unwrap()) / 48.5 - 1.0;
        let tensor = |shape: &[usize], seed: usize| {
            let len = shape.iter().product();
            Tensor::from_shape_vec(shape, (0..len).map(|i| number(i, seed)).collect()).unwrap()
        };
        let bias = Some((0..4).map(|i| number(i, 7) / 4.0).collect());
        let op = Conv::new(tensor(&[4, 3, 3, 3], 1), bias, &WindowSpec::new(&[3, 3]).pad(1), 1, &[3, 5, 6]).unwrap();
        let op: Arc<dyn Operator<f64>> = Arc::new(op);
        let x = tensor(&[2, 3, 5, 6], 2).mapv(pos);
        let (z, mut r) = (op.forward(&[&x]), tensor(&[2, 4, 5, 6], 3));
        // The second sample has relevance on one side only.
        r.index_axis_mut(ndarray::Axis(0), 1).zip_mut_with(&z.index_axis(ndarray::Axis(0), 1), |r, &z| {
            *r = if z < 0.0 { 0.0 } else { *r };
        });
        for (bias, stabilizer) in [(BiasMode::Absorb, 1e-3), (BiasMode::Ignore, 0.0), (BiasMode::Distribute, 1e-3)] {
            let rule = Gamma::new(0.25, stabilizer, bias).unwrap();
            let run = |nonnegative_inputs: bool, samples: std::ops::Range<usize>| {
                let layer = Layer { name: "", op: &op, nonnegative_inputs, skip_input: None };
                let part = |t: &Tensor<f64>| t.slice_axis(ndarray::Axis(0), samples.clone().into()).to_owned();
                let io = Io { inputs: &[&part(&x)], output: &part(&z) };
                let out = rule.prepare(&layer).unwrap().propagate(io, &part(&r));
                let books = [out.bias, out.stabilizer, out.rule].concat();
                (out.relevance[0].iter().copied().chain(books).collect::<Vec<f64>>(), out.relevance)
            };
            let (one, two) = (run(true, 0..2), run(false, 0..2));
            assert_eq!(one.0.len(), two.0.len());
            for (one, two) in one.0.iter().zip(&two.0) {
                assert!((one - two).abs() <= 1e-12 * (1.0 + two.abs()), "{bias}: {one} and {two}");
            }
            let alone = run(true, 1..2).1;
            assert_eq!(alone[0], one.1[0].slice_axis(ndarray::Axis(0), (1..2).into()), "{bias}");
        }
    }
}
