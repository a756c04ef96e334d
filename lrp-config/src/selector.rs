//! The layers of an entry: [`Layers`] is `layers`, `ops`, `names`, `attention`, `state_space` and `optional` of `[[assign]]`.

use std::ops::{Bound, Range, RangeBounds};

use lrp_core::operator::{Group, Kind};
use lrp_core::text::shown;
use thiserror::Error;

use crate::indices::{Indices, LayerSet};
use crate::names::NameGlob;
use crate::ops::Ops;
use crate::written::one_or_list;

/// The layers that an entry of a [`Composite`](crate::Composite) is for. Without `kind`, `group` and `named` only weighted layers are meant.
///
/// ```
/// use lrp_config::Layers;
/// use lrp_core::operator::Kind;
///
/// let lower_convolutions = Layers::percent(0.0..50.0)?.and(Layers::kind(Kind::Conv))?;
/// let classifier = Layers::named("classifier.*")?.or(Layers::named("*/fc/*")?)?.optional();
/// # Ok::<(), lrp_config::SelectorError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Layers {
    pub(crate) indices: Option<Indices>,
    pub(crate) ops: Option<Vec<Ops>>,
    pub(crate) names: Option<Vec<NameGlob>>,
    pub(crate) attention: Option<bool>,
    pub(crate) state_space: Option<bool>,
    pub(crate) optional: bool,
}

/// Why layers cannot be selected so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectorError {
    /// A glob over names cannot be read.
    #[error("'{}' is no glob: {reason}", shown(glob))]
    Glob {
        /// The glob.
        glob: String,
        /// The mistake.
        reason: String,
    },
    /// A range without layers.
    #[error("the range {0} is empty, or no percentage from 0 to 100")]
    Range(String),
    /// Selectors that `and` joins must be of different kinds.
    #[error("both give '{0}': join these with `or`")]
    Twice(&'static str),
    /// Selectors that `or` joins must be of one kind.
    #[error("one entry cannot select by the one or by the other of two kinds of selectors: assign the rule twice")]
    Different,
}

impl SelectorError {
    /// Reads a glob.
    pub(crate) fn glob(glob: &str) -> Result<NameGlob, Self> {
        NameGlob::parse(glob).map_err(|reason| SelectorError::Glob { glob: glob.to_owned(), reason })
    }
}

impl Layers {
    /// All weighted layers.
    pub fn all() -> Self {
        Self::default()
    }

    /// The weighted layers that the input reaches first.
    pub fn first() -> Self {
        Self::set(LayerSet::First)
    }

    /// The weighted layers next to the output.
    pub fn last() -> Self {
        Self::set(LayerSet::Last)
    }

    /// A weighted layer by its index, as `lrp layers` numbers them.
    pub fn index(index: usize) -> Self {
        Self::set(LayerSet::Index(index))
    }

    /// A range of weighted layers by index, in topological order.
    ///
    /// # Errors
    /// When the range is empty.
    pub fn range(range: impl RangeBounds<usize>) -> Result<Self, SelectorError> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => Some(last.saturating_add(1)),
            Bound::Excluded(end) => Some(*end),
            Bound::Unbounded => None,
        };
        Self::nonempty(LayerSet::Range { start, end })
    }

    /// A range of weighted layers in percent of their number: layer i of n where `start ≤ 100·i/n < end`.
    ///
    /// # Errors
    /// When the range is empty, or leaves 0…100.
    pub fn percent(range: Range<f64>) -> Result<Self, SelectorError> {
        let Range { start, end } = range;
        match [start, end].iter().all(|bound| (0.0..=100.0).contains(bound)) {
            true => Self::nonempty(LayerSet::Percent { start, end }),
            false => Err(SelectorError::Range(LayerSet::Percent { start, end }.to_string())),
        }
    }

    /// Operators of one kind.
    pub fn kind(kind: Kind) -> Self {
        Self { ops: Some(vec![Ops::Kind(kind)]), ..Self::default() }
    }

    /// Operators of a group of kinds, such as activations.
    pub fn group(group: Group) -> Self {
        Self { ops: Some(vec![Ops::Group(group)]), ..Self::default() }
    }

    /// Nodes by a glob over their names, which must match the whole name; `*` matches `.` and `/`, too.
    ///
    /// # Errors
    /// When it is no glob.
    pub fn named(glob: &str) -> Result<Self, SelectorError> {
        Ok(Self { names: Some(vec![SelectorError::glob(glob)?]), ..Self::default() })
    }

    /// The layers of attention, or all others: weighted layers next to a matrix product of two activations.
    pub fn attention(wanted: bool) -> Self {
        Self { attention: Some(wanted), ..Self::default() }
    }

    /// The parameters of state spaces, or all others: the exponentials that a state is multiplied with, and the weighted layers that Δ, B and C
    /// come from.
    pub fn state_space(wanted: bool) -> Self {
        Self { state_space: Some(wanted), ..Self::default() }
    }

    /// Layers that both select.
    ///
    /// # Errors
    /// When both select by index, by kind, or by name.
    pub fn and(self, other: Self) -> Result<Self, SelectorError> {
        fn either<V>(name: &'static str, this: Option<V>, other: Option<V>) -> Result<Option<V>, SelectorError> {
            match (this, other) {
                (Some(_), Some(_)) => Err(SelectorError::Twice(name)),
                (this, other) => Ok(this.or(other)),
            }
        }
        Ok(Self {
            indices: either("layers", self.indices, other.indices)?,
            ops: either("ops", self.ops, other.ops)?,
            names: either("names", self.names, other.names)?,
            attention: either("attention", self.attention, other.attention)?,
            state_space: either("state_space", self.state_space, other.state_space)?,
            optional: self.optional || other.optional,
        })
    }

    /// Layers that one of the two selects, both of which do so by index, by kind, or by name.
    ///
    /// # Errors
    /// When they select by different things.
    pub fn or(self, other: Self) -> Result<Self, SelectorError> {
        if [&self, &other].iter().any(|layers| layers.attention.is_some() || layers.state_space.is_some()) {
            return Err(SelectorError::Different);
        }
        let optional = self.optional || other.optional;
        let joined = match (self, other) {
            (
                Self { indices: Some(these), ops: None, names: None, .. },
                Self { indices: Some(those), ops: None, names: None, .. },
            ) => Self { indices: Some(these.join(those)), ..Self::default() },
            (
                Self { indices: None, ops: Some(these), names: None, .. },
                Self { indices: None, ops: Some(those), names: None, .. },
            ) => Self { ops: Some([these, those].concat()), ..Self::default() },
            (
                Self { indices: None, ops: None, names: Some(these), .. },
                Self { indices: None, ops: None, names: Some(those), .. },
            ) => Self { names: Some([these, those].concat()), ..Self::default() },
            _ => return Err(SelectorError::Different),
        };
        Ok(Self { optional, ..joined })
    }

    /// The keys of an entry that select these layers, with their values as a recipe writes them.
    pub fn to_toml(&self) -> Vec<(&'static str, String)> {
        let layers = self.indices.as_ref().map(|layers| ("layers", layers.to_string()));
        let ops = self.ops.as_ref().map(|ops| ("ops", one_or_list(ops.iter().copied().map(Ops::name))));
        let names = self.names.as_ref().map(|names| ("names", one_or_list(names.iter().map(NameGlob::text))));
        let optional = self.optional.then(|| ("optional", "true".to_owned()));
        let attention = self.attention.map(|wanted| ("attention", wanted.to_string()));
        let state_space = self.state_space.map(|wanted| ("state_space", wanted.to_string()));
        [layers, ops, names, attention, state_space, optional].into_iter().flatten().collect()
    }

    /// Permits that nothing in the model matches.
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    fn set(set: LayerSet) -> Self {
        Self { indices: Some(Indices::one(set)), ..Self::default() }
    }

    fn nonempty(set: LayerSet) -> Result<Self, SelectorError> {
        if set.is_empty() { Err(SelectorError::Range(set.to_string())) } else { Ok(Self::set(set)) }
    }
}
