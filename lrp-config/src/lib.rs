//! Recipes: TOML that says which rule each layer of a model gets, and why; with a model and inputs, a whole experiment.
//!
//! ```
//! use lrp_config::Recipe;
//! # use lrp_core::{graph::Builder, ops::Dense, tensor::Tensor};
//! # let mut net = Builder::<f64>::new();
//! # let x = net.input("x", &[2]);
//! # let z = net.add("fc", Dense::new(Tensor::ones(vec![1, 2]), None, &[2])?, &[x])?;
//! # let model = net.finish(z)?;
//!
//! let recipe = Recipe::parse(
//!     r#"
//!     schema  = 1
//!     extends = "epsilon-plus"
//!
//!     [[assign]]
//!     layers = "last"
//!     rule   = "zero"
//!     "#,
//!     "my.toml",
//!     "",
//! )?;
//! let resolved = recipe.resolve(&model)?;
//! for choice in resolved.choices.values() {
//!     assert_eq!(choice.rule.to_string(), "zero");
//!     assert_eq!(choice.origin.to_string(), "my.toml:5 (entry 1)");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same rules in Rust, without a text, are a [`Composite`].
//!
//! The way of a recipe: text → `reader` (a spanned tree, then the types of `format`) → [`Recipe`] (parents merged, parameters
//! checked) → [`Recipe::resolve`] with a model → [`Resolved`], whose assignment makes an [`lrp_core::Plan`]. Mistakes come out
//! as [`RecipeError`], all at once, each with its position in the text and a fix.

/// For sections of a recipe: takes the named keys from the parent's section where they are not given.
macro_rules! inherit {
    ($this:ident, $parent:ident, $($key:ident),+) => {
        $(if $this.$key.is_none() {
            $this.$key.clone_from(&$parent.$key);
        })+
    };
}

mod any_rule;
mod attention;
mod bare_names;
mod begin;
mod build;
mod class;
mod colormap;
mod composite;
mod diagnostic;
mod element_box;
mod elements;
mod entry;
mod experiment;
mod factor;
mod fix;
mod format;
mod indices;
mod input;
mod inputs;
mod inside;
mod likely_name;
mod look;
mod misfit;
mod names;
mod on_unknown;
mod ops;
mod origin;
mod own_rule;
mod preset;
mod reader;
mod recipe;
mod reference;
mod rule_info;
mod schema;
mod schema_page;
mod selector;
mod similar;
mod source;
mod start;
mod state_space;
mod suggest;
mod syntax;
mod target;
mod values;
mod written;

pub use any_rule::AnyRule;
pub use attention::layers as attention_layers;
pub use begin::{Begin, StartAt};
pub use class::Class;
pub use colormap::{COLORMAPS, Colormap};
pub use composite::{Composite, CompositeError};
pub use diagnostic::{Diagnostic, RecipeError};
pub use elements::{Channels as BoxChannels, ClassChoice, Elements};
pub use experiment::{Compare, Explain, ModelFiles, Output, Precision, Save};
pub use factor::Factor;
pub use fix::{Edit, Fix};
pub use input::{Bounds, Channels, Input, InputPreset, Kind, Resize};
pub use inputs::{FixedInput, FixedInputs, InputFiles};
pub use inside::nodes_at;
pub use look::{Scale, Size};
pub use lrp_core::parameter::ValueError;
pub use misfit::Misfit;
pub use names::NameGlob;
pub use on_unknown::OnUnknown;
pub use origin::{Origin, Place};
pub use own_rule::OwnRule;
pub use preset::{Preset, presets};
pub use recipe::{Choice, Compared, Recipe, Resolved};
pub use reference::Reference;
pub use rule_info::{Parameter, RuleInfo, rules};
pub use schema::schema;
pub use schema_page::schema_page;
pub use selector::{Layers, SelectorError};
pub use similar::{Measure, SimilarTo};
pub use source::Source;
pub use start::Start;
pub use suggest::closest_file;
pub use target::Target;
