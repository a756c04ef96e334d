//! The reading end: inputs become batches of samples, in their order, ahead of the computation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use lrp::Error;
use lrp::text::TextPart;
use lrp_core::{Scalar, Tensor};

use super::journal::{AllDone, Done};
use super::subject::Subject;
use crate::files;
use crate::input::{FileSet, Sources};
use crate::job::ExplainJob;
use crate::manifest::TargetRecord;

/// Samples of one input that follow each other.
pub struct Piece<T: Scalar> {
    /// Where in the inputs.
    pub place: Place,
    /// `[n, …]`
    pub samples: Tensor<T>,
    /// The samples among them that cannot be explained, by their index here.
    pub bad: Vec<(usize, Error)>,
}

/// The position of a piece in the inputs.
#[derive(Debug, Clone)]
pub struct Place {
    /// The number of the input.
    pub input: usize,
    /// The number of the first sample within it.
    pub first: usize,
    /// The number of samples of the input.
    pub of: usize,
    /// SHA-256 of the input up to the last sample of the piece: of all of it, with the last piece.
    pub sha256: String,
    /// The changes of an image.
    pub conversions: Vec<String>,
    /// The parts of each sample of the piece that is a text.
    pub texts: Vec<Vec<TextPart>>,
}

/// The messages of the reader.
pub enum Read<T: Scalar> {
    /// Pieces to explain together.
    Batch(Vec<Piece<T>>),
    /// An input that is done, or begun, as an earlier run's journal says.
    Done(usize, Done),
    /// An input that cannot be explained.
    Failed(usize, Error),
}

/// The result of reading all inputs.
#[derive(Debug, Default)]
pub struct Reading {
    /// Seconds, waiting excepted.
    pub seconds: f64,
    /// Samples that an earlier run had finished, and that are explained again.
    pub again: Again,
}

/// Samples in a journal whose input or results have changed.
#[derive(Debug, Default)]
pub struct Again {
    /// The number.
    pub samples: usize,
    /// The first input that they are of.
    pub input: Option<String>,
}

/// The receiver is gone: the run has failed elsewhere.
pub struct Stopped;

/// An open input, if some of its samples are left, and those that are finished.
type Opened<'a, T> = (Option<Sources<'a, T>>, Option<Done>);

/// Reads all inputs.
pub struct Reader<'a, T: Scalar> {
    job: &'a ExplainJob,
    subject: Subject<'a>,
    /// Whether samples are drawn.
    draws: bool,
    done: AllDone,
    again: Again,
    to: SyncSender<Read<T>>,
    /// Whether the run is to end.
    stop: &'a AtomicBool,
    /// Samples read and not sent yet: fewer samples than a batch has.
    batch: Vec<Piece<T>>,
    /// The number of samples that complete the batch.
    room: usize,
    seconds: f64,
}

impl<'a, T: Scalar> Reader<'a, T> {
    /// A reader that skips the samples in `done`.
    pub fn new(subject: Subject<'a>, done: AllDone, to: SyncSender<Read<T>>, stop: &'a AtomicBool) -> Self {
        let job = subject.job;
        let (batch, room, again) = (Vec::new(), job.what.how.batch, Again::default());
        let draws = job.output.formats().next().is_some();
        Self { job, subject, draws, done, again, to, stop, batch, room, seconds: 0.0 }
    }

    /// Reads until all is read or nobody wants more.
    pub fn run(mut self) -> Reading {
        let Self { job, .. } = self;
        let all = job.what.inputs.iter().enumerate().try_for_each(|(i, set)| self.read(i, set));
        // Whoever has stopped says why.
        let _ = all.and_then(|()| self.send_batch());
        Reading { seconds: self.seconds, again: self.again }
    }

    fn read(&mut self, input: usize, set: &'a FileSet) -> Result<(), Stopped> {
        let started = Instant::now();
        let opened = self.open(input, set);
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
            if self.stop.load(Ordering::Relaxed) {
                return Err(Stopped);
            }
            let first = source.taken();
            let started = Instant::now();
            // Of one sample that is bad there is nothing left.
            let taken = match source.samples() {
                1 => source.take(1).map(|samples| (samples, Vec::new())),
                _ => source.take_any(self.room),
            };
            let conversions = source.conversions();
            let texts = match &taken {
                Ok((samples, _)) if self.draws => source.text_parts(first, samples),
                _ => Vec::new(),
            };
            let place = Place { input, first, of: source.samples(), sha256: source.sha256(), conversions, texts };
            self.seconds += started.elapsed().as_secs_f64();
            match taken {
                Ok((samples, bad)) => {
                    self.room -= lrp_core::tensor::samples(&samples);
                    self.batch.push(Piece { place, samples, bad });
                }
                Err(failure) => return self.fail(input, failure),
            }
            if self.room == 0 {
                self.send_batch()?;
            }
        }
        Ok(())
    }

    /// Opens an input after its finished samples; `None` if all are finished.
    fn open(&mut self, input: usize, set: &FileSet) -> Result<Opened<'a, T>, Error> {
        let Some(mut done) = self.done.remove(&set.path().display().to_string()) else {
            return Ok((Some(self.source(set)?), None));
        };
        let before = done.samples.len();
        done.truncate(self.hold(input, &done));
        // Changed since, it is explained from the beginning.
        let there = match done.is_all() {
            true if set.sha256().is_ok_and(|sha256| sha256 == done.sha256()) => Some(None),
            false if !done.samples.is_empty() => self.behind(set, &done)?.map(Some),
            _ => None,
        };
        let lost = if there.is_some() { before - done.samples.len() } else { before };
        if lost > 0 {
            self.again.samples += lost;
            self.again.input.get_or_insert_with(|| set.path().display().to_string());
        }
        match there {
            Some(source) => Ok((source, Some(done))),
            None => Ok((Some(self.source(set)?), None)),
        }
    }

    /// The input after its finished samples, if it is unchanged.
    fn behind(&self, set: &FileSet, done: &Done) -> Result<Option<Sources<'a, T>>, Error> {
        let mut source = self.source(set)?;
        source.skip(done.samples.len())?;
        Ok((source.samples() == done.of && source.sha256() == done.sha256()).then_some(source))
    }

    fn source(&self, set: &FileSet) -> Result<Sources<'a, T>, Error> {
        Sources::open(set, self.subject.given, (&self.job.what.how.input, self.subject.texts))
    }

    /// The number of batches of an input, from the first on, that have results that are there as they were written.
    fn hold(&self, input: usize, done: &Done) -> usize {
        let dir = &self.job.output.dir;
        let mut hold = done.batches.len();
        if let Some(arrays) = self.subject.arrays(input, done.of) {
            let rows = done.batches.iter().map_while(|batch| Some((batch.samples, batch.rows.as_deref()?)));
            hold = arrays.examine::<T>(rows);
        }
        // A heatmap that a record names and whose hash is unknown could be anything.
        let is_there = |batch: &super::journal::Batch, first: usize| {
            let samples = done.samples.get(first..first + batch.samples).unwrap_or_default();
            let mut heatmaps = samples.iter().flat_map(|s| &s.targets).flat_map(TargetRecord::heatmap_files);
            heatmaps.all(|name| batch.files.iter().any(|file| file.path == *name))
                && batch.files.iter().all(|file| files::state(dir, file) == files::State::Same)
        };
        let mut first = 0;
        for (i, batch) in done.batches.iter().take(hold).enumerate() {
            if !is_there(batch, first) {
                return i;
            }
            first += batch.samples;
        }
        hold
    }

    fn fail(&mut self, input: usize, failure: Error) -> Result<(), Stopped> {
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
