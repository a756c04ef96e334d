//! The measurements of `docs/performance.md` still run: the smallest of each, whose numbers mean nothing.

use std::process::Command;

/// What the program prints.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Asserts that these are the headings, each with a table of at least one row under it.
fn assert_tables(printed: &str, titles: &[&str]) {
    let sections: Vec<&str> = printed.split("### ").skip(1).collect();
    assert_eq!(sections.iter().map(|s| s.lines().next().unwrap()).collect::<Vec<_>>(), titles, "{printed}");
    assert!(sections.iter().all(|s| s.lines().filter(|line| line.starts_with('|')).count() >= 3), "{printed}");
    assert!(!printed.contains("inf") && !printed.contains("NaN"), "{printed}");
}

#[test]
fn scaling_runs() {
    let printed = output(env!("CARGO_BIN_EXE_scaling"), &["--quick"]);
    assert_tables(&printed, &["Batch", "Image", "Depth", "Threads"]);
}

#[test]
fn roofline_runs_and_draws() {
    let folder = tempfile::tempdir().unwrap();
    let figure = folder.path().join("roofline.svg");
    let printed = output(env!("CARGO_BIN_EXE_roofline"), &["--quick", "--figure", figure.to_str().unwrap()]);
    assert_tables(&printed, &["The roofs", "Networks", "Layers"]);
    let figure = std::fs::read_to_string(figure).unwrap();
    assert!(figure.contains("MobileNet-v2, forward") && figure.ends_with("</svg>\n"), "{figure}");
}
