//! A recipe meets a model: the rule of every node, and who chose it.

use std::collections::BTreeMap;
use std::sync::Arc;

use lrp_core::operator::{Fixed, Group};
use lrp_core::text::shown;
use lrp_core::{Assignment, Behaviour, Model, NodeId, Rule, Scalar, carriers, reached};

use crate::build::{Unbuildable, default_norm};
use crate::diagnostic::{Diagnostic, RecipeError};
use crate::entry::Entry;
use crate::fix::Fix;
use crate::on_unknown::OnUnknown;
use crate::origin::Origin;
use crate::recipe::Recipe;
use crate::source::Source;

/// The rules that a recipe gives to the nodes of one model.
#[derive(Debug, Clone)]
pub struct Resolved<T: Scalar> {
    /// The nodes that have a rule. The others keep their fixed behaviour.
    pub choices: BTreeMap<NodeId, Choice<T>>,
    /// The nodes that need a rule and have none, in topological order; none where [`Recipe::resolve`] made this.
    pub missing: Vec<NodeId>,
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
    /// The rules for [`Plan::new`](lrp_core::Plan::new).
    pub fn assignment(&self) -> Assignment<T> {
        self.choices.iter().map(|(id, choice)| (*id, Arc::clone(&choice.rule))).collect()
    }

    /// An error about the rule of `node` (that it does not go with the operator, say), pointing to the entry that chose it.
    pub fn diagnose(&self, node: NodeId, message: impl Into<String>) -> RecipeError {
        let diagnostic = match self.choices.get(&node).map(|choice| &choice.origin) {
            Some(Origin::Entry(place)) => {
                Diagnostic::at(&place.source, place.rule.clone(), message).label("the rule was chosen here")
            }
            Some(Origin::OnUnknown(rule)) => Diagnostic::about(&self.source, message).help(format!(
                "no entry chose this rule, but --on-unknown {rule}; --on-unknown gradient goes with every operator"
            )),
            Some(Origin::Default) | None => Diagnostic::about(&self.source, message)
                .help("no entry chose this rule; one with `ops` or `names` can choose another"),
        };
        diagnostic.into()
    }
}

impl<T: Scalar> Resolved<T> {
    /// A warning about the rule of `node`, pointing to the entry that chose it; nothing where no entry did.
    pub fn warning(
        &self,
        node: NodeId,
        name: &'static str,
        message: impl Into<String>,
        help: &str,
    ) -> Option<Diagnostic> {
        let Some(Origin::Entry(place)) = self.choices.get(&node).map(|choice| &choice.origin) else { return None };
        let warning = Diagnostic::at(&place.source, place.rule.clone(), message).warning(name);
        Some(warning.label("the rule was chosen here").help(help))
    }
}

impl Recipe {
    /// Decides the rule of every node of a model.
    ///
    /// Entries are applied in order, the later ones overriding the earlier ones. Operators without weights of their own that
    /// no entry reaches get `norm`; activations, pooling and structural operators keep their fixed behaviour.
    ///
    /// # Errors
    /// When an entry asks for layers beyond the model, matches nothing, or has a rule that does not apply to its matches;
    /// when a weighted layer or an operator without a relevance behaviour is reached by no entry; when z-box has no bounds. All
    /// of these are reported at once.
    pub fn resolve<T: Scalar>(&self, model: &Model<T>) -> Result<Resolved<T>, RecipeError> {
        let resolved = self.resolve_with(model, None)?;
        self.check_missing(model, &resolved)?;
        Ok(resolved)
    }

    /// As [`resolve`](Self::resolve), except that nodes that need a rule and that no entry reaches get the rule of `on_unknown`,
    /// or are listed in [`Resolved::missing`].
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), but for missing rules.
    pub fn resolve_with<T: Scalar>(
        &self,
        model: &Model<T>,
        on_unknown: Option<OnUnknown>,
    ) -> Result<Resolved<T>, RecipeError> {
        let mut problems = Vec::new();
        let mut deciding: BTreeMap<NodeId, &Entry> = BTreeMap::new();
        for entry in self.entries() {
            match entry.select(model) {
                Ok(nodes) => deciding.extend(nodes.into_iter().map(|node| (node, entry))),
                Err(problem) => problems.push(problem),
            }
        }
        let mut choices = BTreeMap::new();
        for entry in self.entries() {
            let nodes: Vec<NodeId> =
                deciding.iter().filter(|(_, decider)| std::ptr::eq(**decider, entry)).map(|(id, _)| *id).collect();
            if nodes.is_empty() {
                continue;
            }
            let spec = entry.assign.rule.get_ref();
            let made = spec.build::<T>(self.input()).and_then(|rule| {
                let at = |node| {
                    let own = spec.build_at(self.input(), model, node)?;
                    let origin = Origin::Entry(entry.place.clone());
                    Ok((node, Choice { rule: own.unwrap_or_else(|| Arc::clone(&rule)), origin }))
                };
                nodes.into_iter().map(at).collect::<Result<Vec<_>, Unbuildable>>()
            });
            match made {
                Ok(made) => choices.extend(made),
                Err(Unbuildable::NoBounds) => problems.push(self.no_bounds(entry)),
                Err(problem) => problems.push(entry.unbuildable(problem)),
            }
        }
        // A layer may seem unreached only because its entry has a mistake.
        RecipeError::check(problems)?;
        let norm = default_norm::<T>();
        let is_constant = |id| {
            let choice: Option<&Choice<T>> = choices.get(&id);
            choice.is_some_and(|choice| choice.rule.behaviour() == Behaviour::Constant)
        };
        let carriers = carriers(model, &is_constant);
        let mut missing = Vec::new();
        for (id, node) in model.nodes() {
            let Some(op) = node.op().filter(|_| !choices.contains_key(&id)) else { continue };
            let choice = match (op.kind().group(), on_unknown) {
                _ if op.fixed() != Fixed::RuleNeeded => continue,
                // Nothing arrives there.
                (Group::Undefined, _) if !reached(node, &carriers) => continue,
                (Group::Weightless, _) => Choice { rule: Arc::clone(&norm), origin: Origin::Default },
                (_, Some(rule)) => Choice { rule: rule.rule(), origin: Origin::OnUnknown(rule) },
                (_, None) => {
                    missing.push(id);
                    continue;
                }
            };
            choices.insert(id, choice);
        }
        Ok(Resolved { choices, missing, times_input: self.times_input(), source: Arc::clone(self.source()) })
    }

    /// Checks that every node has a rule that needs one.
    ///
    /// # Errors
    /// When nodes are missing, naming all of them with a fix.
    pub fn check_missing<T: Scalar>(&self, model: &Model<T>, resolved: &Resolved<T>) -> Result<(), RecipeError> {
        let (layers, others): (Vec<NodeId>, Vec<NodeId>) =
            resolved.missing.iter().partition(|id| model.layer_index(**id).is_some());
        let mut problems = Vec::new();
        if !layers.is_empty() {
            problems.push(self.unreached(model, &layers));
        }
        if !others.is_empty() {
            problems.push(self.undefined(model, &others));
        }
        RecipeError::check(problems)
    }

    /// The error of a z-box without bounds: those of the model's input are missing in this recipe, wherever the entry is.
    fn no_bounds(&self, entry: &Entry) -> Diagnostic {
        let problem = entry.unbuildable(Unbuildable::NoBounds);
        let own = Arc::ptr_eq(&entry.place.source, self.source());
        if self.source().is_preset() {
            return problem;
        }
        let text = self.source().text();
        let header = self.places().within(self.source(), "input");
        let fix = match header.filter(|span| text.get(span.clone()).is_some_and(|head| head.starts_with('['))) {
            Some(head) => Some(Fix::replace(head.end..head.end, "\nrange = [0.0, 1.0]")),
            None if self.places().within(self.source(), "input").is_some() => None,
            None => {
                let first = self.own_entries().next().map(|entry| entry.place.span.start);
                let (place, before, after) = first.map_or((text.len(), "\n", ""), |first| (first, "", "\n"));
                Some(Fix::replace(place..place, format!("{before}[input]\nrange = [0.0, 1.0]\n{after}")))
            }
        };
        let extends = self.places().within(self.source(), "extends").filter(|_| !own);
        match extends {
            // The user has never seen the entry, and cannot change it.
            Some(extends) => {
                let message = format!("{} ({})", problem.message(), entry.place);
                let help = "give range = [0.0, 1.0] under [input], with the model's mean and std if it has any";
                Diagnostic::at(self.source(), extends, message).label("extended here").help(help).fix(fix)
            }
            None => problem.fix(fix.filter(|_| own)),
        }
    }

    /// The entries of this recipe itself.
    fn own_entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries().iter().filter(|entry| Arc::ptr_eq(&entry.place.source, self.source()))
    }

    /// The error of weighted layers that no entry reaches.
    fn unreached<T: Scalar>(&self, model: &Model<T>, layers: &[NodeId]) -> Diagnostic {
        let described = |id: &NodeId| {
            let index = model.layer_index(*id).map(|i| i.to_string()).unwrap_or_default();
            format!("{index} '{}'", shown(&model.node(*id).name))
        };
        let these = if layers.len() == 1 { "this layer" } else { "these layers" };
        let message = format!("no entry gives a rule to {these}: {}", list(layers.iter().map(described)));
        let spot = self.own_entries().next_back().map_or(0..0, |entry| entry.place.span.clone());
        // After the entries of a recipe that is extended, a rule for all layers would override those.
        let first = self.own_entries().next().filter(|_| self.own_entries().count() == self.entries().len());
        let fix = first.map(|entry| {
            let start = entry.place.span.start;
            Fix::replace(start..start, "[[assign]]\nrule = \"epsilon\"\n\n")
        });
        let problem =
            Diagnostic::at(self.source(), spot, message).label("none of the entries up to this one reaches them");
        problem.help("begin with an entry for all layers: one without `layers`, `ops` and `names`").fix(fix)
    }

    /// The error of operators that have no relevance behaviour.
    fn undefined<T: Scalar>(&self, model: &Model<T>, nodes: &[NodeId]) -> Diagnostic {
        let described = |id: &NodeId| {
            let node = model.node(*id);
            format!("'{}' ({})", shown(&node.name), node.kind_name())
        };
        let mut kinds: Vec<String> = nodes.iter().map(|id| format!("\"{}\"", model.node(*id).kind_name())).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let these = if nodes.len() == 1 { "this node" } else { "these nodes" };
        let message = format!(
            "what happens to relevance at {these} is not defined, and no entry says it: {}",
            list(nodes.iter().map(described))
        );
        Diagnostic::about(self.source(), message).help(format!(
            "add an entry such as `ops = [{}]` with `rule = \"gradient\"`, or pass --on-unknown gradient; it does not conserve, \
             and the ledger will record what it creates or loses",
            kinds.join(", ")
        ))
    }
}

/// Names, of which a message shows what fits a screen.
pub(crate) fn list(names: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 24;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more, which `lrp plan` lists") } else { shown }
}
