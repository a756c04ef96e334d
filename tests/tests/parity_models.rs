//! Parity with zennit 0.5.1 on small variants of real architectures, where its canonizers are right: the five classical presets, f64.
//!
//! The references are made by `tools/zoo.py --small`; see `models/README.md` for what was corrected in zennit (the epsilon that
//! stays in a merged batch norm).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lrp_config::Recipe;
use lrp_core::{Plan, Start, Target, Tensor};
use lrp_tests::relative_l2;
use ndarray_npy::NpzReader;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

const PRESETS: [&str; 5] =
    ["epsilon-plus", "epsilon-plus-flat", "epsilon-alpha2-beta1", "epsilon-alpha2-beta1-flat", "epsilon-gamma-box"];

/// The networks with the file that keeps batch norms as they were trained.
const NETWORKS: [(&str, &str); 5] = [
    ("alexnet", "alexnet.ts"),
    ("vgg", "vgg.ts"),
    ("vgg_bn", "vgg_bn.unfused"),
    ("resnet18", "resnet18.unfused"),
    ("resnet50", "resnet50.unfused"),
];

fn array(file: &str, key: &str) -> Tensor<f64> {
    NpzReader::new(File::open(folder().join(file)).unwrap()).unwrap().by_name(key).unwrap()
}

#[test]
fn small_networks_agree_with_zennit() {
    let mut wrong = Vec::new();
    for (network, file) in NETWORKS {
        let path = folder().join(format!("{file}.onnx"));
        let model = Arc::new(lrp_onnx::load::<f64>(&path, &lrp_onnx::Options::default()).unwrap().model);
        let mut inputs = NpzReader::new(File::open(folder().join("models.npz")).unwrap()).unwrap();
        let x: Tensor<f32> = inputs.by_name(&format!("{network}.x")).unwrap();
        for preset in PRESETS {
            let text = format!("schema = 1\nextends = \"{preset}\"\n[input]\nrange = [-3.0, 3.0]\n");
            let recipe = Recipe::parse(&text, "test.toml", "").unwrap();
            let plan = Plan::new(Arc::clone(&model), &recipe.resolve(&model).unwrap().assignment()).unwrap();
            let e = plan.explain(&x.mapv(f64::from), &Target::Argmax, Start::Logit).unwrap();
            let error = relative_l2(e.input_relevance(), &array("zennit.npz", &format!("{network}.{preset}")));
            println!("{network:10} {preset:28} {error:.1e}");
            if error > 1e-8 {
                wrong.push(format!("{network} {preset}: {error:.1e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
