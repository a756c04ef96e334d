//! Outputs that hide a logit: the logit is explained, and it is said what the model itself says.

use lrp_core::Tensor;
use lrp_tests::program::{Folder, repository};
use ndarray::array;
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;

/// `sigmoid-output.onnx`: z = −a + b, then a sigmoid.
fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::copy(repository().join("tests/cases/sigmoid-output.onnx"), folder.path("m.onnx")).unwrap();
    write_npy(folder.path("x.npy"), &array![[2f32, 1.0], [1.0, 3.0]]).unwrap();
    folder
}

fn relevance(folder: &Folder, dir: &str) -> Tensor<f64> {
    read_npy::<_, ndarray::ArrayD<f64>>(folder.path(format!("{dir}/x.relevance.npy"))).unwrap()
}

fn manifest(folder: &Folder, dir: &str) -> Value {
    serde_json::from_slice(&folder.read(&format!("{dir}/manifest.json"))).unwrap()
}

#[test]
fn a_negative_logit_is_explained_with_its_sign() {
    let folder = folder();
    let run = folder.lrp("explain -m m.onnx -r lrp-0 -i x.npy -o out --precision f64 --save npy,json");
    let note = "the model ends in Sigmoid ('sig'); the logit before it is explained";
    assert_eq!(run.stderr, format!("note: {note}\n"));
    assert_eq!(relevance(&folder, "out"), array![[-2.0, 1.0], [-1.0, 3.0]].into_dyn());
    let manifest = manifest(&folder, "out");
    assert_eq!(manifest["notes"][0], note);
    for (i, logit) in [-1.0f64, 2.0].into_iter().enumerate() {
        let sample = &manifest["inputs"][0]["samples"][i];
        for record in [&sample["targets"][0], &sample["top"][0]] {
            assert_eq!(record["score"], logit);
            let probability = record["probability"].as_f64().unwrap();
            assert!((probability - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-12, "{probability}");
        }
    }
    // The summary shows both.
    assert!(run.stdout.contains("probability") && run.stdout.contains("0.269") && run.stdout.contains("-1"), "{run}");
}

#[test]
fn the_map_of_one_unit_of_a_negative_logit_has_the_opposite_sign() {
    let folder = folder();
    folder.lrp("explain -m m.onnx -r lrp-0 -i x.npy -o out --precision f64 --save npy --start one").ok();
    assert_eq!(relevance(&folder, "out"), array![[2.0, -1.0], [-0.5, 1.5]].into_dyn());
}

#[test]
fn what_was_cut_is_listed() {
    let run = folder().lrp("layers -m m.onnx --passes");
    assert!(run.stdout.contains("cut-output:\n  Sigmoid ('sig')\n"), "{run}");
}

/// The same file with a cosine in the sigmoid's place: both names have different lengths, so the lengths before them change.
fn with_cosine(folder: &Folder) {
    let file = folder.read("m.onnx");
    let at = file.windows(7).position(|word| word == b"Sigmoid").unwrap();
    let mut changed = file.clone();
    changed.splice(at - 1..at + 7, *b"\x03Cos");
    // The node is field 1 of the graph, and the graph field 7 of the model: their lengths are four less.
    let node = file.windows(4).position(|word| word == [0x0a, 0x14, 0x0a, 0x01] && word[1] == 0x14).unwrap();
    changed[node + 1] -= 4;
    changed[3] -= 4;
    std::fs::write(folder.path("cos.onnx"), changed).unwrap();
}

#[test]
fn an_output_that_keeps_no_sign_and_cannot_be_cut_is_warned_about() {
    let folder = folder();
    with_cosine(&folder);
    folder.write("r.toml", "schema = 1\n[[assign]]\nops = [\"dense\", \"cos\"]\nrule = \"gradient\"\n");
    let warning = "comes out of 'sig' (cos), which neither increases nor decreases with its argument";
    for command in ["plan -m cos.onnx -r r.toml", "explain -m cos.onnx -r r.toml -i x.npy -o out --save npy,json"] {
        let run = folder.lrp(command);
        let said = run.stderr.split_whitespace().filter(|word| *word != "|").collect::<Vec<_>>().join(" ");
        assert!(said.contains(warning), "{run}");
    }
    let notes = manifest(&folder, "out")["notes"].to_string();
    assert!(notes.contains(warning), "{notes}");
    let run = folder.lrp("check -m cos.onnx -r r.toml -i x.npy");
    assert!(run.stdout.contains(warning), "{run}");
    // Where the logit is explained, nothing is wrong.
    let run = folder.lrp("check -m m.onnx -r lrp-0 -i x.npy");
    assert!(!run.stdout.contains("comes out of"), "{run}");
}
