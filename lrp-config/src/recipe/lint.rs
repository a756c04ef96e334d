//! Warnings about suspicious settings: [`Recipe::lint`] compares a valid recipe with the model that it was resolved for.
//!
//! Nothing here changes what is computed. Warnings that depend on numbers — denominators that cancel, stabilizers that absorb
//! relevance — come from `lrp check`, which points to the recipe by [`Resolved::warning`].

use std::collections::{BTreeMap, BTreeSet};
use std::ptr;
use std::sync::Arc;

use lrp_core::operator::{Group, Kind};
use lrp_core::text::shown;
use lrp_core::{Model, NodeId, Scalar};
use lrp_rules::Zero;

use super::resolve::{Choice, Resolved};
use crate::any_rule::AnyRule;
use crate::diagnostic::Diagnostic;
use crate::entry::Entry;
use crate::fix::Fix;
use crate::origin::{Origin, Place};
use crate::recipe::Recipe;

impl Recipe {
    /// Warnings about this recipe on a model that it was resolved for, in the order of the text.
    pub fn lint<T: Scalar>(&self, model: &Model<T>, resolved: &Resolved<T>) -> Vec<Diagnostic> {
        let mut warnings = Vec::new();
        warnings.extend(self.uniform_lrp_0(model, resolved));
        warnings.extend(positive_on_top(self, model, resolved));
        warnings.extend(self.z_box_inside(model, resolved));
        warnings.extend(z_box_unknown(self, model, resolved));
        warnings.extend(self.normalised_twice(model));
        warnings.extend(self.overridden(model));
        warnings.sort_by_key(|warning| warning.span().map_or(usize::MAX, |span| span.start));
        warnings.extend(self.lint_output(model));
        warnings
    }

    /// Of these warnings, those about the model's output, whatever the rules are: relevance starts with the wrong amount or sign.
    pub fn lint_output<T: Scalar>(&self, model: &Model<T>) -> Vec<Diagnostic> {
        self.after_softmax(model).or_else(|| self.output_sign(model)).into_iter().collect()
    }

    /// The rule of the entry that chose it, if one did.
    fn rule_of<T: Scalar>(&self, choice: &Choice<T>) -> Option<&AnyRule> {
        let Origin::Entry(place) = &choice.origin else { return None };
        self.entry_at(place).map(|entry| entry.assign.rule.get_ref())
    }

    /// LRP-0 at every layer.
    fn uniform_lrp_0<T: Scalar>(&self, model: &Model<T>, resolved: &Resolved<T>) -> Option<Diagnostic> {
        let zero = AnyRule::from(Zero::default());
        let is_zero = |id: &NodeId| resolved.choices.get(id).and_then(|choice| self.rule_of(choice)) == Some(&zero);
        let (first, layers) = (*model.layers().first()?, model.layers());
        // The last layer should have LRP-0, and a single layer is the last.
        if layers.len() < 2 || !layers.iter().all(is_zero) {
            return None;
        }
        let help = "where only the last layers have it, maps are calmer: LRP-ε in the middle, LRP-γ or z⁺ below, as in the preset \
                    epsilon-plus or configs/montavon-composite.toml";
        resolved.warning(
            first,
            "uniform-lrp-0",
            "every layer has LRP-0: on a network of ReLUs, this is gradient × input",
            help,
        )
    }

    /// z-box somewhere else than at the input, whose range it is about.
    fn z_box_inside<T: Scalar>(&self, model: &Model<T>, resolved: &Resolved<T>) -> Vec<Diagnostic> {
        let first = model.first_layers();
        let inside = by_entry(self, resolved, |id, rule| matches!(rule, AnyRule::ZBox(_)) && !first.contains(&id));
        let warn = |(place, nodes): (&Place, Vec<NodeId>)| {
            let message = format!(
                "z-box is for layers that the input reaches first, and this entry gives it to {}",
                names(model, &nodes)
            );
            let layers = self.entry_at(place).and_then(|entry| entry.assign.layers.as_ref());
            let problem = Diagnostic::at(&place.source, place.rule.clone(), message).warning("z-box-inside");
            problem
                .label("bounds of the input mean nothing here")
                .help("let layers = \"first\" select them")
                .fix(layers.map(|layers| Fix::replace(layers.span(), "\"first\"")))
        };
        inside.into_iter().map(warn).collect()
    }

    /// Pixels that are normalised before the model and in it.
    fn normalised_twice<T: Scalar>(&self, model: &Model<T>) -> Option<Diagnostic> {
        let input = self.input();
        let given = |values: &Option<Vec<f64>>, nothing: f64| {
            values.as_ref().is_some_and(|values| values.iter().any(|value| *value != nothing))
        };
        let (mean, std) = (given(&input.mean, 0.0), given(&input.std, 1.0));
        let key = match (mean, std) {
            (true, _) => "input.mean",
            (false, true) => "input.std",
            (false, false) => return None,
        };
        let inside: Vec<NodeId> = model.preprocessing().collect();
        if inside.is_empty() {
            return None;
        }
        let keys = match (mean, std) {
            (true, true) => "mean and std",
            (true, false) => "mean",
            _ => "std",
        };
        let message = format!(
            "[input] gives {keys}, and the model scales its input itself, at {}: images are normalised twice",
            names(model, &inside)
        );
        let problem = match self.places().get(key) {
            Some((source, span)) => Diagnostic::at(source, span, message).label("the model does this itself"),
            None => Diagnostic::about(self.source(), message),
        };
        let help = format!("leave out {keys}, unless the model was trained on images that had been normalised before");
        Some(problem.warning("normalised-twice").help(help))
    }

    /// Entries of which nothing is left, because later ones of the same file address all that they do.
    fn overridden<T: Scalar>(&self, model: &Model<T>) -> Vec<Diagnostic> {
        // Of a recipe for networks of any depth, one entry is all that a single layer can take.
        if model.layers().len() < 2 {
            return Vec::new();
        }
        let selected: Vec<(&Entry, BTreeSet<NodeId>)> = self
            .entries()
            .iter()
            .filter_map(|entry| Some((entry, entry.select(model).ok()?.into_iter().collect())))
            .collect();
        let mut warnings = Vec::new();
        for (i, (entry, nodes)) in selected.iter().enumerate() {
            // An entry for all layers is where one begins, and an optional one may find that there is nothing for it.
            if nodes.is_empty() || entry.is_for_all() || entry.assign.optional {
                continue;
            }
            // A recipe may override the entries of one that it extends.
            let later =
                selected.iter().skip(i + 1).filter(|(other, _)| Arc::ptr_eq(&other.place.source, &entry.place.source));
            let mut left = nodes.clone();
            let mut by = Vec::new();
            for (other, others) in later {
                if left.iter().any(|node| others.contains(node)) {
                    by.push(other.place.number.to_string());
                }
                left.retain(|node| !others.contains(node));
            }
            if left.is_empty() {
                let plural = if by.len() == 1 { "y" } else { "ies" };
                let message = format!(
                    "entry {} decides nothing here: entr{plural} {} overrides it",
                    entry.place.number,
                    by.join(" and ")
                );
                let message = if by.len() == 1 { message } else { message.replace("overrides", "override") };
                warnings.push(
                    Diagnostic::at(&entry.place.source, entry.place.span.clone(), message)
                        .warning("entry-overridden")
                        .label("without effect")
                        .help("later entries override earlier ones: begin with the entry for all layers, end with the most special one; or leave it out"),
                );
            }
        }
        warnings
    }

    /// A function between the last layer and the output that does not keep the sign of its argument.
    fn output_sign<T: Scalar>(&self, model: &Model<T>) -> Option<Diagnostic> {
        let mut next = vec![model.output()];
        let mut seen = BTreeSet::new();
        let (node, why) = loop {
            let id = next.pop()?;
            if !seen.insert(id) {
                continue;
            }
            let node = model.node(id);
            let Some(kind) = node.kind() else { continue };
            if let Some(why) = hides_sign(kind, node.op().and_then(|op| op.exponent())) {
                break (node, why);
            }
            // A summand is not the output.
            let passes = matches!(
                kind.group(),
                Group::Structural | Group::Activation | Group::Weightless | Group::Winner | Group::Undefined
            );
            if passes && kind != Kind::Add {
                next.extend(&node.inputs);
            }
        };
        let message = format!(
            "the model's output comes out of '{}' ({}), which {why}: relevance starts with its value, and can have the wrong sign",
            node.name,
            node.kind_name()
        );
        let help = "evidence for and against the output cannot be separated by the sign of relevance: export the model up to the input \
                    of this node (a softmax, sigmoid, softplus or exponential at the very end is cut)";
        Some(Diagnostic::about(self.source(), message).warning("output-sign").help(help))
    }

    /// A softmax between the last layer and the output.
    fn after_softmax<T: Scalar>(&self, model: &Model<T>) -> Option<Diagnostic> {
        let mut next = vec![model.output()];
        let softmax = loop {
            let id = next.pop()?;
            let node = model.node(id);
            match node.kind().map(|kind| (kind, kind.group())) {
                Some((Kind::Softmax | Kind::LogSoftmax, _)) => break node,
                Some((_, Group::Structural | Group::Activation | Group::Weightless | Group::Winner)) => {
                    next.extend(&node.inputs)
                }
                _ => {}
            }
        };
        let message = format!(
            "the model's output comes out of a softmax ('{}'): probabilities are explained, not logits",
            softmax.name
        );
        let help = "a probability also depends on the evidence for all other classes, and its relevance mixes both: export the model \
                    without what stands behind the softmax (one at the very end is cut)";
        Some(Diagnostic::about(self.source(), message).warning("after-softmax").help(help))
    }
}

/// z-box where the bounds of the model's input say nothing of those of the layer's.
fn z_box_unknown<T: Scalar>(recipe: &Recipe, model: &Model<T>, resolved: &Resolved<T>) -> Vec<Diagnostic> {
    let first = model.first_layers();
    let lost = |id: NodeId| first.contains(&id).then(|| model.loses_bounds(id))?;
    let unknown = by_entry(recipe, resolved, |id, rule| matches!(rule, AnyRule::ZBox(_)) && lost(id).is_some());
    let warn = |(place, nodes): (&Place, Vec<NodeId>)| {
        let between: BTreeSet<NodeId> = nodes.iter().filter_map(|id| lost(*id)).collect();
        let between: Vec<NodeId> = between.into_iter().collect();
        let message = format!(
            "z-box at {} has the bounds of the model's input, of which {} makes other values",
            names(model, &nodes),
            names(model, &between)
        );
        let problem = Diagnostic::at(&place.source, place.rule.clone(), message).warning("z-box-inside");
        problem
            .label("these bounds are not those of the layer's input")
            .help("the bounds of z-box pass scaling, pooling, clipping and structural operators, but not this one; flat needs no bounds")
    };
    unknown.into_iter().map(warn).collect()
}

/// Why a function does not keep the sign of its argument, if it does not.
fn hides_sign(kind: Kind, exponent: Option<f64>) -> Option<&'static str> {
    match kind {
        Kind::Sigmoid | Kind::Softplus | Kind::Exp => Some("is positive whatever its argument is"),
        Kind::HardSigmoid | Kind::Sqrt => Some("is never negative"),
        Kind::Abs => Some("drops the sign of its argument"),
        Kind::Cos | Kind::Sin => Some("neither increases nor decreases with its argument"),
        Kind::Log => Some("is negative for arguments below one"),
        // Odd powers keep the sign.
        Kind::Power => {
            let odd = exponent.is_some_and(|e| e > 0.0 && e % 2.0 == 1.0);
            (!odd).then_some("does not keep the sign and the order of its arguments")
        }
        _ => None,
    }
}

/// Rules that favour positive contributions, where many classes are mixed.
fn positive_on_top<T: Scalar>(recipe: &Recipe, model: &Model<T>, resolved: &Resolved<T>) -> Vec<Diagnostic> {
    let top = top_dense_layers(model);
    let positive = |rule: &AnyRule| match rule {
        // A small γ hardly favours one sign.
        AnyRule::Gamma(rule) => rule.gamma > 0.1,
        AnyRule::ZPlus(_) => true,
        AnyRule::AlphaBeta(rule) => rule.beta == 0.0,
        _ => false,
    };
    let found = by_entry(recipe, resolved, |id, rule| top.contains(&id) && positive(rule));
    let warn = |(place, nodes): (&Place, Vec<NodeId>)| {
        let message = format!(
            "a rule that favours positive contributions, in the top layers, which separate classes: {}",
            names(model, &nodes)
        );
        let problem = Diagnostic::at(&place.source, place.rule.clone(), message).warning("positive-on-top");
        let entry = "ops = \"dense\" and rule = \"epsilon\"";
        let help = match place.source.is_preset() {
            true => {
                format!("a recipe that extends the preset can give dense layers LRP-ε or LRP-0: an entry with {entry}")
            }
            false => format!("give dense layers LRP-ε or LRP-0: an entry below this one with {entry}"),
        };
        problem.label("maps of different classes become alike").help(help)
    };
    found.into_iter().map(warn).collect()
}

/// Dense layers in the upper half of the layers from which no convolution is reached.
fn top_dense_layers<T: Scalar>(model: &Model<T>) -> BTreeSet<NodeId> {
    let mut convolved = BTreeSet::new();
    for (id, node) in model.nodes().rev() {
        let after = model.consumers(id).iter().any(|consumer| convolved.contains(consumer));
        if after || matches!(node.kind(), Some(Kind::Conv | Kind::ConvTranspose)) {
            convolved.insert(id);
        }
    }
    let layers = model.layers();
    let upper = layers.iter().enumerate().filter(|(i, _)| layers.len() > 1 && 2 * i >= layers.len()).map(|(_, id)| *id);
    upper.filter(|id| model.node(*id).kind() == Some(Kind::Dense) && !convolved.contains(id)).collect()
}

/// The nodes whose rule is of a kind, by the entry that chose it.
fn by_entry<'r, T: Scalar>(
    recipe: &Recipe,
    resolved: &'r Resolved<T>,
    wanted: impl Fn(NodeId, &AnyRule) -> bool,
) -> Vec<(&'r Place, Vec<NodeId>)> {
    let mut found: BTreeMap<(usize, usize), (&Place, Vec<NodeId>)> = BTreeMap::new();
    for (id, choice) in &resolved.choices {
        if let Origin::Entry(place) = &choice.origin
            && recipe.rule_of(choice).is_some_and(|rule| wanted(*id, rule))
        {
            let key = (ptr::from_ref(place.source.as_ref()).addr(), place.number);
            found.entry(key).or_insert_with(|| (place, Vec::new())).1.push(*id);
        }
    }
    found.into_values().collect()
}

fn names<T: Scalar>(model: &Model<T>, nodes: &[NodeId]) -> String {
    let described = |id: &NodeId| match model.layer_index(*id) {
        Some(index) => format!("{index} '{}'", shown(&model.node(*id).name)),
        None => format!("'{}'", shown(&model.node(*id).name)),
    };
    super::resolve::list(nodes.iter().map(described))
}
