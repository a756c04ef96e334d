//! An explanation run: relevance files, heatmaps and a manifest.
//!
//! Reading, computing and writing each have a thread, with short queues in between: inputs stream through, however many there are, and
//! no more than a few batches are in memory.

mod arrays;
mod compute;
mod export;
mod facts;
mod folder;
mod heatmaps;
mod imbalance;
mod inside;
mod journal;
mod model;
mod reader;
mod rows;
mod subject;
mod writer;

use std::fs;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use lrp::fit::{self, Fit};
use lrp::numbers::typeset;
use lrp::{Diagnosis, Error, GivenInput, Loaded, Prepared, QuantizationError, TextError, Through, shares};
use lrp_config::{Input, Kind, Misfit, Save};
use lrp_core::file::Limit;
use lrp_core::{Model, Scalar};
use lrp_render::{Drawing, Tokens};
use ndarray_npy::{ReadableElement, WritableElement};

use self::compute::Computation;
use self::export::Run;
use self::folder::Start;
use self::inside::Inside;
use self::journal::AllDone;
use self::reader::Reader;
use self::subject::Subject;
use self::writer::Writer;
use crate::events::Events;
use crate::files;
use crate::guard::Guard;
use crate::input::{self, FileSet};
use crate::job::{ExplainJob, WhatJob};
use crate::lock::Lock;
use crate::manifest::{
    Expected, FailedRecord, FileRecord, LayerRecord, LedgerNode, Manifest, Program, RecipeRecord, SCHEMA, Stats,
    Timings,
};
use crate::report::{self, Made};
use crate::targets::Targets;

/// The number of batches that wait between reading and computing, and again between computing and writing.
const WAITING: usize = 1;

/// The end of a run.
pub enum Outcome {
    /// All inputs are explained, as far as they can be.
    Done(Box<Done>),
    /// There was nothing to do: an earlier run has written this manifest.
    Nothing(Box<Manifest>),
    /// It was told to stop; it can be resumed.
    Interrupted {
        /// Samples that are done.
        done: usize,
        /// All samples.
        of: usize,
    },
}

/// The results of a run.
pub struct Done {
    /// Everything about it; it is also a file, where that was asked for.
    pub manifest: Manifest,
    /// The report, or why there is none, where one was asked for.
    pub report: Option<Result<Made, Error>>,
    /// The number of inputs and samples that could not be explained, in words, if any.
    pub failures: Option<String>,
}

/// Runs the job in one number type, until all is done or `stop` is set.
///
/// # Errors
/// When the model, the recipe or the labels cannot be used; when the folder is held by another process, or has another run; when something
/// cannot be written; and when the only input cannot be explained.
pub fn run<T: Scalar + WritableElement + ReadableElement>(
    job: &ExplainJob,
    stop: &AtomicBool,
    events: &dyn Events,
) -> Result<Outcome, Error> {
    let started = Instant::now();
    let load = || job.what.model.load_recorded::<T>();
    let load = || match &job.what.model.tokenizer {
        Some(path) => FileRecord::around(path, Limit::TOKENIZER, load),
        None => Ok((None, load()?)),
    };
    let (labels, (tokenizer, (mut loaded, fixed))) = match &job.what.model.labels {
        Some(path) => FileRecord::around(path, Limit::LABELS, load)?,
        None => (None, load()?),
    };
    let prepared = Prepared::new(job.what.recipe.clone(), &loaded, job.what.how.on_unknown)?;
    // From here on, the files of each input are in the order of the model's inputs.
    let inputs = input::in_order(&job.what.inputs, &loaded.given)?;
    let job = &ExplainJob { what: WhatJob { inputs, ..job.what.clone() }, ..job.clone() };
    loaded.check_memory()?;
    let (how, recipe) = (&job.what.how, &job.what.recipe);
    let targets = Targets::new(&loaded, how, Some(recipe), &job.what.inputs)?;
    let through = through(&job.what, &loaded.model)?;
    let inside = Inside::new(&job.output.at, &loaded.model, recipe)?;
    export::check(job, targets.general(), &loaded.given)?;
    let draw = || drawings(job, &loaded);
    let (tokens, drawings) = match &job.what.how.input.tokens {
        Some(path) => FileRecord::around(path, Limit::TOKENS, draw)?,
        None => (None, draw()?),
    };
    let guard = Guard::new()
        .with_model(&loaded)
        .with_recipe(&job.what.recipe)
        .with("the labels", job.what.model.labels.as_ref())
        .with("the tokens", job.what.how.input.tokens.as_ref())
        .with("the tokenizer", job.what.model.tokenizer.as_ref())
        .with("a target", targets.files().iter().map(|file| &file.path))
        .with("a fixed input", fixed.iter().filter_map(|fixed| fixed.file.as_ref()).map(|file| &file.path))
        .with("an input", job.what.inputs.iter().flat_map(FileSet::files).map(|file| &file.path));
    folder::check(&guard, job)?;
    loaded.notes().for_each(|note| events.note(&note));
    let mut notes = loaded.import.notes.clone();
    for (drawing, input) in drawings.iter().zip(loaded.given.explained()) {
        // Inputs of one shape have the same note.
        let Some(drawn) = drawing.note(&input.shape).filter(|note| !notes.contains(note)) else { continue };
        events.note(&drawn);
        notes.push(drawn);
    }
    let has_images = job.what.inputs.iter().any(FileSet::has_images);
    let mut warnings: Vec<_> = fit::unscaled(has_images, &job.what.how.input, &loaded).into_iter().collect();
    // A wrong output makes every map wrong; the rest of the recipe's warnings are for lrp check.
    warnings.extend(prepared.recipe.lint_output(&loaded.model).iter().map(Diagnosis::from));
    warnings.iter().for_each(|warning| events.warning(warning));
    let dir = &job.output.dir;
    fs::create_dir_all(dir).map_err(|e| {
        Error::user(format!("cannot make the folder '{}': {e}", dir.display()), "choose another one with -o")
    })?;
    let lock = Lock::hold(dir, events)?;
    let (model, watch) = model::identify(std::mem::take(&mut loaded.files))?;
    let fingerprint =
        facts::fingerprint(job, &loaded, &model, (tokens.as_ref(), tokenizer.as_ref()), &fixed, (&targets, &inside))?;
    let (journal, done): (_, AllDone) = match folder::start((job, &loaded.given), &guard, &fingerprint, events)? {
        Start::Run(journal, done) => (journal, done),
        Start::NothingToDo(manifest) => return Ok(Outcome::Nothing(manifest)),
    };
    if let Some(note) = folder::shortened(&job.what.inputs) {
        events.note(&note);
    }
    events.started(&|| input::count(&job.what.inputs, &loaded.given));
    let mut timings = Timings { prepare: started.elapsed().as_secs_f64(), ..Timings::default() };

    let (to_computation, from_reader) = sync_channel(WAITING);
    let (to_writer, from_computation) = sync_channel(WAITING);
    let fit = Fit::new(&loaded, &prepared);
    let computation = Computation::new(
        &loaded,
        &prepared.plan,
        (&targets, &inside.ids, through.as_ref()),
        how,
        (fit, &watch, stop),
        to_writer,
    );
    let ledger = LedgerNode::list(&loaded.model, through.as_ref().map(|through| through.node));
    let subject = Subject {
        job,
        given: &loaded.given,
        texts: loaded.texts.as_deref(),
        targets: targets.general(),
        inside: &inside.records,
        nodes: ledger.len(),
    };
    let reader = Reader::<T>::new(subject, done, to_computation, stop);
    let writer = Writer::new(subject, drawings, events, journal);
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
        events.note(&format!(
            "{samples} sample{plural} explained again: '{input}', or what was made of it, is not what the journal says"
        ));
    }
    let (mut written, mut spent) = written?;
    if let Some(failure) = spent.failure.take() {
        return Err(failure);
    }
    if stop.load(Ordering::Relaxed) && written.inputs.len() + failed_inputs(&written.failed) < job.what.inputs.len() {
        written.journal.sync()?;
        return Ok(Outcome::Interrupted { done: written.done, of: input::count(&job.what.inputs, &loaded.given) });
    }
    events.finishing();
    let started = Instant::now();
    let several = subject.several();
    let exports = Run {
        job,
        loaded: &loaded,
        model: &model,
        plan: &prepared.plan,
        given: &loaded.given,
        several,
        inside: &inside.records,
    };
    let exports = exports.export(&mut written.inputs)?;
    written.seconds += started.elapsed().as_secs_f64();
    timings.explain = spent.seconds;
    timings.write = written.seconds;

    watch.check()?;
    if let Some(note) = spent.rounding.as_ref().map(rounding_note) {
        events.note(&note);
        notes.push(note);
    }
    let mut found = fit::converted(
        written.inputs.iter().map(|input| (input.file.path.as_str(), input.conversions.as_slice())),
        &job.what.how.input,
    );
    found.extend(spent.warnings);
    let outputs = written.inputs.iter().flat_map(|input| &input.samples).flat_map(|sample| &sample.targets);
    found.extend(shares::warnings(&prepared, outputs.map(|target| (&target.ledger).into()), &[]));
    found.iter().for_each(|warning| events.warning(warning));
    warnings.append(&mut found);
    notes.extend(warnings.iter().map(|warning| format!("warning: {}", warning.line())));

    let failures = failures(&written.failed, job.what.inputs.len());
    let manifest = Manifest {
        schema: SCHEMA,
        program: Program::THIS,
        command: job.command.clone(),
        fingerprint,
        model,
        output: loaded.import.output_name.clone(),
        labels,
        tokens,
        tokenizer,
        recipe: RecipeRecord::new(&job.what.recipe),
        fixed,
        expects: Expected::new(&loaded.given, &job.what.how.input),
        precision: T::NAME.into(),
        target: job.what.how.target.to_string(),
        target_files: targets.files().to_vec(),
        start: how.start_in_words().into(),
        times_input: prepared.resolved.times_input,
        rounding: spent.rounding.take().and_then(Result::ok),
        colormap: job.output.look.colormap.name().to_owned(),
        notes,
        layers: LayerRecord::list(&loaded.model, &prepared.resolved),
        ledger,
        at: inside.records,
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
    imbalance::warnings(&manifest.inputs).iter().for_each(|warning| events.warning(warning));
    let report = job.output.save.contains(&Save::Html).then(|| report::of_folder(dir, events));
    folder::warn_of_others(job, &manifest, events);
    drop(lock);
    Ok(Outcome::Done(Box::new(Done { manifest, report, failures })))
}

/// The difference that rounding makes, in a sentence.
fn rounding_note(measured: &Result<QuantizationError, String>) -> String {
    let QuantizationError { samples, relative_l2, same_argmax, argmax_of } = match measured {
        Ok(error) => error,
        Err(why) => {
            return format!("how much rounding changes the output is not known: the file cannot be read so ({why})");
        }
    };
    let of = if *samples == 1 { "one sample".to_owned() } else { format!("{samples} samples") };
    let argmax = match (same_argmax, argmax_of) {
        (Some(same), Some(all)) if same == all => "; the largest output is the same".to_owned(),
        (Some(same), Some(all)) => format!("; the largest output is the same in {same} of {all} cases"),
        _ => String::new(),
    };
    let percent = typeset(100.0 * relative_l2);
    format!(
        "the output differs from that of the quantized forward pass by {percent} % (relative L2 norm, {of}){argmax}"
    )
}

/// The node inside the network where the walk starts, if it does.
fn through<T: Scalar>(what: &WhatJob, model: &Model<T>) -> Result<Option<Through>, Error> {
    let Some(at) = &what.how.start_at else { return Ok(None) };
    let node =
        at.node(model).map_err(|Misfit { message, help }| match what.recipe.explain().start_at() == Some(at) {
            true => what.recipe.diagnose_key("explain.start", &message, &help, None).into(),
            false => Error::user(message, help),
        })?;
    Ok(Some(Through { node, channels: at.channels.clone() }))
}

/// The drawing of heatmaps of each explained input, if they are written.
fn drawings<T: Scalar>(job: &ExplainJob, loaded: &Loaded<T>) -> Result<Vec<Drawing>, Error> {
    if job.output.formats().next().is_none() {
        return Ok(Vec::new());
    }
    let (tokens, expected) = (tokens(&job.what)?, &job.what.how.input);
    let has_tables = job.what.inputs.iter().any(FileSet::has_tables);
    let new = |expected: &Input, tokens: Option<Tokens>, input: &GivenInput| {
        // A list of ids is a text, unless the recipe says otherwise.
        let ids = input.shape.len() == 1 && matches!(input.dtype.as_str(), "int32" | "int64");
        let kind = expected.kind.or(ids.then_some(Kind::Tokens));
        let expected = Input { kind, ..expected.clone() };
        Drawing::new(&expected, tokens, has_tables, &job.output.look, &loaded.model, &input.shape)
    };
    let explained: Vec<&GivenInput> = loaded.given.explained().collect();
    if let [only] = explained.as_slice() {
        return Ok(vec![new(expected, tokens, only)?]);
    }
    // Of several inputs, some have the kind that the recipe states.
    let by_itself = Input { kind: None, ..expected.clone() };
    let each = explained.into_iter();
    each.map(|input| new(expected, tokens.clone(), input).or_else(|_| new(&by_itself, None, input))).collect()
}

/// The texts of the tokens, if there are any.
fn tokens(what: &WhatJob) -> Result<Option<Tokens>, Error> {
    match (&what.how.input.tokens, what.inputs.as_slice()) {
        (None, _) => Ok(None),
        (Some(file), _) if what.model.tokenizer.is_some() => Err(TextError::TwoTexts { file: file.clone() }.into()),
        (Some(path), [_]) => input::tokens(path).map(Some),
        (Some(path), inputs) => {
            let message = format!("'{}' has the tokens of one input, and {} are given", path.display(), inputs.len());
            Err(Error::user(message, "explain the inputs one by one, or put their samples into one .npy"))
        }
    }
}

/// No thread can be started.
pub fn no_thread(error: &io::Error) -> Error {
    let help = "the limit of threads or memory is reached: end other programs, or raise it (ulimit -u, ulimit -v)";
    Error::user(format!("no thread can be started: {error}"), help)
}

/// The inputs of which nothing could be explained.
fn failed_inputs(failed: &[FailedRecord]) -> usize {
    failed.iter().filter(|failed| failed.sample.is_none()).count()
}

/// The final message if some inputs could not be explained.
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

/// The result of a thread. Its panic is propagated.
fn joined<R>(thread: thread::ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
