//! The inputs of an explanation, as far as they are unchanged.

use std::path::{Path, PathBuf};

use lrp::text::TextReader;
use lrp::{Given, Layout};
use lrp_config::Input;
use lrp_core::Tensor;
use lrp_core::text::{clean, shown};
use lrp_render::picture;
use lrp_report::{Kind, Shown};
use ndarray::{ArrayViewD, Axis};

use super::view::{Shares, View};
use crate::hash;
use crate::input::{self, FileSet, Sources};
use crate::manifest::{Expected, FileRecord, InputRecord};

/// Characters of a reason.
const WHY: usize = 1000;

/// Finds inputs.
pub struct Inputs<'a> {
    folders: &'a [PathBuf],
    given: &'a Given,
    expected: Input,
    /// The reader of texts, if the tokenizer is unchanged.
    texts: Option<&'a TextReader>,
    /// Inputs that are not shown, and why.
    missing: Vec<(String, String)>,
}

/// The reader of texts of a run, if its tokenizer is unchanged and this program can read it.
pub fn reader(record: &FileRecord, given: &Given) -> Option<TextReader> {
    let path = Path::new(&record.path);
    let unchanged = hash::of_file(path).is_ok_and(|sha256| sha256 == record.sha256);
    Some(TextReader::new(input::tokenizer(path).ok().filter(|_| unchanged)?, given))
}

/// An input file, or why there is none.
pub enum Opened<'a> {
    /// The files, before their first sample, the inputs that are given, and the input that the model expects.
    File(Box<Sources<'a, f64>>, &'a Given, Input),
    /// The end of "The input is not shown: …".
    Nothing(String),
}

impl<'a> Inputs<'a> {
    /// Inputs that are where they were, or in one of these folders.
    pub fn new(folders: &'a [PathBuf], expected: &Expected, given: &'a Given, texts: Option<&'a TextReader>) -> Self {
        let Expected { range, mean, std, .. } = expected;
        let (range, mean, std) = (range.clone(), mean.clone(), std.clone());
        let input =
            Input { range, mean, std, channels: expected.channels, resize: expected.resize, ..Input::default() };
        Self { folders, given, expected: input, texts, missing: Vec::new() }
    }

    /// Opens an input, if unchanged files are found.
    pub fn open(&mut self, record: &InputRecord) -> Opened<'a> {
        let found: Result<Vec<PathBuf>, String> = record.sources().map(|file| self.find(file)).collect();
        let opened = found.and_then(|mut files| {
            let others = files.split_off(1.min(files.len()));
            let set = FileSet::of(files.pop().unwrap_or_default(), others);
            Sources::open(&set, self.given, (&self.expected, self.texts)).map_err(|failure| failure.to_string())
        });
        match opened {
            Ok(sources) => Opened::File(Box::new(sources), self.given, self.expected.clone()),
            Err(why) => {
                self.missing.push((record.file.path.clone(), why.clone()));
                Opened::Nothing(why)
            }
        }
    }

    /// Where a file is unchanged.
    fn find(&self, file: &FileRecord) -> Result<PathBuf, String> {
        let path = Path::new(&file.path);
        let named =
            path.file_name().into_iter().flat_map(|name| self.folders.iter().map(move |folder| folder.join(name)));
        let there: Vec<PathBuf> =
            std::iter::once(path.to_path_buf()).chain(named).filter(|path| path.is_file()).collect();
        let same = |path: &&PathBuf| hash::of_file(path).is_ok_and(|sha256| sha256 == file.sha256);
        match there.iter().find(same) {
            Some(path) => Ok(path.clone()),
            None if there.is_empty() => Err("the file is no longer there".to_owned()),
            None => Err("the file has changed since it was explained (its SHA-256 is another)".to_owned()),
        }
    }

    /// A note on the inputs that are not shown.
    pub fn note(&self) -> Option<String> {
        let (path, why) = self.missing.first()?;
        let more = match self.missing.len() - 1 {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        Some(format!(
            "the report does not show the input '{}'{more}: {}. lrp report finds inputs elsewhere with --inputs FOLDER",
            shown(path),
            clean(why, WHY)
        ))
    }
}

impl Opened<'_> {
    /// The next sample: its explained inputs together, or each.
    pub fn next(&mut self, view: &View, shares: Shares) -> Vec<Shown> {
        let nothing = |why: &str| vec![Shown::Nothing(why.to_owned()); shares.count()];
        let Opened::File(source, given, expected) = self else {
            return nothing(self.why());
        };
        let batch = match source.take(1) {
            Ok(batch) => batch,
            Err(failure) => {
                let why = failure.to_string();
                let shown = nothing(&why);
                *self = Opened::Nothing(why);
                return shown;
            }
        };
        let explained = given.split(batch).into_iter().zip(given.all()).filter(|(_, input)| input.is_explained);
        let explained: Vec<Tensor<f64>> = explained.map(|(batch, _)| batch).collect();
        match (shares, explained.as_slice()) {
            (Shares::All, several) if several.len() != 1 => {
                vec![Shown::Values(several.iter().flatten().copied().collect())]
            }
            (_, each) => each.iter().map(|batch| shown_sample(batch.index_axis(Axis(0), 0), view, expected)).collect(),
        }
    }

    /// Passes over the next sample.
    pub fn skip(&mut self) {
        if let Opened::File(source, ..) = self
            && let Err(failure) = source.skip(1)
        {
            *self = Opened::Nothing(failure.to_string());
        }
    }

    fn why(&self) -> &str {
        if let Opened::Nothing(why) = self { why } else { "" }
    }
}

/// One input of a sample.
fn shown_sample(sample: ArrayViewD<'_, f64>, view: &View, expected: &Input) -> Shown {
    match view.shape.kind {
        Kind::Series => Shown::Values(view.arranged(sample.iter().copied().collect())),
        Kind::Picture if Layout::of(sample.shape()).is_some() => Shown::Picture(picture(sample, expected)),
        // The report looks at one slice after the other, and a montage would not fit any of them.
        Kind::Picture => Shown::Nothing("samples of this shape are no single pictures".to_owned()),
    }
}
