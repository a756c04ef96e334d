//! The files of an output folder: what they are called, and how they come into being.
//!
//! Each is written under another name and renamed when it is complete, so that whatever ends the program, no file looks finished that
//! is not.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The manifest.
pub const MANIFEST: &str = "manifest.json";

/// The journal of a run that has not come to its end.
pub const JOURNAL: &str = "manifest.partial.jsonl";

/// The relevance of an input.
pub fn relevance(stem: &str) -> String {
    format!("{stem}.relevance.npy")
}

/// The ledger of an input, layer by layer.
pub fn ledger(stem: &str) -> String {
    format!("{stem}.ledger.npy")
}

/// The report.
pub const REPORT: &str = "report.html";

/// The piece of HTML beside a heatmap of text.
pub fn as_html(heatmap: &str) -> String {
    format!("{}.html", heatmap.strip_suffix(".png").unwrap_or(heatmap))
}

/// What a file is called until it is complete.
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// Writes a file in one go.
///
/// # Errors
/// When it cannot be written.
pub fn write<E: std::fmt::Display>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<fs::File>) -> Result<(), E>,
) -> Result<(), Failure> {
    let part = unfinished(path);
    let fail = |e: String| unwritable(path, &e);
    let mut file = fs::File::create(&part).map(BufWriter::new).map_err(|e| fail(e.to_string()))?;
    write(&mut file).map_err(|e| fail(e.to_string()))?;
    file.flush().map_err(|e| fail(e.to_string()))?;
    drop(file);
    finish(path)
}

/// Gives a complete file its name.
///
/// # Errors
/// When it cannot be renamed.
pub fn finish(path: &Path) -> Result<(), Failure> {
    fs::rename(unfinished(path), path).map_err(|e| unwritable(path, &e))
}

/// Takes its name from a complete file, so that it can be written to again.
///
/// # Errors
/// When it cannot be renamed.
pub fn reopen(path: &Path) -> Result<(), Failure> {
    fs::rename(path, unfinished(path)).map_err(|e| unwritable(path, &e))
}

/// Removes a file, if it is there.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Failure::user(format!("cannot remove '{}': {e}", path.display()), "check the folder's permissions"))
        }
        _ => Ok(()),
    }
}

/// What is said of a file that cannot be written.
pub fn unwritable(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::user(
        format!("cannot write '{}': {why}", path.display()),
        "check the folder's permissions and the free space; with --resume, what is done need not be done again",
    )
}
