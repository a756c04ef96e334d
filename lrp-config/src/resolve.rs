//! A recipe meets a model: the rule of every node, and who chose it.

use std::collections::BTreeMap;
use std::sync::Arc;

use lrp_core::operator::Group;
use lrp_core::{Assignment, Model, NodeId, Rule, Scalar};

use crate::diagnostic::{Diagnostic, RecipeError};
use crate::entry::Entry;
use crate::origin::Origin;
use crate::recipe::Recipe;
use crate::rule_spec::default_norm;
use crate::source::Source;

/// The rules that a recipe gives to the nodes of one model.
#[derive(Debug, Clone)]
pub struct Resolved<T: Scalar> {
    /// The nodes that have a rule. The others keep their fixed behaviour.
    pub choices: BTreeMap<NodeId, Choice<T>>,
    /// Whether the relevance at the input is multiplied with the input.
    pub times_input: bool,
    source: Arc<Source>,
}

/// A rule, and who chose it.
#[derive(Debug, Clone)]
pub struct Choice<T: Scalar> {
    /// The rule.
    pub rule: Arc<dyn Rule<T>>,
    /// Who chose it.
    pub origin: Origin,
}

impl<T: Scalar> Resolved<T> {
    /// The rules as [`Plan::new`](lrp_core::Plan::new) takes them.
    pub fn assignment(&self) -> Assignment<T> {
        self.choices.iter().map(|(id, choice)| (*id, Arc::clone(&choice.rule))).collect()
    }

    /// An error about the rule of `node` (that it does not go with the operator, say), pointing to the entry that chose it.
    pub fn diagnose(&self, node: NodeId, message: impl Into<String>) -> RecipeError {
        let diagnostic = match self.choices.get(&node).map(|choice| &choice.origin) {
            Some(Origin::Entry(place)) => {
                Diagnostic::at(&place.source, place.rule.clone(), message).label("the rule was chosen here")
            }
            Some(Origin::Default) | None => Diagnostic::about(&self.source, message)
                .help("no entry chose this rule; one with `ops` or `names` can choose another"),
        };
        diagnostic.into()
    }
}

impl Recipe {
    /// Decides the rule of every node of a model.
    ///
    /// Entries are applied in order, the later ones overriding the earlier ones. Operators without weights of their own that
    /// no entry reaches get `norm`; activations, pooling and structural operators keep their fixed behaviour.
    ///
    /// # Errors
    /// When an entry asks for layers beyond the model, matches nothing, or has a rule that means nothing for what it matches;
    /// when a weighted layer is reached by no entry; when z-box has no bounds. All of these are reported at once.
    pub fn resolve<T: Scalar>(&self, model: &Model<T>) -> Result<Resolved<T>, RecipeError> {
        let mut problems = Vec::new();
        let mut deciding: BTreeMap<NodeId, &Entry> = BTreeMap::new();
        for entry in self.entries() {
            match entry.select(model) {
                Ok(nodes) => deciding.extend(nodes.into_iter().map(|node| (node, entry))),
                Err(problem) => problems.push(problem),
            }
        }
        // A layer may seem unreached only because its entry has a mistake.
        if problems.is_empty() {
            problems.extend(self.unreached(model, &deciding));
        }
        let mut choices = BTreeMap::new();
        for entry in self.entries() {
            let nodes: Vec<NodeId> =
                deciding.iter().filter(|(_, decider)| std::ptr::eq(**decider, entry)).map(|(id, _)| *id).collect();
            if nodes.is_empty() {
                continue;
            }
            match entry.assign.rule.get_ref().build::<T>(self.input()) {
                Ok(rule) => choices.extend(nodes.into_iter().map(|node| {
                    let origin = Origin::Entry(entry.place.clone());
                    (node, Choice { rule: Arc::clone(&rule), origin })
                })),
                Err(problem) => problems.push(entry.unbuildable(problem)),
            }
        }
        RecipeError::check(problems)?;
        let norm = default_norm::<T>().map_err(|error| Diagnostic::about(self.source(), error.to_string()))?;
        for (id, node) in model.nodes() {
            if node.kind().is_some_and(|kind| kind.group() == Group::Weightless) {
                choices.entry(id).or_insert_with(|| Choice { rule: Arc::clone(&norm), origin: Origin::Default });
            }
        }
        Ok(Resolved { choices, times_input: self.times_input(), source: Arc::clone(self.source()) })
    }

    /// What to say about weighted layers that no entry reaches.
    fn unreached<T: Scalar>(&self, model: &Model<T>, deciding: &BTreeMap<NodeId, &Entry>) -> Option<Diagnostic> {
        let layers = model.layers().iter().enumerate().filter(|(_, id)| !deciding.contains_key(id));
        let names: Vec<String> = layers.map(|(i, id)| format!("{i} '{}'", model.node(*id).name)).collect();
        if names.is_empty() {
            return None;
        }
        let these = if names.len() == 1 { "this layer" } else { "these layers" };
        let message = format!("no entry gives a rule to {these}: {}", names.join(", "));
        let last_own = self.entries().iter().rev().find(|entry| Arc::ptr_eq(&entry.place.source, self.source()));
        let spot = last_own.map_or(0..0, |entry| entry.place.span.clone());
        let problem =
            Diagnostic::at(self.source(), spot, message).label("none of the entries up to this one reaches them");
        Some(problem.help("begin with an entry for all layers: one without `layers`, `ops` and `names`"))
    }
}
