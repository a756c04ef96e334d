//! Paths as a recipe writes them: relative to its own folder, with `/` on every system.

use std::path::{Component, Path, PathBuf};

use lrp::Error;

/// The folder that paths are relative to.
#[derive(Debug)]
pub struct Base(PathBuf);

impl Base {
    /// The folder of a file that is going to be written, or the current one.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn of(file: Option<&Path>) -> Result<Self, Error> {
        let folder = match file.and_then(Path::parent) {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        folder.canonicalize().map(Self).map_err(|error| {
            let help = "make it first, or write the recipe elsewhere";
            Error::user(format!("cannot write into the folder '{}': {error}", folder.display()), help)
        })
    }

    /// Checks that a recipe can hold a path: it is text in UTF-8, and names of files need not be.
    ///
    /// # Errors
    /// Names the path that cannot be written down.
    pub fn check(&self, path: &Path) -> Result<(), Error> {
        let relative = resolved(path).and_then(|path| pathdiff::diff_paths(path, &self.0));
        if relative.as_deref().unwrap_or(path).to_str().is_some() {
            return Ok(());
        }
        let message =
            format!("the path '{}' is not UTF-8, and a recipe is: it could not name this file", path.display());
        Err(Error::user(message, "rename the file, or the folder that it is in, and make the recipe then"))
    }

    /// A path, a pattern of paths among them, as seen from the folder; as it is where there is no way (on another drive).
    pub fn path(&self, path: &Path) -> String {
        let path =
            resolved(path).and_then(|path| pathdiff::diff_paths(path, &self.0)).unwrap_or_else(|| path.to_owned());
        if path.is_absolute() {
            return path.display().to_string();
        }
        let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
    }
}

/// The absolute path, links followed as far as there are files: the rest is a pattern's.
fn resolved(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let mut there = path.as_path();
    while !there.exists() {
        there = there.parent()?;
    }
    let rest = path.strip_prefix(there).ok()?;
    // `..` after something that is not there would be taken for a name.
    let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
    plain
        .then(|| there.canonicalize().ok())?
        .map(|there| if rest.as_os_str().is_empty() { there } else { there.join(rest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::create_dir_all(at("c")).unwrap();
        std::fs::write(at("c/net.onnx"), "").unwrap();
        let base = Base::of(Some(&at("a/b/recipe.toml"))).unwrap();
        assert_eq!(base.path(&at("c/net.onnx")), "../../c/net.onnx");
        assert_eq!(base.path(&at("c/*.png")), "../../c/*.png");
        assert_eq!(base.path(&at("a/b")), ".");
        assert_eq!(base.path(&at("a/b/../net.onnx")), "../net.onnx");
        assert!(Base::of(Some(&at("none/recipe.toml"))).is_err());
        base.check(&at("c/net.onnx")).unwrap();
        #[cfg(unix)]
        {
            let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"n\xe9t.onnx");
            std::fs::write(folder.path().join(name), "").unwrap();
            assert!(base.check(&folder.path().join(name)).unwrap_err().to_string().contains("is not UTF-8"));
        }
        // Where the output goes need not be there yet.
        assert_eq!(Base::of(None).unwrap().path(Path::new("src/of/nothing.rs")), "src/of/nothing.rs");
    }
}
