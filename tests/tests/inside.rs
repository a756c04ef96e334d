//! Relevance inside the network (`--at`), held against the ledger and against runs that do not look inside.

use base64::Engine;
use lrp_core::Tensor;
use lrp_tests::program::Folder;
use ndarray::Axis;
use ndarray_npy::{NpzReader, read_npy};
use serde_json::Value;

const EXPLAIN: &str = "explain -m cnn.onnx -r lrp-epsilon --range 0,1 -i digits.npy --precision f64";

fn manifest(folder: &Folder, dir: &str) -> Value {
    serde_json::from_slice(&folder.read(&format!("{dir}/manifest.json"))).unwrap()
}

#[test]
fn relevance_inside_is_what_the_ledger_says_and_the_input_keeps_its_bits() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    folder.lrp(&format!("{EXPLAIN} --save npy,json -o plain")).ok();
    for (dir, target) in [("one", "argmax"), ("two", "{ top = 2 }")] {
        folder
            .lrp(&format!(
                "{EXPLAIN} --save npy,json --batch 5 -o {dir} --target '{target}' --at '*Relu' --at /conv2/Conv"
            ))
            .ok();
        let manifest = manifest(&folder, dir);
        let (nodes, rows) = (manifest["at"].as_array().unwrap(), manifest["ledger"].as_array().unwrap());
        let names: Vec<&str> = nodes.iter().map(|node| node["node"].as_str().unwrap()).collect();
        assert!(names.len() > 2 && names.contains(&"/conv2/Conv") && names.contains(&"/relu1/Relu"), "{names:?}");
        let files = manifest["inputs"][0]["at"].as_array().unwrap();
        assert_eq!(files.len(), names.len());
        let ledger: Tensor<f64> = read_npy(folder.path(format!("{dir}/digits.ledger.npy"))).unwrap();
        for (node, file) in nodes.iter().zip(files) {
            let file = file.as_str().unwrap();
            assert_eq!(file, format!("digits.at.{}.npy", node["key"].as_str().unwrap()));
            let relevance: Tensor<f64> = read_npy(folder.path(format!("{dir}/{file}"))).unwrap();
            let shape: Vec<usize> =
                node["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
            assert!(relevance.shape().ends_with(&shape) && relevance.ndim() == ledger.ndim() + shape.len() - 2);
            // `[…, N, …]` by sample, against the column of received relevance.
            let per_sample = relevance
                .into_shape_with_order((ledger.len() / (rows.len() * 5), shape.iter().product::<usize>()))
                .unwrap();
            let row = rows.iter().position(|row| row["name"] == node["node"]).unwrap();
            let received = ledger.index_axis(Axis(ledger.ndim() - 1), 0);
            let received = received.index_axis(Axis(received.ndim() - 1), row);
            for (relevance, received) in per_sample.outer_iter().zip(received.iter()) {
                assert!((relevance.sum() - received).abs() <= 1e-9 * (1.0 + received.abs()), "{file}");
            }
            let recorded = manifest["inputs"][0]["files"].as_array().unwrap();
            assert!(recorded.iter().any(|record| record["path"] == file), "{file}");
        }
    }
    assert!(folder.read("plain/digits.relevance.npy") == folder.read("one/digits.relevance.npy"));
    assert!(folder.read("plain/digits.ledger.npy") == folder.read("one/digits.ledger.npy"));
}

#[test]
fn archives_have_it_too() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    folder.lrp(&format!("{EXPLAIN} --save npy -o npy --at /relu1/Relu")).ok();
    folder.lrp(&format!("{EXPLAIN} --save npz,safetensors -o npz --at /relu1/Relu")).ok();
    assert_eq!(folder.list("npz"), ["digits.relevance.npz", "digits.relevance.safetensors"]);
    let alone: Tensor<f64> = read_npy(folder.path("npy/digits.at.relu1_Relu.npy")).unwrap();
    let mut npz = NpzReader::new(std::fs::File::open(folder.path("npz/digits.relevance.npz")).unwrap()).unwrap();
    let packed: Tensor<f64> = npz.by_name("at.relu1_Relu").unwrap();
    assert_eq!(packed, alone);
    let bytes = folder.read("npz/digits.relevance.safetensors");
    let header = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    assert_eq!(header["at.relu1_Relu"]["shape"], serde_json::json!(alone.shape()));
    assert_eq!(header["channels.relu1_Relu"]["shape"], serde_json::json!(&alone.shape()[..2]));
}

/// The reverse of the report's base64.
fn singles(map: &Value) -> Vec<f32> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(map["f32"].as_str().unwrap()).unwrap();
    bytes.chunks_exact(4).map(|v| f32::from_le_bytes(v.try_into().unwrap())).collect()
}

/// Maps have a heatmap over the input, their sums over channels in archives, and a place in the report.
#[test]
fn maps_inside_are_drawn_over_the_input() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy", "nine.png"]);
    let at = "--at /conv2/Conv --at /fc1/Gemm --at /maxpool/MaxPool";
    let explain = "explain -m cnn.onnx -r epsilon-plus --range 0,1 --precision f64";
    folder.lrp(&format!("{explain} -i nine.png -o plain --save npy,png,json")).ok();
    folder.lrp(&format!("{explain} -i nine.png -o out --save npy,npz,png,json,html --size 1x {at}")).ok();
    // Vectors are no pictures.
    let pictures: Vec<String> = folder.list("out").into_iter().filter(|name| name.ends_with(".png")).collect();
    let names = ["nine.at.conv2_Conv.heatmap.png", "nine.at.maxpool_MaxPool.heatmap.png", "nine.heatmap.png"];
    assert_eq!(pictures, names);
    assert!(folder.read("plain/nine.relevance.npy") == folder.read("out/nine.relevance.npy"));
    let manifest = manifest(&folder, "out");
    let maps = &manifest["inputs"][0]["samples"][0]["targets"][0]["maps"];
    assert_eq!(maps[1], serde_json::json!({ "node": "/maxpool/MaxPool", "file": names[1] }));
    assert_eq!(maps[0]["node"], "/conv2/Conv");
    // The sum over channels, [14, 14], on the 28 rows and columns of the input: blue below zero, red above.
    let relevance: Tensor<f64> = read_npy(folder.path("out/nine.at.maxpool_MaxPool.npy")).unwrap();
    let sum = relevance.sum_axis(Axis(1));
    let most = sum.iter().fold(0.0, |most: f64, r| most.max(r.abs()));
    let drawn = image::open(folder.path("out/nine.at.maxpool_MaxPool.heatmap.png")).unwrap().into_rgb8();
    assert_eq!((drawn.dimensions(), sum.shape()), ((28, 28), &[1, 14, 14][..]));
    for (x, y, pixel) in drawn.enumerate_pixels() {
        let share = sum[[0, y as usize / 2, x as usize / 2]] / most;
        let fades = ((1.0 - share.abs()) * 255.0).round() as i32;
        let [red, _, blue] = pixel.0.map(i32::from);
        let faded = if share < 0.0 { red } else { blue };
        assert!((faded - fades).abs() <= 2, "{x} {y}: {share} {pixel:?}");
    }
    let mut npz = NpzReader::new(std::fs::File::open(folder.path("out/nine.relevance.npz")).unwrap()).unwrap();
    assert!(!npz.names().unwrap().iter().any(|name| name == "channels.fc1_Gemm"));
    let channels: Tensor<f64> = npz.by_name("channels.maxpool_MaxPool").unwrap();
    let expected = relevance.sum_axis(Axis(3)).sum_axis(Axis(2));
    assert!(channels.shape() == [1, 16] && lrp_tests::relative_l2(&channels, &expected) < 1e-14);

    let html = String::from_utf8(folder.read("out/report.html")).unwrap();
    let json = |kind: &str| -> Value {
        let start = format!("<script type=\"application/json\" {kind}>");
        let rest = html.split(&start).nth(1).unwrap();
        serde_json::from_str(rest.split("</script>").next().unwrap()).unwrap()
    };
    let stages = json("id=\"report\"")["stages"].clone();
    assert_eq!(stages.as_array().unwrap().len(), 2);
    let pool =
        serde_json::json!({ "name": "/maxpool/MaxPool", "op": "max-pool", "channels": 16, "height": 14, "width": 14 });
    assert_eq!(stages[1], pool);
    let shown = singles(&json("class=\"sample\"")["targets"][0]["stages"][1]);
    assert!(shown.len() == 196 && shown.iter().zip(&sum).all(|(a, b)| *a == *b as f32));
    // A map that is not what was written is not shown.
    std::fs::write(folder.path("out/nine.at.maxpool_MaxPool.npy"), folder.read("out/nine.at.conv2_Conv.npy")).unwrap();
    assert!(folder.lrp("report out").complaint().contains("is not what was written"));
    // A picture for each sample and target.
    folder.lrp(&format!("{explain} -i digits.npy -o many --save png --target '{{ top = 2 }}' --at /conv2/Conv")).ok();
    let many = folder.list("many");
    assert_eq!(many.len(), 16 * 2 * 2);
    assert!(many.contains(&"digits.3.top-2.at.conv2_Conv.heatmap.png".to_owned()), "{many:?}");
}

#[test]
fn names_that_match_nothing_are_refused() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    let run = folder.lrp(&format!("{EXPLAIN} -o out --at elu1"));
    assert!(run.complaint().contains("'*elu1*' would match '/relu1/Relu'"), "{run}");
    let run = folder.lrp(&format!("{EXPLAIN} -o out --at '[a'"));
    assert!(run.complaint().contains("is no glob"), "{run}");
    folder.write("r.toml", "schema = 1\nextends = \"lrp-epsilon\"\n[explain]\nat = \"/relu1/Relo\"\n");
    let run = folder.lrp("explain -m cnn.onnx -r r.toml -i digits.npy -o out");
    assert!(run.complaint().contains("r.toml:4") && run.stderr.contains("did you mean '/relu1/Relu'"), "{run}");
    folder.write("r.toml", "schema = 1\nextends = \"lrp-epsilon\"\n[explain]\nat = [\"/relu1/*\"]\n");
    folder.lrp("explain -m cnn.onnx -r r.toml -i digits.npy -o out --save npy").ok();
    assert!(folder.path("out/digits.at.relu1_Relu.npy").is_file());
}

/// Of an interrupted run, a file that is not what was written is written again, with the sample's others.
#[test]
fn a_run_is_started_again_where_its_files_are_not_what_they_were() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    let arguments = format!("{EXPLAIN} --save npy,json -o out --at /relu1/Relu");
    folder.lrp(&arguments).ok();
    let name = "out/digits.at.relu1_Relu.npy";
    let right = folder.read(name);
    assert!(folder.lrp(&format!("{arguments} --resume")).ok().contains("nothing to do"));
    folder.write(name, "wrong");
    let again = folder.lrp(&format!("{arguments} --resume"));
    assert!(again.stderr.contains("is not what the finished run has written"), "{again}");
    assert!(folder.read(name) == right);
    // Another node is another run.
    let other = folder.lrp(&format!("{EXPLAIN} --save npy,json -o out --at /conv2/Conv --resume"));
    assert!(other.complaint().contains("the nodes inside the network"), "{other}");
    // --force removes its files.
    folder.lrp(&format!("{EXPLAIN} --save npy,json -o out --force")).ok();
    assert!(!folder.list("out").iter().any(|name| name.contains(".at.")));
}

/// Walks through parts of a node's channels add up to the walk through the node, and that is the whole walk where nothing bypasses it.
#[test]
fn a_walk_starts_inside_the_network() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    let explain = |dir: &str, start: &str| -> (Tensor<f64>, Value) {
        folder.lrp(&format!("{EXPLAIN} --save npy,json --batch 5 -o {dir} --start '{start}' --at /relu1/Relu")).ok();
        (read_npy(folder.path(format!("{dir}/digits.relevance.npy"))).unwrap(), manifest(&folder, dir))
    };
    let (whole, of_whole) = explain("whole", "logit");
    let (all, _) = explain("all", "{ at = \"/relu2/Relu\" }");
    assert_eq!(whole, all);
    let (some, of_some) = explain("some", "{ at = \"/relu2/Relu\", channels = [3, 0, 7] }");
    let others = "1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15";
    let (rest, _) = explain("rest", &format!("{{ at = \"/relu2/Relu\", channels = [{others}] }}"));
    assert!(lrp_tests::relative_l2(&(&some + &rest), &whole) < 1e-12);
    assert!(some.iter().any(|r| *r != 0.0) && some != whole);
    assert_eq!(of_some["start"], "{ at = \"/relu2/Relu\", channels = [3, 0, 7] }");
    let number = |value: &Value| value.as_f64().unwrap();
    for sample in 0..16 {
        let record = |manifest: &Value| manifest["inputs"][0]["samples"][sample]["targets"][0].clone();
        let (some, whole) = (record(&of_some), record(&of_whole));
        assert_eq!(some["score"], whole["score"]);
        let left = number(&some["ledger"]["start"]) + number(&some["filtered"]);
        assert!((left - number(&whole["score"])).abs() < 1e-9 * number(&whole["score"]).abs(), "{some}");
    }
    // The ledger begins at the node.
    assert_eq!(of_some["ledger"][0]["name"], "/relu2/Relu");
    let ledger: Tensor<f64> = read_npy(folder.path("some/digits.ledger.npy")).unwrap();
    assert_eq!(ledger.shape(), [16, of_some["ledger"].as_array().unwrap().len(), 5]);
    for (start, says) in [
        ("{ at = \"/relu2/Relu\", channels = [16] }", "its channels are 0 to 15"),
        ("{ at = \"*Relu\" }", "is the name of 4 nodes"),
        ("{ at = \"relu\" }", "names are matched whole"),
        ("two", "expected logit, one or a table"),
    ] {
        let run = folder.lrp(&format!("{EXPLAIN} -o out --start '{start}'"));
        assert!(run.complaint().contains(says), "{start}: {run}");
    }
    let check = folder.lrp("check -m cnn.onnx -r lrp-0 -i digits.npy --start '{ at = \"/relu2/Relu\" }'");
    assert!(check.complaint().contains("a check follows the whole walk"), "{check}");
}
