//! What the program says and draws where something is unusual: pictures of any shape, shares of biases, guesses at names and targets.

use lrp_tests::program::{Folder, repository};
use ndarray::Array;
use ndarray_npy::write_npy;

/// A folder with a model of `tests/models`, and a sample of this shape in `x.npy`.
fn folder(model: &str, shape: &[usize]) -> Folder {
    let folder = Folder::new();
    std::fs::copy(repository().join("tests/models").join(model), folder.path("model.onnx")).unwrap();
    let mut value = 0.0_f32;
    let x = Array::from_shape_simple_fn(shape.to_vec(), || {
        value += 1.0;
        (value * 0.7).sin() * 0.5 + 0.5
    });
    write_npy(folder.path("x.npy"), &x).unwrap();
    folder
}

#[test]
fn a_volume_and_a_vector_are_drawn_and_the_picture_is_explained() {
    type Sample<'a> = (&'a str, &'a [usize], &'a str, (u32, u32));
    let samples: [Sample<'_>; 2] = [
        ("video.ts.onnx", &[1, 3, 4, 32, 32], "montage of 4 slices of 32×32, 2 in a row, channels summed", (65, 65)),
        ("digits_mlp.skl2onnx.onnx", &[1, 64], "a strip with one cell for each number", (64, 8)),
    ];
    for (model, shape, note, size) in samples {
        let folder = folder(model, shape);
        let run =
            folder.lrp("explain -m model.onnx -r lrp-epsilon -i x.npy -o out --save png,json --size 1x --overlay 0.5");
        run.ok();
        assert!(run.stderr.contains(note), "{run}");
        let picture = image::open(folder.path("out/x.heatmap.png")).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), size, "{run}");
        let manifest: serde_json::Value = serde_json::from_slice(&folder.read("out/manifest.json")).unwrap();
        let notes = manifest["notes"].as_array().unwrap();
        assert!(notes.iter().any(|said| said.as_str().unwrap().contains(note)), "{notes:?}");
        let run = folder.lrp("compare -m model.onnx -r lrp-epsilon -r lrp-0 -i x.npy -o figure.png");
        run.ok();
        assert!(run.stderr.contains(note) && folder.path("figure.png").exists(), "{run}");
        folder.lrp("explain -m model.onnx -r lrp-epsilon -i x.npy -o report --save html").ok();
    }
}

#[test]
fn an_id_without_a_row_is_named_with_its_place() {
    let folder = Folder::new();
    std::fs::copy(repository().join("tests/attention/bert.ts.onnx"), folder.path("model.onnx")).unwrap();
    let mut ids = ndarray::Array2::<i64>::ones((2, 6));
    ids[[1, 3]] = 61;
    write_npy(folder.path("ids.npy"), &ids).unwrap();
    write_npy(folder.path("mask.npy"), &ndarray::Array2::<i64>::ones((2, 6))).unwrap();
    let explain = "explain -m model.onnx -r attn-lrp -i input_ids=ids.npy attention_mask=mask.npy -o out";
    let run = folder.lrp(explain);
    assert_eq!(run.code, Some(2), "{run}");
    assert!(run.stderr.contains("sample 1 has the id 61 at [3], and the table of the embedding"), "{run}");
    assert!(run.stderr.contains("has the rows 0 to 60"), "{run}");
    // The other sample is explained.
    let manifest: serde_json::Value = serde_json::from_slice(&folder.read("out/manifest.json")).unwrap();
    assert!(manifest["failed"].to_string().contains("the id 61 at [3]"), "{}", manifest["failed"]);
    // More tokens than the model takes.
    write_npy(folder.path("ids.npy"), &ndarray::Array2::<i64>::ones((2, 9))).unwrap();
    let run = folder.lrp(&format!("{explain} --force"));
    assert!(run.stderr.contains("'ids.npy' has the shape [2, 9], the model expects [N, 6]"), "{run}");
}

#[cfg(not(feature = "tokenizer"))]
#[test]
fn a_program_without_tokenizers_says_how_to_build_one_with_them() {
    let folder = Folder::new();
    for name in ["bert.ts.onnx", "tokenizer.json"] {
        std::fs::copy(repository().join("tests/attention").join(name), folder.path(name)).unwrap();
    }
    folder.write("a.txt", "the film\n");
    let run = folder.lrp("explain -m bert.ts.onnx -r attn-lrp -i a.txt --tokenizer tokenizer.json -o out");
    let said = run.complaint().split_whitespace().filter(|word| *word != "|").collect::<Vec<_>>().join(" ");
    assert!(said.contains("cargo build --release -p lrp-cli --features tokenizer"), "{run}");
}

#[test]
fn accounts_that_take_most_are_warned_about_with_what_helps() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    folder.write("all.toml", "schema = 1\n[[assign]]\nrule = { type = \"epsilon\", epsilon = 1e3 }\n");
    let run = folder.lrp("explain -m cnn.onnx -r all.toml -i digits.npy -o out");
    run.ok();
    let warning = "warning: stabilizers absorb 100.0 % of the relevance of 16 explained outputs";
    assert!(run.stderr.contains(warning) && run.stderr.contains("choose a smaller epsilon"), "{run}");
    assert_eq!(run.stderr.matches("stabilizers absorb").count(), 1, "{run}");
    let manifest: serde_json::Value = serde_json::from_slice(&folder.read("out/manifest.json")).unwrap();
    assert!(manifest["notes"].to_string().contains(warning), "{}", manifest["notes"]);
    // A check names the layers.
    let run = folder.lrp("check -m cnn.onnx -r all.toml -i digits.npy --precision f64");
    assert!(run.stdout.contains("stabilizers absorb 100.0 %") && run.stdout.contains("most at '/fc2/Gemm'"), "{run}");
    // Methods that promise nothing are not warned about.
    for preset in ["gradient-input", "guided-backprop", "deconvnet"] {
        let run = folder.lrp(&format!("explain -m cnn.onnx -r {preset} -i digits.npy -o {preset}"));
        run.ok();
        assert!(!run.stderr.contains("rules "), "{run}");
    }
}

#[test]
fn names_of_modules_are_names_and_misses_are_answered_with_names() {
    let folder = folder("resnet18.ts.onnx", &[1, 1]);
    let recipe = |names: &str| {
        format!("schema = 1\n[[assign]]\nrule = \"epsilon\"\n[[assign]]\nnames = \"{names}\"\nrule = \"z-plus\"\n")
    };
    folder.write("modules.toml", recipe("layer1.*"));
    let plan = folder.lrp("plan -m model.onnx -r modules.toml");
    let chosen = plan.ok().lines().filter(|line| line.contains("z-plus")).collect::<Vec<_>>();
    assert!(chosen.len() >= 4 && chosen.iter().all(|line| line.contains("/layer1/")), "{plan}");
    folder.write("typo.toml", recipe("layr1.*"));
    let run = folder.lrp("plan -m model.onnx -r typo.toml");
    assert!(run.complaint().contains("did you mean 'layer1.*'") && !run.stderr.contains("optional"), "{run}");
    // Nothing is alike: names are offered, and no repair that would hide the mistake.
    folder.write("nothing.toml", recipe("transformer"));
    let run = folder.lrp("plan -m model.onnx -r nothing.toml");
    assert!(run.complaint().contains("names in this model are") && !run.stderr.contains("write"), "{run}");
    // PyTorch's second exporter calls a convolution by the batch norm that it merged; its weight knows the module.
    let folder = self::folder("resnet18.dynamo.onnx", &[1, 1]);
    for (names, count) in [("layer1.0.conv1", 1), ("layer1.0.bn1", 1), ("node_*onv*", 14), ("layer1.*", 4)] {
        folder.write("names.toml", recipe(names));
        let plan = folder.lrp("plan -m model.onnx -r names.toml");
        let chosen = plan.ok().lines().filter(|line| line.contains("z-plus")).count();
        assert!(chosen >= count, "{names}: {plan}");
    }
}

#[test]
fn guesses_at_targets_and_presets_are_answered_with_what_to_write() {
    let folder = Folder::with(&["cnn.onnx", "nine.png", "labels.txt"]);
    for labels in ["", "--labels labels.txt "] {
        for (guess, right) in [
            ("top=3", "{ top = 3 }"),
            ("'top 3'", "{ top = 3 }"),
            ("4,9", "{ contrast = [4, 9] }"),
            ("'[4, 9]'", "{ contrast = [4, 9] }"),
            ("argmax=1", "argmax, without a number"),
            ("class=4", "its number alone: 4"),
        ] {
            let run =
                folder.lrp(&format!("explain -m cnn.onnx -r epsilon-plus -i nine.png -o out {labels}--target {guess}"));
            let said = run.complaint().split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(said.contains(right), "{run}");
        }
    }
    for command in ["explain", "check", "compare", "run"] {
        assert!(folder.lrp(&format!("{command} --help")).silent().contains("Targets (--target):"), "{command}");
    }
    folder.write("epsilon-plus-flat2.toml", "schema = 1\n");
    for typo in ["epsilon-plus-flatt", "epsilon_plus_flatt", "Epsilon-Plus-Flat"] {
        let run = folder.lrp(&format!("plan -m cnn.onnx -r {typo}"));
        assert!(run.complaint().contains("did you mean 'epsilon-plus-flat'?"), "{run}");
    }
}

#[test]
fn numbers_on_the_terminal_have_ascii_signs() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    for command in ["explain -o out", "check"] {
        let run = folder.lrp(&format!("{command} -m cnn.onnx -r lrp-a2b1 -i digits.npy"));
        assert!(!run.ok().contains('−'), "{run}");
        assert!(run.stdout.contains('-'), "{run}");
    }
}

/// α2β1 where outputs have contributions of one sign only: what is created is said to be, with the reason.
#[test]
fn one_sided_outputs_of_alpha_beta_are_explained() {
    let folder = Folder::with(&["cnn.onnx", "nine.png"]);
    let report = folder.lrp("check -m cnn.onnx -r lrp-a2b1 -i nine.png --precision f64 --json");
    let report: serde_json::Value = serde_json::from_str(report.ok()).unwrap();
    for row in report["books"].as_array().unwrap() {
        // Where nothing contributes, no stabilizer is to blame.
        let share = row["stabilizer"].as_f64().unwrap().abs() / row["received"].as_f64().unwrap().abs().max(1e-9);
        assert!(share < 0.01, "{row}");
    }
}

#[test]
fn a_new_recipe_names_the_schema_where_there_is_one() {
    let folder = Folder::with(&["cnn.onnx"]);
    let first =
        |name: &str| String::from_utf8(folder.read(name)).unwrap().lines().next().unwrap_or_default().to_owned();
    folder.lrp("init -m cnn.onnx -o alone.toml").ok();
    assert!(!first("alone.toml").starts_with("#:schema"));
    folder.lrp("init -m cnn.onnx -o beside.toml --schema").ok();
    assert_eq!(first("beside.toml"), "#:schema ./recipe.schema.json");
    let schema: serde_json::Value = serde_json::from_slice(&folder.read("recipe.schema.json")).unwrap();
    assert_eq!(schema, lrp_config::schema());
    folder.lrp("plan -r beside.toml").ok();
    folder.write("configs/recipe.schema.json", "{}");
    folder.write("mine/deep/x.txt", "");
    folder.lrp("init -m cnn.onnx -o mine/deep/new.toml").ok();
    assert_eq!(first("mine/deep/new.toml"), "#:schema ../../configs/recipe.schema.json");
}
