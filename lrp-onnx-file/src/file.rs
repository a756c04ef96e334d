//! Reading files: the model through a memory map, weights that are stored beside it, and a diagnosis of whatever turns
//! out not to be an ONNX model.
//!
//! Small files are read into memory: whatever is written to them later changes nothing here. Larger ones are mapped, and watched: see
//! [`ModelFile`].
//!
//! Memory: `raw_data` stays in the map, and its pages are released when they have been read; weights stay there for good. What is decoded takes
//! a few times its size in the file. The worst is a file of nothing but empty tensors: each takes two bytes there and some 230 here, before a growing
//! list's slack.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use bytes::Bytes;
#[cfg(unix)]
use memmap2::UncheckedAdvice;
use memmap2::{Mmap, MmapMut};
use prost::Message;

use crate::error::{ErrorKind, shown};
use crate::proto::{ModelProto, StringStringEntryProto};

/// The maps there are, so that pages of them can be told from other memory.
static MAPS: Mutex<Vec<Weak<Region>>> = Mutex::new(Vec::new());

/// Bytes from which on the system is told.
const WORTH_IT: usize = 64 << 10;

/// Files up to this size are read instead of mapped. Reading so much takes a few hundredths of a second.
const COPIED: u64 = 64 << 20;

/// Memory that bytes refer to.
struct Region {
    map: Mmap,
    /// Whether its pages are a file's, and are read again after their release.
    of_file: bool,
}

/// A region that bytes refer to.
struct Mapped(Arc<Region>);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0.map
    }
}

/// A file that a model was read from: the model itself, or weights beside it.
///
/// Where the file was read into memory, its contents are those of [`read`](Self::read) for good. Where it is mapped, weights are read from
/// it as long as the model lives, so it must not be written to: [`stamp`](Self::stamp) tells. A file that is truncated while it is mapped
/// can end the process (SIGBUS); `no_map` among the options of `lrp-onnx` avoids that.
#[derive(Clone)]
pub struct ModelFile {
    path: PathBuf,
    bytes: Bytes,
    /// None if the file was read into memory. Its stamp when it was opened.
    mapped: Option<(Arc<File>, Stamp)>,
}

impl std::fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelFile").field("path", &self.path).field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl ModelFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is mapped into memory, so that writing to it changes the model.
    pub fn is_mapped(&self) -> bool {
        self.mapped.is_some()
    }

    /// Gives its contents, as they are in memory, piece by piece.
    pub fn read(&self, mut piece: impl FnMut(&[u8])) {
        for bytes in self.bytes.chunks(4 << 20) {
            piece(bytes);
            release(bytes);
        }
    }

    /// The stamp of the mapped file when it was opened.
    pub fn opened(&self) -> Option<Stamp> {
        self.mapped.as_ref().map(|(_, opened)| *opened)
    }

    /// The stamp of the mapped file now: it has not been written to between two equal stamps. None where it is not mapped.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn stamp(&self) -> io::Result<Option<Stamp>> {
        self.mapped.as_ref().map(|(file, _)| file.metadata().map(|meta| Stamp::new(&meta))).transpose()
    }
}

/// Size and times of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// When its contents, name or permissions changed: no program can set it back.
    changed: (i64, i64),
}

impl Stamp {
    fn new(meta: &Metadata) -> Self {
        #[cfg(unix)]
        let changed = {
            use std::os::unix::fs::MetadataExt;
            (meta.ctime(), meta.ctime_nsec())
        };
        #[cfg(not(unix))]
        let changed = (0, 0);
        Self { length: meta.len(), modified: meta.modified().ok(), changed }
    }

    /// Whether size and time of the last writing are those of the other stamp. Contents may differ all the same where the stamps do.
    pub fn seems_unwritten(&self, since: &Self) -> bool {
        (self.length, self.modified) == (since.length, since.modified)
    }
}

/// Lets go of the pages of a mapped file that were read: until then they count as memory of this process, and a model would need twice
/// its size while it is imported. Bytes that are no part of a map are left as they are.
pub fn release(bytes: &[u8]) {
    if bytes.len() < WORTH_IT {
        return;
    }
    #[cfg(unix)]
    if let Some((region, offset)) = map_of(bytes).filter(|(region, _)| region.of_file) {
        // SAFETY: the map is a read-only one of a file: pages that are read again come from the file again. Advice that is not taken
        // changes nothing.
        #[allow(unsafe_code)]
        let _ = unsafe { region.map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, bytes.len()) };
    }
}

/// Whether these bytes are a part of a file that is in memory for good.
pub fn is_mapped(bytes: &[u8]) -> bool {
    map_of(bytes).is_some()
}

/// The map that these bytes are a part of, and where they are in it.
fn map_of(bytes: &[u8]) -> Option<(Arc<Region>, usize)> {
    let maps = MAPS.lock().unwrap_or_else(PoisonError::into_inner);
    maps.iter().filter_map(Weak::upgrade).find_map(|region| {
        let offset = (bytes.as_ptr() as usize).checked_sub(region.map.as_ptr() as usize)?;
        (offset + bytes.len() <= region.map.len()).then_some((region, offset))
    })
}

/// Brings a file into memory: reads it if it is small, or if `no_map`, and maps it otherwise.
pub fn open(path: &Path, no_map: bool) -> io::Result<ModelFile> {
    open_up_to(path, if no_map { u64::MAX } else { COPIED })
}

fn open_up_to(path: &Path, copied: u64) -> io::Result<ModelFile> {
    let file = lrp_core::file::open(path)?;
    let meta = file.metadata()?;
    let model_file = |bytes, mapped| ModelFile { path: path.to_path_buf(), bytes, mapped };
    if meta.len() == 0 {
        return Ok(model_file(Bytes::new(), None));
    }
    if meta.len() <= copied {
        let map = copy(file, meta.len())?;
        return Ok(model_file(registered(Region { map, of_file: false }), None));
    }
    // SAFETY: the map is read-only and private to this process. A writer that truncates the file while it is mapped
    // could still raise SIGBUS; every memory-mapping reader has that. A writer that changes it is noticed by `stamp`.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(&file)? };
    Ok(model_file(registered(Region { map, of_file: true }), Some((Arc::new(file), Stamp::new(&meta)))))
}

/// The contents of a file of this number of bytes, in memory of its own.
fn copy(mut file: File, length: u64) -> io::Result<Mmap> {
    let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut map = MmapMut::map_anon(length)?;
    file.read_exact(&mut map)?;
    map.make_read_only()
}

fn registered(region: Region) -> Bytes {
    let region = Arc::new(region);
    let mut maps = MAPS.lock().unwrap_or_else(PoisonError::into_inner);
    maps.retain(|region| region.strong_count() > 0);
    maps.push(Arc::downgrade(&region));
    Bytes::from_owner(Mapped(region))
}

/// Maps a file, however small it is.
#[cfg(test)]
pub fn map(path: &Path) -> io::Result<Bytes> {
    open_up_to(path, 0).map(|file| file.bytes)
}

impl ModelFile {
    /// What the file contains.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Decodes a model, or says what the bytes are instead.
pub fn decode(bytes: &Bytes) -> Result<ModelProto, ErrorKind> {
    if bytes.is_empty() {
        return Err(ErrorKind::NotOnnx("the file is empty".into()));
    }
    if let Some(what) = recognise(bytes) {
        return Err(ErrorKind::NotOnnx(what.into()));
    }
    if let Some(reason) = truncated(bytes) {
        return Err(ErrorKind::Truncated(reason));
    }
    let model = ModelProto::decode(bytes.clone()).map_err(|error| {
        let advice = "export it again with the framework's own ONNX exporter";
        ErrorKind::NotOnnx(format!("it does not decode ({}); {advice}", shown(&error.to_string())))
    })?;
    if model.graph.is_none() {
        return Err(ErrorKind::NotOnnx("it has no graph; is it another kind of protobuf file?".into()));
    }
    Ok(model)
}

/// The format of the bytes, if their beginning shows it.
fn recognise(bytes: &[u8]) -> Option<&'static str> {
    const EXPORT: &str = "it looks like a zip archive, such as PyTorch's .pt and Keras's .keras files; export the model to \
                          ONNX first (torch.onnx.export, tf2onnx)";
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|b| b.starts_with(magic));
    if starts(b"PK\x03\x04") {
        Some(EXPORT)
    } else if starts(b"\x89HDF\r\n\x1a\n") {
        Some("it looks like HDF5, as Keras's .h5 files are; export the model to ONNX first (tf2onnx)")
    } else if at(4, b"TFL3") {
        Some("it looks like TensorFlow Lite; export the original model to ONNX, or convert it with tf2onnx --tflite")
    } else if starts(b"\x80\x02") || starts(b"\x80\x03") || starts(b"\x80\x04") || starts(b"\x80\x05") {
        Some("it looks like a Python pickle, such as PyTorch's old .pt files; export the model with torch.onnx.export")
    } else if starts(b"\x89PNG\r\n\x1a\n") {
        Some("it looks like a PNG image; were the model and the input swapped?")
    } else if starts(b"\xff\xd8\xff") {
        Some("it looks like a JPEG image; were the model and the input swapped?")
    } else if starts(b"\x93NUMPY") {
        Some("it looks like a NumPy array (.npy); were the model and the input swapped?")
    } else if starts(b"version https://git-lfs") {
        Some("it is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`")
    } else if starts(b"GGUF") {
        Some("it looks like GGUF; only ONNX models can be read")
    } else if at(8, b"{\"") {
        Some("it looks like safetensors, which holds weights but no network; export the model to ONNX")
    } else {
        let text = bytes.iter().position(|b| !b.is_ascii_whitespace()).and_then(|i| bytes.get(i..))?;
        if text.starts_with(b"{") || text.starts_with(b"[{") {
            Some("it looks like JSON; export the model to ONNX")
        } else if text.starts_with(b"<") {
            Some("it looks like HTML or XML; was a web page downloaded in place of the model?")
        } else {
            None
        }
    }
}

/// Walks the fields of the outermost message: one that runs past the end tells of a truncated file.
fn truncated(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (key, after) = varint(rest)?;
        let field = key >> 3;
        rest = match key & 7 {
            0 => varint(after)?.1,
            1 => after.get(8..)?,
            5 => after.get(4..)?,
            2 => {
                let (length, body) = varint(after)?;
                let fits = usize::try_from(length).ok().and_then(|n| body.get(n..));
                // A file that starts with nonsense is not truncated, it is something else.
                let known = matches!(field, 2..=4 | 6..=8 | 14 | 20 | 25);
                match fits {
                    Some(next) => next,
                    None if known && length < 1 << 40 => {
                        return Some(format!(
                            "its {} should have {length} bytes, and {} of {} are there",
                            if field == 7 { "graph" } else { "header" },
                            body.len(),
                            bytes.len()
                        ));
                    }
                    None => return None,
                }
            }
            _ => return None,
        };
    }
    None
}

/// Splits a variable-length integer off the front.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i).min(63);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(i + 1..)?));
        }
    }
    None
}

/// Tensors that are stored in files of their own, next to the model.
#[derive(Debug, Default)]
pub struct External {
    folder: Option<PathBuf>,
    no_map: bool,
    files: HashMap<PathBuf, ModelFile>,
}

impl External {
    /// For a model at `path`; without a path there is no folder to look in.
    pub fn beside(path: Option<&Path>, no_map: bool) -> Self {
        let folder = path.map(|p| match p.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        });
        Self { folder, no_map, files: HashMap::new() }
    }

    /// The files that have been read, by their paths.
    pub fn into_files(self) -> Vec<ModelFile> {
        let mut files: Vec<ModelFile> = self.files.into_values().collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// The bytes that a tensor's `external_data` entries name.
    ///
    /// The path must stay inside the model's folder: no absolute path, no `..`, no symbolic link that leads out.
    pub fn read(&mut self, entries: &[StringStringEntryProto]) -> Result<Bytes, String> {
        let entry = |key: &str| entries.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let number = |key: &str| {
            entry(key).map(|v| v.parse::<usize>().map_err(|_| format!("has an external {key} of '{}'", shown(v))))
        };
        let location = entry("location").ok_or("is stored in another file, but does not say which")?;
        let offset = number("offset").transpose()?.unwrap_or(0);
        let length = number("length").transpose()?;
        let bytes = self.file(location)?;
        let end = length.map_or(Some(bytes.len()), |n| offset.checked_add(n));
        match end {
            Some(end) if offset <= end && end <= bytes.len() => Ok(bytes.slice(offset..end)),
            _ => Err(format!(
                "is said to stand at byte {offset} of '{}', which has {} bytes; is the file complete?",
                shown(location),
                bytes.len()
            )),
        }
    }

    fn file(&mut self, location: &str) -> Result<Bytes, String> {
        let outside = || format!("lies in '{}', outside the model's folder, where nothing is read", shown(location));
        let folder = self.folder.as_ref().ok_or("is stored in another file; load the model from its path instead")?;
        let relative = Path::new(location);
        if location.is_empty() || relative.components().any(|c| !matches!(c, Component::Normal(_) | Component::CurDir))
        {
            return Err(outside());
        }
        let missing = |error: std::io::Error| {
            format!("is stored in '{}' beside the model, which cannot be read: {error}", shown(location))
        };
        // Both resolved, so that a symbolic link cannot lead out.
        let root = folder.canonicalize().map_err(missing)?;
        let path = root.join(relative).canonicalize().map_err(missing)?;
        if !path.starts_with(&root) {
            return Err(outside());
        }
        if let Some(file) = self.files.get(&path) {
            return Ok(file.bytes.clone());
        }
        let mut file = open(&path, self.no_map).map_err(missing)?;
        // As a person would write it.
        file.path = if folder.as_os_str() == "." { relative.to_path_buf() } else { folder.join(relative) };
        let bytes = file.bytes.clone();
        self.files.insert(path, file);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        decode(&Bytes::copy_from_slice(bytes)).unwrap_err().to_string()
    }

    #[test]
    fn released_pages_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let contents: Vec<u8> = (0..100_000).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &contents).unwrap();
        let bytes = map(&path).unwrap();
        for part in [&bytes[..], &bytes[1..70_000], &bytes[99_999..], &bytes[..0]] {
            release(part);
            assert_eq!(bytes, contents);
        }
        // Memory that is not a file's would be lost.
        release(&contents);
        assert_eq!(bytes, contents);
    }

    #[test]
    fn a_file_that_was_read_stays_what_it_was_and_one_that_is_mapped_tells_of_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let contents = vec![7; 100_000];
        let read = |file: &ModelFile| {
            let mut bytes = Vec::new();
            file.read(|piece| bytes.extend_from_slice(piece));
            bytes
        };
        std::fs::write(&path, &contents).unwrap();
        for copied in [0, 99_999] {
            let file = open_up_to(&path, copied).unwrap();
            assert!(file.is_mapped() && read(&file) == contents);
            let stamp = file.opened().unwrap();
            assert_eq!(file.stamp().unwrap(), Some(stamp));
            std::fs::write(&path, vec![8; 100_000]).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
            assert!(!file.stamp().unwrap().unwrap().seems_unwritten(&stamp));
            std::fs::write(&path, &contents).unwrap();
        }
        for file in [open_up_to(&path, 100_000).unwrap(), open(&path, true).unwrap(), open(&path, false).unwrap()] {
            assert!(is_mapped(file.bytes()) && !file.is_mapped() && file.stamp().unwrap().is_none());
            release(file.bytes());
            std::fs::write(&path, "shorter").unwrap();
            assert_eq!(read(&file), contents);
            std::fs::write(&path, &contents).unwrap();
        }
    }

    #[test]
    fn other_formats_are_recognised() {
        for (bytes, what) in [
            (&b""[..], "empty"),
            (b"PK\x03\x04....", "PyTorch"),
            (b"\x89HDF\r\n\x1a\n....", "Keras"),
            (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
            (b"\x89PNG\r\n\x1a\n....", "PNG"),
            (b"  {\"a\": 1}", "JSON"),
            (b"<!DOCTYPE html>", "web page"),
            (b"\x80\x02}q", "pickle"),
            (b"\x93NUMPY\x01\0", "NumPy"),
            (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "does not decode"),
            (b"\x08\x08", "no graph"),
        ] {
            let text = refusal(bytes);
            assert!(text.contains("is not an ONNX model") && text.contains(what), "{bytes:?}: {text}");
        }
    }

    #[test]
    fn a_truncated_file_says_what_is_missing() {
        // ir_version = 8, then a graph of 100 bytes of which 3 are there.
        let text = refusal(b"\x08\x08\x3a\x64abc");
        assert_eq!(
            text,
            "is truncated: its graph should have 100 bytes, and 3 of 7 are there; copy or download it again"
        );
    }

    fn entries(list: &[(&str, &str)]) -> Vec<StringStringEntryProto> {
        list.iter().map(|(k, v)| StringStringEntryProto { key: (*k).into(), value: (*v).into() }).collect()
    }

    #[test]
    fn external_data_stays_in_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("weights.bin"), b"0123456789").unwrap();
        std::fs::write(root.path().join("secret"), b"secret").unwrap();
        let mut external = External::beside(Some(&folder.join("m.onnx")), false);
        let mut read = |list: &[(&str, &str)]| external.read(&entries(list));
        assert_eq!(read(&[("location", "weights.bin"), ("offset", "2"), ("length", "3")]).unwrap(), "234");
        assert_eq!(read(&[("location", "./weights.bin")]).unwrap(), "0123456789");
        for (list, reason) in [
            (&[("location", "../secret")][..], "outside"),
            (&[("location", "/etc/passwd")], "outside"),
            (&[("location", "a/../../secret")], "outside"),
            (&[("location", "")], "outside"),
            (&[("location", "missing.bin")], "cannot be read"),
            (&[], "does not say which"),
            (&[("location", "weights.bin"), ("offset", "8"), ("length", "3")], "10 bytes"),
            (&[("location", "weights.bin"), ("offset", "11")], "10 bytes"),
            (&[("location", "weights.bin"), ("length", "18446744073709551615"), ("offset", "1")], "10 bytes"),
            (&[("location", "weights.bin"), ("offset", "-1")], "external offset"),
        ] {
            let text = read(list).unwrap_err();
            assert!(text.contains(reason), "{list:?}: {text}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.path().join("secret"), folder.join("link")).unwrap();
            assert!(external.read(&entries(&[("location", "link")])).unwrap_err().contains("outside"));
        }
        assert!(External::beside(None, false).read(&entries(&[("location", "weights.bin")])).is_err());
    }
}
