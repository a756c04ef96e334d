//! Recipes that extend others, and experiments that compare some.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod nets;

use std::fs;
use std::path::Path;

use lrp_config::{Class, InputFiles, Precision, Recipe, Save, Start, Target};
use nets::{mlp, recipe, rules};
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// An error's lines, without the folder that the files are in.
fn shown(error: &lrp_config::RecipeError, folder: &Path) -> String {
    error.to_string().replace(&format!("{}/", folder.display()), "")
}

#[test]
fn entries_of_the_parent_come_first_and_sections_are_merged_key_by_key() {
    let folder = folder(&[
        (
            "base/parent.toml",
            "schema = 1\nname = 'parent'\ntimes_input = true\nextends = 'lrp_epsilon'\n[[assign]]\nlayers = 0\nrule = 'flat'\n\
             [model]\npath = 'net.onnx'\n[explain]\ntarget = 3\nstart = 'one'\n[output]\nsave = ['png']\n",
        ),
        (
            "child.toml",
            "schema = 1\nextends = 'base/parent.toml'\n[[assign]]\nlayers = 4\nrule = 'zero'\n\
             [explain]\ntarget = 'all'\ninputs = 'a/*.png'\n[output]\ndir = 'out'\n",
        ),
    ]);
    let child = Recipe::load(folder.path().join("child.toml")).unwrap();
    let mlp = mlp();
    let resolved = child.resolve(&mlp).unwrap();
    let rules = rules(&mlp, &resolved);
    assert_eq!(rules[0], "fc0: flat { stabilizer = 1e-6 }");
    assert_eq!(rules[1], "fc1: epsilon { epsilon = 1e-6 }");
    assert_eq!(rules[4], "fc4: zero");
    let origins: Vec<String> = resolved.choices.values().map(|choice| choice.origin.to_string()).collect();
    assert!(origins[0].ends_with("base/parent.toml:5 (entry 1)"), "{}", origins[0]);
    assert_eq!(origins[1], "preset lrp-epsilon, entry 1");
    assert!(origins[4].ends_with("child.toml:3 (entry 1)"), "{}", origins[4]);

    let sources: Vec<&str> = child.sources().map(|source| source.name()).collect();
    assert!(sources[0].ends_with("child.toml") && sources[1].ends_with("base/parent.toml"), "{sources:?}");
    assert_eq!(sources[2..], ["preset lrp-epsilon"]);
    assert!(resolved.times_input && child.times_input());
    assert_eq!(child.name(), None);
    assert_eq!(child.model().path.as_deref(), Some(folder.path().join("base/net.onnx").as_path()));
    assert_eq!(child.explain().target, Some(Target::All));
    assert_eq!(child.explain().start(), Some(Start::One));
    assert_eq!(child.explain().inputs, Some(InputFiles::Files(vec![folder.path().join("a/*.png")])));
    assert_eq!(child.output().dir, Some(folder.path().join("out")));
    assert_eq!(child.output().save, Some(vec![Save::Png]));
}

/// The fix of a circle.
const CIRCLE: &str = "(a recipe may extend a preset or another file, which does not lead back to it)";

#[test]
fn cycles_are_an_error() {
    let folder = folder(&[
        ("a.toml", "schema = 1\nextends = \"b.toml\"\n"),
        ("b.toml", "schema = 1\nextends = \"./a.toml\"\n"),
        ("c.toml", "schema = 1\nextends = \"c.toml\"\n"),
    ]);
    let error = Recipe::load(folder.path().join("a.toml")).unwrap_err();
    assert_eq!(
        shown(&error, folder.path()),
        format!("b.toml:2:11: the recipe extends itself: a.toml -> b.toml -> ./a.toml {CIRCLE}")
    );
    let error = Recipe::load(folder.path().join("c.toml")).unwrap_err();
    assert_eq!(
        shown(&error, folder.path()),
        format!("c.toml:2:11: the recipe extends itself: c.toml -> c.toml {CIRCLE}")
    );
}

#[test]
fn a_parent_that_is_missing_or_wrong_is_reported_with_the_rest() {
    let folder = folder(&[
        ("a.toml", "schema = 1\nextends = \"none.toml\"\n[[assign]]\nrule = { type = \"gamma\", gamma = -1 }\n"),
        ("b.toml", "schema = 1\nextends = \"a.toml\"\n"),
    ]);
    let error = shown(&Recipe::load(folder.path().join("b.toml")).unwrap_err(), folder.path());
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[0].starts_with("a.toml:2:11: there is no file 'none.toml' ("), "{}", lines[0]);
    assert_eq!(lines[1], "a.toml:4:34: gamma must be a finite number ≥ 0, got -1 (gamma is a size: 0 or more)");
    let error = Recipe::load(folder.path().join("none.toml")).unwrap_err();
    assert!(shown(&error, folder.path()).starts_with("there is no file 'none.toml' ("));
}

#[test]
fn an_experiment_has_everything_in_it() {
    let text = "
        name = 'n'
        description = 'd'
        extends = 'epsilon-plus'
        [model]
        path = '../net.onnx'
        labels = 'labels.txt'
        [explain]
        inputs = ['a.png', 'digits']
        target = { contrast = [0, 'nine'] }
        start = 'logit'
        precision = 'f64'
        batch = 8
        [output]
        dir = 'out'
        save = ['npy', 'png', 'json']
        colormap = 'seismic'
        figure = 'out/figure.png'
    ";
    let recipe = Recipe::parse(&format!("schema = 1\n{text}"), "e.toml", "configs").unwrap();
    assert_eq!((recipe.name(), recipe.description()), (Some("n"), Some("d")));
    assert_eq!(recipe.model().path.as_deref(), Some(Path::new("configs/../net.onnx")));
    assert_eq!(recipe.model().labels.as_deref(), Some(Path::new("configs/labels.txt")));
    let explain = recipe.explain();
    assert_eq!(explain.inputs, Some(InputFiles::Files(vec!["configs/a.png".into(), "configs/digits".into()])));
    assert_eq!(explain.target, Some(Target::Contrast(Class::Index(0), Class::Label("nine".to_owned()))));
    assert_eq!(
        (explain.start(), explain.precision, explain.batch),
        (Some(Start::Logit), Some(Precision::F64), Some(8))
    );
    let output = recipe.output();
    assert_eq!(output.save, Some(vec![Save::Npy, Save::Png, Save::Json]));
    assert_eq!(output.colormap.as_ref().map(|map| map.name()), Some("seismic"));
    assert_eq!(output.figure.as_deref(), Some(Path::new("configs/out/figure.png")));
}

#[test]
fn a_comparison_loads_its_recipes_and_knows_their_input() {
    let folder = folder(&[
        ("other.toml", "schema = 1\n[[assign]]\nrule = 'flat'\n[input]\nstd = 2\nmean = 9\n"),
        (
            "all.toml",
            "schema = 1\n[input]\nrange = [0, 1]\nmean = 0\n[compare]\nrecipes = ['epsilon_gamma_box', 'other.toml', 'lrp-0']\n",
        ),
        ("titled.toml", "schema = 1\n[compare]\nrecipes = ['lrp-0', 'lrp-gamma']\ntitles = ['A', 'B']\n"),
    ]);
    let compared = Recipe::load(folder.path().join("all.toml")).unwrap().compared().unwrap();
    let titles: Vec<&str> = compared.iter().map(|c| c.title.as_str()).collect();
    assert_eq!(titles, ["Epsilon gamma box", "other", "LRP-0"]);
    assert_eq!(compared[0].recipe.resolve(&mlp()).unwrap().choices.len(), 5);
    assert_eq!(compared[1].recipe.input().mean, Some(vec![0.0]));
    assert_eq!(compared[1].recipe.input().std, Some(vec![2.0]));
    let titled = Recipe::load(folder.path().join("titled.toml")).unwrap().compared().unwrap();
    assert_eq!(titled.iter().map(|c| c.title.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(recipe("[compare]\nrecipes = ['x/none.toml']").unwrap().compared().unwrap_err().diagnostics().len(), 1);
}

#[test]
fn recipes_are_found_by_preset_name_or_path() {
    assert_eq!(Recipe::find("lrp_0").unwrap().name(), Some("LRP-0"));
    let folder = folder(&[("r", "schema = 1\nname = 'r'\n[[assign]]\nrule = 'flat'\n")]);
    assert_eq!(Recipe::find(&folder.path().join("r").display().to_string()).unwrap().name(), Some("r"));
    let error = Recipe::find("epsilon-pluss").unwrap_err().to_string();
    assert!(
        error.starts_with("there is no preset and no file 'epsilon-pluss' (did you mean 'epsilon-plus'? There are: ")
    );
}
