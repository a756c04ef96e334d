//! One branch for outputs `z ≥ 0` and another for `z < 0`, such as γ has: one pass for the denominators of both.

use std::sync::Arc;

use super::bias::Bias;
use super::difference::Difference;
use super::maps::{Gains, Map, Maps};
use super::quotient::{Quotient, epsilons};
use super::signed::{Signed, SignedInputs, nothing_yet};
use crate::formula::{BiasMode, Branch, Side, Stabilizer};
use crate::kernels::Accounts;
use crate::operator::fused::adjoint_times;
use crate::operator::{Affine, Io};
use crate::prepared::PreparedRule;
use crate::propagated::{Needs, Propagated};
use crate::quotient::{NegativeOutputs, Quotients};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, elements, samples, seen, take_negative};
use ndarray::{ArrayViewD, Axis};

pub(super) struct BySign<T: Scalar> {
    op: Arc<dyn Affine<T>>,
    maps: Arc<Maps<T>>,
    /// Contributions where `z ≥ 0`.
    up: Signed<T>,
    /// Gains where `z < 0`; relevance rarely reaches such outputs in a ReLU network.
    down: Gains<T>,
    /// Denominators where `z < 0`.
    difference: Difference,
    bias: Bias<T>,
    stabilizer: Stabilizer,
    needs: Needs,
    nonnegative_inputs: bool,
    /// Whether relevance is zero where `z < 0`.
    nonnegative_outputs: bool,
}

impl<T: Scalar> BySign<T> {
    /// If these are such branches, propagate all relevance, and one pass gives both denominators as exactly as two.
    pub(super) fn new(
        op: &Arc<dyn Affine<T>>,
        branches: &[Branch],
        (stabilizer, bias, needs): (Stabilizer, BiasMode, Needs),
        [nonnegative_inputs, nonnegative_outputs]: [bool; 2],
    ) -> Option<Self> {
        let &[a, b] = branches else { return None };
        let (up, down) = if a.outputs == Side::Nonnegative { (a, b) } else { (b, a) };
        let sides = [up.outputs, down.outputs] == [Side::Nonnegative, Side::Negative];
        if !sides || [up.coefficient, down.coefficient] != [1.0; 2] {
            return None;
        }
        let difference = Difference::new(Some(&up), &down, bias != BiasMode::Ignore).filter(|d| !d.cancels)?;
        let maps = Maps::new(op);
        Some(Self {
            up: Signed::new(&maps, Gains::of(&up)),
            down: Gains::of(&down),
            difference,
            bias: Bias::new(op.as_ref(), bias),
            stabilizer,
            needs,
            nonnegative_inputs,
            nonnegative_outputs,
            maps,
            op: Arc::clone(op),
        })
    }

    /// The denominators of outputs below zero, where `z` is the output or that without the bias.
    fn negative_outputs<'a>(&self, output: &'a [T], z: &'a [T]) -> NegativeOutputs<'a, T> {
        NegativeOutputs { output, z, lambda: T::of(self.difference.lambda), mu: T::of(self.difference.mu) }
    }

    /// Where both signs of outputs are to be expected, and the operator can concatenate outputs: one pass each way, with quotients that are kept apart as
    /// soon as they are made. The computation for a sample depends on that sample alone: one with relevance on one side
    /// only is computed as if that were known of the layer.
    fn propagate_both(
        &self,
        x: &SignedInputs<'_, T>,
        (output, z): (&Tensor<T>, &Tensor<T>),
        r: &Tensor<T>,
        epsilon: &[T],
    ) -> Option<Propagated<T>> {
        if self.nonnegative_outputs || self.bias.is_distributed() {
            return None;
        }
        let (up, down) = (self.up.gains, self.down);
        let for_positive = self.maps.get(Map::Outputs(up, down))?;
        let [b_up, b_down] = [up, down].map(|gains| self.bias.map(|b| gains.times(b)));
        let (output, z) = (elements(output), elements(z));
        let negative = Some(self.negative_outputs(&output, &z));
        let quotients = Quotients { share: T::one(), r: &elements(r), epsilon, negative };
        let biases = b_up.as_ref().zip(b_down.as_ref()).map(<[_; 2]>::from);
        let (s, accounts) = self.up.quotients_apart(x, biases, &quotients)?;

        let both = |x: &SignedInputs<'_, T>, s: &Tensor<T>| -> Option<Vec<Tensor<T>>> {
            let (positive, negative) = x.only()?;
            let relevance = adjoint_times(for_positive.as_ref(), s, &[positive], Vec::new());
            let Some(negative) = negative else { return Some(relevance) };
            let for_negative = self.maps.get(Map::Outputs(up.swapped(), down.swapped()))?;
            Some(adjoint_times(for_negative.as_ref(), s, &[negative], relevance))
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
                    let above = one.slice_axis(Axis(1), (..channels).into()).to_owned();
                    self.up.add_relevance(&x, &above, &mut relevance);
                }
                all.index_axis_mut(Axis(0), sample).assign(&relevance.first()?.index_axis(Axis(0), 0));
            }
            vec![all]
        };
        let account = |which: fn(&Accounts) -> f64| accounts.iter().map(which).collect();
        Some(Propagated {
            relevance,
            bias: account(|a| a.bias),
            stabilizer: account(|a| a.stabilizer),
            rule: account(|a| a.zero_denominator),
        })
    }
}

impl<T: Scalar> PreparedRule<T> for BySign<T> {
    fn needs(&self) -> Needs {
        self.needs
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let x = SignedInputs::new(io.inputs, self.nonnegative_inputs);
        // The sign is that of the output itself, bias included, whatever the bias does in the denominator (as in zennit).
        let own = || self.bias.z(self.op.as_ref(), io.output);
        let relative = matches!(self.stabilizer, Stabilizer::Relative(_));
        let z = (relative || !self.nonnegative_outputs).then(own);
        let epsilon = epsilons(self.stabilizer, samples(r), z.as_deref().unwrap_or(io.output));
        if let Some(result) = z.as_deref().and_then(|z| self.propagate_both(&x, (io.output, z), r, &epsilon)) {
            return result;
        }
        // A side to which no relevance belongs is not computed.
        let [any_up, any_down] = match self.nonnegative_outputs {
            true => [true, false],
            false => seen(r, io.output, |r, z| [!r.is_zero() & (z >= T::zero()), !r.is_zero() & (z < T::zero())]),
        };

        let output = elements(io.output);
        let z = z.as_deref().filter(|_| any_down).map(elements);
        let negative = z.as_deref().map(|z| self.negative_outputs(&output, z));
        let quotients = Quotients { share: T::one(), r: &elements(r), epsilon: &epsilon, negative };
        let b_up = self.bias.map(|b| self.up.gains.times(b));
        let (Quotient { mut s, stabilizer, zero_denominator }, shares) =
            self.up.quotient(&x, b_up.as_ref(), r, &quotients);

        let mut result = Propagated { stabilizer, rule: zero_denominator, ..nothing_yet(r) };
        // Each side has the quotients of its own outputs.
        let s_down = (any_up && any_down).then(|| take_negative(&mut s, io.output));
        if any_up || !any_down {
            // Where all outputs are known to be on this side, the relevance absorbed by the bias came with the quotients.
            let shares = shares.filter(|_| self.nonnegative_outputs);
            self.up.propagate(&s, (&self.bias, b_up.as_ref()), shares, &x, &mut result);
        }
        if any_down {
            let b_down = self.bias.map(|b| self.down.times(b));
            let down = Signed::new(&self.maps, self.down);
            down.propagate(s_down.as_ref().unwrap_or(&s), (&self.bias, b_down.as_ref()), None, &x, &mut result);
        }
        result
    }
}
