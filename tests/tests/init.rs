//! `lrp init`: what it writes runs as it stands, for every bundled network.

use std::fs::File;
use std::path::{Path, PathBuf};

use lrp_tests::program::{Folder, repository};
use ndarray::ArrayD;
use ndarray_npy::{NpzReader, write_npy};

/// The bundled models that are imported, by name.
fn models() -> Vec<PathBuf> {
    let folder = repository().join("tests/models");
    let mut models: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "onnx"))
        .collect();
    models.sort();
    models
}

fn samples(network: &str) -> ArrayD<f32> {
    let mut arrays = NpzReader::new(File::open(repository().join("tests/models/models.npz")).unwrap()).unwrap();
    arrays.by_name(&format!("{network}.x")).unwrap()
}

/// What every recipe looks like: lines of at most 120 characters, but for names of layers and paths; nothing trailing.
fn check_looks(recipe: &str, context: &str) {
    for line in recipe.lines() {
        assert_eq!(line.trim_end(), line, "{context}");
        let listed = line.starts_with("#  ") || line.starts_with("# index");
        let path = line.starts_with("path") || line.starts_with("inputs");
        assert!(listed || path || line.chars().count() <= 120, "{context}: {line}");
    }
}

#[test]
fn a_recipe_is_written_planned_and_run_for_every_bundled_model() {
    let mut count = 0;
    for model in models() {
        let file = model.file_name().unwrap().to_str().unwrap();
        let network = file.split('.').next().unwrap();
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path("models")).unwrap();
        std::fs::create_dir_all(folder.path("recipes")).unwrap();
        std::fs::copy(&model, folder.path("models").join(file)).unwrap();
        write_npy(folder.path("models/x.npy"), &samples(network)).unwrap();

        let run = folder.lrp(&format!("init -m models/{file} -i models/x.npy -o recipes/{network}.toml"));
        assert_eq!(run.ok().lines().count(), 2, "{run}");
        let recipe = String::from_utf8(folder.read(&format!("recipes/{network}.toml"))).unwrap();
        check_looks(&recipe, file);
        assert!(recipe.contains(&format!("\"../models/{file}\"")), "paths are relative to the recipe: {recipe}");

        for command in ["plan -r", "run"] {
            let run = folder.lrp(&format!("{command} recipes/{network}.toml"));
            run.ok();
            // That a probability is explained is the network's doing, and no recipe can help it.
            let probabilities = run.stderr.contains("probabilities are explained, not logits");
            // Weights of most of these networks are random, so that biases and stabilizers can take most of what there is.
            let of_network = |line: &str| line.starts_with("warning: ") && line.contains(" % of the relevance of ");
            let notes = run.stderr.lines().all(|line| line.starts_with("note: ") || of_network(line));
            assert!(notes || (network == "yolo" && probabilities), "no warnings: {run}\n{recipe}");
        }
        let out = format!("recipes/out/{network}");
        assert!(folder.list(&out).contains(&"manifest.json".to_owned()), "{file}");
        let manifest: serde_json::Value =
            serde_json::from_slice(&folder.read(&format!("{out}/manifest.json"))).unwrap();
        assert!(manifest.get("failed").is_none(), "{file}: {manifest}");
        count += 1;
    }
    assert!(count >= 50, "{count}");
}

#[test]
fn the_examples_get_an_experiment_that_runs() {
    for network in ["cnn", "clever-hans"] {
        let folder = Folder::with(&[&format!("{network}.onnx"), "labels.txt", "nine.png", "nine_with_patch.png"]);
        let run = folder.lrp(&format!("init -m {network}.onnx -i *.png --labels labels.txt -o {network}.toml"));
        assert_eq!(run.silent().lines().count(), 2, "{run}");
        let recipe = String::from_utf8(folder.read(&format!("{network}.toml"))).unwrap();
        assert!(recipe.contains("\"z-box\"") && recipe.contains("range    = [0.0, 1.0]"), "{recipe}");
        folder.lrp(&format!("plan -r {network}.toml")).silent();
        folder.lrp(&format!("run {network}.toml")).silent();
        assert_eq!(folder.list(&format!("out/{network}")).len(), 8);
        // Flags do for what the recipe leaves open.
        folder.lrp(&format!("explain -r {network}.toml -i nine.png -o elsewhere --save npy")).silent();
        insta::assert_snapshot!(format!("init-{network}"), recipe);
    }
}

#[test]
fn without_a_file_the_recipe_goes_to_standard_output() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    let recipe = folder.lrp("init -m cnn.onnx").silent().to_owned();
    assert!(recipe.contains("path     = \"cnn.onnx\"") && recipe.contains("# inputs ="), "{recipe}");
    folder.write("mine.toml", recipe);
    folder.lrp("plan -r mine.toml").silent();
    folder.lrp("explain -r mine.toml -i digits.npy -o out").silent();
}

#[test]
fn nothing_is_written_over_without_force() {
    let folder = Folder::with(&["cnn.onnx"]);
    folder.write("mine.toml", "precious");
    insta::assert_snapshot!("init-exists", folder.lrp("init -m cnn.onnx -o mine.toml").complaint());
    assert_eq!(folder.read("mine.toml"), b"precious");
    folder.lrp("init -m cnn.onnx -o mine.toml --force").silent();
    assert!(folder.read("mine.toml").starts_with(b"# A recipe"));
    folder.lrp("init -m cnn.onnx --force").complaint();
    insta::assert_snapshot!("init-no-folder", folder.lrp("init -m cnn.onnx -o none/mine.toml").complaint());
    // A model that is no model leaves no file behind.
    folder.write("broken.onnx", "no model");
    folder.lrp("init -m broken.onnx -o broken.toml").complaint();
    assert!(!folder.path("broken.toml").exists());
}

#[test]
fn what_arrays_hold_gives_the_range() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    assert!(folder.lrp("init -m cnn.onnx -i digits.npy").silent().contains("range    = [0.0, 1.0]"));
    let digits: ArrayD<f32> = ndarray_npy::read_npy(folder.path("digits.npy")).unwrap();
    write_npy(folder.path("normalized.npy"), &digits.mapv(|v| (v - 0.1307) / 0.3081)).unwrap();
    let recipe = folder.lrp("init -m cnn.onnx -i normalized.npy").silent().to_owned();
    assert!(recipe.contains("range    = [-0.5, 2.9]"), "{recipe}");
    assert!(recipe.contains("inputs = [\"normalized.npy\"]"), "{recipe}");
    write_npy(folder.path("wrong.npy"), &ArrayD::<f32>::zeros(vec![2, 5])).unwrap();
    folder.lrp("init -m cnn.onnx -i wrong.npy").complaint();
}

/// Each family is recognised, and explained in its own way.
#[test]
fn families_of_networks() {
    let families = [
        ("vgg.ts", "a plain convolutional network", "layers = \"first\""),
        ("resnet18.ts", "a residual network", "residual = \"absolute\""),
        ("resnet18.unfused", "a residual network", "residual = \"absolute\""),
        ("densenet.ts", "a convolutional network with branches", "ops  = \"batch-norm\""),
        ("digits_mlp.skl2onnx", "a multi-layer perceptron", "No rule of its own for the first layer"),
        ("convnext.ts", "a network of the transformers' kin", "Achtibat"),
        ("lstm.ts", "a recurrent network", "Arras"),
        ("googlenet.ts", "a convolutional network with branches", "the model scales pixels itself"),
        ("yolo.ts", "a residual network", "layers = \"last\""),
        ("ecg.ts", "a residual network", "arrays, which go to the model as they are"),
    ];
    for (file, family, text) in families {
        let folder = Folder::new();
        let model = repository().join(format!("tests/models/{file}.onnx"));
        std::fs::copy(model, folder.path("net.onnx")).unwrap();
        let run = folder.lrp("init -m net.onnx");
        let unwrapped = run.ok().replace("\n# ", " ");
        assert!(unwrapped.contains(&format!("net.onnx is {family}: ")) && unwrapped.contains(text), "{file}: {run}");
    }
}

/// A file whose names would end a comment, or a string.
#[test]
fn names_from_the_file_stay_within_their_comments() {
    let folder = Folder::with(&["cnn.onnx"]);
    let mut model = folder.read("cnn.onnx");
    let name = b"/conv1/Conv";
    let places: Vec<usize> = (0..model.len() - name.len()).filter(|&i| model[i..].starts_with(name)).collect();
    assert!(!places.is_empty());
    for place in places {
        model[place..place + name.len()].copy_from_slice(b"a\n[model]\n\"");
    }
    folder.write("odd 'name'.onnx", model);
    let recipe = folder.command("init -m").arg("odd 'name'.onnx").output().unwrap();
    let recipe = String::from_utf8(recipe.stdout).unwrap();
    assert!(recipe.contains("a\u{fffd}[model]\u{fffd}\"") && recipe.contains("\"odd 'name'.onnx\""), "{recipe}");
    folder.write("mine.toml", recipe);
    folder.lrp("plan -r mine.toml").silent();
}

#[test]
fn the_path_may_be_long_and_absolute() {
    let folder = Folder::with(&["cnn.onnx"]);
    let absolute: &Path = &folder.path("cnn.onnx").canonicalize().unwrap();
    let run = folder.lrp(&format!("init -m {} -o mine.toml", absolute.display()));
    run.silent();
    assert!(String::from_utf8(folder.read("mine.toml")).unwrap().contains("path     = \"cnn.onnx\""));
}

/// An entry of a file's metadata, which protobuf lets one append: field 14, with the fields 1 and 2.
fn metadata(key: &str, value: &str) -> Vec<u8> {
    let field = |tag: u8, bytes: &[u8]| [&[tag << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    field(14, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat())
}

/// ONNX's own way to say how pixels go in (`Image.NominalPixelRange`).
#[test]
fn what_the_file_says_of_pixels_is_taken_over() {
    let cases = [
        ("Normalized_0_1", "as the file states", 0.0, 1.0),
        ("Normalized_1_1", "range    = [-1.0, 1.0]", -1.0, 1.0),
        ("NominalRange_0_255", "range    = [0.0, 255.0]", 0.0, 255.0),
    ];
    for (range, text, low, high) in cases {
        let folder = Folder::with(&["cnn.onnx", "nine.png"]);
        let bgr = metadata("Image.BitmapPixelFormat", "Bgr8");
        let model = [folder.read("cnn.onnx"), metadata("Image.NominalPixelRange", range), bgr].concat();
        folder.write("net.onnx", model);
        let recipe = folder.lrp("init -m net.onnx -i nine.png").silent().to_owned();
        assert!(recipe.contains(text) && recipe.contains("CHECK: the file states the order blue"), "{recipe}");
        folder.write("mine.toml", recipe);
        let plan = folder.lrp("plan -r mine.toml --json").json();
        let rule = format!("z-box {{ low = {low}, high = {high}, stabilizer = 1e-6 }}").replace(".0", "");
        let planned = plan["layers"][0]["rule"].as_str().unwrap().replace(".0", "");
        assert_eq!(planned, rule);
        folder.lrp("run mine.toml").silent();
    }
}

#[test]
fn images_of_another_size_are_cropped() {
    let folder = Folder::with(&["cnn.onnx", "nine.png"]);
    image::GrayImage::from_fn(40, 30, |x, y| image::Luma([(x * y % 251) as u8]))
        .save(folder.path("large.png"))
        .unwrap();
    assert!(folder.lrp("init -m cnn.onnx -i nine.png").silent().contains("\n# resize = \"crop\""));
    let recipe = folder.lrp("init -m cnn.onnx -i nine.png large.png").silent().to_owned();
    assert!(recipe.contains("\nresize = \"crop\""), "{recipe}");
    folder.write("mine.toml", recipe);
    folder.lrp("run mine.toml").silent();
    folder.write("broken.png", "no image");
    folder.lrp("init -m cnn.onnx -i broken.png").complaint();
}
