//! Every preset on a small CNN and a small MLP.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod nets;

use std::path::Path;
use std::sync::Arc;

use lrp_config::{Input, Recipe, Start, presets};
use lrp_core::Plan;
use nets::{cnn, mlp, nodes_with, rules};

/// What z-box needs.
fn pixels() -> Input {
    Input { range: Some(vec![[0.0, 1.0]]), ..Input::default() }
}

/// The rules that a preset gives to the weighted layers and the sum of the CNN: conv1, conv2, Add, fc1.
fn on_cnn(preset: &str) -> [String; 4] {
    let cnn = cnn();
    let resolved = Recipe::preset(preset).unwrap().with_input(&pixels()).resolve(&cnn).unwrap();
    let rules = rules(&cnn, &resolved);
    ["conv1/Conv: ", "conv2/Conv: ", "Add: ", "fc1/Gemm: "]
        .map(|node| rules.iter().find_map(|rule| rule.split_once(node)).unwrap().1.to_owned())
}

#[test]
fn every_preset_makes_a_plan_for_both_networks() {
    for preset in presets() {
        let recipe = Recipe::preset(preset.name).unwrap().with_input(&pixels());
        assert_eq!(recipe.description(), Some(preset.description), "{}", preset.name);
        assert!(recipe.name().is_some(), "{}", preset.name);
        for model in [cnn(), mlp()] {
            let resolved = recipe.resolve(&model).unwrap_or_else(|error| panic!("{}: {error}", preset.name));
            let plan = Plan::new(Arc::new(model), &resolved.assignment());
            plan.unwrap_or_else(|error| panic!("{}: {error}", preset.name));
        }
    }
}

#[test]
fn every_preset_file_is_a_preset() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("presets");
    let mut files: Vec<String> =
        folder.read_dir().unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    let mut names: Vec<String> = presets().iter().map(|preset| format!("{}.toml", preset.name)).collect();
    files.sort();
    names.sort();
    assert_eq!(files, names);
}

#[test]
fn underscores_are_as_good_as_hyphens() {
    assert_eq!(Recipe::preset("epsilon_alpha2_beta1_flat").unwrap().name(), Some("Epsilon α2β1 flat"));
}

#[test]
fn composites_assign_what_people_know_by_their_names() {
    let [epsilon, norm] = ["epsilon { epsilon = 1e-6 }", "norm { stabilizer = 1e-6 }"].map(str::to_owned);
    let plus = "z-plus { stabilizer = 1e-6 }".to_owned();
    let a2b1 = "alpha-beta { alpha = 2.0, beta = 1.0, stabilizer = 1e-6 }".to_owned();
    let gamma = "gamma { gamma = 0.25, stabilizer = 1e-6 }".to_owned();
    let flat = "flat { stabilizer = 1e-6 }".to_owned();
    let z_box = "z-box { low = 0.0, high = 1.0, stabilizer = 1e-6 }".to_owned();
    let expect = |preset: &str, rules: [&String; 4]| assert_eq!(on_cnn(preset), rules.map(String::clone), "{preset}");
    expect("epsilon-plus", [&plus, &plus, &norm, &epsilon]);
    expect("epsilon-plus-flat", [&flat, &plus, &norm, &epsilon]);
    expect("epsilon-alpha2-beta1", [&a2b1, &a2b1, &norm, &epsilon]);
    expect("epsilon-alpha2-beta1-flat", [&flat, &a2b1, &norm, &epsilon]);
    expect("epsilon-gamma-box", [&z_box, &gamma, &norm, &epsilon]);
    expect("excitation-backprop", [&plus, &plus, &norm, &plus]);
    let [zero, gradient] = ["zero", "gradient"].map(str::to_owned);
    expect("lrp-0", [&zero, &zero, &zero, &zero]);
    expect("gradient-input", [&gradient, &gradient, &gradient, &gradient]);
    expect("lrp-epsilon", [&epsilon, &epsilon, &norm, &epsilon]);
    expect("lrp-gamma", [&gamma, &gamma, &norm, &gamma]);
    expect("lrp-a2b1", [&a2b1, &a2b1, &norm, &a2b1]);
    let a1b0 = "alpha-beta { alpha = 1.0, beta = 0.0, stabilizer = 1e-6 }".to_owned();
    expect("lrp-a1b0", [&a1b0, &a1b0, &norm, &a1b0]);
}

#[test]
fn gradient_methods_start_from_one_and_have_rules_for_relus() {
    let cnn = cnn();
    let relus = ["/features/relu1/Relu", "/classifier/Relu"];
    for (preset, rule) in [("guided-backprop", "guided-backprop"), ("deconvnet", "deconvnet")] {
        let recipe = Recipe::preset(preset).unwrap();
        assert_eq!((recipe.explain().start(), recipe.times_input()), (Some(Start::One), false));
        let resolved = recipe.resolve(&cnn).unwrap();
        assert_eq!(nodes_with(&cnn, &resolved, rule), relus);
        assert_eq!(nodes_with(&cnn, &resolved, "gradient").len(), 6);
    }
    let recipe = Recipe::preset("gradient-input").unwrap();
    assert_eq!((recipe.explain().start(), recipe.times_input()), (Some(Start::One), true));
    assert_eq!(nodes_with(&cnn, &recipe.resolve(&cnn).unwrap(), "gradient").len(), 8);
}
