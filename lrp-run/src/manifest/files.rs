//! Records of files, with their SHA-256: the model, the recipe, results; and of the program.

use std::borrow::Cow;
use std::path::Path;

use lrp::{Error, title};
use lrp_core::file::Limit;
use serde::{Deserialize, Serialize};

use crate::hash;

/// This program.
#[derive(Debug, Serialize, Deserialize)]
pub struct Program {
    /// `lrp`.
    pub name: Cow<'static, str>,
    /// As Cargo has it.
    pub version: Cow<'static, str>,
}

impl Program {
    /// This program, in this version.
    pub const THIS: Program = Program { name: Cow::Borrowed("lrp"), version: Cow::Borrowed(env!("CARGO_PKG_VERSION")) };
}

/// A file and its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its path, as it was given.
    pub path: String,
    /// SHA-256 of its contents, in hexadecimal.
    pub sha256: String,
}

impl FileRecord {
    /// The record of a file that is read by `read`, which may be several times: it must be the same before and after.
    pub fn around<R>(
        path: &Path,
        limit: Limit,
        read: impl FnOnce() -> Result<R, Error>,
    ) -> Result<(Option<Self>, R), Error> {
        let record = || {
            let sha256 = hash::of_bytes(&lrp_core::file::read(path, limit).ok()?);
            Some(Self { path: path.display().to_string(), sha256 })
        };
        // The reader of an unreadable file reports it.
        let before = record();
        let result = read()?;
        if before.is_some() && before != record() {
            let message = format!("'{}' was written to while it was read", path.display());
            return Err(Error::user(message, "run it again when the file is complete"));
        }
        Ok((before, result))
    }
}

/// An input of the model that has the same value for every sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedRecord {
    /// Its name.
    pub name: String,
    /// Its value, as a recipe writes it.
    pub value: String,
    /// The file of the value, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileRecord>,
}

/// The files of a model.
#[derive(Debug, Serialize, Deserialize)]
pub struct ModelRecord {
    /// The model.
    #[serde(flatten)]
    pub file: FileRecord,
    /// Weights that are stored in files beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<FileRecord>,
}

/// The recipe and every recipe it extends.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecipeRecord {
    /// Its name.
    pub name: String,
    /// Its file, or `preset NAME`, and those it extends; each with its fingerprint.
    pub sources: Vec<SourceRecord>,
}

/// The text of a recipe.
#[derive(Debug, Serialize, Deserialize)]
pub struct SourceRecord {
    /// Its file, or `preset NAME`, and its fingerprint.
    #[serde(flatten)]
    pub file: FileRecord,
    /// All of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl RecipeRecord {
    /// The recipe's record.
    pub fn new(recipe: &lrp_config::Recipe) -> Self {
        let record = |s: &lrp_config::Source| SourceRecord {
            file: FileRecord { path: s.name().to_owned(), sha256: hash::of_bytes(s.text().as_bytes()) },
            text: Some(s.text().to_owned()),
        };
        Self { name: title(recipe), sources: recipe.sources().map(record).collect() }
    }
}
