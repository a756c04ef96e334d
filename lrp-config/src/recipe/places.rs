//! The positions of the keys of a recipe's sections, for errors that are found later: a model that is not there, a class that no label
//! has.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, RecipeError};
use crate::fix::Fix;
use crate::reader::KeySpans;
use crate::recipe::Recipe;
use crate::source::Source;
use crate::suggest::closest_file;

/// The values of keys by `section.key`, in the recipe itself or in those that it extends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(BTreeMap<String, (Arc<Source>, Range<usize>)>);

impl Places {
    /// The values of these keys of a text.
    pub fn new(source: &Arc<Source>, keys: KeySpans) -> Self {
        Self(keys.into_iter().map(|(key, span)| (key, (Arc::clone(source), span))).collect())
    }

    /// Takes the positions of keys that are not given here.
    pub fn inherit(&mut self, parent: Places) {
        for (key, place) in parent.0 {
            self.0.entry(key).or_insert(place);
        }
    }

    /// The position of a key's value or of a section.
    pub fn get(&self, key: &str) -> Option<(&Arc<Source>, Range<usize>)> {
        self.0.get(key).map(|(source, span)| (source, span.clone()))
    }

    /// As [`get`](Self::get), if it is in this text.
    pub fn within(&self, source: &Arc<Source>, key: &str) -> Option<Range<usize>> {
        self.get(key).filter(|(found, _)| Arc::ptr_eq(found, source)).map(|(_, span)| span)
    }
}

impl Recipe {
    /// An error about the value of a key, named `section.key`: message, help, and the replacement (as TOML), if that
    /// is known.
    pub fn diagnose_key(&self, key: &str, message: &str, help: &str, instead: Option<String>) -> RecipeError {
        let problem = match self.places().get(key) {
            Some((source, span)) => {
                let fix = instead.map(|value| Fix::replace(span.clone(), value));
                Diagnostic::at(source, span, message).fix(fix)
            }
            None => Diagnostic::about(self.source(), message),
        };
        problem.help(help).into()
    }

    /// An error about a file that a key names and that is not there, with the file that was probably meant.
    pub fn missing_file(&self, key: &str, path: &Path) -> RecipeError {
        let message = format!("there is no file '{}'", path.display());
        let meant = closest_file(path);
        let help = match &meant {
            Some(meant) => format!("did you mean '{}'?", meant.display()),
            None => "paths are relative to the recipe's own folder".to_owned(),
        };
        let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let problem = match (self.places().get(key), name(path)) {
            (Some((source, span)), Some(wrong)) => {
                let written = source.text().get(span.clone()).unwrap_or_default();
                // The name alone is replaced: the path to it is the user's.
                let fix = written.find(&wrong).zip(meant.as_deref().and_then(name)).map(|(at, meant)| {
                    let start = span.start + at;
                    Fix::replace(start..start + wrong.len(), meant)
                });
                Diagnostic::at(source, span, message).label("not there").fix(fix)
            }
            _ => Diagnostic::about(self.source(), message),
        };
        problem.help(help).into()
    }
}
