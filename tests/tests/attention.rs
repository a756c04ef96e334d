//! Transformers as PyTorch's exporters write them (`attention/`, made by `tools/make_attention_references.py`): AttnLRP and CP-LRP agree with a
//! second derivation, gradient × input of a model whose normalisations, gates and softmax are changed, by autograd in f64.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lrp_config::Recipe;
use lrp_core::{Explanation, Plan, Scalar, Start, Target, Tensor};
use lrp_tests::presets::array;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("attention")
}

fn files() -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "onnx")).collect();
    files.sort();
    assert_eq!(files.len(), 18, "run tools/make_attention_references.py");
    files
}

/// LRP-ε with next to no stabilizers, as the derivation has none.
const EXACT: &str = r#"
schema = 1
[[assign]]
rule = { type = "epsilon", epsilon = 1e-12 }
[[assign]]
ops = ["weightless", "layer-norm"]
optional = true
rule = { type = "norm", stabilizer = 1e-12 }
[[assign]]
ops = "matmul"
rule = { type = "product", factors = "uniform", stabilizer = 1e-12 }
"#;

const CONSTANT_SOFTMAX: &str = "[[assign]]\nops = \"softmax\"\nrule = \"constant\"\n";

/// As the preset `mamba-lrp` has it.
const CONSTANT_STATE_SPACE: &str = "[[assign]]\nstate_space = true\nrule = \"constant\"\n";

struct Outcome<T: Scalar> {
    explanation: Explanation<T>,
    relevance: Tensor<f64>,
}

fn explain<T: Scalar>(path: &Path, recipe: &Recipe) -> Outcome<T> {
    explain_scaled(path, recipe, 1.0)
}

/// Of the inputs times a factor.
fn explain_scaled<T: Scalar>(path: &Path, recipe: &Recipe, factor: f64) -> Outcome<T> {
    let archive = folder().join("references.npz");
    let network = network(path);
    let import = lrp_onnx::load::<T>(path, &lrp_onnx::Options::default()).unwrap_or_else(|e| panic!("{e}"));
    let inputs: Vec<Tensor<T>> = import
        .input_names
        .iter()
        .map(|name| {
            let key = format!("{network}.{name}");
            match array::<i64>(&archive, &key) {
                Ok(ids) => ids.mapv(|id| T::of(id as f64)),
                Err(_) => array::<f32>(&archive, &key).unwrap().mapv(|v| T::of(factor * f64::from(v))),
            }
        })
        .collect();
    let place = array::<i64>(&archive, &format!("{network}.place")).unwrap()[[0]];
    let model = Arc::new(import.model);
    let assignment = recipe.resolve(&model).unwrap_or_else(|e| panic!("{}: {e}", path.display())).assignment();
    let plan = Plan::new(model, &assignment).unwrap().times_input(recipe.times_input());
    let target = Target::Class(usize::try_from(place).unwrap());
    let record = plan.record_all(&inputs).unwrap();
    let explanation = record.explain(&target, Start::Logit).unwrap();
    let relevance = explanation.relevance[0].mapv(|v| v.wide());
    Outcome { explanation, relevance }
}

fn network(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned()
}

fn largest(t: &Tensor<f64>) -> f64 {
    t.iter().fold(0.0, |m, v| m.max(v.abs()))
}

#[test]
fn relevance_agrees_with_the_second_derivation() {
    let mut wrong = Vec::new();
    for path in files() {
        let recipes = match network(&path).as_str() {
            "mamba" => vec![("attn", format!("{EXACT}{CONSTANT_STATE_SPACE}"))],
            _ => vec![("attn", EXACT.to_owned()), ("cp", format!("{EXACT}{CONSTANT_SOFTMAX}"))],
        };
        for (key, recipe) in recipes {
            let recipe = Recipe::parse(&recipe, "exact.toml", "").unwrap();
            let name = format!("{} {key}", path.file_name().unwrap().display());
            let expected: Tensor<f64> =
                array(&folder().join("references.npz"), &format!("{}.{key}", network(&path))).unwrap();
            let double = explain::<f64>(&path, &recipe);
            let error = largest(&(&double.relevance - &expected)) / largest(&expected);
            let single = explain::<f32>(&path, &recipe);
            let rounding = largest(&(&single.relevance - &double.relevance)) / largest(&expected);
            let imbalance = |entries: &[lrp_core::ledger::Entry]| {
                entries.iter().map(|entry| entry.relative_imbalance(0).abs()).fold(0.0, f64::max)
            };
            let [balance, balance_32] =
                [imbalance(&double.explanation.ledger.entries), imbalance(&single.explanation.ledger.entries)];
            println!(
                "{name}: {error:.1e} from the derivation, f32 {rounding:.1e}, ledger {balance:.1e} and {balance_32:.1e}"
            );
            if error > 1e-6 || rounding > 1e-5 || balance > 1e-12 || balance_32 > 1e-6 {
                wrong.push(name);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// A Llama without biases loses nothing under CP-LRP.
#[test]
fn a_llama_conserves_relevance_under_cp() {
    let recipe = Recipe::parse(&format!("{EXACT}{CONSTANT_SOFTMAX}"), "exact.toml", "").unwrap();
    for path in files().iter().filter(|path| network(path) == "llama") {
        let outcome = explain::<f64>(path, &recipe);
        let start = outcome.explanation.ledger.start[0];
        assert!((outcome.relevance.sum() - start).abs() < 1e-6 * start.abs(), "{}", outcome.relevance);
    }
}

/// The sum of gradient × input is the derivative of the output along the input, through norms, softmax and products, too.
#[test]
fn gradient_times_input_is_the_derivative_along_the_input() {
    let recipe = Recipe::preset("gradient-input").unwrap();
    for path in files().iter().filter(|path| ["vit", "swin", "swinv2", "detr"].contains(&network(path).as_str())) {
        let score = |factor| explain_scaled::<f64>(path, &recipe, factor).explanation.ledger.start[0];
        let derivative = (score(1.0 + 1e-5) - score(1.0 - 1e-5)) / 2e-5;
        // The walk starts with the logit.
        let found = explain::<f64>(path, &recipe).relevance.sum() / score(1.0);
        assert!((found - derivative).abs() < 1e-6 * derivative.abs(), "{}: {found}, {derivative}", path.display());
    }
}
