//! The files of an output folder: their names, and how they are written.
//!
//! Each is written under another name and renamed when it is complete, so that whatever ends the program, no file looks finished that
//! is not.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use lrp::{Error, Given};
use lrp_render::{Canvas, Format};

use crate::hash;
use crate::input::{self, FileSet};
use crate::manifest::FileRecord;

/// The manifest.
pub const MANIFEST: &str = "manifest.json";

/// The journal of a run that has not come to its end.
pub const JOURNAL: &str = "manifest.partial.jsonl";

/// The project for ViRelAy, the one folder within an output folder.
pub const VIRELAY: &str = "virelay";

/// The arrays for Quantus.
pub const QUANTUS: &str = "quantus.npz";

/// Maximum number of bytes of a stem: file systems allow 255 for a name, and the rest is for extensions.
const LONGEST_STEM: usize = 195;

/// Maximum number of characters of the name of a model's input in the names of files.
const LONGEST_INPUT: usize = 20;

/// The stem of the results of a file: its name without its extension, shortened if names would become too long.
pub fn stem(input: &Path) -> String {
    shortened(&input::stem(input), LONGEST_STEM)
}

/// The stem of the results of an input of a run.
pub fn stem_of(set: &FileSet) -> String {
    shortened(set.stem(), LONGEST_STEM)
}

/// A name of at most this many bytes: of a longer one, the start and a digest.
fn shortened(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    let digest = hash::of_bytes(name.as_bytes());
    let mark: String = digest.chars().take(12).collect();
    let mut end = most - mark.len() - 1;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{mark}", name.get(..end).unwrap_or_default())
}

/// Maximum number of bytes of a node's name in the name of a file.
const LONGEST_PART: usize = 100;

/// Maximum number of bytes of a stem and a node's name together.
const LONGEST_BOTH: usize = LONGEST_STEM + 36;

/// A name, of a node for example, as a part of file names: what separates folders, and what file systems do not allow, becomes `_`.
pub fn plain_part(name: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || "-_.~+".contains(c) { c } else { '_' };
    let part: String = name.trim_matches(['/', '.']).chars().map(safe).collect();
    shortened(if part.is_empty() { "node" } else { &part }, LONGEST_PART)
}

/// Whether this is the name of a file, and nothing else: names from journals and manifests, which may come from anywhere, are used only
/// if it is.
pub fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let only = matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
    only && !name.contains(['/', '\\', '\0'])
}

/// The path of a file that a manifest names, if it is within the folder.
pub fn within(dir: &Path, name: &str) -> Option<PathBuf> {
    match name.split_once('/') {
        Some((VIRELAY, name)) if is_plain(name) => {
            let folder = dir.join(VIRELAY);
            let is_folder = fs::symlink_metadata(&folder).is_ok_and(|meta| meta.is_dir());
            is_folder.then(|| folder.join(name))
        }
        _ => is_plain(name).then(|| dir.join(name)),
    }
}

/// Whether explaining an input of this stem can write a file of this name.
pub fn is_result_of(stem: &str, name: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.') && is_result(rest))
}

/// Whether a name is that of an input's result.
pub fn is_result(name: &str) -> bool {
    const ENDINGS: [&str; 7] = [
        ".relevance.npy",
        ".ledger.npy",
        ".heatmap.png",
        ".heatmap.svg",
        ".heatmap.html",
        ".relevance.npz",
        ".relevance.safetensors",
    ];
    ENDINGS.iter().any(|ending| name.ends_with(ending)) || is_relevance(name) || is_inside(name)
}

/// Whether a name is that of relevance inside the network.
pub fn is_inside(name: &str) -> bool {
    name.contains(".at.") && name.ends_with(".npy")
}

/// Whether a name is that of a relevance file, of the one explained input of the model or of one of several.
fn is_relevance(name: &str) -> bool {
    name.ends_with(".npy") && name.contains(".relevance.")
}

/// The state of a result since it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Unchanged.
    Same,
    /// It is gone.
    Missing,
    /// It has other contents.
    Changed,
}

/// Compares a result with its record.
pub fn state(dir: &Path, record: &FileRecord) -> State {
    let Some(path) = within(dir, &record.path) else { return State::Missing };
    match fs::symlink_metadata(&path) {
        Err(_) => State::Missing,
        Ok(meta) if meta.is_file() && hash::of_file(&path).is_ok_and(|sha256| sha256 == record.sha256) => State::Same,
        Ok(_) => State::Changed,
    }
}

/// The relevance of an input.
pub fn relevance(stem: &str) -> String {
    format!("{stem}.relevance.npy")
}

/// The relevance of an input at a node inside the network.
pub fn inside(stem: &str, key: &str) -> String {
    format!("{stem}.at.{}.npy", shortened(key, LONGEST_BOTH.saturating_sub(stem.len())))
}

/// The stem of the heatmap of a map inside the network, given that of the input's.
pub fn map(stem: &str, key: &str) -> String {
    // A digest takes 13 bytes.
    format!("{stem}.at.{}", shortened(key, LONGEST_BOTH.saturating_sub(stem.len()).max(14)))
}

/// The relevance of one of several explained inputs of the model, of this name in files.
pub fn relevance_of(stem: &str, input: &str) -> String {
    format!("{stem}.relevance.{input}.npy")
}

/// The names of the explained inputs of a model in the names of files, if there are several: what a file system or a shell could take for
/// something else is `_`, and no two are equal.
pub fn input_names(given: &Given) -> Vec<String> {
    if given.explained().nth(1).is_none() {
        return Vec::new();
    }
    let mut names: Vec<String> = Vec::new();
    for input in given.explained() {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let name: String = input.name.chars().map(plain).take(LONGEST_INPUT).collect();
        let numbered = (2..).map(|i| format!("{name}-{i}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !names.contains(name));
        names.push(free.unwrap_or(name));
    }
    names
}

/// The results in a folder that a run has written for an input of this stem alone, finished or not, but for pictures.
pub fn arrays_in(dir: &Path, stem: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_array = |name: &String| {
        let complete = name.strip_suffix(".part").unwrap_or(name);
        let rest = complete
            .strip_prefix(stem)
            .filter(|rest| rest.starts_with(".relevance.") || rest.starts_with(".at.") || *rest == ".ledger.npy");
        rest.is_some_and(|rest| rest.ends_with(".npy"))
    };
    names.filter(is_array).collect()
}

/// The ledger of an input, layer by layer.
pub fn ledger(stem: &str) -> String {
    format!("{stem}.ledger.npy")
}

/// The report.
pub const REPORT: &str = "report.html";

/// The heatmap of this stem, in a format.
pub fn heatmap(stem: &str, format: Format) -> String {
    format!("{stem}.heatmap.{}", format.extension())
}

/// The piece of HTML beside a heatmap of text.
pub fn html(stem: &str) -> String {
    format!("{stem}.heatmap.html")
}

/// The name of a file until it is complete.
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
) -> Result<(), Error> {
    let fail = |e: String| unwritable(path, &e);
    let mut file = BufWriter::new(create(path)?);
    write(&mut file).map_err(|e| fail(e.to_string()))?;
    file.flush().map_err(|e| fail(e.to_string()))?;
    drop(file);
    finish(path)
}

/// Writes a result that is in memory, into a folder; gives its record.
///
/// # Errors
/// When it cannot be written.
pub fn save(dir: &Path, name: String, bytes: &[u8]) -> Result<FileRecord, Error> {
    write(&dir.join(&name), |file| file.write_all(bytes))?;
    Ok(FileRecord { path: name, sha256: hash::of_bytes(bytes) })
}

/// The record of a result that was written.
///
/// # Errors
/// When it cannot be read.
pub fn record(dir: &Path, name: &str) -> Result<FileRecord, Error> {
    let path = dir.join(name);
    let sha256 = hash::of_file(&path)
        .map_err(|e| Error::plain(format!("cannot read '{}', which was just written: {e}", path.display())))?;
    Ok(FileRecord { path: name.to_owned(), sha256 })
}

/// Makes a file that is not complete yet. An existing file is removed, not written to: it may be a link to another file.
///
/// # Errors
/// When it cannot be made.
pub fn create(path: &Path) -> Result<File, Error> {
    let part = unfinished(path);
    create_new(&part).map_err(|e| unwritable(path, &e))
}

/// Makes a file in place of the one that may be there.
pub fn create_new(path: &Path) -> io::Result<File> {
    // If this fails, so does the next step, and its reason is the one to tell.
    let _ = fs::remove_file(path);
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

/// Opens a file that an earlier run has left, never through a link, nor one that has another name somewhere else.
pub fn open_own(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let mut options = options.clone();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let linked = || io::Error::other("it is a link, or no regular file; remove it");
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(linked());
    }
    let file = options.open(path)?;
    let meta = file.metadata()?;
    #[cfg(unix)]
    let is_alone = std::os::unix::fs::MetadataExt::nlink(&meta) == 1;
    #[cfg(not(unix))]
    let is_alone = true;
    if meta.is_file() && is_alone { Ok(file) } else { Err(linked()) }
}

/// Gives a complete file its name.
///
/// # Errors
/// When it cannot be renamed.
pub fn finish(path: &Path) -> Result<(), Error> {
    fs::rename(unfinished(path), path).map_err(|e| unwritable(path, &e))
}

/// Takes its name from a complete file, so that it can be written to again.
///
/// # Errors
/// When it cannot be renamed.
pub fn reopen(path: &Path) -> Result<(), Error> {
    fs::rename(path, unfinished(path)).map_err(|e| unwritable(path, &e))
}

/// Removes a file, if it is there.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::user(format!("cannot remove '{}': {e}", path.display()), "check the folder's permissions"))
        }
        _ => Ok(()),
    }
}

/// The error of a file that cannot be written.
pub fn unwritable(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::user(
        format!("cannot write '{}': {why}", path.display()),
        "check the folder's permissions and the free space; with --resume, what is done need not be done again",
    )
}

/// The format of a figure, which its name ends in.
///
/// # Errors
/// When it ends in none.
pub fn figure_format(path: &Path) -> Result<Format, Error> {
    Format::of(path).ok_or_else(|| {
        let message = format!("a figure is a PNG or SVG file, and '{}' is neither", path.display());
        Error::user(message, "let its name end in .png or .svg")
    })
}

/// Writes a figure in the format that its name ends in, and makes its folder.
///
/// # Errors
/// When that fails.
pub fn save_figure(figure: &Canvas, path: &Path) -> Result<(), Error> {
    let bytes = figure.encode(figure_format(path)?)?;
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::plain(format!("cannot make the folder '{}': {e}", folder.display())))?;
    }
    fs::write(path, bytes)
        .map_err(|e| Error::user(format!("cannot write '{}': {e}", path.display()), "choose another file with -o"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_no_names() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.heatmap.png", "ä b", "..a", "a..", "a:b"] {
            assert!(is_plain(name), "{name}");
            assert_eq!(within(dir.path(), name), Some(dir.path().join(name)));
        }
        for name in
            ["", ".", "..", "/a", "../a", "a/../b", "a/b", "./a", "a/", "a\\b", "a\0", "virelay/../a", "virelay/"]
        {
            assert!(!is_plain(name) && within(dir.path(), name).is_none(), "{name}");
        }
        assert_eq!(within(dir.path(), "virelay/a"), None);
        fs::create_dir(dir.path().join(VIRELAY)).unwrap();
        assert_eq!(within(dir.path(), "virelay/a"), Some(dir.path().join("virelay/a")));
    }

    #[test]
    fn long_names_are_shortened_and_stay_different() {
        let long = |end: &str| stem(Path::new(&format!("{}{end}.png", "ä".repeat(120))));
        assert!(long("1").len() <= LONGEST_STEM && long("1") != long("2"), "{}", long("1"));
        assert_eq!(long("1"), long("1"));
        assert_eq!(stem(Path::new("folder/short.png")), "short");
        let inside = |key: &str| inside(&"s".repeat(LONGEST_STEM), key);
        let key = plain_part(&"x".repeat(300));
        assert!(inside(&key).len() < 250 && inside(&key) != inside(&format!("{key}~2")), "{}", inside(&key));
        assert_eq!(super::inside("nine", "layer3"), "nine.at.layer3.npy");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("precious"), "precious").unwrap();
        std::os::unix::fs::symlink(path("precious"), path("a.part")).unwrap();
        fs::hard_link(path("precious"), path("b.part")).unwrap();
        for name in ["a", "b"] {
            assert!(open_own(&unfinished(&path(name)), OpenOptions::new().write(true)).is_err());
            write(&path(name), |file| file.write_all(b"new")).unwrap();
            assert_eq!(fs::read(path(name)).unwrap(), b"new");
        }
        assert_eq!(fs::read(path("precious")).unwrap(), b"precious");
        assert!(open_own(&path("a"), OpenOptions::new().read(true)).is_ok());
    }
}
