//! The reading end: inputs become batches of samples, in their order, ahead of the computation.

use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use lrp_core::{Scalar, Tensor};

use super::journal::{AllDone, Done};
use super::{ExplainJob, files};
use crate::failure::Failure;
use crate::hash;
use crate::input::{self, Source};

/// Samples of one input that follow each other.
pub struct Piece<T: Scalar> {
    pub place: Place,
    /// `[n, …]`
    pub samples: Tensor<T>,
}

/// Where in the inputs a piece stands.
#[derive(Debug, Clone)]
pub struct Place {
    /// The number of the input.
    pub input: usize,
    /// The number of the first sample within it.
    pub first: usize,
    /// How many samples the input has.
    pub of: usize,
    /// SHA-256 of the input up to the last sample of the piece: of all of it, with the last piece.
    pub sha256: String,
    /// What was changed in an image.
    pub conversions: Vec<String>,
}

/// What comes out of the reader.
pub enum Read<T: Scalar> {
    /// Pieces to explain together.
    Batch(Vec<Piece<T>>),
    /// An input that is done, or begun, as an earlier run's journal says.
    Done(usize, Done),
    /// An input that cannot be explained.
    Failed(usize, Failure),
}

/// Nobody takes what is read any more: the run has failed elsewhere.
pub struct Stopped;

/// Reads all inputs.
pub struct Reader<'a, T: Scalar> {
    job: &'a ExplainJob,
    /// The shape of a sample.
    shape: &'a [usize],
    done: AllDone,
    to: SyncSender<Read<T>>,
    /// What is read and not sent yet: fewer samples than a batch has.
    batch: Vec<Piece<T>>,
    /// How many more samples the batch takes.
    room: usize,
    seconds: f64,
}

impl<'a, T: Scalar> Reader<'a, T> {
    /// A reader that leaves out what is `done`.
    pub fn new(job: &'a ExplainJob, shape: &'a [usize], done: AllDone, to: SyncSender<Read<T>>) -> Self {
        Self { job, shape, done, to, batch: Vec::new(), room: job.what.how.batch, seconds: 0.0 }
    }

    /// Reads until all is read or nobody wants more; gives the seconds that it took, waiting excepted.
    pub fn run(mut self) -> f64 {
        let Self { job, .. } = self;
        let all = job.what.inputs.iter().enumerate().try_for_each(|(i, path)| self.read(i, path));
        // Whoever has stopped says why.
        let _ = all.and_then(|()| self.send_batch());
        self.seconds
    }

    fn read(&mut self, input: usize, path: &Path) -> Result<(), Stopped> {
        let started = Instant::now();
        let opened = self.open(path);
        self.seconds += started.elapsed().as_secs_f64();
        let (source, done) = match opened {
            Ok(opened) => opened,
            Err(failure) => return self.fail(input, failure),
        };
        if let Some(done) = done {
            self.send_batch()?;
            self.send(Read::Done(input, done))?;
        }
        let Some(mut source) = source else { return Ok(()) };
        while source.left() > 0 {
            let first = source.taken();
            let started = Instant::now();
            let taken = source.take(self.room);
            let conversions = source.conversions().to_vec();
            let place = Place { input, first, of: source.samples(), sha256: source.sha256(), conversions };
            self.seconds += started.elapsed().as_secs_f64();
            match taken {
                Ok(samples) => {
                    self.room -= lrp_core::tensor::samples(&samples);
                    self.batch.push(Piece { place, samples });
                }
                Err(failure) => return self.fail(input, failure),
            }
            if self.room == 0 {
                self.send_batch()?;
            }
        }
        Ok(())
    }

    /// Opens an input, behind what is done of it. There is nothing to open where all is done.
    fn open(&mut self, path: &Path) -> Result<(Option<Source<T>>, Option<Done>), Failure> {
        let done = self.done.remove(&path.display().to_string()).filter(|done| self.is_there(path, done));
        if let Some(done) = done {
            // Changed since, it is explained from the beginning.
            if done.is_all() {
                if hash::of_file(path).is_ok_and(|sha256| sha256 == done.sha256) {
                    return Ok((None, Some(done)));
                }
            } else {
                let mut source = self.source(path)?;
                source.skip(done.samples.len())?;
                if source.samples() == done.of && source.sha256() == done.sha256 {
                    return Ok((Some(source), Some(done)));
                }
            }
        }
        Ok((Some(self.source(path)?), None))
    }

    fn source(&self, path: &Path) -> Result<Source<T>, Failure> {
        Source::open(path, self.shape, &self.job.what.how.input)
    }

    /// Whether the results that a journal tells of are there.
    fn is_there(&self, input: &Path, done: &Done) -> bool {
        let output = &self.job.output;
        let stem = input::stem(input);
        let arrays_are_there = !output.keeps_relevance()
            || [files::relevance(&stem), files::ledger(&stem)].iter().all(|name| {
                let path = output.dir.join(name);
                files::unfinished(&path).is_file() || (done.is_all() && path.is_file())
            });
        let mut heatmaps = done.samples.iter().flat_map(|s| &s.targets).filter_map(|target| target.heatmap.as_ref());
        arrays_are_there && heatmaps.all(|name| output.dir.join(name).is_file())
    }

    fn fail(&mut self, input: usize, failure: Failure) -> Result<(), Stopped> {
        self.send_batch()?;
        self.send(Read::Failed(input, failure))
    }

    fn send_batch(&mut self) -> Result<(), Stopped> {
        self.room = self.job.what.how.batch;
        match std::mem::take(&mut self.batch) {
            empty if empty.is_empty() => Ok(()),
            batch => self.send(Read::Batch(batch)),
        }
    }

    fn send(&self, read: Read<T>) -> Result<(), Stopped> {
        self.to.send(read).map_err(|_| Stopped)
    }
}
