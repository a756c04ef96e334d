//! The outputs to explain: what a job asks for, with the files that it names, and a table with a target for each sample.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lrp::{Error, Given, Loaded, ModelOptions, Options};
use lrp_config::{Elements, Input, Recipe, SimilarTo, Target as Wanted};
use lrp_core::file::{self, Limit};
use lrp_core::text::shown;
use lrp_core::{Scalar, Target, Tensor};
use ndarray::Axis;

use crate::hash;
use crate::input::{self, FileSet, Npy, Sources};
use crate::job::{HowJob, ModelJob};
use crate::manifest::FileRecord;

/// The targets of a job.
#[derive(Debug, Default)]
pub struct Targets {
    /// Of samples without a line in the table, one after the other.
    general: Vec<Target>,
    /// The number of the first sample of each input among all of them, where an array has a target for each sample.
    first: Vec<usize>,
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
    /// The targets that a job asks for, which may come from `recipe`, for the samples of these inputs.
    ///
    /// # Errors
    /// When the model has no such output, and when a file cannot be used.
    pub fn new<T: Scalar>(
        loaded: &Loaded<T>,
        how: &HowJob,
        recipe: Option<&Recipe>,
        inputs: &[FileSet],
    ) -> Result<Self, Error> {
        let mut files = Files::new(loaded, &how.input);
        let general = targets(&how.target, recipe, &mut files)?;
        let first = match general.iter().any(|target| matches!(target, Target::PerSample(_))) {
            true => first_samples(inputs, &loaded.given)?,
            false => Vec::new(),
        };
        let mut all = Self { general, first, table: None, files: Vec::new() };
        if let Some(path) = &how.targets {
            if all.general.len() != 1 {
                let message = format!("a table of targets gives one for each sample, and the target is {}", how.target);
                return Err(Error::user(message, "choose argmax, a class or a contrast for samples without a line"));
            }
            all.table = Some(Table::read(path, inputs, &mut files)?);
        }
        all.files = files.records;
        Ok(all)
    }

    /// Checks the target that a recipe asks for.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn check<T: Scalar>(loaded: &Loaded<T>, recipe: &Recipe) -> Result<(), Error> {
        let Some(target) = &recipe.explain().target else { return Ok(()) };
        targets(target, Some(recipe), &mut Files::new(loaded, recipe.input())).map(drop)
    }

    /// The one target of each of some samples, as [`of`](Self::of) takes them.
    ///
    /// # Errors
    /// When there are several, and as [`of`](Self::of).
    pub fn one(&self, samples: &[(usize, usize)], what: &str) -> Result<Target, Error> {
        match <[Target; 1]>::try_from(self.of(samples)?) {
            Ok([target]) => Ok(target),
            Err(_) => Err(Error::user(format!("{what} one target"), "choose argmax, a class or a contrast")),
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
                // A line of the table is about one input, and the target of all lines about all inputs, one after the other.
                let before = if own.is_some() { 0 } else { self.first.get(input).copied().unwrap_or(0) };
                match own.unwrap_or(target) {
                    Target::PerSample(targets) => targets.get(before + sample).cloned().ok_or_else(|| {
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

/// The number of the first sample of each input among those of all inputs.
fn first_samples(inputs: &[FileSet], given: &Given) -> Result<Vec<usize>, Error> {
    if inputs.len() > 1
        && let Some(table) = inputs.iter().find(|set| set.has_tables())
    {
        let message =
            format!("the target is given for each sample, and '{}' is one of several inputs", table.path().display());
        return Err(Error::user(
            message,
            "put the samples into one file, or give a table of targets: --targets FILE.csv",
        ));
    }
    let mut next = 0_usize;
    let first = |set: &FileSet| {
        let first = next;
        next = next.saturating_add(input::samples_of(set, given));
        first
    };
    Ok(inputs.iter().map(first).collect())
}

/// The outputs that are wanted, with the file that they name.
fn targets<T: Scalar>(
    wanted: &Wanted,
    recipe: Option<&Recipe>,
    files: &mut Files<'_, T>,
) -> Result<Vec<Target>, Error> {
    let loaded = files.loaded;
    let array = match wanted {
        Wanted::Elements(Elements::Similarity(to)) => Some(files.embeddings(to)?),
        Wanted::Elements(elements) => elements.file().map(|path| files.array(path)).transpose()?,
        _ => None,
    };
    loaded.targets_with(wanted, recipe, array)
}

/// Files of masks, relevance, and other inputs, each read once.
struct Files<'a, T: Scalar> {
    loaded: &'a Loaded<T>,
    /// The scaling of images.
    expected: &'a Input,
    /// By the file, and for embeddings the output.
    arrays: HashMap<(PathBuf, Option<String>), Tensor<f64>>,
    records: Vec<FileRecord>,
}

impl<'a, T: Scalar> Files<'a, T> {
    fn new(loaded: &'a Loaded<T>, expected: &'a Input) -> Self {
        Self { loaded, expected, arrays: HashMap::new(), records: Vec::new() }
    }

    /// The numbers of a mask, or of relevance.
    fn array(&mut self, path: &Path) -> Result<&Tensor<f64>, Error> {
        self.read((path.to_path_buf(), None), |_| {
            let unreadable = |why: String| {
                let help = "a mask, or relevance to start with, is a .npy file of numbers; paths in a recipe are relative to its folder";
                Error::user(format!("cannot read '{}': {why}", path.display()), help)
            };
            let mut npy = Npy::<f64>::open(path).map_err(unreadable)?;
            let array = npy.whole().map_err(unreadable)?;
            Ok((array, npy.sha256()))
        })
    }

    /// The embeddings of the samples of another input, `[M, …]`.
    fn embeddings(&mut self, to: &SimilarTo) -> Result<&Tensor<f64>, Error> {
        let own = Some(self.loaded.import.output_name.clone());
        let name = to.output.clone().or_else(|| own.clone());
        self.read((to.input.clone(), name.clone()), |files| match name == own {
            true => embeddings(files.loaded, &to.input, files.expected),
            false => {
                // The other tower has inputs of its own, so that what is known about those of this one says nothing.
                let options = ModelOptions {
                    output: name,
                    sample_shape: None,
                    array_shapes: BTreeMap::new(),
                    ..files.loaded.options.clone()
                };
                let example = Some(FileSet::one(&to.input));
                let job = ModelJob { options, example, ..ModelJob::default() };
                embeddings(&job.load::<T>()?, &to.input, files.expected)
            }
        })
    }

    fn read(
        &mut self,
        key: (PathBuf, Option<String>),
        read: impl FnOnce(&Self) -> Result<(Tensor<f64>, String), Error>,
    ) -> Result<&Tensor<f64>, Error> {
        if !self.arrays.contains_key(&key) {
            let (array, sha256) = read(self)?;
            self.records.push(FileRecord { path: key.0.display().to_string(), sha256 });
            self.arrays.insert(key.clone(), array);
        }
        self.arrays.get(&key).ok_or_else(|| Error::Internal("a file that was read is not there".to_owned()))
    }
}

/// The model's outputs for the samples in a file, `[M, …]`, and the SHA-256 of the file.
fn embeddings<T: Scalar>(loaded: &Loaded<T>, path: &Path, expected: &Input) -> Result<(Tensor<f64>, String), Error> {
    let sets = input::in_order(&[FileSet::one(path)], &loaded.given)?;
    let mut sources =
        Sources::<T>::open(sets.first().ok_or_else(no_input)?, &loaded.given, (expected, loaded.texts.as_deref()))?;
    let mut outputs = Vec::new();
    while sources.left() > 0 {
        let batch = sources.take(sources.left().min(Options::BATCH))?;
        outputs.push(loaded.output(batch)?.mapv(|v| v.wide()));
    }
    let views: Vec<_> = outputs.iter().map(|output| output.view()).collect();
    let all = ndarray::concatenate(Axis(0), &views).map_err(|_| no_input())?;
    Ok((all, sources.sha256()))
}

fn no_input() -> Error {
    Error::user(
        "similarity: the other input has no samples",
        "give a file with one, or with one for each that is explained",
    )
}

/// A table has a line of this many bytes for each sample, or fewer.
const TABLE: Limit = Limit::new("a table of targets", 1 << 28);

impl Table {
    /// Reads a table of targets for these inputs.
    fn read<T: Scalar>(path: &Path, inputs: &[FileSet], files: &mut Files<'_, T>) -> Result<Self, Error> {
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
            let found = targets(&wanted, None, files).map_err(|error| {
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
