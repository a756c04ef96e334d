//! `lrp explain`, and the part of `lrp run` that does the same: relevance files, heatmaps and a manifest.
//!
//! Reading, computing and writing each have a thread, with short queues in between: inputs stream through, however many there are, and
//! no more than a few batches are in memory.

mod arrays;
mod compute;
mod export;
pub mod files;
mod fingerprint;
mod folder;
mod journal;
mod lock;
mod model;
mod progress;
mod reader;
mod rows;
mod samples;
mod stats;
mod summary;
mod writer;

use std::fs;
use std::io::Write;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use lrp_config::Save;
use lrp_core::Scalar;
use lrp_core::file::Limit;
use ndarray_npy::{ReadableElement, WritableElement};

use self::compute::Computation;
use self::export::Run;
pub use self::fingerprint::Fingerprint;
use self::folder::Start;
use self::journal::AllDone;
pub use self::lock::Lock;
use self::reader::Reader;
pub use self::samples::explain_samples;
pub use self::stats::Stats;
use self::writer::{Subject, Writer};
use crate::diagnosis::Diagnosis;
use crate::drawing::Drawing;
use crate::failure::Failure;
use crate::fit::{self, Fit};
use crate::guard::Guard;
use crate::job::{OutputJob, WhatJob};
use crate::layers::print_json;
use crate::manifest::{
    Expected, FailedRecord, FileRecord, LayerRecord, LedgerNode, Manifest, Program, RecipeRecord, SCHEMA, Timings,
};
use crate::output::{report as note, say};
use crate::report;
use crate::session::{Loaded, Prepared};
use crate::shares;
use crate::threads::none as no_thread;
use crate::{input, interrupt};

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
    let load = || Loaded::<T>::new(&job.what.model);
    let (labels, mut loaded) = match &job.what.model.labels {
        Some(path) => FileRecord::around(path, Limit::LABELS, load)?,
        None => (None, load()?),
    };
    let prepared = Prepared::new(job.what.recipe.clone(), &loaded, job.what.how.on_unknown)?;
    let shape = loaded.input_shape()?.to_vec();
    loaded.check_memory()?;
    let targets = loaded.targets(&job.what.how.target, Some(&job.what.recipe))?;
    export::check(job, &targets, &shape)?;
    let draw = || match job.output.save.contains(&Save::Png) {
        true => Drawing::new(&job.what, &job.output.look, &loaded.model, &shape).map(Some),
        false => Ok(None),
    };
    let (tokens, drawing) = match &job.what.how.input.tokens {
        Some(path) => FileRecord::around(path, Limit::TOKENS, draw)?,
        None => (None, draw()?),
    };
    let guard = Guard::new()
        .with_model(&loaded)
        .with_recipe(&job.what.recipe)
        .with("the labels", job.what.model.labels.as_ref())
        .with_tokens(&job.what.how)
        .with("an input", &job.what.inputs);
    folder::check(&guard, job)?;
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
    let lock = Lock::hold(dir)?;
    let (model, watch) = model::identify(std::mem::take(&mut loaded.files))?;
    let fingerprint = Fingerprint::new(job, &loaded, &model, tokens.as_ref())?;
    let (journal, done): (_, AllDone) = match folder::start(job, &guard, &fingerprint)? {
        Start::Run(journal, done) => (journal, done),
        Start::NothingToDo(manifest) => {
            let samples: usize = manifest.inputs.iter().map(|input| input.samples.len()).sum();
            let plural = if samples == 1 { "" } else { "s" };
            return match job.output.json {
                true => print_json(&manifest),
                false => say!("nothing to do: {samples} sample{plural} explained into {} before", input::shown(dir)),
            };
        }
    };
    folder::print_shortened(&job.what.inputs);
    interrupt::listen();
    let mut timings = Timings { prepare: started.elapsed().as_secs_f64(), ..Timings::default() };

    let progress = progress::bar(&job.what.inputs);
    let (to_computation, from_reader) = sync_channel(WAITING);
    let (to_writer, from_computation) = sync_channel(WAITING);
    let fit = Fit::new(&loaded, &prepared);
    let computation = Computation::new(&loaded, &prepared.plan, &targets, &job.what.how, (fit, &watch), to_writer);
    let ledger = LedgerNode::list(&loaded.model);
    let subject = Subject { job, shape: &shape, targets: &targets, labels: &loaded.labels, nodes: ledger.len() };
    let reader = Reader::<T>::new(subject, done, to_computation);
    let writer = Writer::new(subject, drawing, &progress, journal);
    let mut again = reader::Again::default();
    let written = thread::scope(|threads| {
        let thread = || thread::Builder::new();
        let reader = thread().spawn_scoped(threads, || reader.run()).map_err(|e| no_thread(&e))?;
        let writer = thread().spawn_scoped(threads, || writer.run(from_computation)).map_err(|e| no_thread(&e))?;
        let spent = computation.run(from_reader);
        let reading = joined(reader);
        timings.read = reading.seconds;
        again = reading.again;
        joined(writer).map(|written| (written, spent))
    });
    if let (samples @ 1.., Some(input)) = (again.samples, &again.input) {
        let plural = if samples == 1 { " is" } else { "s are" };
        progress.suspend(|| {
            note(format_args!(
                "note: {samples} sample{plural} explained again: '{input}', or what was made of it, is not what the journal says\n"
            ));
        });
    }
    let (mut written, mut spent) = written.inspect_err(|_| progress.finish_and_clear())?;
    if let Some(failure) = spent.failure.take() {
        progress.finish_and_clear();
        return Err(failure);
    }
    if interrupt::requested() && written.inputs.len() + failed_inputs(&written.failed) < job.what.inputs.len() {
        progress.finish_and_clear();
        written.journal.sync()?;
        let (done, all) = (written.done, progress::count(&job.what.inputs));
        return Err(Failure::Interrupted(format!("interrupted: {done} of {all} samples done; go on with --resume")));
    }
    progress::say(&progress, "writing manifest, exports and report");
    let started = Instant::now();
    let exports = Run { job, loaded: &loaded, model: &model, plan: &prepared.plan, shape: &shape };
    let exports = exports.export(&mut written.inputs)?;
    written.seconds += started.elapsed().as_secs_f64();
    timings.explain = spent.seconds;
    timings.write = written.seconds;

    watch.check()?;
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

    let failures = failures(&written.failed, job.what.inputs.len());
    let manifest = Manifest {
        schema: SCHEMA,
        program: Program::THIS,
        command: command(),
        fingerprint,
        model,
        labels,
        tokens,
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
        exports: exports.iter().map(|file| file.path.clone()).collect(),
        files: exports,
        failed: written.failed,
        timings,
        stats: job.output.stats.then(|| Stats::new(&loaded.model, &prepared.resolved, &spent.profile)),
    };
    if job.output.save.contains(&Save::Json) {
        files::write(&dir.join(files::MANIFEST), |file| {
            serde_json::to_writer_pretty(&mut *file, &manifest)?;
            file.write_all(b"\n")?;
            file.flush()?;
            file.get_ref().sync_all()?;
            Ok::<(), std::io::Error>(())
        })?;
    }
    written.journal.end()?;
    summary::warn_of_imbalance(&manifest.inputs);
    let html = job.output.save.contains(&Save::Html);
    let made = if html { Some(report::of_folder(dir)) } else { None };
    progress.finish_and_clear();
    folder::warn_of_others(job, &manifest);
    drop(lock);
    if job.output.json {
        print_json(&manifest)?;
    } else {
        summary::print(&manifest.inputs, &loaded, dir)?;
        manifest.stats.as_ref().map_or(Ok(()), Stats::print)?;
    }
    if let Some(made) = made.transpose()?
        && !job.output.json
    {
        made.print()?;
    }
    match failures {
        None => Ok(()),
        Some(message) => Err(Failure::user(
            message,
            match job.output.save.contains(&Save::Json) {
                true => "the reasons are above, and under \"failed\" in manifest.json",
                false => "the reasons are above",
            },
        )),
    }
}

/// The inputs of which nothing could be explained.
fn failed_inputs(failed: &[FailedRecord]) -> usize {
    failed.iter().filter(|failed| failed.sample.is_none()).count()
}

/// What is said in the end where not everything could be explained.
fn failures(failed: &[FailedRecord], of: usize) -> Option<String> {
    let inputs = failed_inputs(failed);
    let samples = failed.len() - inputs;
    let whole = (inputs > 0).then(|| format!("{inputs} of {of} inputs"));
    let single = (samples > 0).then(|| match (samples, inputs > 0) {
        (1, false) => "1 sample".to_owned(),
        (1, true) => "1 sample of another one".to_owned(),
        (n, false) => format!("{n} samples"),
        (n, true) => format!("{n} samples of others"),
    });
    let what: Vec<String> = whole.into_iter().chain(single).collect();
    (!what.is_empty()).then(|| format!("{} could not be explained; the others were", what.join(" and ")))
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
