//! `lrp explain --save html` and `lrp report`: a report is made from what is in the output folder, and shows just that.

use std::fs;

use lrp_tests::program::{Folder, repository};
use ndarray::{ArrayD, IxDyn, s};
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;

const EXPLAIN: &str = "explain -m cnn.onnx -r epsilon-plus --range 0,1 --labels labels.txt";

fn folder() -> Folder {
    Folder::with(&["cnn.onnx", "labels.txt", "digits.npy", "nine.png", "nine_with_patch.png"])
}

fn text(folder: &Folder, name: &str) -> String {
    String::from_utf8(folder.read(name)).unwrap()
}

/// The JSON in the script elements with this attribute.
fn data(html: &str, attribute: &str) -> Vec<Value> {
    let start = format!("<script type=\"application/json\" {attribute}>");
    html.split(&start)
        .skip(1)
        .map(|rest| serde_json::from_str(rest.split("</script>").next().unwrap()).unwrap())
        .collect()
}

fn samples(html: &str) -> Vec<Value> {
    data(html, "class=\"sample\"")
}

fn manifest(folder: &Folder, dir: &str) -> Value {
    serde_json::from_slice(&folder.read(&format!("{dir}/manifest.json"))).unwrap()
}

/// Changes a manifest.
fn change(folder: &Folder, dir: &str, change: impl FnOnce(&mut Value)) {
    let mut manifest = manifest(folder, dir);
    change(&mut manifest);
    folder.write(&format!("{dir}/manifest.json"), manifest.to_string());
}

#[test]
fn the_report_of_a_folder_is_the_one_that_was_saved() {
    let folder = folder();
    let run = folder.lrp(&format!("{EXPLAIN} -i digits.npy nine.png -o out --save html"));
    assert!(run.silent().contains("report.html: 17 samples, "), "{run}");
    // What it is made from is written, too; nothing else is.
    let files = ["digits.ledger.npy", "digits.relevance.npy", "manifest.json", "nine.ledger.npy", "nine.relevance.npy"];
    assert_eq!(folder.list("out"), [&files[..], &["report.html"]].concat());
    let saved = folder.read("out/report.html");
    fs::remove_file(folder.path("out/report.html")).unwrap();
    folder.lrp("report out").silent();
    assert!(folder.read("out/report.html") == saved, "the report differs");
    let json = folder.lrp("report out -o elsewhere/a.html --json").json();
    assert_eq!((&json["samples"], &json["of"], &json["bytes"]), (&17.into(), &17.into(), &saved.len().into()));
    assert!(folder.read("elsewhere/a.html") == saved);
    // The usual files are enough.
    folder.lrp(&format!("{EXPLAIN} -i nine.png -o usual")).silent();
    folder.lrp("report usual").silent();
    assert_eq!(samples(&text(&folder, "usual/report.html")).len(), 1);
}

#[test]
fn the_numbers_are_those_of_the_ledger() {
    let folder = folder();
    let run = format!("{EXPLAIN} -i digits.npy -o out --save html --precision f64 --target '{{ top = 2 }}'");
    folder.lrp(&run).silent();
    let html = text(&folder, "out/report.html");
    let nodes = data(&html, "id=\"report\"")[0]["nodes"].as_array().unwrap().clone();
    let ledger: ArrayD<f64> = read_npy(folder.path("out/digits.ledger.npy")).unwrap();
    let relevance: ArrayD<f64> = read_npy(folder.path("out/digits.relevance.npy")).unwrap();
    assert_eq!(ledger.shape(), [2, 16, nodes.len(), 5]);
    assert_eq!((&nodes[0]["name"], &nodes[nodes.len() - 1]["name"]), (&"/fc2/Gemm".into(), &"image".into()));
    let manifest = manifest(&folder, "out");
    for (i, sample) in samples(&html).iter().enumerate() {
        let record = &manifest["inputs"][0]["samples"][i];
        assert_eq!(sample["name"], format!("digits [{i}]"));
        assert_eq!(sample["top"][0]["class"], record["targets"][0]["class"]);
        assert_eq!(sample["top"][1]["score"], record["targets"][1]["score"]);
        assert_eq!(sample["top"].as_array().unwrap().len(), 5);
        for k in 0..2 {
            let (shown, written) = (&sample["targets"][k], &record["targets"][k]);
            for account in ["start", "input", "bias", "stabilizer", "rule"] {
                assert_eq!(shown["totals"][account], written["ledger"][account], "{account}");
            }
            assert_eq!(shown["title"], written["label"]);
            let line = |row: usize| (0..5).map(|c| shown["ledger"][row][c].as_f64().unwrap()).collect::<Vec<_>>();
            for row in 0..nodes.len() {
                assert_eq!(line(row), ledger.slice(s![k, i, row, ..]).to_vec());
                let [received, propagated, bias, stabilizer, rule] = line(row)[..] else { panic!("five columns") };
                assert!((received - propagated - bias - stabilizer - rule).abs() < 1e-12 * received.abs().max(1.0));
            }
            // The first node receives the start; the input propagates the relevance at the input.
            assert_eq!(line(0)[0], written["ledger"]["start"].as_f64().unwrap());
            assert_eq!(line(nodes.len() - 1)[1], written["ledger"]["input"].as_f64().unwrap());
            let sum: f64 = relevance.slice(s![k, i, .., .., ..]).sum();
            assert!((shown["maps"][0]["sum"].as_f64().unwrap() - sum).abs() < 1e-12 * sum.abs().max(1.0));
        }
    }
}

#[test]
fn the_report_says_what_was_done_with_what() {
    let folder = folder();
    folder.write(
        "mine.toml",
        "schema = 1\nname = \"Mine & yours\"\nextends = \"lrp-0\"\n# a remark\n[input]\nrange = [0.0, 1.0]\n",
    );
    folder.lrp("explain -m cnn.onnx -r mine.toml -i nine.png -o out --save html,png --colormap seismic").silent();
    let (html, manifest) = (text(&folder, "out/report.html"), manifest(&folder, "out"));
    for said in [
        "<h1>Mine &#38; yours</h1>",
        "<code># a remark</code>",
        "<h3>preset lrp-0</h3>",
        "lrp explain -m cnn.onnx -r mine.toml -i nine.png -o out --save html,png --colormap seismic",
        "preset lrp-0, entry 1",
        "lrp 0.1.0",
        manifest["model"]["sha256"].as_str().unwrap(),
        manifest["recipe"]["sources"][0]["sha256"].as_str().unwrap(),
        manifest["inputs"][0]["sha256"].as_str().unwrap(),
    ] {
        assert!(html.contains(said), "{said}");
    }
    assert_eq!(data(&html, "id=\"report\"")[0]["palette"], "seismic");
    assert!(!html.contains("://"), "something outside of the file");
    // A recipe can ask for it.
    folder.write(
        "html.toml",
        "schema = 1\nextends = \"lrp-0\"\n[input]\nrange = [0.0, 1.0]\n[output]\ndir = \"there\"\nsave = [\"html\"]\n",
    );
    folder.lrp("explain -m cnn.onnx -r html.toml -i nine.png").silent();
    assert_eq!(folder.list("there"), ["manifest.json", "nine.ledger.npy", "nine.relevance.npy", "report.html"]);
}

#[test]
fn names_labels_and_recipes_are_text() {
    let folder = folder();
    let name = "<script>alert(1)<script>\" onerror=\"alert(2)";
    fs::copy(folder.path("nine.png"), folder.path(format!("{name}.png"))).unwrap();
    folder.write("evil.toml", "schema = 1\nextends = \"lrp-0\"\n# </code></pre><script>alert(3)</script>\n");
    let labels: String = (0..10).map(|i| format!("</script><script>alert({i})</script>\n")).collect();
    folder.write("evil.txt", labels);
    let explain = "explain -m cnn.onnx -r evil.toml --range 0,1 --labels evil.txt -o out --save html";
    folder.lrp(&format!("{explain} -i '{name}.png'")).silent();
    let html = text(&folder, "out/report.html");
    // The report, its one sample, the end, and the program's own script.
    assert_eq!(html.matches("<script").count(), 4);
    assert_eq!(html.matches("</script").count(), 4);
    assert!(!html.contains("onerror=\"") && !html.contains("<script>"));
    let sample = &samples(&html)[0];
    assert_eq!(sample["name"], name);
    assert_eq!(sample["targets"][0]["title"], "</script><script>alert(9)</script>");
}

#[test]
fn inputs_are_shown_if_they_are_what_was_explained() {
    let folder = folder();
    folder.lrp(&format!("{EXPLAIN} -i nine.png nine_with_patch.png digits.npy -o out")).silent();
    let shown = |arguments: &str| {
        let run = folder.lrp(&format!("report out {arguments}"));
        run.ok();
        let samples = samples(&text(&folder, "out/report.html"));
        assert_eq!(samples.len(), 18);
        let missing = samples.iter().take(3).map(|sample| sample["missing"].as_str().unwrap_or("").to_owned());
        (missing.collect::<Vec<_>>(), run.stderr)
    };
    assert_eq!(shown(""), (vec![String::new(); 3], String::new()));
    folder.write("kept/other.txt", "");
    fs::rename(folder.path("nine.png"), folder.path("kept/nine.png")).unwrap();
    fs::copy(folder.path("kept/nine.png"), folder.path("nine_with_patch.png")).unwrap();
    let (missing, note) = shown("");
    assert_eq!(missing[0], "the file is no longer there");
    assert_eq!(missing[1], "the file has changed since it was explained (its SHA-256 is another)");
    assert!(note.contains("does not show the input 'nine.png', and 1 more"), "{note}");
    let (missing, note) = shown("--inputs kept");
    assert!(missing[0].is_empty() && !missing[1].is_empty() && note.contains("'nine_with_patch.png':"), "{note}");
}

#[test]
fn a_report_of_too_many_inputs_says_what_it_leaves_out() {
    let folder = folder();
    let run = folder.lrp(&format!("{EXPLAIN} -i digits.npy nine.png -o out --save npy,json"));
    run.silent();
    let run = folder.lrp("report out --max-samples 3");
    assert!(run.ok().contains("3 of 17 samples"), "{run}");
    assert!(run.stderr.contains("the report shows the first 3 samples"), "{run}");
    let html = text(&folder, "out/report.html");
    assert_eq!((samples(&html).len(), &data(&html, "id=\"end\"")[0]["shown"]), (3, &3.into()));
    assert_eq!(data(&html, "id=\"report\"")[0]["samples"], 17);
    // The page alone is larger.
    assert!(folder.lrp("report out --max-size 0").ok().contains("0 of 17 samples"));
}

#[test]
fn inputs_that_are_no_images_are_shown_as_series() {
    let models = repository().join("tests/models");
    for (model, shape, kind, channels) in [
        ("digits_mlp.skl2onnx.onnx", &[2, 64][..], "series", 1),
        ("ecg.ts.onnx", &[2, 12, 128], "series", 12),
        ("lstm.ts.onnx", &[2, 8, 6], "picture", 1),
        ("video.ts.onnx", &[1, 3, 4, 32, 32], "picture", 12),
        ("resnet18.ts.onnx", &[1, 3, 32, 32], "picture", 3),
    ] {
        let folder = Folder::new();
        fs::copy(models.join(model), folder.path("model.onnx")).unwrap();
        write_npy(folder.path("x.npy"), &ArrayD::from_shape_fn(IxDyn(shape), |i| (i[1] as f32).sin())).unwrap();
        folder.lrp("explain -m model.onnx -r epsilon-plus -i x.npy -o out --save html").ok();
        let html = text(&folder, "out/report.html");
        let report = &data(&html, "id=\"report\"")[0];
        assert_eq!(
            (&report["shape"]["kind"], &report["shape"]["channels"]),
            (&kind.into(), &channels.into()),
            "{model}"
        );
        assert_eq!(samples(&html).len(), shape[0], "{model}");
        let values = samples(&html)[0].get("values").is_some();
        assert_eq!(values, kind == "series", "{model}");
    }
}

#[test]
fn a_run_that_was_interrupted_gets_its_report_when_it_is_resumed() {
    let folder = folder();
    let explain = format!("{EXPLAIN} -i nine.png digits.npy -o out --save html");
    // The manifest cannot be written: all is done but that, and a journal is left.
    fs::create_dir_all(folder.path("out/manifest.json.part")).unwrap();
    folder.lrp(&explain).complaint();
    fs::remove_dir(folder.path("out/manifest.json.part")).unwrap();
    assert!(!folder.path("out/report.html").exists());
    folder.lrp(&format!("{explain} --resume")).silent();
    assert_eq!(samples(&text(&folder, "out/report.html")).len(), 17);

    // Where the report alone cannot be written, nothing else is lost.
    fs::create_dir_all(folder.path("out/report.html.part")).unwrap();
    let run = folder.lrp(&explain);
    assert!(run.code == Some(2) && run.stderr.contains("cannot write 'out/report.html'"), "{run}");
    fs::remove_dir(folder.path("out/report.html.part")).unwrap();
    folder.lrp("report out").silent();
    assert_eq!(samples(&text(&folder, "out/report.html")).len(), 17);
}

#[test]
fn what_a_report_cannot_be_made_from_is_said() {
    let folder = folder();
    assert!(folder.lrp("report nowhere").complaint().contains("cannot read 'nowhere/manifest.json'"));
    folder.write("text/manifest.json", "{}");
    assert!(folder.lrp("report text").complaint().contains("'text/manifest.json' is no manifest of lrp explain"));

    folder.lrp(&format!("{EXPLAIN} -i nine.png -o out --save npy,json")).silent();
    change(&folder, "out", |manifest| manifest["schema"] = 7.into());
    assert!(folder.lrp("report out").complaint().contains("has the format 7, and this version reads 1"));
    change(&folder, "out", |manifest| manifest["schema"] = 1.into());
    let names = |folder: &Folder, name: &str| {
        change(folder, "out", |manifest| manifest["inputs"][0]["relevance"] = name.into());
        folder.lrp("report out").complaint().to_owned()
    };
    assert!(names(&folder, "../digits.npy").contains("names the array '../digits.npy', which is not in it"));
    assert!(names(&folder, "gone.npy").contains("cannot read 'out/gone.npy'"));
    fs::copy(folder.path("digits.npy"), folder.path("out/digits.npy")).unwrap();
    assert!(names(&folder, "digits.npy").contains("it has the shape [16, 1, 28, 28]"));
    assert!(!folder.path("out/report.html").exists() && !folder.path("out/report.html.part").exists());

    // An earlier version's manifest: no shape.
    change(&folder, "out", |manifest| drop(manifest.as_object_mut().unwrap().remove("expects")));
    assert!(folder.lrp("report out").complaint().contains("does not say what shape samples have"));
}

#[test]
fn what_is_not_in_the_folder_is_not_in_the_report() {
    let folder = folder();
    folder.lrp(&format!("{EXPLAIN} -i nine.png -o out --save json")).silent();
    folder.lrp("report out").silent();
    let sample = &samples(&text(&folder, "out/report.html"))[0];
    assert_eq!(sample["targets"][0]["maps"], serde_json::json!([]));
    assert_eq!(sample["targets"][0]["ledger"], serde_json::json!([]));
    assert!(sample["targets"][0]["totals"]["start"].as_f64().is_some());
}
