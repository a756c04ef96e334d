//! The program `lrp` from end to end: a process, its exit code, what it prints, and the files it writes.

use std::path::Path;
use std::process::Stdio;

use image::Rgb;
use lrp_core::Tensor;
use lrp_tests::onnx::Onnx;
use lrp_tests::program::{Folder, Run, repository};
use ndarray::{ArrayD, Axis, IxDyn};
use ndarray_npy::{NpzWriter, ReadableElement, WritableElement, read_npy, write_npy};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The networks that come with the program, and presets that need the range of the input.
const NETWORKS: [&str; 2] = ["cnn.onnx", "clever-hans.onnx"];
const EXPLAIN: &str = "explain -m cnn.onnx -r lrp-epsilon --range 0,1";

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn npy<E: ReadableElement>(folder: &Folder, name: &str) -> ArrayD<E> {
    read_npy(folder.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn save<E: WritableElement>(folder: &Folder, name: &str, array: &ArrayD<E>) {
    write_npy(folder.path(name), array).unwrap();
}

fn manifest(folder: &Folder, dir: &str) -> Value {
    serde_json::from_slice(&folder.read(&format!("{dir}/manifest.json"))).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect()
}

/// The records of a manifest's first input, first target of each sample.
fn targets(manifest: &Value) -> Vec<Value> {
    let samples = manifest["inputs"][0]["samples"].as_array().unwrap();
    samples.iter().map(|sample| sample["targets"][0].clone()).collect()
}

fn difference(a: &Tensor<f64>, b: &Tensor<f64>) -> f64 {
    lrp_tests::relative_l2(a, b)
}

// ---- explain ----

#[test]
fn a_batch_is_explained_and_its_ledger_balances() {
    for (precision, tolerance) in [("f32", 1e-5), ("f64", 1e-12)] {
        let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
        let run = folder.lrp(&format!("{EXPLAIN} -i digits.npy -o out --precision {precision}"));
        assert_eq!(run.silent().lines().count(), 18, "{run}");
        let relevance = match precision {
            "f32" => npy::<f32>(&folder, "out/digits.relevance.npy").mapv(f64::from),
            _ => npy::<f64>(&folder, "out/digits.relevance.npy"),
        };
        assert_eq!(relevance.shape(), [16, 1, 28, 28]);

        let mut expected: Vec<String> = (0..16).map(|i| format!("digits.{i}.heatmap.png")).collect();
        expected.extend(["digits.ledger.npy", "digits.relevance.npy", "manifest.json"].map(str::to_owned));
        expected.sort();
        assert_eq!(folder.list("out"), expected);

        let manifest = manifest(&folder, "out");
        let targets = targets(&manifest);
        assert_eq!(targets.len(), 16);
        for (i, target) in targets.iter().enumerate() {
            assert_eq!(target["class"], i % 10, "digits 0 to 9, then 0 to 5");
            assert_eq!(target["heatmap"], format!("digits.{i}.heatmap.png"));
            let (score, ledger) = (number(&target["score"]), &target["ledger"]);
            assert_eq!(score, number(&ledger["start"]));
            let booked: f64 = ["bias", "stabilizer", "rule"].iter().map(|key| number(&ledger[key])).sum();
            let sum = relevance.index_axis(Axis(0), i).sum();
            assert!(((score - booked - sum) / score).abs() <= tolerance, "{precision}, sample {i}: {target}");
            assert!(((number(&ledger["input"]) - sum) / score).abs() <= tolerance);
        }
    }
}

#[test]
fn the_manifest_tells_what_was_done_with_what() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy", "labels.txt"]);
    let recipe =
        "schema = 1\nname = \"Mine\"\nextends = \"epsilon-plus\"\n[[assign]]\nlayers = \"last\"\nrule = \"zero\"\n";
    folder.write("mine.toml", recipe);
    folder.lrp("explain -m cnn.onnx -r mine.toml -i digits.npy -o out --labels labels.txt").silent();
    let manifest = manifest(&folder, "out");

    assert_eq!(manifest["schema"], 1);
    assert_eq!(manifest["program"]["name"], "lrp");
    assert_eq!(manifest["program"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["model"]["path"], "cnn.onnx");
    assert_eq!(manifest["model"]["sha256"], sha256(&folder.read("cnn.onnx")));
    assert_eq!(manifest["inputs"][0]["path"], "digits.npy");
    assert_eq!(manifest["inputs"][0]["sha256"], sha256(&folder.read("digits.npy")));
    assert_eq!(manifest["inputs"][0]["relevance"], "digits.relevance.npy");
    assert_eq!(manifest["recipe"]["name"], "Mine");
    let sources = manifest["recipe"]["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 2, "the recipe and what it extends");
    assert_eq!(sources[0]["path"], "mine.toml");
    assert_eq!(sources[0]["sha256"], sha256(recipe.as_bytes()));
    let preset = folder.lrp("presets epsilon-plus").silent().to_owned();
    assert_eq!(sources[1]["path"], "preset epsilon-plus");
    assert_eq!(sources[1]["sha256"], sha256(preset.as_bytes()));
    assert_eq!(
        (&manifest["precision"], &manifest["target"], &manifest["start"], &manifest["times_input"]),
        (&"f32".into(), &"\"argmax\"".into(), &"logit".into(), &false.into())
    );
    assert_eq!(targets(&manifest)[3]["label"], "3");
    assert!(manifest.get("failed").is_none());
    for timing in ["prepare", "read", "explain", "write"] {
        assert!(number(&manifest["timings"][timing]) >= 0.0);
    }

    let layers = manifest["layers"].as_array().unwrap();
    let weighted: Vec<(&str, &str)> = layers
        .iter()
        .filter(|layer| !layer["index"].is_null())
        .map(|layer| (layer["rule"].as_str().unwrap(), layer["origin"].as_str().unwrap()))
        .collect();
    let z_plus = ("z-plus { stabilizer = 1e-6 }", "preset epsilon-plus, entry 2");
    let epsilon = ("epsilon { epsilon = 1e-6 }", "preset epsilon-plus, entry 1");
    assert_eq!(weighted, [z_plus, z_plus, z_plus, epsilon, ("zero", "mine.toml:4 (entry 1)")]);
    assert_eq!(layers.len(), 12, "activations and pooling are listed with their fixed behaviour");

    // For a machine: the same manifest on standard output.
    let printed = folder.lrp("explain -m cnn.onnx -r mine.toml -i digits.npy -o again --json").json();
    assert_eq!(printed, self::manifest(&folder, "again"));
}

#[test]
fn zero_relevance_is_white_in_the_heatmap_of_an_image() {
    let folder = Folder::with(&["cnn.onnx", "nine.png"]);
    folder.lrp("explain -m cnn.onnx -r lrp-0 --range 0,1 -i nine.png -o out").silent();
    assert_eq!(folder.list("out"), ["manifest.json", "nine.heatmap.png", "nine.ledger.npy", "nine.relevance.npy"]);
    let relevance = npy::<f32>(&folder, "out/nine.relevance.npy");
    assert_eq!(relevance.shape(), [1, 1, 28, 28]);
    let heatmap = image::open(folder.path("out/nine.heatmap.png")).unwrap().into_rgb8();
    assert_eq!(heatmap.dimensions(), (224, 224));
    let limit = relevance.iter().fold(0.0_f32, |m, r| m.max(r.abs()));
    let mut zeros = 0;
    for (x, y, Rgb([red, green, blue])) in heatmap.enumerate_pixels() {
        let r = relevance[[0, 0, y as usize / 8, x as usize / 8]];
        // Blue: evidence against the class; white: none; red: evidence for it; the strength in between.
        let faded = (255.0 * (1.0 - r.abs() / limit)).round();
        let [strong, weak] = if r < 0.0 { [blue, red] } else { [red, blue] };
        assert!(*strong == 255 && weak == green && (f32::from(*green) - faded).abs() <= 1.0, "({x}, {y})");
        if r == 0.0 {
            zeros += 1;
            assert_eq!([*red, *green, *blue], [255; 3]);
        }
    }
    // Black pixels have no relevance: x · ∂f/∂x.
    let black = image::open(folder.path("nine.png")).unwrap().into_luma8().pixels().filter(|p| p.0 == [0]).count();
    assert!(zeros >= black * 64 && black > 400, "{zeros} of {black}");
}

#[test]
fn folders_globs_archives_and_lists_are_inputs() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    for name in ["9_a.png", "3_b.png", "3_a.png"] {
        std::fs::create_dir_all(folder.path("digits")).unwrap();
        std::fs::copy(repository().join("examples/mnist/digits").join(name), folder.path("digits").join(name)).unwrap();
    }
    folder.write("digits/notes.txt", "no input");
    let inputs = |run: &Run, dir: &str| -> Vec<String> {
        run.silent();
        let manifest = manifest(&folder, dir);
        manifest["inputs"].as_array().unwrap().iter().map(|i| i["path"].as_str().unwrap().to_owned()).collect()
    };
    let all = ["digits/3_a.png", "digits/3_b.png", "digits/9_a.png"];
    assert_eq!(inputs(&folder.lrp(&format!("{EXPLAIN} -i digits -o folder")), "folder"), all);
    assert_eq!(inputs(&folder.lrp(&format!("{EXPLAIN} -i digits/3*.png -o glob")), "glob"), all[..2]);
    let list = format!("{EXPLAIN} -i digits.npy digits/9_a.png -i digits/3_a.png -i digits -o list");
    assert_eq!(inputs(&folder.lrp(&list), "list"), ["digits.npy", all[2], all[0], all[1]]);
    // Explained together or alone, an image gives the same.
    assert_eq!(folder.read("folder/9_a.relevance.npy"), folder.read("list/9_a.relevance.npy"));
    assert_eq!(folder.read("folder/3_b.heatmap.png"), folder.read("glob/3_b.heatmap.png"));

    // The only array of an archive, whatever its name, or the one called x. Integers are numbers, too.
    let digits = npy::<f32>(&folder, "digits.npy");
    let archive = |name: &str, arrays: &[(&str, &ArrayD<f32>)]| {
        let mut archive = NpzWriter::new_compressed(std::fs::File::create(folder.path(name)).unwrap());
        arrays.iter().for_each(|(name, array)| archive.add_array(*name, *array).unwrap());
        archive.finish().unwrap();
    };
    archive("one.npz", &[("anything", &digits)]);
    archive("two.npz", &[("a", &ArrayD::zeros(vec![3])), ("x", &digits)]);
    let expected = folder.read("list/digits.relevance.npy");
    folder.lrp(&format!("{EXPLAIN} -i one.npz two.npz -o list --force")).silent();
    assert_eq!(folder.read("list/one.relevance.npy"), expected);
    assert_eq!(folder.read("list/two.relevance.npy"), expected);
    assert!(!folder.path("list/digits.relevance.npy").exists(), "--force removes results of the run before");

    let bright = digits.mapv(|v| (v * 255.0).round());
    save(&folder, "floats.npy", &bright);
    save(&folder, "bytes.npy", &bright.mapv(|v| v as u8));
    save(&folder, "shorts.npy", &bright.mapv(|v| v as i16));
    save(&folder, "longs.npy", &bright.mapv(|v| v as u64));
    let fortran = ArrayD::from_shape_fn(IxDyn(&[28, 28, 1, 16]), |i| f64::from(bright[[i[3], i[2], i[1], i[0]]]));
    save(&folder, "fortran.npy", &fortran.reversed_axes());
    folder
        .lrp(
            &format!("{EXPLAIN},255 -i floats.npy bytes.npy shorts.npy longs.npy fortran.npy -o types --save npy")
                .replace("0,1,255", "0,255"),
        )
        .silent();
    let expected = folder.read("types/floats.relevance.npy");
    for name in ["bytes", "shorts", "longs", "fortran"] {
        assert!(folder.read(&format!("types/{name}.relevance.npy")) == expected, "{name}");
    }
}

#[test]
fn targets_choose_what_is_explained() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    folder.write("words.txt", "zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n");
    let explain = |target: &str, dir: &str| {
        let flags = "-i digits.npy --labels words.txt --precision f64 --save npy,json";
        let run = folder.lrp(&format!("{EXPLAIN} {flags} --target '{target}' -o {dir}"));
        // Biases are more evidence for some absent classes than the digits are.
        run.warned();
        (npy::<f64>(&folder, &format!("{dir}/digits.relevance.npy")), manifest(&folder, dir))
    };
    let (argmax, _) = explain("argmax", "argmax");
    let (three, numbered) = explain("3", "three");
    let (label, labelled) = explain("three", "label");
    let (all, _) = explain("all", "all");
    let (top, ranked) = explain("{ top = 3 }", "top");
    let (contrast, contrasted) = explain("{ contrast = [0, \"nine\"] }", "contrast");
    assert_eq!(all.shape(), [10, 16, 1, 28, 28]);
    assert_eq!(top.shape(), [3, 16, 1, 28, 28]);
    for alone in [&argmax, &three, &label, &contrast] {
        assert_eq!(alone.shape(), [16, 1, 28, 28]);
    }
    assert_eq!(all.index_axis(Axis(0), 3), three);
    assert_eq!(top.index_axis(Axis(0), 0), argmax);
    assert_eq!(three, label);
    assert_eq!(all.index_axis(Axis(0), 0).index_axis(Axis(0), 0), argmax.index_axis(Axis(0), 0), "a zero");

    assert_eq!((&numbered["target"], &labelled["target"]), (&"3".into(), &"\"three\"".into()));
    assert!(targets(&numbered).iter().all(|t| t["class"] == 3 && t["label"] == "three"));
    let ranks = ranked["inputs"][0]["samples"][0]["targets"].as_array().unwrap().clone();
    assert!(ranks.len() == 3 && ranks.windows(2).all(|pair| number(&pair[0]["score"]) >= number(&pair[1]["score"])));

    // A contrast starts with the difference of two logits, and its ledger balances.
    let scores = |class: usize| number(&manifest(&folder, "all")["inputs"][0]["samples"][4]["targets"][class]["score"]);
    let record = &targets(&contrasted)[4];
    assert_eq!((&record["class"], &record["against"], &record["label"]), (&0.into(), &9.into(), &"zero".into()));
    let start = number(&record["ledger"]["start"]);
    assert!((start - (scores(0) - scores(9))).abs() < 1e-12, "{record}");
    let booked: f64 = ["bias", "stabilizer", "rule"].iter().map(|key| number(&record["ledger"][key])).sum();
    assert!((contrast.index_axis(Axis(0), 4).sum() - (start - booked)).abs() < 1e-11, "{record}");

    // Heatmaps of several targets are told apart by their names.
    folder.lrp("explain -m cnn.onnx -r lrp-0 -i digits.npy --target '{ top = 2 }' --save png -o png").warned();
    assert_eq!(folder.list("png").len(), 32);
    assert!(folder.path("png/digits.15.top-2.heatmap.png").is_file());
    folder.lrp("explain -m cnn.onnx -r lrp-0 -i digits.npy --target all --save png -o classes").warned();
    assert_eq!(folder.list("classes").len(), 160);
    assert!(folder.path("classes/digits.0.class-9.heatmap.png").is_file());
}

#[test]
fn start_one_divides_by_the_logit() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    for start in ["logit", "one"] {
        folder.lrp(&format!("{EXPLAIN} -i digits.npy --precision f64 --start {start} -o {start}")).silent();
    }
    let (logit, mut one) =
        (npy::<f64>(&folder, "logit/digits.relevance.npy"), npy(&folder, "one/digits.relevance.npy"));
    for (mut sample, target) in one.outer_iter_mut().zip(targets(&manifest(&folder, "one"))) {
        assert_eq!(number(&target["ledger"]["start"]), 1.0);
        sample *= number(&target["score"]);
    }
    assert!(difference(&one, &logit) < 1e-14);
    assert_eq!(manifest(&folder, "one")["start"], "one");
}

#[test]
fn save_writes_what_is_asked_for_and_nothing_else() {
    let folder = Folder::with(&["cnn.onnx", "nine.png"]);
    let cases: [(&str, &[&str]); 7] = [
        ("npy", &["nine.ledger.npy", "nine.relevance.npy"]),
        ("png", &["nine.heatmap.png"]),
        ("json", &["manifest.json"]),
        ("svg", &["nine.heatmap.svg"]),
        ("svg,png", &["nine.heatmap.png", "nine.heatmap.svg"]),
        ("npy,json", &["manifest.json", "nine.ledger.npy", "nine.relevance.npy"]),
        ("png,npy", &["nine.heatmap.png", "nine.ledger.npy", "nine.relevance.npy"]),
    ];
    for (i, (save, files)) in cases.iter().enumerate() {
        folder.lrp(&format!("{EXPLAIN} -i nine.png -o deep/{i} --save {save}")).silent();
        assert_eq!(&folder.list(&format!("deep/{i}")), files, "--save {save}");
    }
    let record = &manifest(&folder, "deep/2")["inputs"][0];
    assert!(record.get("relevance").is_none() && record["samples"][0]["targets"][0].get("heatmap").is_none());
    // Another colour map, another picture.
    folder.lrp(&format!("{EXPLAIN} -i nine.png -o gray --save png --colormap gray")).silent();
    assert_ne!(folder.read("gray/nine.heatmap.png"), folder.read("deep/1/nine.heatmap.png"));
}

#[test]
fn threads_and_batches_change_no_bit() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy", "nine.png"]);
    let flags = ["--threads 1", "--threads 2", "--batch 1", "--batch 3", "--batch 32", "--threads 2 --batch 5"];
    for (i, flags) in flags.iter().enumerate() {
        let explain = "explain -m cnn.onnx -r epsilon-alpha2-beta1-flat --range 0,1 -i nine.png digits.npy --save npy";
        folder.lrp(&format!("{explain} {flags} -o {i}")).silent();
        for name in ["digits.relevance.npy", "nine.relevance.npy"] {
            assert!(folder.read(&format!("{i}/{name}")) == folder.read(&format!("0/{name}")), "{flags}: {name}");
        }
    }
}

#[test]
fn images_of_another_size_are_resized_as_the_recipe_or_a_flag_says() {
    let folder = Folder::with(&["cnn.onnx"]);
    image::RgbImage::from_fn(40, 30, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, 99]))
        .save(folder.path("wide.jpg"))
        .unwrap();
    for resize in ["crop", "stretch"] {
        folder.lrp(&format!("{EXPLAIN} -i wide.jpg -o {resize} --resize {resize} --channels grey")).silent();
        assert_eq!(npy::<f32>(&folder, &format!("{resize}/wide.relevance.npy")).shape(), [1, 1, 28, 28]);
    }
    let relevance = |dir: &str| folder.read(&format!("{dir}/wide.relevance.npy"));
    assert_ne!(relevance("crop"), relevance("stretch"));
    folder.write(
        "r.toml",
        "schema = 1\nextends = \"lrp-epsilon\"\n[input]\nresize = \"crop\"\nrange = [0.0, 1.0]\nchannels = \"grey\"\n",
    );
    folder.lrp("explain -m cnn.onnx -r r.toml -i wide.jpg -o recipe").silent();
    assert_eq!(relevance("recipe"), relevance("crop"));
    folder.lrp("explain -m cnn.onnx -r r.toml -i wide.jpg -o flag --resize stretch").silent();
    assert_eq!(relevance("flag"), relevance("stretch"));
}

#[test]
fn one_broken_input_does_not_stop_the_others() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy", "nine.png"]);
    folder.write("broken.png", "this is no picture");
    let run = folder.lrp(&format!("{EXPLAIN} -i digits.npy broken.png nine.png -o out"));
    assert_eq!(run.code, Some(2));
    assert_eq!(run.stdout.lines().last(), Some("17 samples explained into out"));
    insta::assert_snapshot!("one-broken-input", run.stderr);
    assert!(folder.path("out/digits.relevance.npy").is_file() && folder.path("out/nine.heatmap.png").is_file());
    assert!(!folder.path("out/broken.relevance.npy").exists());
    let manifest = manifest(&folder, "out");
    assert_eq!(manifest["inputs"].as_array().unwrap().len(), 2);
    assert_eq!(manifest["failed"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["failed"][0]["path"], "broken.png");
    assert!(manifest["failed"][0]["reason"].as_str().unwrap().contains("cannot read the image 'broken.png'"));
    // Without a manifest, no word of one.
    let run = folder.lrp(&format!("{EXPLAIN} -i broken.png nine.png -o out --save npy"));
    assert!(run.code == Some(2) && !run.stderr.contains("manifest"), "{run}");
}

#[test]
fn the_logits_before_a_softmax_are_explained_and_it_is_said_so() {
    let folder = Folder::new();
    let model = repository().join("tests/references/ops/softmax-end.onnx");
    std::fs::copy(model, folder.path("softmax.onnx")).unwrap();
    save(&folder, "x.npy", &ArrayD::from_shape_fn(vec![2, 5], |i| (i[0] + i[1]) as f32 - 2.5));
    let run = folder.lrp("explain -m softmax.onnx -r lrp-0 -i x.npy -o out");
    run.ok();
    let cut = "note: the model ends in Softmax ('/softmax1'); the logits before it are explained\n";
    // What is no picture is drawn as a strip, and it is said so.
    let strip = "note: samples have the shape [5], without height and width: a heatmap is a strip with one cell for each number\n";
    assert_eq!(run.stderr, format!("{cut}{strip}"));
    assert_eq!(folder.list("out").len(), 5, "a heatmap of each sample, two arrays and the manifest");
    let manifest = manifest(&folder, "out");
    assert!(words(&manifest["notes"])[0].contains("the logits before it are explained"));
    assert!(targets(&manifest).iter().any(|t| !(0.0..=1.0).contains(&number(&t["score"]))), "no probabilities");
}

#[test]
fn stats_show_where_time_and_memory_went() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    let explain = format!("{EXPLAIN} -i digits.npy -o out --save json --batch 4");
    let run = folder.lrp(&format!("{explain} --stats"));
    let table = run.silent().split_once("16 samples explained into out\n").unwrap().1;
    let heading = table.lines().nth(1).unwrap();
    for column in ["index", "name", "operator", "rule", "forward ms", "relevance ms", "share", "kept"] {
        assert!(heading.contains(column), "{run}");
    }
    assert_eq!(table.lines().count(), 12 + 5, "12 operators, the heading and the total: {run}");
    assert!(table.contains("times are per sample, of 16 samples; kept is for one batch"), "{run}");

    let printed = folder.lrp(&format!("{explain} --stats --json")).json();
    assert_eq!(printed, manifest(&folder, "out"));
    let layers = printed["stats"]["layers"].as_array().unwrap();
    assert_eq!((&printed["stats"]["samples"], layers.len()), (&16.into(), 12));
    let sum = |key: &str| layers.iter().map(|layer| number(&layer[key])).sum::<f64>();
    assert!((sum("share") - 1.0).abs() < 1e-9 && sum("forward_ms") > 0.0 && sum("relevance_ms") > 0.0, "{printed}");
    // What the ReLU leaves is what the layers on both sides of it read: 16 maps of 28×28, for each sample of a batch of 4.
    for (layer, (name, maps)) in layers.iter().zip([("/conv1/Conv", 0), ("/relu1/Relu", 16)]) {
        assert_eq!((&layer["name"], &layer["kept_bytes"]), (&name.into(), &(4 * 4 * maps * 28 * 28).into()));
    }
    // Without the flag, no word of it.
    assert!(folder.lrp(&format!("{explain} --json")).json().get("stats").is_none());
}

/// A rule that is written in the recipe: read, checked, printed and verified like any other.
#[test]
fn gains_in_a_recipe() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    let by_size = repository().join("configs/by-size.toml");
    let plan = folder.lrp(&format!("plan -m cnn.onnx -r '{}'", by_size.display()));
    let printed = "gains { branches = [{ positive = 1.0, negative = -1.0 }], stabilizer = 1e-6 }";
    assert_eq!(plan.ok().matches(printed).count(), 4, "{plan}");
    let check = folder.lrp(&format!("check -m cnn.onnx -r '{}' -i digits.npy", by_size.display()));
    check.ok();
    // As it is printed, it can be written again.
    folder.write(
        "again.toml",
        format!("schema = 1\n[[assign]]\nrule = {{ type = \"gains\", {}", &printed["gains { ".len()..]),
    );
    assert!(folder.lrp("plan -m cnn.onnx -r again.toml").ok().contains(printed));
    for (rule, text) in [
        ("\"gains\"", "the key 'branches' is missing"),
        ("{ type = \"gains\", branches = [] }", "there must be a branch"),
        ("{ type = \"gains\", branches = [{ positive = 1 }] }", "the key 'negative' is missing"),
        ("{ type = \"gains\", branches = [{ positive = 0, negative = 0 }] }", "a branch needs a gain that is not 0"),
        ("{ type = \"gains\", branches = [{ positive = 1, negative = 1, output = \"all\" }] }", "unknown key 'output'"),
    ] {
        folder.write("wrong.toml", format!("schema = 1\n[[assign]]\nrule = {rule}\n"));
        let run = folder.lrp("plan -m cnn.onnx -r wrong.toml");
        assert_eq!(run.code, Some(2), "{run}");
        assert!(run.stderr.contains(text) && run.stderr.contains("wrong.toml"), "{run}");
    }
}

// ---- run and compare ----

#[test]
fn an_experiment_runs_from_anywhere_and_flags_override_it() {
    let folder = Folder::new();
    let experiment = repository().join("configs/mnist.toml");
    folder.lrp(&format!("run '{}' -o results", experiment.display())).silent();
    assert_eq!(folder.list("results").len(), 61, "20 digits, a heatmap and two arrays for each, and the manifest");
    let whole = manifest(&folder, "results");
    assert_eq!(whole["recipe"]["name"], "MNIST digits");
    let classes = whole["inputs"].as_array().unwrap().iter().map(|i| i["samples"][0]["targets"][0]["class"].as_u64());
    assert_eq!(classes.map(Option::unwrap).collect::<Vec<_>>(), (0..20).map(|i| i / 2).collect::<Vec<_>>());

    let flags = "--target 3 --start one --precision f64 --save json --batch 7 --threads 1 --json";
    // Biases are more evidence for some absent classes than the digits are.
    let printed = folder.lrp(&format!("run '{}' -o flags {flags}", experiment.display()));
    let printed: serde_json::Value = serde_json::from_str(printed.warned()).unwrap();
    assert_eq!(folder.list("flags"), ["manifest.json"]);
    assert_eq!(printed, manifest(&folder, "flags"));
    assert_eq!(
        (&printed["target"], &printed["start"], &printed["precision"]),
        (&"3".into(), &"one".into(), &"f64".into())
    );
}

#[test]
fn paths_in_a_recipe_are_relative_to_its_folder() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy", "labels.txt"]);
    folder.write("deep/base.toml", "schema = 1\nextends = \"lrp-epsilon\"\n[input]\nrange = [0.0, 1.0]\n");
    let experiment = "schema = 1\nextends = \"base.toml\"\n[[assign]]\nlayers = \"first\"\nrule = \"z-box\"\n\
        [model]\npath = \"../cnn.onnx\"\nlabels = \"../labels.txt\"\n\
        [explain]\ninputs = [\"../*.npy\"]\ntarget = \"9\"\nprecision = \"f64\"\n\
        [output]\ndir = \"results\"\nsave = [\"npy\"]\n";
    folder.write("deep/experiment.toml", experiment);
    folder.write("elsewhere/nothing.txt", "");
    let mut command = folder.command("run ../deep/experiment.toml");
    let output = command.current_dir(folder.path("elsewhere")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(folder.list("deep/results"), ["digits.ledger.npy", "digits.relevance.npy"]);
    assert_eq!(npy::<f64>(&folder, "deep/results/digits.relevance.npy").shape(), [16, 1, 28, 28]);
    assert_eq!(folder.list("elsewhere"), ["nothing.txt"]);
    // A recipe that names the model and the inputs serves the other commands as well; -o is relative to where we are.
    let rules = folder.lrp("plan -r deep/experiment.toml --json").json();
    assert_eq!(rules["layers"][0]["origin"], "deep/experiment.toml:3 (entry 1)");
    folder.lrp("explain -r deep/experiment.toml -o here").silent();
    assert_eq!(folder.list("here"), ["digits.ledger.npy", "digits.relevance.npy"]);
}

#[test]
fn figures_are_drawn() {
    let folder = Folder::with(&["clever-hans.onnx", "nine.png", "nine_with_patch.png", "labels.txt"]);
    let seed = repository().join("configs/seed-figure.toml");
    let run = folder.lrp(&format!("run '{}' -o figures", seed.display()));
    assert_eq!(folder.list("figures"), ["nine-with-patch.png"]);
    let seed = image::open(folder.path("figures/nine-with-patch.png")).unwrap().into_rgb8();
    // The input and six recipes, each at least 160 pixels wide, in one row.
    assert!((7 * 160..3000).contains(&seed.width()) && (200..800).contains(&seed.height()), "{:?}", seed.dimensions());
    assert!(seed.pixels().any(|p| p.0 == [255, 0, 0]) && seed.pixels().any(|p| p.0 == [0, 0, 255]));
    let size = format!("figures/nine-with-patch.png ({}×{} pixels)\n", seed.width(), seed.height());
    assert_eq!(run.silent(), size);

    let compare = "compare -m clever-hans.onnx --range 0,1 -r lrp-0 -r lrp-gamma -i nine.png nine_with_patch.png";
    folder.lrp(&format!("{compare} -o figure.png")).silent();
    let plain = image::open(folder.path("figure.png")).unwrap().into_rgb8();
    assert!(plain.width() >= 3 * 160 && plain.height() > 2 * 160, "{:?}", plain.dimensions());
    let titles = "--title 'the first of two recipes' --title B --labels labels.txt --target 9";
    folder.lrp(&format!("{compare} {titles} -o new/folder/titled.png")).silent();
    let titled = image::open(folder.path("new/folder/titled.png")).unwrap().into_rgb8();
    assert!(titled.width() > plain.width() && titled.height() == plain.height());
}

// ---- what the model and the recipes are ----

#[test]
fn layers_are_listed_for_people_and_machines() {
    let folder = Folder::with(&["cnn.onnx"]);
    insta::assert_snapshot!("layers", folder.lrp("layers -m cnn.onnx").silent());
    assert!(folder.lrp("layers -m cnn.onnx --passes").silent().contains("\nfold-batch-norm: nothing to do\n"));
    let model = folder.lrp("layers -m cnn.onnx --json").json();
    assert_eq!(
        (&model["parameters"], &model["opset"], &model["path"]),
        (&108_186.into(), &17.into(), &"cnn.onnx".into())
    );
    let nodes = model["nodes"].as_array().unwrap();
    assert_eq!((&nodes[0]["op"], &nodes[0]["index"]), (&"input".into(), &Value::Null));
    assert_eq!(nodes[1]["shape"], serde_json::json!([16, 28, 28]));
    assert_eq!(words(&nodes[2]["inputs"]), ["/conv1/Conv"]);
    assert_eq!(nodes.last().unwrap()["index"], 4);
    assert_eq!(nodes.last().unwrap()["parameters"], 650);
    assert_eq!(model["output"], nodes.last().unwrap()["name"]);
}

#[test]
fn a_plan_shows_which_entry_decided() {
    let folder = Folder::with(&["cnn.onnx"]);
    folder.write(
        "mine.toml",
        "schema = 1\nname = \"Mine\"\nextends = \"epsilon-plus\"\n\n[[assign]]\nnames = \"/fc2/*\"\nrule = \"zero\"\n\n\
         [[assign]]\nlayers = \"first\"\nrule = \"flat\"\n",
    );
    insta::assert_snapshot!("plan", folder.lrp("plan -m cnn.onnx -r mine.toml").silent());
    insta::assert_snapshot!("plan-all", folder.lrp("plan -m cnn.onnx -r mine.toml --all").silent());
    let plan = folder.lrp("plan -m cnn.onnx -r mine.toml --json").json();
    let origin = |name: &str| {
        let layer = plan["layers"].as_array().unwrap().iter().find(|layer| layer["name"] == name).unwrap();
        layer["origin"].as_str().map(str::to_owned)
    };
    assert_eq!(origin("/conv1/Conv").as_deref(), Some("mine.toml:9 (entry 2)"));
    assert_eq!(origin("/conv2/Conv").as_deref(), Some("preset epsilon-plus, entry 2"));
    assert_eq!(origin("/fc1/Gemm").as_deref(), Some("preset epsilon-plus, entry 1"));
    assert_eq!(origin("/fc2/Gemm").as_deref(), Some("mine.toml:5 (entry 1)"));
    assert_eq!(origin("/relu1/Relu"), None);
}

#[test]
fn rules_and_presets_are_listed() {
    let folder = Folder::new();
    let rules = folder.lrp("rules --json").json();
    let table = folder.lrp("rules").silent().to_owned();
    assert_eq!(rules.as_array().unwrap().len(), lrp_config::rules().len());
    for rule in rules.as_array().unwrap() {
        let name = rule["name"].as_str().unwrap();
        assert!(table.lines().any(|line| line == name), "{name}");
        assert!(!rule["summary"].as_str().unwrap().is_empty() && rule["source"].is_string());
        for parameter in rule["parameters"].as_array().unwrap() {
            assert!(["name", "default", "doc"].iter().all(|key| parameter[key].is_string()), "{parameter}");
            assert!(table.contains(parameter["doc"].as_str().unwrap()));
        }
    }
    let presets = folder.lrp("presets --json").json();
    let table = folder.lrp("presets").silent().to_owned();
    assert_eq!(presets.as_array().unwrap().len(), 18);
    for preset in presets.as_array().unwrap() {
        let name = preset["name"].as_str().unwrap();
        assert!(table.contains(preset["description"].as_str().unwrap()));
        assert_eq!(folder.lrp(&format!("presets {}", name.replace('-', "_"))).silent(), preset["recipe"]);
        assert_eq!(folder.lrp(&format!("presets {name} --json")).json(), Value::Array(vec![preset.clone()]));
    }
}

#[test]
fn the_ledger_of_every_preset_balances() {
    let folder = Folder::with(&["cnn.onnx", "clever-hans.onnx", "digits.npy"]);
    for model in NETWORKS {
        for preset in lrp_config::presets() {
            // z-box takes its bounds from [input].
            folder.write("r.toml", format!("schema = 1\nextends = \"{}\"\n[input]\nrange = [0.0, 1.0]\n", preset.name));
            for precision in ["f32", "f64"] {
                let check = format!("check -m {model} -r r.toml -i digits.npy --precision {precision} --json");
                let report = folder.lrp(&check).json();
                assert_eq!(report["samples"], 16);
                let invariants = report["invariants"].as_array().unwrap();
                assert!(invariants.len() == 7 && invariants.iter().all(|i| i["holds"] != false), "{report}");
                assert!(number(&report["totals"]["imbalance"]) <= number(&report["tolerance"]));
                // Each row by itself, from what it says.
                for row in report["books"].as_array().unwrap() {
                    let keys = ["handed_on", "bias", "stabilizer", "rule_share"];
                    let booked: f64 = keys.iter().map(|key| number(&row[key])).sum();
                    let moved: f64 = keys.iter().map(|key| number(&row[key]).abs()).sum();
                    let tolerance =
                        number(&report["tolerance"]) * moved.max(1.0) * number(&row["amplification"]).max(1.0);
                    assert!((number(&row["received"]) - booked).abs() <= tolerance, "{model} {}: {row}", preset.name);
                }
            }
        }
    }
}

#[test]
fn a_check_tests_what_should_hold_for_the_recipe() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy", "nine.png"]);
    let run = folder.lrp("check -m cnn.onnx -r lrp-0 --range 0,1 -i nine.png digits.npy");
    let text = run.silent();
    assert!(text.lines().next().unwrap().starts_with("layer") && text.contains("\ntotal "), "{run}");
    assert!(text.contains("17 samples, summed, f32"), "{run}");
    let holds = text.lines().filter(|line| line.starts_with("ok    ")).count();
    assert!(holds == 7 && !text.contains("FAIL"), "{run}");
    for (recipe, says_nothing) in [("lrp-gamma", false), ("guided-backprop", true)] {
        let run = folder.lrp(&format!("check -m cnn.onnx -r {recipe} --range 0,1 -i nine.png --start one"));
        assert!(run.silent().contains("ok    LRP-0 would be gradient × input"), "{run}");
        assert_eq!(run.stdout.contains("n/a   relevance is linear in the start: 'guided-backprop' on"), says_nothing);
    }
}

#[test]
fn a_check_says_where_relevance_is_lost_and_where_it_grows() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    let report = folder.lrp("check -m cnn.onnx -r lrp-epsilon -i digits.npy --json").json();
    let losses = report["losses"].as_array().unwrap();
    let amounts: Vec<f64> = losses.iter().map(|loss| number(&loss["amount"]).abs()).collect();
    assert!(amounts.is_sorted_by(|a, b| a >= b) && losses[0]["to"] == "bias", "{report}");
    // The list and the ledger have the same relevance; losses below a millionth are omitted.
    let listed: f64 = losses.iter().map(|loss| number(&loss["amount"])).sum();
    let totals = &report["totals"];
    let booked: f64 = ["bias", "stabilizer", "rule_share"].iter().map(|account| number(&totals[account])).sum();
    assert!((listed - booked).abs() < 1e-4 * number(&totals["received"]).abs(), "{listed} and {booked}");
    // Every layer has its error of single precision.
    for row in report["books"].as_array().unwrap() {
        assert!((0.0..1e-5).contains(&number(&row["f32_error"])), "{row}");
    }
    // A stabilizer that absorbs everything; the zero denominators of LRP-0.
    folder.write("all.toml", "schema = 1\n[[assign]]\nrule = { type = \"epsilon\", epsilon = 1e3 }\n");
    let run = folder.lrp("check -m cnn.onnx -r all.toml -i digits.npy --precision f64");
    assert!(run.silent().contains("\nlost  ") && run.stdout.contains(" at /fc2/Gemm to stabilizer ("), "{run}");
    folder.write("gradient.toml", "schema = 1\n[[assign]]\nrule = \"gradient\"\n");
    let run = folder.lrp("check -m cnn.onnx -r gradient.toml -i digits.npy --precision f64");
    assert!(run.silent().contains(" by rule (-"), "{run}");
}

#[test]
fn what_deserves_a_look_is_a_warning_and_no_mistake() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    let entries =
        "[[assign]]\nlayers = \"first\"\nrule = \"flat\"\n\n[[assign]]\nrule = { type = \"epsilon\", epsilon = 1e3 }\n";
    folder.write("warned.toml", format!("schema = 1\n\n{entries}"));
    // The entry for all layers comes last, and overrides the other one.
    let plan = "plan -m cnn.onnx -r warned.toml";
    let run = folder.lrp(plan);
    run.ok();
    insta::assert_snapshot!("warnings-plan", run.to_string());
    assert_eq!(folder.lrp(&format!("{plan} --deny-warnings")).code, Some(1));
    let warnings = folder.lrp(&format!("{plan} --json")).json()["warnings"].clone();
    assert_eq!(warnings.as_array().unwrap().len(), 1);
    let warning = &warnings[0];
    assert_eq!((&warning["severity"], &warning["name"]), (&"warning".into(), &"entry-overridden".into()));
    assert_eq!((&warning["file"], &warning["line"], &warning["column"]), (&"warned.toml".into(), &3.into(), &1.into()));

    // The ledger shows what the recipe alone does not: this ε absorbs everything.
    let check = "check -m cnn.onnx -r warned.toml -i digits.npy --precision f64";
    let run = folder.lrp(check);
    let lines: Vec<&str> = run.silent().lines().filter(|line| line.starts_with("warn  ")).collect();
    assert!(lines[0].starts_with("warn  warned.toml:3: entry 1 decides nothing here"), "{run}");
    assert!(lines[1].starts_with("warn  warned.toml:8: the stabilizer of '/fc2/Gemm' absorbs 9"), "{run}");
    assert_eq!(folder.lrp(&format!("{check} --deny-warnings")).code, Some(1));
    let warnings = folder.lrp(&format!("{check} --json")).json()["warnings"].clone();
    let names = warnings.as_array().unwrap().iter().map(|warning| warning["name"].as_str().unwrap());
    assert_eq!(names.filter(|name| *name == "stabilizer-swallows").count(), 5);

    // Nothing to warn of, nothing denied.
    let montavon = repository().join("configs/montavon-composite.toml");
    folder.lrp(&format!("plan -m cnn.onnx -r '{}' --deny-warnings", montavon.display())).silent();
    let check = format!("check -m cnn.onnx -r '{}' -i digits.npy --deny-warnings --json", montavon.display());
    assert_eq!(folder.lrp(&check).json()["warnings"], serde_json::json!([]));
}

#[test]
fn limits_make_a_check_a_gate() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    let check = "check -m cnn.onnx -r epsilon-plus -i digits.npy --fail-above";
    let run = folder.lrp(&format!("{check} absorbed=1,amplification=100,f32-error=1e-4"));
    assert_eq!(run.ok().lines().filter(|line| line.starts_with("ok  ") && line.contains(" ≤ ")).count(), 3, "{run}");
    for limit in ["absorbed=0.0001", "amplification=0.5", "f32-error=1e-12", "imbalance=0", "bias=0"] {
        let run = folder.lrp(&format!("{check} {limit}"));
        assert_eq!(run.code, Some(1), "{run}");
        assert_eq!(run.stdout.lines().filter(|line| line.starts_with("FAIL")).count(), 1, "{run}");
        let json: Value = serde_json::from_str(&folder.lrp(&format!("{check} {limit} --json")).stdout).unwrap();
        assert_eq!(json["gates"][0]["holds"], false);
    }
    snapshot(&folder, "check-unknown-limit", &format!("{check} sparsity=1"));
}

/// Five layers with ε = 1e10 each divide relevance by some 1e50. Single precision ends at 1e-45: what is left is lost in
/// rounding, and recorded nowhere. In double precision the same ledger balances.
#[test]
fn a_ledger_that_does_not_balance_is_exit_code_1() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    folder.write("vanish.toml", "schema = 1\n[[assign]]\nrule = { type = \"epsilon\", epsilon = 1e10 }\n");
    let check = "check -m cnn.onnx -r vanish.toml -i digits.npy";
    let run = folder.lrp(check);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""), "{run}");
    assert!(run.stdout.contains("FAIL  the ledger balances: worst "), "{run}");
    folder.lrp(&format!("{check} --precision f64")).silent();

    let json = folder.lrp(&format!("{check} --json"));
    assert_eq!(json.code, Some(1));
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["invariants"][0]["holds"], false);
}

#[test]
fn help_and_version_are_results() {
    let folder = Folder::new();
    assert!(folder.lrp("--version").silent().starts_with("lrp "));
    let help = folder.lrp("--help");
    for command in ["run", "explain", "layers", "plan", "check", "compare", "rules", "presets", "schema"] {
        assert!(help.silent().contains(&format!("\n  {command} ")), "{help}");
        assert!(folder.lrp(&format!("{command} --help")).silent().contains("Usage: lrp"));
    }
    assert!(help.silent().contains("Exit codes: 0 done, 1"), "{help}");
    assert_eq!(folder.lrp("").code, Some(2));
}

/// `lrp … | head -1`: a reader that has seen enough is no reason to fail, and nothing is lost.
#[test]
fn a_reader_may_go_away() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    for arguments in [&format!("{EXPLAIN} -i digits.npy -o out --save json"), "rules", "presets --json"] {
        let mut child = folder.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{arguments}");
    }
    assert_eq!(folder.list("out"), ["manifest.json"]);
}

// ---- mistakes ----

/// What is printed, next to what was typed. Exit code 2, nothing on standard output, no file written.
fn snapshot(folder: &Folder, name: &str, arguments: &str) {
    let run = folder.lrp(arguments);
    run.complaint();
    assert!(folder.list("out").is_empty(), "something was written: {run}");
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!(name, run.to_string());
    });
}

#[test]
fn mistakes_in_recipes() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    let assign = |entries: &str| format!("schema = 1\n\n[[assign]]\nrule = \"epsilon\"\n\n{entries}");
    let cases = [
        ("unknown-key", assign("[[assign]]\nlayer = \"first\"\nrule = \"flat\"\n")),
        ("unknown-parameter", assign("[[assign]]\nrule = { type = \"gamma\", gama = 0.5 }\n")),
        ("misspelt-rule", assign("[[assign]]\nlayers = \"first\"\nrule = \"gama\"\n")),
        ("range-beyond-the-model", assign("[[assign]]\nlayers = \"3..=7\"\nrule = \"zero\"\n")),
        ("alpha-minus-beta", assign("[[assign]]\nrule = { type = \"alpha-beta\", alpha = 2.0, beta = 0.5 }\n")),
        ("z-box-without-bounds", assign("[[assign]]\nlayers = \"first\"\nrule = \"z-box\"\n")),
        ("entry-matches-nothing", assign("[[assign]]\nnames = \"classifier.*\"\nrule = \"zero\"\n")),
        ("uncovered-layers", "schema = 1\n\n[[assign]]\nops = \"dense\"\nrule = \"zero\"\n".to_owned()),
        ("unknown-operator-kind", assign("[[assign]]\nops = \"convolution\"\nrule = \"zero\"\n")),
        ("wrong-type", assign("[[assign]]\nrule = { type = \"gamma\", gamma = \"much\" }\n")),
        ("not-toml", assign("[[assign]\nrule = \"zero\"\n")),
        ("no-schema", "[[assign]]\nrule = \"zero\"\n".to_owned()),
        ("extends-nothing", "schema = 1\nextends = \"epsilon-pluss\"\n".to_owned()),
        (
            "several-mistakes",
            assign("[[assign]]\nrule = \"gama\"\n\n[[assign]]\nlayer = 3\nrule = \"zero\"\n\n[outptu]\n"),
        ),
    ];
    for (name, recipe) in cases {
        folder.write("recipe.toml", recipe);
        snapshot(&folder, &format!("recipe-{name}"), "explain -m cnn.onnx -r recipe.toml -i digits.npy -o out");
    }
    // However many mistakes there are, they stay on one screen.
    folder.write("recipe.toml", assign(&"[[assign]]\nrule = \"gama\"\n".repeat(100)));
    let run = folder.lrp("plan -m cnn.onnx -r recipe.toml");
    run.complaint();
    assert!(run.stderr.ends_with("and 97 more\n"), "{run}");
    snapshot(&folder, "recipe-unknown-preset", "plan -m cnn.onnx -r epsilon-pluss");
    snapshot(&folder, "recipe-missing", "plan -m cnn.onnx -r recipes/none.toml");
    snapshot(&folder, "recipe-preset-needs-input", "plan -m cnn.onnx -r epsilon-gamma-box");
    snapshot(&folder, "presets-unknown", "presets lrp_epsilom");
    snapshot(&folder, "run-missing", "run none.toml");
    folder.write("recipe.toml", assign(""));
    snapshot(&folder, "run-no-experiment", "run recipe.toml");
}

/// A head that takes the logarithm of a sum of exponentials: nobody has said what relevance does there.
fn exponential_head() -> Folder {
    let folder = Folder::new();
    let model = Onnx::default()
        .weights(
            "w",
            &[5, 3],
            &[0.5, -0.25, 0.25, 0.5, 0.125, -0.5, 0.25, 0.75, -0.125, 0.5, -0.5, 0.25, 0.5, 0.25, -0.75],
        )
        .weights("v", &[1, 2], &[0.5, -1.0])
        .node("MatMul", &["x", "w"], "hidden")
        .node("Exp", &["hidden"], "exponentials")
        .node_with("ReduceLogSumExp", &["exponentials"], "pooled", &[("axes", &[1])])
        .node("MatMul", &["pooled", "v"], "y")
        .model(("x", &[1, 5]), ("y", &[1, 2]));
    folder.write("head.onnx", model);
    save(&folder, "x.npy", &Tensor::<f32>::from_shape_fn(vec![3, 5], |i| ((i[0] * 5 + i[1]) % 7) as f32 - 2.5));
    folder
}

#[test]
fn operators_without_a_relevance_behaviour_are_named_and_refused() {
    let folder = exponential_head();
    let first_only = "schema = 1\n[[assign]]\nlayers = \"first\"\nrule = \"zero\"\n";
    folder.write("first.toml", first_only);
    folder.write("own.toml", format!("{first_only}[[assign]]\nlayers = \"last\"\nrule = \"zero\"\n[[assign]]\nops = \"undefined\"\nrule = \"gradient\"\n"));
    // The plan shows all there is, and then what is missing: layers and operators at once.
    let plan = folder.lrp("plan -m head.onnx -r first.toml");
    assert_eq!(plan.code, Some(2));
    insta::assert_snapshot!("unknown-plan", plan.to_string());
    snapshot(&folder, "unknown-explain", "explain -m head.onnx -r first.toml -i x.npy -o out");
    assert!(folder.list("out").is_empty());
    snapshot(&folder, "unknown-pass", "explain -m head.onnx -r lrp-0 -i x.npy -o out --on-unknown pass");
    // The ways past: a flag, or an entry.
    let plan = folder.lrp("plan -m head.onnx -r first.toml --on-unknown gradient --json").json();
    let by_flag = plan["layers"].as_array().unwrap().iter().filter(|l| l["origin"] == "--on-unknown gradient");
    let kinds: Vec<&str> = by_flag.map(|layer| layer["op"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["exp", "log-sum-exp", "dense"]);
    for recipe in ["first.toml --on-unknown gradient", "own.toml"] {
        folder.lrp(&format!("check -m head.onnx -i x.npy --precision f64 -r {recipe}")).ok();
        folder.lrp(&format!("explain -m head.onnx -i x.npy -o out -r {recipe}")).ok();
    }
}

#[test]
fn mistakes_in_models() {
    let folder = Folder::with(&["cnn.onnx", "nine.png"]);
    let model = folder.read("cnn.onnx");
    folder.write("truncated.onnx", &model[..200_000]);
    folder.write("empty.onnx", "");
    // NodeProto.op_type is field 4, a string; the names of nodes stay.
    let (known, unknown) = (b"\x22\x04Gemm", b"\x22\x04Gimm");
    let mut patched = model.clone();
    let places: Vec<usize> = (0..model.len() - 6).filter(|&i| &model[i..i + 6] == known).collect();
    assert_eq!(places.len(), 2);
    places.iter().for_each(|&i| patched[i..i + 6].copy_from_slice(unknown));
    folder.write("unknown.onnx", patched);
    std::fs::create_dir(folder.path("folder.onnx")).unwrap();
    let explain = |model: &str| format!("explain -m {model} -r lrp-epsilon --range 0,1 -i nine.png -o out");
    snapshot(&folder, "model-truncated", &explain("truncated.onnx"));
    snapshot(&folder, "model-empty", &explain("empty.onnx"));
    snapshot(&folder, "model-is-an-image", &explain("nine.png"));
    snapshot(&folder, "model-unknown-operator", &explain("unknown.onnx"));
    snapshot(&folder, "model-missing", &explain("missing.onnx"));
    snapshot(&folder, "model-is-a-folder", &explain("folder.onnx"));
    snapshot(&folder, "model-none", "explain -r lrp-epsilon -i nine.png -o out");
    snapshot(&folder, "model-wrong-input-shape", "layers -m cnn.onnx --input-shape 3,224,224");

    // Cut off anywhere, a model gives a message and nothing else.
    for length in [1, 10, 100, 1000, model.len() / 2, model.len() - 1] {
        folder.write("cut.onnx", &model[..length]);
        folder.lrp("layers -m cut.onnx").complaint();
    }
}

/// An `.npy` file with any header.
fn raw_npy(descr: &str, shape: &str, data: usize) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0; data]);
    bytes
}

#[test]
fn mistakes_in_inputs() {
    let folder = Folder::with(&["cnn.onnx", "nine.png", "labels.txt"]);
    let explain = |input: &str| format!("{EXPLAIN} -i {input} -o out");

    image::GrayImage::new(32, 20).save(folder.path("small.png")).unwrap();
    snapshot(&folder, "image-of-the-wrong-size", &explain("small.png"));
    folder.write("unreadable.png", "this is no picture");
    snapshot(&folder, "image-unreadable", &explain("unreadable.png"));
    folder.write("cut.png", &folder.read("nine.png")[..100]);
    snapshot(&folder, "image-truncated", &explain("cut.png"));
    folder.write("photo.tif", "II*\0");
    snapshot(&folder, "image-of-another-format", &explain("photo.tif"));
    folder.write("channels.toml", "schema = 1\nextends = \"lrp-0\"\n[input]\nmean = [0.4, 0.5, 0.6]\n");
    snapshot(&folder, "image-channels", "explain -m cnn.onnx -r channels.toml -i nine.png -o out");

    save(&folder, "flat.npy", &ArrayD::<f32>::zeros(vec![16, 784]));
    snapshot(&folder, "npy-of-the-wrong-shape", &explain("flat.npy"));
    save(&folder, "none.npy", &ArrayD::<f32>::zeros(vec![0, 1, 28, 28]));
    snapshot(&folder, "npy-no-samples", &explain("none.npy"));
    let mut values = ArrayD::<f64>::zeros(vec![1, 1, 28, 28]);
    values[[0, 0, 3, 4]] = f64::NAN;
    save(&folder, "nan.npy", &values);
    snapshot(&folder, "npy-with-nan", &explain("nan.npy"));
    folder.write("complex.npy", raw_npy("<c8", "(1, 1, 28, 28)", 784 * 8));
    snapshot(&folder, "npy-of-an-unsupported-type", &explain("complex.npy"));
    folder.write("text.npy", "1.0, 2.0, 3.0\n");
    snapshot(&folder, "npy-is-text", &explain("text.npy"));
    folder.write("short.npy", raw_npy("<f4", "(1, 1, 28, 28)", 784 * 4 - 8));
    snapshot(&folder, "npy-truncated", &explain("short.npy"));
    // Memory is not set aside for what a header promises.
    folder.write("huge.npy", raw_npy("<f4", "(1099511627776, 1, 28, 28)", 784 * 4));
    folder.lrp(&explain("huge.npy")).complaint();
    folder.write("broken.npz", "PK\x03\x04 and no more");
    snapshot(&folder, "npz-broken", &explain("broken.npz"));
    let mut archive = NpzWriter::new(std::fs::File::create(folder.path("several.npz")).unwrap());
    archive.add_array("train", &values).unwrap();
    archive.add_array("test", &values).unwrap();
    archive.finish().unwrap();
    snapshot(&folder, "npz-of-several-arrays", &explain("several.npz"));

    snapshot(&folder, "input-none", "explain -m cnn.onnx -r lrp-epsilon --range 0,1 -o out");
    snapshot(&folder, "input-missing", &explain("missing.png"));
    snapshot(&folder, "input-missing-several", &explain("nin.png missing.npy no/*.png"));
    snapshot(&folder, "input-pattern-matches-nothing", &explain("digits/*.png"));
    std::fs::create_dir(folder.path("nothing")).unwrap();
    snapshot(&folder, "input-empty-folder", &explain("nothing"));
    std::fs::copy(folder.path("nine.png"), folder.path("nine.webp")).unwrap();
    snapshot(&folder, "input-same-name-twice", &explain("nine.png nine.webp"));
}

#[test]
fn mistakes_on_the_command_line() {
    let folder = Folder::with(&["cnn.onnx", "nine.png", "labels.txt"]);
    folder.write("nine-labels.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\n");
    folder.write("a-file", "");
    let explain = |flags: &str| format!("{EXPLAIN} -i nine.png -o out {flags}");
    snapshot(&folder, "target-beyond-the-model", &explain("--target 10"));
    snapshot(&folder, "target-without-labels", &explain("--target nine"));
    snapshot(&folder, "target-unknown-label", &explain("--target nine --labels labels.txt"));
    snapshot(&folder, "target-top-too-many", &explain("--target '{ top = 11 }'"));
    snapshot(&folder, "target-unknown-form", &explain("--target '{ tops = 3 }'"));
    snapshot(&folder, "labels-missing", &explain("--labels none.txt"));
    snapshot(&folder, "labels-too-few", &explain("--labels nine-labels.txt"));
    snapshot(&folder, "save-unknown", &explain("--save npy,gif"));
    snapshot(&folder, "batch-of-nothing", &explain("--batch 0"));
    snapshot(&folder, "flag-unknown", "explain -m cnn.onnx -r lrp-epsilon -i nine.png -o out --treads 2");
    snapshot(&folder, "output-none", "explain -m cnn.onnx -r lrp-epsilon --range 0,1 -i nine.png");
    snapshot(&folder, "output-is-a-file", "explain -m cnn.onnx -r lrp-epsilon --range 0,1 -i nine.png -o a-file");
    snapshot(&folder, "compare-not-png", "compare -m cnn.onnx -r lrp-0 -i nine.png -o figure.pdf");
    snapshot(&folder, "compare-titles", "compare -m cnn.onnx -r lrp-0 -r lrp-gamma --title A -i nine.png -o f.png");
    snapshot(&folder, "check-several-targets", "check -m cnn.onnx -r lrp-0 --range 0,1 -i nine.png --target all");
    assert!(!Path::new(&folder.path("f.png")).exists());
}

/// The heatmap of `a.0.png` and that of the first sample of `a.npy` have one name: neither is lost unnoticed.
#[test]
fn no_result_overwrites_another() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy", "nine.png"]);
    std::fs::copy(folder.path("nine.png"), folder.path("digits.0.png")).unwrap();
    let run = folder.lrp(&format!("{EXPLAIN} -i digits.npy digits.0.png -o out"));
    assert!(run.complaint().contains("two of the inputs would write 'digits.0.heatmap.png'"), "{run}");
    folder.lrp(&format!("{EXPLAIN} -i digits.npy digits.0.png -o fresh --save npy,json")).silent();
}
