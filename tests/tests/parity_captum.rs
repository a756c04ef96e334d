//! Parity with Captum 0.9.0's LRP on the bundled networks, over 16 digits: every rule that it has.
//!
//! The references (f64) are made by `tools/make_captum_references.py`, which says what Captum does. Its stabilizer is 1e-9, where
//! its rules do not say otherwise, and on average pooling.

use std::fmt;
use std::sync::Arc;

use lrp_config::Recipe;
use lrp_core::operator::{Affine, Io};
use lrp_core::rule::{Layer, Needs, PreparedRule, Propagated};
use lrp_core::tensor::times;
use lrp_core::{Assignment, Rule, RuleError, Scalar, Start, Tensor};
use lrp_tests::references::Bundled;
use lrp_tests::relative_l2;

/// The networks with the names of their references.
const NETWORKS: [(&str, &str); 2] = [("cnn.onnx", "cnn"), ("clever-hans.onnx", "clever_hans")];

const STABILIZER: f64 = 1e-9;

/// A rule for all weighted layers, then other entries, and average pooling as Captum has it.
fn recipe(rule: &str, entries: &str) -> Recipe {
    let pooling = "[[assign]]\nops = \"avg-pool\"\nrule = { type = \"norm\", stabilizer = 1e-9 }\n";
    let text = format!("schema = 1\n[[assign]]\nrule = {rule}\n{entries}{pooling}");
    Recipe::parse(&text, "test.toml", "").unwrap()
}

/// Every key of the references that one of our rules should give, with its recipe and the tolerance in f64.
fn cases() -> Vec<(&'static str, Recipe, f64)> {
    let epsilon = "{ type = \"epsilon\", epsilon = 1e-6 }";
    let positive = "{ type = \"alpha-beta\", alpha = 1.0, beta = 0.0, stabilizer = 1e-9, bias = \"ignore\" }";
    let gamma = "{ type = \"gamma\", gamma = 0.25, stabilizer = 1e-9, bias = \"ignore\" }";
    let convolutions = format!("[[assign]]\nops = \"conv\"\nrule = {positive}\n");
    vec![
        // Captum's stabilizer takes 1e-9 in z of the winner's relevance in max pooling; here the winner takes all.
        ("default", recipe("{ type = \"epsilon\", epsilon = 1e-9 }", ""), 1e-7),
        ("epsilon", recipe(epsilon, ""), 1e-9),
        ("epsilon-0.1", recipe("{ type = \"epsilon\", epsilon = 0.1 }", ""), 1e-9),
        ("gamma-0.25-ignore-bias", recipe(gamma, ""), 1e-9),
        ("alpha1-beta0-ignore-bias", recipe(positive, ""), 1e-9),
        ("composite", recipe("{ type = \"epsilon\", epsilon = 0.1 }", &convolutions), 1e-9),
    ]
}

fn compare<T: Scalar>(tolerance: impl Fn(&str, f64) -> f64) {
    let mut wrong = Vec::new();
    for (model, name) in NETWORKS {
        let bundled = Bundled::<T>::new(model, "captum.npz");
        for (key, recipe, tolerance_f64) in cases() {
            let explanation = bundled.explain(&recipe, Start::Logit);
            let error = relative_l2(explanation.input_relevance(), &bundled.reference(&format!("{name}.{key}")));
            println!("{} {model:18} {key:34} {error:.1e}", T::NAME);
            if error > tolerance(key, tolerance_f64) {
                wrong.push(format!("{model} {key}: {error:.1e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn f64_agrees_with_captum() {
    compare::<f64>(|_, tolerance| tolerance);
}

#[test]
fn f32_agrees_with_captum() {
    compare::<f32>(|_, _| 1e-4);
}

/// What Captum does in three places where our rules deliberately do something else, for inputs that are not negative.
#[derive(Debug, Clone, Copy)]
enum AsCaptum {
    /// The bias is not favoured: `b`, not `b + γb⁺`.
    Gamma(f64),
    /// A negative bias takes part in the denominator of the positive contributions: `b`, not `b⁺`.
    Alpha1Beta0,
    /// Behind a ReLU, relevance is not left as it is: the relevance propagated is `Σ_k w_jk R_k / stab(z_k)`.
    Identity,
}

impl fmt::Display for AsCaptum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Rule<f64> for AsCaptum {
    fn prepare(&self, layer: &Layer<'_, f64>) -> Result<Box<dyn PreparedRule<f64>>, RuleError> {
        let op = layer.affine()?;
        let modified = match *self {
            AsCaptum::Gamma(gamma) => op.map_weights(&|w| w + gamma * w.max(0.0)),
            AsCaptum::Alpha1Beta0 => op.map_weights(&|w| w.max(0.0)),
            AsCaptum::Identity => op.map_weights(&|w| w),
        };
        let bias = op.bias().cloned().ok_or_else(|| RuleError::new("the layers compared have a bias"))?;
        let times_input = !matches!(self, AsCaptum::Identity);
        Ok(Box::new(Prepared { modified, bias, times_input }))
    }
}

struct Prepared {
    modified: Arc<dyn Affine<f64>>,
    bias: Tensor<f64>,
    times_input: bool,
}

impl PreparedRule<f64> for Prepared {
    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    /// Keeps no ledger.
    fn propagate(&self, io: Io<'_, f64>, r: &Tensor<f64>) -> Propagated<f64> {
        let z = self.modified.apply(io.inputs) + &self.bias;
        let s = r / &z.mapv(|z| if z < 0.0 { z - STABILIZER } else { z + STABILIZER });
        let mut relevance = self.modified.adjoint(&s);
        if self.times_input {
            relevance = io.inputs.iter().zip(&relevance).map(|(x, c)| times(x, c)).collect();
        }
        Propagated::lossless(relevance)
    }
}

/// Where our rules and Captum's are not the same, the difference is the one that is known, and nothing else.
#[test]
fn the_differences_are_the_known_ones() {
    let second = "[[assign]]\nlayers = 1\nrule = \"pass\"\n";
    let cases = [
        ("gamma-0.25", recipe("{ type = \"gamma\", gamma = 0.25, stabilizer = 1e-9 }", ""), AsCaptum::Gamma(0.25)),
        ("alpha1-beta0", recipe("{ type = \"z-plus\", stabilizer = 1e-9 }", ""), AsCaptum::Alpha1Beta0),
        ("identity", recipe("{ type = \"epsilon\", epsilon = 1e-6 }", second), AsCaptum::Identity),
    ];
    for (model, name) in NETWORKS {
        let bundled = Bundled::<f64>::new(model, "captum.npz");
        let layers = bundled.model.layers();
        for (key, ours, theirs) in &cases {
            let reference = bundled.reference(&format!("{name}.{key}"));
            let mut rules = bundled.assignment(ours);
            let error = |rules: &Assignment<f64>| {
                relative_l2(bundled.explain_by(rules, Start::Logit).input_relevance(), &reference)
            };
            let ours = error(&rules);
            let replaced = if matches!(theirs, AsCaptum::Identity) { &layers[1..2] } else { layers };
            rules.extend(replaced.iter().map(|&layer| (layer, Arc::new(*theirs) as Arc<dyn Rule<f64>>)));
            let theirs = error(&rules);
            println!("f64 {model:18} {key:34} {ours:.1e}, done as Captum does it {theirs:.1e}");
            assert!(theirs < 1e-9 && ours > 1e-3, "{model} {key}: {ours:e} {theirs:e}");
        }
    }
}
