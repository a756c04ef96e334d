//! The rules to start with: a composite by the network's family, its parts by position.

use std::collections::BTreeSet;
use std::ops::Range;

use lrp_config::{AnyRule, Layers};
use lrp_core::operator::Kind;
use lrp_core::{Model, NodeId, Scalar};
use lrp_rules::{Constant, Epsilon, EpsilonValue, Flat, Gamma, Gradient, Norm, Pass, Residual, ZBox, Zero};

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
#[derive(Debug)]
pub struct Entry {
    /// Why.
    pub reason: String,
    /// The layers.
    pub layers: Layers,
    /// Their rule.
    pub rule: AnyRule,
}

impl Entry {
    fn new(layers: Layers, rule: impl Into<AnyRule>, reason: &str) -> Self {
        Self { reason: reason.to_owned(), layers, rule: rule.into() }
    }
}

/// LRP-ε with an ε that depends on the layer's outputs: a quarter of their root mean square.
fn large_epsilon() -> Epsilon {
    Epsilon { epsilon: EpsilonValue::Relative(0.25), ..Epsilon::default() }
}

/// Sums split by magnitude.
fn absolute() -> Norm {
    Norm { residual: Residual::Absolute, ..Norm::default() }
}

const CONVOLUTIONS: [Kind; 2] = [Kind::Conv, Kind::ConvTranspose];

/// Entries in the making, with the weighted layers that each of them reaches.
#[derive(Default)]
struct Parts(Vec<(Entry, BTreeSet<usize>)>);

impl Parts {
    fn add(&mut self, layers: Layers, reach: impl IntoIterator<Item = usize>, rule: impl Into<AnyRule>, reason: &str) {
        self.0.push((Entry::new(layers, rule, reason), reach.into_iter().collect()));
    }

    /// Adds an entry for a range of `count` weighted layers, if there are any in it.
    fn add_range(&mut self, range: Range<usize>, count: usize, rule: impl Into<AnyRule>, reason: &str) {
        let layers = match (range.start, range.end) {
            (from, to) if from + 1 == to => Ok(Layers::index(from)),
            (from, to) if to == count => Layers::range(from..),
            (from, to) => Layers::range(from..to),
        };
        // A range without layers is none.
        if let Ok(layers) = layers {
            self.add(layers, range, rule, reason);
        }
    }

    /// Adds an entry for the weighted layers of these kinds, if there are any.
    fn add_kinds<T: Scalar>(&mut self, model: &Model<T>, kinds: &[Kind], rule: impl Into<AnyRule>, reason: &str) {
        let of = |kind: &Kind, id: NodeId| model.node(id).kind() == Some(*kind);
        let layers = model.layers().iter().enumerate();
        let reach: Vec<usize> =
            layers.filter(|(_, id)| kinds.iter().any(|kind| of(kind, **id))).map(|(index, _)| index).collect();
        let there = kinds.iter().filter(|kind| model.layers().iter().any(|&id| of(kind, id)));
        if let Some(layers) = of_kinds(there.copied()) {
            self.add(layers, reach, rule, reason);
        }
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

/// The layers of these kinds, if there are any.
fn of_kinds(mut kinds: impl Iterator<Item = Kind>) -> Option<Layers> {
    let first = Layers::kind(kinds.next()?);
    kinds.try_fold(first, |layers, kind| layers.or(Layers::kind(kind))).ok()
}

impl Composite {
    /// Whether some layer gets z-box, which needs a range.
    pub fn needs_range(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.rule, AnyRule::ZBox(_)))
    }

    /// Chooses rules for a network.
    pub fn new<T: Scalar>(model: &Model<T>, survey: &Survey, expected: &Expected) -> Self {
        let count = model.layers().len();
        let mut parts = Parts::default();
        match survey.architecture {
            Architecture::Linear => parts.add(
                Layers::all(),
                0..count,
                Epsilon::default(),
                "Of one layer, LRP-ε is the contribution of every input to the output: there is nothing to smooth.",
            ),
            Architecture::Mlp => perceptron(model, &mut parts),
            Architecture::Cnn | Architecture::Residual => by_depth(model, &mut parts),
            Architecture::Transformer => transformer(model, survey, &mut parts),
            Architecture::Normalized | Architecture::Recurrent => by_kind(model, survey, &mut parts),
        }
        if !survey.batch_norms.is_empty() {
            parts.add_kinds(
                model,
                &[Kind::BatchNorm],
                large_epsilon(),
                "Batch norms that could not be folded (a ReLU stands between them and the next convolution, or several layers \
                 follow): each is a product and a shift of its own. Where the two nearly cancel, shares of their sum grow \
                 without bound; a large ε bounds them.",
            );
        }
        let no_first = first(model, survey, expected, &mut parts);
        let mut entries = parts.finish();
        if survey.architecture == Architecture::Transformer
            && survey.sees_pictures()
            && survey.count(&[Kind::Softmax]) > 0
        {
            entries.push(Entry::new(
                Layers::kind(Kind::Softmax),
                Constant,
                "Softmax of attention: constant (CP-LRP, Ali et al. 2022). Queries and keys receive nothing, values all. \"taylor\", the default, \
                 gives queries and keys a share, and the maps of pictures more noise.",
            ));
        }
        // A transformer's sums are many, and their shares by sign are part of its rules.
        if survey.architecture != Architecture::Transformer && survey.counts.contains_key(&Kind::Add) {
            entries.push(Entry::new(
                Layers::kind(Kind::Add),
                absolute(),
                "Sums of branches, as in residual blocks: split by magnitude. The default, signed shares, is exact, but amplifies \
                 relevance without bound where branches nearly cancel.",
            ));
        }
        let (elementwise, others): (Vec<Kind>, Vec<Kind>) =
            survey.undefined.iter().partition(|kind| ELEMENTWISE.contains(kind));
        if let Some(functions) = of_kinds(elementwise.into_iter()) {
            entries.push(Entry::new(
                functions,
                Pass,
                "CHECK: functions of single elements that are no common activations. Relevance passes them, as it passes activations \
                 (Achtibat et al. 2024, eq. 9); \"gradient\" is the alternative.",
            ));
        }
        if let Some(undefined) = of_kinds(others.into_iter()) {
            entries.push(Entry::new(
                undefined,
                Gradient,
                "CHECK: these operators have no relevance rule. The gradient replaces it; it does not conserve relevance, and \
                 `lrp check` shows what it creates or loses. \"pass\" propagates relevance unchanged.",
            ));
        }
        if entries.is_empty() {
            entries.push(Entry::new(
                Layers::all(),
                Epsilon::default(),
                "For weighted layers; this model has none. Its recurrent layers and lookups have behaviours of their own.",
            ));
        }
        Self { entries, no_first }
    }
}

/// Functions of single elements without a behaviour of their own.
const ELEMENTWISE: [Kind; 7] = [Kind::Exp, Kind::Log, Kind::Sin, Kind::Cos, Kind::Cosh, Kind::Acos, Kind::Acosh];

/// LRP-ε for texts; for pictures LRP-γ outside of attention.
fn transformer<T: Scalar>(model: &Model<T>, survey: &Survey, parts: &mut Parts) {
    let all = 0..model.layers().len();
    if !survey.sees_pictures() {
        parts.add(
            Layers::all(),
            all,
            Epsilon::default(),
            "Dense layers: LRP-ε with a small ε (Achtibat et al. 2024). Layer norm, matrix products and softmax have rules of their own; \
             activations (GELU, SiLU) pass relevance.",
        );
        return;
    }
    parts.add(
        Layers::all(),
        all,
        Gamma { gamma: 0.05, ..Gamma::default() },
        "Perceptrons and the head: LRP-γ with γ = 0.05, as Achtibat et al. 2024 found it for vision transformers.",
    );
    parts.add_kinds(
        model,
        &CONVOLUTIONS,
        Gamma::default(),
        "The convolution that makes patches: LRP-γ with γ = 0.25, likewise.",
    );
    let attention = lrp_config::attention_layers(model);
    let reach: Vec<usize> = attention.iter().filter_map(|id| model.layer_index(*id)).collect();
    if !reach.is_empty() {
        parts.add(
            Layers::attention(true),
            reach,
            Epsilon::default(),
            "Projections of attention: LRP-ε, which keeps the signs that the products of queries, keys and values need.",
        );
    }
}

/// LRP-ε with a large ε below, LRP-0 for the last layer.
fn perceptron<T: Scalar>(model: &Model<T>, parts: &mut Parts) {
    let count = model.layers().len();
    parts.add(
        Layers::all(),
        0..count,
        large_epsilon(),
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
    parts.add_range(
        0..border,
        count,
        Gamma::default(),
        "Bottom, the lower half of the convolutions: LRP-γ. Favouring positive contributions spreads relevance evenly over whole \
         features, so that people can read the map.",
    );
    parts.add_range(
        border..top_from,
        count,
        large_epsilon(),
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
    if from + 1 == count {
        parts.add(Layers::last(), last.iter().copied(), Zero::default(), reason);
    } else {
        parts.add_range(from..count, count, Zero::default(), reason);
    }
    if from + 1 < count && last.iter().any(|&layer| layer < from) {
        parts.add(Layers::last(), last, Zero::default(), "The other layers next to the output, likewise.");
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
    parts.add(Layers::all(), 0..model.layers().len(), Epsilon::default(), reason);
    let reason = "Convolutions: LRP-γ, which calms what many layers in a row would turn into speckle.";
    parts.add_kinds(model, &CONVOLUTIONS, Gamma::default(), reason);
}

/// The rule of the first layers; the reason if they get none of their own.
fn first<T: Scalar>(model: &Model<T>, survey: &Survey, expected: &Expected, parts: &mut Parts) -> Option<String> {
    let layers = model.first_layers();
    let all = |kinds: &[Kind]| layers.iter().all(|id| model.node(*id).kind().is_some_and(|kind| kinds.contains(&kind)));
    let reach: Vec<usize> = layers.iter().filter_map(|id| model.layer_index(*id)).collect();
    if matches!(survey.architecture, Architecture::Recurrent | Architecture::Transformer) || layers.is_empty() {
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
            Layers::first(),
            reach,
            ZBox::default(),
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
        Layers::first(),
        reach,
        Flat::default(),
        &format!("First layer: flat. Every input that a window covers gets the same share, whatever its value. {why}."),
    );
    None
}

#[cfg(test)]
mod tests {
    use lrp_core::kernels::window::WindowSpec;
    use lrp_core::ops::{Activation, Add, Conv, Dense, Function, MatMul, Reducer, Reduction, Softmax};
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

        fn composite(self) -> (Survey, Vec<(String, AnyRule)>) {
            let model = self.0.finish(self.1).unwrap();
            let survey = Survey::new(&model);
            let composite = Composite::new(&model, &survey, &Expected::default());
            let entries = composite.entries.into_iter().map(|entry| (selectors(&entry.layers), entry.rule)).collect();
            (survey, entries)
        }
    }

    fn selectors(layers: &Layers) -> String {
        layers.to_toml().iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
    }

    fn entry(selectors: &str, rule: impl Into<AnyRule>) -> (String, AnyRule) {
        (selectors.to_owned(), rule.into())
    }

    #[test]
    fn dense_layers() {
        let (survey, one) = Net::new(&[2]).dense().composite();
        assert_eq!((survey.architecture, one), (Architecture::Linear, vec![entry("", Epsilon::default())]));
        let (survey, two) = Net::new(&[2]).dense().apply(Function::Relu).dense().composite();
        assert_eq!(survey.architecture, Architecture::Mlp);
        assert_eq!(two, [entry("", large_epsilon()), entry("layers = \"last\"", Zero::default())]);
        assert_eq!(survey.why(), "2 dense layers");
    }

    #[test]
    fn functions_without_a_behaviour_pass_and_other_operators_get_the_gradient() {
        let mut net = Net::new(&[2]).dense().apply(Function::Exp);
        let op = Reduction::new(Reducer::Product, 1, &[2]).unwrap();
        net.1 = net.0.add("product", op, &[net.1]).unwrap();
        let (survey, chosen) = net.composite();
        assert_eq!(survey.undefined, [Kind::Exp, Kind::ReduceProd]);
        let expected =
            [entry("", Epsilon::default()), entry("ops = \"exp\"", Pass), entry("ops = \"reduce-prod\"", Gradient)];
        assert_eq!(chosen, expected);
    }

    /// One head on patches: with and without the convolution that makes them.
    #[test]
    fn transformers_of_pictures_and_of_texts() {
        for pictures in [true, false] {
            let mut net = Net::new(if pictures { &[1, 4, 4] } else { &[1, 2, 2] });
            if pictures {
                let spec = WindowSpec::new(&[2, 2]).stride(2);
                let op = Conv::new(Tensor::ones(vec![1, 1, 2, 2]), None, &spec, 1, &[1, 4, 4]).unwrap();
                net.1 = net.0.add("patches", op, &[net.1]).unwrap();
            }
            let dense = || Dense::new(Tensor::ones(vec![2, 2]), None, &[1, 2, 2]).unwrap();
            let [a, b] = ["q", "k"].map(|name| net.0.add(name, dense(), &[net.1]).unwrap());
            let scores = net.0.add("scores", MatMul::new(&[1, 2, 2], &[1, 2, 2]).unwrap(), &[a, b]).unwrap();
            let weights = net.0.add("weights", Softmax::new(3, &[1, 2, 2]).unwrap(), &[scores]).unwrap();
            let sum = net.0.add("sum", Add::new(2, &[1, 2, 2]).unwrap(), &[weights, net.1]).unwrap();
            let relu = net.0.add("relu", Activation::new(Function::Relu, &[1, 2, 2]).unwrap(), &[sum]).unwrap();
            net.1 = net.0.add("head", dense(), &[relu]).unwrap();
            let (survey, chosen) = net.composite();
            assert_eq!((survey.architecture, survey.sees_pictures()), (Architecture::Transformer, pictures));
            if pictures {
                let expected = [
                    entry("", Gamma { gamma: 0.05, ..Gamma::default() }),
                    entry("ops = \"conv\"", Gamma::default()),
                    entry("attention = true", Epsilon::default()),
                    entry("ops = \"softmax\"", Constant),
                ];
                assert_eq!(chosen, expected);
            } else {
                assert_eq!(chosen, [entry("", Epsilon::default())]);
            }
        }
    }

    #[test]
    fn a_network_without_weights_has_no_layers_to_choose_for() {
        let mut net = Net::new(&[2]).apply(Function::Relu);
        let op = Add::new(2, &[2]).unwrap();
        net.1 = net.0.add("sum", op, &[net.1, net.1]).unwrap();
        assert_eq!(net.composite().1, [entry("ops = \"add\"", absolute())]);
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
        let kept: Vec<AnyRule> = parts.finish().into_iter().map(|entry| entry.rule).collect();
        assert_eq!(kept, [AnyRule::from(ZBox::default())]);
    }

    #[test]
    fn ranges_and_kinds_are_written_as_people_write_them() {
        let mut parts = Parts::default();
        for range in [0..0, 0..1, 1..3, 3..4, 2..4] {
            parts.add_range(range, 4, Zero::default(), "");
        }
        let written: Vec<String> = parts.0.iter().map(|(entry, _)| selectors(&entry.layers)).collect();
        assert_eq!(written, ["layers = 0", "layers = \"1..3\"", "layers = 3", "layers = \"2..\""]);
        let kinds = of_kinds(CONVOLUTIONS.into_iter()).unwrap();
        assert_eq!(selectors(&kinds), "ops = [\"conv\", \"conv-transpose\"]");
        assert!(of_kinds(std::iter::empty()).is_none());
    }
}
