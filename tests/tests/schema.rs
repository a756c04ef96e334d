//! The JSON Schema of recipes and the page made from it: they are current, take every recipe, and reject what they can.
//!
//! The same with the program that editors use: `tools/check_recipes_with_taplo.sh`.

use std::fs;
use std::path::{Path, PathBuf};

use lrp_tests::program::{Folder, repository};
use serde_json::Value;

/// The recipes in a folder of the repository.
fn recipes(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft7::new(&lrp_config::schema()).unwrap()
}

fn mistakes(validator: &jsonschema::Validator, text: &str) -> Option<Vec<String>> {
    let value: Value = toml::from_str(text).ok()?;
    Some(validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect())
}

#[test]
fn the_committed_files_are_current() {
    for (arguments, file) in
        [("schema", "configs/recipe.schema.json"), ("schema --markdown", "docs/reference/recipe.md")]
    {
        let printed = Folder::new().lrp(arguments).silent().to_owned();
        let committed = fs::read_to_string(repository().join(file)).unwrap_or_default();
        assert!(printed == committed, "{file} is out of date: cargo run -p lrp-cli -- {arguments} > {file}");
    }
    assert!(jsonschema::meta::is_valid(&lrp_config::schema()));
}

#[test]
fn every_recipe_is_valid() {
    let validator = validator();
    for folder in ["configs", "examples/imagenet", "lrp-config/presets"] {
        for file in recipes(folder) {
            let text = fs::read_to_string(&file).unwrap();
            assert_eq!(mistakes(&validator, &text), Some(Vec::new()), "{}", file.display());
        }
    }
}

/// What people open in an editor names its schema; presets are printed and copied elsewhere.
#[test]
fn recipes_name_their_schema() {
    for folder in ["configs", "examples/imagenet"] {
        for file in recipes(folder) {
            let text = fs::read_to_string(&file).unwrap();
            let named = text.lines().next().and_then(|line| line.strip_prefix("#:schema "));
            let schema =
                file.parent().unwrap().join(named.unwrap_or_else(|| panic!("{}: no #:schema", file.display())));
            let expected = Path::new(&repository()).join("configs/recipe.schema.json");
            assert_eq!(schema.canonicalize().unwrap(), expected.canonicalize().unwrap(), "{}", file.display());
        }
    }
}

/// Of the typical mistakes (`mistakes.rs`), those that a schema can see; the rest is no TOML, or takes the model to notice.
#[test]
fn mistakes_are_seen_in_the_editor() {
    let validator = validator();
    let folder = repository().join("tests/recipes/mistakes");
    let listed = fs::read_to_string(folder.join("seen-by-schema.txt")).unwrap();
    let mut seen = Vec::new();
    for file in recipes("tests/recipes/mistakes") {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let found = mistakes(&validator, &fs::read_to_string(&file).unwrap());
        if found.is_some_and(|found| !found.is_empty()) {
            seen.push(name.clone());
        }
        let snapshot = repository().join(format!("tests/tests/snapshots/mistakes__{name}.snap"));
        let snapshot = fs::read_to_string(snapshot).unwrap();
        let repaired = snapshot.split_once("\nrepaired:\n").unwrap().1;
        assert_eq!(mistakes(&validator, repaired), Some(Vec::new()), "repaired {name}");
    }
    assert_eq!(seen, listed.lines().collect::<Vec<_>>(), "tests/recipes/mistakes/seen-by-schema.txt lists others");
}

/// An editor shows every error: one mistake must give one, at the value that is wrong.
#[test]
fn one_mistake_is_one_error() {
    let validator = validator();
    for (recipe, place, says) in [
        (
            "rule = { type = \"gamma\", gama = 0.25 }",
            "/assign/0/rule/gama",
            "the keys are type, gamma, stabilizer, bias",
        ),
        ("rule = { type = \"gama\", gamma = 0.25 }", "/assign/0/rule/type", "\"gama\" is not one of"),
        ("rule = { type = \"gamma\", gamma = -1 }", "/assign/0/rule/gamma", "minimum"),
        ("rule = { gamma = 0.25 }", "/assign/0/rule", "\"type\" is a required property"),
        ("rule = \"epsilonn\"", "/assign/0/rule", "\"epsilonn\" is not one of"),
        ("rule = 3", "/assign/0/rule", "object"),
        ("rule = { type = \"epsilon\", epsilon = \"x\" }", "/assign/0/rule/epsilon", "number"),
        ("rule = { type = \"z-box\", low = [1, \"a\"] }", "/assign/0/rule/low/1", "number"),
        ("rule = \"pass\"\nnames = [3]", "/assign/0/names/0", "string"),
        ("rule = \"pass\"\nlayers = [0, -1]", "/assign/0/layers/1", "minimum"),
        ("rule = \"pass\"\nname = \"conv1\"", "/assign/0/name", "the keys are"),
        ("rule = \"pass\"\n[explain]\ntargt = 3", "/explain/targt", "the keys are"),
        ("rule = \"pass\"\n[explain]\ntarget = -1", "/explain/target", "minimum"),
        ("rule = \"pass\"\n[explain]\ntarget = { top = \"3\" }", "/explain/target/top", "integer"),
    ] {
        let text = format!("schema = 1\n[[assign]]\n{recipe}\n");
        let found = mistakes(&validator, &text).unwrap();
        assert!(
            matches!(found.as_slice(), [one] if one.starts_with(&format!("{place}: ")) && one.contains(says)),
            "{recipe}: {found:#?}"
        );
    }
}
