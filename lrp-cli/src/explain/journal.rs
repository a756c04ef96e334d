//! The journal: what of a run is done, line by line, for the case that it does not come to its end.
//!
//! The first line is the run's fingerprint. Each of the others is about samples of one input whose results have been written. A line is
//! handed to the system as a whole, after the results it is about: killed at any time, the program leaves a journal that is true, with
//! at most its last line torn.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files;
use super::fingerprint::Fingerprint;
use crate::failure::Failure;
use crate::input::stem;
use crate::manifest::SampleRecord;
use crate::output::report;

/// A journal that is being written.
pub struct Journal {
    path: PathBuf,
    /// None until there is something to write.
    file: Option<File>,
    fingerprint: Fingerprint,
    /// The inputs that the file says something about.
    mentioned: HashSet<String>,
}

/// A line: samples of an input that are done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The input.
    pub path: String,
    /// The number of the first of these samples. With 0, earlier lines about the input are void.
    pub first: usize,
    /// How many samples the input has.
    pub of: usize,
    /// SHA-256 of the input up to the last of these samples.
    pub sha256: String,
    /// What was changed in an image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversions: Vec<String>,
    /// Their records.
    pub samples: Vec<SampleRecord>,
}

/// What is done of one input.
#[derive(Debug)]
pub struct Done {
    /// How many samples the input has.
    pub of: usize,
    /// SHA-256 of the input up to the last sample that is done.
    pub sha256: String,
    /// What was changed in an image.
    pub conversions: Vec<String>,
    /// The records of these samples, from the first on.
    pub samples: Vec<SampleRecord>,
}

impl Done {
    /// Whether no sample is left.
    pub fn is_all(&self) -> bool {
        self.samples.len() == self.of
    }
}

/// What is done of each input.
pub type AllDone = HashMap<String, Done>;

impl Journal {
    /// A journal without lines.
    fn new(path: PathBuf, fingerprint: Fingerprint) -> Self {
        Self { path, file: None, fingerprint, mentioned: HashSet::new() }
    }

    /// Starts a new journal. What an earlier run has left there is no longer true when files are written.
    ///
    /// # Errors
    /// When an earlier journal cannot be removed.
    pub fn start(dir: &Path, fingerprint: Fingerprint) -> Result<Self, Failure> {
        let path = dir.join(files::JOURNAL);
        if path.exists() {
            let shown = path.display();
            report(format_args!("note: a run was interrupted ('{shown}'); it is not resumed, that takes --resume\n"));
        }
        files::remove(&path)?;
        Ok(Self::new(path, fingerprint))
    }

    /// Continues the journal of a run that was interrupted, if there is one.
    ///
    /// # Errors
    /// When the journal cannot be read, or is that of another run.
    pub fn resume(dir: &Path, fingerprint: Fingerprint) -> Result<(Self, AllDone), Failure> {
        let path = dir.join(files::JOURNAL);
        let bytes = match lrp_core::file::read(&path, lrp_core::file::Limit::RECORD) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            Err(e) => {
                let message = format!("cannot read '{}': {e}", path.display());
                return Err(Failure::user(message, "check its permissions, or leave --resume away to start anew"));
            }
        };
        // What follows the end of the last line was torn off.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default());
        let mut lines = text.lines();
        let Some(first) = lines.next() else {
            report(format_args!("note: there is no '{}' to resume from: everything is explained\n", path.display()));
            return Ok((Self::new(path, fingerprint), AllDone::new()));
        };
        check(&path, first, &fingerprint)?;
        let done = read(lines);
        let open = || {
            let file = OpenOptions::new().append(true).open(&path)?;
            file.set_len(whole as u64).map(|()| file)
        };
        let file = open().map_err(|e: std::io::Error| files::unwritable(&path, &e))?;
        let mentioned = done.keys().cloned().collect();
        Ok((Self { path, file: Some(file), fingerprint, mentioned }, done))
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, entry: &Entry) -> Result<(), Failure> {
        let unwritable = |e: std::io::Error| files::unwritable(&self.path, &e);
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut file = File::create(&self.path).map_err(unwritable)?;
                file.write_all(line(&self.fingerprint)?.as_bytes()).map_err(unwritable)?;
                none.insert(file)
            }
        };
        file.write_all(line(entry)?.as_bytes()).map_err(unwritable)?;
        self.mentioned.insert(entry.path.clone());
        Ok(())
    }

    /// Takes back what has been said of an input.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn take_back(&mut self, path: &str) -> Result<(), Failure> {
        if !self.mentioned.contains(path) {
            return Ok(());
        }
        let (sha256, conversions, samples) = (String::new(), Vec::new(), Vec::new());
        self.add(&Entry { path: path.to_owned(), first: 0, of: 0, sha256, conversions, samples })?;
        self.mentioned.remove(path);
        Ok(())
    }

    /// The run has come to its end: there is nothing to resume.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn end(&mut self) -> Result<(), Failure> {
        self.file = None;
        files::remove(&self.path)
    }
}

/// A value as a line of JSON.
fn line(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map(|line| line + "\n").map_err(|e| Failure::Internal(e.to_string()))
}

/// Checks a journal's first line.
fn check(path: &Path, first: &str, fingerprint: &Fingerprint) -> Result<(), Failure> {
    let Ok(earlier) = serde_json::from_str::<Fingerprint>(first) else {
        let message = format!("'{}' does not begin as a journal does", path.display());
        return Err(Failure::user(message, "leave --resume away to start anew"));
    };
    let differences = earlier.differences(fingerprint);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Failure::user(
        format!("'{}' is the journal of another run: what differs is {}", path.display(), differences.join(", ")),
        "give the arguments of that run to finish it, or leave --resume away to start anew",
    ))
}

/// What the lines say in sum. Lines that cannot be read, and those that do not continue what is known, are left out: their samples
/// are explained again.
fn read<'a>(lines: impl Iterator<Item = &'a str>) -> AllDone {
    let mut all: AllDone = HashMap::new();
    // Of inputs whose results have the same names, only the last one's results are there.
    let mut owners: HashMap<String, String> = HashMap::new();
    for entry in lines.filter_map(|line| serde_json::from_str::<Entry>(line).ok()) {
        let Entry { path, first, of, sha256, conversions, samples } = entry;
        if let Some(before) = owners.insert(stem(Path::new(&path)), path.clone()).filter(|before| *before != path) {
            all.remove(&before);
        }
        match all.get_mut(&path) {
            Some(done) if first > 0 && first == done.samples.len() && of == done.of => {
                done.sha256 = sha256;
                done.samples.extend(samples);
            }
            _ if first == 0 && !samples.is_empty() => drop(all.insert(path, Done { of, sha256, conversions, samples })),
            _ => drop(all.remove(&path)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, first: usize, samples: usize) -> String {
        let samples: Vec<_> = (0..samples).map(|_| serde_json::json!({ "targets": [] })).collect();
        serde_json::json!({ "path": path, "first": first, "of": 5, "sha256": "", "samples": samples }).to_string()
    }

    fn counts(lines: &[String]) -> Vec<(String, usize)> {
        let mut counts: Vec<_> =
            read(lines.iter().map(String::as_str)).into_iter().map(|(path, done)| (path, done.samples.len())).collect();
        counts.sort();
        counts
    }

    #[test]
    fn lines_add_up() {
        let (a, b) = ("a.npy".to_owned(), "b.npy".to_owned());
        let lines = [entry(&a, 0, 2), entry(&b, 0, 5), entry(&a, 2, 2)];
        assert_eq!(counts(&lines), [(a.clone(), 4), (b.clone(), 5)]);
        // Begun again, and taken back.
        assert_eq!(counts(&[entry(&a, 0, 2), entry(&a, 0, 1)]), [(a.clone(), 1)]);
        assert_eq!(counts(&[entry(&a, 0, 2), entry(&a, 0, 0)]), []);
        // A line is missing in between.
        assert_eq!(counts(&[entry(&a, 0, 2), "{".to_owned(), entry(&a, 3, 2)]), []);
        // Results of this name are another input's by now.
        assert_eq!(counts(&[entry(&a, 0, 2), entry("other/a.npy", 0, 1)]), [("other/a.npy".to_owned(), 1)]);
    }
}
