//! From what the user names (files, folders, globs) to a list of files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use lrp::{Complaint, Error};

use super::{EXTENSIONS, extension};

/// The number of folders in each other that are looked into.
const DEPTH: usize = 64;

/// The files of these paths: files, folders (every image, array and table in them and in the folders within, by name) and globs.
///
/// # Errors
/// When a path matches nothing.
pub fn files_of(patterns: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut listed: HashSet<PathBuf> = HashSet::new();
    // All that are missing are named at once.
    let mut missing = Vec::new();
    let inputs = format!("inputs are {} files, folders with such files, or globs", EXTENSIONS.join(", "));
    for pattern in patterns {
        let found = if pattern.is_dir() {
            let mut found = Vec::new();
            list(pattern, DEPTH, &mut found)?;
            found
        } else if pattern.exists() {
            vec![pattern.clone()]
        } else if !pattern.to_string_lossy().contains(['*', '?', '[']) {
            let help = match lrp_config::closest_file(pattern) {
                Some(file) => format!("did you mean '{}'? {inputs}", file.display()),
                None => inputs.clone(),
            };
            missing.push(Complaint::new(format!("there is no file and no folder '{}'", pattern.display()), help));
            continue;
        } else {
            let text = pattern.to_string_lossy();
            let paths = glob::glob(&text).map_err(|e| {
                Error::user(
                    format!("'{text}' is no file and no valid glob: {e}"),
                    "check the path, or escape * ? and [ in it",
                )
            })?;
            paths.filter_map(Result::ok).filter(|p| p.is_file()).collect()
        };
        if found.is_empty() {
            let message = match pattern.is_dir() {
                true => format!("the folder '{}' holds no input", pattern.display()),
                false => format!("'{}' matches no file", pattern.display()),
            };
            missing.push(Complaint::new(message, &inputs));
        }
        files.extend(found.into_iter().filter(|file| listed.insert(file.clone())));
    }
    if !missing.is_empty() {
        return Err(Error::User(missing));
    }
    Ok(files)
}

/// Adds the inputs of a folder in the order of their names, then those of the folders within. Names that begin with a dot are left out.
fn list(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let listing = std::fs::read_dir(folder)
        .map_err(|e| Error::plain(format!("cannot read the folder '{}': {e}", folder.display())))?;
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let mut paths: Vec<PathBuf> = listing.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let is_input = |path: &&PathBuf| path.is_file() && EXTENSIONS.contains(&extension(path).as_str());
    found.extend(paths.iter().filter(is_input).cloned());
    // A link can lead back up.
    let mut within = paths.iter().filter(|path| !hidden(path) && !path.is_symlink() && path.is_dir());
    if depth == 0 {
        return Ok(());
    }
    within.try_for_each(|path| list(path, depth - 1, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_to_the_bottom() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.png", "a.npy", "notes.txt", "x/c.png", "x/y/d.csv", ".hidden/e.png", "empty/f.txt"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let of = |patterns: &[&str]| {
            let paths: Vec<PathBuf> = patterns.iter().map(|pattern| folder.path().join(pattern)).collect();
            let files = files_of(&paths).map_err(|e| e.to_string())?;
            let name = |file: &PathBuf| file.strip_prefix(folder.path()).unwrap().display().to_string();
            Ok::<_, String>(files.iter().map(name).collect::<Vec<_>>())
        };
        assert_eq!(of(&[""]).unwrap(), ["a.npy", "b.png", "x/c.png", "x/y/d.csv"]);
        assert_eq!(of(&["b.png", "*.png"]).unwrap(), ["b.png"]);
        assert!(of(&["*.jpg"]).is_err() && of(&["empty"]).is_err() && of(&["gone.png"]).is_err());
    }
}
