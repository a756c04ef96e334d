//! `rule = …`: one of the rules that recipes can name, or a rule of the library's user.
//!
//! The rules themselves (`lrp-rules`) have the documentation, the defaults and the check of their parameters; here they only get together. `lrp rules`,
//! the JSON Schema and the reference page are made from them.

use std::fmt;

use lrp_core::formula::STABILIZER;
use lrp_core::operator::{Group, Kind};
use lrp_core::parameter::Printed;
use lrp_core::text::toml as toml_text;
use lrp_rules::{
    AlphaBeta, Constant, Deconvnet, Epsilon, Flat, Gains, Gamma, Gradient, GuidedBackprop, Norm, Pass, Product, Taylor,
    WSquare, ZBox, ZPlus, Zero,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::bare_names::with_bare_names;
use crate::factor::Factor;
use crate::own_rule::OwnRule;

/// A rule of an entry. `Display` prints it as `lrp plan` does: `gamma { gamma = 0.25, stabilizer = 1e-6 }`.
///
/// A recipe writes `{ type = "gamma", gamma = 0.25 }` or the bare name, `"gamma"`; before serde reads it, the reader of recipes brings both into the form
/// `{ gamma = { gamma = 0.25 } }`, which keeps every value in its place.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(tag = "type", transform = with_bare_names)]
#[non_exhaustive]
#[allow(missing_docs)] // The rules have their documentation, from which that of the format is made.
pub enum AnyRule {
    Zero(Zero),
    Epsilon(Epsilon),
    Gamma(Gamma),
    AlphaBeta(AlphaBeta),
    ZPlus(ZPlus),
    Gains(Gains),
    WSquare(WSquare),
    Flat(Flat),
    ZBox(ZBox),
    Pass(Pass),
    Norm(Norm),
    Product(Product<Factor>),
    Constant(Constant),
    Taylor(Taylor),
    Gradient(Gradient),
    GuidedBackprop(GuidedBackprop),
    Deconvnet(Deconvnet),
    #[serde(skip)]
    Own(OwnRule),
}

macro_rules! from_rules {
    ($($rule:ident),*) => {
        $(impl From<$rule> for AnyRule {
            fn from(rule: $rule) -> Self {
                AnyRule::$rule(rule)
            }
        })*

        impl AnyRule {
            /// The rule as a recipe writes it; none for a rule of the library's user.
            pub(crate) fn printed(&self) -> Result<&dyn Printed, &OwnRule> {
                match self {
                    $(AnyRule::$rule(rule) => Ok(rule),)*
                    AnyRule::Product(rule) => Ok(rule),
                    AnyRule::Own(rule) => Err(rule),
                }
            }
        }
    };
}

from_rules!(
    Zero,
    Epsilon,
    Gamma,
    AlphaBeta,
    ZPlus,
    Gains,
    WSquare,
    Flat,
    ZBox,
    Pass,
    Norm,
    Constant,
    Taylor,
    Gradient,
    GuidedBackprop,
    Deconvnet
);

impl From<Product<Factor>> for AnyRule {
    fn from(rule: Product<Factor>) -> Self {
        AnyRule::Product(rule)
    }
}

impl From<Product> for AnyRule {
    fn from(Product { factors, gate, signal, stabilizer }: Product) -> Self {
        let (gate, signal) = (gate.map(Factor::Input), signal.map(Factor::Input));
        AnyRule::Product(Product { factors, gate, signal, stabilizer })
    }
}

impl From<OwnRule> for AnyRule {
    fn from(rule: OwnRule) -> Self {
        AnyRule::Own(rule)
    }
}

impl fmt::Display for AnyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.printed() {
            Ok(rule) => rule.fmt(f),
            Err(rule) => rule.fmt(f),
        }
    }
}

impl AnyRule {
    /// The rule as people write it in a recipe: a stabilizer of the default size is left out. None for a rule of the library's user, which no recipe
    /// can name.
    pub fn to_toml(&self) -> Option<String> {
        let rule = self.printed().ok()?;
        let default = ("stabilizer".to_owned(), toml_text(&STABILIZER.into()));
        let parameters = rule.parameters().into_iter().filter(|parameter| *parameter != default);
        let parameters: String = parameters.map(|(key, value)| format!(", {key} = {value}")).collect();
        let name = rule.name();
        Some(if parameters.is_empty() { format!("\"{name}\"") } else { format!("{{ type = \"{name}\"{parameters} }}") })
    }

    /// The rule's name.
    pub(crate) fn name(&self) -> String {
        match self.printed() {
            Ok(rule) => rule.name().to_owned(),
            Err(rule) => rule.to_string(),
        }
    }

    /// The operators that the rule has a meaning for.
    pub(crate) fn domain(&self) -> Domain {
        match self {
            AnyRule::Pass(_) | AnyRule::Gradient(_) | AnyRule::GuidedBackprop(_) | AnyRule::Deconvnet(_) => Domain::All,
            AnyRule::Constant(_) => Domain::All,
            AnyRule::Product(_) => Domain::Products,
            AnyRule::Taylor(_) => Domain::Softmax,
            AnyRule::Norm(_) => Domain::Norm,
            AnyRule::Own(rule) if rule.is_for_all() => Domain::All,
            _ => Domain::Affine,
        }
    }
}

/// The operators that a rule has a meaning for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    /// Those with weights, and sums, means and the like.
    Affine,
    /// Those, and layer normalizations.
    Norm,
    /// Products of two activations.
    Products,
    /// A softmax.
    Softmax,
    /// Every operator.
    All,
}

impl Domain {
    /// Whether operators of this kind are meant.
    pub fn contains(self, kind: Kind) -> bool {
        match self {
            Domain::Affine => matches!(kind.group(), Group::Weighted | Group::Weightless | Group::Preprocessing),
            Domain::Norm => kind == Kind::LayerNorm || Domain::Affine.contains(kind),
            Domain::Products => kind.group() == Group::Product,
            Domain::Softmax => kind == Kind::Softmax,
            Domain::All => true,
        }
    }
}
