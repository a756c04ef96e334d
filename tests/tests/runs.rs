//! Output folders and what is read for them: whatever happens to files during and between runs, no wrong row stands under a right hash,
//! and no finished work is lost by accident.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use lrp_tests::program::{Folder, repository};
use ndarray::{Array2, ArrayD, Axis, IxDyn};
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;
use sha2::{Digest, Sha256};

const EXPLAIN: &str = "explain -m cnn.onnx -r epsilon-plus --range 0,1";
const JOURNAL: &str = "out/manifest.partial.jsonl";

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digits(n: usize) -> ArrayD<f32> {
    let sixteen: ArrayD<f32> = read_npy(repository().join("examples/mnist/digits.npy")).unwrap();
    ArrayD::from_shape_fn(IxDyn(&[n, 1, 28, 28]), |i| sixteen[[i[0] % 16, 0, i[2], i[3]]])
}

fn manifest(folder: &Folder, dir: &str) -> Value {
    serde_json::from_slice(&folder.read(&format!("{dir}/manifest.json"))).unwrap()
}

/// The message as one line.
fn flat(text: &str) -> String {
    text.replace("\n  | ", " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lines(folder: &Folder) -> usize {
    fs::read_to_string(folder.path(JOURNAL)).map_or(0, |text| text.lines().count())
}

/// A running program, which is killed at the latest when nobody looks after it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts it, and waits until its journal has so many lines.
    fn until(folder: &Folder, arguments: &str, wanted: usize) -> Self {
        let mut command: Command = folder.command(arguments);
        let mut run = Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let start = Instant::now();
        while lines(folder) < wanted {
            assert!(run.0.try_wait().unwrap().is_none(), "the program was done too early");
            assert!(start.elapsed() < Duration::from_secs(60), "the journal does not grow");
            std::thread::sleep(Duration::from_millis(1));
        }
        run
    }

    /// Sends a signal.
    #[cfg(unix)]
    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.0.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    fn end(mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(120), "the program does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut text = String::new();
        std::io::Read::read_to_string(self.0.stderr.as_mut().unwrap(), &mut text).unwrap();
        (self.0.wait().unwrap().code(), text)
    }
}

/// A folder with the model and `many.npy`, whose run was killed.
fn killed(n: usize, flags: &str) -> (Folder, String) {
    let folder = Folder::with(&["cnn.onnx"]);
    write_npy(folder.path("many.npy"), &digits(n)).unwrap();
    let explain = format!("{EXPLAIN} -i many.npy -o out --threads 1 --batch 3 {flags}");
    drop(Running::until(&folder, &explain, 8));
    (folder, explain)
}

// ---- a model whose weights are in another file ----

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn part(field: u64, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// `x [N, 4] · w [4, 3]`, with w in `ex.data`, which is as long as that says.
fn external(folder: &Folder, length: u64) {
    let value = |name: &str, width: u64| {
        let dims = [part(1, part(2, "N")), part(1, number(1, width))].concat();
        let tensor = [number(1, 1), part(2, dims)].concat();
        [part(1, name), part(2, part(1, tensor))].concat()
    };
    let entry = |key: &str, value: &str| part(13, [part(1, key), part(2, value)].concat());
    let weights = [
        number(1, 4),
        number(1, 3),
        number(2, 1),
        part(8, "w"),
        entry("location", "ex.data"),
        entry("offset", "0"),
        entry("length", "48"),
        number(14, 1),
    ];
    let node = [part(1, "x"), part(1, "w"), part(2, "y"), part(3, "product"), part(4, "MatMul")].concat();
    let graph =
        [part(1, node), part(2, "g"), part(5, weights.concat()), part(11, value("x", 4)), part(12, value("y", 3))];
    let model = [number(1, 8), part(7, graph.concat()), part(8, number(2, 13))].concat();
    folder.write("ex.onnx", model);
    scale(folder, 1.0);
    fs::File::options().write(true).open(folder.path("ex.data")).unwrap().set_len(length).unwrap();
}

/// Writes the weights in place.
fn scale(folder: &Folder, factor: f32) {
    let weights: Vec<u8> = (1..=12).flat_map(|i| (i as f32 * factor).to_le_bytes()).collect();
    let mut file = fs::File::options().write(true).create(true).truncate(false).open(folder.path("ex.data")).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&weights).unwrap();
}

fn inputs(folder: &Folder, n: usize) {
    let array = Array2::<f32>::from_shape_fn((n, 4), |(i, j)| 1.0 + ((i + j) % 7) as f32);
    write_npy(folder.path("x.npy"), &array).unwrap();
}

#[test]
fn weights_in_another_file_are_part_of_the_model() {
    let folder = Folder::new();
    external(&folder, 48);
    inputs(&folder, 40_000);
    let explain = "explain -m ex.onnx -r lrp-epsilon -i x.npy -o out --batch 1 --save npy,json";
    drop(Running::until(&folder, explain, 20));
    scale(&folder, 1.5);
    let run = folder.lrp(&format!("{explain} --resume"));
    assert!(flat(run.complaint()).contains("what differs is the model's weights in other files"), "{run}");
    scale(&folder, 1.0);
    folder.lrp(&format!("{} --resume --batch 4096", explain.replace(" --batch 1", ""))).silent();
    let record = &manifest(&folder, "out")["model"];
    assert_eq!(record["sha256"], sha256(&folder.read("ex.onnx")));
    assert_eq!(record["external"][0]["path"], "ex.data");
    assert_eq!(record["external"][0]["sha256"], sha256(&folder.read("ex.data")));
}

#[test]
fn a_model_that_is_written_to_during_a_run_gives_no_wrong_row() {
    // Too large to be read as a whole: it is mapped.
    let folder = Folder::new();
    external(&folder, 70 << 20);
    inputs(&folder, 40_000);
    let explain = "explain -m ex.onnx -r lrp-epsilon -i x.npy -o out --batch 1 --threads 1 --save npy,json";
    let run = Running::until(&folder, explain, 20);
    scale(&folder, 1.5);
    let (code, text) = run.end();
    assert_eq!(code, Some(2), "{text}");
    assert!(flat(&text).contains("'ex.data' was written to while it was in use"), "{text}");
    assert!(!folder.path("out/manifest.json").exists());
    let run = folder.lrp(&format!("{explain} --resume"));
    assert!(flat(run.complaint()).contains("the model's weights in other files"), "{run}");

    // What is in the journal is of the model as it was.
    scale(&folder, 1.0);
    let text = String::from_utf8(folder.read(JOURNAL)).unwrap();
    for line in text.lines().skip(1) {
        let line: Value = serde_json::from_str(line).unwrap();
        let i = line["first"].as_u64().unwrap() as usize;
        let x = |j: usize| 1.0 + ((i + j) % 7) as f64;
        let logits: Vec<f64> = (0..3).map(|k| (0..4).map(|j| x(j) * (1 + 3 * j + k) as f64).sum()).collect();
        assert_eq!(line["samples"][0]["targets"][0]["score"].as_f64().unwrap(), logits[2], "{line}");
    }
    // Read as a whole, it may be written to.
    fs::remove_dir_all(folder.path("out")).unwrap();
    inputs(&folder, 3000);
    let run = Running::until(&folder, &format!("{explain} --no-mmap"), 5);
    scale(&folder, 1.5);
    assert_eq!(run.end().0, Some(0));
    scale(&folder, 1.0);
    assert_eq!(manifest(&folder, "out")["model"]["external"][0]["sha256"], sha256(&folder.read("ex.data")));
}

// ---- one process, one folder ----

#[test]
fn a_folder_is_held_by_one_process_at_a_time() {
    let folder = Folder::with(&["cnn.onnx", "nine.png"]);
    write_npy(folder.path("many.npy"), &digits(3000)).unwrap();
    let explain = format!("{EXPLAIN} -i many.npy -o out --threads 1 --batch 1");
    let run = Running::until(&folder, &explain, 3);
    let pid = format!("process {} on '", run.0.id());
    for other in [&format!("{EXPLAIN} -i nine.png -o out") as &str, &format!("{explain} --resume"), "report out"] {
        let second = folder.lrp(other);
        let text = flat(second.complaint());
        assert!(text.contains("'out' is in use") && text.contains(&pid), "{second}");
    }
    drop(run);
    // What a dead process has left holds nothing.
    folder.lrp(&format!("{EXPLAIN} -i nine.png -o out --force")).ok();
    assert!(!folder.list("out").iter().any(|name| name.contains("lock")), "{:?}", folder.list("out"));
}

// ---- resume ----

#[test]
fn what_does_not_match_the_journal_is_made_again_and_said() {
    let (folder, explain) = killed(150, "");
    folder.lrp(&explain.replace("-o out", "-o whole")).silent();
    let saved = Folder::new();
    let copy = |from: &Folder, to: &Folder| {
        let _ = fs::remove_dir_all(to.path("out"));
        for name in from.list("out") {
            to.write(&format!("out/{name}"), from.read(&format!("out/{name}")));
        }
    };
    copy(&folder, &saved);
    let relevance = "many.relevance.npy.part";
    let ledger = "many.ledger.npy.part";
    type Mangle = fn(Vec<u8>) -> Vec<u8>;
    let mangle: [(&str, &str, Mangle); 6] = [
        ("cut by a byte", relevance, |bytes| bytes[..bytes.len() - 1].to_vec()),
        ("longer", relevance, |bytes| [bytes, vec![0]].concat()),
        ("zeros at the start", relevance, |bytes| [vec![0; 5000], bytes[5000..].to_vec()].concat()),
        ("one bit", ledger, |mut bytes| {
            bytes[200] ^= 1;
            bytes
        }),
        ("emptied", "many.1.heatmap.png", |_| Vec::new()),
        ("another picture", "many.4.heatmap.png", |bytes| [bytes, vec![0]].concat()),
    ];
    for (what, name, change) in mangle {
        copy(&saved, &folder);
        folder.write(&format!("out/{name}"), change(folder.read(&format!("out/{name}"))));
        let run = folder.lrp(&format!("{explain} --resume"));
        run.ok();
        assert!(run.stderr.contains("explained again") && run.stderr.contains("'many.npy'"), "{what}: {run}");
        assert_eq!(folder.list("out"), folder.list("whole"), "{what}");
        for name in folder.list("whole").iter().filter(|name| *name != "manifest.json") {
            assert!(folder.read(&format!("out/{name}")) == folder.read(&format!("whole/{name}")), "{what}: {name}");
        }
    }
    // What matches is not made again.
    copy(&saved, &folder);
    folder.lrp(&format!("{explain} --resume")).silent();
}

#[cfg(unix)]
#[test]
fn names_in_a_journal_and_links_lead_nowhere_else() {
    let (folder, explain) = killed(150, "");
    folder.write("precious", "precious");
    let text = String::from_utf8(folder.read(JOURNAL)).unwrap();
    let absolute = folder.path("precious").display().to_string();
    for name in [absolute.as_str(), "../precious", "../out/../precious"] {
        folder.write(JOURNAL, text.replace("many.0.heatmap.png", name));
        // Another input makes what is in the journal void.
        write_npy(folder.path("many.npy"), &digits(59)).unwrap();
        folder.lrp(&format!("{explain} --resume")).ok();
        assert_eq!(folder.read("precious"), b"precious", "{name}");
        folder.write(JOURNAL, text.replace("many.0.heatmap.png", name));
        folder.lrp(&format!("{explain} --force")).ok();
        assert_eq!(folder.read("precious"), b"precious", "{name}");
    }
    for link in [
        "many.relevance.npy.part",
        "many.0.heatmap.png.part",
        "manifest.json.part",
        "manifest.partial.jsonl",
        "manifest.json",
    ] {
        for hard in [false, true] {
            let path = folder.path("out").join(link);
            let _ = fs::remove_file(&path);
            match hard {
                true => fs::hard_link(folder.path("precious"), path).unwrap(),
                false => std::os::unix::fs::symlink(folder.path("precious"), path).unwrap(),
            }
            let run = folder.lrp(&explain);
            assert_eq!(run.code, Some(0), "{link}: {run}");
            assert_eq!(folder.read("precious"), b"precious", "{link}");
            assert!(folder.path("out/many.relevance.npy").is_file());
        }
    }
}

#[test]
fn a_finished_run_is_not_run_again() {
    let folder = Folder::with(&["cnn.onnx", "nine.png"]);
    let explain = format!("{EXPLAIN} -i nine.png -o out");
    folder.lrp(&explain).silent();
    let before = manifest(&folder, "out");
    assert_eq!(
        folder.lrp(&format!("{explain} --resume")).silent(),
        "nothing to do: 1 sample explained into out before\n"
    );
    assert_eq!(folder.lrp(&format!("{explain} --resume --json")).json(), before);
    // Another run is not this one, and is not lost.
    let run = folder.lrp(&format!("{explain} --resume --target 3"));
    assert!(flat(run.complaint()).contains("has another, finished run: what differs is the target"), "{run}");
    assert_eq!(manifest(&folder, "out"), before);
    // A result that has changed is made again.
    folder.write("out/nine.heatmap.png", "");
    let run = folder.lrp(&format!("{explain} --resume"));
    assert!(
        run.code == Some(0) && run.stderr.contains("'nine.heatmap.png' is not what the finished run has written"),
        "{run}"
    );
    assert!(!folder.read("out/nine.heatmap.png").is_empty());
}

#[test]
fn an_interrupted_run_is_not_lost_by_forgetting_resume() {
    let (folder, explain) = killed(150, "");
    let journal = folder.read(JOURNAL);
    let run = folder.lrp(&explain);
    let text = flat(run.complaint());
    assert!(text.contains("was interrupted: ") && text.contains(" of 150 samples are done"), "{run}");
    assert!(text.contains("--resume goes on with it, --force starts anew"), "{run}");
    assert_eq!(folder.read(JOURNAL), journal);
    folder.lrp(&format!("{explain} --force")).silent();
    assert!(!folder.path(JOURNAL).exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_is_done_and_says_how_to_go_on() {
    for signal in ["INT", "TERM"] {
        let folder = Folder::with(&["cnn.onnx"]);
        write_npy(folder.path("many.npy"), &digits(600)).unwrap();
        let explain = format!("{EXPLAIN} -i many.npy -o out --threads 1 --batch 2");
        let run = Running::until(&folder, &explain, 4);
        run.signal(signal);
        let (code, text) = run.end();
        assert_eq!(code, Some(130), "{text}");
        assert!(text.contains("of 600 samples done; go on with --resume"), "{text}");
        let done: usize = text.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
        assert_eq!(done, 2 * (lines(&folder) - 1));
        assert!(!folder.path("out/manifest.json").exists());
        folder.lrp(&format!("{explain} --resume --batch 32").replace("--batch 2 ", "")).silent();
        let relevance: ArrayD<f32> = read_npy(folder.path("out/many.relevance.npy")).unwrap();
        assert!(relevance.outer_iter().all(|sample| sample.iter().any(|r| *r != 0.0)));
    }
}

#[cfg(unix)]
#[test]
fn a_limit_on_the_size_of_files_is_an_error_like_any_other() {
    let folder = Folder::with(&["cnn.onnx"]);
    write_npy(folder.path("many.npy"), &digits(100)).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 100; exec \"$0\" \"$@\""]).arg(lrp_tests::program::lrp());
    command.args(format!("{EXPLAIN} -i many.npy -o out --save npy").split_whitespace());
    folder.prepare(&mut command);
    let output: Output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("cannot write 'out/many."), "{text}");
}

// ---- manifests ----

#[test]
fn an_unfinished_run_has_no_manifest_and_a_finished_one_has_hashes_that_the_report_checks() {
    let folder = Folder::with(&["cnn.onnx", "nine.png"]);
    write_npy(folder.path("many.npy"), &digits(200)).unwrap();
    folder.lrp(&format!("{EXPLAIN} -i many.npy -o out --save npy,png,json,npz")).silent();
    let record = manifest(&folder, "out");
    let files = record["inputs"][0]["files"].as_array().unwrap();
    assert_eq!(files.len(), 203, "relevance, ledger, archive and heatmaps");
    for file in files {
        let name = file["path"].as_str().unwrap();
        assert_eq!(file["sha256"], sha256(&folder.read(&format!("out/{name}"))), "{name}");
    }
    folder.lrp("report out").silent();
    for name in ["many.relevance.npy", "many.ledger.npy"] {
        let bytes = folder.read(&format!("out/{name}"));
        let mut other = bytes.clone();
        other[1000] ^= 1;
        folder.write(&format!("out/{name}"), other);
        let run = folder.lrp("report out");
        assert!(flat(run.complaint()).contains(&format!("'out/{name}' is not what was written")), "{run}");
        folder.write(&format!("out/{name}"), bytes);
    }
    folder.write("out/many.7.heatmap.png", "");
    let run = folder.lrp("report out");
    assert!(run.code == Some(0) && run.stderr.contains("'many.7.heatmap.png'"), "{run}");

    // Another run into this folder, killed.
    drop(Running::until(&folder, &format!("{EXPLAIN} -i many.npy -o out --target 3 --threads 1 --batch 1"), 3));
    assert!(!folder.path("out/manifest.json").exists());
    assert_eq!(folder.lrp("report out").code, Some(2));
}

#[test]
fn files_of_another_run_are_warned_of_and_force_removes_them() {
    let folder = Folder::with(&["cnn.onnx", "nine.png", "digits.npy"]);
    folder.lrp(&format!("{EXPLAIN} -i digits.npy -o out")).silent();
    // The same again is no reason to warn.
    folder.lrp(&format!("{EXPLAIN} -i digits.npy -o out --target 3")).silent();
    let run = folder.lrp(&format!("{EXPLAIN} -i nine.png -o out"));
    assert_eq!(run.code, Some(0));
    assert!(
        run.stderr.starts_with("warning: 18 files in 'out' are not of this run, such as 'digits.0.heatmap.png'"),
        "{run}"
    );
    folder.lrp(&format!("{EXPLAIN} -i digits.npy -o clean")).silent();
    folder.write("clean/mine.txt", "mine");
    folder.lrp(&format!("{EXPLAIN} -i nine.png -o clean --force")).silent();
    let files = ["manifest.json", "mine.txt", "nine.heatmap.png", "nine.ledger.npy", "nine.relevance.npy"];
    assert_eq!(folder.list("clean"), files);
}

// ---- no output is an input ----

#[test]
fn no_output_is_an_input() {
    let folder = Folder::with(&["cnn.onnx", "nine.png", "digits.npy", "labels.txt"]);
    fs::copy(folder.path("digits.npy"), folder.path("digits.relevance.npy")).unwrap();
    fs::copy(folder.path("nine.png"), folder.path("nine.heatmap.png")).unwrap();
    folder.write("mine.toml", "schema = 1\nextends = \"epsilon-plus\"\n[input]\nrange = [0.0, 1.0]\n");
    folder.lrp(&format!("{EXPLAIN} -i nine.png -o out")).silent();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.path("nine.png"), folder.path("link.png")).unwrap();
        fs::hard_link(folder.path("nine.png"), folder.path("hard.png")).unwrap();
        fs::create_dir(folder.path("linked")).unwrap();
        std::os::unix::fs::symlink(folder.path("digits.npy"), folder.path("linked/digits.ledger.npy")).unwrap();
    }
    let names =
        ["cnn.onnx", "nine.png", "digits.npy", "labels.txt", "digits.relevance.npy", "nine.heatmap.png", "mine.toml"];
    let before: Vec<Vec<u8>> = names.iter().map(|name| folder.read(name)).collect();
    let compare = "compare -m cnn.onnx -r lrp-0 -r mine.toml -i nine.png --labels labels.txt -o";
    let mut refused = vec![
        format!("{EXPLAIN} -i digits.npy digits.relevance.npy -o ."),
        format!("{EXPLAIN} -i nine.png nine.heatmap.png -o ."),
        format!("{compare} nine.png"),
        format!("{compare} ./out/../nine.png"),
        "report out -o cnn.onnx".to_owned(),
        "report out -o nine.png".to_owned(),
        "report out -o out/manifest.json".to_owned(),
        "report out -o out/nine.relevance.npy".to_owned(),
        "init -m cnn.onnx -o cnn.onnx --force".to_owned(),
        "init -m cnn.onnx --labels labels.txt -o labels.txt --force".to_owned(),
        "init -m cnn.onnx -i nine.png -o nine.png --force".to_owned(),
    ];
    if cfg!(unix) {
        refused.extend([format!("{compare} link.png"), format!("{compare} hard.png")]);
        refused.push(format!("{EXPLAIN} -i digits.npy -o linked"));
    }
    for arguments in &refused {
        let run = folder.lrp(arguments);
        assert!(flat(run.complaint()).contains("would be written over: it is "), "{run}");
    }
    let after: Vec<Vec<u8>> = names.iter().map(|name| folder.read(name)).collect();
    assert!(before == after);
    // Beside its inputs, a run may write.
    folder.lrp(&format!("{EXPLAIN} -i digits.relevance.npy -o .")).ok();
    folder.lrp(&format!("{compare} figure.png")).ok();
}

// ---- bad samples, long names ----

#[test]
fn bad_samples_are_left_out_and_the_others_are_not() {
    let folder = Folder::with(&["cnn.onnx"]);
    let mut array = digits(40);
    write_npy(folder.path("good.npy"), &array).unwrap();
    array[[0, 0, 0, 0]] = f32::INFINITY;
    array[[25, 0, 3, 4]] = f32::NAN;
    array.index_axis_mut(Axis(0), 30).fill(f32::MAX);
    write_npy(folder.path("bad.npy"), &array).unwrap();
    folder.lrp(&format!("{EXPLAIN} -i good.npy -o good")).silent();
    let save = "--save npy,png,json,html,npz,quantus,virelay";
    for (dir, batch) in [("one", 1), ("four", 4), ("all", 64)] {
        let run = folder.lrp(&format!("{EXPLAIN} -i bad.npy -o {dir} --batch {batch} {save}"));
        assert_eq!(run.code, Some(2), "{run}");
        assert!(flat(&run.stderr).contains("3 samples could not be explained; the others were"), "{run}");
        assert!(flat(&run.stderr).contains("'bad.npy': sample 25 has the value NaN at [0, 3, 4]"), "{run}");
        let record = manifest(&folder, dir);
        let failed: Vec<u64> =
            record["failed"].as_array().unwrap().iter().map(|failed| failed["sample"].as_u64().unwrap()).collect();
        assert_eq!(failed, [0, 25, 30]);
        let samples = record["inputs"][0]["samples"].as_array().unwrap();
        assert_eq!(samples.len(), 40);
        for name in ["relevance", "ledger"] {
            let read = |path: String| -> ArrayD<f64> {
                read_npy(folder.path(&path))
                    .or_else(|_| read_npy::<_, ArrayD<f32>>(folder.path(&path)).map(|array| array.mapv(f64::from)))
                    .unwrap()
            };
            let (good, bad) = (read(format!("good/good.{name}.npy")), read(format!("{dir}/bad.{name}.npy")));
            assert_eq!(good.shape(), bad.shape());
            for (i, (good, bad)) in good.outer_iter().zip(bad.outer_iter()).enumerate() {
                match failed.contains(&(i as u64)) {
                    true => assert!(bad.iter().all(|r| r.is_nan()) && samples[i]["failed"].is_string(), "{i}"),
                    false => assert!(good == bad && samples[i]["failed"].is_null(), "{i}"),
                }
            }
        }
        assert_eq!(folder.list(dir).iter().filter(|name| name.ends_with(".heatmap.png")).count(), 37);
        folder.lrp(&format!("report {dir} -o again.html")).ok();
        assert!(folder.read("again.html") == folder.read(&format!("{dir}/report.html")));
    }
    // Where none is left, it is as with an image that cannot be read.
    array.fill(f32::NAN);
    write_npy(folder.path("none.npy"), &array).unwrap();
    let run = folder.lrp(&format!("{EXPLAIN} -i none.npy -o none"));
    run.complaint();
    assert!(folder.list("none").is_empty());
}

#[test]
fn long_names_are_shortened() {
    let folder = Folder::with(&["cnn.onnx"]);
    let long = "a".repeat(240);
    for end in ["x", "y"] {
        fs::copy(repository().join("examples/mnist/nine.png"), folder.path(format!("{long}{end}.png"))).unwrap();
    }
    let run =
        folder.lrp(&format!("{EXPLAIN} -i {long}x.png {long}y.png -o out --save npy,png,json,html,npz,safetensors"));
    run.ok();
    assert!(run.stderr.starts_with("note: the name of '") && run.stderr.contains("is too long"), "{run}");
    let names = folder.list("out");
    assert_eq!(names.len(), 2 * 5 + 2, "{names:?}");
    assert!(names.iter().all(|name| name.len() <= 250));
    let record = manifest(&folder, "out");
    for input in record["inputs"].as_array().unwrap() {
        assert!(names.contains(&input["relevance"].as_str().unwrap().to_owned()));
    }
}
