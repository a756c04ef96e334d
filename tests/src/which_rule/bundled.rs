//! The bundled networks and pictures, in f64.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lrp_config::Recipe;
use lrp_core::{Explanation, Model, Plan, Start, Target, Tensor};
use ndarray::{ArrayView, Axis, IxDyn};
use ndarray_npy::ReadNpyExt;

/// Height and width of a picture.
pub const SIDE: usize = 28;

/// The folder of the workspace.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate has a parent folder").to_path_buf()
}

/// A bundled network.
pub struct Network {
    model: Arc<Model<f64>>,
    forward: Plan<f64>,
}

impl Network {
    /// Loads `examples/mnist/NAME`.
    pub fn load(name: &str) -> Self {
        let path = root().join("examples/mnist").join(name);
        let loaded = lrp_onnx::load::<f64>(&path, &lrp_onnx::Options::default()).expect("the network is bundled");
        let model = Arc::new(loaded.model);
        let forward = plan(&model, &Recipe::preset("lrp-0").expect("a preset"));
        Self { model, forward }
    }

    /// Explains the logit of `target` in every picture.
    pub fn explain(&self, recipe: &Recipe, x: &Tensor<f64>, target: Target) -> Explanation<f64> {
        let start: Start = recipe.explain().start().unwrap_or_default().into();
        plan(&self.model, recipe).explain(x, &target, start).expect("the pictures suit the network")
    }

    /// The maps of the predicted class.
    pub fn maps(&self, recipe: &Recipe, x: &Tensor<f64>) -> Vec<Vec<f64>> {
        rows(self.explain(recipe, x, Target::Argmax).input_relevance())
    }

    /// The ten logits of every picture.
    pub fn logits(&self, x: &Tensor<f64>) -> Vec<Vec<f64>> {
        rows(self.forward.record(x).expect("the pictures suit the network").output())
    }

    /// The predicted class of every picture.
    pub fn predictions(&self, x: &Tensor<f64>) -> Vec<usize> {
        let record = self.forward.record(x).expect("the pictures suit the network");
        let chosen = Target::Argmax.chosen(record.output()).expect("there is a largest logit");
        chosen.into_iter().filter_map(|chosen| chosen.class).collect()
    }
}

fn plan(model: &Arc<Model<f64>>, recipe: &Recipe) -> Plan<f64> {
    let resolved = recipe.resolve(model).expect("the recipe suits the network");
    let plan = Plan::new(Arc::clone(model), &resolved.assignment()).expect("the rules suit their layers");
    plan.times_input(resolved.times_input)
}

/// Every sample as plain numbers.
pub fn rows(x: &Tensor<f64>) -> Vec<Vec<f64>> {
    x.outer_iter().map(|sample| sample.iter().copied().collect()).collect()
}

/// Pictures as a batch.
pub fn batch(pictures: &[Vec<f64>]) -> Tensor<f64> {
    let shape = [pictures.len(), 1, SIDE, SIDE];
    Tensor::from_shape_vec(&shape[..], pictures.concat()).expect("a picture has 28 × 28 pixels")
}

/// The 36 digits: the 20 pictures of `examples/mnist/digits`, by name, and the 16 of `digits.npy`.
pub fn digits() -> Tensor<f64> {
    let folder = root().join("examples/mnist");
    let names = ('0'..='9').flat_map(|digit| ['a', 'b'].map(|which| format!("digits/{digit}_{which}.png")));
    let pictures: Vec<Vec<f64>> = names.map(|name| picture(&folder.join(name))).collect();
    let more = File::open(folder.join("digits.npy")).expect("the digits are bundled");
    let more = Tensor::<f32>::read_npy(more).expect("the digits can be read").mapv(f64::from);
    join(&batch(&pictures), &more)
}

/// The five nines with the patch.
pub fn patched_nines() -> Tensor<f64> {
    let folder = root().join("examples/mnist");
    let names = (1..=4).map(|i| format!("nines/nine_{i}_with_patch.png"));
    let names = std::iter::once("nine_with_patch.png".to_owned()).chain(names);
    batch(&names.map(|name| picture(&folder.join(name))).collect::<Vec<_>>())
}

fn join(a: &Tensor<f64>, b: &Tensor<f64>) -> Tensor<f64> {
    let views: [ArrayView<'_, f64, IxDyn>; 2] = [a.view(), b.view()];
    ndarray::concatenate(Axis(0), &views).expect("both hold pictures of 28 × 28 pixels")
}

/// A picture, black 0 and white 1.
fn picture(path: &Path) -> Vec<f64> {
    let picture = image::open(path).expect("the picture is bundled").into_luma8();
    picture.into_raw().into_iter().map(|v| f64::from(v) / 255.0).collect()
}
