//! Inputs stream through `lrp explain`: nothing depends on how they are cut into batches, and a run that is killed can be resumed.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use lrp_tests::program::{Folder, repository};
use ndarray::{ArrayD, Axis, IxDyn};
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;

const EXPLAIN: &str = "explain -m cnn.onnx -r epsilon-plus --range 0,1";
const JOURNAL: &str = "out/manifest.partial.jsonl";

/// `n` digits, no two of them alike.
fn digits(n: usize) -> ArrayD<f32> {
    let sixteen: ArrayD<f32> = read_npy(repository().join("examples/mnist/digits.npy")).unwrap();
    ArrayD::from_shape_fn(IxDyn(&[n, 1, 28, 28]), |i| {
        sixteen[[i[0] % 16, 0, i[2], i[3]]] * (1.0 - (i[0] / 16) as f32 / 100.0)
    })
}

/// A folder with the model and `many.npy`.
fn folder(n: usize) -> Folder {
    let folder = Folder::with(&["cnn.onnx"]);
    write_npy(folder.path("many.npy"), &digits(n)).unwrap();
    folder
}

/// The manifest without what differs from run to run.
fn manifest(folder: &Folder, dir: &str) -> Value {
    let mut manifest: Value = serde_json::from_slice(&folder.read(&format!("{dir}/manifest.json"))).unwrap();
    for key in ["timings", "command"] {
        manifest.as_object_mut().unwrap().remove(key);
    }
    manifest
}

/// Asserts that two folders have the same files, bit for bit, and the same manifest.
fn assert_same(folder: &Folder, a: &str, b: &str) {
    assert_eq!(folder.list(a), folder.list(b));
    for name in folder.list(a).iter().filter(|name| *name != "manifest.json") {
        assert!(folder.read(&format!("{a}/{name}")) == folder.read(&format!("{b}/{name}")), "{name} differs");
    }
    assert_eq!(manifest(folder, a), manifest(folder, b));
}

/// The lines of the journal, the first and what may be torn excepted.
fn journal(folder: &Folder) -> Vec<Value> {
    let text = fs::read_to_string(folder.path(JOURNAL)).unwrap_or_default();
    text.lines().skip(1).filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// When the files of a folder were written.
fn times(folder: &Folder, dir: &str) -> Vec<(String, SystemTime)> {
    let time = |name: &String| fs::metadata(folder.path(dir).join(name)).unwrap().modified().unwrap();
    folder.list(dir).into_iter().map(|name| (name.clone(), time(&name))).collect()
}

/// Runs the program and lets it fail when all is done but the manifest: a journal of everything is left.
fn interrupted(folder: &Folder, arguments: &str) {
    fs::create_dir_all(folder.path("out/manifest.json.part")).unwrap();
    assert!(folder.lrp(arguments).complaint().contains("cannot write 'out/manifest.json'"));
    fs::remove_dir(folder.path("out/manifest.json.part")).unwrap();
    assert!(folder.path(JOURNAL).is_file());
}

#[test]
fn a_large_array_gives_the_same_bits_however_it_is_cut() {
    let folder = folder(1000);
    let explain = format!("{EXPLAIN} -i many.npy --save npy,json");
    folder.lrp(&format!("{explain} --batch 1000 -o whole")).silent();
    folder.lrp(&format!("{explain} --batch 32 --threads 1 -o slices")).silent();
    assert_same(&folder, "whole", "slices");
    let relevance: ArrayD<f32> = read_npy(folder.path("whole/many.relevance.npy")).unwrap();
    assert_eq!(relevance.shape(), [1000, 1, 28, 28]);
    // Alone, a sample from the middle has the relevance that it has there.
    write_npy(folder.path("one.npy"), &digits(1000).slice_axis(Axis(0), (777..778).into())).unwrap();
    folder.lrp(&format!("{EXPLAIN} -i one.npy -o one")).silent();
    let one: ArrayD<f32> = read_npy(folder.path("one/one.relevance.npy")).unwrap();
    assert_eq!(one.index_axis(Axis(0), 0), relevance.index_axis(Axis(0), 777));
}

#[test]
fn less_memory_changes_no_bit() {
    let folder = folder(70);
    folder.lrp(&format!("{EXPLAIN} -i many.npy -o exact --exact")).silent();
    folder.lrp(&format!("{EXPLAIN} -i many.npy -o thrifty --low-memory")).silent();
    assert_same(&folder, "exact", "thrifty");
}

#[test]
fn targets_have_their_axis_however_the_array_is_cut() {
    let folder = folder(20);
    fs::copy(repository().join("examples/mnist/nine.png"), folder.path("nine.png")).unwrap();
    let explain = format!("{EXPLAIN} -i nine.png many.npy --target '{{ top = 3 }}'");
    folder.lrp(&format!("{explain} --batch 32 -o whole")).silent();
    folder.lrp(&format!("{explain} --batch 3 -o slices")).silent();
    assert_same(&folder, "whole", "slices");
    let relevance: ArrayD<f32> = read_npy(folder.path("slices/many.relevance.npy")).unwrap();
    assert_eq!(relevance.shape(), [3, 20, 1, 28, 28]);
    assert_eq!(folder.list("slices").len(), 5 + 3 * 21);
}

#[test]
fn a_sample_that_cannot_be_explained_is_said_and_the_others_are_explained() {
    let folder = folder(40);
    for (name, value, why) in [
        ("nan", f32::NAN, "'nan.npy': sample 25 has the value NaN at [0, 3, 4]"),
        ("huge", f32::MAX, "has a value that is not finite (NaN or infinite) in sample 25"),
    ] {
        let mut bad = digits(40);
        bad[[25, 0, 3, 4]] = value;
        // Large enough for the sum to overflow.
        if value.is_finite() {
            bad.index_axis_mut(Axis(0), 25).fill(value);
        }
        write_npy(folder.path(format!("{name}.npy")), &bad).unwrap();
        let explain = format!("{EXPLAIN} --batch 4");
        let run = folder.lrp(&format!("{explain} -i {name}.npy many.npy -o {name}"));
        assert_eq!(run.code, Some(2), "{run}");
        assert!(run.stderr.contains(why), "{run}");
        let manifest = manifest(&folder, name);
        assert!(manifest["failed"][0]["reason"].as_str().unwrap().contains(why), "{manifest}");
        assert_eq!(
            (&manifest["failed"][0]["path"], &manifest["failed"][0]["sample"]),
            (&format!("{name}.npy").into(), &25.into())
        );
        assert_eq!(
            (&manifest["inputs"][0]["path"], &manifest["inputs"][1]["path"]),
            (&format!("{name}.npy").into(), &"many.npy".into())
        );
        assert_eq!(folder.list(name).len(), 42 + 41 + 1, "{:?}", folder.list(name));
        assert!(!folder.list(name).contains(&format!("{name}.25.heatmap.png")));
    }
}

/// The program, running until so many lines have been added to its journal, and killed then.
fn kill_after(folder: &Folder, arguments: &str, lines: usize) {
    struct Running(Child);
    impl Drop for Running {
        fn drop(&mut self) {
            // SIGKILL, on Unix: the program has no chance to tidy up.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let wanted = journal(folder).len() + lines;
    let start = Instant::now();
    let mut run = Running(folder.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    while journal(folder).len() < wanted {
        assert!(run.0.try_wait().unwrap().is_none(), "the program was done before it could be killed");
        assert!(start.elapsed() < Duration::from_secs(60), "the journal does not grow");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_run_that_is_killed_is_resumed_where_it_was() {
    let folder = folder(300);
    for name in ["nine.png", "nine_with_patch.png"] {
        fs::copy(repository().join("examples/mnist").join(name), folder.path(name)).unwrap();
    }
    let explain = format!("{EXPLAIN} -i nine.png many.npy nine_with_patch.png");
    folder.lrp(&format!("{explain} -o whole")).silent();

    let explain = format!("{explain} -o out --threads 1 --batch");
    kill_after(&folder, &format!("{explain} 3"), 8);
    for round in 1..=2 {
        assert!(!folder.path("out/many.relevance.npy").exists() && !folder.path("out/manifest.json").exists());
        let lines = journal(&folder);
        let samples: usize = lines.iter().map(|line| line["samples"].as_array().unwrap().len()).sum();
        let before = times(&folder, "out");
        // Batches need not be those of the first run.
        kill_after(&folder, &format!("{explain} 5 --resume"), 8);
        // Nothing is repeated: what was in the journal stands, and its heatmaps are those of the first run.
        assert_eq!(journal(&folder)[..lines.len()], lines, "round {round}");
        let next = &journal(&folder)[lines.len()];
        assert_eq!(next["first"].as_u64().unwrap() as usize, samples - 1, "one of them is that of nine.png");
        let after = times(&folder, "out");
        let journaled = lines.iter().flat_map(|line| line["samples"].as_array().unwrap());
        let heatmaps: Vec<&str> = journaled.map(|s| s["targets"][0]["heatmap"].as_str().unwrap()).collect();
        assert_eq!(heatmaps.len(), samples);
        for (name, time) in before.iter().filter(|(name, _)| heatmaps.contains(&name.as_str())) {
            assert!(after.contains(&(name.clone(), *time)), "{name} was written again");
        }
    }
    folder.lrp(&format!("{explain} 32 --resume")).silent();
    // Nothing is lost.
    assert_same(&folder, "whole", "out");
}

#[test]
fn exports_of_a_resumed_run_are_those_of_a_whole_one() {
    let folder = folder(200);
    let explain = format!("{EXPLAIN} -i many.npy --save npz,safetensors,quantus,json");
    folder.lrp(&format!("{explain} -o whole")).silent();
    kill_after(&folder, &format!("{explain} -o out --threads 1 --batch 3"), 8);
    folder.lrp(&format!("{explain} -o out --resume")).silent();
    let files = ["manifest.json", "many.relevance.npz", "many.relevance.safetensors", "quantus.npz"];
    assert_eq!(folder.list("out"), files);
    assert_same(&folder, "whole", "out");
}

#[test]
fn only_the_same_run_is_resumed() {
    let folder = folder(3);
    let explain = format!("{EXPLAIN} -i many.npy -o out");
    interrupted(&folder, &explain);
    for (flags, what) in [
        ("--target 3", "the target\n"),
        ("--precision f64 --start one", "the precision, the start\n"),
        ("--save npy,json", "what is saved\n"),
        ("--exact --colormap gray", "the exact products, the colour map\n"),
    ] {
        let run = folder.lrp(&format!("{explain} {flags} --resume"));
        let text = run.complaint().replace("\n  | ", " ");
        assert!(text.contains("is the journal of another run") && text.contains(what), "{run}");
    }
    fs::write(folder.path("recipe.toml"), "schema = 1\nextends = \"epsilon-plus\"\n").unwrap();
    let run = folder.lrp("explain -m cnn.onnx -r recipe.toml -i many.npy -o out --resume");
    assert!(run.complaint().contains("what differs is the recipe"), "{run}");

    // Threads and batches are no difference. What was done is not done again.
    let before = times(&folder, "out");
    folder.lrp(&format!("{explain} --threads 1 --batch 2 --resume")).silent();
    assert!(times(&folder, "out").iter().all(|file| before.contains(file) || file.0 == "manifest.json"));
    assert!(!folder.path(JOURNAL).exists());
    folder.lrp(&format!("{EXPLAIN} -i many.npy -o whole")).silent();
    assert_same(&folder, "whole", "out");
}

#[test]
fn with_force_a_run_begins_anew_and_without_a_journal_too() {
    let folder = folder(3);
    let explain = format!("{EXPLAIN} -i many.npy -o out");
    interrupted(&folder, &explain);
    let run = folder.lrp(&explain);
    assert!(run.complaint().contains("a run into 'out' was interrupted: 3 of 3 samples are done"), "{run}");
    assert!(folder.path(JOURNAL).is_file());
    folder.lrp(&format!("{explain} --force")).silent();
    assert!(!folder.path(JOURNAL).exists());
    fs::remove_file(folder.path("out/manifest.json")).unwrap();
    let run = folder.lrp(&format!("{explain} --resume"));
    assert!(run.code == Some(0) && run.stderr.starts_with("note: no interrupted run found"), "{run}");
    folder.lrp(&format!("{EXPLAIN} -i many.npy -o whole")).silent();
    assert_same(&folder, "whole", "out");
}

#[test]
fn torn_lines_and_changed_files_are_explained_again() {
    let folder = folder(3);
    write_npy(folder.path("more.npy"), &digits(7)).unwrap();
    let explain = format!("{EXPLAIN} -i many.npy more.npy -o out --batch 2");
    folder.lrp(&explain.replace("-o out", "-o whole")).silent();
    let tear = |keep: usize| {
        interrupted(&folder, &explain);
        let text = folder.read(JOURNAL);
        fs::write(folder.path(JOURNAL), &text[..text.len() - keep]).unwrap();
    };
    let resume = |what: &str| {
        folder.lrp(&format!("{explain} --resume")).ok();
        assert!(!folder.path(JOURNAL).exists(), "{what}");
        assert_same(&folder, "whole", "out");
    };
    for torn in [1, 10, 500] {
        tear(torn);
        resume("a torn line");
    }
    // Down to its first line, which is torn itself.
    interrupted(&folder, &explain);
    fs::write(folder.path(JOURNAL), "{\"the model\":").unwrap();
    resume("a journal without a line");

    interrupted(&folder, &explain);
    fs::remove_file(folder.path("out/many.relevance.npy")).unwrap();
    fs::remove_file(folder.path("out/more.5.heatmap.png")).unwrap();
    resume("results are missing");

    write_npy(folder.path("more.npy"), &digits(6)).unwrap();
    interrupted(&folder, &explain);
    write_npy(folder.path("more.npy"), &digits(7)).unwrap();
    resume("an input has changed");
    assert!(Path::new(&folder.path("whole/more.6.heatmap.png")).is_file());
}
