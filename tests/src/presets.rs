//! The five classical presets on the networks that `tools/zoo.py` makes, to be compared with zennit's relevance.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use lrp_config::Recipe;
use lrp_core::{Model, Plan, Scalar, Start, Target, Tensor};
use ndarray_npy::{NpzReader, ReadableElement};

/// Names of presets, and of arrays in the files of zennit's relevances.
pub const PRESETS: [&str; 5] =
    ["epsilon-plus", "epsilon-plus-flat", "epsilon-alpha2-beta1", "epsilon-alpha2-beta1-flat", "epsilon-gamma-box"];

/// Relevance of the inputs, for the class with the largest logit and starting with that logit. Pixels range from −3 to 3.
pub fn relevance<T: Scalar>(model: &Arc<Model<T>>, preset: &str, x: &Tensor<T>) -> Result<Tensor<T>, String> {
    let text = format!("schema = 1\nextends = \"{preset}\"\n[input]\nrange = [-3.0, 3.0]\n");
    let recipe = Recipe::parse(&text, "presets.rs", "").map_err(|e| e.to_string())?;
    let assignment = recipe.resolve(model).map_err(|e| e.to_string())?.assignment();
    let plan = Plan::new(Arc::clone(model), &assignment).map_err(|e| e.to_string())?;
    let explanation = plan.explain(x, &Target::Argmax, Start::Logit).map_err(|e| e.to_string())?;
    Ok(explanation.input_relevance().clone())
}

/// The imported model of a file.
pub fn load<T: Scalar>(path: &Path) -> Result<Arc<Model<T>>, String> {
    let import = lrp_onnx::load::<T>(path, &lrp_onnx::Options::default()).map_err(|e| e.to_string())?;
    Ok(Arc::new(import.model))
}

/// As the program computes it: in single precision by the fastest algorithms.
pub fn as_usual<T: Scalar>(model: Arc<Model<T>>) -> Arc<Model<T>> {
    if T::NAME == "f32" { Arc::new(model.fastest()) } else { model }
}

/// An array of an npz file.
pub fn array<A: ReadableElement>(path: &Path, key: &str) -> Result<ndarray::ArrayD<A>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {key}: {error}", path.display());
    let file = File::open(path).map_err(|e| failed(&e))?;
    let mut arrays = NpzReader::new(file).map_err(|e| failed(&e))?;
    arrays.by_name(key).map_err(|e| failed(&e))
}
