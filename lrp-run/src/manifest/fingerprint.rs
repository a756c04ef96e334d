//! The identity of a run, so that only the same run is continued.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Everything that results depend on, the inputs excepted. Batches and threads are no part of it: results do not depend on them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint(Map<String, Value>);

impl Fingerprint {
    /// The differences to another run: names.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        names.filter(|name| self.0.get(*name) != other.0.get(*name)).cloned().collect()
    }
}
