//! The recipes in `configs/`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod nets;

use std::path::Path;

use lrp_config::Recipe;
use lrp_core::Plan;
use nets::{chain, cnn, nodes_with, rules};

#[test]
fn every_recipe_loads_and_so_does_what_it_compares() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    for file in folder.read_dir().unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "toml") {
            let recipe = Recipe::load(&file).unwrap_or_else(|error| panic!("{error}"));
            recipe.compared().unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

fn montavon() -> Recipe {
    Recipe::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/montavon-composite.toml")).unwrap()
}

#[test]
fn montavons_composite_draws_the_borders_of_the_paper() {
    let vgg16 = chain(16);
    let resolved = montavon().resolve(&vgg16).unwrap();
    assert_eq!(nodes_with(&vgg16, &resolved, "gamma").len(), 7);
    assert_eq!(nodes_with(&vgg16, &resolved, "epsilon").len(), 6);
    assert_eq!(nodes_with(&vgg16, &resolved, "zero"), ["fc13", "fc14", "fc15"]);
}

#[test]
fn montavons_composite_works_for_any_depth() {
    let first_words = |layers: usize| -> Vec<String> {
        let model = chain(layers);
        let rules = rules(&model, &montavon().resolve(&model).unwrap());
        rules.iter().filter_map(|rule| rule.split(' ').nth(1)).map(str::to_owned).collect()
    };
    assert_eq!(first_words(1), ["zero"]);
    assert_eq!(first_words(2), ["gamma", "zero"]);
    assert_eq!(first_words(3), ["gamma", "gamma", "zero"]);
    assert_eq!(first_words(4), ["gamma", "gamma", "epsilon", "zero"]);
    assert_eq!(first_words(5), ["gamma", "gamma", "epsilon", "epsilon", "zero"]);
    let cnn = cnn();
    let resolved = montavon().resolve(&cnn).unwrap();
    Plan::new(cnn.into(), &resolved.assignment()).unwrap();
}
