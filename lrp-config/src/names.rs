//! `names = …`: nodes by globs over their names.
//!
//! `*` matches anything, `/` and `.` included, since node names are no paths (`/features/features.0/Conv`); `?` matches one
//! character, `[ab]` one of several, `{a,b}` one of several words. A glob must match the whole name: `conv1` does not match
//! `conv10`. A node has the name that `lrp layers` shows, and others, where the file tells them: its own name in the file, that of
//! PyTorch's module (`layer1.0.conv1` of `/layer1/layer1.0/conv1/Conv`). A glob that matches one of them means the node.

use std::borrow::Cow;
use std::str::FromStr;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use lrp_core::Scalar;
use lrp_core::graph::Node;
use lrp_core::text::shown;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};

use crate::values::ValueError;

/// Braces within braces: the library goes down into them without a limit of its own.
const DEEPEST: usize = 16;
/// Characters of a glob.
const LONGEST: usize = 4096;

/// One glob to the right of `names =`.
#[derive(Debug, Clone)]
pub struct NameGlob {
    text: String,
    // A set of one: the library's matcher for a single glob panics where the expression behind it becomes too large.
    glob: GlobSet,
}

impl PartialEq for NameGlob {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl NameGlob {
    /// Whether this name is meant.
    fn matches(&self, name: &str) -> bool {
        self.glob.is_match(name)
    }

    /// Whether a node is meant, by any of its names.
    pub(crate) fn means<T: Scalar>(&self, node: &Node<T>) -> bool {
        node.names().any(|name| self.matches(name))
    }

    /// The glob as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads a glob; an error explains the mistake.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.chars().nth(LONGEST).is_some() {
            return Err(format!("it has more than {LONGEST} characters"));
        }
        if depth(text) > DEEPEST {
            return Err(format!("it has more than {DEEPEST} braces within braces"));
        }
        let glob = GlobBuilder::new(text).literal_separator(false).build();
        let set = glob.and_then(|glob| GlobSetBuilder::new().add(glob).build());
        let glob = set.map_err(|error| error.kind().to_string())?;
        Ok(Self { text: text.to_owned(), glob })
    }
}

/// The maximum depth of nested braces, literal ones included.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The error names the glob and gives a fix.
impl FromStr for NameGlob {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        NameGlob::parse(text).map_err(|error| {
            ValueError::new(format_args!("'{}' is no glob: {}", shown(text), shown(&error)))
                .help("write [[] for a literal '[', [*] for a literal '*'")
        })
    }
}

impl<'de> Deserialize<'de> for NameGlob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(Error::custom)
    }
}

impl Serialize for NameGlob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
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
    fn a_glob_that_is_too_large_is_an_error() {
        for (glob, why) in [
            ("{".repeat(245) + &"}".repeat(245), "braces within braces"),
            ("{".repeat(100_000), "characters"),
            ("{a,".repeat(500), "braces within braces"),
            ("[a-z]".repeat(5000), "characters"),
        ] {
            let error = NameGlob::parse(&glob).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(matches("{a,{b,{c,d*}}}", "dense"));
        // Whatever fits either works or is an error.
        for unit in ["[!a-z]", "*?", "{a,b}", "\\u{10ffff}", "[\u{0}-\u{10ffff}]"] {
            let glob: String = unit.repeat(LONGEST / unit.chars().count());
            let _ = NameGlob::parse(&glob).map(|glob| glob.matches("conv1"));
        }
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
