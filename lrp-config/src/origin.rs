//! Where a layer's rule comes from.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::on_unknown::OnUnknown;
use crate::source::Source;

/// Who decided the rule of a node. `Display` says it: `configs/a.toml:12 (entry 2)`, `preset epsilon-plus, entry 1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An entry of a recipe.
    Entry(Place),
    /// No entry: an operator without weights of its own gets `norm`.
    Default,
    /// No entry: the node would have no relevance behaviour, and the caller chose its rule.
    OnUnknown(OnUnknown),
}

/// The position of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The recipe that contains it, which with `extends` is not always the one that was loaded.
    pub source: Arc<Source>,
    /// Its number among that recipe's own entries, from 1.
    pub number: usize,
    /// Its head, `[[assign]]`, in bytes of the source.
    pub span: Range<usize>,
    /// Its rule, in bytes of the source.
    pub rule: Range<usize>,
}

impl Place {
    /// The line of the entry's head, from 1.
    pub fn line(&self) -> usize {
        self.source.position(self.span.start).0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.source.is_preset() {
            format!("{}, entry {}", self.source.name(), self.number)
        } else {
            format!("{}:{} (entry {})", self.source.name(), self.line(), self.number)
        };
        f.pad(&text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Entry(place) => place.fmt(f),
            Origin::Default => f.pad("default (norm for weightless operators)"),
            Origin::OnUnknown(rule) => f.pad(&format!("--on-unknown {rule}")),
        }
    }
}
