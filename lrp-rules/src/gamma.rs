//! LRP-γ: positive contributions favoured by a factor 1 + γ.

use std::fmt;
use std::sync::{Arc, OnceLock};

use lrp_core::operator::{Affine, Io};
use lrp_core::quotient::Mirrored;
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::tensor::{elements, neg, pos, samples, seen, take_negative};
use lrp_core::{Accounts, Claims, Rule, RuleError, Scalar, Tensor};
use ndarray::{ArrayViewD, Axis};

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
            favour_each: Default::default(),
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
    /// Contributions where `z ≥ 0` and where `z < 0`, one beside the other: of positive inputs, and of negative ones.
    favour_each: [OnceLock<Option<Arc<dyn Affine<T>>>>; 2],
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
    /// What is divided by at outputs below zero, whose own sums are `own`. Both ways to favour one sign add up to 2 + γ times all contributions; and where
    /// `z < 0`, the difference does not cancel: it is `(1 + γ)z − γz⁺`.
    fn mirrored<'a>(&self, output: &'a [T], own: &'a [T]) -> Mirrored<'a, T> {
        Mirrored { all: T::of(2.0) + T::of(self.rule.gamma), output, own }
    }

    /// Where both signs of outputs are to be expected, and the operator has a way to do that: one pass each way, with quotients that are kept apart as
    /// soon as they are made. What is done for a sample depends on that sample alone: one that turns out to have relevance on the one side only goes
    /// the way of those of which that is known.
    fn propagate_each(&self, x: &SignedInputs<'_, T>, output: &Tensor<T>, r: &Tensor<T>) -> Option<Propagated<T>> {
        if self.nonnegative_outputs || self.bias.is_distributed() {
            return None;
        }
        let gamma = T::of(self.rule.gamma);
        let doubled = |up: fn(T, T) -> T, down: fn(T, T) -> T| self.op.doubled(&|w| up(w, gamma), &|w| down(w, gamma));
        let [for_positive, for_negative] = &self.favour_each;
        let for_positive = for_positive.get_or_init(|| doubled(favour_positive, favour_negative)).as_deref()?;
        let [up, down] = [favour_positive, favour_negative].map(|favour| self.bias.map(|b| favour(b, gamma)));
        let (outputs, own) = (elements(output), self.bias.denominator(self.op.as_ref(), output));
        let own = elements(&own);
        let mirrored = Some(self.mirrored(&outputs, &own));
        let divide = Divide { share: T::one(), r: &elements(r), epsilon: T::of(self.rule.stabilizer), mirrored };
        let biases = up.as_ref().zip(down.as_ref()).map(<[_; 2]>::from);
        let (s, accounts) = self.favour_positive.quotients(x, biases, &divide)?;

        let both = |x: &SignedInputs<'_, T>, s: &Tensor<T>| -> Option<Vec<Tensor<T>>> {
            let (positive, negative) = x.only()?;
            let relevance = for_positive.adjoint_times(s, &[positive]);
            let Some(negative) = negative else { return Some(relevance) };
            let contributions = for_negative.get_or_init(|| doubled(favour_negative, favour_positive)).as_deref()?;
            Some(contributions.adjoint_times_onto(s, &[negative], relevance))
        };
        let channels = s.shape()[1] / 2;
        let below = |s: ArrayViewD<'_, T>| s.slice_axis(Axis(0), (channels..).into()).iter().any(|s| !s.is_zero());
        let relevance = if s.outer_iter().all(below) {
            both(x, &s)?
        } else {
            let mut all = Tensor::zeros(x.only()?.0.raw_dim());
            for (sample, s) in s.outer_iter().enumerate() {
                let (x, one) = (x.of_samples(&[sample]), s.view().insert_axis(Axis(0)));
                let mut relevance = Vec::new();
                if below(s.view()) {
                    relevance = both(&x, &one.to_owned())?;
                } else {
                    let up = one.slice_axis(Axis(1), (..channels).into()).to_owned();
                    self.favour_positive.add_relevance(&x, &up, &mut relevance);
                }
                all.index_axis_mut(Axis(0), sample).assign(&relevance.first()?.index_axis(Axis(0), 0));
            }
            vec![all]
        };
        let account = |sum: fn(&Accounts) -> f64| accounts.iter().map(sum).collect();
        Some(Propagated {
            relevance,
            bias: account(|a| a.bias),
            stabilizer: account(|a| a.stabilizer),
            rule: account(|a| a.zero_denominator),
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
        let x = SignedInputs::new(io.inputs, self.nonnegative);
        if let Some(result) = self.propagate_each(&x, io.output, r) {
            return result;
        }
        let gamma = T::of(self.rule.gamma);
        // The sign is that of the output itself, bias included, whatever the bias does in the denominator (as in zennit). A side to
        // which no relevance belongs is not computed.
        let [any_up, any_down] = if self.nonnegative_outputs { [true, false] } else { sides(r, io.output) };

        let output = elements(io.output);
        let own = any_down.then(|| self.bias.denominator(self.op.as_ref(), io.output));
        let own = own.as_deref().map(elements);
        let mirrored = own.as_deref().map(|own| self.mirrored(&output, own));
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

    /// Outputs of both signs at which relevance of both signs arrives, by the definition. The second sample has relevance on one side only; the third
    /// has inputs of both signs.
    #[test]
    fn each_side_has_its_own_contributions() {
        let number = |i: usize, seed: usize| f64::from(u32::try_from((i + seed).pow(2) % 97).unwrap()) / 48.5 - 1.0;
        let tensor = |shape: &[usize], seed: usize| {
            let len = shape.iter().product();
            Tensor::from_shape_vec(shape, (0..len).map(|i| number(i, seed)).collect()).unwrap()
        };
        let bias = (0..4).map(|i| number(i, 7) / 4.0).collect();
        let spec = WindowSpec::new(&[3, 3]).pad(1);
        let conv = Arc::new(Conv::new(tensor(&[4, 3, 3, 3], 1), Some(bias), &spec, 1, &[3, 5, 6]).unwrap());
        let op: Arc<dyn Operator<f64>> = Arc::<Conv<f64>>::clone(&conv);
        let mut x = tensor(&[3, 3, 5, 6], 2);
        x.slice_axis_mut(Axis(0), (0..2).into()).mapv_inplace(pos);
        let (z, mut r) = (op.forward(&[&x]), tensor(&[3, 4, 5, 6], 3));
        r.index_axis_mut(Axis(0), 1)
            .zip_mut_with(&z.index_axis(Axis(0), 1), |r, &z| *r = if z < 0.0 { 0.0 } else { *r });

        let rule = Gamma::new(0.25, 1e-3, BiasMode::Absorb).unwrap();
        let part = |t: &Tensor<f64>, samples: &[usize]| t.select(Axis(0), samples);
        let run = |samples: &[usize], nonnegative_inputs: bool, nonnegative_outputs: bool| {
            let layer = Layer { name: "", op: &op, nonnegative_inputs, skip_input: None };
            let mut prepared = rule.prepare(&layer).unwrap();
            if nonnegative_outputs {
                prepared.expect_nonnegative_outputs();
            }
            let io = Io { inputs: &[&part(&x, samples)], output: &part(&z, samples) };
            let out = prepared.propagate(io, &part(&r, samples));
            let books = format!("{:?} {:?} {:?}", out.bias, out.stabilizer, out.rule);
            (out.relevance[0].clone(), books, out)
        };

        let [up, down] = [favour_positive, favour_negative].map(|f| conv.map_weights(&move |w| f(w, 0.25)));
        let (above, below) = (x.mapv(pos), x.mapv(neg));
        let mut expected = Tensor::<f64>::zeros(x.raw_dim());
        for (favour, other, b, negative) in
            [(&up, &down, favour_positive as fn(f64, f64) -> f64, false), (&down, &up, favour_negative, true)]
        {
            let sums = favour.apply(&[&above]) + other.apply(&[&below]) + conv.bias().unwrap().mapv(|w| b(w, 0.25));
            let stabilized = sums.mapv(|z| if z < 0.0 { z - 1e-3 } else { z + 1e-3 });
            let s = &r * &z.mapv(|z| f64::from(u8::from((z < 0.0) == negative))) / stabilized;
            expected = expected + &above * &favour.adjoint(&s)[0] + &below * &other.adjoint(&s)[0];
        }
        let (all, _, out) = run(&[0, 1, 2], false, false);
        for (found, expected) in all.iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-12 * (1.0 + expected.abs()), "{found} and {expected}");
        }
        for sample in 0..3 {
            let sum = |t: &Tensor<f64>| t.index_axis(Axis(0), sample).sum();
            let booked = sum(&all) + out.bias[sample] + out.stabilizer[sample] + out.rule[sample];
            assert!((sum(&r) - booked).abs() < 1e-11, "{sample}: {booked}");
            // The same bits alone, and with whatever is known of it.
            let (alone, books, _) = run(&[sample], false, false);
            assert_eq!(alone, part(&all, &[sample]));
            if sample < 2 {
                assert_eq!(run(&[sample], true, false).0, alone);
                assert_eq!(run(&[sample], true, false).1, books);
            }
            if sample == 1 {
                assert_eq!(run(&[sample], true, true).0, alone);
            }
        }
        assert_eq!(run(&[0, 1], true, false).0, part(&all, &[0, 1]));
    }
}
