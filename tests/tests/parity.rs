//! Parity with zennit 0.5.1 on the bundled networks: every rule alone, and the presets people know, over 16 digits.
//!
//! The references (f64) are made by `tools/make_references.py`. Here both f32 and f64 are compared with them.

use std::sync::Arc;

use lrp_config::Recipe;
use lrp_core::{Explanation, Plan, Scalar, Start, Target};
use lrp_tests::references::Bundled;
use lrp_tests::relative_l2;

/// Average pooling as in the references, activations and max pooling by their fixed behaviour.
fn uniform(rule: &str) -> Recipe {
    let text = format!("schema = 1\n[[assign]]\nrule = {rule}\n");
    Recipe::parse(&text, "test.toml", "").unwrap()
}

fn preset(name: &str) -> Recipe {
    // The box of epsilon-gamma-box is that of the digits: pixels from 0 to 1.
    let text = format!("schema = 1\nextends = \"{name}\"\n[input]\nrange = [0.0, 1.0]\n");
    Recipe::parse(&text, "test.toml", "").unwrap()
}

/// Every key of the reference files with the recipe that should give the same.
fn cases() -> Vec<(&'static str, Recipe)> {
    let z_box = "schema = 1\n[[assign]]\nrule = \"epsilon\"\n[[assign]]\nlayers = \"first\"\nrule = { type = \"z-box\", low = 0.0, high = 1.0 }\n";
    vec![
        ("zero", Recipe::preset("lrp-0").unwrap()),
        ("epsilon", uniform("{ type = \"epsilon\", epsilon = 1e-6 }")),
        ("epsilon-0.1", uniform("{ type = \"epsilon\", epsilon = 0.1 }")),
        ("gamma-0.25", uniform("{ type = \"gamma\", gamma = 0.25 }")),
        ("gamma-1", uniform("{ type = \"gamma\", gamma = 1.0 }")),
        ("alpha2-beta1", uniform("{ type = \"alpha-beta\", alpha = 2.0, beta = 1.0 }")),
        ("alpha1-beta0", uniform("{ type = \"alpha-beta\", alpha = 1.0, beta = 0.0 }")),
        ("z-plus", uniform("\"z-plus\"")),
        ("w-square", uniform("\"w-square\"")),
        ("w-square-absorb", uniform("{ type = \"w-square\", bias = \"absorb\" }")),
        ("flat", uniform("\"flat\"")),
        ("z-box", Recipe::parse(z_box, "test.toml", "").unwrap()),
        ("epsilon-ignore-bias", uniform("{ type = \"epsilon\", bias = \"ignore\" }")),
        ("gamma-0.25-ignore-bias", uniform("{ type = \"gamma\", gamma = 0.25, bias = \"ignore\" }")),
        ("alpha2-beta1-ignore-bias", uniform("{ type = \"alpha-beta\", alpha = 2.0, beta = 1.0, bias = \"ignore\" }")),
        ("preset-epsilon-plus", preset("epsilon-plus")),
        ("preset-epsilon-plus-flat", preset("epsilon-plus-flat")),
        ("preset-epsilon-alpha2-beta1", preset("epsilon-alpha2-beta1")),
        ("preset-epsilon-alpha2-beta1-flat", preset("epsilon-alpha2-beta1-flat")),
        ("preset-epsilon-gamma-box", preset("epsilon-gamma-box")),
        ("preset-excitation-backprop", preset("excitation-backprop")),
        ("preset-guided-backprop", preset("guided-backprop")),
        ("preset-deconvnet", preset("deconvnet")),
    ]
}

/// The relative L2 error of every case.
fn errors<T: Scalar>(bundled: &Bundled<T>) -> Vec<(&'static str, f64)> {
    let error = |key: &'static str, recipe: Recipe| {
        let start = recipe.explain().start().unwrap_or_default().into();
        let explanation = bundled.explain(&recipe, start);
        (key, relative_l2(explanation.input_relevance(), &bundled.reference(key)))
    };
    cases().into_iter().map(|(key, recipe)| error(key, recipe)).collect()
}

fn compare<T: Scalar>(tolerance: impl Fn(&str) -> f64) {
    let mut wrong = Vec::new();
    for (model, references) in [("cnn.onnx", "cnn.npz"), ("clever-hans.onnx", "clever_hans.npz")] {
        let bundled = Bundled::<T>::new(model, references);
        for (key, error) in errors(&bundled) {
            println!("{} {model:18} {key:34} {error:.1e}", T::NAME);
            if error > tolerance(key) {
                wrong.push(format!("{model} {key}: {error:.1e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn f64_agrees_with_zennit() {
    compare::<f64>(|_| 1e-9);
}

#[test]
fn f32_agrees_with_zennit() {
    // Without biases, denominators of active neurons come close to zero: zennit's own f32 differs from its f64 by 2e-4 there
    // (6e-4 for the worst digit).
    compare::<f32>(|key| if key == "epsilon-ignore-bias" { 1e-3 } else { 1e-4 });
}

#[test]
fn logits_agree_with_pytorch() {
    for (model, references) in [("cnn.onnx", "cnn.npz"), ("clever-hans.onnx", "clever_hans.npz")] {
        let bundled = Bundled::<f64>::new(model, references);
        let output = bundled.explain(&uniform("\"epsilon\""), Start::Logit).output;
        assert!(relative_l2(&output, &bundled.reference("logits")) < 1e-13);
    }
}

/// `gradient` propagates the plain gradient: times the start, the reference's `logit · ∂logit/∂x`.
#[test]
fn gradient_agrees_with_autograd() {
    for (model, references) in [("cnn.onnx", "cnn.npz"), ("clever-hans.onnx", "clever_hans.npz")] {
        let bundled = Bundled::<f64>::new(model, references);
        let gradient = Recipe::preset("gradient-input").unwrap();
        let error = |e: &Explanation<f64>, key| relative_l2(e.input_relevance(), &bundled.reference(key));
        assert!(error(&bundled.explain(&gradient, Start::Logit), "gradient") < 1e-9);
        // The preset itself: gradient × input is LRP-0, elementwise.
        let resolved = gradient.resolve(&bundled.model).unwrap();
        assert!(resolved.times_input);
        let plan = Plan::new(Arc::clone(&bundled.model), &resolved.assignment()).unwrap().times_input(true);
        let e = plan.explain(&bundled.digits, &Target::Argmax, Start::One).unwrap();
        assert!(error(&e, "zero") < 1e-9);
    }
}

/// The acceptance of the ledger: the sum over a sample is the logit minus the accounts.
#[test]
fn the_ledger_balances_on_the_bundled_networks() {
    fn worst<T: Scalar>(recipe: &Recipe, model: &str) -> f64 {
        let bundled = Bundled::<T>::new(model, "cnn.npz");
        let e = bundled.explain(recipe, Start::Logit);
        (0..16)
            .map(|i| {
                let t = e.ledger.totals(i);
                let sum: f64 = e.input_relevance().index_axis(ndarray::Axis(0), i).iter().map(|r| r.wide()).sum();
                ((t.start - t.bias - t.stabilizer - t.rule - sum) / t.start).abs()
            })
            .fold(0.0, f64::max)
    }
    for model in ["cnn.onnx", "clever-hans.onnx"] {
        for name in
            ["lrp-0", "lrp-epsilon", "lrp-gamma", "lrp-a1b0", "lrp-a2b1", "epsilon-plus", "epsilon-alpha2-beta1-flat"]
        {
            let recipe = preset(name);
            let (single, double) = (worst::<f32>(&recipe, model), worst::<f64>(&recipe, model));
            println!("{model:18} {name:28} f32 {single:.1e}  f64 {double:.1e}");
            assert!(single < 1e-5 && double < 1e-12, "{model} {name}: {single:e} {double:e}");
        }
    }
}

/// ε, γ, αβ and z⁺ as branches with gains.
#[test]
fn rules_written_as_gains_are_those_rules() {
    let pairs = [
        ("{ type = \"epsilon\", epsilon = 0.1 }", "branches = [{ positive = 1, negative = 1 }], stabilizer = 0.1"),
        (
            "{ type = \"epsilon\", epsilon = { relative = 0.25 }, bias = \"ignore\" }",
            "branches = [{ positive = 1, negative = 1 }], stabilizer = { relative = 0.25 }, bias = \"ignore\"",
        ),
        (
            "{ type = \"gamma\", gamma = 0.25 }",
            "branches = [{ outputs = \"nonnegative\", positive = 1.25, negative = 1 }, \
             { outputs = \"negative\", positive = 1, negative = 1.25 }]",
        ),
        (
            "{ type = \"alpha-beta\", alpha = 2, beta = 1, bias = \"distribute\" }",
            "branches = [{ coefficient = 2, positive = 1, negative = 0 }, \
             { coefficient = -1, positive = 0, negative = 1 }], bias = \"distribute\"",
        ),
        ("\"z-plus\"", "branches = [{ positive = 1, negative = 0 }]"),
    ];
    let bundled = Bundled::<f64>::new("cnn.onnx", "cnn.npz");
    for (rule, gains) in pairs {
        let gains = format!("{{ type = \"gains\", {gains} }}");
        let [a, b] = [rule, &gains].map(|rule| bundled.explain(&uniform(rule), Start::Logit));
        let error = relative_l2(a.input_relevance(), b.input_relevance());
        assert!(error <= 1e-12, "{rule} and {gains} differ by {error:e}");
    }
}
