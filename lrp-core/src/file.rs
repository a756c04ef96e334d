//! The only function through which files are read: regular files only, with a size limit for each kind.
//!
//! A pipe blocks until somebody writes into it, a device can go on for ever, and a file of many gigabytes is no recipe. All of them are
//! refused before anything is read. A file can grow while it is read, so the limit counts then as well.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// A kind of file, and the maximum number of bytes that are read of one.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Its name, with the article.
    what: &'static str,
    bytes: u64,
}

const MIB: u64 = 1 << 20;

impl Limit {
    /// A recipe. The largest that people write have a few thousand lines.
    pub const RECIPE: Self = Self { what: "a recipe", bytes: MIB };
    /// Labels: one for each class.
    pub const LABELS: Self = Self { what: "a file of labels", bytes: 16 * MIB };
    /// The tokens of an input.
    pub const TOKENS: Self = Self { what: "a file of tokens", bytes: 64 * MIB };
    /// A tokenizer. The vocabularies of the largest have some hundred thousand words.
    pub const TOKENIZER: Self = Self { what: "a tokenizer", bytes: 256 * MIB };
    /// Texts: one on each line.
    pub const TEXTS: Self = Self { what: "a file of texts", bytes: 64 * MIB };
    /// A table of numbers.
    pub const TABLE: Self = Self { what: "a table", bytes: 256 * MIB };
    /// An image, compressed.
    pub const IMAGE: Self = Self { what: "an image", bytes: 256 * MIB };
    /// An `.npz` archive. `.npy` files have no limit: they are read a few samples at a time.
    pub const ARCHIVE: Self = Self { what: "an .npz archive", bytes: 4096 * MIB };
    /// A manifest or a journal: some 500 bytes for each sample.
    pub const RECORD: Self = Self { what: "a manifest", bytes: 4096 * MIB };

    /// A limit for another kind of file.
    pub const fn new(what: &'static str, bytes: u64) -> Self {
        Self { what, bytes }
    }

    fn check(self, length: u64) -> Result<()> {
        if length <= self.bytes {
            return Ok(());
        }
        let message = format!("it has {}, and {} may have {}", Bytes(length), self.what, Bytes(self.bytes));
        Err(Error::new(ErrorKind::FileTooLarge, message))
    }
}

/// Opens a regular file for reading.
///
/// # Errors
/// When there is none, or it is a folder, a pipe, a socket or a device.
pub fn open(path: &Path) -> Result<File> {
    // Before it is opened: that alone can wait for ever, or make a device do something.
    check_regular(&std::fs::metadata(path)?)?;
    let mut options = File::options();
    options.read(true);
    // A pipe may have taken the file's place since.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file.
///
/// # Errors
/// As [`open`], and when it is larger than the limit.
pub fn read(path: &Path, limit: Limit) -> Result<Vec<u8>> {
    let file = open(path)?;
    limit.check(file.metadata()?.len())?;
    let mut bytes = Vec::new();
    // The length that the system states is no promise: files grow, and those of /proc have none.
    file.take(limit.bytes + 1).read_to_end(&mut bytes)?;
    limit.check(bytes.len() as u64)?;
    Ok(bytes)
}

/// Reads a regular file of text.
///
/// # Errors
/// As [`read`], and when it is not UTF-8: the position of the first wrong byte is named.
pub fn read_text(path: &Path, limit: Limit) -> Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|error| {
        let bytes = error.as_bytes();
        let why = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16".to_owned(),
            _ => {
                let (before, rest) = bytes.split_at(error.utf8_error().valid_up_to());
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                format!("it is not UTF-8, see byte 0x{:02x} in line {line}", rest.first().unwrap_or(&0))
            }
        };
        Error::new(ErrorKind::InvalidData, format!("{why}; save it as UTF-8"))
    })
}

fn check_regular(metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let what = if metadata.is_dir() { "it is a folder" } else { special(metadata) };
    Err(Error::new(ErrorKind::Unsupported, format!("{what}; only regular files are read")))
}

#[cfg(unix)]
fn special(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    if kind.is_fifo() {
        "it is a pipe: write what comes out of it into a file first"
    } else if kind.is_socket() {
        "it is a socket"
    } else {
        "it is a device"
    }
}

#[cfg(not(unix))]
fn special(_: &Metadata) -> &'static str {
    "it is no file"
}

/// A number of bytes in words: `512 bytes`, `1.5 MiB`.
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} bytes", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut units = UNITS.into_iter();
        let mut unit = units.next();
        while value >= 1024.0 {
            value /= 1024.0;
            unit = units.next();
        }
        let digits = if value.fract() == 0.0 { 0 } else { 1 };
        write!(f, "{value:.digits$} {}", unit.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own; `lrp-core` does without a crate for that.
    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("lrp-core-file-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_read() {
        let path = folder("large").join("a");
        let limit = Limit::new("a test", 3);
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(read(&path, limit).unwrap(), b"abc");
        std::fs::write(&path, "abcd").unwrap();
        assert_eq!(read(&path, limit).unwrap_err().to_string(), "it has 4 bytes, and a test may have 3 bytes");
        // A terabyte that is nowhere on the disk.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = read(&path, Limit::RECIPE).unwrap_err();
        assert_eq!(error.to_string(), "it has 1 TiB, and a recipe may have 1 MiB");
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn only_regular_files_are_opened() {
        let folder = folder("regular");
        let (pipe, link) = (folder.join("pipe"), folder.join("link"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for (path, why) in [
            (pipe.as_path(), "a pipe"),
            (link.as_path(), "a device"),
            (Path::new("/dev/null"), "a device"),
            (folder.as_path(), "a folder"),
        ] {
            let error = read(path, Limit::RECIPE).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("only regular files are read"), "{error}");
        }
        assert_eq!(open(&folder.join("none")).unwrap_err().kind(), ErrorKind::NotFound);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_without_a_length_is_read_up_to_the_limit() {
        assert!(!read(Path::new("/proc/self/status"), Limit::RECIPE).unwrap().is_empty());
        assert!(read(Path::new("/proc/self/status"), Limit::new("a test", 10)).is_err());
    }

    #[test]
    fn text_that_is_not_utf8_names_the_place() {
        let path = folder("text").join("a");
        for (bytes, expected) in [
            (&b"a\nb\xe9"[..], "it is not UTF-8, see byte 0xe9 in line 2; save it as UTF-8"),
            (b"\xff\xfea\0", "it is UTF-16; save it as UTF-8"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read_text(&path, Limit::RECIPE).unwrap_err().to_string(), expected);
        }
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn bytes_are_counted_in_words() {
        let words = [0, 1023, 1024, 1536, 1 << 20, 5 << 30, u64::MAX].map(|n| Bytes(n).to_string());
        assert_eq!(words, ["0 bytes", "1023 bytes", "1 KiB", "1.5 KiB", "1 MiB", "5 GiB", "16 EiB"]);
    }
}
