//! A recipe named by another one, or on the command line: a preset, or a file.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use lrp_core::text::shown;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

use crate::preset::{self, Preset};
use crate::values::ValueError;

/// A preset, or the path of a recipe file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// One of [`presets`](crate::presets).
    Preset(&'static Preset),
    /// A file.
    File(PathBuf),
}

impl Reference {
    /// Reads what a person wrote: a preset's name (underscores accepted), or else a path, which shows by its `.toml` or by
    /// a folder in it (`./recipe`).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(preset) = preset::find(text) {
            return Some(Reference::Preset(preset));
        }
        let is_path = text.contains(['/', '\\']) || Path::new(text).extension().is_some_and(|e| e == "toml");
        is_path.then(|| Reference::File(PathBuf::from(text)))
    }

    /// Makes a relative path one below `folder`.
    pub(crate) fn join(&mut self, folder: &Path) {
        if let Reference::File(path) = self {
            *path = folder.join(&path);
        }
    }

    /// A short name to show: the preset's, or the file's without folder and extension.
    pub fn short_name(&self) -> String {
        match self {
            Reference::Preset(preset) => preset.name.to_owned(),
            Reference::File(path) => {
                path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned())
            }
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Preset(preset) => f.pad(preset.name),
            Reference::File(path) => path.display().fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Reference::parse(&text).ok_or_else(|| {
            let meant = preset::closest(&text).map(|meant| format!("\"{meant}\""));
            let error = ValueError::new(format_args!("there is no preset '{}'", shown(&text)));
            Error::custom(error.help(preset::choices(&text)).meant(meant))
        })
    }
}

impl JsonSchema for Reference {
    fn schema_name() -> Cow<'static, str> {
        "Reference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = preset::presets().iter().map(|preset| preset.name).collect();
        // Underscores are as good as hyphens, and a path shows by its `.toml` or by a folder in it.
        let spelled = names.join("|").replace('-', "[-_]");
        json_schema!({ "anyOf": [
            { "title": "preset", "type": "string", "enum": names },
            { "title": "path of a recipe", "type": "string", "pattern": format!(r"^({spelled})$|[/\\]|\.toml$") },
        ] })
    }
}
