//! Any list of branches, one after the other. The denominators of the first whose gains differ are computed; others are
//! [differences](super::difference) where that is exact and worth it.

use std::borrow::Cow;
use std::sync::Arc;

use super::bias::Bias;
use super::difference::{Difference, has_many_weights};
use super::maps::{Gains, Maps};
use super::quotient::epsilons;
use super::signed::{Signed, SignedInputs, add, nothing_yet};
use crate::formula::{BiasMode, Branch, COMPLETE, Side, Stabilizer};
use crate::operator::{Affine, Io};
use crate::prepared::PreparedRule;
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, samples, seen, sums_of, zip};

/// Where the denominators of a branch come from.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Denominators {
    /// A pass, with their quotients as its epilogue.
    Computed,
    /// A pass that other branches use, too.
    Kept,
    /// Those that are kept, and the output.
    Difference(Difference),
}

struct Prepared<T: Scalar> {
    outputs: Side,
    coefficient: T,
    contributions: Signed<T>,
    denominators: Denominators,
}

pub(super) struct Branches<T: Scalar> {
    op: Arc<dyn Affine<T>>,
    branches: Vec<Prepared<T>>,
    /// The part of relevance at outputs `z ≥ 0`, and at `z < 0`, that belongs to no branch.
    missing: [f64; 2],
    bias: Bias<T>,
    stabilizer: Stabilizer,
    nonnegative_inputs: bool,
    needs: Needs,
}

/// The part of relevance at outputs `z ≥ 0`, and at `z < 0`, that belongs to no branch.
fn missing(branches: &[Branch]) -> [f64; 2] {
    [false, true].map(|negative| {
        let here = branches.iter().filter(|branch| branch.outputs.contains(negative)).map(|branch| branch.coefficient);
        let (sum, most) = here.fold((0.0, 1.0_f64), |(sum, most), c| (sum + c, most.max(c.abs())));
        // Coefficients such as 1.3 and −0.3 are meant to be complete.
        if (1.0_f64 - sum).abs() <= COMPLETE * most { 0.0 } else { 1.0 - sum }
    })
}

/// Where the denominators of each branch come from.
fn schedule(branches: &[Branch], with_bias: bool, many_weights: bool) -> Vec<Denominators> {
    let first = branches.iter().position(|branch| branch.positive != branch.negative);
    let known = first.and_then(|first| branches.get(first));
    let mut schedule: Vec<Denominators> = branches
        .iter()
        .enumerate()
        .map(|(index, branch)| match Difference::new(known, branch, with_bias) {
            Some(difference) if Some(index) != first && (!difference.cancels || many_weights) => {
                Denominators::Difference(difference)
            }
            _ => Denominators::Computed,
        })
        .collect();
    let used = schedule.iter().any(|d| matches!(d, Denominators::Difference(difference) if difference.mu != 0.0));
    if let Some(first) = first.filter(|_| used) {
        schedule[first] = Denominators::Kept;
    }
    schedule
}

impl<T: Scalar> Branches<T> {
    pub(super) fn new(
        op: Arc<dyn Affine<T>>,
        branches: &[Branch],
        (stabilizer, bias): (Stabilizer, BiasMode),
        nonnegative_inputs: bool,
    ) -> Self {
        let maps = Maps::new(&op);
        let schedule = schedule(branches, bias != BiasMode::Ignore, has_many_weights(op.as_ref()));
        let missing = missing(branches);
        let sides = missing[0] != missing[1] || branches.iter().any(|branch| branch.outputs != Side::All);
        let differences = schedule.iter().any(|d| matches!(d, Denominators::Difference(_)));
        let needs = match stabilizer {
            Stabilizer::Relative(_) => Needs::BOTH,
            Stabilizer::Absolute(_) if sides || differences => Needs::RELEVANT,
            Stabilizer::Absolute(_) => Needs::INPUTS,
        };
        let prepared = branches.iter().zip(schedule).map(|(branch, denominators)| Prepared {
            outputs: branch.outputs,
            coefficient: T::of(branch.coefficient),
            contributions: Signed::new(&maps, Gains::of(branch)),
            denominators,
        });
        Self {
            branches: prepared.collect(),
            missing,
            bias: Bias::new(op.as_ref(), bias),
            stabilizer,
            nonnegative_inputs,
            needs,
            op,
        }
    }
}

/// The relevance `r` at these outputs, and zero at others.
fn at_side<'a, T: Scalar>(r: &'a Tensor<T>, output: &Tensor<T>, side: Side) -> Cow<'a, Tensor<T>> {
    match side {
        Side::All => Cow::Borrowed(r),
        side => Cow::Owned(zip(r, output, |r, z| if side.contains(z < T::zero()) { r } else { T::zero() })),
    }
}

impl<T: Scalar> PreparedRule<T> for Branches<T> {
    fn needs(&self) -> Needs {
        self.needs
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let x = SignedInputs::new(io.inputs, self.nonnegative_inputs);
        let z = match self.needs {
            Needs::INPUTS => Cow::Borrowed(io.output),
            _ => self.bias.z(self.op.as_ref(), io.output),
        };
        let epsilon = epsilons(self.stabilizer, samples(r), &z);
        let mut result = nothing_yet(r);
        let mut kept: Option<Tensor<T>> = None;
        let is_difference = |branch: &Prepared<T>| matches!(branch.denominators, Denominators::Difference(_));
        let last = self.branches.iter().rposition(is_difference);
        for (index, branch) in self.branches.iter().enumerate() {
            let contributions = &branch.contributions;
            let b = self.bias.map(|b| contributions.gains.times(b));
            if branch.denominators == Denominators::Kept {
                kept = Some(contributions.apply(&x, b.as_ref(), r));
            }
            let here = at_side(r, io.output, branch.outputs);
            // Nothing times anything is nothing.
            if branch.outputs != Side::All && seen(&here, &here, |r, _| [!r.is_zero()]) == [false] {
                continue;
            }
            let difference;
            let sums = match branch.denominators {
                Denominators::Computed => None,
                Denominators::Kept => kept.as_ref(),
                Denominators::Difference(d) => {
                    let a = if last == Some(index) { kept.take() } else { kept.clone() };
                    difference = d.sums(&z, a, contributions, (&x, b.as_ref(), &here));
                    Some(&difference)
                }
            };
            let bias = (&self.bias, b.as_ref());
            contributions.add_shares(sums, bias, &epsilon, &x, (branch.coefficient, &here), &mut result);
        }
        if result.relevance.is_empty() {
            result.relevance = io.inputs.iter().map(|x| Tensor::zeros(x.raw_dim())).collect();
        }
        if self.missing != [0.0; 2] {
            let [up, down] = self.missing;
            let lost = match up == down {
                true => sums_of(r, r, |r, _| [up * r.wide()]),
                false => sums_of(r, io.output, |r, z| [if z < T::zero() { down } else { up } * r.wide()]),
            };
            add(&mut result.rule, &lost.concat());
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_serves_all_where_that_is_exact_or_worth_it() {
        use Denominators::{Computed, Kept};
        let is_difference = |d: &Denominators| matches!(d, Denominators::Difference(_));
        let apart = [Branch::all(1.0, 0.0), Branch::all(0.0, 1.0)];
        assert_eq!(schedule(&apart, true, false), [Computed, Computed]);
        let many = schedule(&apart, true, true);
        assert!(many[0] == Kept && is_difference(&many[1]));
        let gamma = [
            Branch { outputs: Side::Nonnegative, ..Branch::all(1.5, 1.0) },
            Branch { outputs: Side::Negative, ..Branch::all(1.0, 1.5) },
        ];
        assert!(is_difference(&schedule(&gamma, true, false)[1]));
        // The output is the sum of all contributions.
        let with_all = schedule(&[Branch::all(1.0, 1.0), Branch::all(1.0, 0.0)], true, false);
        assert!(is_difference(&with_all[0]) && with_all[1] == Computed);
        assert_eq!(schedule(&[Branch::all(1.0, 0.0)], true, true), [Computed]);
    }

    #[test]
    fn parts_that_belong_to_no_branch() {
        let part = |outputs, coefficient| Branch { outputs, coefficient, ..Branch::all(1.0, 1.0) };
        assert_eq!(missing(&[part(Side::All, 1.3), part(Side::All, -0.3)]), [0.0; 2]);
        assert_eq!(missing(&[part(Side::Nonnegative, 0.75)]), [0.25, 1.0]);
        assert_eq!(missing(&[part(Side::All, 2.0)]), [-1.0; 2]);
    }
}
