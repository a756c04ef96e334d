//! Models with several inputs, fixed inputs, arrays without an axis for the batch, and folders of folders.

use lrp_tests::onnx::Onnx;
use lrp_tests::program::{Folder, Run, repository};
use ndarray::{Array2, ArrayD, Axis, array};
use ndarray_npy::{NpzReader, NpzWriter, read_npy, write_npy};
use serde_json::Value;

/// Two towers that share their weights, and the difference of what they give: linear, without a bias.
fn siamese() -> Vec<u8> {
    Onnx::default()
        .weights("w", &[3, 2], &[1.0, -2.0, 0.5, 3.0, -1.0, 0.25])
        .weights("v", &[2, 2], &[1.0, 2.0, -1.5, 0.5])
        .node("MatMul", &["left", "w"], "of_left")
        .node("MatMul", &["right", "w"], "of_right")
        .node("Sub", &["of_left", "of_right"], "difference")
        .node("MatMul", &["difference", "v"], "y")
        .model_of(&[("left", &[1, 3]), ("right", &[1, 3])], ("y", &[1, 2]))
}

/// `x · w + rate`: an image of two rows and two columns, and a number.
fn shifted() -> Vec<u8> {
    Onnx::default()
        .weights("w", &[4, 1], &[1.0, 2.0, 3.0, 4.0])
        .node_with("Flatten", &["x"], "flat", &[])
        .node("MatMul", &["flat", "w"], "product")
        .node("Add", &["product", "rate"], "y")
        .model_of(&[("x", &[1, 1, 2, 2]), ("rate", &[])], ("y", &[1, 1]))
}

/// Towers that scale each element, also by shared weights.
fn scaling_towers() -> Onnx {
    Onnx::default()
        .weights("w", &[3], &[1.0, -2.0, 0.5])
        .weights("v", &[3, 2], &[1.0, 2.0, -1.5, 0.5, 2.0, -1.0])
        .node("Mul", &["left", "w"], "of_left")
        .node("Mul", &["right", "w"], "of_right")
        .node("Sub", &["of_left", "of_right"], "difference")
}

/// The model of docs/how-to/my-inputs.md.
fn towers() -> Vec<u8> {
    scaling_towers()
        .node("MatMul", &["difference", "v"], "scores")
        .node("Add", &["scores", "rate"], "y")
        .model_of(&[("left", &[1, 3]), ("right", &[1, 3]), ("rate", &[])], ("y", &[1, 2]))
}

/// `LRP_DOCS=update` writes it again.
#[test]
fn the_example_is_this_model() {
    let path = repository().join("examples/inputs/towers.onnx");
    if std::env::var("LRP_DOCS").is_ok_and(|value| value == "update") {
        std::fs::write(&path, towers()).unwrap();
    }
    assert_eq!(std::fs::read(&path).unwrap(), towers());
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("siamese.onnx", siamese());
    folder.write("shifted.onnx", shifted());
    let scaled = scaling_towers().node("MatMul", &["difference", "v"], "y");
    folder.write("scaled.onnx", scaled.model_of(&[("left", &[1, 3]), ("right", &[1, 3])], ("y", &[1, 2])));
    write_npy(folder.path("l.npy"), &array![[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]]).unwrap();
    write_npy(folder.path("r.npy"), &array![[0.0, 1.0, -1.0], [2.0, 2.0, 2.0]]).unwrap();
    folder
}

fn manifest(folder: &Folder, dir: &str) -> Value {
    serde_json::from_slice(&folder.read(&format!("{dir}/manifest.json"))).unwrap()
}

/// The scores of all samples of a run.
fn scores(folder: &Folder, dir: &str) -> Vec<f64> {
    let manifest = manifest(folder, dir);
    let samples = manifest["inputs"].as_array().unwrap().iter().flat_map(|input| input["samples"].as_array().unwrap());
    samples.map(|sample| sample["targets"][0]["score"].as_f64().unwrap()).collect()
}

fn relevance(folder: &Folder, name: &str) -> ArrayD<f64> {
    read_npy(folder.path(name)).unwrap()
}

fn close(a: &ArrayD<f64>, b: &ArrayD<f64>) -> bool {
    a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
}

const EXPLAIN: &str = "-r lrp-0 --precision f64 --target 0";

/// Gradient × input of a model by differences of the score, for the first sample: each element of `left` in turn, moved up and down.
fn by_differences(folder: &Folder, model: &str) -> ArrayD<f64> {
    let (left, right) = (array![1.0, 2.0, 3.0], array![0.0, 1.0, -1.0]);
    let h = 1e-3;
    let moved = Array2::from_shape_fn((6, 3), |(i, j)| {
        left[j] + if i / 2 == j { if i % 2 == 0 { h } else { -h } } else { 0.0 }
    });
    write_npy(folder.path("moved.npy"), &moved).unwrap();
    write_npy(folder.path("again.npy"), &Array2::from_shape_fn((6, 3), |(_, j)| right[j])).unwrap();
    let explain = format!("explain -m {model} {EXPLAIN}");
    folder.lrp(&format!("{explain} -i left=moved.npy right=again.npy -o moved --save json")).ok();
    let scores = scores(folder, "moved");
    array![0, 1, 2].mapv(|j: usize| left[j] * (scores[2 * j] - scores[2 * j + 1]) / (2.0 * h)).into_dyn()
}

#[test]
fn two_towers_with_shared_weights() {
    let folder = folder();
    let explain = format!("explain -m siamese.onnx {EXPLAIN}");
    let expected = by_differences(&folder, "siamese.onnx");
    folder.lrp(&format!("{explain} -i left=l.npy -i right=r.npy -o out --save npy,npz,safetensors,png,json,html")).ok();
    let left = relevance(&folder, "out/l.relevance.left.npy");
    let right = relevance(&folder, "out/l.relevance.right.npy");
    assert_eq!((left.shape(), right.shape()), (&[2, 3][..], &[2, 3][..]));
    let first = left.index_axis(Axis(0), 0).to_owned();
    assert!(close(&first, &expected), "{first} and {expected}");
    // Nothing is lost: the relevance of both is the score.
    for (i, score) in scores(&folder, "out").into_iter().enumerate() {
        let sum = left.index_axis(Axis(0), i).sum() + right.index_axis(Axis(0), i).sum();
        assert!((sum - score).abs() < 1e-9, "{sum} and {score}");
    }
    let manifest = manifest(&folder, "out");
    let record = &manifest["inputs"][0];
    assert_eq!((record["path"].as_str(), record["others"][0]["path"].as_str()), (Some("l.npy"), Some("r.npy")));
    assert_eq!(record["explained"][1]["relevance"], "l.relevance.right.npy");
    assert_eq!(record["samples"][1]["targets"][0]["heatmaps"][0]["file"], "l.1.left.heatmap.png");
    assert_eq!(manifest["expects"]["inputs"][1]["name"], "right");
    let mut npz = NpzReader::new(std::fs::File::open(folder.path("out/l.relevance.npz")).unwrap()).unwrap();
    let again: ArrayD<f64> = npz.by_name("relevance.right").unwrap();
    assert_eq!(again, right);
    let bytes = folder.read("out/l.relevance.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("relevance.left").unwrap().shape(), [2, 3]);
    assert!(folder.path("out/report.html").is_file());
    for name in ["l.0.left.heatmap.png", "l.0.right.heatmap.png", "l.1.right.heatmap.png"] {
        assert!(folder.path(format!("out/{name}")).is_file(), "{name}");
    }
    // Order, and one archive for both, change nothing.
    folder.lrp(&format!("{explain} -i right=r.npy -i left=l.npy -o other")).ok();
    assert_eq!(relevance(&folder, "other/l.relevance.left.npy"), left);
    let mut npz = NpzWriter::new(std::fs::File::create(folder.path("all.npz")).unwrap());
    for (name, file) in [("right", "r.npy"), ("left", "l.npy")] {
        npz.add_array(name, &relevance(&folder, file)).unwrap();
    }
    npz.finish().unwrap();
    folder.lrp(&format!("{explain} -i all.npz -o archive")).ok();
    assert_eq!(relevance(&folder, "archive/all.relevance.right.npy"), right);
    // There is nothing left to do, and nothing of another run.
    let nothing = folder.lrp(&format!("{explain} -i left=l.npy -i right=r.npy -o other --resume"));
    assert!(nothing.ok().contains("nothing to do: 2 samples"), "{nothing}");
}

#[test]
fn one_input_is_explained_and_the_other_fixed() {
    let folder = folder();
    let expected = by_differences(&folder, "scaled.onnx");
    write_npy(folder.path("fixed.npy"), &array![[0.0, 1.0, -1.0]]).unwrap();
    write_npy(folder.path("one.npy"), &array![[1.0, 2.0, 3.0]]).unwrap();
    let both = |arguments: &str| folder.lrp(&format!("explain -m scaled.onnx {EXPLAIN} {arguments}"));
    both("-i one.npy --fix right=fixed.npy -o fixed").ok();
    let fixed = relevance(&folder, "fixed/one.relevance.npy").index_axis_move(Axis(0), 0);
    assert!(close(&fixed, &expected), "{fixed} and {expected}");
    let of_fixed = manifest(&folder, "fixed");
    assert_eq!((&of_fixed["fixed"][0]["name"], &of_fixed["fixed"][0]["value"]), (&"right".into(), &"fixed.npy".into()));
    assert_eq!(of_fixed["fixed"][0]["file"]["sha256"].as_str().unwrap().len(), 64);
    // In a recipe, relative to it; the command line overrides single names.
    folder.write(
        "recipes/two.toml",
        "schema = 1\nextends = \"lrp-0\"\n[model]\npath = \"../scaled.onnx\"\n[explain]\ninputs = \"../one.npy\"\ntarget = 0\n\
         precision = \"f64\"\nfixed = { right = \"../fixed.npy\" }\n[output]\ndir = \"../recipe\"\n",
    );
    folder.lrp("run recipes/two.toml").ok();
    assert_eq!(relevance(&folder, "recipe/one.relevance.npy").index_axis_move(Axis(0), 0), fixed);
    folder.lrp("run recipes/two.toml --fix right=zeros -o zeros").ok();
    assert!(scores(&folder, "zeros") != scores(&folder, "fixed"));
    // Given for each sample, and not explained.
    folder.write(
        "recipes/sources.toml",
        "schema = 1\nextends = \"lrp-0\"\n[model]\npath = \"../scaled.onnx\"\n[explain]\ntarget = 0\nprecision = \"f64\"\n\
         inputs = { left = \"../one.npy\", right = [\"../fixed.npy\"] }\nsources = [\"left\"]\n[output]\ndir = \"../sources\"\n",
    );
    let run = folder.lrp("run recipes/sources.toml");
    assert!(run.ok().contains("inputs that are not explained"), "{run}");
    let left = relevance(&folder, "sources/one.relevance.npy").index_axis_move(Axis(0), 0);
    assert!(close(&left, &expected), "{left} and {expected}");
    let target = &manifest(&folder, "sources")["inputs"][0]["samples"][0]["targets"][0];
    let rest = target["ledger"]["unexplained"].as_f64().unwrap();
    assert!((left.sum() + rest - target["score"].as_f64().unwrap()).abs() < 1e-9, "{target}");
    let check = folder.lrp("check -r recipes/sources.toml");
    assert!(check.ok().contains("not explained, with lines of their own in the ledger: 'right'"), "{check}");
}

#[test]
fn every_command_knows_inputs() {
    let folder = folder();
    let given = "-m siamese.onnx -i left=l.npy -i right=r.npy";
    for arguments in ["check -r lrp-0", "check -r lrp-0 --precision f64", "compare -r lrp-0 -r lrp-epsilon -o fig.png"]
    {
        folder.lrp(&format!("{arguments} {given}")).ok();
    }
    let layers = folder.lrp("layers -m siamese.onnx");
    assert!(layers.ok().contains("right") && layers.ok().contains("explained"), "{layers}");
    let inputs = folder.lrp("layers -m shifted.onnx --fix rate=2 --json").json()["inputs"].clone();
    assert_eq!((&inputs[0]["role"], &inputs[1]["role"]), (&"explained".into(), &"fixed".into()));
    folder.lrp("plan -m shifted.onnx --fix rate=2 -r lrp-0").ok();
    // A recipe that runs as it stands.
    folder.lrp(&format!("init {given} -o two.toml")).ok();
    folder.lrp("run two.toml").ok();
    assert!(folder.path("out/siamese/l.relevance.left.npy").is_file());
    write_npy(folder.path("x.npy"), &array![[[1.0, 2.0], [3.0, 4.0]]].insert_axis(Axis(0))).unwrap();
    folder.lrp("init -m shifted.onnx --fix rate=0.5 -i x.npy -o one.toml").ok();
    folder.lrp("run one.toml").ok();
    assert_eq!(scores(&folder, "out/shifted"), [30.5]);
}

#[test]
fn mistakes_about_inputs_name_the_inputs() {
    let folder = folder();
    let complaint =
        |arguments: &str| folder.lrp(&format!("explain -r lrp-0 -o out {arguments}")).complaint().to_owned();
    for (arguments, says) in [
        ("-m siamese.onnx -i l.npy", "for which input of the model is it"),
        ("-m siamese.onnx -i left=l.npy", "no file is given for the input 'right'"),
        ("-m siamese.onnx -i left=l.npy lift=r.npy", "takes no input 'lift'"),
        ("-m scaled.onnx -i left=l.npy right=r.npy --fix right=zeros", "takes no input 'right'"),
        ("-m siamese.onnx -i left=l.npy l.npy -i right=r.npy", "for which input of the model is it"),
        ("-m siamese.onnx -i left=l.npy --fix wrong=zeros", "'left', 'right'"),
        ("-m siamese.onnx -i left=l.npy --fix right=none", "zeros, ones"),
        ("-m siamese.onnx -i left=l.npy --fix right=none.npy", "cannot read 'none.npy'"),
        ("-m siamese.onnx -i left=l.npy --fix right", "expected NAME=VALUE"),
    ] {
        let text = complaint(arguments);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(says), "{arguments}: {text}");
    }
    write_npy(folder.path("three.npy"), &Array2::<f64>::ones((3, 3))).unwrap();
    let text = complaint("-m siamese.onnx -i left=l.npy right=three.npy");
    assert!(text.contains("3 samples") && text.contains("the same number of"), "{text}");
}

#[test]
fn an_array_without_a_batch_axis_is_one_sample() {
    let folder = folder();
    let x = array![[[1.0_f32, 2.0], [3.0, 4.0]]];
    write_npy(folder.path("one.npy"), &x).unwrap();
    write_npy(folder.path("batch.npy"), &x.clone().insert_axis(Axis(0))).unwrap();
    let run = |arguments: &str| {
        folder.lrp(&format!("explain -m shifted.onnx --fix rate=1 -r lrp-0 {arguments}")).ok().to_owned()
    };
    run("-i one.npy batch.npy -o out --save npy,npz,png,json,html");
    let read = |name: &str| read_npy::<_, ArrayD<f32>>(folder.path(name)).unwrap();
    let (one, batch) = (read("out/one.relevance.npy"), read("out/batch.relevance.npy"));
    assert_eq!((one.shape(), batch.shape()), (&[1, 2, 2][..], &[1, 1, 2, 2][..]));
    assert_eq!(one.insert_axis(Axis(0)), batch);
    run("-i one.npy -o all --target all --save npy,json");
    assert_eq!(read("all/one.relevance.npy").shape(), [1, 1, 2, 2]);
    assert!(run("-i one.npy batch.npy -o out --save npy,npz,png,json,html --resume").contains("nothing to do"));
    run("-i one.npy batch.npy -o quantus --save quantus");
    // Integers and truth values are numbers, too.
    write_npy(folder.path("bool.npy"), &array![[[true, false], [false, true]]]).unwrap();
    run("-i bool.npy -o bool");
    assert_eq!(scores(&folder, "bool"), [6.0]);
}

#[test]
fn folders_of_folders() {
    let folder = folder();
    for (name, value) in [("set/cat/1.npy", 1.0_f32), ("set/dog/1.npy", 2.0), ("set/dog/2.npy", 3.0)] {
        folder.write(name, "");
        write_npy(folder.path(name), &ArrayD::from_elem(vec![1, 1, 2, 2], value)).unwrap();
    }
    let explain = "explain -m shifted.onnx --fix rate=0 -r lrp-0 -i set -o out --save npy,png,json";
    let run: Run = folder.lrp(explain);
    assert!(run.ok().contains("dog-1"), "{run}");
    let names: Vec<String> = folder.list("out").into_iter().filter(|name| name.ends_with(".relevance.npy")).collect();
    assert_eq!(names, ["2.relevance.npy", "cat-1.relevance.npy", "dog-1.relevance.npy"]);
    assert_eq!(scores(&folder, "out"), [10.0, 20.0, 30.0]);
    let nothing = folder.lrp(&format!("{explain} --resume"));
    assert!(nothing.ok().contains("nothing to do: 3 samples"), "{nothing}");
    folder.lrp("report out").ok();
}
