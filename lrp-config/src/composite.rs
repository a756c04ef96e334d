//! A composite: the entries of `[[assign]]` and the keys before them, made in Rust or read from a recipe.

mod head;
mod print;

use std::sync::Arc;

use lrp_core::ParameterError;
use thiserror::Error;
use toml::Spanned;

use crate::any_rule::AnyRule;
use crate::build::Unbuildable;
use crate::entry::Entry;
use crate::format::Assign;
use crate::origin::Place;
use crate::reader::KeySpans;
use crate::selector::Layers;
use crate::source::Source;
use crate::values::OneOrMany;

pub(crate) use self::head::Head;
pub(crate) use self::print::NAME;

/// The rule of each layer: entries, of which later ones override earlier ones.
///
/// It is what a recipe is read into, up to its sections, and what can be made without one. [`Recipe::from`](crate::Recipe) makes it a recipe; printed, it is the
/// text of one.
///
/// ```
/// use lrp_config::{Composite, Layers};
/// use lrp_core::operator::Kind;
/// use lrp_rules::{Epsilon, Gamma, Zero};
///
/// let composite = Composite::new()
///     .assign(Layers::all(), Epsilon::default())
///     .assign(Layers::kind(Kind::Conv), Gamma { gamma: 0.5, ..Gamma::default() })
///     .assign(Layers::last(), Zero::default());
/// assert_eq!(composite.to_toml()?.parse::<Composite>()?, composite);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Parameters of rules are checked where the composite meets a model, and where it prints as TOML.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Composite {
    head: Head,
    entries: Vec<Entry>,
}

/// Why a composite does not print as TOML that reads back. Entries count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CompositeError {
    /// A recipe gives a rule to at least one layer.
    #[error("the composite has no entry")]
    Empty,
    /// No recipe can name a rule of the library's user.
    #[error("entry {entry}: the rule '{rule}' is defined outside of recipes, and none can name it")]
    OwnRule {
        /// The number of the entry.
        entry: usize,
        /// The rule, as it prints.
        rule: String,
    },
    /// A parameter of a rule is not allowed.
    #[error("entry {entry}: the rule '{rule}' is not possible: {error}")]
    Parameter {
        /// The number of the entry.
        entry: usize,
        /// The rule, as it prints.
        rule: String,
        /// The parameter, and its error.
        #[source]
        error: ParameterError,
    },
}

impl Composite {
    /// A composite without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry: these layers get this rule, whatever earlier entries say. A rule that is not in `lrp-rules` is an
    /// [`OwnRule`](crate::OwnRule).
    pub fn assign(mut self, layers: Layers, rule: impl Into<AnyRule>) -> Self {
        let Layers { indices, ops, names, attention, state_space, optional } = layers;
        let assign = Assign {
            layers: indices.map(unplaced),
            ops: ops.map(|ops| unplaced(OneOrMany(ops))),
            names: names.map(|names| unplaced(OneOrMany(names))),
            attention: attention.map(unplaced),
            state_space: state_space.map(unplaced),
            rule: unplaced(rule.into()),
            optional,
        };
        let source = Arc::new(Source::new(print::NAME, ""));
        let place = Place { source, number: self.entries.len() + 1, span: 0..0, rule: 0..0 };
        self.entries.push(Entry { place, assign, rule_keys: KeySpans::new() });
        self
    }

    /// Multiplies the relevance at the input with the input, as gradient × input does.
    pub fn times_input(mut self, yes: bool) -> Self {
        self.head.times_input = Some(yes);
        self
    }

    /// Gives it a name, which titles its heatmaps in figures.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.head.name = Some(name.into());
        self
    }

    /// Says what it is for.
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.head.description = Some(description.into());
        self
    }

    /// The rules, in the order of their entries.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &AnyRule> {
        self.entries.iter().map(|entry| entry.assign.rule.get_ref())
    }

    /// The composite as a recipe, which reads back as an equal composite.
    ///
    /// # Errors
    /// When a rule is defined outside of recipes, or has parameters that are not allowed; and when there is no entry.
    pub fn to_toml(&self) -> Result<String, CompositeError> {
        if self.entries.is_empty() {
            return Err(CompositeError::Empty);
        }
        for (i, rule) in self.rules().enumerate() {
            let (entry, shown) = (i + 1, || rule.to_string());
            match (rule, rule.check()) {
                (AnyRule::Own(_), _) => return Err(CompositeError::OwnRule { entry, rule: shown() }),
                (_, Err(Unbuildable::Parameter(error))) => {
                    return Err(CompositeError::Parameter { entry, rule: shown(), error });
                }
                _ => {}
            }
        }
        Ok(self.to_string())
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// A composite as a text has it.
    pub(crate) fn read(head: Head, entries: Vec<Entry>) -> Self {
        Self { head, entries }
    }

    /// Puts the entries of another composite before these, and takes from it what is not given here.
    pub(crate) fn extend(&mut self, parent: Composite) {
        self.entries.splice(0..0, parent.entries);
        self.head.inherit(&parent.head);
    }
}

/// Whether they mean the same: the same rules for the same layers, and the same factor at the input, wherever they come from and however they are
/// called.
impl PartialEq for Composite {
    fn eq(&self, other: &Self) -> bool {
        self.head.times_input() == other.head.times_input()
            && self.entries.len() == other.entries.len()
            && self.entries.iter().zip(&other.entries).all(|(this, other)| this.assign == other.assign)
    }
}

/// A value that no text has yet.
fn unplaced<V>(value: V) -> Spanned<V> {
    Spanned::new(0..0, value)
}
