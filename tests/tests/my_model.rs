//! The small models of docs/how-to/my-model.md, and what the page says of them.

use lrp_core::Tensor;
use lrp_tests::onnx::Onnx;
use lrp_tests::program::{Folder, repository};
use ndarray::{Axis, array};
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;

/// Two towers: an image of three numbers and four words become vectors of two. The word 0 is a blank, whose vector is zero.
fn pair() -> Vec<u8> {
    Onnx::default()
        .weights("v", &[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
        .weights("table", &[5, 2], &[0.0, 0.0, 1.0, 2.0, -1.0, 1.0, 0.5, 0.0, 2.0, 2.0])
        .node("MatMul", &["image", "v"], "of_image")
        .node("Gather", &["table", "words"], "vectors")
        .node_with("ReduceMean", &["vectors"], "mean", &[("axes", &[1])])
        .node("Flatten", &["mean"], "of_words")
        .file(&[("image", &[1, 3])], &[("words", &[1, 4])], &[("of_image", &[1, 2]), ("of_words", &[1, 2])])
}

/// A dense layer whose weights are 8-bit integers, on an input in steps of 0.3.
fn quantized() -> Vec<u8> {
    Onnx::default()
        .weights("step", &[], &[0.3])
        .integers("zero", &[], &[0])
        .integers("w", &[3, 2], &[10, -20, 5, 30, -10, 2])
        .weights("scale", &[], &[0.1])
        .node("QuantizeLinear", &["x", "step", "zero"], "q")
        .node("DequantizeLinear", &["q", "step", "zero"], "real")
        .node("DequantizeLinear", &["w", "scale", "zero"], "weights")
        .node("MatMul", &["real", "weights"], "y")
        .model(("x", &[1, 3]), ("y", &[1, 2]))
}

/// One step of a recurrent network, which is given the state of the step before.
fn step() -> Vec<u8> {
    Onnx::default()
        .weights("w", &[3, 2], &[0.5, -1.0, 0.25, 0.5, -0.5, 0.25])
        .weights("u", &[2, 2], &[0.5, 0.25, -0.25, 0.5])
        .weights("v", &[2, 2], &[1.0, -1.0, 2.0, 0.5])
        .node("MatMul", &["x", "w"], "of_x")
        .node("MatMul", &["state", "u"], "of_state")
        .node("Add", &["of_x", "of_state"], "sum")
        .node("Tanh", &["sum"], "next_state")
        .node("MatMul", &["next_state", "v"], "y")
        .file(&[("x", &[1, 3]), ("state", &[1, 2])], &[], &[("y", &[1, 2]), ("next_state", &[1, 2])])
}

/// A model with an operator that is not there.
fn missing() -> Vec<u8> {
    Onnx::default()
        .weights("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .node("MatMul", &["x", "w"], "hidden")
        .node("Bernoulli", &["hidden"], "y")
        .model(("x", &[1, 3]), ("y", &[1, 2]))
}

/// `LRP_DOCS=update` writes them again.
#[test]
fn the_examples_are_these_models() {
    let folder = repository().join("examples/inputs");
    let update = std::env::var("LRP_DOCS").is_ok_and(|value| value == "update");
    let files =
        [("pair.onnx", pair()), ("quantized.onnx", quantized()), ("step.onnx", step()), ("missing.onnx", missing())];
    for (name, bytes) in files {
        if update {
            std::fs::write(folder.join(name), &bytes).unwrap();
        }
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), bytes, "{name}");
    }
    let words = array![[1_i64, 2, 4, 0]];
    if update {
        write_npy(folder.join("words.npy"), &words).unwrap();
    }
    assert_eq!(read_npy::<_, ndarray::Array2<i64>>(folder.join("words.npy")).unwrap(), words);
}

/// The difference of rounding is in the manifest, and is that of the two networks by hand.
#[test]
fn rounding_is_measured() {
    let folder = Folder::new();
    folder.write("m.onnx", quantized());
    write_npy(folder.path("x.npy"), &array![[1.1, 2.0, -0.6], [0.5, -1.0, 2.0]]).unwrap();
    let run = folder.lrp("explain -m m.onnx -r lrp-0 -i x.npy --precision f64 --kind series -o out");
    let manifest: Value = serde_json::from_slice(&folder.read("out/manifest.json")).unwrap();
    // In steps of 0.3, 1.1 is the fourth and 2 the seventh.
    let w = array![[1.0, -2.0], [0.5, 3.0], [-1.0, 0.2]];
    let (x, rounded) = (array![[1.1, 2.0, -0.6], [0.5, -1.0, 2.0]], array![[1.2, 2.1, -0.6], [0.6, -0.9, 2.1]]);
    let (real, file) = (x.dot(&w), rounded.dot(&w));
    let norm = |v: &ndarray::Array2<f64>| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    let expected = norm(&(&real - &file)) / norm(&file);
    let rounding = &manifest["rounding"];
    // Scales are numbers in single precision.
    assert!((rounding["relative_l2"].as_f64().unwrap() - expected).abs() < 1e-6, "{rounding} and {expected}");
    assert_eq!(
        (&rounding["samples"], &rounding["same_argmax"], &rounding["argmax_of"]),
        (&2.into(), &2.into(), &2.into())
    );
    let notes: Vec<&str> = manifest["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
    let note = notes.iter().find(|note| note.contains("quantized forward pass")).expect("a note");
    assert!(note.ends_with("(relative L2 norm, 2 samples); the largest output is the same"), "{note}");
    assert_eq!(run.stderr.matches("quantized forward pass").count(), 1, "{run}");
    // Of a model that is not quantized, nothing is said.
    folder.write("p.onnx", pair());
    let run = folder.lrp("explain -m p.onnx -r lrp-0 -i x.npy --kind series -o plain");
    let manifest: Value = serde_json::from_slice(&folder.read("plain/manifest.json")).unwrap();
    assert!(manifest["rounding"].is_null() && !run.stderr.contains("quantized"), "{run}");
}

/// The relevance of words is that of their vectors.
#[test]
fn words_have_relevance() {
    let folder = Folder::new();
    folder.write("m.onnx", pair());
    write_npy(folder.path("w.npy"), &array![[1_i64, 2, 4, 0]]).unwrap();
    folder
        .lrp("explain -m m.onnx -r lrp-0 -i w.npy --model-output of_words --target 1 --precision f64 --save npy -o out")
        .ok();
    let relevance: Tensor<f64> = read_npy(folder.path("out/w.relevance.npy")).unwrap();
    let expected = array![[0.5, 0.25, 0.5, 0.0]].into_dyn();
    assert_eq!(relevance.index_axis(Axis(0), 0).len(), 4);
    assert!(relevance.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{relevance}");
}
