//! The outputs to explain: what a job asks for, with the files that it names, and a table with a target for each sample.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lrp::{Error, Loaded};
use lrp_config::{Recipe, Target as Wanted};
use lrp_core::file::{self, Limit};
use lrp_core::text::shown;
use lrp_core::{Scalar, Target, Tensor};

use crate::hash;
use crate::input::{FileSet, Npy};
use crate::manifest::FileRecord;

/// The targets of a job.
#[derive(Debug, Default)]
pub struct Targets {
    /// Of samples without a line in the table, one after the other.
    general: Vec<Target>,
    table: Option<Table>,
    /// The files that they were read from.
    files: Vec<FileRecord>,
}

/// Targets of single samples.
#[derive(Debug, Default)]
struct Table {
    /// By the number of the input, and that of the sample where the line has one.
    lines: HashMap<(usize, Option<usize>), Target>,
}

impl Targets {
    /// The targets that a job asks for: `wanted`, which may come from `recipe`, and a table for these inputs.
    ///
    /// # Errors
    /// When the model has no such output, and when a file cannot be used.
    pub fn new<T: Scalar>(
        loaded: &Loaded<T>,
        wanted: &Wanted,
        recipe: Option<&Recipe>,
        table: Option<(&Path, &[FileSet])>,
    ) -> Result<Self, Error> {
        let mut files = Files::default();
        let general = targets(loaded, wanted, recipe, &mut files)?;
        let mut all = Self { general, table: None, files: Vec::new() };
        if let Some((path, inputs)) = table {
            if all.general.len() != 1 {
                let message = format!("a table of targets gives one for each sample, and the target is {wanted}");
                return Err(Error::user(message, "choose argmax, a class or a contrast for samples without a line"));
            }
            all.table = Some(Table::read(path, inputs, loaded, &mut files)?);
        }
        all.files = files.records;
        Ok(all)
    }

    /// The one target of all samples.
    ///
    /// # Errors
    /// When there are several, or samples have targets of their own.
    pub fn one(&self, what: &str) -> Result<Target, Error> {
        match self.general.as_slice() {
            [Target::PerSample(_)] => Err(Error::user(
                format!("{what} one target, and the file has one for each sample"),
                "use lrp explain, or give an array for all samples",
            )),
            [only] => Ok(only.clone()),
            _ => Err(Error::user(format!("{what} one target"), "choose argmax, a class or a contrast")),
        }
    }

    /// The targets of samples without a line of their own.
    pub fn general(&self) -> &[Target] {
        &self.general
    }

    /// The files that they were read from.
    pub fn files(&self) -> &[FileRecord] {
        &self.files
    }

    /// The targets of samples, each given by the numbers of its input and of itself within the input.
    ///
    /// # Errors
    /// When a sample has none.
    pub fn of(&self, samples: &[(usize, usize)]) -> Result<Vec<Target>, Error> {
        let of_all = |target: &Target| {
            let same = self.table.is_none() && !matches!(target, Target::PerSample(_));
            if same {
                return Ok(target.clone());
            }
            let one = |&(input, sample): &(usize, usize)| {
                let own = self.table.as_ref().and_then(|table| table.of(input, sample));
                match own.unwrap_or(target) {
                    Target::PerSample(targets) => targets.get(sample).cloned().ok_or_else(|| {
                        Error::user(
                            format!("the target is given for {} samples, and there are more", targets.len()),
                            "give an array for each sample, or one for all",
                        )
                    }),
                    one => Ok(one.clone()),
                }
            };
            samples.iter().map(one).collect::<Result<Vec<_>, _>>().map(|list| Target::PerSample(list.into()))
        };
        self.general.iter().map(of_all).collect()
    }
}

/// The outputs that are wanted, with the file that they name.
fn targets<T: Scalar>(
    loaded: &Loaded<T>,
    wanted: &Wanted,
    recipe: Option<&Recipe>,
    files: &mut Files,
) -> Result<Vec<Target>, Error> {
    let array = match wanted {
        Wanted::Elements(elements) => elements.file().map(|path| files.read(path)).transpose()?,
        _ => None,
    };
    loaded.targets_with(wanted, recipe, array)
}

/// Files of masks and relevance, each read once.
#[derive(Default)]
struct Files {
    arrays: HashMap<PathBuf, Tensor<f64>>,
    records: Vec<FileRecord>,
}

impl Files {
    fn read(&mut self, path: &Path) -> Result<&Tensor<f64>, Error> {
        if !self.arrays.contains_key(path) {
            let unreadable = |why: String| {
                let help = "a mask, or relevance to start with, is a .npy file of numbers; paths in a recipe are relative to its folder";
                Error::user(format!("cannot read '{}': {why}", path.display()), help)
            };
            let mut npy = Npy::<f64>::open(path).map_err(unreadable)?;
            let array = npy.whole().map_err(unreadable)?;
            self.records.push(FileRecord { path: path.display().to_string(), sha256: npy.sha256() });
            self.arrays.insert(path.to_path_buf(), array);
        }
        self.arrays.get(path).ok_or_else(|| Error::Internal("a file that was read is not there".to_owned()))
    }
}

/// A table has a line of this many bytes for each sample, or fewer.
const TABLE: Limit = Limit::new("a table of targets", 1 << 28);

impl Table {
    /// Reads a table of targets for these inputs.
    fn read<T: Scalar>(path: &Path, inputs: &[FileSet], loaded: &Loaded<T>, files: &mut Files) -> Result<Self, Error> {
        let help = "columns are input, target and, where an input has several samples, sample";
        let fail = |why: String| Error::user(format!("'{}': {why}", path.display()), help);
        let bytes = file::read(path, TABLE).map_err(|e| fail(format!("cannot be read: {e}")))?;
        files.records.push(FileRecord { path: path.display().to_string(), sha256: hash::of_bytes(&bytes) });
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes.as_slice());
        let headings = reader.headers().map_err(|e| fail(format!("line 1: {e}")))?.clone();
        let column = |name: &str| headings.iter().position(|heading| heading.eq_ignore_ascii_case(name));
        let (Some(of_input), Some(of_target)) = (column("input"), column("target")) else {
            return Err(fail("line 1 does not name the columns input and target".to_owned()));
        };
        let of_sample = column("sample");
        let names = Names::new(inputs);
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut table = Self::default();
        for record in reader.records() {
            let record = record.map_err(|e| {
                let line = e.position().map_or(0, csv::Position::line);
                fail(format!("line {line}: {e}"))
            })?;
            let line = record.position().map_or(0, csv::Position::line);
            let at = |why: String| fail(format!("line {line}: {why}"));
            let cell = |column: usize| record.get(column).unwrap_or_default();
            let sample = match of_sample.map(cell).filter(|cell| !cell.is_empty()) {
                None => None,
                Some(cell) => {
                    let number = cell.parse::<usize>();
                    Some(number.map_err(|_| at(format!("'{}' is no number of a sample", shown(cell))))?)
                }
            };
            // Lines on other inputs are for other runs.
            let Some(input) = names.find(cell(of_input)).map_err(&at)? else { continue };
            let mut wanted = Wanted::from_str(cell(of_target))
                .map_err(|error| at(format!("'{}' is no target: {}", shown(cell(of_target)), error.in_one_line())))?;
            wanted.join(folder);
            let found = targets(loaded, &wanted, None, files).map_err(|error| {
                let complaints = error.complaints();
                let complaint = complaints.first();
                let message = complaint.map_or_else(|| error.to_string(), |c| c.message().to_owned());
                let help = complaint.and_then(|c| c.remedy()).unwrap_or(help);
                Error::user(format!("'{}': line {line}: {message}", path.display()), help)
            })?;
            let [target] =
                <[Target; 1]>::try_from(found).map_err(|_| at(format!("{wanted} is more than one target")))?;
            if table.lines.insert((input, sample), target).is_some() {
                return Err(at("it is the second line on the same sample".to_owned()));
            }
        }
        if table.lines.is_empty() {
            return Err(fail("no line is on one of the inputs".to_owned()));
        }
        Ok(table)
    }

    fn of(&self, input: usize, sample: usize) -> Option<&Target> {
        self.lines.get(&(input, Some(sample))).or_else(|| self.lines.get(&(input, None)))
    }
}

/// Inputs by all that a table can call them.
struct Names(HashMap<String, Vec<usize>>);

impl Names {
    fn new(inputs: &[FileSet]) -> Self {
        let mut names: HashMap<String, Vec<usize>> = HashMap::new();
        for (i, set) in inputs.iter().enumerate() {
            let path = set.path();
            let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let mut own = vec![path.display().to_string(), file, set.stem().to_owned()];
            own.sort();
            own.dedup();
            for name in own {
                names.entry(name).or_default().push(i);
            }
        }
        Self(names)
    }

    /// The number of the input of this name, if it is one of the inputs.
    fn find(&self, name: &str) -> Result<Option<usize>, String> {
        match self.0.get(name).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([one]) => Ok(Some(*one)),
            Some(_) => Err(format!("'{}' is the name of several inputs: give the path", shown(name))),
        }
    }
}
