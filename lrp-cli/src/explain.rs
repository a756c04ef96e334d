//! `lrp explain`, and the part of `lrp run` that does the same: relevance files, heatmaps and a manifest.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use lrp_config::Save;
use lrp_core::ledger::Totals;
use lrp_core::{Plan, Scalar, Target, Tensor};
use ndarray::{Axis, Slice};
use ndarray_npy::WritableElement;

use crate::failure::Failure;
use crate::figure::short;
use crate::heatmap::Heatmap;
use crate::input::{self, InputFile};
use crate::job::{HowJob, OutputJob, WhatJob};
use crate::layers::print_json;
use crate::manifest::{
    FailedRecord, FileRecord, InputRecord, LayerRecord, Manifest, Program, RecipeRecord, SampleRecord, TargetRecord,
    Timings,
};
use crate::output::say;
use crate::session::{Loaded, Prepared, RELEVANCE, forward_failure};
use crate::table;

/// Above this many samples the summary is not printed sample by sample.
const SUMMARY: usize = 40;

/// Everything an explanation run is made of.
pub struct ExplainJob {
    pub what: WhatJob,
    pub output: OutputJob,
}

/// The explanations of the samples of one file, for every target.
pub struct Explained<T: Scalar> {
    /// Relevance per target, `[n, …]` each.
    pub relevance: Vec<Tensor<T>>,
    /// Per sample, per target.
    pub outcomes: Vec<Vec<Outcome>>,
}

/// What was explained in one sample, and where its relevance went.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub class: usize,
    pub against: Option<usize>,
    pub score: f64,
    pub totals: Totals,
}

/// Explains samples `[n, …]` in batches.
pub fn explain_samples<T: Scalar>(
    plan: &Plan<T>,
    x: &Tensor<T>,
    targets: &[Target],
    how: &HowJob,
) -> Result<Explained<T>, lrp_core::Error> {
    let n = lrp_core::tensor::samples(x);
    let mut relevance: Vec<Vec<Tensor<T>>> = vec![Vec::new(); targets.len()];
    let mut outcomes = vec![Vec::new(); n];
    for first in (0..n).step_by(how.batch) {
        let batch = x.slice_axis(Axis(0), Slice::from(first..n.min(first + how.batch))).to_owned();
        let record = plan.record(&batch)?;
        for (target, parts) in targets.iter().zip(&mut relevance) {
            let mut explanation = record.explain(target, how.start.into())?;
            check_finite(explanation.input_relevance(), first)?;
            let classes = target.classes(record.output())?;
            for (i, class) in classes.into_iter().enumerate() {
                let scores = record.output().index_axis(Axis(0), i);
                outcomes[first + i].push(Outcome {
                    class,
                    against: if let Target::Contrast(_, other) = target { Some(*other) } else { None },
                    score: scores.iter().nth(class).map_or(f64::NAN, |s| s.wide()),
                    totals: explanation.ledger.totals(i),
                });
            }
            parts.push(explanation.relevance.swap_remove(0));
        }
    }
    let join = |parts: Vec<Tensor<T>>| {
        let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
        ndarray::concatenate(Axis(0), &views).unwrap_or_else(|_| lrp_core::tensor::empty())
    };
    Ok(Explained { relevance: relevance.into_iter().map(join).collect(), outcomes })
}

/// Relevance that overflowed is no explanation. `first` is the number of the batch's first sample.
fn check_finite<T: Scalar>(relevance: &Tensor<T>, first: usize) -> Result<(), lrp_core::Error> {
    let broken = relevance.outer_iter().position(|sample| sample.iter().any(|r| !r.is_finite()));
    broken.map_or(Ok(()), |i| Err(lrp_core::Error::NotFinite { place: RELEVANCE.into(), sample: first + i }))
}

/// Runs the job in one number type.
pub fn run<T: Scalar + WritableElement>(job: &ExplainJob) -> Result<(), Failure> {
    let started = Instant::now();
    let loaded = Loaded::<T>::new(&job.what.model)?;
    let prepared = Prepared::new(job.what.recipe.clone(), &loaded, job.what.how.on_unknown)?;
    let shape = loaded.input_shape()?.to_vec();
    let targets = loaded.targets(&job.what.how.target)?;
    loaded.print_notes();
    let dir = &job.output.dir;
    fs::create_dir_all(dir).map_err(|e| {
        Failure::user(format!("cannot make the folder '{}': {e}", dir.display()), "choose another one with -o")
    })?;

    let mut run = Run {
        job,
        loaded: &loaded,
        plan: &prepared.plan,
        targets,
        records: Vec::new(),
        failed: Vec::new(),
        timings: Timings { prepare: started.elapsed().as_secs_f64(), ..Timings::default() },
        written: BTreeSet::new(),
    };
    let progress = progress_bar(job.what.inputs.len());
    let mut waiting: Vec<InputFile<T>> = Vec::new();
    let mut count = 0;
    for path in &job.what.inputs {
        let started = Instant::now();
        let read = input::read::<T>(path, &shape, &job.what.how.input);
        run.timings.read += started.elapsed().as_secs_f64();
        match read {
            Ok(file) => {
                count += lrp_core::tensor::samples(&file.samples);
                waiting.push(file);
            }
            Err(failure) if job.what.inputs.len() == 1 => return Err(failure),
            Err(failure) => run.fail(path, failure),
        }
        if count >= job.what.how.batch {
            run.explain(std::mem::take(&mut waiting))?;
            count = 0;
        }
        progress.inc(1);
    }
    run.explain(waiting)?;
    progress.finish_and_clear();

    let Run { records, failed, timings, .. } = run;
    let failures = failed.len();
    let manifest = Manifest {
        schema: 1,
        program: Program::THIS,
        model: FileRecord::new(&loaded.path)?,
        recipe: RecipeRecord::new(&job.what.recipe),
        precision: T::NAME,
        target: job.what.how.target.to_string(),
        start: match job.what.how.start {
            lrp_config::Start::Logit => "logit",
            lrp_config::Start::One => "one",
        },
        times_input: prepared.resolved.times_input,
        notes: loaded.import.notes.clone(),
        layers: LayerRecord::list(&loaded.model, &prepared.resolved),
        inputs: records,
        failed,
        timings,
    };
    if job.output.save.contains(&Save::Json) {
        let text = serde_json::to_string_pretty(&manifest).map_err(|e| Failure::Internal(e.to_string()))?;
        write(&dir.join("manifest.json"), |path| fs::write(path, text + "\n").map_err(|e| e.to_string()))?;
    }
    if job.output.json {
        print_json(&manifest)?;
    } else {
        print_summary(&manifest.inputs, &loaded, dir)?;
    }
    match failures {
        0 => Ok(()),
        n => Err(Failure::user(
            format!("{n} of {} inputs could not be explained; the others were", job.what.inputs.len()),
            match job.output.save.contains(&Save::Json) {
                true => "the reasons are above, and under \"failed\" in manifest.json",
                false => "the reasons are above",
            },
        )),
    }
}

/// A run in progress.
struct Run<'a, T: Scalar> {
    job: &'a ExplainJob,
    loaded: &'a Loaded<T>,
    plan: &'a Plan<T>,
    targets: Vec<Target>,
    records: Vec<InputRecord>,
    failed: Vec<FailedRecord>,
    timings: Timings,
    /// Names of the files that were written.
    written: BTreeSet<String>,
}

impl<T: Scalar + WritableElement> Run<'_, T> {
    /// Keeps going after an input that cannot be explained: finished work is not lost.
    fn fail(&mut self, path: &Path, failure: Failure) {
        let reason = failure.to_string();
        failure.report();
        self.failed.push(FailedRecord { path: path.display().to_string(), reason });
    }

    /// Explains files together, and each alone where that fails.
    fn explain(&mut self, files: Vec<InputFile<T>>) -> Result<(), Failure> {
        let views: Vec<_> = files.iter().map(|f| f.samples.view()).collect();
        let Ok(all) = ndarray::concatenate(Axis(0), &views) else { return Ok(()) };
        let started = Instant::now();
        let explained = explain_samples(self.plan, &all, &self.targets, &self.job.what.how);
        self.timings.explain += started.elapsed().as_secs_f64();
        match explained {
            Ok(explained) => {
                let mut first = 0;
                for file in files {
                    let last = first + lrp_core::tensor::samples(&file.samples);
                    let part = |r: &Tensor<T>| r.slice_axis(Axis(0), Slice::from(first..last)).to_owned();
                    let part = Explained {
                        relevance: explained.relevance.iter().map(part).collect(),
                        outcomes: explained.outcomes[first..last].to_vec(),
                    };
                    let started = Instant::now();
                    let record = self.write(&file, part)?;
                    self.timings.write += started.elapsed().as_secs_f64();
                    self.records.push(record);
                    first = last;
                }
                Ok(())
            }
            Err(error) if self.job.what.inputs.len() == 1 => Err(forward_failure(&error)),
            Err(error) => {
                if let [file] = files.as_slice() {
                    self.fail(&file.path, forward_failure(&error));
                    return Ok(());
                }
                files.into_iter().try_for_each(|file| self.explain(vec![file]))
            }
        }
    }

    /// Refuses to write a file twice: the heatmap of `a.0.png`, and that of the first sample of `a.npy`.
    fn claim(&mut self, name: &str) -> Result<(), Failure> {
        if self.written.insert(name.to_owned()) {
            return Ok(());
        }
        let message = format!("two of the inputs would write '{name}'");
        Err(Failure::user(message, "explain them into different folders, or rename one"))
    }

    /// Writes the results of one file.
    fn write(&mut self, file: &InputFile<T>, explained: Explained<T>) -> Result<InputRecord, Failure> {
        let job = self.job;
        let (dir, save) = (&job.output.dir, &job.output.save);
        let several = self.targets.len() > 1
            || matches!(self.job.what.how.target, lrp_config::Target::All | lrp_config::Target::Top(_));
        let relevance = save.contains(&Save::Npy).then(|| format!("{}.relevance.npy", file.stem));
        if let Some(name) = &relevance {
            let views: Vec<_> = explained.relevance.iter().map(|r| r.view()).collect();
            let stacked = match (several, explained.relevance.first()) {
                (false, Some(only)) => only.clone(),
                _ => ndarray::stack(Axis(0), &views).map_err(|e| Failure::Internal(e.to_string()))?,
            };
            write(&dir.join(name), |path| ndarray_npy::write_npy(path, &stacked).map_err(|e| e.to_string()))?;
        }
        let n = explained.outcomes.len();
        let mut samples = Vec::new();
        for (i, outcomes) in explained.outcomes.iter().enumerate() {
            let mut targets = Vec::new();
            for (k, outcome) in outcomes.iter().enumerate() {
                let mut heatmap = None;
                if save.contains(&Save::Png)
                    && let Some(map) = Heatmap::new(explained.relevance[k].index_axis(Axis(0), i))
                {
                    let sample = if n > 1 { format!(".{i}") } else { String::new() };
                    let target = match (several, self.targets[k]) {
                        (false, _) => String::new(),
                        (true, Target::Rank(rank)) => format!(".top-{}", rank + 1),
                        (true, _) => format!(".class-{}", outcome.class),
                    };
                    let name = format!("{}{sample}{target}.heatmap.png", file.stem);
                    self.claim(&name)?;
                    let picture = map.picture(self.job.output.colormap);
                    write(&dir.join(&name), |path| picture.save(path).map_err(|e| e.to_string()))?;
                    heatmap = Some(name);
                }
                targets.push(TargetRecord {
                    class: outcome.class,
                    label: self.loaded.labels.get(outcome.class).cloned(),
                    against: outcome.against,
                    score: outcome.score,
                    ledger: outcome.totals.into(),
                    heatmap,
                });
            }
            samples.push(SampleRecord { targets });
        }
        Ok(InputRecord { file: FileRecord::new(&file.path)?, relevance, samples })
    }
}

/// One line for each sample, unless there are too many.
fn print_summary<T: Scalar>(records: &[InputRecord], loaded: &Loaded<T>, dir: &Path) -> Result<(), Failure> {
    let samples: usize = records.iter().map(|r| r.samples.len()).sum();
    if samples <= SUMMARY {
        let headings = ["input", "target", "score", "relevance", "bias", "stabilizer", "rule"];
        let mut table = table::table(&headings, &headings[2..]);
        for record in records {
            for (i, sample) in record.samples.iter().enumerate() {
                let name = input::stem(Path::new(&record.file.path));
                let name = if record.samples.len() > 1 { format!("{name} [{i}]") } else { name };
                for target in &sample.targets {
                    let against = target.against.map(|c| format!(" − {}", loaded.label(c))).unwrap_or_default();
                    let [relevance, bias, stabilizer, rule] = target.ledger.shares().map(short);
                    table.add_row([
                        name.clone(),
                        format!("{}{against}", loaded.label(target.class)),
                        short(target.score),
                        relevance,
                        bias,
                        stabilizer,
                        rule,
                    ]);
                }
            }
        }
        table::print(&table)?;
    }
    let plural = if samples == 1 { "" } else { "s" };
    say!("{samples} sample{plural} explained into {}", input::shown(dir))
}

/// Writes a file, naming it where that fails.
fn write(path: &Path, write: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), Failure> {
    write(path).map_err(|e| {
        Failure::user(
            format!("cannot write '{}': {e}", path.display()),
            "check the folder's permissions and the free space",
        )
    })
}

/// A progress bar on a terminal, nothing elsewhere.
fn progress_bar(inputs: usize) -> ProgressBar {
    if inputs < 2 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} inputs, {per_sec}, {eta} left");
    ProgressBar::new(inputs as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
