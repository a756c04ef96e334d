//! Between reading and writing: batches become explanations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;

use lrp::fit::Fit;
use lrp::{Asked, Diagnosis, Error, Explained, Loaded, QuantizationError, Through, explain_samples};
use lrp_core::profile::Profile;
use lrp_core::tensor::samples;
use lrp_core::{NodeId, Plan, Scalar, Tensor};
use ndarray::{Axis, Slice};

use super::journal::Done;
use super::model::Watch;
use super::reader::{Piece, Place, Read, Stopped};
use crate::job::HowJob;
use crate::targets::Targets;

/// The results of the computation.
pub enum Computed<T: Scalar> {
    /// The explanations of a piece, its samples as they were read, and which of them cannot be explained.
    Piece(Box<Place>, Explained<T>, Tensor<T>, Vec<(usize, Error)>),
    /// An input that is done, or begun, as an earlier run's journal says.
    Done(usize, Done),
    /// An input that cannot be explained.
    Failed(usize, Error),
}

/// Explains batches.
pub struct Computation<'a, T: Scalar> {
    loaded: &'a Loaded<T>,
    plan: &'a Plan<T>,
    targets: &'a Targets,
    inside: &'a [NodeId],
    through: Option<&'a Through>,
    how: &'a HowJob,
    watch: &'a Watch,
    stop: &'a AtomicBool,
    to: SyncSender<Computed<T>>,
    /// The last input that could not be explained: the rest of it, which may be on its way, is not.
    failed: Option<usize>,
    /// Checks samples against the known properties of the input.
    fit: Fit<'a, T>,
    /// Whether the difference that rounding makes has been measured, of a quantized model.
    is_measured: bool,
    spent: Spent,
}

/// The time and memory of the computation.
#[derive(Debug, Default)]
pub struct Spent {
    /// Seconds, waiting excepted.
    pub seconds: f64,
    /// Node by node.
    pub profile: Profile,
    /// Warnings about the samples.
    pub warnings: Vec<Diagnosis>,
    /// Of a quantized model, the difference that rounding makes, or why it is not known.
    pub rounding: Option<Result<QuantizationError, String>>,
    /// Why it ended early: the model has changed.
    pub failure: Option<Error>,
}

impl<'a, T: Scalar> Computation<'a, T> {
    /// A computation whose results go to `to`.
    pub fn new(
        loaded: &'a Loaded<T>,
        plan: &'a Plan<T>,
        (targets, inside, through): (&'a Targets, &'a [NodeId], Option<&'a Through>),
        how: &'a HowJob,
        (fit, watch, stop): (Fit<'a, T>, &'a Watch, &'a AtomicBool),
        to: SyncSender<Computed<T>>,
    ) -> Self {
        Self {
            loaded,
            plan,
            targets,
            inside,
            through,
            how,
            watch,
            stop,
            to,
            failed: None,
            fit,
            is_measured: false,
            spent: Spent::default(),
        }
    }

    /// Explains batches as they come.
    pub fn run(mut self, from: Receiver<Read<T>>) -> Spent {
        for read in from {
            let sent = match read {
                Read::Batch(pieces) => self.explain(pieces),
                Read::Done(input, done) => self.send(Computed::Done(input, done)),
                Read::Failed(input, failure) => self.fail(input, failure),
            };
            // Whoever has stopped says why.
            if sent.is_err() || self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        self.spent.warnings = self.fit.warnings();
        self.spent
    }

    /// Explains pieces together, and each alone where that fails.
    fn explain(&mut self, mut pieces: Vec<Piece<T>>) -> Result<(), Stopped> {
        pieces.retain(|piece| Some(piece.place.input) != self.failed);
        if pieces.is_empty() {
            return Ok(());
        }
        let explained = self.explained(&pieces);
        // Relevance of a model that has changed meanwhile is of no model at all.
        if let Err(failure) = self.watch.check() {
            self.spent.failure = Some(failure);
            return Err(Stopped);
        }
        match (explained, pieces.len()) {
            (Ok(explained), _) => {
                let mut first = 0;
                for piece in pieces {
                    let good = good(&piece);
                    let last = first + good.len();
                    // This copies only if samples are omitted.
                    let fed = (!piece.bad.is_empty()).then(|| piece.samples.select(Axis(0), &good));
                    self.fit.see(fed.as_ref().unwrap_or(&piece.samples));
                    let all = self.spread(explained.part(first, last), &good, samples(&piece.samples));
                    self.send(Computed::Piece(Box::new(piece.place), all, piece.samples, piece.bad))?;
                    first = last;
                }
                Ok(())
            }
            (Err(error), 1) => pieces.pop().map_or(Ok(()), |piece| self.explain_some(piece, error)),
            (Err(_), _) => pieces.into_iter().try_for_each(|piece| self.explain(vec![piece])),
        }
    }

    /// Explains a piece that fails as a whole sample by sample, as far as possible.
    fn explain_some(&mut self, piece: Piece<T>, error: Error) -> Result<(), Stopped> {
        let Piece { place, samples, mut bad } = piece;
        if place.of == 1 {
            return self.fail(place.input, error.moved(place.first));
        }
        let n = lrp_core::tensor::samples(&samples);
        let mut all = self.nothing(n);
        for i in (0..n).filter(|i| bad.iter().all(|(other, _)| other != i)).collect::<Vec<_>>() {
            let one = samples.slice_axis(Axis(0), Slice::from(i..i + 1)).to_owned();
            let place = Place { first: place.first + i, ..place.clone() };
            let first = place.first;
            let alone = Piece { place, samples: one, bad: Vec::new() };
            match self.explained(&[alone]) {
                Ok(explained) => put(&mut all, explained, &[i]),
                Err(error) => bad.push((i, error.moved(first))),
            }
        }
        if let Err(failure) = self.watch.check() {
            self.spent.failure = Some(failure);
            return Err(Stopped);
        }
        bad.sort_by_key(|(i, _)| *i);
        self.send(Computed::Piece(Box::new(place), all, samples, bad))
    }

    /// Explains the good samples of pieces.
    fn explained(&mut self, pieces: &[Piece<T>]) -> Result<Explained<T>, Error> {
        let started = Instant::now();
        let parts: Vec<_> = pieces
            .iter()
            .map(|piece| (!piece.bad.is_empty()).then(|| piece.samples.select(Axis(0), &good(piece))))
            .collect();
        let views: Vec<_> =
            parts.iter().zip(pieces).map(|(part, piece)| part.as_ref().unwrap_or(&piece.samples).view()).collect();
        let all =
            ndarray::concatenate(Axis(0), &views).map_err(|e| lrp_core::Error::Model { reason: e.to_string() }.into());
        let numbers: Vec<(usize, usize)> = pieces
            .iter()
            .flat_map(|piece| good(piece).into_iter().map(|i| (piece.place.input, piece.place.first + i)))
            .collect();
        let explained = all.and_then(|all| match samples(&all) {
            0 => Ok(self.nothing(0)),
            // All of it in one thread of the pool, which would have to wake up for each pass otherwise.
            _ => {
                let targets = self.targets.of(&numbers)?;
                let asked = Asked { targets: &targets, inside: self.inside, through: self.through };
                let Spent { profile, rounding, .. } = &mut self.spent;
                let is_measured = &mut self.is_measured;
                rayon::scope(|_| {
                    let explained = explain_samples(self.loaded, self.plan, &all, asked, self.how.options(), profile)?;
                    // The first samples are enough.
                    if !std::mem::replace(is_measured, true) {
                        *rounding = QuantizationError::measure(self.loaded, &all);
                    }
                    Ok(explained)
                })
            }
        });
        self.spent.seconds += started.elapsed().as_secs_f64();
        explained
    }

    /// Relevance NaN and no outcome for each of `n` samples.
    fn nothing(&self, n: usize) -> Explained<T> {
        let asked = Asked { targets: self.targets.general(), inside: self.inside, through: None };
        Explained::nothing(n, &self.loaded.given.relevance_shape(), self.plan, asked)
    }

    /// The explanations of the `good` ones among `n` samples, as those of all.
    fn spread(&self, explained: Explained<T>, good: &[usize], n: usize) -> Explained<T> {
        if good.len() == n {
            return explained;
        }
        let mut all = self.nothing(n);
        put(&mut all, explained, good);
        all
    }

    fn fail(&mut self, input: usize, failure: Error) -> Result<(), Stopped> {
        if self.failed == Some(input) {
            return Ok(());
        }
        self.failed = Some(input);
        self.send(Computed::Failed(input, failure))
    }

    fn send(&self, computed: Computed<T>) -> Result<(), Stopped> {
        self.to.send(computed).map_err(|_| Stopped)
    }
}

/// The samples of a piece that can be explained, as far as reading could see.
fn good<T: Scalar>(piece: &Piece<T>) -> Vec<usize> {
    (0..samples(&piece.samples)).filter(|i| piece.bad.iter().all(|(bad, _)| bad != i)).collect()
}

/// Writes explanations to their positions among those of all.
fn put<T: Scalar>(all: &mut Explained<T>, explained: Explained<T>, places: &[usize]) {
    for (all, relevance) in all.arrays_mut().zip(explained.arrays()) {
        for (sample, place) in relevance.outer_iter().zip(places) {
            all.index_axis_mut(Axis(0), *place).assign(&sample);
        }
    }
    for ((outcomes, top), place) in explained.outcomes.into_iter().zip(explained.top).zip(places) {
        all.outcomes[*place] = outcomes;
        all.top[*place] = top;
    }
}
