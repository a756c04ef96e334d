//! The rules to start with: a composite by the network's family, its parts by position.

use std::collections::BTreeSet;

use lrp_core::operator::Kind;
use lrp_core::{Model, NodeId, Scalar};
use serde_json::{Value, json};

use super::expected::Expected;
use super::survey::{Architecture, Survey};

/// The entries of a recipe, each with its reason. None of them is overridden by later ones altogether.
#[derive(Debug, Default)]
pub struct Composite {
    /// In the recipe's order.
    pub entries: Vec<Entry>,
    /// Why the first layers have no entry of their own, where they have none.
    pub no_first: Option<String>,
}

/// One `[[assign]]`.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Why.
    pub reason: String,
    /// `layers = …`.
    pub layers: Option<Value>,
    /// `ops = …`.
    pub ops: Vec<&'static str>,
    /// `rule = …`.
    pub rule: Rule,
}

/// A rule that the composites use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// LRP-0.
    Zero,
    /// LRP-ε with a tiny ε.
    SmallEpsilon,
    /// LRP-ε with an ε that depends on the layer's outputs.
    LargeEpsilon,
    /// LRP-γ.
    Gamma,
    /// Flat.
    Flat,
    /// z-box.
    ZBox,
    /// The gradient.
    Gradient,
    /// Sums split by magnitude.
    Absolute,
}

impl Rule {
    /// `rule = …`.
    pub fn value(self) -> Value {
        match self {
            Self::Zero => json!("zero"),
            Self::SmallEpsilon => json!({ "type": "epsilon", "epsilon": 1e-6 }),
            Self::LargeEpsilon => json!({ "type": "epsilon", "epsilon": { "relative": 0.25 } }),
            Self::Gamma => json!({ "type": "gamma", "gamma": 0.25 }),
            Self::Flat => json!("flat"),
            Self::ZBox => json!("z-box"),
            Self::Gradient => json!("gradient"),
            Self::Absolute => json!({ "type": "norm", "residual": "absolute" }),
        }
    }
}

const CONVOLUTIONS: [Kind; 2] = [Kind::Conv, Kind::ConvTranspose];

/// Entries in the making, with the weighted layers that each of them reaches.
#[derive(Default)]
struct Parts(Vec<(Entry, BTreeSet<usize>)>);

impl Parts {
    fn add(&mut self, layers: Option<Value>, reach: impl IntoIterator<Item = usize>, rule: Rule, reason: &str) {
        let entry = Entry { reason: reason.to_owned(), layers, ops: Vec::new(), rule };
        self.0.push((entry, reach.into_iter().collect()));
    }

    /// Adds an entry for the weighted layers of these kinds, if there are any.
    fn add_kinds<T: Scalar>(&mut self, model: &Model<T>, kinds: &[Kind], rule: Rule, reason: &str) {
        let of = |kind: &Kind, id: NodeId| model.node(id).kind() == Some(*kind);
        let layers = model.layers().iter().enumerate();
        let reach = layers.filter(|(_, id)| kinds.iter().any(|kind| of(kind, **id))).map(|(index, _)| index).collect();
        let there = kinds.iter().filter(|kind| model.layers().iter().any(|&id| of(kind, id)));
        let ops = there.map(|kind| kind.name()).collect();
        self.0.push((Entry { reason: reason.to_owned(), layers: None, ops, rule }, reach));
    }

    /// The entries that decide something.
    fn finish(self) -> Vec<Entry> {
        let mut decided = BTreeSet::new();
        let mut kept = Vec::new();
        for (entry, reach) in self.0.into_iter().rev() {
            if reach.iter().any(|layer| !decided.contains(layer)) {
                decided.extend(reach);
                kept.push(entry);
            }
        }
        kept.reverse();
        kept
    }
}

impl Composite {
    /// Whether some layer gets z-box, which needs a range.
    pub fn needs_range(&self) -> bool {
        self.entries.iter().any(|entry| entry.rule == Rule::ZBox)
    }

    /// Chooses rules for a network.
    pub fn new<T: Scalar>(model: &Model<T>, survey: &Survey, expected: &Expected) -> Self {
        let count = model.layers().len();
        let mut parts = Parts::default();
        match survey.architecture {
            Architecture::Linear => parts.add(
                None,
                0..count,
                Rule::SmallEpsilon,
                "Of one layer, LRP-ε is the contribution of every input to the output: there is nothing to smooth.",
            ),
            Architecture::Mlp => perceptron(model, &mut parts),
            Architecture::Cnn | Architecture::Residual => by_depth(model, &mut parts),
            Architecture::Normalized | Architecture::Recurrent => by_kind(model, survey, &mut parts),
        }
        if !survey.batch_norms.is_empty() {
            parts.add_kinds(
                model,
                &[Kind::BatchNorm],
                Rule::LargeEpsilon,
                "Batch norms that could not be folded (a ReLU stands between them and the next convolution, or several layers \
                 follow): each is a product and a shift of its own. Where the two nearly cancel, shares of their sum grow \
                 without bound; a large ε bounds them.",
            );
        }
        let no_first = first(model, survey, expected, &mut parts);
        let mut entries = parts.finish();
        let of_kinds =
            |ops: Vec<&'static str>, rule, reason: &str| Entry { reason: reason.to_owned(), layers: None, ops, rule };
        if survey.counts.contains_key(&Kind::Add) {
            entries.push(of_kinds(
                vec![Kind::Add.name()],
                Rule::Absolute,
                "Sums of branches, as in residual blocks: split by magnitude. The default, signed shares, is exact, but amplifies \
                 relevance without bound where branches nearly cancel.",
            ));
        }
        if !survey.undefined.is_empty() {
            entries.push(of_kinds(
                survey.undefined.iter().map(|kind| kind.name()).collect(),
                Rule::Gradient,
                "CHECK: these operators have no relevance rule. The gradient replaces it; it does not conserve relevance, and \
                 `lrp check` shows what it creates or loses. \"pass\" propagates relevance unchanged.",
            ));
        }
        Self { entries, no_first }
    }
}

/// LRP-ε with a large ε below, LRP-0 for the last layer.
fn perceptron<T: Scalar>(model: &Model<T>, parts: &mut Parts) {
    let count = model.layers().len();
    parts.add(
        None,
        0..count,
        Rule::LargeEpsilon,
        "Hidden layers: LRP-ε, with ε a quarter of the root mean square of each layer's outputs. It absorbs small contributions \
         that cancel. (LRP-0 everywhere would be gradient × input.)",
    );
    top(model, count.saturating_sub(1), parts);
}

/// The composite of Montavon et al. 2019, with its borders at this network's layers.
fn by_depth<T: Scalar>(model: &Model<T>, parts: &mut Parts) {
    let kind = |index: usize| model.layers().get(index).and_then(|id| model.node(*id).kind());
    let count = model.layers().len();
    let dense = (0..count).rev().take_while(|&i| kind(i) == Some(Kind::Dense)).count();
    let top_from = count - dense.max(1);
    let convolutions: Vec<usize> =
        (0..top_from).filter(|&i| kind(i).is_some_and(|kind| CONVOLUTIONS.contains(&kind))).collect();
    // Seven of the thirteen convolutions of VGG-16.
    let lower = (convolutions.len() * 7).div_ceil(13);
    let border = convolutions.get(lower).copied().unwrap_or(top_from);
    parts.add(
        Some(range(0, border, count)),
        0..border,
        Rule::Gamma,
        "Bottom, the lower half of the convolutions: LRP-γ. Favouring positive contributions spreads relevance evenly over whole \
         features, so that people can read the map.",
    );
    parts.add(
        Some(range(border, top_from, count)),
        border..top_from,
        Rule::LargeEpsilon,
        "Middle: LRP-ε, with ε a quarter of the root mean square of each layer's outputs. It drops the variations that come from \
         many stacked layers, and keeps the most salient factors.",
    );
    top(model, top_from, parts);
}

/// LRP-0 from a layer on; for the last layers where the output has several.
fn top<T: Scalar>(model: &Model<T>, from: usize, parts: &mut Parts) {
    let count = model.layers().len();
    let last: Vec<usize> = model.last_layers().iter().filter_map(|id| model.layer_index(*id)).collect();
    let reason = "Top: LRP-0. Many classes are mixed here, and staying close to the function keeps them apart.";
    if from < count {
        let layers = if from + 1 == count { json!("last") } else { range(from, count, count) };
        let own = if from + 1 == count { last.clone() } else { (from..count).collect() };
        parts.add(Some(layers), own, Rule::Zero, reason);
    }
    if from + 1 < count && last.iter().any(|&layer| layer < from) {
        parts.add(Some(json!("last")), last, Rule::Zero, "The other layers next to the output, likewise.");
    }
}

/// LRP-ε for dense layers, LRP-γ for convolutions.
fn by_kind<T: Scalar>(model: &Model<T>, survey: &Survey, parts: &mut Parts) {
    let reason = match survey.architecture {
        Architecture::Recurrent => {
            "Dense layers: LRP-ε with a small ε (Arras et al. 2017). LSTM and GRU have their own rule: the signal receives all \
             relevance, the gates none, and time steps share by LRP-ε."
        }
        _ => {
            "Dense layers: LRP-ε with a small ε (Achtibat et al. 2024). Layer norm and softmax have rules of their own; \
             activations (GELU, SiLU) pass relevance."
        }
    };
    parts.add(None, 0..model.layers().len(), Rule::SmallEpsilon, reason);
    let reason = "Convolutions: LRP-γ, which calms what many layers in a row would turn into speckle.";
    parts.add_kinds(model, &CONVOLUTIONS, Rule::Gamma, reason);
}

/// The rule of the first layers; the reason if they get none of their own.
fn first<T: Scalar>(model: &Model<T>, survey: &Survey, expected: &Expected, parts: &mut Parts) -> Option<String> {
    let layers = model.first_layers();
    let all = |kinds: &[Kind]| layers.iter().all(|id| model.node(*id).kind().is_some_and(|kind| kinds.contains(&kind)));
    let reach: Vec<usize> = layers.iter().filter_map(|id| model.layer_index(*id)).collect();
    let own = Some(json!("first"));
    if survey.architecture == Architecture::Recurrent || layers.is_empty() {
        return None;
    }
    if all(&[Kind::BatchNorm]) {
        return Some(
            "No rule of its own for the first layer: it is a batch norm, in which each output has one input, which receives all relevance."
                .to_owned(),
        );
    }
    if expected.has_range() && survey.before_first.is_empty() {
        parts.add(
            own,
            reach,
            Rule::ZBox,
            "Pixels, within their range: z-box gives black ones a say, too. Its bounds come from [input] below; \"flat\" needs none.",
        );
        return None;
    }
    if !all(&CONVOLUTIONS) {
        return Some(
            "No rule of its own for the first layer: features are not alike, and share by what they contribute. A feature that is \
             0 gets no relevance."
                .to_owned(),
        );
    }
    let why = match survey.before_first.as_slice() {
        [] => "The range of the input is not known, so z-box has no bounds".to_owned(),
        [name, ..] => format!("The input is changed on the way ('{name}'), so that its range is not that of z-box"),
    };
    parts.add(
        own,
        reach,
        Rule::Flat,
        &format!("First layer: flat. Every input that a window covers gets the same share, whatever its value. {why}."),
    );
    None
}

/// A range of layers as a recipe writes it.
fn range(from: usize, to: usize, count: usize) -> Value {
    match (from, to) {
        (from, to) if from + 1 == to => json!(from),
        (0, to) if to == count => json!(".."),
        (from, to) if to == count => json!(format!("{from}..")),
        (from, to) => json!(format!("{from}..{to}")),
    }
}

#[cfg(test)]
mod tests {
    use lrp_core::kernels::window::WindowSpec;
    use lrp_core::ops::{Activation, Add, Conv, Dense, Function};
    use lrp_core::{Builder, NodeId, Tensor};

    use super::*;
    use crate::init::expected::Measured;

    /// A network in the making: its last node.
    struct Net(Builder<f32>, NodeId);

    impl Net {
        fn new(shape: &[usize]) -> Self {
            let mut net = Builder::new();
            let x = net.input("x", shape);
            Self(net, x)
        }

        fn dense(mut self) -> Self {
            let n = self.0.shape(self.1).iter().product();
            let name = format!("dense{}", self.1.index());
            let op = Dense::new(Tensor::ones(vec![n, n]), None, &[n]).unwrap();
            self.1 = self.0.add(name, op, &[self.1]).unwrap();
            self
        }

        fn apply(mut self, function: Function) -> Self {
            let name = format!("function{}", self.1.index());
            let op = Activation::new(function, self.0.shape(self.1)).unwrap();
            self.1 = self.0.add(name, op, &[self.1]).unwrap();
            self
        }

        fn composite(self) -> (Survey, Vec<(Option<Value>, Rule)>) {
            let model = self.0.finish(self.1).unwrap();
            let survey = Survey::new(&model);
            let composite = Composite::new(&model, &survey, &Expected::default());
            let entries = composite.entries.into_iter();
            let selected = |entry: &Entry| entry.layers.clone().or_else(|| entry.ops.first().map(|op| json!(op)));
            (survey, entries.map(|entry| (selected(&entry), entry.rule)).collect())
        }
    }

    fn entries(list: &[(&str, Rule)]) -> Vec<(Option<Value>, Rule)> {
        let selector = |text: &str| (!text.is_empty()).then(|| json!(text));
        list.iter().map(|(layers, rule)| (selector(layers), *rule)).collect()
    }

    #[test]
    fn dense_layers() {
        let (survey, one) = Net::new(&[2]).dense().composite();
        assert_eq!((survey.architecture, one), (Architecture::Linear, entries(&[("", Rule::SmallEpsilon)])));
        let (survey, two) = Net::new(&[2]).dense().apply(Function::Relu).dense().composite();
        assert_eq!(survey.architecture, Architecture::Mlp);
        assert_eq!(two, entries(&[("", Rule::LargeEpsilon), ("last", Rule::Zero)]));
        assert_eq!(survey.why(), "2 dense layers");
    }

    #[test]
    fn operators_without_a_behaviour_get_the_gradient() {
        let (survey, chosen) = Net::new(&[2]).dense().apply(Function::Exp).composite();
        assert_eq!(survey.undefined, [Kind::Exp]);
        assert_eq!(chosen, entries(&[("", Rule::SmallEpsilon), ("exp", Rule::Gradient)]));
    }

    #[test]
    fn a_network_without_weights_has_no_layers_to_choose_for() {
        let mut net = Net::new(&[2]).apply(Function::Relu);
        let op = Add::new(2, &[2]).unwrap();
        net.1 = net.0.add("sum", op, &[net.1, net.1]).unwrap();
        assert_eq!(net.composite().1, entries(&[("add", Rule::Absolute)]));
    }

    #[test]
    fn a_part_that_is_overridden_altogether_is_left_out() {
        // One convolution: bottom, and first.
        let mut net = Net::new(&[1, 8, 8]);
        let op = Conv::new(Tensor::ones(vec![1, 1, 3, 3]), None, &WindowSpec::new(&[3, 3]), 1, &[1, 8, 8]).unwrap();
        net.1 = net.0.add("conv", op, &[net.1]).unwrap();
        let model = net.0.finish(net.1).unwrap();
        let mut parts = Parts::default();
        by_depth(&model, &mut parts);
        let expected = Expected {
            picture: crate::layout::Layout::of(&[1, 8, 8]),
            measured: Some(Measured { low: 0.0, high: 1.0, samples: 1 }),
            ..Expected::default()
        };
        first(&model, &Survey::new(&model), &expected, &mut parts);
        let kept: Vec<Rule> = parts.finish().iter().map(|entry| entry.rule).collect();
        assert_eq!(kept, [Rule::ZBox]);
    }
}
