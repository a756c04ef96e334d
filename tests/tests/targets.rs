//! Targets for outputs that are no class vector, from end to end. What they explain is held against sums of single elements: relevance
//! is linear in what the walk starts with.

use lrp_core::Tensor;
use lrp_tests::onnx::Onnx;
use lrp_tests::program::{Folder, repository};
use lrp_tests::relative_l2;
use ndarray::{ArrayD, Axis, IxDyn};
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;

/// `[N, 3, 32, 32] → [N, 4, 32, 32]`
const SEGMENTS: &str = "unet.ts.onnx";
/// `→ [N, 14, 80]`: four coordinates and ten classes of 80 boxes.
const DETECTS: &str = "yolo.ts.onnx";

/// A folder with a model, and two samples for it.
fn folder(model: &str) -> Folder {
    let folder = Folder::new();
    std::fs::copy(repository().join("tests/models").join(model), folder.path(model)).unwrap();
    let layers = folder.lrp(&format!("layers -m {model} --json")).json();
    let shape = layers["inputs"][0]["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize);
    let shape: Vec<usize> = std::iter::once(2).chain(shape).collect();
    let mut state = 1_u32;
    let x = ArrayD::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1_u32 << 24) - 0.5
    });
    write_npy(folder.path("x.npy"), &x).unwrap();
    folder
}

/// Explains the two samples; gives relevance and the manifest.
fn explain(folder: &Folder, model: &str, target: &str, more: &str) -> (Tensor<f64>, Value) {
    let run = folder.lrp(&format!(
        "explain -m {model} -r lrp-epsilon -i x.npy --precision f64 --save npy,json -o out --force --target '{target}' {more}"
    ));
    run.ok();
    let manifest = serde_json::from_slice(&folder.read("out/manifest.json")).unwrap();
    (read_npy(folder.path("out/x.relevance.npy")).unwrap(), manifest)
}

/// The record of the first target of a sample.
fn record(manifest: &Value, sample: usize) -> &Value {
    &manifest["inputs"][0]["samples"][sample]["targets"][0]
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn elements_by_position_and_by_index_are_the_same() {
    let folder = folder(SEGMENTS);
    let (index, of_index) = explain(&folder, SEGMENTS, "{ index = [2, -1, 7] }", "");
    let (at, of_at) = explain(&folder, SEGMENTS, "{ at = [2, 31], class = 7 }", "");
    assert_eq!(index, at);
    assert_eq!(
        (&of_index["target"], record(&of_index, 0)["class"].is_null()),
        (&"{ index = [2, -1, 7] }".into(), true)
    );
    assert_eq!(record(&of_index, 0)["explained"], "[2, 31, 7]");
    assert_eq!((&record(&of_at, 0)["explained"], &record(&of_at, 0)["class"]), (&"[2, 31], class 7".into(), &7.into()));
    assert_eq!(record(&of_at, 1)["score"], record(&of_at, 1)["ledger"]["start"]);
    assert!(of_at["inputs"][0]["samples"][0]["top"][0]["label"].is_null());

    // The largest along the last axis is found in each sample.
    let (largest, found) = explain(&folder, SEGMENTS, "{ at = [2, 31] }", "");
    for (sample, largest) in largest.outer_iter().enumerate() {
        let class = &record(&found, sample)["class"];
        let (same, of_same) = explain(&folder, SEGMENTS, &format!("{{ index = [2, 31, {class}] }}"), "");
        assert_eq!(same.index_axis(Axis(0), sample), largest);
        assert_eq!(record(&of_same, sample)["score"], record(&found, sample)["score"]);
        assert!(number(&record(&found, sample)["score"]) >= number(&record(&of_at, sample)["score"]));
    }
}

#[test]
fn a_region_is_the_sum_of_its_elements() {
    let folder = folder(SEGMENTS);
    let mut mask = ArrayD::<f64>::zeros(IxDyn(&[32, 32]));
    mask[[3, 4]] = 1.0;
    mask[[20, 9]] = 0.5;
    write_npy(folder.path("mask.npy"), &mask).unwrap();
    let (one, _) = explain(&folder, SEGMENTS, "{ index = [1, 3, 4] }", "--start one");
    let (two, _) = explain(&folder, SEGMENTS, "{ index = [1, 20, 9] }", "--start one");
    let (region, manifest) = explain(&folder, SEGMENTS, "{ region = \"mask.npy\", class = 1 }", "--start one");
    let sum = &one + &two.mapv(|r| 0.5 * r);
    assert!(relative_l2(&region, &sum) < 1e-9, "{}", relative_l2(&region, &sum));
    assert_eq!(record(&manifest, 0)["explained"], "mask.npy, class 1");
    assert_eq!(manifest["target_files"][0]["path"], "mask.npy");
    assert_eq!(number(&record(&manifest, 0)["ledger"]["start"]), 1.5);

    // One mask for each sample, and one for the whole output.
    let each = ndarray::stack(Axis(0), &[mask.view(), ArrayD::from_elem(IxDyn(&[32, 32]), 1.0).view()]).unwrap();
    write_npy(folder.path("each.npy"), &each).unwrap();
    let (own, _) = explain(&folder, SEGMENTS, "{ region = \"each.npy\", class = 1 }", "--start one");
    assert_eq!(own.index_axis(Axis(0), 0), region.index_axis(Axis(0), 0));
    // Also where each sample is an input of its own.
    let x: Tensor<f64> = read_npy(folder.path("x.npy")).unwrap();
    for (sample, name) in ["a", "b"].into_iter().enumerate() {
        write_npy(folder.path(format!("{name}.npy")), &x.slice_axis(Axis(0), (sample..sample + 1).into()).to_owned())
            .unwrap();
    }
    let each_file = format!(
        "explain -m {SEGMENTS} -r lrp-epsilon --precision f64 --save npy -o files --start one -i a.npy -i b.npy"
    );
    folder.lrp(&format!("{each_file} --target '{{ region = \"each.npy\", class = 1 }}'")).ok();
    for (sample, name) in ["a", "b"].into_iter().enumerate() {
        let of_file: Tensor<f64> = read_npy(folder.path(format!("files/{name}.relevance.npy"))).unwrap();
        assert_eq!(of_file.index_axis(Axis(0), 0), own.index_axis(Axis(0), sample), "{name}");
    }
    let more = folder.lrp(&format!("{each_file} -i x.npy --force --target '{{ region = \"each.npy\", class = 1 }}'"));
    assert_eq!(more.code, Some(2), "{more}");
    assert!(more.stderr.contains("'x.npy': the target is given for 2 samples, and there are more"), "{more}");
    // Rows of a table are not known before it is read.
    folder.write("t.csv", "1,2\n3,4\n");
    let table = folder.lrp(&format!("{each_file} -i t.csv --force --target '{{ region = \"each.npy\", class = 1 }}'"));
    assert!(table.complaint().contains("'t.csv' is one of several inputs"), "{table}");
    let mut whole = ArrayD::<f64>::zeros(IxDyn(&[4, 32, 32]));
    whole.index_axis_mut(Axis(0), 1).assign(&mask);
    write_npy(folder.path("whole.npy"), &whole).unwrap();
    let (same, _) = explain(&folder, SEGMENTS, "{ region = \"whole.npy\" }", "--start one");
    assert_eq!(same, region);
    // As relevance to start with, whatever the start is.
    let (seed, _) = explain(&folder, SEGMENTS, "{ seed = \"whole.npy\" }", "--start logit");
    assert_eq!(seed, region);

    // A class at every position of the leading axes is a column of the output.
    whole.fill(0.0);
    whole.index_axis_mut(Axis(2), 5).fill(1.0);
    write_npy(folder.path("column.npy"), &whole).unwrap();
    let (column, _) = explain(&folder, SEGMENTS, "{ region = \"column.npy\" }", "");
    let (each, manifest) = explain(&folder, SEGMENTS, "{ each = 5 }", "");
    assert_eq!(column, each);
    assert_eq!(record(&manifest, 1)["explained"], "128 of 128 positions, class 5");
    let (_, sum) = explain(&folder, SEGMENTS, "sum", "--start one");
    assert_eq!((number(&record(&sum, 0)["ledger"]["start"]), &sum["target"]), (4096.0, &"\"sum\"".into()));
}

#[test]
fn boxes_are_found_by_rank() {
    let folder = folder(DETECTS);
    let mut last = f64::INFINITY;
    for rank in 0..2 {
        let (found, manifest) = explain(&folder, DETECTS, &format!("{{ box = {rank} }}"), "");
        let of = record(&manifest, 0);
        let place = of["place"].as_str().unwrap().strip_prefix("box ").unwrap().to_owned();
        let channel = 4 + of["class"].as_u64().unwrap();
        let (same, _) = explain(&folder, DETECTS, &format!("{{ index = [{channel}, {place}] }}"), "");
        assert_eq!(same.index_axis(Axis(0), 0), found.index_axis(Axis(0), 0));
        assert!(number(&of["score"]) <= last);
        last = number(&of["score"]);
    }
}

#[test]
fn samples_have_targets_of_their_own() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    folder.write("labels.txt", "zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n");
    std::fs::copy(folder.path("digits.npy"), folder.path("x.npy")).unwrap();
    let of = |target: &str, more: &str| {
        explain(&folder, "cnn.onnx", target, &format!("--labels labels.txt --batch 5 {more}"))
    };
    let ((three, _), (contrast, _), (argmax, _)) = (of("3", ""), of("{ contrast = [4, 9] }", ""), of("argmax", ""));
    folder.write("in/targets.csv", "input,sample,target\nx,0,three\nx.npy,7,\"{ contrast = [4, 9] }\"\nother,1,3\n");
    let (own, manifest) = of("argmax", "--targets in/targets.csv");
    for (sample, own) in own.outer_iter().enumerate() {
        let expected = match sample {
            0 => &three,
            7 => &contrast,
            _ => &argmax,
        };
        assert_eq!(own, expected.index_axis(Axis(0), sample), "sample {sample}");
    }
    assert_eq!((&record(&manifest, 0)["class"], &record(&manifest, 7)["against"]), (&3.into(), &9.into()));
    assert_eq!(manifest["target_files"][0]["path"], "in/targets.csv");
    // In a recipe, relative to it; a line without a sample is for all.
    folder.write("in/all.csv", "target,input\n3,x\n");
    let recipe = "schema = 1\nextends = \"lrp-epsilon\"\n[explain]\ntargets = \"all.csv\"\n";
    folder.write("in/recipe.toml", recipe);
    folder.lrp("explain -m cnn.onnx -r in/recipe.toml -i x.npy --precision f64 --save npy -o own").ok();
    assert_eq!(read_npy::<_, Tensor<f64>>(folder.path("own/x.relevance.npy")).unwrap(), three);

    // A check follows the same outputs, and a figure shows them.
    let check = |more: &str| folder.lrp(&format!("check -m cnn.onnx -r lrp-epsilon -i x.npy --batch 5 --json {more}"));
    let start = |more: &str| number(&check(&format!("{more} --labels labels.txt")).json()["totals"]["received"]);
    let recorded = |i: usize, manifest: &Value| number(&record(manifest, i)["ledger"]["start"]);
    let sum: f64 = (0..16).map(|i| recorded(i, &manifest)).sum();
    let checked = start("--targets in/targets.csv --precision f64");
    assert!(
        (checked - sum).abs() < 1e-9 * sum.abs() && (checked - start("--precision f64")).abs() > 1.0,
        "{checked} {sum}"
    );
    let figure =
        "compare -m cnn.onnx -r lrp-epsilon -i x.npy --labels labels.txt -o figure.svg --targets in/targets.csv";
    folder.lrp(figure).ok();
    let text = String::from_utf8(folder.read("figure.svg")).unwrap();
    assert!(text.contains("target three") && text.contains("target four") && text.contains("predicted"), "{text}");

    let complaint = |csv: &str, target: &str| {
        folder.write("bad.csv", csv);
        let arguments =
            format!("explain -m cnn.onnx -r lrp-epsilon -i x.npy -o bad --target '{target}' --targets bad.csv");
        folder.lrp(&arguments).complaint().to_owned()
    };
    for (csv, target, says) in [
        ("input,target\nx,12\n", "argmax", "line 2: target 12 does not exist"),
        ("input,target\nx,3\nx,4\n", "argmax", "line 3: it is the second line"),
        ("input,sample,target\nx,one,4\n", "argmax", "line 2: 'one' is no number"),
        ("input,class\nx,4\n", "argmax", "line 1 does not name the columns"),
        ("input,target\nx,all\n", "argmax", "line 2: \"all\" is more than one"),
        ("input,target\ny,3\n", "argmax", "no line is on one of the inputs"),
        ("input,target\nx,3\n", "all", "and the target is \"all\""),
    ] {
        let complaint = complaint(csv, target).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(complaint.contains(says), "{says}\n{complaint}");
    }
}

/// The similarity of logits, as of embeddings: its score and its relevance, by hand.
#[test]
fn a_similarity_starts_with_its_terms() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy", "nine.png"]);
    std::fs::rename(folder.path("digits.npy"), folder.path("x.npy")).unwrap();
    let of = |target: &str, more: &str| explain(&folder, "cnn.onnx", target, &format!("--range 0,1 {more}"));
    let scores = |input: &str| -> Vec<Vec<f64>> {
        let all = format!(
            "explain -m cnn.onnx -r lrp-epsilon --range 0,1 --precision f64 --target all -i {input} -o all --force --save json"
        );
        folder.lrp(&all).ok();
        let manifest: Value = serde_json::from_slice(&folder.read("all/manifest.json")).unwrap();
        let samples = manifest["inputs"][0]["samples"].as_array().unwrap().clone();
        let targets =
            |sample: &Value| sample["targets"].as_array().unwrap().iter().map(|t| number(&t["score"])).collect();
        samples.iter().map(targets).collect()
    };
    let (of_x, of_nine) = (scores("x.npy"), scores("nine.png").remove(0));
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let terms =
        |z: &Vec<f64>, e: &[f64], norms: f64| -> Vec<f64> { z.iter().zip(e).map(|(z, e)| z * e / norms).collect() };
    for (target, is_cosine) in
        [("{ similarity = \"nine.png\" }", true), ("{ similarity = \"nine.png\", measure = \"dot\" }", false)]
    {
        let norm = |v: &[f64]| if is_cosine { dot(v, v).sqrt() } else { 1.0 };
        let seeds: Vec<f64> = of_x.iter().flat_map(|z| terms(z, &of_nine, norm(z) * norm(&of_nine))).collect();
        write_npy(folder.path("seed.npy"), &ArrayD::from_shape_vec(IxDyn(&[16, 10]), seeds).unwrap()).unwrap();
        let (by_seed, _) = of("{ seed = \"seed.npy\" }", "");
        let (relevance, manifest) = of(target, "--batch 5");
        assert!(relative_l2(&relevance, &by_seed) < 1e-9, "{target}: {}", relative_l2(&relevance, &by_seed));
        for (sample, z) in of_x.iter().enumerate() {
            let expected = dot(z, &of_nine) / (norm(z) * norm(&of_nine));
            let record = record(&manifest, sample);
            assert!((number(&record["score"]) - expected).abs() < 1e-9 * expected.abs(), "{record}");
            let start = number(&record["ledger"]["start"]);
            assert!((number(&record["score"]) - start).abs() < 1e-12 * expected.abs().max(1.0), "{record}");
        }
        let words = if is_cosine { "similarity to nine.png" } else { "dot product to nine.png" };
        assert_eq!((&record(&manifest, 0)["explained"], &manifest["target"]), (&words.into(), &target.into()));
        assert_eq!(manifest["target_files"][0]["path"], "nine.png");
    }
    // A sample for each: that of the same number. Nothing is as similar to a sample as itself.
    let (_, own) = of("{ similarity = \"x.npy\" }", "");
    for sample in 0..16 {
        assert!((number(&record(&own, sample)["score"]) - 1.0).abs() < 1e-9);
        assert_eq!(record(&own, sample)["explained"], format!("similarity to x.npy [{sample}]"));
    }
    // In a recipe, relative to it, and as the target of a single sample.
    folder.write(
        "in/r.toml",
        "schema = 1\nextends = \"lrp-epsilon\"\n[explain]\ntarget = { similarity = \"../nine.png\" }\n",
    );
    folder.lrp("explain -m cnn.onnx -r in/r.toml -i x.npy --range 0,1 --precision f64 --save npy -o own").ok();
    let of_recipe: Tensor<f64> = read_npy(folder.path("own/x.relevance.npy")).unwrap();
    let (cosine, _) = of("{ similarity = \"nine.png\" }", "");
    assert_eq!(of_recipe, cosine);
    folder.write("one.csv", "input,sample,target\nx,3,\"{ similarity = \"\"nine.png\"\" }\"\n");
    let (one, _) = of("argmax", "--targets one.csv");
    let (argmax, _) = of("argmax", "");
    assert_eq!(one.index_axis(Axis(0), 3), cosine.index_axis(Axis(0), 3));
    assert_eq!(one.index_axis(Axis(0), 4), argmax.index_axis(Axis(0), 4));
    write_npy(folder.path("short.npy"), &ArrayD::<f32>::ones(IxDyn(&[3, 1, 28, 28]))).unwrap();
    for (target, says) in [
        ("{ similarity = \"none.npy\" }", "cannot read 'none.npy'"),
        ("{ similarity = \"short.npy\" }", "given for 3 samples"),
        ("{ similarity = \"nine.png\", output = \"text\" }", "no output 'text'"),
        ("{ similarity = \"nine.png\", measure = \"angle\" }", "unknown variant `angle`"),
    ] {
        let run = folder.lrp(&format!(
            "explain -m cnn.onnx -r lrp-epsilon --range 0,1 -i x.npy -o out --force --target '{target}'"
        ));
        assert!(run.stderr.split_whitespace().collect::<Vec<_>>().join(" ").contains(says), "{target}: {run}");
    }
}

/// Two towers with inputs and weights of their own: `[N, 3] → [N, 2]` and `[N, 2] → [N, 2]`.
#[test]
fn a_similarity_to_the_other_tower() {
    let folder = Folder::new();
    let net = Onnx::default()
        .weights("v", &[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
        .weights("w", &[2, 2], &[0.0, 3.0, 1.0, 0.0])
        .node("MatMul", &["image", "v"], "of_image")
        .node("MatMul", &["text", "w"], "of_text");
    let outputs: &[(&str, &[u64])] = &[("of_image", &[1, 2]), ("of_text", &[1, 2])];
    folder.write("m.onnx", net.file(&[("image", &[1, 3]), ("text", &[1, 2])], &[], outputs));
    write_npy(folder.path("x.npy"), &ndarray::array![[1.0, 2.0, 2.0]]).unwrap();
    write_npy(folder.path("text.npy"), &ndarray::array![[4.0, 1.0]]).unwrap();
    // z = [3, 4], e = [1, 12]: the terms are 3 and 48, the norms 5 and √145.
    let similar = "{ similarity = \"text.npy\", output = \"of_text\"";
    let (dot, manifest) = explain(&folder, "m.onnx", &format!("{similar}, measure = \"dot\" }}"), "");
    let expected = ndarray::array![[1.0, 2.0 * 12.0, 2.0 * 13.0]].into_dyn();
    assert!(relative_l2(&dot, &expected) < 1e-5 && (number(&record(&manifest, 0)["score"]) - 51.0).abs() < 1e-12);
    let (cosine, _) = explain(&folder, "m.onnx", &format!("{similar} }}"), "");
    let norms = 5.0 * 145_f64.sqrt();
    assert!(relative_l2(&cosine, &expected.mapv(|r| r / norms)) < 1e-5, "{cosine}");
}

#[test]
fn targets_that_do_not_fit_are_refused() {
    let folder = folder(SEGMENTS);
    write_npy(folder.path("mask.npy"), &ArrayD::<f32>::ones(IxDyn(&[16, 16]))).unwrap();
    for (target, says) in [
        ("{ index = [2, 5] }", "have the shape [4, 32, 32]"),
        ("{ index = [4, 0, 0] }", "0 to 3, 0 to 31, 0 to 31"),
        ("{ at = -1, class = 3 }", "`at` has 1 index"),
        ("{ at = [0, 0], class = 32 }", "the class 32 does not exist"),
        ("{ at = [0, 0], class = \"cat\" }", "no labels are known"),
        ("{ region = \"mask.npy\", class = 1 }", "has the shape [16, 16]"),
        ("{ region = \"none.npy\", class = 1 }", "cannot read 'none.npy'"),
        ("{ box = 0 }", "`box` is for outputs"),
        ("{ index = 1, at = 2 }", "expected one of `top`"),
    ] {
        let run = folder.lrp(&format!("explain -m {SEGMENTS} -r lrp-epsilon -i x.npy -o out --target '{target}'"));
        let complaint = run.complaint().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(complaint.contains(says), "{target}: {says}\n{complaint}");
    }
    // A recipe's target is shown where it stands.
    folder.write("r.toml", "schema = 1\nextends = \"lrp-epsilon\"\n[explain]\ntarget = { index = [2, 5] }\n");
    let run = folder.lrp(&format!("plan -m {SEGMENTS} -r r.toml"));
    assert!(run.complaint().contains("r.toml:4"), "{run}");
}

#[test]
fn an_output_is_chosen_by_its_name() {
    let folder = Folder::new();
    std::fs::copy(repository().join("tests/models/digits_mlp.skl2onnx.onnx"), folder.path("m.onnx")).unwrap();
    let layers = folder.lrp("layers -m m.onnx --json").ok().to_owned();
    let layers: Value = serde_json::from_str(&layers).unwrap();
    let outputs = layers["outputs"].as_array().unwrap();
    assert_eq!(outputs.len(), 2);
    let explained: Vec<&Value> = outputs.iter().filter(|output| output["explained"] == true).collect();
    assert_eq!((explained.len(), &explained[0]["name"]), (1, &"probabilities".into()));
    assert_eq!((&layers["inputs"][0]["dtype"], &layers["inputs"][0]["role"]), (&"float32".into(), &"explained".into()));
    let name = explained[0]["name"].as_str().unwrap();
    write_npy(folder.path("x.npy"), &ArrayD::<f32>::ones(IxDyn(&[1, 64]))).unwrap();
    let run = |output: &str, dir: &str| {
        let arguments =
            format!("explain -m m.onnx -r lrp-epsilon -i x.npy --save npy,json -o {dir} --model-output {output}");
        folder.lrp(&arguments)
    };
    run(name, "out").ok();
    let manifest: Value = serde_json::from_slice(&folder.read("out/manifest.json")).unwrap();
    assert_eq!(manifest["output"], name);
    let wrong = run("logits", "wrong");
    assert!(wrong.complaint().contains("no output 'logits'") && wrong.stderr.contains("'probabilities'"), "{wrong}");
    // The same in a recipe.
    folder.write("r.toml", "schema = 1\nextends = \"lrp-epsilon\"\n[explain]\noutput = \"logits\"\n");
    let wrong = folder.lrp("plan -m m.onnx -r r.toml");
    assert!(wrong.complaint().contains("no output 'logits'"), "{wrong}");
    assert!(folder.lrp(&format!("plan -m m.onnx -r r.toml --model-output {name}")).ok().contains("m.onnx"));
    let recipe = folder.lrp(&format!("init -m m.onnx --model-output {name}"));
    assert!(recipe.ok().contains(&format!("\"{name}\"")), "{recipe}");
}
