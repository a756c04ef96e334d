//! An `[[assign]]` entry at work: the nodes of a model that it selects, and the message if it selects none.

use std::ops::Range;
use std::sync::Arc;

use lrp_core::graph::Node;
use lrp_core::operator::{Group, Kind};
use lrp_core::text::shown;
use lrp_core::{Model, NodeId, ParameterError, Scalar};
use toml::Spanned;

use crate::any_rule::{AnyRule, Domain};
use crate::attention;
use crate::build::Unbuildable;
use crate::diagnostic::Diagnostic;
use crate::fix::{Edit, Fix};
use crate::format::Assign;
use crate::likely_name::{self, LIKELY, containing, nearest};
use crate::names::NameGlob;
use crate::origin::Place;
use crate::reader::KeySpans;
use crate::source::Source;
use crate::state_space;
use crate::values::OneOrMany;

/// An entry, and its position.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub place: Place,
    pub assign: Assign,
    /// The positions of the values of the rule's keys.
    pub rule_keys: KeySpans,
}

impl Entry {
    /// The nodes that this entry gives its rule to, in topological order.
    ///
    /// # Errors
    /// When a layer is beyond the model, nothing matches, or the rule has no meaning for what matches.
    pub fn select<T: Scalar>(&self, model: &Model<T>) -> Result<Vec<NodeId>, Diagnostic> {
        let layers = self.assign.layers.as_ref().map(|layers| layers.get_ref().select(model));
        let attention = self.assign.attention.as_ref().map(|wanted| (*wanted.get_ref(), attention::layers(model)));
        let state_space = match &self.assign.state_space {
            Some(wanted) => {
                let parameters =
                    state_space::parameters(model).map_err(|product| self.unclear(model.node(product), wanted))?;
                Some((*wanted.get_ref(), parameters))
            }
            None => None,
        };
        let named = |node: &Node<T>| globs(&self.assign).is_none_or(|globs| globs.iter().any(|g| g.means(node)));
        let selected: Vec<(NodeId, &Node<T>, Kind)> = model
            .nodes()
            .filter_map(|(id, node)| Some((id, node, node.kind()?)))
            .filter(|(id, node, kind)| {
                layers.as_ref().is_none_or(|layers| layers.contains(id))
                    && self.takes(*kind)
                    && named(node)
                    && attention.as_ref().is_none_or(|(wanted, layers)| layers.contains(id) == *wanted)
                    && state_space.as_ref().is_none_or(|(wanted, layers)| layers.contains(id) == *wanted)
                    && (*kind != Kind::Preprocessing || self.means_preprocessing(model, node))
            })
            .collect();
        if !self.assign.optional {
            self.check_layers(model)?;
            // An entry for all weighted layers is right on a model that has none.
            if selected.is_empty() && !self.is_for_all() {
                return Err(self.no_match(model));
            }
        }
        let domain = self.assign.rule.get_ref().domain();
        let misfits: Vec<_> = selected.iter().filter(|(_, _, kind)| !domain.contains(*kind)).collect();
        if !misfits.is_empty() {
            return Err(self.misfit(misfits.iter().map(|(_, node, kind)| described(node, *kind))));
        }
        Ok(selected.into_iter().map(|(id, _, _)| id).collect())
    }

    /// Says why the entry's rule cannot be made.
    pub fn unbuildable(&self, problem: Unbuildable) -> Diagnostic {
        let rule = self.assign.rule.span();
        match problem {
            Unbuildable::NoBounds => self
                .at(rule, "z-box needs to know the lowest and highest values of the model's input")
                .label("no bounds are known")
                .help(self.give_bounds()),
            Unbuildable::Factor { key, message } => self
                .at(self.rule_keys.get(key).cloned().unwrap_or(rule), message)
                .label("names not one of the two inputs")
                .help(format!(
                    "give a glob that matches nodes of one input only, or the input's number ({key} = 0 or {key} = 1) in an \
                     entry for this product alone"
                )),
            Unbuildable::NumberType(name) => self
                .at(rule, format!("the rule does not compute with numbers of the type {name}"))
                .label("computes with f32 and f64"),
            Unbuildable::Parameter(error) if matches!(self.assign.rule.get_ref(), AnyRule::Own(_)) => {
                self.at(rule, error.to_string()).label(format!("not a possible {}", error.parameter))
            }
            // All that can be wrong with the division of a product: a factor that is written is one of the two inputs.
            Unbuildable::Parameter(error) if matches!(self.assign.rule.get_ref(), AnyRule::Product(_)) => self
                .at(self.rule_keys.get(error.parameter).cloned().unwrap_or(rule), error.to_string())
                .label("contradicts another key of the rule")
                .help("leave out factors where gate or signal names an input"),
            Unbuildable::Parameter(error) => {
                let spot = self.rule_keys.get(error.parameter).cloned().unwrap_or(rule);
                let (help, fix) = self.possible(&error, &spot);
                self.at(spot, error.to_string())
                    .label(format!("not a possible {}", error.parameter))
                    .help(help)
                    .fix(fix)
            }
        }
    }

    /// Says that the parameters of a state space cannot be told from its signal.
    fn unclear<T: Scalar>(&self, product: &Node<T>, key: &Spanned<bool>) -> Diagnostic {
        let message = format!(
            "the parameters of the state space at '{}' come from the same layer as its signal",
            shown(&product.name)
        );
        self.at(key.span(), message).label("cannot tell them apart").help(
            "take `rule = \"constant\"` for the nodes that have Δ, B and C, by their names, in place of `state_space`; `lrp layers` lists them",
        )
    }

    /// The possible values of a parameter, and a suggestion.
    fn possible(&self, error: &ParameterError, spot: &Range<usize>) -> (String, Option<Fix>) {
        let text = |span: &Range<usize>| self.place.source.text().get(span.clone()).unwrap_or_default();
        let number = |key: &str| text(self.rule_keys.get(key)?).parse::<f64>().ok();
        let written = self.rule_keys.contains_key(error.parameter);
        match error.parameter {
            "alpha" => {
                let alpha = number("beta").filter(|beta| *beta >= 0.0).map_or(2.0, |beta| beta + 1.0);
                let fix = written.then(|| Fix::replace(spot.clone(), alpha.to_string()));
                ("alpha is beta + 1: 2 and 1, or 1 and 0".to_owned(), fix)
            }
            "beta" => {
                let beta = number("alpha").unwrap_or(2.0) - 1.0;
                let fix = match self.rule_keys.get("alpha") {
                    _ if written => Some(Fix::replace(spot.clone(), beta.to_string())),
                    Some(alpha) => Some(Fix::replace(alpha.end..alpha.end, format!(", beta = {beta}"))),
                    None => None,
                };
                (format!("beta is alpha − 1: with this alpha, beta = {beta}"), fix)
            }
            "low" | "high" => {
                let ends = self.rule_keys.get("low").zip(self.rule_keys.get("high"));
                let swapped = ends.filter(|_| number("low") > number("high")).map(|(low, high)| {
                    let edit =
                        |span: &Range<usize>, with| Edit { span: span.clone(), replacement: text(with).to_owned() };
                    Fix::new(vec![edit(low, high), edit(high, low)])
                });
                ("low and high are numbers, or lists of one for each channel, with low below high".to_owned(), swapped)
            }
            _ => {
                let positive = text(spot).replacen('-', "", 1);
                let fix = (written && positive != text(spot)).then(|| Fix::replace(spot.clone(), positive));
                (format!("{} is a size: 0 or more", error.parameter), fix)
            }
        }
    }

    fn give_bounds(&self) -> String {
        let bounds = "range = [0.0, 1.0] under [input], with the model's mean and std if it has any";
        match self.place.source.preset_name() {
            Some(preset) => format!("write a recipe with `extends = \"{preset}\"` and {bounds}"),
            None => format!("give {bounds}; or low and high on the rule"),
        }
    }

    /// Whether no selector narrows it down.
    pub fn is_for_all(&self) -> bool {
        let Assign { layers, ops, names, attention, state_space, .. } = &self.assign;
        layers.is_none() && ops.is_none() && names.is_none() && attention.is_none() && state_space.is_none()
    }

    /// Whether operators of this kind are meant.
    fn takes(&self, kind: Kind) -> bool {
        match (&self.assign.ops, &self.assign.names) {
            (Some(ops), _) => ops.get_ref().0.iter().any(|ops| ops.contains(kind)),
            // `classifier.*` has activations among its nodes: a rule for affine operators does not mean those.
            (None, Some(_)) => self.assign.rule.get_ref().domain().contains(kind),
            (None, None) if self.assign.state_space.as_ref().is_some_and(|wanted| *wanted.get_ref()) => true,
            (None, None) => kind.group() == Group::Weighted,
        }
    }

    /// Whether preprocessing of this name, which matches, is meant. As a layer, it would change every map, so that a pattern for layers
    /// (`model/*`) does not mean it: its own name does, and a pattern that matches nothing else.
    fn means_preprocessing<T: Scalar>(&self, model: &Model<T>, node: &Node<T>) -> bool {
        let (None, Some(globs)) = (&self.assign.ops, globs(&self.assign)) else { return true };
        if !matches!(self.assign.rule.get_ref().domain(), Domain::Affine | Domain::Norm) {
            return true;
        }
        let only = |glob: &NameGlob| {
            let mut meant = model.nodes().filter(|(_, node)| glob.means(node)).filter_map(|(_, node)| node.kind());
            meant.all(|kind| kind == Kind::Preprocessing || !self.takes(kind))
        };
        globs.iter().any(|glob| glob.means(node) && (node.names().any(|name| glob.text() == name) || only(glob)))
    }

    fn check_layers<T: Scalar>(&self, model: &Model<T>) -> Result<(), Diagnostic> {
        let Some(layers) = &self.assign.layers else { return Ok(()) };
        let count = model.layers().len();
        let Some(index) = layers.get_ref().beyond(count) else { return Ok(()) };
        let has = match count {
            0 => "no weighted layers".to_owned(),
            1 => "1 weighted layer (0)".to_owned(),
            n => format!("{n} weighted layers (0 to {})", n - 1),
        };
        let problem = self.at(layers.span(), format!("layer {index} is beyond the model, which has {has}"));
        Err(problem
            .label("beyond the model")
            .help("`lrp layers` lists them; `optional = true` allows models without them")
            .fix(Some(Fix::replace(layers.span(), layers.get_ref().within(count)))))
    }

    /// Says which selector is to blame that nothing matches.
    fn no_match<T: Scalar>(&self, model: &Model<T>) -> Diagnostic {
        let message = format!("entry {} matches nothing in this model", self.place.number);
        let kinds: Vec<Kind> = model.nodes().filter_map(|(_, node)| node.kind()).collect();
        if let (Some(names), Some(globs)) = (&self.assign.names, globs(&self.assign)) {
            let nodes: Vec<&Node<T>> =
                model.nodes().filter(|(_, n)| n.kind().is_some()).map(|(_, node)| node).collect();
            if !nodes.iter().any(|node| globs.iter().any(|glob| glob.means(node))) {
                let problem = self.at(names.span(), message).label("no node has such a name");
                // Names as they are shown come before the others. `optional = true` is no repair: it would hide the mistake.
                let domain = self.assign.rule.get_ref().domain();
                let fits = |node: &&&Node<T>| node.kind().is_some_and(|kind| domain.contains(kind) && self.takes(kind));
                let main: Vec<&str> = nodes.iter().filter(fits).map(|node| node.name.as_str()).collect();
                let others = nodes.iter().flat_map(|node| node.other_names.iter().map(String::as_str));
                let all: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).chain(others).collect();
                let fix = renamed(globs, &all).map(|globs| Fix::replace(names.span(), globs));
                return problem.help(hint(globs, &all, &main)).fix(fix);
            }
            // There are nodes of this name, but the rule means none of them.
            let domain = self.assign.rule.get_ref().domain();
            let misfits = model.nodes().filter_map(|(_, node)| Some((node, node.kind()?)));
            let mut misfits = misfits
                .filter(|(node, kind)| !domain.contains(*kind) && globs.iter().any(|glob| glob.means(node)))
                .map(|(node, kind)| described(node, kind))
                .peekable();
            if self.assign.ops.is_none() && self.assign.layers.is_none() && misfits.peek().is_some() {
                return self.misfit(misfits);
            }
        }
        if let Some(ops) = &self.assign.ops
            && !kinds.iter().any(|kind| self.takes(*kind))
        {
            let mut there: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
            there.sort_unstable();
            there.dedup();
            let problem = self.at(ops.span(), message).label("no such operator in this model");
            return problem
                .help(format!("the model has: {}; `optional = true` allows models without it", there.join(", ")))
                .fix(self.made_optional(&ops.span()));
        }
        let (label, help) = if self.assign.layers.is_some() && self.assign.ops.is_some() {
            ("nothing matches all selectors", "`layers` counts weighted layers only, and selectors must all match")
        } else {
            ("nothing matches", "selectors must all match; `optional = true` allows that nothing does")
        };
        let fix = self.made_optional(&self.place.span);
        self.at(self.place.span.clone(), message).label(label).help(help).fix(fix)
    }

    /// `optional = true` in the line after this spot.
    fn made_optional(&self, spot: &Range<usize>) -> Option<Fix> {
        let line = self.place.source.line_of(spot)?;
        // In an inline table, there is no line to add.
        let own = self.place.source.text().get(line.clone())?.ends_with('\n')
            && self.place.source.text().get(self.place.span.clone())?.starts_with("[[");
        own.then(|| Fix::replace(line.end..line.end, "optional = true\n"))
    }

    fn misfit(&self, nodes: impl Iterator<Item = String>) -> Diagnostic {
        let nodes: Vec<String> = nodes.collect();
        let rule = self.assign.rule.get_ref();
        let (meant, help) = match rule.domain() {
            Domain::Products => ("products of two activations", "`ops = \"product\"` selects those"),
            Domain::Softmax => ("a softmax", "`ops = \"softmax\"` selects those inside the model"),
            Domain::Affine | Domain::Norm | Domain::All => (
                "affine operators",
                "activations, pooling and structural operators take pass, gradient, guided-backprop or deconvnet",
            ),
        };
        let message =
            format!("the rule '{}' is for {meant}, and the entry addresses {}", rule.name(), nodes.join(", "));
        self.at(self.assign.rule.span(), message).label("not for these").help(help)
    }

    fn at(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        let source: &Arc<Source> = &self.place.source;
        Diagnostic::at(source, span, message)
    }
}

fn globs(assign: &Assign) -> Option<&[NameGlob]> {
    assign.names.as_ref().map(|names| {
        let OneOrMany(globs) = names.get_ref();
        globs.as_slice()
    })
}

fn described<T: Scalar>(node: &Node<T>, kind: Kind) -> String {
    format!("'{}' ({kind})", shown(&node.name))
}

/// Globs that match, where those that match nothing have a likely meaning; as TOML.
fn renamed(globs: &[NameGlob], nodes: &[&str]) -> Option<String> {
    let likely = |glob: &NameGlob| match containing(glob.text(), nodes) {
        Some(_) => Some(format!("*{}*", glob.text())),
        None => nearest(glob.text(), nodes)
            .first()
            .filter(|(likeness, _)| *likeness >= LIKELY)
            .map(|(_, name)| name.clone()),
    };
    globs.iter().any(|glob| likely(glob).is_some()).then(|| {
        let texts: Vec<String> =
            globs.iter().map(|glob| likely(glob).unwrap_or_else(|| glob.text().to_owned())).collect();
        match texts.as_slice() {
            [one] => format!("{one:?}"),
            many => format!("{many:?}"),
        }
    })
}

/// Help for globs that match none of `all` names: a likely name, else some of the `main` ones, and last what allows that none matches.
fn hint(globs: &[NameGlob], all: &[&str], main: &[&str]) -> String {
    for glob in globs {
        if let Some(meant) = likely_name::meant(glob.text(), all) {
            return meant;
        }
        if let Some(list) = likely_name::offered(glob.text(), main) {
            return format!("{list}. Only if the recipe is for models without such layers, too: `optional = true`");
        }
    }
    "`lrp layers` lists the names; only if the recipe is for models without such layers, too: `optional = true`"
        .to_owned()
}
