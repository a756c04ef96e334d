//! The report of a folder, from the manifest, the arrays and the inputs.
//!
//! A run makes it when all else is written, and [`report`] later: both from the same files, so they are the same, byte for byte.

mod arrays;
mod inputs;
mod page;
mod view;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use lrp::{Error, Given};
use lrp_core::file::{self, Limit};
use lrp_report::{Sample, Target, Writer, Written};
use serde::Serialize;

use self::arrays::Arrays;
use self::inputs::{Inputs, Opened};
use self::view::{Shares, View};
use crate::events::Events;
use crate::files;
use crate::guard::Guard;
use crate::lock::Lock;
use crate::manifest::{FileRecord, InputRecord, InsideRecord, Manifest, SCHEMA};

pub use lrp_report::Limits;

/// A report that was made.
#[derive(Debug, Serialize)]
pub struct Made {
    /// The file.
    pub report: String,
    /// The number of samples that it shows.
    pub samples: usize,
    /// The number of all samples.
    pub of: usize,
    /// Its size.
    pub bytes: u64,
    /// Omissions in the samples that it shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// Makes the report of a folder that `lrp explain` has written to, inside of it or in the file `out`. Inputs that are no longer where they
/// were are looked for in `folders`.
///
/// # Errors
/// When another process holds the folder, when results cannot be read, and when the report cannot be written.
pub fn report(
    dir: &Path,
    out: Option<&Path>,
    folders: &[PathBuf],
    limits: Limits,
    events: &dyn Events,
) -> Result<Made, Error> {
    // A folder that cannot be written to is written to by nobody.
    let _lock = match dir.is_dir().then(|| Lock::hold(dir, events)) {
        Some(Err(error)) if out.is_none() || matches!(error, Error::InUse(_)) => return Err(error),
        lock => lock,
    };
    let inside = || dir.join(files::REPORT);
    make(dir, &out.map_or_else(inside, Path::to_path_buf), folders, limits, events)
}

/// The report of a folder that is held already.
///
/// # Errors
/// As [`report`].
pub(crate) fn of_folder(dir: &Path, events: &dyn Events) -> Result<Made, Error> {
    make(dir, &dir.join(files::REPORT), &[], Limits::default(), events)
}

fn make(dir: &Path, out: &Path, folders: &[PathBuf], limits: Limits, events: &dyn Events) -> Result<Made, Error> {
    let manifest = read(dir)?;
    guard(&manifest, dir, folders).check(out)?;
    let given = manifest.expects.given();
    let (shares, view) = Shares::of(&given);
    let stages = page::stages(&manifest, view.shape);
    if let Some(note) = verify(&manifest, &stages, dir)? {
        events.note(&note);
    }
    let mut report = page::report(&manifest, view.shape);
    report.samples *= shares.count();
    let texts = manifest.tokenizer.as_ref().and_then(|record| inputs::reader(record, &given));
    let mut inputs = Inputs::new(folders, &manifest.expects, &given, texts.as_ref());

    let unwritable = |e: &dyn std::fmt::Display| files::unwritable(out, e);
    if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|e| unwritable(&e))?;
    }
    let file = BufWriter::new(files::create(out)?);
    let writer = Writer::new(file, &report, limits).map_err(|e| unwritable(&e))?;
    let written = fill(writer, dir, (&manifest, &given, &stages), (&view, shares), &mut inputs, out);
    // Half a report is none.
    let Written { samples, bytes, left_out } = written.inspect_err(|_| drop(files::remove(&files::unfinished(out))))?;
    files::finish(out)?;
    if let Some(note) = inputs.note() {
        events.note(&note);
    }
    Ok(Made { report: out.display().to_string(), samples, of: report.samples, bytes, left_out })
}

/// Writes the samples, and the end.
fn fill(
    mut writer: Writer<BufWriter<File>>,
    dir: &Path,
    (manifest, given, stages): (&Manifest, &Given, &[(usize, &InsideRecord)]),
    (view, shares): (&View, Shares),
    inputs: &mut Inputs<'_>,
    out: &Path,
) -> Result<Written, Error> {
    for record in &manifest.inputs {
        if !writer.has_room() {
            break;
        }
        let mut input = inputs.open(record);
        let mut arrays = Arrays::open(dir, record, given, (manifest.ledger.len(), stages))?;
        for i in 0..record.samples.len() {
            if !writer.has_room() {
                break;
            }
            if record.samples.get(i).is_some_and(|sample| sample.failed.is_some()) {
                input.skip();
                continue;
            }
            for sample in samples((record, given), i, &mut input, &mut arrays, (view, shares))? {
                if writer.has_room() {
                    writer.add(&sample).map_err(|e| files::unwritable(out, &e))?;
                }
            }
        }
    }
    writer.finish().map_err(|e| files::unwritable(out, &e))
}

/// One sample: its explained inputs together, or each.
fn samples(
    (record, given): (&InputRecord, &Given),
    i: usize,
    input: &mut Opened<'_>,
    arrays: &mut Arrays,
    (view, shares): (&View, Shares),
) -> Result<Vec<Sample>, Error> {
    let stem = record.stem();
    let of = &record.samples[i];
    let mut targets: Vec<Vec<Target>> = vec![Vec::new(); shares.count()];
    for (k, target) in of.targets.iter().enumerate() {
        let of_inputs = arrays.relevance(k, i)?;
        let of_shares = match shares {
            Shares::All => vec![of_inputs.concat()],
            Shares::Each(_) => of_inputs,
        };
        let (ledger, stages) = (arrays.ledger(k, i)?, arrays.stages(k, i)?);
        // Without arrays, there is no relevance.
        let of_shares = of_shares.into_iter().chain(std::iter::repeat(Vec::new()));
        for (targets, relevance) in targets.iter_mut().zip(of_shares) {
            targets.push(Target {
                title: target.explained(),
                // Classes at a place are no outputs of the whole, which the largest ones are.
                class: target.class.filter(|_| target.place.is_none()),
                against: target.against,
                score: target.score,
                probability: target.probability,
                totals: page::totals(&target.ledger),
                relevance: view.arranged(relevance),
                stages: stages.clone(),
                ledger: ledger.clone(),
            });
        }
    }
    let name = if record.samples.len() > 1 { format!("{stem} [{i}]") } else { stem };
    let names: Vec<String> = match shares {
        Shares::All => vec![name],
        Shares::Each(_) => given.explained().map(|input| format!("{name}, {}", input.name)).collect(),
    };
    let each = names.into_iter().zip(input.next(view, shares)).zip(targets);
    let sample = |((name, input), targets)| Sample { name, input, top: page::scores(&of.top), targets };
    Ok(each.map(sample).collect())
}

/// The sources of the report.
fn guard(manifest: &Manifest, dir: &Path, folders: &[PathBuf]) -> Guard {
    let inputs = || manifest.inputs.iter().flat_map(InputRecord::sources).map(|file| Path::new(&file.path));
    let moved =
        inputs().filter_map(Path::file_name).flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let named = |file: &FileRecord| PathBuf::from(&file.path);
    Guard::new()
        .with("the manifest", [dir.join(files::MANIFEST)])
        .with("the model", [named(&manifest.model.file)])
        .with("the model's weights", manifest.model.external.iter().map(named))
        .with("the recipe", manifest.recipe.sources.iter().map(|source| named(&source.file)))
        .with("the labels", manifest.labels.as_ref().map(named))
        .with("the tokens", manifest.tokens.as_ref().map(named))
        .with("the tokenizer", manifest.tokenizer.as_ref().map(named))
        .with("a target", manifest.target_files.iter().map(named))
        .with("a fixed input", manifest.fixed.iter().filter_map(|fixed| fixed.file.as_ref()).map(named))
        .with("an input", inputs().map(Path::to_path_buf).chain(moved))
        .with("a result", manifest.results().filter_map(|file| files::within(dir, &file.path)))
}

/// Checks that results are unchanged. Files that the report does not read may have changed, which gives a note, or be gone.
fn verify(manifest: &Manifest, stages: &[(usize, &InsideRecord)], dir: &Path) -> Result<Option<String>, Error> {
    let arrays: HashSet<&String> = manifest
        .inputs
        .iter()
        .flat_map(|input| {
            let of_stages = stages.iter().filter_map(|(number, _)| input.at.get(*number));
            input.relevance_files().chain(&input.ledger).chain(of_stages)
        })
        .collect();
    let mut others = Vec::new();
    for file in manifest.results() {
        // Whoever opens a file that is missing says so.
        if files::state(dir, file) == files::State::Changed {
            if arrays.contains(&file.path) {
                let path = dir.join(&file.path);
                let message =
                    format!("'{}' is not what was written: its SHA-256 is not that of the manifest", path.display());
                return Err(Error::user(message, "explain the inputs again, or bring back the file"));
            }
            others.push(&file.path);
        }
    }
    Ok(others.first().map(|first| {
        let more = if others.len() > 1 { format!(", and {} more", others.len() - 1) } else { String::new() };
        format!(
            "'{first}'{more} in '{}' is not what was written: its SHA-256 is not that of the manifest",
            dir.display()
        )
    }))
}

/// Reads the manifest of a folder.
fn read(dir: &Path) -> Result<Manifest, Error> {
    let path = dir.join(files::MANIFEST);
    let shown = path.display();
    let text = file::read(&path, Limit::RECORD).map_err(|e| {
        let help = "give a folder that lrp explain has written to, with npy and json under --save";
        Error::user(format!("cannot read '{shown}': {e}"), help)
    })?;
    let again = "explain the inputs again, with --save html";
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|e| Error::user(format!("'{shown}' is no manifest of lrp explain: {e}"), again))?;
    if manifest.schema != SCHEMA {
        let message = format!("'{shown}' has the format {}, and this version reads {SCHEMA}", manifest.schema);
        return Err(Error::user(message, "use the version of lrp that has written it"));
    }
    if manifest.expects.shape.is_empty() && !manifest.inputs.is_empty() {
        let message = format!("'{shown}' does not say what shape samples have: an earlier version has written it");
        return Err(Error::user(message, again));
    }
    Ok(manifest)
}
