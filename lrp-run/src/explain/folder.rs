//! The output folder before and after a run: results of an earlier run are not lost by accident, nor mistaken for results of this one.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use lrp::{Diagnosis, Error, Given};
use lrp_config::Save;

use super::journal::{AllDone, Journal};
use crate::events::Events;
use crate::files;
use crate::guard::Guard;
use crate::hash;
use crate::input::{self, FileSet};
use crate::job::ExplainJob;
use crate::manifest::Fingerprint;
use crate::manifest::{FileRecord, InputRecord, Manifest};

/// The start of a run.
pub enum Start {
    /// With this journal, and the finished samples.
    Run(Journal, AllDone),
    /// Not at all: all is done.
    NothingToDo(Box<Manifest>),
}

/// Refuses to write over input files, before anything is written.
///
/// # Errors
/// When a file of the folder that this run may write is one of its inputs.
pub fn check(guard: &Guard, job: &ExplainJob) -> Result<(), Error> {
    let output = &job.output;
    for name in [files::MANIFEST, files::JOURNAL, files::REPORT, files::QUANTUS] {
        guard.check(&output.dir.join(name))?;
    }
    let stems: HashSet<String> = job.what.inputs.iter().map(files::stem_of).collect();
    for folder in [output.dir.clone(), output.dir.join(files::VIRELAY)] {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = name.strip_suffix(".part").unwrap_or(&name);
            let may_write = match folder == output.dir {
                true => {
                    saves(&output.save, name)
                        && starts_of(name).any(|stem| stems.contains(stem) && files::is_result_of(stem, name))
                }
                false => output.save.contains(&Save::Virelay),
            };
            if may_write {
                guard.check(&folder.join(name))?;
            }
        }
    }
    Ok(())
}

/// Whether a run that saves this writes results with names like that. Relevance is also written to make others from.
fn saves(save: &[Save], name: &str) -> bool {
    let (png, svg) = (save.contains(&Save::Png), save.contains(&Save::Svg));
    let pictures = [(".heatmap.png", png), (".heatmap.svg", svg), (".heatmap.html", png || svg)];
    let saved = pictures.into_iter().find(|(ending, _)| name.ends_with(ending)).is_none_or(|(_, saved)| saved);
    files::is_result(name) && saved
}

/// The stems that a result of this name can have: the part before one of its dots.
fn starts_of(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').filter_map(|(dot, _)| name.get(..dot))
}

/// Decides how a run begins in the folder, and clears the way: a run that has not come to its end has no manifest.
///
/// # Errors
/// When a run was interrupted there and neither `--resume` nor `--force` is given; when another run is to be resumed; and when a file
/// cannot be removed.
pub fn start(
    (job, given): (&ExplainJob, &Given),
    guard: &Guard,
    fingerprint: &Fingerprint,
    events: &dyn Events,
) -> Result<Start, Error> {
    let output = &job.output;
    let dir = &output.dir;
    let (manifest, journal) = (dir.join(files::MANIFEST), dir.join(files::JOURNAL));
    if output.resume {
        if let Some((journal, done)) = Journal::resume(dir, fingerprint)? {
            files::remove(&manifest)?;
            return Ok(Start::Run(journal, done));
        }
        match finished(job, fingerprint)? {
            Ok(manifest) => return Ok(Start::NothingToDo(manifest)),
            Err(why) => events.note(&format!("no interrupted run found ({why}); explaining all samples")),
        }
    } else {
        let done = Journal::of_interrupted(dir);
        let samples: usize = done.values().map(|done| done.samples.len()).sum();
        if output.force {
            remove_earlier(job, guard, &done)?;
        } else if samples > 0 {
            let of = input::count(&job.what.inputs, given).max(samples);
            return Err(Error::user(
                format!("a run into '{}' was interrupted: {samples} of {of} samples are done", dir.display()),
                format!("--resume goes on with it, --force starts anew ('{}')", journal.display()),
            ));
        }
    }
    files::remove(&manifest)?;
    Ok(Start::Run(Journal::start(dir, fingerprint.clone())?, AllDone::new()))
}

/// The manifest of a folder, if there is one that can be read.
fn manifest(job: &ExplainJob) -> Option<Manifest> {
    serde_json::from_slice(&fs::read(job.output.dir.join(files::MANIFEST)).ok()?).ok()
}

/// The manifest of a finished run that was this one, or why there is none.
fn finished(job: &ExplainJob, fingerprint: &Fingerprint) -> Result<Result<Box<Manifest>, String>, Error> {
    let dir = &job.output.dir;
    let Some(manifest) = manifest(job) else {
        return Ok(Err(format!("'{}' has no journal and no manifest", dir.display())));
    };
    if manifest.fingerprint == Fingerprint::default() {
        return Ok(Err("an earlier version has written the manifest".to_owned()));
    }
    let differences = manifest.fingerprint.differences(fingerprint);
    if !differences.is_empty() {
        return Err(Error::user(
            format!("'{}' has another, finished run: what differs is {}", dir.display(), differences.join(", ")),
            "choose another folder with -o, or start anew with --force",
        ));
    }
    let paths = job.what.inputs.iter().flat_map(FileSet::files).map(|file| file.path.display().to_string());
    let recorded = manifest.inputs.iter().flat_map(InputRecord::sources).map(|file| file.path.clone());
    if !manifest.failed.is_empty() || !paths.eq(recorded) {
        return Ok(Err(
            "the run that is finished there is about other inputs, or could not explain all of them".to_owned()
        ));
    }
    let files = job.what.inputs.iter().flat_map(FileSet::files);
    for (file, record) in files.zip(manifest.inputs.iter().flat_map(InputRecord::sources)) {
        if !hash::of_file(&file.path).is_ok_and(|sha256| sha256 == record.sha256) {
            return Ok(Err(format!("'{}' has changed since the run was finished", file.path.display())));
        }
    }
    let changed = manifest.results().find(|file| files::state(dir, file) != files::State::Same);
    if let Some(file) = changed {
        return Ok(Err(format!("'{}' is not what the finished run has written", file.path)));
    }
    Ok(Ok(Box::new(manifest)))
}

/// Removes the results that an earlier run has recorded, finished or not.
fn remove_earlier(job: &ExplainJob, guard: &Guard, done: &AllDone) -> Result<(), Error> {
    let dir = &job.output.dir;
    let recorded = manifest(job);
    let results = recorded.iter().flat_map(Manifest::results).map(|file: &FileRecord| file.path.clone());
    let heatmaps = done.values().flat_map(|done| &done.batches).flat_map(|batch| &batch.files);
    let parts = done.values().flat_map(|done| files::arrays_in(dir, &done.stem));
    let report = recorded.as_ref().map(|_| files::REPORT.to_owned());
    for name in results.chain(heatmaps.map(|file| file.path.clone())).chain(parts).chain(report) {
        // Names in a folder from elsewhere may be those of anything.
        let known = files::is_result(name.strip_suffix(".part").unwrap_or(&name))
            || [files::QUANTUS, files::REPORT].contains(&name.as_str())
            || name.starts_with(files::VIRELAY);
        if let Some(path) = files::within(dir, &name).filter(|path| known && guard.find(path).is_none()) {
            files::remove(&path)?;
        }
    }
    Ok(())
}

/// Warns of results in the folder that are not of this run.
pub fn warn_of_others(job: &ExplainJob, manifest: &Manifest, events: &dyn Events) {
    let own: HashSet<&str> = manifest.results().map(|file| file.path.as_str()).collect();
    let inputs = job.what.inputs.iter().flat_map(FileSet::files);
    let inputs: HashSet<PathBuf> = inputs.filter_map(|file| file.path.canonicalize().ok()).collect();
    let Ok(entries) = fs::read_dir(&job.output.dir) else { return };
    let report_is_old = !job.output.save.contains(&Save::Html);
    let mut others: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let complete = name.strip_suffix(".part").unwrap_or(&name);
            let kind = files::is_result(complete)
                || complete == files::QUANTUS
                || (complete == files::REPORT && report_is_old);
            let is_input = || entry.path().canonicalize().is_ok_and(|path| inputs.contains(&path));
            (kind && !own.contains(name.as_str()) && !is_input()).then_some(name)
        })
        .collect();
    others.sort();
    let Some(first) = others.first() else { return };
    let (count, are) = match others.len() {
        1 => ("1 file".to_owned(), "is"),
        n => (format!("{n} files"), "are"),
    };
    events.warning(&Diagnosis::remark(format!(
        "{count} in '{}' {are} not of this run, such as '{first}': use a folder for each run, or --force, which removes the \
         results of the run before",
        job.output.dir.display(),
    )));
}

/// A note that results are named otherwise than their inputs, where they are.
pub fn shortened(inputs: &[FileSet]) -> Option<String> {
    let mut shortened = inputs.iter().filter(|set| files::stem_of(set) != set.stem());
    let first = shortened.next()?;
    let more = match shortened.count() {
        0 => String::new(),
        n => format!(", and {n} more"),
    };
    Some(format!(
        "the name of '{}' is too long for those of its results, which begin with '{}'{more}",
        first.path().display(),
        files::stem_of(first)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_told_by_their_names() {
        let of = |name: &str| starts_of(name).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(of("a.b.0.heatmap.png"), ["a", "a.b", "a.b.0", "a.b.0.heatmap"]);
        assert!(saves(&[Save::Png], "a.0.heatmap.png") && !saves(&[Save::Npy], "a.0.heatmap.png"));
        assert!(saves(&[Save::Svg], "a.heatmap.svg") && !saves(&[Save::Png], "a.heatmap.svg"));
        assert!(saves(&[Save::Svg], "a.heatmap.html") && !saves(&[Save::Svg], "a.heatmap.png"));
        assert!(saves(&[Save::Npz], "a.relevance.npy") && !saves(&[Save::Npy, Save::Png], "a.npy"));
    }
}
