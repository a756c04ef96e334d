//! What the guides show on a console is what the program prints.
//!
//! Every `console` block of the pages below is run, page by page, in a folder that has what the repository has; a `toml` block with
//! `file=NAME` is written to that file first. After an intended change, `LRP_DOCS=update cargo test -p lrp-tests --test console` puts what
//! is printed now into the pages, but for blocks with `…`.

use std::fs;
use std::process::Command;

use lrp_tests::agree::output_agrees;
use lrp_tests::program::{Folder, lrp, repository};

/// A fenced block: the words after the fence, the lines between, and where these begin.
struct Block<'a> {
    info: Vec<&'a str>,
    lines: Vec<&'a str>,
    first: usize,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut open = false;
    for (number, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(_), true) => open = false,
            (Some(info), false) => {
                open = true;
                blocks.push(Block { info: info.split_whitespace().collect(), lines: Vec::new(), first: number + 1 });
            }
            (None, true) => blocks.last_mut().unwrap().lines.push(line),
            (None, false) => {}
        }
    }
    blocks
}

/// Commands and what the page shows below each; a command goes on where a line ends with a backslash.
fn commands<'a>(lines: &[&'a str]) -> Vec<(String, Vec<&'a str>)> {
    let mut commands: Vec<(String, Vec<&str>)> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
            (None, Some((command, shown))) if shown.is_empty() && command.ends_with('\\') => {
                command.pop();
                command.push_str(line.trim_start());
            }
            (None, Some((_, shown))) => shown.push(line),
            (None, None) => panic!("a console block begins with a command, not with '{line}'"),
        }
    }
    commands
}

/// Runs a page; gives it with the outputs of now, and what differs.
fn run(name: &str) -> (String, Vec<String>) {
    let page = fs::read_to_string(repository().join(name)).unwrap();
    let mut folders = vec!["examples/mnist", "examples/inputs", "configs"];
    // The other guides need no other network.
    if name == "docs/how-to/my-model.md" {
        folders.extend(["examples/steps", "tests/models"]);
    }
    if name == "docs/how-to/my-transformer.md" {
        folders.push("tests/attention");
    }
    let folder = Folder::with_folders(&folders);
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", lrp().parent().unwrap().display());
    let (mut now, mut differences): (Vec<String>, Vec<String>) =
        (page.lines().map(str::to_owned).collect(), Vec::new());
    // From the last to the first, so that places stay what they are; but run in order.
    let mut fresh: Vec<(usize, usize, Vec<String>)> = Vec::new();
    for block in blocks(&page) {
        let file = block.info.iter().find_map(|word| word.strip_prefix("file="));
        if let (Some(&"toml"), Some(file)) = (block.info.first(), file) {
            folder.write(file, block.lines.join("\n") + "\n");
        }
        if block.info != ["console"] {
            continue;
        }
        let mut lines: Vec<String> = Vec::new();
        for (command, shown) in commands(&block.lines) {
            lines.push(format!("$ {command}"));
            // Installing is the reader's; the program is here already.
            if command.starts_with("cargo ") || command.starts_with("git ") || command.starts_with("cd ") {
                lines.extend(shown.iter().map(|&line| line.to_owned()));
                continue;
            }
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("{command} 2>&1")]).env("PATH", &path);
            folder.prepare(&mut shell);
            let output = shell.output().unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            let printed: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
            let shown: Vec<&str> = shown.iter().map(|line| line.trim_end()).collect();
            if !output_agrees(&shown, &printed) {
                differences.push(format!("{name}: $ {command}\n{}\n", printed.join("\n")));
            }
            let keep = shown.iter().any(|line| line.contains('…'));
            lines.extend(if keep { shown } else { printed }.into_iter().map(str::to_owned));
        }
        let continued = block.lines.iter().any(|line| line.starts_with("$ ") && line.ends_with('\\'));
        if !continued {
            fresh.push((block.first, block.lines.len(), lines));
        }
    }
    for (first, len, lines) in fresh.into_iter().rev() {
        now.splice(first..first + len, lines);
    }
    (now.join("\n") + "\n", differences)
}

fn check(name: &str) {
    let (now, differences) = run(name);
    if std::env::var("LRP_DOCS").is_ok_and(|value| value == "update") {
        fs::write(repository().join(name), now).unwrap();
    } else {
        assert!(differences.is_empty(), "not what the page shows:\n\n{}", differences.join("\n"));
    }
}

#[test]
fn the_readme() {
    check("README.md");
}

#[test]
fn the_tutorial() {
    check("docs/tutorial.md");
}

#[test]
fn the_tour() {
    check("docs/how-to/tour.md");
}

#[test]
fn the_commands() {
    check("docs/reference/cli.md");
}

#[test]
fn a_model_of_your_own() {
    check("docs/how-to/my-model.md");
}

#[test]
fn a_transformer() {
    check("docs/how-to/my-transformer.md");
}

#[test]
fn the_inputs() {
    check("docs/how-to/my-inputs.md");
}

#[test]
fn the_gate() {
    check("docs/how-to/gate.md");
}
