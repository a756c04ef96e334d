//! `lrp report`, and what `lrp explain --save html` does when all else is written: a report from the manifest, the arrays and the inputs.
//!
//! Both come from the same files, so they are the same, byte for byte.

mod arrays;
mod inputs;
mod page;
mod view;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use indicatif::DecimalBytes;
use lrp_core::file::{self, Limit};
use lrp_report::{Limits, Sample, Target, Writer, Written};
use serde::Serialize;

use self::arrays::Arrays;
use self::inputs::{Inputs, Opened};
use self::view::View;
use crate::args::ReportArgs;
use crate::explain::{Lock, files};
use crate::failure::Failure;
use crate::guard::Guard;
use crate::input;
use crate::layers::print_json;
use crate::manifest::{InputRecord, Manifest, SCHEMA};
use crate::output::{report as note, say};

/// A report that was made.
#[derive(Serialize)]
pub struct Made {
    /// The file.
    report: String,
    /// How many samples it shows.
    samples: usize,
    /// How many there are.
    of: usize,
    /// Its size.
    bytes: u64,
    /// What it leaves out of the samples that it shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
}

/// `lrp report`.
pub fn report(args: &ReportArgs) -> Result<(), Failure> {
    let defaults = Limits::default();
    let limits = Limits {
        samples: args.max_samples.unwrap_or(defaults.samples),
        bytes: args.max_size.map_or(defaults.bytes, |megabytes| u64::from(megabytes) * 1_000_000),
    };
    let out = args.out.clone().unwrap_or_else(|| args.dir.join(files::REPORT));
    // A folder that cannot be written to is written to by nobody.
    let is_inside = args.out.is_none();
    let _lock = match args.dir.is_dir().then(|| Lock::hold(&args.dir)) {
        Some(Err(failure)) if is_inside || failure.to_string().contains("is in use") => return Err(failure),
        lock => lock,
    };
    let made = make(&args.dir, &out, &args.inputs, limits)?;
    if args.listing.json { print_json(&made) } else { made.print() }
}

/// Makes the report of a folder that `lrp explain` has written to.
///
/// # Errors
/// When what it is made from cannot be read, or it cannot be written.
pub fn of_folder(dir: &Path) -> Result<Made, Failure> {
    make(dir, &dir.join(files::REPORT), &[], Limits::default())
}

impl Made {
    /// Says where it is.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print(&self) -> Result<(), Failure> {
        let of = if self.samples < self.of { format!("{} of {}", self.samples, self.of) } else { self.of.to_string() };
        let plural = if self.of == 1 { "" } else { "s" };
        say!("{}: {of} sample{plural}, {}", input::shown(Path::new(&self.report)), DecimalBytes(self.bytes))?;
        if self.samples < self.of {
            note(format_args!(
                "note: the report shows the first {} samples, so that it stays small enough to open; the others are in the folder. \
                 lrp report sets other limits with --max-samples and --max-size\n",
                self.samples
            ));
        }
        if !self.left_out.is_empty() {
            note(format_args!(
                "note: so that the report stays small, {}; the arrays in the folder have everything\n",
                self.left_out.join("; ")
            ));
        }
        Ok(())
    }
}

fn make(dir: &Path, out: &Path, folders: &[PathBuf], limits: Limits) -> Result<Made, Failure> {
    let manifest = read(dir)?;
    guard(&manifest, dir, folders).check(out)?;
    verify(&manifest, dir)?;
    let view = View::of(&manifest.expects.shape);
    let report = page::report(&manifest, view.shape);
    let mut inputs = Inputs::new(folders, &manifest.expects);

    let unwritable = |e: &dyn std::fmt::Display| files::unwritable(out, e);
    if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|e| unwritable(&e))?;
    }
    let file = BufWriter::new(files::create(out)?);
    let writer = Writer::new(file, &report, limits).map_err(|e| unwritable(&e))?;
    let written = fill(writer, dir, &manifest, &view, &mut inputs, out);
    // What is half a report is none.
    let Written { samples, bytes, left_out } = written.inspect_err(|_| drop(files::remove(&files::unfinished(out))))?;
    files::finish(out)?;
    inputs.print_notes();
    Ok(Made { report: out.display().to_string(), samples, of: report.samples, bytes, left_out })
}

/// Writes the samples, and the end.
fn fill(
    mut writer: Writer<BufWriter<File>>,
    dir: &Path,
    manifest: &Manifest,
    view: &View,
    inputs: &mut Inputs<'_>,
    out: &Path,
) -> Result<Written, Failure> {
    for record in &manifest.inputs {
        if !writer.has_room() {
            break;
        }
        let mut input = inputs.open(record);
        let mut arrays = Arrays::open(dir, record, &manifest.expects.shape, manifest.ledger.len())?;
        for i in 0..record.samples.len() {
            if !writer.has_room() {
                break;
            }
            if record.samples.get(i).is_some_and(|sample| sample.failed.is_some()) {
                input.skip();
                continue;
            }
            let sample = sample(record, i, &mut input, &mut arrays, view)?;
            writer.add(&sample).map_err(|e| files::unwritable(out, &e))?;
        }
    }
    writer.finish().map_err(|e| files::unwritable(out, &e))
}

/// What is to be said of one sample.
fn sample(
    record: &InputRecord,
    i: usize,
    input: &mut Opened,
    arrays: &mut Arrays,
    view: &View,
) -> Result<Sample, Failure> {
    let stem = input::stem(Path::new(&record.file.path));
    let of = &record.samples[i];
    let mut targets = Vec::new();
    for (k, target) in of.targets.iter().enumerate() {
        targets.push(Target {
            title: page::title(target),
            class: target.class,
            against: target.against,
            score: target.score,
            probability: target.probability,
            totals: page::totals(&target.ledger),
            relevance: view.arranged(arrays.relevance(k, i)?),
            ledger: arrays.ledger(k, i)?,
        });
    }
    Ok(Sample {
        name: if record.samples.len() > 1 { format!("{stem} [{i}]") } else { stem },
        input: input.next(view),
        top: page::scores(&of.top),
        targets,
    })
}

/// What the report is made from.
fn guard(manifest: &Manifest, dir: &Path, folders: &[PathBuf]) -> Guard {
    let inputs = || manifest.inputs.iter().map(|input| Path::new(&input.file.path));
    let moved =
        inputs().filter_map(Path::file_name).flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let named = |file: &crate::manifest::FileRecord| PathBuf::from(&file.path);
    Guard::new()
        .with("the manifest", [dir.join(files::MANIFEST)])
        .with("the model", [named(&manifest.model.file)])
        .with("the model's weights", manifest.model.external.iter().map(named))
        .with("the recipe", manifest.recipe.sources.iter().map(|source| named(&source.file)))
        .with("the labels", manifest.labels.as_ref().map(named))
        .with("the tokens", manifest.tokens.as_ref().map(named))
        .with("an input", inputs().map(Path::to_path_buf).chain(moved))
        .with("a result", manifest.results().filter_map(|file| files::inside(dir, &file.path)))
}

/// Checks that results are what was written. What the report is not made from may have changed, or be gone.
fn verify(manifest: &Manifest, dir: &Path) -> Result<(), Failure> {
    let arrays: HashSet<&String> =
        manifest.inputs.iter().flat_map(|input| [&input.relevance, &input.ledger]).flatten().collect();
    let mut others = Vec::new();
    for file in manifest.results() {
        // Whoever opens a file that is missing says so.
        if files::state(dir, file) == files::State::Changed {
            if arrays.contains(&file.path) {
                let path = dir.join(&file.path);
                let message =
                    format!("'{}' is not what was written: its SHA-256 is not that of the manifest", path.display());
                return Err(Failure::user(message, "explain the inputs again, or bring back the file"));
            }
            others.push(&file.path);
        }
    }
    if let Some(first) = others.first() {
        let more = if others.len() > 1 { format!(", and {} more", others.len() - 1) } else { String::new() };
        note(format_args!(
            "note: '{first}'{more} in '{}' is not what was written: its SHA-256 is not that of the manifest\n",
            dir.display()
        ));
    }
    Ok(())
}

/// Reads the manifest of a folder.
fn read(dir: &Path) -> Result<Manifest, Failure> {
    let path = dir.join(files::MANIFEST);
    let shown = path.display();
    let text = file::read(&path, Limit::RECORD).map_err(|e| {
        let help = "give a folder that lrp explain has written to, with npy and json under --save";
        Failure::user(format!("cannot read '{shown}': {e}"), help)
    })?;
    let again = "explain the inputs again, with --save html";
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|e| Failure::user(format!("'{shown}' is no manifest of lrp explain: {e}"), again))?;
    if manifest.schema != SCHEMA {
        let message = format!("'{shown}' has the format {}, and this version reads {SCHEMA}", manifest.schema);
        return Err(Failure::user(message, "use the version of lrp that has written it"));
    }
    if manifest.expects.shape.is_empty() && !manifest.inputs.is_empty() {
        let message = format!("'{shown}' does not say what shape samples have: an earlier version has written it");
        return Err(Failure::user(message, again));
    }
    Ok(manifest)
}
