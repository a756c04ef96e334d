//! From what the user names (files, folders, globs) to a list of files.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use lrp::{Complaint, Error};

use super::{EXTENSIONS, extension, stem};

/// The files of these paths: files, folders (every image and array in them, by name) and globs.
///
/// # Errors
/// When a path matches nothing, or two files would write results of the same name.
pub fn expand(patterns: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut listed: HashSet<PathBuf> = HashSet::new();
    // All that are missing are named at once.
    let mut missing = Vec::new();
    let inputs = format!("inputs are {} files, folders with such files, or globs", EXTENSIONS.join(", "));
    for pattern in patterns {
        let found = if pattern.is_dir() {
            let listing = std::fs::read_dir(pattern)
                .map_err(|e| Error::plain(format!("cannot read the folder '{}': {e}", pattern.display())))?;
            let mut found: Vec<PathBuf> = listing
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.is_file() && EXTENSIONS.contains(&extension(path).as_str()))
                .collect();
            found.sort();
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
    let mut stems = HashMap::new();
    for file in &files {
        if let Some(other) = stems.insert(stem(file), file) {
            return Err(Error::user(
                format!("'{}' and '{}' would both write '{}.…'", other.display(), file.display(), stem(file)),
                "explain them into different folders, or rename one",
            ));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_of_one_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "a.npy"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(expand(&[folder.path().to_path_buf()]).is_err());
        assert!(expand(&[folder.path().join("*.png")]).is_ok());
        assert!(expand(&[folder.path().join("*.jpg")]).is_err());
        assert_eq!(expand(&[folder.path().join("a.png"), folder.path().join("*.png")]).unwrap().len(), 1);
    }
}
