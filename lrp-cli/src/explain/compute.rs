//! Between reading and writing: batches become explanations.

use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;

use lrp_core::profile::Profile;
use lrp_core::tensor::samples;
use lrp_core::{Error, Plan, Scalar, Target, Tensor};
use ndarray::Axis;

use super::journal::Done;
use super::reader::{Piece, Place, Read, Stopped};
use super::samples::{Explained, explain_samples, moved};
use crate::diagnosis::Diagnosis;
use crate::failure::Failure;
use crate::fit::Fit;
use crate::job::HowJob;
use crate::session::{Loaded, forward_failure};

/// What comes out of the computation.
pub enum Computed<T: Scalar> {
    /// The explanations of a piece, and its samples `[n, …]`.
    Piece(Place, Explained<T>, Tensor<T>),
    /// An input that is done, or begun, as an earlier run's journal says.
    Done(usize, Done),
    /// An input that cannot be explained.
    Failed(usize, Failure),
}

/// Explains batches.
pub struct Computation<'a, T: Scalar> {
    loaded: &'a Loaded<T>,
    plan: &'a Plan<T>,
    targets: &'a [Target],
    how: &'a HowJob,
    to: SyncSender<Computed<T>>,
    /// The last input that could not be explained: the rest of it, which may be on its way, is not.
    failed: Option<usize>,
    /// Whether samples are what is known of the input.
    fit: Fit<'a, T>,
    spent: Spent,
}

/// What the computation took.
#[derive(Debug, Default)]
pub struct Spent {
    /// Seconds, waiting excepted.
    pub seconds: f64,
    /// Node by node.
    pub profile: Profile,
    /// What the samples deserve a look for.
    pub warnings: Vec<Diagnosis>,
}

impl<'a, T: Scalar> Computation<'a, T> {
    /// A computation whose results go to `to`.
    pub fn new(
        loaded: &'a Loaded<T>,
        plan: &'a Plan<T>,
        targets: &'a [Target],
        how: &'a HowJob,
        fit: Fit<'a, T>,
        to: SyncSender<Computed<T>>,
    ) -> Self {
        Self { loaded, plan, targets, how, to, failed: None, fit, spent: Spent::default() }
    }

    /// Explains what comes.
    pub fn run(mut self, from: Receiver<Read<T>>) -> Spent {
        for read in from {
            let sent = match read {
                Read::Batch(pieces) => self.explain(pieces),
                Read::Done(input, done) => self.send(Computed::Done(input, done)),
                Read::Failed(input, failure) => self.fail(input, failure),
            };
            // Whoever has stopped says why.
            if sent.is_err() {
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
        match (self.explained(&pieces), pieces.as_slice()) {
            (Ok(explained), _) => {
                let mut first = 0;
                for piece in pieces {
                    let last = first + samples(&piece.samples);
                    self.fit.see(&piece.samples);
                    self.send(Computed::Piece(piece.place, explained.part(first, last), piece.samples))?;
                    first = last;
                }
                Ok(())
            }
            (Err(error), [piece]) => {
                let Place { input, first, .. } = piece.place;
                self.fail(input, forward_failure(&moved(error, first)))
            }
            (Err(_), _) => pieces.into_iter().try_for_each(|piece| self.explain(vec![piece])),
        }
    }

    fn explained(&mut self, pieces: &[Piece<T>]) -> Result<Explained<T>, Error> {
        let started = Instant::now();
        let views: Vec<_> = pieces.iter().map(|piece| piece.samples.view()).collect();
        let all = ndarray::concatenate(Axis(0), &views).map_err(|e| Error::Model { reason: e.to_string() });
        // All of it in one thread of the pool, which would have to wake up for each pass otherwise.
        let explained = all.and_then(|all| {
            let profile = &mut self.spent.profile;
            rayon::scope(|_| explain_samples(self.loaded, self.plan, &all, self.targets, self.how, profile))
        });
        self.spent.seconds += started.elapsed().as_secs_f64();
        explained
    }

    fn fail(&mut self, input: usize, failure: Failure) -> Result<(), Stopped> {
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
