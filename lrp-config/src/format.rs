//! A recipe as it is written: the keys of the file, with their docs.
//!
//! These types, with those that they are made of, are the one description of the format. What serde cannot see — that names
//! exist, that parameters are allowed — is checked where they are used.

use serde::Deserialize;
use toml::Spanned;

use crate::experiment::{Compare, Explain, ModelFiles, Output};
use crate::input::Input;
use crate::layers::Layers;
use crate::names::NameGlob;
use crate::ops::Ops;
use crate::reference::Reference;
use crate::rule_spec::RuleSpec;
use crate::values::{Count, OneOrMany};

/// The version of the format that this program reads.
pub(crate) const SCHEMA_VERSION: usize = 1;

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecipeFile {
    /// Version of the format: `1`. Required (checked before the rest is read).
    #[serde(rename = "schema")]
    pub _schema: Option<Count>,
    /// What to call the recipe. No default. Example: `"Montavon composite"`.
    pub name: Option<String>,
    /// What it does, or what it is for. No default.
    pub description: Option<String>,
    /// A preset, or the path of a recipe relative to this one: its entries come first, its sections fill in what is not given
    /// here. No default. Example: `"epsilon-plus"`.
    pub extends: Option<Spanned<Reference>>,
    /// Multiply the relevance at the input with the input, as gradient × input does. Default: `false`.
    pub times_input: Option<bool>,
    /// What the model expects of its input.
    pub input: Option<Spanned<Input>>,
    /// Which rule each layer gets. Later entries override earlier ones.
    #[serde(default)]
    pub assign: Vec<Spanned<Assign>>,
    /// The network.
    #[serde(default)]
    pub model: ModelFiles,
    /// What is explained, and how.
    #[serde(default)]
    pub explain: Explain,
    /// Where results go.
    #[serde(default)]
    pub output: Output,
    /// Several recipes side by side.
    pub compare: Option<Spanned<Compare>>,
}

/// `[[assign]]`: a rule, and the nodes that get it.
///
/// Selectors must all match, and one that is left out matches everything; but without `ops` and `names` only weighted layers
/// are meant.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assign {
    /// Weighted layers by index, as `lrp layers` numbers them. Default: all. Examples: `3`, `[0, 2, 5]`, `"0..=4"`, `"5.."`,
    /// `"first"`, `"last"`, `"0%..50%"`.
    pub layers: Option<Spanned<Layers>>,
    /// Kinds or groups of operators. Default: `"weighted"`, unless `names` is given. Examples: `"conv"`, `["conv", "dense"]`,
    /// `"activation"`.
    pub ops: Option<Spanned<OneOrMany<Ops>>>,
    /// Globs over node names, which must match the whole name. Default: all. Example: `["classifier.*", "*/fc/*"]`.
    pub names: Option<Spanned<OneOrMany<NameGlob>>>,
    /// The rule, with its parameters or as a bare name. Required. Examples: `"zero"`, `{ type = "gamma", gamma = 0.25 }`.
    pub rule: Spanned<RuleSpec>,
    /// Whether it is all right that a model has nothing that matches. Default: `false`.
    #[serde(default)]
    pub optional: bool,
}
