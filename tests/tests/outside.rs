//! A program on `lrp` and `lrp-render` alone, in a crate outside of the workspace: it is short, and draws what `lrp explain` draws.

use std::path::Path;
use std::process::{Command, Stdio};

use lrp_tests::program::{Folder, repository};

const SOURCE: &str = include_str!("../outside/src/main.rs");
const MANIFEST: &str = include_str!("../outside/Cargo.toml");

#[test]
fn the_program_is_short() {
    let lines = SOURCE.lines().count();
    assert!(lines <= 25, "{lines} lines");
    assert!(!MANIFEST.contains("lrp-cli") && !MANIFEST.contains("lrp-run"));
}

#[test]
fn it_draws_the_heatmap_that_lrp_explain_draws() {
    // Built from a copy with this workspace's Cargo.lock: nothing is written into the repository, nor downloaded.
    let crate_folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside");
    let repository = repository();
    let manifest = MANIFEST.replace("../../", &format!("{}/", repository.display()));
    std::fs::create_dir_all(crate_folder.join("src")).unwrap();
    std::fs::write(crate_folder.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(crate_folder.join("src/main.rs"), SOURCE).unwrap();
    std::fs::copy(repository.join("Cargo.lock"), crate_folder.join("Cargo.lock")).unwrap();

    let folder = Folder::with(&["cnn.onnx", "nine.png"]);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    cargo.args(["run", "--offline", "--quiet", "--manifest-path"]).arg(crate_folder.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(crate_folder.join("target"));
    cargo.args(["--", "cnn.onnx", "nine.png", "heatmap.png"]);
    folder.prepare(&mut cargo);
    let output = cargo.stderr(Stdio::piped()).output().expect("cargo can be run");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.starts_with("class 9, score "), "{stdout}");

    // The program's composite is that of the preset.
    folder.lrp("explain -m cnn.onnx -r epsilon-gamma-box --input-preset mnist -i nine.png -o out --save png,json").ok();
    let pixels = |name: &str| image::open(folder.path(name)).unwrap().into_rgb8();
    let (heatmap, expected) = (pixels("heatmap.png"), pixels("out/nine.heatmap.png"));
    assert_eq!(heatmap.dimensions(), expected.dimensions());
    assert!(heatmap == expected, "the pixels differ");
    assert!(heatmap.pixels().any(|pixel| pixel != heatmap.get_pixel(0, 0)), "nothing is drawn");
}
