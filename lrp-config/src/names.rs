//! `names = …`: nodes by globs over their names.
//!
//! `*` matches anything, `/` and `.` included, since node names are no paths (`/features/features.0/Conv`); `?` matches one
//! character, `[ab]` one of several, `{a,b}` one of several words. A glob must match the whole name: `conv1` does not match
//! `conv10`.

use std::borrow::Cow;

use globset::{GlobBuilder, GlobMatcher};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

/// One glob to the right of `names =`.
#[derive(Debug, Clone)]
pub(crate) struct NameGlob(GlobMatcher);

impl NameGlob {
    /// Whether a node's name is meant.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }

    /// The glob as it was written.
    pub fn text(&self) -> &str {
        self.0.glob().glob()
    }

    fn parse(text: &str) -> Result<Self, globset::Error> {
        Ok(Self(GlobBuilder::new(text).literal_separator(false).build()?.compile_matcher()))
    }
}

impl<'de> Deserialize<'de> for NameGlob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        NameGlob::parse(&text).map_err(|error| {
            let help = "write [[] for a literal '[', [*] for a literal '*'";
            Error::custom(format!("'{text}' is no glob: {}\n{help}", error.kind()))
        })
    }
}

impl JsonSchema for NameGlob {
    fn schema_name() -> Cow<'static, str> {
        "NameGlob".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "title": "glob", "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(glob: &str, name: &str) -> bool {
        NameGlob::parse(glob).unwrap().matches(name)
    }

    #[test]
    fn globs_match_whole_names() {
        assert!(matches("conv1", "conv1"));
        assert!(!matches("conv1", "conv10"));
        assert!(!matches("conv", "/features/conv/Conv"));
        assert!(!matches("", "conv1"));
    }

    #[test]
    fn a_star_matches_slashes_and_dots() {
        assert!(matches("*", "/features/features.0/Conv"));
        assert!(matches("/features/*", "/features/features.0/Conv"));
        assert!(matches("*.0/*", "/features/features.0/Conv"));
        assert!(matches("{fc,dense}?", "fc1"));
        assert!(matches("a[[]0]", "a[0]"));
    }
}
