//! Products of two activations: which factor is the gate, what `lrp plan` says about it, and how a recipe names it. And what the
//! importer says about models that it cannot explain.

use std::sync::Arc;

use lrp_config::Recipe;
use lrp_core::{Plan, Start, Target, Tensor};
use lrp_tests::presets::{array, load};
use lrp_tests::program::{Folder, repository};
use ndarray::Axis;
use serde_json::Value;

const CASES: [(&str, &str); 4] = [
    ("gate-one-minus.onnx", "one_minus"),
    ("gate-tanhg.onnx", "tanhg"),
    ("gate-bilinear.onnx", "bilinear"),
    ("gate-skipgate.onnx", "skipgate"),
];

/// A folder with a case of `tests/cases` as `model.onnx`.
fn case(file: &str) -> Folder {
    let folder = Folder::new();
    std::fs::copy(repository().join("tests/cases").join(file), folder.path("model.onnx")).unwrap();
    folder
}

/// Gradient × input with the gate held constant, by PyTorch's autograd in f64.
#[test]
fn lrp_0_holds_gates_constant() {
    let cases = repository().join("tests/cases");
    let archive = cases.join("gates.npz");
    let x: Tensor<f64> = array::<f32>(&archive, "x").unwrap().mapv(f64::from);
    for (file, key) in CASES {
        let model = load::<f64>(&cases.join(file)).unwrap();
        let recipe = Recipe::preset("lrp-0").unwrap();
        let plan = Plan::new(Arc::clone(&model), &recipe.resolve(&model).unwrap().assignment()).unwrap();
        let expected: Tensor<f64> = array(&archive, key).unwrap();
        let classes: Tensor<i64> = array(&archive, &format!("{key}_class")).unwrap();
        for (i, &class) in classes.iter().enumerate() {
            let sample = x.index_axis(Axis(0), i).insert_axis(Axis(0)).to_owned();
            let target = Target::Class(usize::try_from(class).unwrap());
            let map = plan.explain(&sample, &target, Start::Logit).unwrap().input_relevance().clone();
            let expected = expected.index_axis(Axis(0), i).insert_axis(Axis(0)).to_owned();
            let norm = |t: &Tensor<f64>| t.iter().map(|v| v * v).sum::<f64>().sqrt();
            let error = norm(&(&map - &expected)) / norm(&expected);
            assert!(error <= 1e-6, "{file}, sample {i}: {error}");
        }
    }
}

#[test]
fn plan_says_what_was_decided_about_each_product_and_why() {
    let folder = case("gate-skipgate.onnx");
    let run = folder.lrp("plan -m model.onnx -r lrp-0");
    let products: Vec<&str> = run.ok().lines().filter(|line| line.starts_with("  '")).collect();
    assert_eq!(products.len(), 2, "{run}");
    assert!(products.iter().all(|line| line.contains("is the gate: sigmoid '")), "{products:?}");
    assert!(products.iter().any(|line| line.contains("', then scale, in [0, 1]")), "{products:?}");
    let json: Value = serde_json::from_str(folder.lrp("plan -m model.onnx -r lrp-0 --json").ok()).unwrap();
    let told: Vec<&str> = json["layers"].as_array().unwrap().iter().filter_map(|l| l["factors"].as_str()).collect();
    assert!(told.len() == 2 && told.iter().all(|text| text.contains("is the gate: sigmoid")), "{told:?}");
    let passes = folder.lrp("layers -m model.onnx --passes");
    let (_, gates) = passes.ok().split_once("find-gates:\n").unwrap();
    assert!(gates.lines().take(2).all(|line| line.contains("is the gate: sigmoid")), "{gates}");
}

/// A cell that is written out has the gates of the operator, so that relevance is the same (`tools/make_cell_cases.py`).
#[test]
fn cells_that_are_written_out_agree_with_the_operator() {
    let cases = repository().join("tests/cases");
    let x = Tensor::from_shape_fn(vec![3, 4, 3], |at| ((17 * at[0] + 5 * at[1] + 3 * at[2]) as f64).sin());
    for cell in ["lstm", "gru"] {
        let [operator, written_out] = ["", "-written-out"].map(|form| {
            let model = load::<f64>(&cases.join(format!("cells-{cell}{form}.onnx"))).unwrap();
            // LRP-0 for the Gemms; sums have the stabilizer that the operator has.
            let recipe = Recipe::parse("schema = 1\n[[assign]]\nrule = \"zero\"\n", "zero.toml", "").unwrap();
            let plan = Plan::new(Arc::clone(&model), &recipe.resolve(&model).unwrap().assignment()).unwrap();
            let explanation = plan.explain(&x, &Target::Argmax, Start::Logit).unwrap();
            (explanation.output.clone(), explanation.input_relevance().clone())
        });
        let largest = |t: &Tensor<f64>| t.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let difference = largest(&(&operator.0 - &written_out.0));
        assert!(difference <= 1e-12, "{cell}: {difference}");
        let error = largest(&(&operator.1 - &written_out.1)) / largest(&operator.1);
        assert!(error <= 1e-6, "{cell}: {error}");
    }
}

#[test]
fn a_recipe_names_the_signal() {
    let folder = case("gate-one-minus.onnx");
    let json: Value = serde_json::from_str(folder.lrp("layers -m model.onnx --json").ok()).unwrap();
    let nodes = json["nodes"].as_array().unwrap();
    let product = nodes.iter().find(|node| node["op"] == "mul").unwrap();
    let gate = usize::from(product["detail"].as_str().unwrap().starts_with("input 1 is the gate"));
    let named = |name: &str| nodes.iter().find(|node| node["name"] == name).unwrap();
    // The convolution that makes an input: the first one on the way back from it.
    let convolution = |input: usize| {
        let mut node = named(product["inputs"][input].as_str().unwrap());
        while node["op"] != "conv" {
            node = named(node["inputs"][0].as_str().unwrap());
        }
        node["name"].as_str().unwrap().to_owned()
    };
    let plan = |keys: &str| {
        let text = format!(
            "schema = 1\nextends = \"lrp-0\"\n[[assign]]\nops = \"product\"\nrule = {{ type = \"product\", {keys} }}\n"
        );
        folder.write("r.toml", text);
        folder.lrp("plan -m model.onnx -r r.toml")
    };
    for input in [0, 1] {
        let expected = format!("product {{ signal = {input} }}");
        for keys in [format!("signal = {input}"), format!("signal = \"{}\"", convolution(input))] {
            let run = plan(&keys);
            assert!(run.ok().contains(&expected) && run.stdout.contains("; without it, input"), "{run}");
        }
    }
    assert!(plan(&format!("gate = {gate}")).ok().contains(&format!("product {{ gate = {gate} }}")));
    for (keys, message) in [
        ("signal = 2", "a product has the inputs 0 and 1, got 2"),
        ("signal = \"nothing\"", "matches no node that makes one input only"),
        ("signal = \"*\"", "matches nodes of both inputs"),
        ("gate = 0, signal = 1", "give one of them"),
        ("gate = 0, factors = \"uniform\"", "uniform gives half to each input"),
    ] {
        let run = plan(keys);
        let text = unwrapped(run.complaint());
        assert!(text.contains(message) && text.contains("r.toml:5"), "{keys}: {run}");
    }
}

/// A message without its line breaks.
fn unwrapped(message: &str) -> String {
    message.split_whitespace().filter(|word| *word != "|").collect::<Vec<_>>().join(" ")
}

/// Attention that moves the batch between tokens and heads, and token ids: refused once, read today.
#[test]
fn attention_and_token_ids_are_read() {
    let folder = case("refused-attention.onnx");
    let run = folder.lrp("layers -m model.onnx");
    assert_eq!(run.ok().matches("  matmul ").count(), 4, "{run}");
    assert!(run.stderr.contains("each sample runs through it alone"), "{run}");
    folder.write("x.csv", "1,2,3,4\n5,6,7,8\n2,0,1,-1\n");
    let run = folder.lrp("check -m model.onnx -r lrp-epsilon --kind series-last -i x.csv --target 0");
    assert!(run.ok().contains("the ledger balances"), "{run}");
    let run = case("refused-tokens.onnx").lrp("layers -m model.onnx");
    assert!(run.ok().contains("embedding") && run.stdout.contains("int64"), "{run}");
}
