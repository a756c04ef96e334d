//! No output may be an input: every command that writes a file asks here first.
//!
//! Files are compared by identity, not by name: a symbolic or a hard link to an input is the input.

use std::fs;
use std::path::{Path, PathBuf};

use lrp::{Error, Loaded};
use lrp_config::Recipe;
use lrp_core::Scalar;

use crate::files;

/// The identity of a file.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

fn identity(path: &Path) -> Option<Identity> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
    }
    #[cfg(not(unix))]
    {
        fs::canonicalize(path).ok()
    }
}

/// The files that a command reads.
#[derive(Debug, Default)]
pub struct Guard {
    inputs: Vec<(Identity, &'static str, PathBuf)>,
}

impl Guard {
    /// Without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// With these files, which are `what`: "an input". Those that do not exist need no guard.
    pub fn with<P: AsRef<Path>>(mut self, what: &'static str, paths: impl IntoIterator<Item = P>) -> Self {
        for path in paths {
            let path = path.as_ref();
            self.inputs.extend(identity(path).map(|identity| (identity, what, path.to_path_buf())));
        }
        self
    }

    /// With the files of a model.
    pub fn with_model<T: Scalar>(self, loaded: &Loaded<T>) -> Self {
        let (model, external) = loaded.files.split_at(loaded.files.len().min(1));
        self.with("the model", model.iter().map(|file| file.path()))
            .with("the model's weights", external.iter().map(|file| file.path()))
    }

    /// With the files of a recipe.
    pub fn with_recipe(self, recipe: &Recipe) -> Self {
        self.with("the recipe", recipe.sources().map(lrp_config::Source::name))
            .with("the labels", recipe.model().labels.as_ref())
    }

    /// Refuses to write a file that is read.
    ///
    /// # Errors
    /// When the output is one of the inputs.
    pub fn check(&self, output: &Path) -> Result<(), Error> {
        for path in [output.to_path_buf(), files::unfinished(output)] {
            let Some((what, input)) = self.find(&path) else { continue };
            return Err(Error::user(
                format!("'{}' would be written over: it is {what} '{}'", path.display(), input.display()),
                "choose another output with -o",
            ));
        }
        Ok(())
    }

    /// The input that a file is, if it is one.
    pub fn find(&self, path: &Path) -> Option<(&'static str, &Path)> {
        let identity = identity(path)?;
        let found = self.inputs.iter().find(|(other, ..)| *other == identity);
        found.map(|(_, what, input)| (*what, input.as_path()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_found_under_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a"), "").unwrap();
        fs::write(path("b"), "").unwrap();
        let guard = Guard::new().with("an input", [path("a"), path("missing")]);
        assert!(guard.check(&path("a")).is_err() && guard.check(&path("b")).is_ok());
        assert!(guard.check(&path("missing")).is_ok());
        assert!(guard.check(&folder.path().join(".").join("a")).is_err());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path("a"), path("symbolic")).unwrap();
            fs::hard_link(path("a"), path("hard.part")).unwrap();
            assert!(guard.check(&path("symbolic")).is_err() && guard.check(&path("hard")).is_err());
        }
    }
}
