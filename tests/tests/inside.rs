//! Relevance inside the network (`--at`), held against the ledger and against runs that do not look inside.

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
