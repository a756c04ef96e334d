//! `rule = …`: the rules' keys, with their docs, defaults and examples, and how a rule is made from them.
//!
//! The rules themselves (`lrp-rules`) check their parameters; here they only get their names. `lrp rules`, the JSON
//! Schema and the reference page are made from these types and their comments.

use std::borrow::Cow;
use std::sync::Arc;

use lrp_core::entrance::NoBounds;
use lrp_core::operator::{Group, Kind};
use lrp_core::tensor::elements;
use lrp_core::{Model, NodeId, Rule, Scalar, Tensor};
use lrp_rules::{BiasMode, Branch, EpsilonValue, ParameterError, Side};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use crate::bare_names::with_bare_names;
use crate::factor::{Factor, factor};
use crate::input::{Bounds, Input};
use crate::values::{Number, OneOrMany, number, per_channel};

/// A rule as a recipe writes it: `{ type = "gamma", gamma = 0.25 }`, or the bare name, `"gamma"`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
// The form with `type`, which `reader` turns into the one that serde reads with every value in its place.
#[schemars(tag = "type", transform = with_bare_names)]
pub(crate) enum RuleSpec {
    /// LRP-0: relevance in proportion to the contributions.
    #[schemars(extend("x-source" = "Bach et al. 2015, eq. 56"))]
    Zero(ZeroKeys),
    /// LRP-ε: absorbs weak and contradictory contributions.
    #[schemars(extend("x-source" = "Bach et al. 2015, eq. 58"))]
    Epsilon(EpsilonKeys),
    /// LRP-γ: favours positive contributions.
    #[schemars(extend("x-source" = "Montavon et al. 2019, Table 10.1; generalized by Andéol et al. 2021"))]
    Gamma(GammaKeys),
    /// LRP-αβ: positive and negative contributions apart.
    #[schemars(extend("x-source" = "Bach et al. 2015, eq. 60"))]
    AlphaBeta(AlphaBetaKeys),
    /// z⁺: positive contributions only, which is alpha-beta with α = 1, β = 0.
    #[schemars(extend("x-source" = "Montavon et al. 2017, eq. 15"))]
    ZPlus(ZPlusKeys),
    /// Any signed rule, as branches with gains of positive and negative contributions.
    #[schemars(extend("x-source" = "–"))]
    Gains(GainsKeys),
    /// w²: by squared weights, whatever the input.
    #[schemars(extend("x-source" = "Montavon et al. 2017, eq. 12"))]
    WSquare(WSquareKeys),
    /// Flat: evenly over the connected inputs.
    #[schemars(extend("x-source" = "Lapuschkin et al. 2019"))]
    Flat(FlatKeys),
    /// z^B: for first layers whose inputs are bounded, such as pixels.
    #[schemars(extend("x-source" = "Montavon et al. 2017, eq. 20"))]
    ZBox(ZBoxKeys),
    /// Relevance unchanged.
    #[schemars(extend("x-source" = "–"))]
    Pass(NoKeys),
    /// LRP-ε for operators without weights of their own, residual sums among them; their default.
    #[schemars(extend("x-source" = "–"))]
    Norm(NormKeys),
    /// For products of two activations, such as squeeze-and-excitation gates.
    #[schemars(extend("x-source" = "gate: Arras et al. 2017; uniform: Achtibat et al. 2024"))]
    Product(ProductKeys),
    /// The plain gradient.
    #[schemars(extend("x-source" = "–"))]
    Gradient(NoKeys),
    /// At activations: the gradient where input and gradient are positive.
    #[schemars(extend("x-source" = "Springenberg et al. 2015"))]
    GuidedBackprop(NoKeys),
    /// At activations: the gradient where it is positive.
    #[schemars(extend("x-source" = "Zeiler and Fergus 2014"))]
    Deconvnet(NoKeys),
}

/// Keys of `zero`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ZeroKeys {
    /// Treatment of the bias's share.
    #[serde(default)]
    #[schemars(example = Bias::Distribute)]
    bias: Bias,
}

/// Keys of `epsilon`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpsilonKeys {
    /// The size of ε, or with `relative` its ratio to the root mean square of the layer's output.
    #[serde(default)]
    #[schemars(example = 0.1, example = EpsilonSize(EpsilonValue::Relative(0.25)))]
    epsilon: EpsilonSize,
    /// Treatment of the bias's share.
    #[serde(default)]
    #[schemars(example = Bias::Distribute)]
    bias: Bias,
}

/// Keys of `gamma`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GammaKeys {
    /// Weight γ of the preference for positive contributions, from 0.
    #[serde(default = "gamma", deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 0.5)]
    gamma: f64,
    /// Added to denominators, with their sign.
    #[serde(default = "stabilizer", deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    stabilizer: f64,
    /// Treatment of the bias's share.
    #[serde(default)]
    #[schemars(example = Bias::Distribute)]
    bias: Bias,
}

/// Keys of `alpha-beta`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlphaBetaKeys {
    /// Weight of the positive contributions, from 1; always `beta` + 1.
    #[serde(default = "alpha", deserialize_with = "number")]
    #[schemars(extend("minimum" = 1), example = 1)]
    alpha: f64,
    /// Weight of the negative contributions, from 0; always `alpha` − 1.
    #[serde(default = "beta", deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 0)]
    beta: f64,
    /// Added to denominators, with their sign.
    #[serde(default = "stabilizer", deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    stabilizer: f64,
    /// Treatment of the bias's share.
    #[serde(default)]
    #[schemars(example = Bias::Distribute)]
    bias: Bias,
}

/// Keys of `z-plus`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ZPlusKeys {
    /// Added to denominators, with their sign.
    #[serde(default = "stabilizer", deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    stabilizer: f64,
    /// Treatment of the bias's share.
    #[serde(default)]
    #[schemars(example = Bias::Distribute)]
    bias: Bias,
}

/// Keys of `gains`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GainsKeys {
    /// The sums that relevance is divided over: contributions with their gains, over the sum of the same.
    #[schemars(title = "list of branches", example = json!([{ "positive": 1.0, "negative": -1.0 }]))]
    branches: Vec<BranchKeys>,
    /// Added to denominators, with their sign, or with `relative` its ratio to the root mean square of the layer's output.
    #[serde(default)]
    #[schemars(example = 1e-9)]
    stabilizer: EpsilonSize,
    /// Treatment of the bias's share.
    #[serde(default)]
    #[schemars(example = Bias::Distribute)]
    bias: Bias,
}

/// A branch.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BranchKeys {
    /// The gain of positive contributions.
    #[serde(deserialize_with = "number")]
    #[schemars(example = 1.25)]
    positive: f64,
    /// The gain of negative contributions.
    #[serde(deserialize_with = "number")]
    #[schemars(example = -1.0)]
    negative: f64,
    /// Fraction of the relevance that it propagates; the fractions of all branches of an output should add up to 1.
    #[serde(default = "all_of_it", deserialize_with = "number")]
    #[schemars(example = 0.5)]
    coefficient: f64,
    /// The outputs whose relevance it propagates.
    #[serde(default)]
    #[schemars(example = Outputs::Nonnegative)]
    outputs: Outputs,
}

impl From<&BranchKeys> for Branch {
    fn from(keys: &BranchKeys) -> Self {
        let outputs = match keys.outputs {
            Outputs::All => Side::All,
            Outputs::Nonnegative => Side::Nonnegative,
            Outputs::Negative => Side::Negative,
        };
        Branch { outputs, coefficient: keys.coefficient, positive: keys.positive, negative: keys.negative }
    }
}

/// `outputs = …`: the outputs of a layer that a branch is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Outputs {
    /// Every output.
    #[default]
    All,
    /// Outputs `z ≥ 0`.
    Nonnegative,
    /// Outputs `z < 0`.
    Negative,
}

/// Keys of `w-square`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WSquareKeys {
    /// Added to denominators, with their sign.
    #[serde(default = "stabilizer", deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    stabilizer: f64,
    /// Treatment of the bias's share.
    #[serde(default = "ignored")]
    #[schemars(example = Bias::Distribute)]
    bias: Bias,
}

/// Keys of `flat`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlatKeys {
    /// Added to denominators, with their sign.
    #[serde(default = "stabilizer", deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    stabilizer: f64,
}

/// Keys of `z-box`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ZBoxKeys {
    /// The lowest value of the model's input, one number or one for each channel; scaling between it and the layer is taken into account.
    #[serde(default, deserialize_with = "per_channel")]
    #[schemars(with = "Option<OneOrMany<f64>>", extend("x-default" = "from [input]"), example = -1.0)]
    low: Option<Vec<f64>>,
    /// The highest value of the model's input, likewise.
    #[serde(default, deserialize_with = "per_channel")]
    #[schemars(with = "Option<OneOrMany<f64>>", extend("x-default" = "from [input]"), example = json!([1.0, 1.0, 1.0]))]
    high: Option<Vec<f64>>,
    /// Added to denominators, with their sign.
    #[serde(default = "stabilizer", deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    stabilizer: f64,
}

impl ZBoxKeys {
    /// Lowest and highest values of the model's input, one number or one for each channel.
    fn bounds(&self, input: &Input) -> Result<(Vec<f64>, Vec<f64>), Unbuildable> {
        let bounds = input.bounds();
        let low = self.low.clone().or_else(|| bounds.as_ref().map(|bounds| bounds.low.clone()));
        let high = self.high.clone().or_else(|| bounds.as_ref().map(|bounds| bounds.high.clone()));
        low.zip(high).ok_or(Unbuildable::NoBounds)
    }

    /// The rule for one node: bounds are those of the model's input, mapped by the operators between it and the node. Where they
    /// cannot be known, they stay as they are, and a lint says so.
    fn at<T: Scalar>(
        &self,
        input: &Input,
        model: &Model<T>,
        node: NodeId,
    ) -> Result<Option<Arc<dyn Rule<T>>>, Unbuildable> {
        let (low, high) = self.bounds(input)?;
        let bounds = match model.input_box_at(node, &low, &high) {
            Ok(bounds) => bounds,
            // As many as the layer has channels, for an input that is only moved around before.
            Err(NoBounds::Channels(_)) if model.moves_only(node) => return Ok(None),
            Err(NoBounds::Channels(shape)) => {
                let count = low.len().max(high.len());
                let message = format!("bounds for {count} channels do not fit the model's input of shape {shape:?}");
                return Err(ParameterError { parameter: "low", message }.into());
            }
            Err(NoBounds::Lost(_)) => return Ok(None),
        };
        if bounds.iter().all(|[lowest, highest]| is_of_channels(lowest, &low) && is_of_channels(highest, &high)) {
            return Ok(None);
        }
        let wide = |bound: Tensor<T>| bound.mapv(T::wide);
        let bounds = bounds.into_iter().map(|bounds| bounds.map(wide)).collect();
        Ok(Some(Arc::new(lrp_rules::ZBox::of_elements(bounds, self.stabilizer)?)))
    }
}

/// Whether a tensor `[1, C, …]` has these values, one everywhere or one per channel.
fn is_of_channels<T: Scalar>(bounds: &Tensor<T>, values: &[f64]) -> bool {
    let channels = bounds.shape().get(1).copied().unwrap_or(1);
    let per_channel = (bounds.len() / channels.max(1)).max(1);
    (values.len() == 1 || channels == values.len())
        && elements(bounds).chunks(per_channel).zip(values.iter().cycle()).all(|(channel, value)| {
            let value = T::of(*value);
            channel.iter().all(|bound| *bound == value)
        })
}

/// Keys of `norm`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NormKeys {
    /// Added to denominators, with their sign.
    #[serde(default = "stabilizer", deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 1e-9)]
    stabilizer: f64,
    /// Policy for dividing relevance among the summands of a residual sum.
    #[serde(default)]
    #[schemars(example = Residual::Absolute)]
    residual: Residual,
}

/// Keys of `product`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductKeys {
    /// Division of relevance between the factors.
    #[serde(default)]
    #[schemars(example = Factors::Uniform)]
    factors: Factors,
    /// The input that is the gate, where the graph does not tell or is wrong: 0 or 1, or a glob over the names of the nodes
    /// that make it.
    #[serde(default, deserialize_with = "factor")]
    #[schemars(with = "Option<Factor>", extend("x-default" = "from the graph"), example = 1)]
    gate: Option<Factor>,
    /// The input that is the signal, which receives all relevance; written as `gate`.
    #[serde(default, deserialize_with = "factor")]
    #[schemars(with = "Option<Factor>", extend("x-default" = "from the graph"), example = 0, example = "*/conv_a/*")]
    signal: Option<Factor>,
}

/// For rules without parameters.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoKeys {}

/// `bias = …`: treatment of the bias's share of the relevance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Bias {
    /// It is part of the denominator, and its share is recorded as absorbed.
    #[default]
    Absorb,
    /// It is not part of the denominator.
    Ignore,
    /// Its share is spread over the inputs, so that the layer conserves relevance.
    Distribute,
}

impl From<Bias> for BiasMode {
    fn from(bias: Bias) -> Self {
        match bias {
            Bias::Absorb => BiasMode::Absorb,
            Bias::Ignore => BiasMode::Ignore,
            Bias::Distribute => BiasMode::Distribute,
        }
    }
}

/// `residual = …`: how a residual sum divides relevance among its summands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Residual {
    /// In proportion to the summands.
    #[default]
    Signed,
    /// In proportion to their absolute values.
    Absolute,
    /// The same to each.
    Equal,
    /// All of it to the skip connection.
    SkipOnly,
    /// All of it to the branch.
    BranchOnly,
}

impl From<Residual> for lrp_rules::Residual {
    fn from(residual: Residual) -> Self {
        match residual {
            Residual::Signed => lrp_rules::Residual::Signed,
            Residual::Absolute => lrp_rules::Residual::Absolute,
            Residual::Equal => lrp_rules::Residual::Equal,
            Residual::SkipOnly => lrp_rules::Residual::SkipOnly,
            Residual::BranchOnly => lrp_rules::Residual::BranchOnly,
        }
    }
}

/// `factors = …`: how a product of two activations divides relevance, unless a key names the gate or the signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Factors {
    /// All of it to the signal, nothing to the gate that the importer found.
    #[default]
    Gate,
    /// Half to each.
    Uniform,
}

impl From<Factors> for lrp_rules::Factors {
    fn from(factors: Factors) -> Self {
        match factors {
            Factors::Gate => lrp_rules::Factors::Gate,
            Factors::Uniform => lrp_rules::Factors::Uniform,
        }
    }
}

/// `epsilon = …`: a number, or `{ relative = … }`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct EpsilonSize(EpsilonValue);

impl Default for EpsilonSize {
    fn default() -> Self {
        EpsilonSize(EpsilonValue::Absolute(1e-6))
    }
}

impl Serialize for EpsilonSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            EpsilonValue::Absolute(value) => value.serialize(serializer),
            EpsilonValue::Relative(relative) => RelativeEpsilon { relative }.serialize(serializer),
        }
    }
}

impl JsonSchema for EpsilonSize {
    fn schema_name() -> Cow<'static, str> {
        "EpsilonSize".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let relative = generator.subschema_for::<RelativeEpsilon>();
        json_schema!({ "anyOf": [{ "type": "number", "minimum": 0 }, relative] })
    }
}

/// The form of `epsilon` that is a table.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RelativeEpsilon {
    /// The ratio of ε to the root mean square of the layer's output, for each sample.
    #[serde(deserialize_with = "number")]
    #[schemars(extend("minimum" = 0), example = 0.25)]
    relative: f64,
}

impl<'de> Deserialize<'de> for EpsilonSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;

        impl<'de> Visitor<'de> for Sizes {
            type Value = EpsilonValue;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a finite number or { relative = 0.25 }")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<EpsilonValue, E> {
                Ok(EpsilonValue::Absolute(value as f64))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<EpsilonValue, E> {
                Number::deserialize(value.into_deserializer()).map(|Number(value)| EpsilonValue::Absolute(value))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EpsilonValue, A::Error> {
                let RelativeEpsilon { relative } = RelativeEpsilon::deserialize(MapAccessDeserializer::new(map))?;
                Ok(EpsilonValue::Relative(relative))
            }
        }

        deserializer.deserialize_any(Sizes).map(EpsilonSize)
    }
}

fn stabilizer() -> f64 {
    1e-6
}

fn all_of_it() -> f64 {
    1.0
}

fn gamma() -> f64 {
    0.25
}

fn alpha() -> f64 {
    2.0
}

fn beta() -> f64 {
    1.0
}

fn ignored() -> Bias {
    Bias::Ignore
}

/// Why no rule can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unbuildable {
    /// z-box knows no bounds, neither its own nor `[input]`'s.
    NoBounds,
    /// A parameter is out of range.
    Parameter(ParameterError),
    /// A key that names a factor of a product names none, or both.
    Factor { key: &'static str, message: String },
    /// Keys that contradict each other.
    Contradiction { key: &'static str, message: &'static str },
}

impl From<ParameterError> for Unbuildable {
    fn from(error: ParameterError) -> Self {
        Unbuildable::Parameter(error)
    }
}

impl RuleSpec {
    /// Makes the rule, with bounds from `input` where it needs some and has none of its own.
    pub fn build<T: Scalar>(&self, input: &Input) -> Result<Arc<dyn Rule<T>>, Unbuildable> {
        Ok(match self {
            RuleSpec::Zero(keys) => Arc::new(lrp_rules::Zero::new(keys.bias.into())),
            RuleSpec::Epsilon(keys) => Arc::new(lrp_rules::Epsilon::new(keys.epsilon.0, keys.bias.into())?),
            RuleSpec::Gamma(keys) => Arc::new(lrp_rules::Gamma::new(keys.gamma, keys.stabilizer, keys.bias.into())?),
            RuleSpec::AlphaBeta(keys) => {
                Arc::new(lrp_rules::AlphaBeta::new(keys.alpha, keys.beta, keys.stabilizer, keys.bias.into())?)
            }
            RuleSpec::ZPlus(keys) => Arc::new(lrp_rules::ZPlus::new(keys.stabilizer, keys.bias.into())?),
            RuleSpec::Gains(keys) => {
                let branches = keys.branches.iter().map(Branch::from).collect();
                Arc::new(lrp_rules::Gains::new(branches, keys.stabilizer.0, keys.bias.into())?)
            }
            RuleSpec::WSquare(keys) => Arc::new(lrp_rules::WSquare::new(keys.stabilizer, keys.bias.into())?),
            RuleSpec::Flat(keys) => Arc::new(lrp_rules::Flat::new(keys.stabilizer)?),
            RuleSpec::ZBox(keys) => {
                let (low, high) = keys.bounds(input)?;
                Arc::new(lrp_rules::ZBox::new(low, high, keys.stabilizer)?)
            }
            RuleSpec::Pass(_) => Arc::new(lrp_rules::Pass),
            RuleSpec::Norm(keys) => Arc::new(lrp_rules::Norm::new(keys.stabilizer, keys.residual.into())?),
            // Names are looked up at each product.
            RuleSpec::Product(keys) => Arc::new(keys.rule(|_, named| match named {
                Factor::Input(input) => Ok(*input),
                Factor::Name(_) => Ok(0),
            })?),
            RuleSpec::Gradient(_) => Arc::new(lrp_rules::Gradient),
            RuleSpec::GuidedBackprop(_) => Arc::new(lrp_rules::GuidedBackprop),
            RuleSpec::Deconvnet(_) => Arc::new(lrp_rules::Deconvnet),
        })
    }

    /// The rule for one node, where that is not the same as for every other: a factor of a product that is named, and the bounds of z-box.
    pub fn build_at<T: Scalar>(
        &self,
        input: &Input,
        model: &Model<T>,
        node: NodeId,
    ) -> Result<Option<Arc<dyn Rule<T>>>, Unbuildable> {
        match self {
            RuleSpec::Product(keys) => keys.at(model, node),
            RuleSpec::ZBox(keys) => keys.at(input, model, node),
            _ => Ok(None),
        }
    }

    /// Where the rule is z-box: its lowest and highest values, its own or `[input]`'s.
    pub fn z_box(&self, input: &Input) -> Option<Bounds> {
        let RuleSpec::ZBox(keys) = self else { return None };
        let (low, high) = keys.bounds(input).ok()?;
        Some(Bounds { low, high })
    }

    /// The rule's name.
    pub fn name(&self) -> &'static str {
        match self {
            RuleSpec::Zero(_) => "zero",
            RuleSpec::Epsilon(_) => "epsilon",
            RuleSpec::Gamma(_) => "gamma",
            RuleSpec::AlphaBeta(_) => "alpha-beta",
            RuleSpec::ZPlus(_) => "z-plus",
            RuleSpec::Gains(_) => "gains",
            RuleSpec::WSquare(_) => "w-square",
            RuleSpec::Flat(_) => "flat",
            RuleSpec::ZBox(_) => "z-box",
            RuleSpec::Pass(_) => "pass",
            RuleSpec::Norm(_) => "norm",
            RuleSpec::Product(_) => "product",
            RuleSpec::Gradient(_) => "gradient",
            RuleSpec::GuidedBackprop(_) => "guided-backprop",
            RuleSpec::Deconvnet(_) => "deconvnet",
        }
    }

    /// The operators that the rule has a meaning for.
    pub fn domain(&self) -> Domain {
        match self {
            RuleSpec::Pass(_) | RuleSpec::Gradient(_) | RuleSpec::GuidedBackprop(_) | RuleSpec::Deconvnet(_) => {
                Domain::All
            }
            RuleSpec::Product(_) => Domain::Products,
            _ => Domain::Affine,
        }
    }
}

impl ProductKeys {
    /// The rule for one node, where the gate or the signal is named: which input that is depends on the node.
    fn at<T: Scalar>(&self, model: &Model<T>, node: NodeId) -> Result<Option<Arc<dyn Rule<T>>>, Unbuildable> {
        if !self.gate.iter().chain(&self.signal).any(|factor| matches!(factor, Factor::Name(_))) {
            return Ok(None);
        }
        let input =
            |key, factor: &Factor| factor.input_of(model, node).map_err(|message| Unbuildable::Factor { key, message });
        Ok(Some(Arc::new(self.rule(input)?)))
    }

    /// The rule, where `input` tells which input a key's factor is.
    fn rule(
        &self,
        input: impl Fn(&'static str, &Factor) -> Result<usize, Unbuildable>,
    ) -> Result<lrp_rules::Product, Unbuildable> {
        let contradiction = |key, message| Err(Unbuildable::Contradiction { key, message });
        Ok(match (&self.gate, &self.signal) {
            (Some(_), Some(_)) => return contradiction("signal", "gate and signal each say all: give one of them"),
            (Some(_), None) | (None, Some(_)) if self.factors == Factors::Uniform => {
                return contradiction(
                    "factors",
                    "uniform gives half to each input, whichever is the gate or the signal",
                );
            }
            (Some(factor), None) => lrp_rules::Product::gate(input("gate", factor)?)?,
            (None, Some(factor)) => lrp_rules::Product::signal(input("signal", factor)?)?,
            (None, None) => lrp_rules::Product::new(self.factors.into()),
        })
    }
}

/// The operators that a rule has a meaning for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    /// Those with weights, and sums, means and the like.
    Affine,
    /// Products of two activations.
    Products,
    /// Every operator.
    All,
}

impl Domain {
    /// Whether operators of this kind are meant.
    pub fn contains(self, kind: Kind) -> bool {
        match self {
            Domain::Affine => matches!(kind.group(), Group::Weighted | Group::Weightless | Group::Preprocessing),
            Domain::Products => kind.group() == Group::Product,
            Domain::All => true,
        }
    }
}

/// The default for operators without weights of their own.
pub(crate) fn default_norm<T: Scalar>() -> Result<Arc<dyn Rule<T>>, ParameterError> {
    Ok(Arc::new(lrp_rules::Norm::new(stabilizer(), lrp_rules::Residual::default())?))
}
