//! Parity with zennit 0.5.1 on small variants of real architectures, where its canonizers are right: the five classical presets, f64.
//! (`zoo --zennit` does the same at full size.)
//!
//! The references are made by `tools/zoo.py --small`; see `models/README.md` for what was corrected in zennit (the epsilon that
//! stays in a merged batch norm).

use std::path::{Path, PathBuf};

use lrp_tests::presets::{PRESETS, array, load, relevance};
use lrp_tests::relative_l2;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// The networks with the file that keeps batch norms as they were trained.
const NETWORKS: [(&str, &str); 5] = [
    ("alexnet", "alexnet.ts"),
    ("vgg", "vgg.ts"),
    ("vgg_bn", "vgg_bn.unfused"),
    ("resnet18", "resnet18.unfused"),
    ("resnet50", "resnet50.unfused"),
];

#[test]
fn small_networks_agree_with_zennit() {
    let mut wrong = Vec::new();
    for (network, file) in NETWORKS {
        let model = load::<f64>(&folder().join(format!("{file}.onnx"))).unwrap();
        let x = array::<f32>(&folder().join("models.npz"), &format!("{network}.x")).unwrap().mapv(f64::from);
        for preset in PRESETS {
            let zennit = array::<f64>(&folder().join("zennit.npz"), &format!("{network}.{preset}")).unwrap();
            let error = relative_l2(&relevance(&model, preset, &x).unwrap(), &zennit);
            println!("{network:10} {preset:28} {error:.1e}");
            if error > 1e-8 {
                wrong.push(format!("{network} {preset}: {error:.1e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
