//! From a rule of an entry to the rule of a node: with the bounds of `[input]`, and with factors of products by name.

use std::sync::Arc;

use lrp_core::entrance::NoBounds;
use lrp_core::tensor::elements;
use lrp_core::{Model, NodeId, ParameterError, Rule, Scalar, Tensor};
use lrp_rules::{Norm, Product, ZBox};

use crate::any_rule::AnyRule;
use crate::element_box::ElementBox;
use crate::factor::Factor;
use crate::input::{Bounds, Input};

/// Why no rule can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unbuildable {
    /// z-box knows no bounds, neither its own nor `[input]`'s.
    NoBounds,
    /// A parameter is out of range, or contradicts another one.
    Parameter(ParameterError),
    /// A key that names a factor of a product names none, or both.
    Factor { key: &'static str, message: String },
    /// A rule of the library's user does not compute with numbers of this type.
    NumberType(&'static str),
}

impl From<ParameterError> for Unbuildable {
    fn from(error: ParameterError) -> Self {
        Unbuildable::Parameter(error)
    }
}

/// The rule, if its parameters are allowed.
fn checked<T: Scalar, R: Rule<T> + Clone + 'static>(rule: &R) -> Result<Arc<dyn Rule<T>>, Unbuildable> {
    rule.check()?;
    Ok(Arc::new(rule.clone()))
}

impl AnyRule {
    /// Makes the rule, with bounds from `input` where it needs some and has none of its own.
    pub(crate) fn build<T: Scalar>(&self, input: &Input) -> Result<Arc<dyn Rule<T>>, Unbuildable> {
        match self {
            AnyRule::Zero(rule) => checked(rule),
            AnyRule::Epsilon(rule) => checked(rule),
            AnyRule::Gamma(rule) => checked(rule),
            AnyRule::AlphaBeta(rule) => checked(rule),
            AnyRule::ZPlus(rule) => checked(rule),
            AnyRule::Gains(rule) => checked(rule),
            AnyRule::WSquare(rule) => checked(rule),
            AnyRule::Flat(rule) => checked(rule),
            AnyRule::ZBox(rule) => checked(&bounded(rule, input)?),
            AnyRule::Pass(rule) => checked(rule),
            AnyRule::Norm(rule) => checked(rule),
            // Names are looked up at each product.
            AnyRule::Product(rule) => checked(&by_number(rule, |_, named| match named {
                Factor::Input(input) => Ok(*input),
                Factor::Name(_) => Ok(0),
            })?),
            AnyRule::Gradient(rule) => checked(rule),
            AnyRule::GuidedBackprop(rule) => checked(rule),
            AnyRule::Deconvnet(rule) => checked(rule),
            AnyRule::Constant(rule) => checked(rule),
            AnyRule::Taylor(rule) => checked(rule),
            AnyRule::Own(own) => {
                let rule = own.rule().ok_or(Unbuildable::NumberType(T::NAME))?;
                rule.check()?;
                Ok(rule)
            }
        }
    }

    /// The rule for one node, where that is not the same as for every other: a factor of a product that is named, and the bounds of z-box.
    pub(crate) fn build_at<T: Scalar>(
        &self,
        input: &Input,
        model: &Model<T>,
        node: NodeId,
    ) -> Result<Option<Arc<dyn Rule<T>>>, Unbuildable> {
        match self {
            AnyRule::Product(rule) => product_at(rule, model, node),
            AnyRule::ZBox(rule) => z_box_at(&bounded(rule, input)?, model, node),
            _ => Ok(None),
        }
    }

    /// Checks the parameters, as far as that goes without a model: bounds that are not given are allowed.
    pub(crate) fn check(&self) -> Result<(), Unbuildable> {
        let rule = match self {
            AnyRule::ZBox(ZBox { low, high, stabilizer }) => {
                let [low, high] = [low.as_ref().or(high.as_ref()), high.as_ref().or(low.as_ref())];
                let bound = |given: Option<&Vec<f64>>| Some(given.cloned().unwrap_or_else(|| vec![0.0]));
                &AnyRule::ZBox(ZBox { low: bound(low), high: bound(high), stabilizer: *stabilizer })
            }
            rule => rule,
        };
        rule.build::<f64>(&Input::default()).map(|_| ())
    }

    /// Where the rule is z-box: its lowest and highest values, its own or `[input]`'s.
    pub(crate) fn z_box(&self, input: &Input) -> Option<Bounds> {
        let AnyRule::ZBox(rule) = self else { return None };
        let rule = bounded(rule, input).ok()?;
        rule.low.zip(rule.high).map(|(low, high)| Bounds { low, high })
    }
}

/// z-box with lowest and highest values, those of `[input]` where it has none: one number or one for each channel.
fn bounded(rule: &ZBox, input: &Input) -> Result<ZBox, Unbuildable> {
    let bounds = input.bounds();
    let low = rule.low.clone().or_else(|| bounds.as_ref().map(|bounds| bounds.low.clone()));
    let high = rule.high.clone().or_else(|| bounds.as_ref().map(|bounds| bounds.high.clone()));
    let (low, high) = low.zip(high).ok_or(Unbuildable::NoBounds)?;
    Ok(ZBox { low: Some(low), high: Some(high), ..*rule })
}

/// z-box for one node: bounds are those of the model's input, mapped by the operators between it and the node. Where they
/// cannot be known, they stay as they are, and a lint says so.
fn z_box_at<T: Scalar>(rule: &ZBox, model: &Model<T>, node: NodeId) -> Result<Option<Arc<dyn Rule<T>>>, Unbuildable> {
    let (Some(low), Some(high)) = (&rule.low, &rule.high) else { return Err(Unbuildable::NoBounds) };
    let bounds = match model.input_box_at(node, low, high) {
        Ok(bounds) => bounds,
        // As many as the layer has channels, for an input that is only moved around before.
        Err(NoBounds::Channels(_)) if model.moves_only(node) => return Ok(None),
        Err(NoBounds::Channels(shape)) => {
            let count = low.len().max(high.len());
            let message = format!("bounds for {count} channels do not fit the model's input of shape {shape:?}");
            return Err(ParameterError::new("low", message).into());
        }
        Err(NoBounds::Lost(_)) => return Ok(None),
    };
    if bounds.iter().all(|[lowest, highest]| is_of_channels(lowest, low) && is_of_channels(highest, high)) {
        return Ok(None);
    }
    let wide = |bound: Tensor<T>| bound.mapv(T::wide);
    let bounds = bounds.into_iter().map(|bounds| bounds.map(wide)).collect();
    checked(&ElementBox { bounds, stabilizer: rule.stabilizer }).map(Some)
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

/// The rule for one product, where the gate or the signal is named: which input that is depends on the node.
fn product_at<T: Scalar>(
    rule: &Product<Factor>,
    model: &Model<T>,
    node: NodeId,
) -> Result<Option<Arc<dyn Rule<T>>>, Unbuildable> {
    if !rule.gate.iter().chain(&rule.signal).any(|factor| matches!(factor, Factor::Name(_))) {
        return Ok(None);
    }
    let input =
        |key, factor: &Factor| factor.input_of(model, node).map_err(|message| Unbuildable::Factor { key, message });
    checked(&by_number(rule, input)?).map(Some)
}

/// The rule, where `input` tells which input a key's factor is.
fn by_number(
    rule: &Product<Factor>,
    input: impl Fn(&'static str, &Factor) -> Result<usize, Unbuildable>,
) -> Result<Product, Unbuildable> {
    let number = |key, factor: &Option<Factor>| factor.as_ref().map(|factor| input(key, factor)).transpose();
    let (gate, signal) = (number("gate", &rule.gate)?, number("signal", &rule.signal)?);
    Ok(Product { factors: rule.factors, gate, signal, stabilizer: rule.stabilizer })
}

/// The default for operators without weights of their own.
pub(crate) fn default_norm<T: Scalar>() -> Arc<dyn Rule<T>> {
    Arc::new(Norm::default())
}
