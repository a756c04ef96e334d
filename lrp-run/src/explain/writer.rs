//! The writing end: explanations become files, lines of the journal, and records of the manifest.

use std::collections::HashSet;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use lrp::{Complaint, Error, Explained, Largest, Outcome};
use lrp_config::Save;
use lrp_core::{Scalar, Tensor};
use lrp_render::Drawing;
use ndarray_npy::WritableElement;

use super::arrays::Arrays;
use super::compute::Computed;
use super::heatmaps::{Heatmaps, Stems};
use super::journal::{Done, Entry, Journal};
use super::reader::Place;
use super::subject::Subject;
use crate::events::Events;
use crate::files;
use crate::job::ExplainJob;
use crate::manifest::{
    ExplainedRecord, FailedRecord, FileRecord, InputRecord, InsideRecord, LedgerRecord, SampleRecord, ScoreRecord,
    TargetRecord,
};

/// The interval of syncs to the disk.
const SYNC: Duration = Duration::from_secs(1);

/// The number of samples of one input whose errors are printed.
const COMPLAINTS: usize = 3;

/// Writes the results of all inputs, in their order.
pub struct Writer<'a> {
    subject: Subject<'a>,
    job: &'a ExplainJob,
    heatmaps: Heatmaps<'a>,
    events: &'a dyn Events,
    /// The input whose samples are being received.
    current: Option<Current>,
    /// Names of the heatmaps that were written.
    claimed: HashSet<String>,
    synced: Instant,
    written: Written,
}

/// The result when all is written.
pub struct Written {
    /// The journal, not ended yet.
    pub journal: Journal,
    /// The inputs that were explained.
    pub inputs: Vec<InputRecord>,
    /// The inputs and samples that could not be.
    pub failed: Vec<FailedRecord>,
    /// The samples that are done, also of inputs that are not complete.
    pub done: usize,
    /// Seconds, waiting excepted.
    pub seconds: f64,
}

/// An input that is not complete.
struct Current {
    input: usize,
    of: usize,
    arrays: Option<Arrays>,
    /// The changes of an image.
    conversions: Vec<String>,
    samples: Vec<SampleRecord>,
    /// The heatmaps.
    files: Vec<FileRecord>,
    /// Samples that cannot be explained.
    failures: Vec<(usize, Error)>,
}

impl<'a> Writer<'a> {
    /// A writer that goes on with this journal.
    pub fn new(subject: Subject<'a>, drawings: Vec<Drawing>, events: &'a dyn Events, journal: Journal) -> Self {
        let written = Written { journal, inputs: Vec::new(), failed: Vec::new(), done: 0, seconds: 0.0 };
        let (current, claimed, synced) = (None, HashSet::new(), Instant::now());
        let heatmaps = Heatmaps::new(subject, drawings);
        Self { subject, job: subject.job, heatmaps, events, current, claimed, synced, written }
    }

    /// Writes explanations as they come.
    ///
    /// # Errors
    /// When something cannot be written, and when the only input cannot be explained.
    pub fn run<T: Scalar + WritableElement>(mut self, from: Receiver<Computed<T>>) -> Result<Written, Error> {
        for computed in from {
            let started = Instant::now();
            match computed {
                Computed::Piece(place, explained, samples, failures) => {
                    self.write(*place, &explained, &samples, failures)?;
                }
                Computed::Done(input, done) => self.go_on::<T>(input, done)?,
                Computed::Failed(input, failure) => self.fail(input, failure)?,
            }
            self.written.seconds += started.elapsed().as_secs_f64();
        }
        Ok(self.written)
    }

    /// Keeps going after an input that cannot be explained: finished work is not lost.
    fn fail(&mut self, input: usize, failure: Error) -> Result<(), Error> {
        self.discard(input)?;
        if self.job.what.inputs.len() == 1 {
            self.written.journal.end()?;
            return Err(failure);
        }
        let reason = failure.to_string();
        self.events.failed(&failure);
        self.written.failed.push(FailedRecord { path: self.subject.path(input), sample: None, reason });
        Ok(())
    }

    /// Removes the results of an input.
    fn discard(&mut self, input: usize) -> Result<(), Error> {
        let Some(current) = self.current.take_if(|current| current.input == input) else { return Ok(()) };
        self.written.journal.take_back(&self.subject.path(input))?;
        self.written.done = self.written.done.saturating_sub(current.samples.len());
        current.arrays.map_or(Ok(()), Arrays::discard)?;
        let dir = &self.job.output.dir;
        current.files.iter().filter_map(|file| files::within(dir, &file.path)).try_for_each(|path| files::remove(&path))
    }

    /// Takes over the results of an earlier run for an input.
    fn go_on<T: Scalar>(&mut self, input: usize, done: Done) -> Result<(), Error> {
        let targets = done.samples.iter().flat_map(|s| &s.targets);
        let names: Vec<String> = targets.flat_map(TargetRecord::heatmap_files).cloned().collect();
        names.iter().try_for_each(|name| self.claim(name))?;
        self.events.taken_over(done.samples.len() as u64);
        self.written.done += done.samples.len();
        // The program may have been killed when all was written, and the files had not got their names.
        let (all, sha256) = (done.is_all(), done.sha256().to_owned());
        let (conversions, path) = (done.conversions, self.subject.path(input));
        let arrays = self.subject.arrays(input, done.of);
        let arrays = arrays.map(|arrays| arrays.reopen::<T>(all)).transpose()?.flatten();
        let failed = done.samples.iter().enumerate().filter_map(|(i, sample)| Some((i, sample.failed.as_ref()?)));
        // The reasons in the journal name the file.
        let about = |reason: &String| Error::User(vec![Complaint::plain(reason).about(&path)]);
        let failures = failed.map(|(i, reason)| (i, about(reason))).collect();
        let files = done.batches.into_iter().flat_map(|batch| batch.files).collect();
        self.current =
            Some(Current { input, of: done.of, arrays, conversions, samples: done.samples, files, failures });
        self.finish(sha256)
    }

    /// Writes the results of a piece.
    fn write<T: Scalar + WritableElement>(
        &mut self,
        place: Place,
        explained: &Explained<T>,
        samples: &Tensor<T>,
        failures: Vec<(usize, Error)>,
    ) -> Result<(), Error> {
        let Place { input, first, of, .. } = place;
        let path = self.subject.path(input);
        let failures: Vec<(usize, Error)> =
            failures.into_iter().map(|(i, failure)| (i, failure.of_file(&path))).collect();
        if self.current.is_none() {
            // The new file has none of the results in the journal.
            self.written.journal.take_back(&path)?;
            let arrays = self.subject.arrays(input, of).map(|arrays| arrays.create::<T>()).transpose()?;
            let (samples, files, failures) = (Vec::new(), Vec::new(), Vec::new());
            let conversions = place.conversions.clone();
            self.current = Some(Current { input, of, arrays, conversions, samples, files, failures });
        }
        let stems = self.heatmaps.stems(&place, explained);
        let names: Vec<String> = stems.iter().flatten().flat_map(|stems| self.heatmaps.files(stems)).collect();
        names.iter().try_for_each(|name| self.claim(name))?;
        let files = self.heatmaps.write(&place, &stems, explained, samples)?;
        let samples = self.records(&stems, explained, &failures);
        let arrays = self.current.as_mut().and_then(|current| current.arrays.as_mut());
        let rows = arrays.map(|arrays| arrays.write(first, explained, self.subject.given)).transpose()?;
        // Hashes tell what never came to the disk: this only limits how much that can be when the machine goes down.
        let sync = self.synced.elapsed() >= SYNC;
        if let Some(arrays) = self.current.as_ref().and_then(|current| current.arrays.as_ref()).filter(|_| sync) {
            arrays.sync()?;
        }
        let Place { sha256, conversions, .. } = place;
        let stem = self.other_stem(input);
        let entry = Entry { path, stem, first, of, sha256, conversions, samples, rows, files };
        self.written.journal.add(&entry)?;
        if sync {
            self.written.journal.sync()?;
            self.synced = Instant::now();
        }
        self.events.done(entry.samples.len() as u64);
        self.written.done += entry.samples.len();
        if let Some(current) = &mut self.current {
            current.samples.extend(entry.samples);
            current.files.extend(entry.files);
            current.failures.extend(failures.into_iter().map(|(i, failure)| (first + i, failure)));
        }
        self.finish(entry.sha256)
    }

    /// Whether all samples of the current input are written; then its files are complete, and its record.
    fn finish(&mut self, sha256: String) -> Result<(), Error> {
        let Some(mut current) = self.current.take_if(|current| current.samples.len() == current.of) else {
            return Ok(());
        };
        let (path, input) = (self.subject.path(current.input), current.input);
        if current.failures.len() == current.of
            && let Some((_, failure)) = current.failures.pop()
        {
            // Nothing of it can be explained.
            self.current = Some(current);
            return self.fail(input, failure);
        }
        current.arrays.map_or(Ok(()), Arrays::finish)?;
        let (stem, saved) = (self.subject.stem(input), self.saves(Save::Npy));
        let explained: Vec<ExplainedRecord> = self
            .subject
            .given
            .explained()
            .zip(self.heatmaps.names())
            .map(|(input, name)| ExplainedRecord {
                name: input.name.clone(),
                relevance: saved.then(|| files::relevance_of(&stem, name)),
            })
            .collect();
        let relevance = (saved && explained.is_empty()).then(|| files::relevance(&stem));
        let ledger = saved.then(|| files::ledger(&stem));
        let mut of_files = Vec::new();
        let key = |node: &InsideRecord| files::inside(&self.subject.stem(input), &node.key);
        let at = self.subject.inside.iter().filter(|_| self.saves(Save::Npy));
        let at: Vec<String> = at.map(key).collect();
        let of_inputs = explained.iter().filter_map(|explained| explained.relevance.as_ref());
        for name in relevance.iter().chain(of_inputs).chain(&ledger).chain(&at) {
            of_files.push(files::record(&self.job.output.dir, name)?);
        }
        of_files.extend(current.files);
        self.complain(&path, current.failures);
        let sources = self.subject.set(input).files().zip(sha256.split(' '));
        let sources = sources
            .map(|(file, sha256)| FileRecord { path: file.path.display().to_string(), sha256: sha256.to_owned() });
        let mut sources: Vec<FileRecord> = sources.collect();
        let others = sources.split_off(1.min(sources.len()));
        let file = sources.pop().unwrap_or(FileRecord { path, sha256 });
        let (exports, conversions, samples, files) = (Vec::new(), current.conversions, current.samples, of_files);
        self.written.inputs.push(InputRecord {
            file,
            others,
            stem: self.other_stem(input),
            relevance,
            explained,
            ledger,
            at,
            exports,
            conversions,
            samples,
            files,
        });
        Ok(())
    }

    /// The start of the names of an input's results, where that is not the file's name without its extension.
    fn other_stem(&self, input: usize) -> Option<String> {
        let stem = self.subject.stem(input);
        (stem != files::stem(self.subject.set(input).path())).then_some(stem)
    }

    /// Says which samples of an input could not be explained.
    fn complain(&mut self, path: &str, failures: Vec<(usize, Error)>) {
        let more = failures.len().saturating_sub(COMPLAINTS);
        for (i, (sample, failure)) in failures.into_iter().enumerate() {
            let (path, reason) = (path.to_owned(), failure.to_string());
            self.written.failed.push(FailedRecord { path, sample: Some(sample), reason });
            if i < COMPLAINTS {
                self.events.failed(&failure);
            }
        }
        if more > 0 {
            self.events.more_failed(path, more);
        }
    }

    /// Refuses to write a file twice: the heatmap of `a.0.png`, and that of the first sample of `a.npy`.
    fn claim(&mut self, name: &str) -> Result<(), Error> {
        if self.claimed.insert(name.to_owned()) {
            return Ok(());
        }
        // There is no going on from here.
        if let Some(input) = self.current.as_ref().map(|current| current.input) {
            self.discard(input)?;
        }
        self.written.journal.end()?;
        let message = format!("two of the inputs would write '{name}'");
        Err(Error::user(message, "explain them into different folders, or rename one"))
    }

    /// The records of a piece's samples.
    fn records<T: Scalar>(
        &self,
        stems: &[Vec<Stems>],
        explained: &Explained<T>,
        failures: &[(usize, Error)],
    ) -> Vec<SampleRecord> {
        let record = |(outcome, stems): (&Outcome, &Stems)| {
            let (heatmap, heatmaps, maps) = self.heatmaps.records(stems);
            TargetRecord {
                class: outcome.class,
                label: outcome.label.clone(),
                place: outcome.place.clone(),
                explained: outcome.explained(),
                against: outcome.against,
                against_label: outcome.against_label.clone(),
                score: outcome.score,
                probability: outcome.probability,
                filtered: outcome.filtered,
                ledger: LedgerRecord { unexplained: outcome.unexplained, ..outcome.totals.into() },
                unbalanced: outcome.unbalanced.clone(),
                heatmap,
                heatmaps,
                maps,
            }
        };
        let score = |Largest { class, label, score, probability }: &Largest| ScoreRecord {
            class: *class,
            label: label.clone(),
            score: *score,
            probability: *probability,
        };
        let samples = explained.outcomes.iter().zip(stems).zip(&explained.top);
        samples
            .enumerate()
            .map(|(i, ((outcomes, stems), top))| SampleRecord {
                top: top.iter().map(score).collect(),
                targets: outcomes.iter().zip(stems).map(record).collect(),
                failed: failures.iter().find(|(sample, _)| *sample == i).map(|(_, failure)| failure.to_string()),
            })
            .collect()
    }

    fn saves(&self, what: Save) -> bool {
        self.job.output.save.contains(&what)
    }
}
