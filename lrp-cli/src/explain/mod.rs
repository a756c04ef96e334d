//! `lrp explain`, and the part of `lrp run` that does the same: relevance files, heatmaps and a manifest.
//!
//! Reading, computing and writing each have a thread, with short queues in between: inputs stream through, however many there are, and
//! no more than a few batches are in memory.

mod arrays;
mod compute;
mod export;
pub mod files;
mod fingerprint;
mod journal;
mod reader;
mod rows;
mod samples;
mod stats;
mod summary;
mod writer;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use lrp_config::Save;
use lrp_core::Scalar;
use ndarray_npy::{ReadableElement, WritableElement};

use self::compute::Computation;
use self::export::Run;
use self::fingerprint::Fingerprint;
use self::journal::{AllDone, Journal};
use self::reader::Reader;
pub use self::samples::explain_samples;
pub use self::stats::Stats;
use self::writer::{Subject, Writer};
use crate::diagnosis::Diagnosis;
use crate::drawing::Drawing;
use crate::failure::Failure;
use crate::fit::{self, Fit};
use crate::input;
use crate::job::{OutputJob, WhatJob};
use crate::layers::print_json;
use crate::manifest::{
    Expected, FileRecord, LayerRecord, LedgerNode, Manifest, Program, RecipeRecord, SCHEMA, Timings,
};
use crate::output::report as note;
use crate::report;
use crate::session::{Loaded, Prepared};
use crate::shares;
use crate::threads::none as no_thread;

/// So many batches wait between reading and computing, and again between computing and writing.
const WAITING: usize = 1;

/// Everything an explanation run is made of.
pub struct ExplainJob {
    pub what: WhatJob,
    pub output: OutputJob,
}

/// Runs the job in one number type.
pub fn run<T: Scalar + WritableElement + ReadableElement>(job: &ExplainJob) -> Result<(), Failure> {
    let started = Instant::now();
    let loaded = Loaded::<T>::new(&job.what.model)?;
    let prepared = Prepared::new(job.what.recipe.clone(), &loaded, job.what.how.on_unknown)?;
    let shape = loaded.input_shape()?.to_vec();
    loaded.check_memory()?;
    let targets = loaded.targets(&job.what.how.target, Some(&job.what.recipe))?;
    export::check(job, &targets, &shape)?;
    let drawing = match job.output.save.contains(&Save::Png) {
        true => Some(Drawing::new(&job.what, &job.output.look, &loaded.model, &shape)?),
        false => None,
    };
    let model = FileRecord::new(&loaded.path)?;
    loaded.print_notes();
    let mut notes = loaded.import.notes.clone();
    if let Some(drawn) = drawing.as_ref().and_then(|drawing| drawing.note(&shape)) {
        note(format_args!("note: {drawn}\n"));
        notes.push(drawn);
    }
    let mut warnings: Vec<_> = fit::unscaled(&job.what.inputs, &job.what.how.input, &loaded).into_iter().collect();
    // What is wrong with the output makes every map wrong; the rest of the recipe's warnings are for lrp check.
    warnings.extend(prepared.recipe.lint_output(&loaded.model).iter().map(Diagnosis::from));
    fit::print(&warnings);
    let dir = &job.output.dir;
    fs::create_dir_all(dir).map_err(|e| {
        Failure::user(format!("cannot make the folder '{}': {e}", dir.display()), "choose another one with -o")
    })?;
    let fingerprint = Fingerprint::new(job, &loaded, &model)?;
    let (journal, done) = match job.output.resume {
        true => Journal::resume(dir, fingerprint)?,
        false => (Journal::start(dir, fingerprint)?, AllDone::new()),
    };
    let mut timings = Timings { prepare: started.elapsed().as_secs_f64(), ..Timings::default() };

    let progress = progress_bar(&job.what.inputs);
    let (to_computation, from_reader) = sync_channel(WAITING);
    let (to_writer, from_computation) = sync_channel(WAITING);
    let reader = Reader::<T>::new(job, &shape, done, to_computation);
    let fit = Fit::new(&loaded, &prepared);
    let computation = Computation::new(&loaded, &prepared.plan, &targets, &job.what.how, fit, to_writer);
    let ledger = LedgerNode::list(&loaded.model);
    let subject = Subject { job, shape: &shape, targets: &targets, labels: &loaded.labels, nodes: ledger.len() };
    let writer = Writer::new(subject, drawing, &progress, journal);
    let written = thread::scope(|threads| {
        let thread = || thread::Builder::new();
        let reader = thread().spawn_scoped(threads, || reader.run()).map_err(|e| no_thread(&e))?;
        let writer = thread().spawn_scoped(threads, || writer.run(from_computation)).map_err(|e| no_thread(&e))?;
        let spent = computation.run(from_reader);
        timings.read = joined(reader);
        joined(writer).map(|written| (written, spent))
    });
    progress.finish_and_clear();
    let (mut written, spent) = written?;
    let started = Instant::now();
    let exports = Run { job, loaded: &loaded, model: &model, plan: &prepared.plan, shape: &shape };
    let exports = exports.export(&mut written.inputs)?;
    written.seconds += started.elapsed().as_secs_f64();
    timings.explain = spent.seconds;
    timings.write = written.seconds;

    let mut found = fit::converted(
        written.inputs.iter().map(|input| (input.file.path.as_str(), input.conversions.as_slice())),
        &job.what.how.input,
    );
    found.extend(spent.warnings);
    let outputs = written.inputs.iter().flat_map(|input| &input.samples).flat_map(|sample| &sample.targets);
    found.extend(shares::warnings(&prepared, outputs.map(|target| &target.ledger), &[]));
    fit::print(&found);
    warnings.append(&mut found);
    notes.extend(warnings.iter().map(|warning| format!("warning: {}", warning.line())));

    let failures = written.failed.len();
    let manifest = Manifest {
        schema: SCHEMA,
        program: Program::THIS,
        command: command(),
        model,
        recipe: RecipeRecord::new(&job.what.recipe),
        expects: Expected::new(&shape, &job.what.how.input),
        precision: T::NAME.into(),
        target: job.what.how.target.to_string(),
        start: match job.what.how.start {
            lrp_config::Start::Logit => "logit".into(),
            lrp_config::Start::One => "one".into(),
        },
        times_input: prepared.resolved.times_input,
        colormap: job.output.look.colormap.name().to_owned(),
        notes,
        layers: LayerRecord::list(&loaded.model, &prepared.resolved),
        ledger,
        inputs: written.inputs,
        exports,
        failed: written.failed,
        timings,
        stats: job.output.stats.then(|| Stats::new(&loaded.model, &prepared.resolved, &spent.profile)),
    };
    if job.output.save.contains(&Save::Json) {
        files::write(&dir.join(files::MANIFEST), |file| {
            serde_json::to_writer_pretty(&mut *file, &manifest)?;
            file.write_all(b"\n")
        })?;
    }
    written.journal.end()?;
    summary::warn_of_imbalance(&manifest.inputs);
    if job.output.json {
        print_json(&manifest)?;
    } else {
        summary::print(&manifest.inputs, &loaded, dir)?;
        manifest.stats.as_ref().map_or(Ok(()), Stats::print)?;
    }
    if job.output.save.contains(&Save::Html) {
        let made = report::of_folder(dir)?;
        if !job.output.json {
            made.print()?;
        }
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

/// The command line, as far as it is text.
fn command() -> Vec<String> {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(Program::THIS.name.into_owned()).chain(arguments).collect()
}

/// What a thread came to. Its panic is ours.
fn joined<R>(thread: thread::ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A progress bar on a terminal, nothing elsewhere.
fn progress_bar(inputs: &[PathBuf]) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} samples, {per_sec}, {eta} left");
    let progress = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    // To count them, every file has to be opened.
    if !progress.is_hidden() {
        progress.set_length(inputs.iter().map(|path| input::expected_samples(path) as u64).sum());
    }
    progress
}
