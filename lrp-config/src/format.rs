//! A recipe as it is written: the keys of the file, with their docs.
//!
//! These types, with those that they are made of, are the one description of the format: serde reads recipes into them, and
//! schemars makes the JSON Schema of them, with their comments, defaults and examples (`schema`). What serde cannot see — that
//! names exist, that parameters are allowed — is checked where they are used.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use toml::Spanned;

use crate::any_rule::AnyRule;
use crate::experiment::{Compare, Explain, ModelFiles, Output};
use crate::indices::Indices;
use crate::input::Input;
use crate::names::NameGlob;
use crate::ops::Ops;
use crate::reference::Reference;
use crate::values::{Count, OneOrMany};

/// The version of the format that this program reads.
pub(crate) const SCHEMA_VERSION: usize = 1;

/// The propagation rules of a network's layers; with a model and inputs, a whole experiment.
///
/// Paths are relative to the recipe's own folder.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "LRP recipe")]
pub(crate) struct RecipeFile {
    /// Version of the format.
    // Missing ones are reported before the rest is read.
    #[serde(rename = "schema")]
    #[schemars(required, extend("const" = SCHEMA_VERSION), example = SCHEMA_VERSION)]
    pub _schema: Option<Count>,
    /// Name of the recipe.
    #[schemars(extend("x-default" = "none"), example = &"Montavon composite")]
    pub name: Option<String>,
    /// Purpose of the recipe.
    #[schemars(extend("x-default" = "none"), example = &"LRP-0 on top, LRP-ε in the middle, LRP-γ below")]
    pub description: Option<String>,
    /// A preset, or the path of a recipe relative to this one: its entries come first, its sections fill in what is not given
    /// here.
    #[schemars(with = "Option<Reference>")]
    #[schemars(extend("x-default" = "none"), example = &"epsilon-plus", example = &"montavon-composite.toml")]
    pub extends: Option<Spanned<Reference>>,
    /// Multiply the relevance at the input with the input, as gradient × input does.
    #[schemars(extend("default" = false), example = true)]
    pub times_input: Option<bool>,
    /// Input that the model expects.
    ///
    /// A pixel becomes `(pixel − mean) / std`. The darkest pixel is the first number of `range` and the brightest the second: `[0, 1]` scales pixels to 0…1, `[0, 255]` keeps those of
    /// an 8-bit image as they are, `[-1, 1]` maps them to −1…1. `mean` and `std` are in the same units. All three take one value for all
    /// channels, or a list with one for each, in the model's order of channels. Four usual conventions, which `--input-preset` has by name:
    ///
    /// | convention | `range` | `mean` | `std` | `channels` |
    /// |---|---|---|---|---|
    /// | torchvision (`imagenet`) | `[0, 1]` | `[0.485, 0.456, 0.406]` | `[0.229, 0.224, 0.225]` | `"rgb"` |
    /// | Keras, mode "caffe" (`keras-caffe`) | `[0, 255]` | `[103.939, 116.779, 123.68]` | 1 | `"bgr"` |
    /// | Keras, mode "tf" (`keras-tf`) | `[-1, 1]` | 0 | 1 | `"rgb"` |
    /// | MNIST, 0…1 (`mnist`) | `[0, 1]` | 0 | 1 | `"grey"` |
    ///
    /// Images are changed on the way only where they have to be, and the manifest names each change under `conversions`: the rotation that EXIF
    /// data ask for is applied; where pixels are transparent, the image is laid over black (an opaque alpha channel is dropped); CMYK becomes
    /// RGB; grey fills three channels; and colours become grey for a model with one channel, 0.299 R + 0.587 G + 0.114 B, with a warning unless
    /// `channels = "grey"` says so. Pixels of 16 bits keep them. Palettes are resolved, colour profiles are not applied. Arrays (`.npy`, `.npz`)
    /// and tables go to the model as they are, without `mean` and `std`; a warning says where their numbers leave the bounds that follow from
    /// `range`, `mean` and `std`.
    #[schemars(with = "Option<Input>")]
    pub input: Option<Spanned<Input>>,
    /// Rules of the layers. Later entries override earlier ones.
    #[serde(default)]
    #[schemars(with = "Option<Vec<Assign>>")]
    pub assign: Vec<Spanned<Assign>>,
    /// The network.
    #[serde(default)]
    pub model: ModelFiles,
    /// Inputs, target and start of the explanation.
    #[serde(default)]
    pub explain: Explain,
    /// The folder of the results, and their appearance.
    #[serde(default)]
    pub output: Output,
    /// Several recipes side by side.
    #[schemars(with = "Option<Compare>")]
    pub compare: Option<Spanned<Compare>>,
}

/// `[[assign]]`: a rule, and the nodes that get it.
///
/// Selectors must all match, and one that is not given matches everything; but without `ops`, `names` and `state_space` only weighted layers
/// are meant.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assign {
    /// Weighted layers by index, as `lrp layers` numbers them. Ranges read as Rust's do; percentages are of the number of layers.
    #[schemars(with = "Option<Indices>", extend("x-default" = "all weighted layers"))]
    #[schemars(example = 3, example = json!([0, 2, 5]), example = &"0..=4", example = &"5..", example = &"first", example = &"last")]
    #[schemars(example = &"0%..50%")]
    pub layers: Option<Spanned<Indices>>,
    /// Kinds or groups of operators.
    #[schemars(with = "Option<OneOrMany<Ops>>", extend("x-default" = "\"weighted\", unless `names` is given"))]
    #[schemars(example = &"conv", example = json!(["conv", "dense"]), example = &"activation")]
    pub ops: Option<Spanned<OneOrMany<Ops>>>,
    /// Globs over node names, which must match the whole name. Scaling of the input (`preprocessing`) is meant by its own name, or by a glob
    /// that matches no other layer.
    #[schemars(with = "Option<OneOrMany<NameGlob>>", extend("x-default" = "all names"))]
    #[schemars(example = &"/features/*", example = json!(["classifier.*", "*/fc/*"]))]
    pub names: Option<Spanned<OneOrMany<NameGlob>>>,
    /// The layers of attention (true), or all others (false): weighted layers next to a matrix product of two activations, by the structure of
    /// the model.
    #[schemars(with = "Option<bool>", extend("x-default" = "both"), example = false)]
    pub attention: Option<Spanned<bool>>,
    /// The parameters of state spaces (true), or all others (false): the exponentials that a state is multiplied with, and the weighted layers
    /// that Δ, B and C come from, by the structure of the model.
    #[schemars(with = "Option<bool>", extend("x-default" = "both"), example = true)]
    pub state_space: Option<Spanned<bool>>,
    /// The rule, with its parameters or as a bare name.
    #[schemars(with = "AnyRule", example = &"zero", example = json!({ "type": "gamma", "gamma": 0.25 }))]
    pub rule: Spanned<AnyRule>,
    /// Permits that nothing in the model matches.
    #[serde(default)]
    #[schemars(example = true)]
    pub optional: bool,
}

/// Whether the values are the same, wherever they stand.
impl PartialEq for Assign {
    fn eq(&self, other: &Self) -> bool {
        fn same<V: PartialEq>(this: &Option<Spanned<V>>, other: &Option<Spanned<V>>) -> bool {
            this.as_ref().map(Spanned::get_ref) == other.as_ref().map(Spanned::get_ref)
        }
        same(&self.layers, &other.layers)
            && same(&self.ops, &other.ops)
            && same(&self.names, &other.names)
            && same(&self.attention, &other.attention)
            && same(&self.state_space, &other.state_space)
            && self.rule.get_ref() == other.rule.get_ref()
            && self.optional == other.optional
    }
}
