//! The files of an input of a run: one file, or one for each of the model's inputs that are given.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use lrp::{Error, Given, GivenInput, TextError};
use lrp_config::InputFiles;
use lrp_core::text::shown;

use super::expand::files_of;
use super::{array_shape, extension, is_text, npz, stem};
use crate::hash;

/// A path or a pattern, and the input of the model that it is for, where one is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The name of the model's input.
    pub name: Option<String>,
    /// A file, a folder or a glob.
    pub path: PathBuf,
}

impl Pattern {
    /// Reads `NAME=PATH`, or a path. A path that exists as it stands has no name in it.
    pub fn parse(text: &Path) -> Self {
        let plain = || Self { name: None, path: text.to_path_buf() };
        let Some((name, path)) = text.to_str().and_then(|text| text.split_once('=')) else { return plain() };
        if name.is_empty() || path.is_empty() || text.exists() {
            return plain();
        }
        Self { name: Some(name.to_owned()), path: PathBuf::from(path) }
    }

    /// The patterns of a recipe.
    pub fn of_recipe(inputs: &InputFiles) -> Vec<Self> {
        match inputs {
            InputFiles::Files(files) => files.iter().map(|path| Self { name: None, path: path.clone() }).collect(),
            InputFiles::Named(named) => {
                let of = |(name, files): (&String, &Vec<PathBuf>)| {
                    let name = Some(name.clone());
                    files.iter().map(|path| Self { name: name.clone(), path: path.clone() }).collect::<Vec<_>>()
                };
                named.iter().flat_map(of).collect()
            }
        }
    }
}

/// The files of an input of a run. Results are named after the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSet {
    /// The start of the names of its results.
    stem: String,
    first: NamedFile,
    /// Those of the model's other inputs.
    others: Vec<NamedFile>,
}

/// A file, and the input of the model that it is for, where one is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The name of the model's input.
    pub name: Option<String>,
    /// The file.
    pub path: PathBuf,
}

/// The array that is an input of the model.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The file.
    pub path: &'a Path,
    /// The name of the array in it, where it has those of all inputs.
    pub array: Option<&'a str>,
    /// The model's input.
    pub input: &'a GivenInput,
}

impl FileSet {
    /// One file.
    pub fn one(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { stem: stem(&path), first: NamedFile { name: None, path }, others: Vec::new() }
    }

    /// The file of the first of the model's inputs, and those of the others in their order.
    pub fn of(first: impl Into<PathBuf>, others: impl IntoIterator<Item = PathBuf>) -> Self {
        let others = others.into_iter().map(|path| NamedFile { name: None, path }).collect();
        Self { others, ..Self::one(first) }
    }

    /// The first file.
    pub fn path(&self) -> &Path {
        &self.first.path
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = &NamedFile> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The files of the model's other inputs.
    pub fn others(&self) -> &[NamedFile] {
        &self.others
    }

    /// The start of the names of its results, which no other input of the run has.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// SHA-256 of the files, with blanks between.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn sha256(&self) -> std::io::Result<String> {
        Ok(self.files().map(|file| hash::of_file(&file.path)).collect::<Result<Vec<_>, _>>()?.join(" "))
    }

    /// Whether an image is among the files.
    pub fn has_images(&self) -> bool {
        self.files().any(|file| super::is_image(&file.path))
    }

    /// Whether a table is among the files.
    pub fn has_tables(&self) -> bool {
        self.files().any(|file| super::is_table(&file.path))
    }

    /// Whether one archive has the arrays of all inputs.
    fn is_archive(&self) -> bool {
        self.others.is_empty() && self.first.name.is_none() && extension(&self.first.path) == "npz"
    }

    /// The shapes of the arrays that are named after inputs of the model: in files of their own, or in one archive. Files that cannot be read have
    /// none.
    pub fn array_shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let named = self.files().filter_map(|file| Some((file.name.clone()?, array_shape(&file.path, None)?)));
        let archive = self.is_archive().then(|| npz::shapes(&self.first.path).ok());
        named.chain(archive.flatten().into_iter().flatten()).collect()
    }

    /// The array of each given input of the model, in their order. The set is one that [`in_order`] has made for them.
    pub fn parts<'a>(&'a self, given: &'a Given) -> Vec<Part<'a>> {
        let archive = self.others.is_empty() && given.only().is_none();
        let part = |(i, input): (usize, &'a GivenInput)| {
            let file = if archive { Some(&self.first) } else { self.files().nth(i) };
            let array = archive.then_some(input.name.as_str());
            Some(Part { path: &file?.path, array, input })
        };
        given.all().iter().enumerate().filter_map(part).collect()
    }

    /// The same, of which one file is a text: the tokenizer makes all inputs from it.
    fn of_text(&self, text: &NamedFile) -> Result<Self, Error> {
        match self.files().find(|file| file.path != text.path) {
            Some(other) => {
                let name = other.name.clone().unwrap_or_else(|| other.path.display().to_string());
                Err(TextError::Conflict { name }.into())
            }
            None => Ok(Self { stem: self.stem.clone(), ..Self::one(&text.path) }),
        }
    }

    /// The same with the files in the order of the model's inputs.
    fn ordered(&self, given: &Given) -> Result<Self, Error> {
        let known = || format!("the inputs that are given are {}", given.names());
        let unused = |file: &NamedFile| file.name.as_ref().is_some_and(|name| given.is_unused(name));
        if self.files().any(unused) {
            let mut files = self.files().filter(|file| !unused(file)).cloned();
            let first = files.next().ok_or_else(|| {
                Error::user("the output depends on none of the inputs that files are given for".to_owned(), known())
            })?;
            return Self { stem: self.stem.clone(), first, others: files.collect() }.ordered(given);
        }
        for name in self.files().filter_map(|file| file.name.as_deref()) {
            if given.all().iter().all(|input| input.name != name) {
                return Err(Error::user(format!("the model takes no input '{}'", shown(name)), known()));
            }
        }
        if let Some(text) = self.files().find(|file| is_text(&file.path)) {
            return self.of_text(text);
        }
        let [first, others @ ..] = given.all() else { return Ok(self.clone()) };
        let unnamed = self.files().find(|file| file.name.is_none());
        match (unnamed, others.is_empty()) {
            // The name of the only input says nothing.
            (_, true) if self.others.is_empty() => {
                let first = NamedFile { name: None, path: self.first.path.clone() };
                return Ok(Self { first, ..self.clone() });
            }
            (Some(_), false) if self.is_archive() => return Ok(self.clone()),
            (Some(file), _) => {
                let message = format!("'{}': for which input of the model is it?", file.path.display());
                let help = format!("{}: name each, -i NAME=FILE, or give an .npz file with an array for each", known());
                return Err(Error::user(message, help));
            }
            (None, _) => {}
        }
        let of = |input: &GivenInput| {
            let file = self.files().find(|file| file.name.as_ref() == Some(&input.name)).cloned();
            file.ok_or_else(|| {
                let message = format!("no file is given for the input '{}'", shown(&input.name));
                Error::user(
                    message,
                    format!("{}: give each with -i NAME=FILE, or fix it with --fix NAME=VALUE", known()),
                )
            })
        };
        let (first, others) = (of(first)?, others.iter().map(of).collect::<Result<_, _>>()?);
        Ok(Self { stem: stem(&first.path), first, others })
    }
}

/// The inputs of a run: the files of these patterns, paired in their order where inputs of the model are named.
///
/// # Errors
/// When a pattern matches nothing; when there are more files for one input than for another; and when two inputs would write results of the
/// same name.
pub fn sets(patterns: &[Pattern]) -> Result<Vec<FileSet>, Error> {
    let mut groups: Vec<(Option<&str>, Vec<PathBuf>)> = Vec::new();
    for Pattern { name, path } in patterns {
        match groups.iter_mut().find(|(other, _)| *other == name.as_deref()) {
            Some((_, paths)) => paths.push(path.clone()),
            None => groups.push((name.as_deref(), vec![path.clone()])),
        }
    }
    let mut columns = Vec::new();
    for (name, paths) in groups {
        columns.push((name, files_of(&paths)?));
    }
    let Some(((name, first), others)) = columns.split_first() else { return Ok(Vec::new()) };
    let shown_name =
        |name: &Option<&str>| name.map_or_else(|| "inputs without a name".to_owned(), |n| format!("'{n}'"));
    if let Some((other, files)) = others.iter().find(|(_, files)| files.len() != first.len()) {
        let message =
            format!("{} files for {}, {} for {}", first.len(), shown_name(name), files.len(), shown_name(other));
        return Err(Error::user(message, "files of several inputs are paired in their order: give as many of each"));
    }
    let named = |name: &Option<&str>, path: &PathBuf| NamedFile { name: name.map(str::to_owned), path: path.clone() };
    let sets = first.iter().enumerate().map(|(i, path)| FileSet {
        others: others.iter().filter_map(|(name, files)| Some(named(name, files.get(i)?))).collect(),
        ..FileSet { first: named(name, path), ..FileSet::one(path) }
    });
    let mut sets: Vec<FileSet> = sets.collect();
    name_results(&mut sets)?;
    Ok(sets)
}

/// The inputs with their files in the order of the model's inputs.
///
/// # Errors
/// When an input of the model has no file, or a file no input.
pub fn in_order(sets: &[FileSet], given: &Given) -> Result<Vec<FileSet>, Error> {
    let mut sets = sets.iter().map(|set| set.ordered(given)).collect::<Result<Vec<_>, _>>()?;
    name_results(&mut sets)?;
    Ok(sets)
}

/// Gives inputs stems that differ: of files of equal names in several folders, with as many of these folders before the name as that takes.
fn name_results(sets: &mut [FileSet]) -> Result<(), Error> {
    let mut depths = vec![0; sets.len()];
    loop {
        let mut users: HashMap<&str, Vec<usize>> = HashMap::new();
        for (i, set) in sets.iter().enumerate() {
            users.entry(&set.stem).or_default().push(i);
        }
        let collide: HashSet<usize> = users.into_values().filter(|users| users.len() > 1).flatten().collect();
        if collide.is_empty() {
            return Ok(());
        }
        let before: Vec<String> = sets.iter().map(|set| set.stem.clone()).collect();
        for &i in &collide {
            if let (Some(set), Some(depth)) = (sets.get_mut(i), depths.get_mut(i)) {
                *depth += 1;
                set.stem = below(&set.first.path, *depth);
            }
        }
        // No folder is left that could tell them apart.
        if sets.iter().map(|set| &set.stem).eq(&before) {
            let mut equal = collide.iter().copied().collect::<Vec<_>>();
            equal.sort_unstable();
            let paths: Vec<String> = equal
                .iter()
                .filter_map(|&i| sets.get(i))
                .filter(|set| equal.first().and_then(|&i| sets.get(i)).is_some_and(|first| first.stem == set.stem))
                .take(2)
                .map(|set| format!("'{}'", set.path().display()))
                .collect();
            let stem = equal.first().and_then(|&i| sets.get(i)).map(|set| stem(set.path())).unwrap_or_default();
            return Err(Error::user(
                format!("{} would both write '{stem}.…'", paths.join(" and ")),
                "explain them into different folders, or rename one",
            ));
        }
    }
}

/// The stem of a file with the names of this number of folders before it.
fn below(path: &Path, folders: usize) -> String {
    let above = path.parent().into_iter().flat_map(Path::components).rev();
    let names = above.filter_map(|part| match part {
        std::path::Component::Normal(name) => OsStr::to_str(name).map(str::to_owned),
        _ => None,
    });
    let mut parts: Vec<String> = names.take(folders).collect();
    parts.reverse();
    parts.push(stem(path));
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    fn stems(sets: &[FileSet]) -> Vec<&str> {
        sets.iter().map(FileSet::stem).collect()
    }

    #[test]
    fn a_name_is_told_from_a_path() {
        let folder = folder(&["a=b.npy"]);
        let whole = folder.path().join("a=b.npy");
        assert_eq!(Pattern::parse(&whole), Pattern { name: None, path: whole.clone() });
        assert_eq!(Pattern::parse("x=c.npy".as_ref()), Pattern { name: Some("x".into()), path: "c.npy".into() });
        assert_eq!(Pattern::parse("=c.npy".as_ref()), Pattern { name: None, path: "=c.npy".into() });
        assert_eq!(Pattern::parse("c.npy".as_ref()), Pattern { name: None, path: "c.npy".into() });
    }

    #[test]
    fn files_of_several_inputs_are_paired() {
        let folder = folder(&["l/1.npy", "l/2.npy", "r/1.npy", "r/2.npy"]);
        let pattern = |name: &str, path: &str| Pattern { name: Some(name.into()), path: folder.path().join(path) };
        let sets = sets(&[pattern("left", "l"), pattern("right", "r/2.npy"), pattern("right", "r/1.npy")]).unwrap();
        assert_eq!(stems(&sets), ["1", "2"]);
        let files: Vec<_> = sets[0].files().map(|file| (file.name.as_deref().unwrap(), file.path.clone())).collect();
        assert_eq!(files, [("left", folder.path().join("l/1.npy")), ("right", folder.path().join("r/2.npy"))]);
        let error = super::sets(&[pattern("left", "l"), pattern("right", "r/2.npy")]).unwrap_err();
        assert!(error.to_string().contains("2 files for 'left', 1 for 'right'"), "{error}");
    }

    #[test]
    fn equal_names_in_several_folders_differ_by_the_folder() {
        let folder = folder(&["set/cat/1.png", "set/dog/1.png", "set/dog/2.png", "set/dog/old/1.png"]);
        let of = |path: &str| Pattern { name: None, path: folder.path().join(path) };
        assert_eq!(stems(&sets(&[of("set")]).unwrap()), ["cat-1", "dog-1", "2", "old-1"]);
        assert_eq!(stems(&sets(&[of("set/dog/1.png"), of("set/dog/2.png")]).unwrap()), ["1", "2"]);
        std::fs::write(folder.path().join("set/cat/1.npy"), "").unwrap();
        let error = sets(&[of("set/cat")]).unwrap_err();
        assert!(error.to_string().contains("would both write"), "{error}");
    }
}
