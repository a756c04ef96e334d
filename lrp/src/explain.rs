//! The computation itself: relevance and ledger of samples that are in memory.

use lrp_config::Start;
use lrp_core::ledger::{Ledger, Totals};
use lrp_core::profile::Profile;
use lrp_core::{Chosen, NodeId, Plan, Scalar, Target, Tensor};
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

/// The explained outputs, and the nodes inside the network whose relevance is kept.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The outputs, one after the other.
    pub targets: &'a [Target],
    /// The nodes.
    pub inside: &'a [NodeId],
    /// Where the walk starts, if that is inside the network.
    pub through: Option<&'a Through>,
}

/// A start inside the network: the relevance that a node receives in the walk from the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// The node.
    pub node: NodeId,
    /// The channels, along the first axis of a sample, whose relevance is kept; without them, all.
    pub channels: Option<Vec<usize>>,
}

impl Through {
    /// The part of the relevance `[N, C, …]` that the walk starts with.
    fn kept<T: Scalar>(&self, mut received: Tensor<T>) -> Tensor<T> {
        if let Some(channels) = self.channels.as_ref().filter(|_| received.ndim() > 1) {
            for (channel, mut relevance) in received.axis_iter_mut(Axis(1)).enumerate() {
                if !channels.contains(&channel) {
                    relevance.fill(T::zero());
                }
            }
        }
        received
    }
}

impl<'a> Asked<'a> {
    /// Of these outputs the relevance at the input alone.
    pub fn of(targets: &'a [Target]) -> Self {
        Self { targets, inside: &[], through: None }
    }
}

/// The explanations of some samples, for every target.
pub struct Explained<T: Scalar> {
    /// Relevance per target, `[n, …]` each; that of several explained inputs is joined as [`Given`](crate::Given) says.
    pub relevance: Vec<Tensor<T>>,
    /// For each node that was asked for: the relevance received there, per target, `[n, …]` each.
    pub inside: Vec<Vec<Tensor<T>>>,
    /// Per sample, per target.
    pub outcomes: Vec<Vec<Outcome>>,
    /// Per sample, the largest outputs, the largest first.
    pub top: Vec<Vec<Largest>>,
}

/// One of the largest outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Largest {
    /// The class.
    pub class: usize,
    /// Its label, if labels are known.
    pub label: Option<String>,
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
    /// The class, where the target is one.
    pub class: Option<usize>,
    /// Its label, if labels are known.
    pub label: Option<String>,
    /// For a contrast: the class it is contrasted with.
    pub against: Option<usize>,
    /// The label of that class.
    pub against_label: Option<String>,
    /// Where in the output, in words; none for a class of the output as a whole.
    pub place: Option<String>,
    /// The output that is explained; for a contrast, the difference of both; for several outputs, their weighted sum.
    pub score: f64,
    /// The model's own output, where that is not the score.
    pub probability: Option<f64>,
    /// Where the walk starts inside the network: the part of the relevance put on the target that is left out there.
    pub filtered: Option<f64>,
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

impl Outcome {
    /// The explained output in words: a class, the difference of two, or a place in the output.
    pub fn explained(&self) -> String {
        in_words(
            self.place.as_deref(),
            (self.class, self.label.as_deref()),
            (self.against, self.against_label.as_deref()),
        )
    }
}

/// An explained output in words, given its place, and the number and label of its class and of the class that it is contrasted with.
pub fn in_words(
    place: Option<&str>,
    (class, label): (Option<usize>, Option<&str>),
    (against, against_label): (Option<usize>, Option<&str>),
) -> String {
    let name = |class: usize, label: Option<&str>| label.map_or_else(|| class.to_string(), str::to_owned);
    match (place, class) {
        (None, class) => {
            let against = against.map(|other| format!(" − {}", name(other, against_label))).unwrap_or_default();
            format!("{}{against}", class.map(|class| name(class, label)).unwrap_or_default())
        }
        (Some(place), None) => place.to_owned(),
        (Some(place), Some(class)) => match label {
            Some(label) => format!("{place}, {label}"),
            None => format!("{place}, class {class}"),
        },
    }
}

impl<T: Scalar> Explained<T> {
    /// NaN for `n` samples whose relevance has this shape, and no outcome.
    pub fn nothing(n: usize, relevance: &[usize], plan: &Plan<T>, asked: Asked<'_>) -> Self {
        let nan = |shape: &[usize]| vec![Tensor::from_elem(shape, T::of(f64::NAN)); asked.targets.len()];
        let at = |id: &NodeId| nan(&lrp_core::tensor::batch_shape(n, &plan.model().node(*id).shape));
        Self {
            relevance: nan(&lrp_core::tensor::batch_shape(n, relevance)),
            inside: asked.inside.iter().map(at).collect(),
            outcomes: vec![Vec::new(); n],
            top: vec![Vec::new(); n],
        }
    }

    /// All arrays: the relevance at the input, and that inside the network.
    pub fn arrays_mut(&mut self) -> impl Iterator<Item = &mut Tensor<T>> {
        self.relevance.iter_mut().chain(self.inside.iter_mut().flatten())
    }

    /// As [`arrays_mut`](Self::arrays_mut).
    pub fn arrays(&self) -> impl Iterator<Item = &Tensor<T>> {
        self.relevance.iter().chain(self.inside.iter().flatten())
    }

    /// The explanations of the samples from `first` up to `last`.
    pub fn part(&self, first: usize, last: usize) -> Self {
        let part = |r: &Tensor<T>| r.slice_axis(Axis(0), Slice::from(first..last)).to_owned();
        Self {
            relevance: self.relevance.iter().map(part).collect(),
            inside: self.inside.iter().map(|targets| targets.iter().map(part).collect()).collect(),
            outcomes: self.outcomes[first..last].to_vec(),
            top: self.top[first..last].to_vec(),
        }
    }
}

/// Explains samples `[n, …]` in batches, and adds their time and memory to `profile`. Those of several inputs are joined as
/// [`Given::join`](crate::Given::join) does. The relevance at the input does not depend on what is asked for inside the network.
///
/// # Errors
/// As [`Plan::explain`], and when relevance overflows. Errors give the sample's index among all `n`.
pub fn explain_samples<T: Scalar>(
    loaded: &Loaded<T>,
    plan: &Plan<T>,
    x: &Tensor<T>,
    asked: Asked<'_>,
    options: Options,
    profile: &mut Profile,
) -> Result<Explained<T>, Error> {
    let Asked { targets, inside, through } = asked;
    let n = lrp_core::tensor::samples(x);
    // For each node and target, batch after batch.
    let mut received: Vec<Vec<Vec<Tensor<T>>>> = vec![vec![Vec::new(); targets.len()]; inside.len()];
    let mut relevance: Vec<Vec<Tensor<T>>> = vec![Vec::new(); targets.len()];
    let mut outcomes = vec![Vec::new(); n];
    let mut top = Vec::new();
    for first in (0..n).step_by(options.batch) {
        let batch = x.slice_axis(Axis(0), Slice::from(first..n.min(first + options.batch))).to_owned();
        let size = lrp_core::tensor::samples(&batch);
        let record = profile.record(plan, &loaded.enter(batch)).map_err(|error| Error::from(error).moved(first))?;
        let mut record = Some(record);
        for (k, (target, parts)) in targets.iter().zip(&mut relevance).enumerate() {
            let target = target.part(first..first + size);
            let mut start = record.as_ref().map(|record| record.seed(&target, options.start.into())).transpose()?;
            let put = start.as_ref().map(lrp_core::tensor::sums).unwrap_or_default();
            if let (Some(through), Some(record)) = (through, &record) {
                let mut received = None;
                let whole = start.take().unwrap_or_else(lrp_core::tensor::empty);
                let explanation = profile.propagate(record, whole, &mut |id, r| {
                    if id == through.node {
                        received = Some(r.clone());
                    }
                });
                explanation.ledger.check_finite(plan.model()).map_err(|error| Error::from(error).moved(first))?;
                let zeros =
                    || Tensor::zeros(lrp_core::tensor::batch_shape(size, &plan.model().node(through.node).shape));
                start = Some(through.kept(received.unwrap_or_else(zeros)));
            }
            let last = record.take_if(|_| through.is_none() && k + 1 == targets.len());
            let mut seen: Vec<Option<Tensor<T>>> = vec![None; inside.len()];
            let observe = &mut |id: NodeId, r: &Tensor<T>| {
                for (slot, _) in seen.iter_mut().zip(inside).filter(|(_, asked)| **asked == id) {
                    *slot = Some(r.clone());
                }
            };
            let explanation = match (last, &record, start) {
                (None, Some(record), Some(start)) if through.is_some() => {
                    let node = through.map_or(plan.model().output(), |through| through.node);
                    record.propagate_from(node, start, observe)?
                }
                (Some(last), _, Some(start)) => profile.propagate_last(last, start, observe),
                (None, Some(record), Some(start)) => profile.propagate(record, start, observe),
                _ => break,
            };
            for ((received, seen), id) in received.iter_mut().zip(seen).zip(inside) {
                // What no relevance reaches has none.
                let zeros = || Tensor::zeros(lrp_core::tensor::batch_shape(size, &plan.model().node(*id).shape));
                if let Some(received) = received.get_mut(k) {
                    received.push(seen.unwrap_or_else(zeros));
                }
            }
            explanation.ledger.check_finite(plan.model()).map_err(|error| Error::from(error).moved(first))?;
            let (at_inputs, unexplained) = loaded.leave(explanation.relevance)?;
            check_finite(&at_inputs, first)?;
            let own = loaded.own_output(&explanation.output);
            for (i, chosen) in target.chosen(&explanation.output)?.into_iter().enumerate() {
                let score = |output: &Tensor<T>| {
                    let output: Vec<T> = output.index_axis(Axis(0), i).iter().copied().collect();
                    chosen.score(&output)
                };
                let (score, probability) = (score(&explanation.output), own.as_ref().map(score));
                let label = |class: Option<usize>| loaded.label_of(class?, chosen.place.is_some());
                let (label, against_label) = (label(chosen.class), label(chosen.against));
                let Chosen { class, against, place, .. } = chosen;
                outcomes[first + i].push(Outcome {
                    class,
                    label,
                    against,
                    against_label,
                    place,
                    score,
                    probability,
                    filtered: through.map(|_| put.get(i).copied().unwrap_or(f64::NAN) - explanation.ledger.start[i]),
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
                    let with = |(class, score)| Largest {
                        class,
                        label: loaded.label_of(class, false),
                        score,
                        probability: probability(class),
                    };
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
    let inside = received.into_iter().map(|targets| targets.into_iter().map(join).collect()).collect();
    Ok(Explained { relevance: relevance.into_iter().map(join).collect(), inside, outcomes, top })
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
    fn channels_that_are_not_kept_are_zero() {
        let received = ndarray::array![[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]].into_dyn();
        let node = lrp_core::Builder::<f64>::new().input("x", &[3, 2]);
        let kept = |channels| super::Through { node, channels }.kept(received.clone());
        assert_eq!(kept(Some(vec![2, 0])), ndarray::array![[[1.0, 2.0], [0.0, 0.0], [5.0, 6.0]]].into_dyn());
        assert_eq!(kept(None), received);
    }

    #[test]
    fn outputs_in_words() {
        let words = |place, class, against| super::in_words(place, class, against);
        assert_eq!(words(None, (Some(7), None), (None, None)), "7");
        assert_eq!(words(None, (Some(7), Some("cat")), (Some(2), None)), "cat − 2");
        assert_eq!(words(Some("t=3"), (Some(7), None), (None, None)), "t=3, class 7");
        assert_eq!(words(Some("t=3"), (Some(7), Some("cat")), (None, None)), "t=3, cat");
        assert_eq!(words(Some("[3, 7]"), (None, None), (None, None)), "[3, 7]");
    }

    #[test]
    fn the_largest_come_first_and_equals_keep_their_order() {
        let top =
            |scores: &[f64]| largest(scores.iter().copied()).into_iter().map(|(class, _)| class).collect::<Vec<_>>();
        assert_eq!(top(&[1.0, 5.0, 5.0, -2.0, 7.0, 0.0, 6.0]), [4, 6, 1, 2, 0]);
        assert_eq!(top(&[3.0, 4.0]), [1, 0]);
        assert_eq!(top(&[]), [0; 0]);
    }
}
