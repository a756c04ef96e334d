//! Typical mistakes in recipes (`tests/recipes/mistakes/*.toml`): the message shows the line, the position and a fix, and the fix
//! works, as it stands: its edits are applied to the file, and `lrp plan` takes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lrp_tests::program::{Folder, repository};
use serde_json::Value;

/// Every mistake by its name.
fn mistakes() -> BTreeMap<String, String> {
    let folder = repository().join("tests/recipes/mistakes");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let recipes = files.filter(|file| file.extension().is_some_and(|extension| extension == "toml"));
    let name = |file: &Path| file.file_stem().unwrap().to_str().unwrap().to_owned();
    recipes.map(|file| (name(&file), fs::read_to_string(&file).unwrap())).collect()
}

/// A model, its labels and a recipe to extend, for mistakes in what a recipe names.
fn folder() -> Folder {
    let folder = Folder::with(&["cnn.onnx", "labels.txt"]);
    folder.write("words.txt", "zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n");
    folder.write("epsilon-relative.toml", fs::read(repository().join("configs/epsilon-relative.toml")).unwrap());
    folder
}

/// The text after all of these edits.
fn repaired(text: &str, errors: &[Value]) -> String {
    let place = |edit: &Value, key: &str| usize::try_from(edit[key].as_u64().unwrap()).unwrap();
    let mut edits: Vec<&Value> = errors.iter().flat_map(|error| error["fix"].as_array().unwrap()).collect();
    edits.sort_by_key(|edit| place(edit, "start"));
    let mut text = text.to_owned();
    for edit in edits.into_iter().rev() {
        text.replace_range(place(edit, "start")..place(edit, "end"), edit["replacement"].as_str().unwrap());
    }
    text
}

/// A name that is like no other: names are offered, and a person chooses. `optional = true` would only hide the mistake.
const NO_REPAIR: &str = "names-of-another-model";

/// The first name that the help offers.
fn offered(help: &str) -> &str {
    help.strip_prefix("names in this model are '").unwrap().split('\'').next().unwrap()
}

#[test]
fn what_is_suggested_works() {
    let folder = folder();
    let mistakes = mistakes();
    assert!(mistakes.len() >= 20, "{}", mistakes.len());
    for (name, text) in mistakes {
        let file = format!("{name}.toml");
        folder.write(&file, &text);
        let model = if text.contains("[model]") { "" } else { "-m cnn.onnx " };
        let plan = format!("plan {model}-r {file}");
        let run = folder.lrp(&plan);
        assert_eq!(run.code, Some(2), "{run}");
        assert!(run.stderr.contains("\n  help: "), "{run}");

        let json = folder.lrp(&format!("{plan} --json"));
        assert_eq!(json.code, Some(2), "{json}");
        let report: Value = serde_json::from_str(&json.stderr).unwrap_or_else(|e| panic!("{e}: {json}"));
        let errors = report["errors"].as_array().unwrap();
        assert_eq!(errors.len(), if name == "three-mistakes" { 3 } else { 1 }, "{json}");
        for error in errors {
            assert_eq!((&error["severity"], &error["file"]), (&"error".into(), &file.as_str().into()), "{json}");
            let line = usize::try_from(error["line"].as_u64().unwrap()).unwrap();
            let span: Vec<usize> = error["span"]
                .as_array()
                .unwrap()
                .iter()
                .map(|n| usize::try_from(n.as_u64().unwrap()).unwrap())
                .collect();
            assert_eq!(text[..span[0]].matches('\n').count() + 1, line, "{json}");
            assert!(run.stderr.contains(&format!("[{file}:{line}:{}]", error["column"])), "{run}\n{json}");
            assert!(error["help"].is_string(), "no help: {json}");
            assert_eq!(error["fix"].is_array(), name != NO_REPAIR, "{json}");
        }

        let repaired = match name == NO_REPAIR {
            true => text.replace("classifier.*", offered(errors[0]["help"].as_str().unwrap())),
            false => repaired(&text, errors),
        };
        assert_ne!(repaired, text);
        folder.write(&file, &repaired);
        let again = folder.lrp(&plan);
        assert_eq!(again.code, Some(0), "what is suggested does not work:\n{run}\n{repaired}\n{again}");
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(name, format!("{run}\nrepaired:\n{repaired}"));
        });
    }
}
