//! The request for a first recipe.

use std::collections::BTreeMap;

use lrp_config::InputPreset;
use serde_json::Value;

/// The names in the recipe: texts, paths already as the recipe writes them.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The name of the model's file, without folders.
    pub file: String,
    /// The path of the model.
    pub model: String,
    /// The name of the recipe's file, without folders, if it is a file.
    pub recipe: Option<String>,
    /// The paths and patterns of the inputs.
    pub inputs: Vec<String>,
    /// Those of inputs of the model that are named.
    pub named: BTreeMap<String, Vec<String>>,
    /// Values of fixed inputs: files already as the recipe writes them.
    pub fixed: BTreeMap<String, Value>,
    /// The sample shape that the user states; empty where the model has one.
    pub input_shape: Vec<usize>,
    /// The name of the output to explain, if the user states it.
    pub output: Option<String>,
    /// The path of the labels.
    pub labels: Option<String>,
    /// Statements of the user on pixels.
    pub preset: Option<InputPreset>,
}
