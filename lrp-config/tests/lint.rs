//! Warnings about recipes: each where it should be, and none elsewhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod nets;

use std::path::Path;

use lrp_config::{Input, Recipe, presets};
use lrp_core::operator::Operator;
use lrp_core::ops::{Activation, Dense, Function, Preprocessing, Reshape, Softmax};
use lrp_core::{Builder, Model, Tensor};
use nets::{chain, cnn, mlp, recipe};

/// `line:column name: message` of every warning.
fn lint(model: &Model<f64>, recipe: &Recipe) -> Vec<String> {
    let resolved = recipe.resolve(model).unwrap();
    let warnings = recipe.lint(model, &resolved);
    let shown = warnings.iter().map(|warning| {
        assert!(warning.help_text().is_some(), "{warning}");
        let place = warning.position().map_or_else(String::new, |(line, column)| format!("{line}:{column} "));
        format!("{place}{}: {warning}", warning.warning_name().unwrap())
    });
    shown.collect()
}

fn of(model: &Model<f64>, text: &str) -> Vec<String> {
    lint(model, &recipe(text).unwrap())
}

#[test]
fn uniform_lrp_0() {
    let text = "[[assign]]\nrule = 'zero'";
    let expected = "3:8 uniform-lrp-0: every layer has LRP-0: on a network of ReLUs, this is gradient × input";
    assert_eq!(of(&mlp(), text), [expected]);
    assert_eq!(of(&cnn(), text), [expected]);
    // Another rule anywhere, or a bias that takes no part, is no gradient × input; a single layer is the last one.
    assert!(of(&mlp(), "[[assign]]\nrule = 'zero'\n[[assign]]\nlayers = 0\nrule = 'flat'").is_empty());
    assert!(of(&mlp(), "[[assign]]\nrule = { type = 'zero', bias = 'ignore' }").is_empty());
    assert!(of(&chain(1), text).is_empty());
}

#[test]
fn positive_rules_on_top() {
    let expected = |place: &str, layers: &str| {
        format!(
            "{place} positive-on-top: a rule that favours positive contributions, in the top layers, which separate classes: \
             {layers}"
        )
    };
    let dense = "2 '/classifier/fc1/Gemm', 3 '/classifier/fc2/Gemm'";
    for rule in ["'gamma'", "'z-plus'", "{ type = 'alpha-beta', alpha = 1, beta = 0 }"] {
        assert_eq!(of(&cnn(), &format!("[[assign]]\nrule = {rule}")), [expected("3:8", dense)]);
        let last = format!("[[assign]]\nrule = 'epsilon'\n[[assign]]\nlayers = 'last'\nrule = {rule}");
        assert_eq!(of(&cnn(), &last), [expected("6:8", "3 '/classifier/fc2/Gemm'")]);
        // Below, they are right.
        for below in ["ops = 'conv'", "layers = '..50%'"] {
            assert!(
                of(&cnn(), &format!("[[assign]]\nrule = 'epsilon'\n[[assign]]\n{below}\nrule = {rule}")).is_empty()
            );
        }
        let half = format!("[[assign]]\nrule = 'epsilon'\n[[assign]]\nlayers = '..40%'\nrule = {rule}");
        assert!(of(&mlp(), &half).is_empty());
    }
    assert!(of(&cnn(), "[[assign]]\nrule = { type = 'alpha-beta', alpha = 2, beta = 1 }").is_empty());
    assert_eq!(of(&mlp(), "[[assign]]\nrule = 'gamma'"), [expected("3:8", "3 'fc3', 4 'fc4'")]);
}

#[test]
fn z_box_inside_the_network() {
    let z_box = "rule = { type = 'z-box', low = 0, high = 1 }";
    let base = "[[assign]]\nrule = 'epsilon'\n[[assign]]\n";
    let recipe = recipe(&format!("{base}layers = [0, 2]\n{z_box}")).unwrap();
    assert_eq!(
        lint(&mlp(), &recipe),
        ["6:8 z-box-inside: z-box is for layers that the input reaches first, and this entry gives it to 2 'fc2'"]
    );
    // The fix works.
    let model = mlp();
    let warning = recipe.lint(&model, &recipe.resolve(&model).unwrap()).remove(0);
    let repaired = warning.repair().unwrap().apply(recipe.source().text());
    assert!(lint(&model, &Recipe::parse(&repaired, "test.toml", "").unwrap()).is_empty(), "{repaired}");
    assert_eq!(of(&cnn(), &format!("{base}ops = 'conv'\n{z_box}")).len(), 1);
    assert!(of(&cnn(), &format!("{base}layers = 'first'\n{z_box}")).is_empty());
}

/// A dense layer behind what `between` makes of the input.
fn behind(between: impl Operator<f64> + 'static) -> Model<f64> {
    let mut net = Builder::<f64>::new();
    let x = net.input("x", &[2]);
    let x = net.add("between", between, &[x]).unwrap();
    let z = net.add("fc", Dense::new(Tensor::ones(vec![3, 2]), None, &[2]).unwrap(), &[x]).unwrap();
    net.finish(z).unwrap()
}

fn halved() -> Model<f64> {
    behind(Preprocessing::new(Some(Tensor::from_elem(vec![1], 0.5)), None, &[2]).unwrap())
}

#[test]
fn z_box_looks_through_preprocessing_and_not_through_everything() {
    let text = "[[assign]]\nrule = { type = 'z-box', low = 0, high = 1 }";
    assert!(of(&halved(), text).is_empty());
    assert!(of(&behind(Activation::new(Function::Relu, &[2]).unwrap()), text).is_empty());
    assert_eq!(
        of(&behind(Activation::new(Function::Silu, &[2]).unwrap()), text),
        [
            "3:8 z-box-inside: z-box at 0 'fc' has the bounds of the model's input, of which 'between' makes other values"
        ]
    );
}

#[test]
fn images_that_are_normalised_twice() {
    let entry = "[[assign]]\nrule = 'epsilon'\n";
    let message = |place: &str, keys: &str| {
        format!(
            "{place} normalised-twice: [input] gives {keys}, and the model scales its input itself, at 'between': images are normalised \
             twice"
        )
    };
    let of = |model: &Model<f64>, input: &str| self::of(model, &format!("{entry}[input]\n{input}"));
    assert_eq!(of(&halved(), "mean = 0.5\nstd = 0.5"), [message("5:8", "mean and std")]);
    assert_eq!(of(&halved(), "std = [0.5, 0.25]"), [message("5:7", "std")]);
    assert!(of(&halved(), "range = [0, 1]\nmean = 0\nstd = 1").is_empty());
    assert!(of(&mlp(), "mean = 0.5\nstd = 0.5").is_empty());
}

#[test]
fn entries_that_are_overridden() {
    let special = "[[assign]]\nlayers = 'first'\nrule = 'flat'\n";
    let every = "[[assign]]\nrule = 'epsilon'\n";
    assert_eq!(
        of(&mlp(), &format!("{special}{every}")),
        ["2:1 entry-overridden: entry 1 decides nothing here: entry 2 overrides it"]
    );
    let halves = "[[assign]]\nlayers = '0..2'\nrule = 'z-plus'\n[[assign]]\nlayers = 1\nrule = 'flat'\n[[assign]]\nlayers = 0\nrule = 'flat'";
    assert_eq!(
        of(&mlp(), &format!("{every}{halves}")),
        ["4:1 entry-overridden: entry 2 decides nothing here: entries 3 and 4 override it"]
    );
    // Something is left; it is what one begins with; it need not match; it is what is extended.
    assert!(of(&mlp(), &format!("{every}{special}")).is_empty());
    let cover = "[[assign]]\nlayers = '..'\nrule = { type = 'epsilon', epsilon = 0.1 }\n";
    assert!(of(&mlp(), &format!("{every}{cover}")).is_empty());
    assert!(of(&mlp(), &format!("{}optional = true\n{every}", special)).is_empty());
    let extending = "extends = 'epsilon-plus-flat'\n[[assign]]\nlayers = 'first'\nrule = 'w-square'";
    assert!(of(&mlp(), extending).is_empty());
}

#[test]
fn a_softmax_before_the_output() {
    let model = |softmax: bool| {
        let mut net = Builder::<f64>::new();
        let x = net.input("x", &[2]);
        let fc = net.add("fc", Dense::new(Tensor::ones(vec![4, 2]), None, &[2]).unwrap(), &[x]).unwrap();
        let p = if softmax { net.add("softmax", Softmax::new(1, &[4]).unwrap(), &[fc]).unwrap() } else { fc };
        let out = net.add("flat", Reshape::new(&[4], &[2, 2]).unwrap(), &[p]).unwrap();
        net.finish(out).unwrap()
    };
    let text = "[[assign]]\nrule = 'epsilon'";
    assert_eq!(
        of(&model(true), text),
        [
            "after-softmax: the model's output comes out of a softmax ('softmax'): probabilities are explained, not logits"
        ]
    );
    assert!(of(&model(false), text).is_empty());
}

/// Those of our own recipes that are warned about are what the warnings are about: methods that people compare with.
#[test]
fn our_recipes_are_warned_about_for_a_reason() {
    let pixels = Input { range: Some(vec![[0.0, 1.0]]), ..Input::default() };
    for preset in presets() {
        let expected: &[&str] = match preset.name {
            "lrp-0" => &["uniform-lrp-0"],
            "lrp-gamma" | "lrp-a1b0" | "excitation-backprop" => &["positive-on-top"],
            _ => &[],
        };
        let recipe = Recipe::preset(preset.name).unwrap().with_input(&pixels);
        for model in [cnn(), mlp()] {
            let resolved = recipe.resolve(&model).unwrap();
            let warnings = recipe.lint(&model, &resolved);
            let names: Vec<&str> = warnings.iter().filter_map(|warning| warning.warning_name()).collect();
            assert_eq!(names, expected, "{}", preset.name);
        }
    }
    let mut linted = 0;
    for folder in ["../configs", "../examples/imagenet"] {
        for file in
            Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).read_dir().unwrap().map(|file| file.unwrap().path())
        {
            let is_recipe = file.extension().is_some_and(|extension| extension == "toml");
            let Some(recipe) = is_recipe.then(|| Recipe::load(&file).unwrap()) else { continue };
            // Comparisons have no entries of their own, and configs/imagenet.toml is for a network of 50 layers.
            for model in [cnn(), mlp(), chain(1), chain(2), chain(16)] {
                let Ok(resolved) = recipe.clone().with_input(&pixels).resolve(&model) else { continue };
                let warnings = recipe.lint(&model, &resolved);
                let is_lrp_0 = file.ends_with("lrp-0.toml") && model.layers().len() > 1;
                assert_eq!(warnings.len(), usize::from(is_lrp_0), "{}: {warnings:?}", file.display());
                linted += 1;
            }
        }
    }
    assert!(linted > 15, "{linted}");
}
