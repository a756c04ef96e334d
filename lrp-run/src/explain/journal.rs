//! The journal: the finished samples of a run, line by line, in case it does not end.
//!
//! The first line is the run's fingerprint. Each of the others is about samples of one input whose results have been written. A line is
//! handed to the system as a whole, after the results it is about: killed at any time, the program leaves a journal that is true, with
//! at most its last line torn. It has hashes of these results: results that are no longer there, or were never on the disk when the machine went
//! down, is found.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use lrp::Error;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::manifest::Fingerprint;
use crate::manifest::{FileRecord, SampleRecord};

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
    /// The input; of several files, the first.
    pub path: String,
    /// The start of the names of its results, where that is not the file's name without its extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stem: Option<String>,
    /// The number of the first of these samples. Earlier lines on it and on those after it are void.
    pub first: usize,
    /// The number of samples of the input.
    pub of: usize,
    /// SHA-256 of the input's files up to the last of these samples, with blanks between.
    pub sha256: String,
    /// The changes of an image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversions: Vec<String>,
    /// Their records.
    pub samples: Vec<SampleRecord>,
    /// SHA-256 of their rows in the relevance and the ledger file, and in those of relevance inside the network, if there are such files.
    #[serde(default)]
    pub rows: Option<Vec<String>>,
    /// The files that were made of them alone: heatmaps.
    #[serde(default)]
    pub files: Vec<FileRecord>,
}

/// The finished samples of one input.
#[derive(Debug)]
pub struct Done {
    /// The start of the names of its results.
    pub stem: String,
    /// The number of samples of the input.
    pub of: usize,
    /// The changes of an image.
    pub conversions: Vec<String>,
    /// The records of these samples, from the first on.
    pub samples: Vec<SampleRecord>,
    /// The batches in which they were written.
    pub batches: Vec<Batch>,
}

/// Samples of an input that were written together.
#[derive(Debug)]
pub struct Batch {
    /// The number.
    pub samples: usize,
    /// SHA-256 of the input up to the last of them.
    pub sha256: String,
    /// SHA-256 of their rows in the arrays.
    pub rows: Option<Vec<String>>,
    /// The files that were made of them alone.
    pub files: Vec<FileRecord>,
}

impl Done {
    /// SHA-256 of the input up to the last sample that is done.
    pub fn sha256(&self) -> &str {
        self.batches.last().map_or("", |batch| &batch.sha256)
    }

    /// Keeps the first batches, as many as this.
    pub fn truncate(&mut self, batches: usize) {
        self.batches.truncate(batches);
        self.samples.truncate(self.batches.iter().map(|batch| batch.samples).sum());
    }

    /// The number of batches before a sample, if one begins there.
    fn batches_before(&self, sample: usize) -> Option<usize> {
        let starts = self.batches.iter().scan(0, |start, batch| {
            *start += batch.samples;
            Some(*start)
        });
        std::iter::once(0).chain(starts).position(|start| start == sample)
    }

    /// Whether no sample is left.
    pub fn is_all(&self) -> bool {
        self.samples.len() == self.of
    }
}

/// The finished samples of each input.
pub type AllDone = HashMap<String, Done>;

impl Journal {
    /// A journal without lines.
    fn new(path: PathBuf, fingerprint: Fingerprint) -> Self {
        Self { path, file: None, fingerprint, mentioned: HashSet::new() }
    }

    /// Starts a new journal. The journal of an earlier run is void when files are written.
    ///
    /// # Errors
    /// When an earlier journal cannot be removed.
    pub fn start(dir: &Path, fingerprint: Fingerprint) -> Result<Self, Error> {
        let path = dir.join(files::JOURNAL);
        files::remove(&path)?;
        Ok(Self::new(path, fingerprint))
    }

    /// The finished samples of the run that was interrupted in a folder, whatever run that was; empty where there is none.
    pub fn of_interrupted(dir: &Path) -> AllDone {
        let bytes = contents(&dir.join(files::JOURNAL)).unwrap_or_default();
        read(String::from_utf8_lossy(&bytes).lines().skip(1))
    }

    /// Continues the journal of a run that was interrupted. None where there is none.
    ///
    /// # Errors
    /// When the journal cannot be read, or is that of another run.
    pub fn resume(dir: &Path, fingerprint: &Fingerprint) -> Result<Option<(Self, AllDone)>, Error> {
        let path = dir.join(files::JOURNAL);
        let bytes = match contents(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            Err(e) => {
                let message = format!("cannot read '{}': {e}", path.display());
                return Err(Error::user(message, "check its permissions, or start anew with --force"));
            }
        };
        // The rest after the end of the last line was torn off.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default());
        let mut lines = text.lines();
        let Some(first) = lines.next() else { return Ok(None) };
        check(&path, first, fingerprint)?;
        let done = read(lines);
        let open = || {
            let file = files::open_own(&path, OpenOptions::new().append(true))?;
            file.set_len(whole as u64).map(|()| file)
        };
        let file = open().map_err(|e: std::io::Error| files::unwritable(&path, &e))?;
        let mentioned = done.keys().cloned().collect();
        Ok(Some((Self { path, file: Some(file), fingerprint: fingerprint.clone(), mentioned }, done)))
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, entry: &Entry) -> Result<(), Error> {
        let unwritable = |e: std::io::Error| files::unwritable(&self.path, &e);
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut file = files::create_new(&self.path).map_err(unwritable)?;
                file.write_all(line(&self.fingerprint)?.as_bytes()).map_err(unwritable)?;
                none.insert(file)
            }
        };
        file.write_all(line(entry)?.as_bytes()).map_err(unwritable)?;
        self.mentioned.insert(entry.path.clone());
        Ok(())
    }

    /// Retracts the lines on an input.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn take_back(&mut self, path: &str) -> Result<(), Error> {
        if !self.mentioned.contains(path) {
            return Ok(());
        }
        let entry = Entry {
            path: path.to_owned(),
            stem: None,
            first: 0,
            of: 0,
            sha256: String::new(),
            conversions: Vec::new(),
            samples: Vec::new(),
            rows: None,
            files: Vec::new(),
        };
        self.add(&entry)?;
        self.mentioned.remove(path);
        Ok(())
    }

    /// Waits until the written bytes are on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.as_ref().map_or(Ok(()), |file| file.sync_data().map_err(|e| files::unwritable(&self.path, &e)))
    }

    /// The run has come to its end: there is nothing to resume.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn end(&mut self) -> Result<(), Error> {
        self.file = None;
        files::remove(&self.path)
    }
}

/// The bytes of a journal.
fn contents(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    files::open_own(path, OpenOptions::new().read(true))?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A value as a line of JSON.
fn line(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map(|line| line + "\n").map_err(|e| Error::Internal(e.to_string()))
}

/// Checks a journal's first line.
fn check(path: &Path, first: &str, fingerprint: &Fingerprint) -> Result<(), Error> {
    let Ok(earlier) = serde_json::from_str::<Fingerprint>(first) else {
        let message = format!("'{}' does not begin as a journal does", path.display());
        return Err(Error::user(message, "start anew with --force"));
    };
    let differences = earlier.differences(fingerprint);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::user(
        format!("'{}' is the journal of another run: what differs is {}", path.display(), differences.join(", ")),
        "give the arguments of that run to finish it, or start anew with --force",
    ))
}

/// The sum of the lines. Lines that cannot be read or do not continue the earlier ones are ignored: their samples
/// are explained again.
fn read<'a>(lines: impl Iterator<Item = &'a str>) -> AllDone {
    let mut all: AllDone = HashMap::new();
    // Of inputs whose results have the same names, only the last one's results are there.
    let mut owners: HashMap<String, String> = HashMap::new();
    for entry in lines.filter_map(|line| serde_json::from_str::<Entry>(line).ok()) {
        let Entry { path, stem, first, of, sha256, conversions, samples, rows, files } = entry;
        let stem = stem.unwrap_or_else(|| files::stem(Path::new(&path)));
        if let Some(before) = owners.insert(stem.clone(), path.clone()).filter(|before| *before != path) {
            all.remove(&before);
        }
        let is_named_right = |name: &String| files::is_plain(name) && files::is_result_of(&stem, name);
        let mut targets = samples.iter().flat_map(|sample| &sample.targets);
        // A name that this program would not have written may be that of anything.
        let is_own = files::is_plain(&stem)
            && files.iter().all(|file| is_named_right(&file.path))
            && targets.all(|target| target.heatmap_files().all(is_named_right));
        let batches = if first == 0 { Some(0) } else { all.get(&path).and_then(|done| done.batches_before(first)) };
        let same = first == 0 || all.get(&path).is_some_and(|done| done.of == of);
        match batches {
            Some(batches) if is_own && same && !samples.is_empty() && first + samples.len() <= of => {
                let done = all.entry(path).or_insert_with(|| Done {
                    stem,
                    of,
                    conversions,
                    samples: Vec::new(),
                    batches: Vec::new(),
                });
                done.of = of;
                done.truncate(batches);
                done.batches.push(Batch { samples: samples.len(), sha256, rows, files });
                done.samples.extend(samples);
            }
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
        // Begun again from the middle, where a line begins, and elsewhere.
        assert_eq!(counts(&[entry(&a, 0, 2), entry(&a, 2, 2), entry(&a, 2, 1)]), [(a.clone(), 3)]);
        assert_eq!(counts(&[entry(&a, 0, 2), entry(&a, 2, 2), entry(&a, 1, 1)]), []);
        assert_eq!(counts(&[entry(&a, 0, 6)]), []);
        // A line is missing in between.
        assert_eq!(counts(&[entry(&a, 0, 2), "{".to_owned(), entry(&a, 3, 2)]), []);
        // Results of this name are another input's by now.
        assert_eq!(counts(&[entry(&a, 0, 2), entry("other/a.npy", 0, 1)]), [("other/a.npy".to_owned(), 1)]);
    }

    #[test]
    fn lines_with_names_from_elsewhere_are_left_out() {
        let line = |name: &str| {
            let samples = serde_json::json!([{ "targets": [{
                "class": 0, "score": 1.0, "heatmap": name,
                "ledger": { "start": 1.0, "input": 1.0, "bias": 0.0, "stabilizer": 0.0, "rule": 0.0 }
            }] }]);
            let line = serde_json::json!({ "path": "b/a.npy", "first": 0, "of": 5, "sha256": "", "samples": samples });
            line.to_string()
        };
        assert_eq!(counts(&[line("a.0.heatmap.png")]).len(), 1);
        for name in
            ["/etc/passwd", "../a.0.heatmap.png", "x/a.0.heatmap.png", "a.npy", "manifest.json", "b.heatmap.png"]
        {
            assert_eq!(counts(&[line(name)]).len(), 0, "{name}");
        }
    }
}
