//! What comes in from outside: files that are no files, too large, cut off or not text; machines without threads or memory; numbers that
//! overflow; and names that would act on a terminal.

use std::process::Command;
use std::time::{Duration, Instant};

use lrp_tests::onnx::Onnx;
use lrp_tests::program::{Folder, Run, lrp};
use ndarray::{Array2, ArrayD, IxDyn};
use ndarray_npy::write_npy;

const EXPLAIN: &str = "explain -m cnn.onnx -r lrp-epsilon --range 0,1 -o out";

/// Two dense layers with a ReLU between them, on two inputs, with these names.
fn dense(names: [&str; 3], first: ([f32; 4], [f32; 2]), second: [f32; 2]) -> Vec<u8> {
    let [one, relu, two] = names;
    Onnx::default()
        .weights("w1", &[2, 2], &first.0)
        .weights("b1", &[2], &first.1)
        .weights("w2", &[2, 1], &second)
        .node("Gemm", &["x", "w1", "b1"], one)
        .node("Relu", &[one], relu)
        .node("Gemm", &[relu, "w2"], two)
        .model(("x", &[1, 2]), (two, &[1, 1]))
}

fn input(folder: &Folder, name: &str, values: [f32; 2]) {
    write_npy(folder.path(name), &Array2::from_shape_vec((1, 2), values.to_vec()).unwrap()).unwrap();
}

/// Runs the program, and ends it where it hangs.
fn within(seconds: u64, mut command: Command) -> Run {
    let shown = format!("{command:?}");
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if since.elapsed() > Duration::from_secs(seconds) {
            let _ = child.kill();
            panic!("still running after {seconds} s: {shown}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Run::new(&shown, &child.wait_with_output().unwrap())
}

/// As `Folder::lrp`, for what could hang.
fn soon(folder: &Folder, arguments: &str) -> Run {
    within(60, folder.command(arguments))
}

/// With a shell's limits.
fn limited(folder: &Folder, limit: &str, arguments: &str) -> Run {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{limit}; exec '{}' {arguments}", lrp().display()));
    folder.prepare(&mut command);
    within(60, command)
}

// ---- files that are no files ----

#[cfg(unix)]
#[test]
fn pipes_devices_and_folders_are_refused_at_every_door() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy", "nine.png"]);
    let ending = ["toml", "txt", "json", "png", "jpg", "webp", "npy", "npz", "csv", "onnx"];
    for name in ending {
        let pipe = folder.path(format!("pipe.{name}"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", folder.path(format!("zero.{name}"))).unwrap();
        std::os::unix::fs::symlink("/dev/urandom", folder.path(format!("random.{name}"))).unwrap();
        std::fs::create_dir(folder.path(format!("folder.{name}"))).unwrap();
    }
    for (kind, why) in [
        ("pipe", "it is a pipe"),
        ("zero", "it is a device"),
        ("random", "it is a device"),
        ("folder", "it is a folder"),
    ] {
        folder.write("extends.toml", format!("schema = 1\nextends = \"{kind}.toml\"\n"));
        let mut doors = vec![
            format!("plan -m cnn.onnx -r {kind}.toml"),
            format!("run {kind}.toml"),
            "plan -m cnn.onnx -r extends.toml".to_owned(),
            format!("layers -m {kind}.onnx"),
            format!("{EXPLAIN} -i digits.npy --labels {kind}.txt"),
            format!("{EXPLAIN} -i digits.npy --tokens {kind}.txt"),
        ];
        // A folder of inputs is one to look into.
        if kind != "folder" {
            doors.extend(["png", "jpg", "webp", "npy", "npz", "csv"].map(|name| format!("{EXPLAIN} -i {kind}.{name}")));
            doors.push(format!("init -m cnn.onnx -i {kind}.png"));
        }
        for door in doors {
            let run = soon(&folder, &door);
            // What of an input is looked at to begin with may say less.
            if !door.starts_with("init") {
                assert!(run.complaint().contains(why), "{run}");
            }
        }
    }
}

#[test]
fn a_manifest_that_is_no_file_is_refused() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("out/manifest.json")).unwrap();
    assert!(soon(&folder, "report out").complaint().contains("it is a folder"));
}

// ---- too large ----

#[test]
fn files_have_a_largest_size() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    for (name, door, limit) in [
        ("large.toml", "plan -m cnn.onnx -r large.toml", "a recipe may have 1 MiB"),
        ("large.txt", "explain -m cnn.onnx -r lrp-epsilon -o out -i digits.npy --labels large.txt", "16 MiB"),
        ("large.csv", "explain -m cnn.onnx -r lrp-epsilon -o out -i large.csv", "256 MiB"),
        ("large.png", "explain -m cnn.onnx -r lrp-epsilon --range 0,1 -o out -i large.png", "256 MiB"),
        ("large.npz", "explain -m cnn.onnx -r lrp-epsilon -o out -i large.npz", "4 GiB"),
    ] {
        // Nothing of it is on the disk.
        std::fs::File::create(folder.path(name)).unwrap().set_len(1 << 40).unwrap();
        let run = soon(&folder, door);
        assert!(run.complaint().contains("it has 1 TiB") && run.stderr.contains(limit), "{run}");
    }
}

#[test]
fn an_image_has_a_largest_number_of_pixels() {
    let folder = Folder::with(&["cnn.onnx"]);
    let chunk = |kind: &[u8], data: &[u8]| {
        let mut bytes = (data.len() as u32).to_be_bytes().to_vec();
        let body = [kind, data].concat();
        bytes.extend(&body);
        bytes.extend(crc(&body).to_be_bytes());
        bytes
    };
    let side = 60_000_u32.to_be_bytes();
    let head = [&side[..], &side, &[8, 2, 0, 0, 0]].concat();
    let png =
        [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &head), chunk(b"IDAT", b"x"), chunk(b"IEND", b"")].concat();
    folder.write("a.png", png);
    let run = soon(&folder, &format!("{EXPLAIN} -i a.png"));
    assert!(run.complaint().contains("60000×60000 pixels, and at most 150 million"), "{run}");
}

/// The checksum of PNG.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _: i32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[test]
fn an_archive_that_claims_everything_is_refused() {
    let folder = Folder::with(&["cnn.onnx"]);
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000, 1, 28, 28), }\n";
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.as_bytes());
    // An archive whose member is stored as it is.
    let (name, crc, size) = (b"x.npy", crc(&npy).to_le_bytes(), (npy.len() as u32).to_le_bytes());
    let common = [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &crc, &size, &size, &[5, 0, 0, 0]].concat();
    let local = [&b"PK\x03\x04"[..], &common, name, &npy].concat();
    let central = [&b"PK\x01\x02\x14\0"[..], &common, &[0; 14], name].concat();
    let (start, length) = ((local.len() as u32).to_le_bytes(), (central.len() as u32).to_le_bytes());
    let end = [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &length, &start, &[0, 0]].concat();
    folder.write("a.npz", [local, central, end].concat());
    let run = soon(&folder, &format!("{EXPLAIN} -i a.npz"));
    assert!(run.complaint().contains("truncated: its header announces 313600000000000 bytes"), "{run}");
}

#[test]
fn a_model_that_does_not_fit_into_memory_is_refused() {
    let folder = Folder::new();
    let pads: &[u64] = &[20_000; 4];
    let model = Onnx::default()
        .weights("w", &[1, 1, 3, 3], &[1.0; 9])
        .weights("v", &[1, 1], &[1.0])
        .node_with("Conv", &["x", "w"], "conv\u{1b}[2J", &[("pads", pads)])
        .node("GlobalAveragePool", &["conv\u{1b}[2J"], "pool")
        .node("Flatten", &["pool"], "flat")
        .node("Gemm", &["flat", "v"], "y")
        .model(("x", &[1, 1, 8, 8]), ("y", &[1, 1]));
    folder.write("m.onnx", model);
    write_npy(folder.path("x.npy"), &ArrayD::<f32>::ones(IxDyn(&[1, 1, 8, 8]))).unwrap();
    for command in ["explain -o out", "check", "compare -o a.png"] {
        let run = limited(&folder, "ulimit -v 4000000", &format!("{command} -m m.onnx -r lrp-epsilon -i x.npy"));
        assert!(run.complaint().contains("of memory") && run.stderr.contains("conv\\u{1b}[2J"), "{run}");
    }
}

// ---- cut off ----

#[test]
fn images_that_are_cut_off_are_refused() {
    let folder = Folder::with(&["cnn.onnx", "nine.png"]);
    let image = image::open(folder.path("nine.png")).unwrap();
    for name in ["nine.png", "nine.jpg", "nine.webp"] {
        if name != "nine.png" {
            image.save(folder.path(name)).unwrap();
        }
        let whole = folder.read(name);
        folder.lrp(&format!("{EXPLAIN} -i {name}")).ok();
        for percent in [5, 35, 70, 95, 99] {
            folder.write(name, &whole[..whole.len() * percent / 100]);
            let run = folder.lrp(&format!("{EXPLAIN} -i {name}"));
            assert!(run.complaint().contains("cannot read the image"), "{percent} % of {name}: {run}");
            assert!(percent < 35 || run.stderr.contains("truncated"), "{percent} % of {name}: {run}");
        }
    }
}

// ---- mistakes in recipes that are hard to draw ----

#[test]
fn a_mistake_in_a_very_long_line_is_drawn() {
    let folder = Folder::with(&["cnn.onnx"]);
    let numbers = "0.25, ".repeat(14_000);
    for (text, message) in [
        (format!("low = [{numbers}], hihg = 1.0"), "unknown key 'hihg'"),
        (format!("hihg = 1.0, low = [{numbers}]"), "unknown key 'hihg'"),
        (format!("low = [{numbers}\"x\"], high = 1.0"), "expected"),
        (format!("low = [{numbers} ; ], high = 1.0"), "this is not TOML"),
        (format!("low = \"{numbers}\", high = 1.0"), "low"),
    ] {
        folder.write("a.toml", format!("schema = 1\n[[assign]]\nrule = {{ type = \"z-box\", {text} }}\n"));
        let run = soon(&folder, "plan -m cnn.onnx -r a.toml");
        assert!(run.complaint().contains(message) && run.stderr.contains("a.toml:3:"), "{run}");
    }
}

#[test]
fn braces_within_braces_have_an_end() {
    let folder = Folder::with(&["cnn.onnx"]);
    for glob in [
        "{".repeat(245) + &"}".repeat(245),
        "{".repeat(100_000),
        "{a,".repeat(20) + &"}".repeat(20),
        "[a-z]".repeat(50_000),
    ] {
        folder.write("a.toml", format!("schema = 1\n[[assign]]\nnames = \"{glob}\"\nrule = \"zero\"\n"));
        assert!(soon(&folder, "plan -m cnn.onnx -r a.toml").complaint().contains("is no glob"));
    }
}

#[test]
fn toml_within_toml_has_an_end() {
    let folder = Folder::with(&["cnn.onnx"]);
    for text in [
        format!("x = {}", "[".repeat(100_000)),
        format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("x = {}", "{ a = ".repeat(100_000)),
        format!("x = {{ {}b = 1 }}", "a.".repeat(200_000)),
        format!("{}b = 1", "a.".repeat(200_000)),
        format!("[{}b]", "a.".repeat(200_000)),
        format!("[[{}b]]", "a.".repeat(200_000)),
        format!("{} = 1", "\"a\" . ".repeat(100_000)),
        "[[a]]\n".repeat(100_000),
    ] {
        folder.write("a.toml", format!("schema = 1\n{text}\n"));
        soon(&folder, "plan -m cnn.onnx -r a.toml").complaint();
    }
}

#[test]
fn recipes_extend_each_other_over_so_many_files() {
    let folder = Folder::with(&["cnn.onnx"]);
    for i in 0..3000 {
        folder.write(&format!("{i}.toml"), format!("schema = 1\nextends = \"{}.toml\"\n", i + 1));
    }
    folder.write("3000.toml", "schema = 1\nextends = \"lrp-epsilon\"\n");
    let run = soon(&folder, "plan -m cnn.onnx -r 0.toml");
    assert!(run.complaint().contains("over more than 32 files") && run.stderr.contains("31.toml:2"), "{run}");
    folder.lrp("plan -m cnn.onnx -r 2969.toml").silent();
    folder.write("3000.toml", "schema = 1\nextends = \"2990.toml\"\n");
    let run = soon(&folder, "plan -m cnn.onnx -r 2980.toml");
    assert!(run.complaint().contains("extends itself"), "{run}");
}

#[test]
fn a_recipe_that_is_not_utf8_is_not_meant_instead_of_itself() {
    let folder = Folder::with(&["cnn.onnx"]);
    folder.write("recipe.toml", b"schema = 1\nname = \"\xe9\"\n");
    let run = folder.lrp("plan -m cnn.onnx -r recipe.toml");
    assert!(run.complaint().contains("byte 0xe9 in line 2; save it as UTF-8"), "{run}");
    assert!(!run.stderr.contains("did you mean"), "{run}");
    folder.write("labels.txt", b"a\n\xff\n");
    let run = folder.lrp("plan -m cnn.onnx -r lrp-epsilon --labels labels.txt");
    assert!(run.complaint().contains("byte 0xff in line 2; save it as UTF-8"), "{run}");
}

#[cfg(unix)]
#[test]
fn init_does_not_write_what_no_recipe_can_name() {
    let folder = Folder::with(&["cnn.onnx"]);
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"n\xe9t.onnx");
    std::fs::copy(folder.path("cnn.onnx"), folder.path(name)).unwrap();
    let mut command = folder.command("init -o a.toml -m");
    command.arg(name);
    assert!(within(60, command).complaint().contains("is not UTF-8"));
    assert!(!folder.path("a.toml").exists());
}

// ---- threads ----

#[test]
fn more_threads_than_help_are_not_started() {
    let folder = Folder::with(&["cnn.onnx", "nine.png"]);
    let run = soon(&folder, &format!("{EXPLAIN} -i nine.png --threads 65535"));
    run.ok();
    assert!(run.stderr.contains("instead of 65535"), "{run}");
    let mut command = folder.command(&format!("{EXPLAIN} -i nine.png"));
    command.env("RAYON_NUM_THREADS", "65535");
    within(60, command).ok();
}

#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_threads_is_an_error() {
    let folder = Folder::with(&["cnn.onnx", "nine.png"]);
    // Whoever may do everything has no limit of processes: be somebody else.
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0"));
    if root {
        return;
    }
    for processes in [1, 2] {
        for command in [format!("{EXPLAIN} -i nine.png"), "layers -m cnn.onnx".to_owned()] {
            let run = limited(&folder, &format!("ulimit -u {processes}"), &command);
            assert!(run.complaint().contains("no thread can be started"), "{run}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_limit_on_the_size_of_files_is_an_error() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy"]);
    let run = limited(&folder, "ulimit -f 1", &format!("{EXPLAIN} -i digits.npy"));
    assert!(run.complaint().contains("cannot write"), "{run}");
}

// ---- numbers that overflow on the way ----

#[test]
fn relevance_that_overflows_within_the_network_names_the_node() {
    let folder = Folder::new();
    // The hidden values and their sum are tiny: one over it is infinite. All inputs are zero, and hide that.
    folder.write("m.onnx", dense(["fc1", "relu", "fc2"], ([1.0; 4], [1e-30; 2]), [1e-10; 2]));
    input(&folder, "x.npy", [0.0; 2]);
    input(&folder, "ones.npy", [1.0; 2]);
    let explain = "explain -m m.onnx -r lrp-0 --start one --save npy,json";
    let run = folder.lrp(&format!("{explain} -i x.npy -o out"));
    assert!(run.complaint().contains("leaves node 'fc2' is not finite"), "{run}");
    assert!(run.stderr.contains("sample 0") && run.stderr.contains("--precision f64"), "{run}");
    assert!(folder.lrp("check -m m.onnx -r lrp-0 --start one -i x.npy").complaint().contains("'fc2'"));
    folder.lrp(&format!("{explain} -i x.npy -o out --precision f64")).ok();
    // Another input is explained all the same.
    let run = folder.lrp(&format!("{explain} -i x.npy ones.npy -o both"));
    assert_eq!(run.code, Some(2), "{run}");
    assert!(run.stderr.contains("1 of 2 inputs could not be explained"), "{run}");
    assert_eq!(folder.list("both"), ["manifest.json", "ones.ledger.npy", "ones.relevance.npy"]);
}

#[test]
fn values_that_overflow_within_the_network_name_the_node() {
    let folder = Folder::new();
    // Infinite, and then nothing but one: the output is finite.
    let model = Onnx::default()
        .weights("w1", &[2, 2], &[3e38; 4])
        .weights("w2", &[2, 1], &[1.0; 2])
        .node("Gemm", &["x", "w1"], "fc1")
        .node("Sigmoid", &["fc1"], "gate")
        .node("Gemm", &["gate", "w2"], "fc2")
        .model(("x", &[1, 2]), ("fc2", &[1, 1]));
    folder.write("m.onnx", model);
    input(&folder, "x.npy", [3.0; 2]);
    let run = folder.lrp("explain -m m.onnx -r lrp-epsilon -i x.npy -o out --save npy,json");
    assert!(run.complaint().contains("the value of node 'fc1'"), "{run}");
    folder.lrp("explain -m m.onnx -r lrp-epsilon -i x.npy -o out --save npy,json --precision f64").ok();
}

#[test]
fn relevance_that_becomes_too_small_is_said() {
    let folder = Folder::new();
    // What starts with 8e-30 is less than single precision can hold after a division by 4: all of it is gone, and no account has it.
    let model = Onnx::default()
        .weights("w1", &[2, 2], &[1e30; 4])
        .weights("w2", &[2, 2], &[1e-30; 4])
        .weights("w3", &[2, 1], &[1e-30; 2])
        .node("Gemm", &["x", "w1"], "fc1")
        .node("Relu", &["fc1"], "relu1")
        .node("Gemm", &["relu1", "w2"], "fc2")
        .node("Relu", &["fc2"], "relu2")
        .node("Gemm", &["relu2", "w3"], "fc3")
        .model(("x", &[1, 2]), ("fc3", &[1, 1]));
    folder.write("m.onnx", model);
    input(&folder, "x.npy", [1.0; 2]);
    for (precision, warns) in [("f32", true), ("f64", false)] {
        let run =
            folder.lrp(&format!("explain -m m.onnx -r lrp-0 -i x.npy -o out --save npy,json --precision {precision}"));
        run.ok();
        assert_eq!(run.stderr.contains("the ledger of node 'fc2' does not balance"), warns, "{run}");
        let manifest: serde_json::Value = serde_json::from_slice(&folder.read("out/manifest.json")).unwrap();
        let target = &manifest["inputs"][0]["samples"][0]["targets"][0];
        assert_eq!(target["unbalanced"]["node"] == "fc2", warns, "{target}");
    }
}

#[test]
fn a_number_that_single_precision_cannot_hold_says_so() {
    let folder = Folder::new();
    folder.write("m.onnx", dense(["fc1", "relu", "fc2"], ([1.0; 4], [0.0; 2]), [1.0; 2]));
    write_npy(folder.path("x.npy"), &ndarray::array![[1.0, 1e300]]).unwrap();
    let run = folder.lrp("explain -m m.onnx -r lrp-0 -i x.npy -o out --save npy,json");
    assert!(run.complaint().contains("1e300 at [1], which single precision cannot hold"), "{run}");
    assert!(run.stderr.contains("--precision f64") && !run.stderr.contains("nan_to_num"), "{run}");
}

// ---- names on a terminal ----

/// What acts on a terminal: a colour, C1, a change of direction, and a line that looks like another message.
const EVIL: &str = "n\u{1b}[31m\u{9b}2J\u{202e}\nerror: x";

/// Asserts that nothing of it acts, and that it is there all the same. `Run` looks for `\u{1b}` itself.
fn harmless(run: &Run) -> &Run {
    for text in [&run.stdout, &run.stderr] {
        assert!(!text.contains(|c| lrp_core::text::is_hidden(c) && c != '\n'), "{run}");
        assert!(!text.lines().any(|line| line.starts_with("error: x")), "{run}");
        assert!(text.len() < 20_000, "{} bytes", text.len());
    }
    run
}

#[test]
fn names_of_nodes_do_not_act_on_a_terminal() {
    let folder = Folder::new();
    let long = "a".repeat(200_000);
    for name in [EVIL, long.as_str()] {
        let relu = format!("{name}r");
        folder.write("m.onnx", dense([name, &relu, "fc2"], ([1.0; 4], [0.0; 2]), [1.0; 2]));
        input(&folder, "x.npy", [1.0; 2]);
        folder.write("one.toml", "schema = 1\n[[assign]]\nlayers = 1\nrule = \"zero\"\n");
        folder.write("names.toml", "schema = 1\nextends = \"lrp-0\"\n[[assign]]\nnames = \"none\"\nrule = \"zero\"\n");
        let explain = "explain -m m.onnx -r lrp-0 -i x.npy -o out";
        for command in [
            "layers -m m.onnx --passes",
            "plan -m m.onnx -r lrp-0 --all",
            "plan -m m.onnx -r one.toml",
            "plan -m m.onnx -r names.toml",
            "check -m m.onnx -r lrp-0 -i x.npy",
            "init -m m.onnx",
            &format!("{explain} --save npy,json --stats"),
        ] {
            harmless(&soon(&folder, command));
        }
        // For machines, a name is what it is.
        let layers = folder.lrp("layers -m m.onnx --json");
        assert!(!layers.stdout.contains(|c| lrp_core::text::is_hidden(c) && c != '\n'));
        assert_eq!(layers.json()["nodes"][1]["name"], name);
    }
}

#[test]
fn names_of_files_and_labels_do_not_act_on_a_terminal() {
    let folder = Folder::with(&["cnn.onnx", "digits.npy", "nine.png"]);
    let evil = |ending: &str| format!("{EVIL}.{ending}");
    folder.write(&evil("toml"), "schema = 1\nextends = \"lrp-0\"\nname = \"\\u001b[2J\"\nx = 1\n");
    std::fs::copy(folder.path("nine.png"), folder.path(evil("png"))).unwrap();
    std::fs::copy(folder.path("cnn.onnx"), folder.path(evil("onnx"))).unwrap();
    folder.write(&evil("csv"), "1,\u{1b}[2J\n");
    let label = |i: usize| if i == 9 { "\u{1b}]0;x\u{7}\u{9b}\u{202e}".to_owned() } else { "l".repeat(100_000) };
    folder.write("labels.txt", (0..10).map(|i| label(i) + "\n").collect::<String>());
    let run = |arguments: &[&str]| {
        let mut command = folder.command("");
        command.args(arguments);
        within(60, command)
    };
    for arguments in [
        &["plan", "-m", "cnn.onnx", "-r", &evil("toml")][..],
        &["plan", "-m", &evil("onnx"), "-r", "lrp-0"],
        &["plan", "-m", "cnn.onnx", "-r", &format!("{EVIL}none.toml")],
        &["layers", "-m", &format!("{EVIL}none.onnx")],
        &["init", "-m", &evil("onnx")],
        &["explain", "-m", "cnn.onnx", "-r", "lrp-0", "-o", "out", "-i", &evil("png"), "--labels", "labels.txt"],
        &["explain", "-m", "cnn.onnx", "-r", "lrp-0", "-o", EVIL, "-i", "nine.png"],
        &["explain", "-m", "cnn.onnx", "-r", "lrp-0", "-o", "out", "-i", &evil("csv")],
        &["explain", "-m", "cnn.onnx", "-r", "lrp-0", "-o", "out", "-i", &format!("{EVIL}none")],
        &[
            "explain",
            "-m",
            "cnn.onnx",
            "-r",
            "lrp-0",
            "-o",
            "out",
            "-i",
            "nine.png",
            "--labels",
            "labels.txt",
            "--target",
            "none",
        ],
        &["compare", "-m", "cnn.onnx", "-r", "lrp-0", "-o", "a.png", "-i", &evil("png"), "--labels", "labels.txt"],
        &["report", EVIL],
    ] {
        harmless(&run(arguments));
    }
}

#[test]
fn the_text_of_a_recipe_does_not_act_on_a_terminal() {
    let folder = Folder::with(&["cnn.onnx"]);
    for text in [
        "x = \"\u{1b}[2J\"",
        "\"\\u001b[2J\\u009b\\u202e\" = 1",
        "# \u{9b}2J\u{202e}\nx = 1",
        "[[assign]]\nrule = \"\\u001b[2J\"",
        "[[assign]]\nrule = \"zero\"\nnames = \"\\u001b[2J\\n\\u202e{\"",
        "[[assign]]\nrule = \"zero\"\nlayers = \"\\u001b[2J\\nerror: x\"",
        "extends = \"\\u001b[2J\\nerror: x.toml\"",
        "extends = \"\\u001b[2J\\nerror: x\"",
        "[output]\ncolormap = \"\\u001b[2J\\nerror: x\"",
        "[explain]\ntarget = \"\\u001b[2J\\nerror: x\"",
        "[model]\npath = \"\\u001b[2J\\nerror: x.onnx\"",
    ] {
        folder.write("a.toml", format!("schema = 1\n{text}\n"));
        let run = soon(&folder, "plan -m cnn.onnx -r a.toml");
        harmless(&run);
        harmless(&soon(&folder, "run a.toml")).complaint();
    }
}
