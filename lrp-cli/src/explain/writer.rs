//! The writing end: explanations become files, lines of the journal, and records of the manifest.

use std::collections::HashSet;
use std::io::Write;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use image::ImageFormat;
use indicatif::ProgressBar;
use lrp_config::{Save, Target as Wanted};
use lrp_core::{Scalar, Target, Tensor};
use ndarray::Axis;
use ndarray_npy::WritableElement;
use rayon::prelude::*;

use super::arrays::{Arrays, ArraysOf};
use super::compute::Computed;
use super::journal::{Done, Entry, Journal};
use super::reader::Place;
use super::samples::{Explained, Largest, Outcome};
use super::{ExplainJob, files};
use crate::drawing::Drawing;
use crate::failure::Failure;
use crate::input;
use crate::manifest::{FailedRecord, FileRecord, InputRecord, SampleRecord, ScoreRecord, TargetRecord};

/// What is explained.
pub struct Subject<'a> {
    pub job: &'a ExplainJob,
    /// The shape of a sample.
    pub shape: &'a [usize],
    pub targets: &'a [Target],
    pub labels: &'a [String],
    /// The rows of a ledger.
    pub nodes: usize,
}

/// Writes the results of all inputs, in their order.
pub struct Writer<'a> {
    job: &'a ExplainJob,
    /// The shape of a sample.
    shape: &'a [usize],
    targets: &'a [Target],
    labels: &'a [String],
    /// The rows of a ledger.
    nodes: usize,
    /// How heatmaps are drawn, if they are.
    drawing: Option<Drawing>,
    progress: &'a ProgressBar,
    /// The input whose samples are arriving.
    current: Option<Current>,
    /// Names of the heatmaps that were written.
    heatmaps: HashSet<String>,
    written: Written,
}

/// What there is when all is written.
pub struct Written {
    pub journal: Journal,
    pub inputs: Vec<InputRecord>,
    pub failed: Vec<FailedRecord>,
    pub seconds: f64,
}

/// An input that is not complete.
struct Current {
    input: usize,
    of: usize,
    arrays: Option<Arrays>,
    /// What was changed in an image.
    conversions: Vec<String>,
    samples: Vec<SampleRecord>,
}

impl<'a> Writer<'a> {
    /// A writer that goes on with this journal.
    pub fn new(subject: Subject<'a>, drawing: Option<Drawing>, progress: &'a ProgressBar, journal: Journal) -> Self {
        let Subject { job, shape, targets, labels, nodes } = subject;
        let written = Written { journal, inputs: Vec::new(), failed: Vec::new(), seconds: 0.0 };
        Self { job, shape, targets, labels, nodes, drawing, progress, current: None, heatmaps: HashSet::new(), written }
    }

    /// Writes what comes.
    ///
    /// # Errors
    /// When something cannot be written, and when the only input cannot be explained.
    pub fn run<T: Scalar + WritableElement>(mut self, from: Receiver<Computed<T>>) -> Result<Written, Failure> {
        for computed in from {
            let started = Instant::now();
            match computed {
                Computed::Piece(place, explained, samples) => self.write(place, &explained, &samples)?,
                Computed::Done(input, done) => self.go_on::<T>(input, done)?,
                Computed::Failed(input, failure) => self.fail(input, failure)?,
            }
            self.written.seconds += started.elapsed().as_secs_f64();
        }
        Ok(self.written)
    }

    /// Keeps going after an input that cannot be explained: finished work is not lost.
    fn fail(&mut self, input: usize, failure: Failure) -> Result<(), Failure> {
        self.discard(input)?;
        if self.job.what.inputs.len() == 1 {
            self.written.journal.end()?;
            return Err(failure);
        }
        let reason = failure.to_string();
        self.progress.suspend(|| failure.draw());
        self.written.failed.push(FailedRecord { path: self.path(input), reason });
        Ok(())
    }

    /// Removes what has been written of an input.
    fn discard(&mut self, input: usize) -> Result<(), Failure> {
        let Some(current) = self.current.take_if(|current| current.input == input) else { return Ok(()) };
        self.written.journal.take_back(&self.path(input))?;
        current.arrays.map_or(Ok(()), Arrays::discard)?;
        let heatmaps = current.samples.into_iter().flat_map(|s| s.targets).filter_map(|target| target.heatmap);
        heatmaps.into_iter().try_for_each(|name| {
            files::remove(&self.job.output.dir.join(files::as_html(&name)))?;
            files::remove(&self.job.output.dir.join(name))
        })
    }

    /// Takes over what an earlier run has done of an input.
    fn go_on<T: Scalar>(&mut self, input: usize, done: Done) -> Result<(), Failure> {
        let names: Vec<String> =
            done.samples.iter().flat_map(|s| &s.targets).filter_map(|target| target.heatmap.clone()).collect();
        names.iter().try_for_each(|name| self.claim(name))?;
        self.progress.inc(done.samples.len() as u64);
        self.progress.reset_eta();
        // The program may have been killed when all was written, and the files had not got their names.
        let arrays = self.arrays(input, done.of).map(|arrays| arrays.reopen::<T>()).transpose()?.flatten();
        let Done { of, conversions, samples, .. } = done;
        self.current = Some(Current { input, of, arrays, conversions, samples });
        self.finish(done.sha256)
    }

    /// Writes the results of a piece.
    fn write<T: Scalar + WritableElement>(
        &mut self,
        place: Place,
        explained: &Explained<T>,
        samples: &Tensor<T>,
    ) -> Result<(), Failure> {
        let Place { input, first, of, .. } = place;
        let path = self.path(input);
        if self.current.is_none() {
            // The file that is made now has nothing of what the journal may tell of.
            self.written.journal.take_back(&path)?;
            let arrays = self.arrays(input, of).map(|arrays| arrays.create::<T>()).transpose()?;
            let conversions = place.conversions.clone();
            self.current = Some(Current { input, of, arrays, conversions, samples: Vec::new() });
        }
        let names = self.heatmaps(&place, explained, samples)?;
        let samples = self.records(names, explained);
        if let Some(arrays) = self.current.as_mut().and_then(|current| current.arrays.as_mut()) {
            arrays.write(first, explained)?;
        }
        let Place { sha256, conversions, .. } = place;
        let entry = Entry { path, first, of, sha256, conversions, samples };
        self.written.journal.add(&entry)?;
        self.progress.inc(entry.samples.len() as u64);
        if let Some(current) = &mut self.current {
            current.samples.extend(entry.samples);
        }
        self.finish(entry.sha256)
    }

    /// Whether all samples of the current input are written; then its files are complete, and its record.
    fn finish(&mut self, sha256: String) -> Result<(), Failure> {
        let Some(current) = self.current.take_if(|current| current.samples.len() == current.of) else { return Ok(()) };
        let path = self.path(current.input);
        let array = |name: fn(&str) -> String| self.saves(Save::Npy).then(|| name(&self.stem(current.input)));
        let (relevance, ledger) = (array(files::relevance), array(files::ledger));
        let file = FileRecord { path, sha256 };
        let exports = Vec::new();
        let Current { arrays, conversions, samples, .. } = current;
        arrays.map_or(Ok(()), Arrays::finish)?;
        self.written.inputs.push(InputRecord { file, relevance, ledger, exports, conversions, samples });
        Ok(())
    }

    /// Writes the heatmaps of a piece; gives their names, per sample, per target.
    fn heatmaps<T: Scalar>(
        &mut self,
        place: &Place,
        explained: &Explained<T>,
        samples: &Tensor<T>,
    ) -> Result<Vec<Vec<Option<String>>>, Failure> {
        let name = |i: usize, k: usize| {
            self.drawing.is_some().then(|| self.heatmap(place, i, k, explained.outcomes[i][k].class))
        };
        let names = |(i, outcomes): (usize, &Vec<Outcome>)| (0..outcomes.len()).map(|k| name(i, k)).collect();
        let names: Vec<Vec<Option<String>>> = explained.outcomes.iter().enumerate().map(names).collect();
        names.iter().flatten().flatten().try_for_each(|name| self.claim(name))?;
        let (dir, Some(drawing)) = (&self.job.output.dir, &self.drawing) else { return Ok(names) };
        names.par_iter().enumerate().try_for_each(|(i, names)| {
            let sample = samples.index_axis(Axis(0), i);
            names.iter().zip(&explained.relevance).try_for_each(|(name, relevance)| {
                let Some(name) = name else { return Ok(()) };
                let relevance = relevance.index_axis(Axis(0), i);
                let drawn = drawing.draw(place.first + i, sample.view(), relevance)?;
                files::write(&dir.join(name), |file| drawn.picture.write_to(file, ImageFormat::Png))?;
                match drawn.html {
                    Some(html) => files::write(&dir.join(files::as_html(name)), |file| file.write_all(html.as_bytes())),
                    None => Ok(()),
                }
            })
        })?;
        Ok(names)
    }

    /// The name of a heatmap: of the sample `i` of a piece, and target `k`.
    fn heatmap(&self, place: &Place, i: usize, k: usize, class: usize) -> String {
        let sample = if place.of > 1 { format!(".{}", place.first + i) } else { String::new() };
        let target = match (self.several(), self.targets[k]) {
            (false, _) => String::new(),
            (true, Target::Rank(rank)) => format!(".top-{}", rank + 1),
            (true, _) => format!(".class-{class}"),
        };
        format!("{}{sample}{target}.heatmap.png", self.stem(place.input))
    }

    /// Refuses to write a file twice: the heatmap of `a.0.png`, and that of the first sample of `a.npy`.
    fn claim(&mut self, name: &str) -> Result<(), Failure> {
        if self.heatmaps.insert(name.to_owned()) {
            return Ok(());
        }
        // There is no going on from here.
        if let Some(input) = self.current.as_ref().map(|current| current.input) {
            self.discard(input)?;
        }
        self.written.journal.end()?;
        let message = format!("two of the inputs would write '{name}'");
        Err(Failure::user(message, "explain them into different folders, or rename one"))
    }

    /// The records of a piece's samples.
    fn records<T: Scalar>(&self, names: Vec<Vec<Option<String>>>, explained: &Explained<T>) -> Vec<SampleRecord> {
        let record = |(outcome, heatmap): (&Outcome, Option<String>)| TargetRecord {
            class: outcome.class,
            label: self.labels.get(outcome.class).cloned(),
            against: outcome.against,
            against_label: outcome.against.and_then(|other| self.labels.get(other).cloned()),
            score: outcome.score,
            probability: outcome.probability,
            ledger: outcome.totals.into(),
            unbalanced: outcome.unbalanced.clone(),
            heatmap,
        };
        let score = |&Largest { class, score, probability }: &Largest| ScoreRecord {
            class,
            label: self.labels.get(class).cloned(),
            score,
            probability,
        };
        let samples = explained.outcomes.iter().zip(names).zip(&explained.top);
        samples
            .map(|((outcomes, names), top)| SampleRecord {
                top: top.iter().map(score).collect(),
                targets: outcomes.iter().zip(names).map(record).collect(),
            })
            .collect()
    }

    fn path(&self, input: usize) -> String {
        self.job.what.inputs[input].display().to_string()
    }

    fn stem(&self, input: usize) -> String {
        input::stem(&self.job.what.inputs[input])
    }

    fn saves(&self, what: Save) -> bool {
        self.job.output.save.contains(&what)
    }

    /// Whether targets have an axis of their own.
    fn several(&self) -> bool {
        self.targets.len() > 1 || matches!(self.job.what.how.target, Wanted::All | Wanted::Top(_))
    }

    /// The arrays of an input, if there are to be any.
    fn arrays(&self, input: usize, samples: usize) -> Option<ArraysOf<'_>> {
        self.job.output.keeps_relevance().then(|| ArraysOf {
            dir: &self.job.output.dir,
            stem: self.stem(input),
            targets: self.several().then_some(self.targets.len()),
            samples,
            sample: self.shape,
            nodes: self.nodes,
        })
    }
}
