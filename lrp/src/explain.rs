//! The computation itself: relevance and ledger of samples that are in memory.

use lrp_config::Start;
use lrp_core::ledger::{Ledger, Totals};
use lrp_core::profile::Profile;
use lrp_core::{Plan, Scalar, Target, Tensor};
use ndarray::{Axis, Slice};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::loaded::Loaded;

/// Options of an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The relevance that is put on the target.
    pub start: Start,
    /// Samples at once.
    pub batch: usize,
}

impl Options {
    /// Samples explained at once unless the user says otherwise.
    pub const BATCH: usize = 32;
}

impl Default for Options {
    fn default() -> Self {
        Self { start: Start::default(), batch: Self::BATCH }
    }
}

/// The explanations of some samples, for every target.
pub struct Explained<T: Scalar> {
    /// Relevance per target, `[n, …]` each; that of several explained inputs is joined as [`Given`](crate::Given) says.
    pub relevance: Vec<Tensor<T>>,
    /// Per sample, per target.
    pub outcomes: Vec<Vec<Outcome>>,
    /// Per sample, the largest outputs, the largest first.
    pub top: Vec<Vec<Largest>>,
}

/// One of the largest outputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Largest {
    /// The class.
    pub class: usize,
    /// The output that is explained: the logit, where the model ends in a softmax or a sigmoid.
    pub score: f64,
    /// The model's own output, where that is not the score.
    pub probability: Option<f64>,
}

/// The number of largest outputs that are kept.
const TOP: usize = 5;

/// A line of a ledger: received, propagated, bias, stabilizer, rule.
pub type Line = [f64; 5];

/// One explained output of a sample, and its ledger.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The class.
    pub class: usize,
    /// For a contrast: the class it is contrasted with.
    pub against: Option<usize>,
    /// The output that is explained; for a contrast, the difference of both.
    pub score: f64,
    /// The model's own output, where that is not the score.
    pub probability: Option<f64>,
    /// The ledger of the whole walk.
    pub totals: Totals,
    /// The part of `totals.input` that is the relevance of inputs that are not explained, if there are some.
    pub unexplained: Option<f64>,
    /// A line for each node that the walk has passed, from the output to the input.
    pub lines: Vec<Line>,
    /// The node whose accounts balance worst, if that is more than rounding.
    pub unbalanced: Option<Unbalanced>,
}

/// A node whose accounts do not balance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unbalanced {
    /// The node's name.
    pub node: String,
    /// The imbalance, in proportion to the relevance moved.
    pub imbalance: f64,
}

/// The imbalance of a ledger that rounding explains, in proportion to the relevance moved.
pub fn tolerance<T: Scalar>() -> f64 {
    // Rounding of single and double precision, with a margin for long sums.
    if T::NAME == "f32" { 1e-4 } else { 1e-10 }
}

impl<T: Scalar> Explained<T> {
    /// The explanations of the samples from `first` up to `last`.
    pub fn part(&self, first: usize, last: usize) -> Self {
        let part = |r: &Tensor<T>| r.slice_axis(Axis(0), Slice::from(first..last)).to_owned();
        Self {
            relevance: self.relevance.iter().map(part).collect(),
            outcomes: self.outcomes[first..last].to_vec(),
            top: self.top[first..last].to_vec(),
        }
    }
}

/// Explains samples `[n, …]` in batches, and adds their time and memory to `profile`. Those of several inputs are joined as
/// [`Given::join`](crate::Given::join) does.
///
/// # Errors
/// As [`Plan::explain`], and when relevance overflows. Errors give the sample's index among all `n`.
pub fn explain_samples<T: Scalar>(
    loaded: &Loaded<T>,
    plan: &Plan<T>,
    x: &Tensor<T>,
    targets: &[Target],
    options: Options,
    profile: &mut Profile,
) -> Result<Explained<T>, Error> {
    let n = lrp_core::tensor::samples(x);
    let mut relevance: Vec<Vec<Tensor<T>>> = vec![Vec::new(); targets.len()];
    let mut outcomes = vec![Vec::new(); n];
    let mut top = Vec::new();
    for first in (0..n).step_by(options.batch) {
        let batch = x.slice_axis(Axis(0), Slice::from(first..n.min(first + options.batch))).to_owned();
        let record = profile.record(plan, &loaded.enter(batch)?).map_err(|error| Error::from(error).moved(first))?;
        let mut record = Some(record);
        for (k, (target, parts)) in targets.iter().zip(&mut relevance).enumerate() {
            let start = record.as_ref().map(|record| record.seed(target, options.start.into())).transpose()?;
            let last = record.take_if(|_| k + 1 == targets.len());
            let explanation = match (last, &record, start) {
                (Some(last), _, Some(start)) => profile.propagate_last(last, start),
                (None, Some(record), Some(start)) => profile.propagate(record, start),
                _ => break,
            };
            explanation.ledger.check_finite(plan.model()).map_err(|error| Error::from(error).moved(first))?;
            let (at_inputs, unexplained) = loaded.leave(explanation.relevance)?;
            check_finite(&at_inputs, first)?;
            let classes = target.classes(&explanation.output)?;
            let own = loaded.own_output(&explanation.output);
            for (i, class) in classes.into_iter().enumerate() {
                let of = |output: &Tensor<T>, class: usize| {
                    output.index_axis(Axis(0), i).iter().nth(class).map_or(f64::NAN, |s| s.wide())
                };
                let against = if let Target::Contrast(_, other) = target { Some(*other) } else { None };
                let difference =
                    |output: &Tensor<T>| of(output, class) - against.map_or(0.0, |other| of(output, other));
                outcomes[first + i].push(Outcome {
                    class,
                    against,
                    score: difference(&explanation.output),
                    probability: own.as_ref().map(difference),
                    totals: explanation.ledger.totals(i),
                    unexplained: unexplained.as_ref().and_then(|sums| sums.get(i).copied()),
                    lines: lines(&explanation.ledger, i),
                    unbalanced: unbalanced(plan, &explanation.ledger, i),
                });
            }
            if k == 0 {
                for (i, scores) in explanation.output.outer_iter().enumerate() {
                    let own = own.as_ref().map(|own| own.index_axis(Axis(0), i));
                    let probability =
                        |class: usize| own.as_ref().and_then(|own| own.iter().nth(class)).map(|p| p.wide());
                    let scores = largest(scores.iter().map(|s| s.wide()));
                    let with = |(class, score)| Largest { class, score, probability: probability(class) };
                    top.push(scores.into_iter().map(with).collect());
                }
            }
            parts.push(at_inputs);
        }
    }
    let join = |parts: Vec<Tensor<T>>| {
        let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
        ndarray::concatenate(Axis(0), &views).unwrap_or_else(|_| lrp_core::tensor::empty())
    };
    Ok(Explained { relevance: relevance.into_iter().map(join).collect(), outcomes, top })
}

/// The node whose accounts of a sample balance worst, if that is more than rounding.
fn unbalanced<T: Scalar>(plan: &Plan<T>, ledger: &Ledger, sample: usize) -> Option<Unbalanced> {
    let (id, imbalance) = ledger.worst_entry(sample).filter(|(_, imbalance)| *imbalance > tolerance::<T>())?;
    Some(Unbalanced { node: plan.model().node(id).name.clone(), imbalance })
}

/// The ledger of one sample, node by node.
fn lines(ledger: &Ledger, sample: usize) -> Vec<Line> {
    let line = |e: &lrp_core::ledger::Entry| {
        [&e.received, &e.propagated, &e.bias, &e.stabilizer, &e.rule].map(|account| account[sample])
    };
    ledger.entries.iter().map(line).collect()
}

/// The largest scores and where they are; of equals, the first.
fn largest(scores: impl Iterator<Item = f64>) -> Vec<(usize, f64)> {
    let mut top: Vec<(usize, f64)> = Vec::with_capacity(TOP + 1);
    for (class, score) in scores.enumerate() {
        let at = top.iter().position(|(_, other)| score > *other).unwrap_or(top.len());
        if at < TOP {
            top.insert(at, (class, score));
            top.truncate(TOP);
        }
    }
    top
}

/// Relevance that overflowed is no explanation. `first` is the number of the batch's first sample.
fn check_finite<T: Scalar>(relevance: &Tensor<T>, first: usize) -> Result<(), Error> {
    let broken = relevance.outer_iter().position(|sample| sample.iter().any(|r| !r.is_finite()));
    broken.map_or(Ok(()), |i| Err(Error::InputRelevance { sample: first + i }))
}

#[cfg(test)]
mod tests {
    use super::largest;

    #[test]
    fn the_largest_come_first_and_equals_keep_their_order() {
        let top =
            |scores: &[f64]| largest(scores.iter().copied()).into_iter().map(|(class, _)| class).collect::<Vec<_>>();
        assert_eq!(top(&[1.0, 5.0, 5.0, -2.0, 7.0, 0.0, 6.0]), [4, 6, 1, 2, 0]);
        assert_eq!(top(&[3.0, 4.0]), [1, 0]);
        assert_eq!(top(&[]), [0; 0]);
    }
}
