//! The model's files: their state when it was read, and the check that it is unchanged.

use std::sync::{Mutex, PoisonError};

use lrp::Error;
use lrp_onnx::{ModelFile, Stamp};
use sha2::{Digest, Sha256};

use crate::hash;
use crate::manifest::{FileRecord, ModelRecord};

/// The files of a model that are mapped into memory: weights are read from them as long as the run lasts.
#[derive(Debug, Default)]
pub struct Watch {
    files: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    file: ModelFile,
    sha256: String,
    opened: Stamp,
    /// The last stamp under which the contents were what they had been.
    last: Mutex<Stamp>,
}

/// Fingerprints the bytes that a model was made of; the files that can still change it are watched from now on.
///
/// # Errors
/// When one of them has changed since it was opened.
pub fn identify(files: Vec<ModelFile>) -> Result<(ModelRecord, Watch), Error> {
    let mut records = Vec::new();
    let mut watch = Watch::default();
    for file in files {
        let sha256 = sha256(&file);
        records.push(FileRecord { path: file.path().display().to_string(), sha256: sha256.clone() });
        if let Some(opened) = file.opened() {
            watch.files.push(Watched { file, sha256, opened, last: Mutex::new(opened) });
        }
    }
    watch.check()?;
    let mut records = records.into_iter();
    let model = records.next().ok_or_else(|| Error::Internal("a model without a file".to_owned()))?;
    Ok((ModelRecord { file: model, external: records.collect() }, watch))
}

impl Watch {
    /// Checks that no file was written to since it was opened.
    ///
    /// # Errors
    /// When one was.
    pub fn check(&self) -> Result<(), Error> {
        self.files.iter().try_for_each(Watched::check)
    }
}

impl Watched {
    fn check(&self) -> Result<(), Error> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.file.stamp().ok().flatten().ok_or_else(|| self.changed())?;
        if now == *last {
            return Ok(());
        }
        // A new name or other permissions are no change, and times can be set back: contents decide.
        if !now.seems_unwritten(&self.opened) || sha256(&self.file) != self.sha256 {
            return Err(self.changed());
        }
        *last = now;
        Ok(())
    }

    fn changed(&self) -> Error {
        Error::user(
            format!("'{}' was written to while it was in use", self.file.path().display()),
            "run it again when the file is complete; what was explained before that is of the model as it was. With --no-mmap, the \
             file is read as a whole before anything is explained",
        )
    }
}

fn sha256(file: &ModelFile) -> String {
    let mut hash = Sha256::new();
    file.read(|piece| hash.update(piece));
    hash::hex(&hash.finalize())
}
