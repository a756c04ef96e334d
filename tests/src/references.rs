//! The bundled networks on the sixteen digits, and what other implementations say of them (`tests/references`).

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use lrp_config::Recipe;
use lrp_core::{Assignment, Explanation, Model, Plan, Scalar, Start, Target, Tensor};
use ndarray_npy::{NpzReader, ReadNpyExt};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A bundled network with the digits and its references.
pub struct Bundled<T: Scalar> {
    /// The network.
    pub model: Arc<Model<T>>,
    /// `examples/mnist/digits.npy`, `[16, 1, 28, 28]`.
    pub digits: Tensor<T>,
    references: PathBuf,
}

impl<T: Scalar> Bundled<T> {
    /// `examples/mnist/MODEL` with `tests/references/REFERENCES`.
    pub fn new(model: &str, references: &str) -> Self {
        let path = root().join("examples/mnist").join(model);
        let digits = File::open(root().join("examples/mnist/digits.npy")).unwrap();
        let digits = Tensor::<f32>::read_npy(digits).unwrap();
        assert_eq!(digits.shape(), [16, 1, 28, 28]);
        Self {
            model: Arc::new(lrp_onnx::load::<T>(&path, &lrp_onnx::Options::default()).unwrap().model),
            digits: digits.mapv(|v| T::of(f64::from(v))),
            references: root().join("tests/references").join(references),
        }
    }

    /// An array of the references.
    pub fn reference(&self, key: &str) -> Tensor<f64> {
        NpzReader::new(File::open(&self.references).unwrap()).unwrap().by_name(key).unwrap()
    }

    /// Which rule the recipe gives each layer.
    pub fn assignment(&self, recipe: &Recipe) -> Assignment<T> {
        recipe.resolve(&self.model).unwrap().assignment()
    }

    /// Explains the largest logit of every digit.
    pub fn explain(&self, recipe: &Recipe, start: Start) -> Explanation<T> {
        self.explain_by(&self.assignment(recipe), start)
    }

    /// As [`explain`](Bundled::explain), by these rules.
    pub fn explain_by(&self, rules: &Assignment<T>, start: Start) -> Explanation<T> {
        let plan = Plan::new(Arc::clone(&self.model), rules).unwrap();
        plan.explain(&self.digits, &Target::Argmax, start).unwrap()
    }
}
