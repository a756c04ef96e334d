//! What `--help` says runs as it stands; shells and `man` are told the same.

use std::collections::BTreeSet;
use std::process::Command;

use lrp_tests::program::Folder;

/// The commands that `lrp --help` lists.
fn commands(folder: &Folder) -> Vec<String> {
    let run = folder.lrp("--help");
    let list = run.silent().split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let named = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    named.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

/// The examples in a command's help: the lines that begin with `lrp`, with those that continue them.
fn examples(help: &str) -> Vec<String> {
    let section = help.split_once("\nExamples:\n").map(|(_, section)| section).unwrap_or_default();
    let mut examples: Vec<String> = Vec::new();
    for line in section.lines() {
        let continued = examples.last().is_some_and(|last| last.ends_with('\\'));
        match examples.last_mut() {
            Some(last) if continued => *last = format!("{} {}", last.trim_end_matches('\\').trim_end(), line.trim()),
            _ if line.trim_start().starts_with("lrp ") => examples.push(line.trim().to_owned()),
            _ => {}
        }
    }
    examples
}

/// In a copy of what the repository bundles, in order: what one example writes, a later one may read.
#[test]
fn every_example_runs_in_the_repository() {
    let folder = Folder::with_folders(&["configs", "examples", "tests/models"]);
    for command in commands(&folder) {
        let help = folder.lrp(&format!("{command} --help"));
        let examples = examples(help.silent());
        assert!((2..=3).contains(&examples.len()), "{help}");
        for example in examples {
            assert!(example.starts_with(&format!("lrp {command}")), "{example}");
            let run = folder.lrp(example.strip_prefix("lrp ").unwrap());
            run.ok();
        }
        // `-h` and `lrp help` show them, too; nothing is wider than a screen.
        let short = folder.lrp(&format!("{command} -h"));
        assert!(short.silent().contains("\nExamples:\n"), "{short}");
        assert!(help.stdout.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}

#[test]
fn every_shell_gets_a_script_that_names_every_command() {
    let folder = Folder::new();
    let shells = [
        ("bash", "complete -F _lrp"),
        ("zsh", "#compdef lrp"),
        ("fish", "complete -c lrp"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "set edit:completion:arg-completer[lrp]"),
    ];
    for (shell, mark) in shells {
        let run = folder.lrp(&format!("completions {shell}"));
        let script = run.silent();
        assert!(script.contains(mark), "{shell}: {mark}");
        for command in commands(&folder) {
            assert!(script.contains(&command), "{shell}: {command}");
        }
        assert!(script.contains("low-memory") && script.contains("input-shape"), "{shell}: flags");
        folder.write(&format!("lrp.{shell}"), script);
        // Read by the shell itself where it is installed; of these, every Unix has bash.
        if let Ok(output) = Command::new(shell).arg("-n").arg(folder.path(format!("lrp.{shell}"))).output()
            && matches!(shell, "bash" | "zsh" | "fish")
        {
            assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let complaint = folder.lrp("completions tcsh");
    assert!(complaint.complaint().contains("[possible values: bash, elvish, fish, powershell, zsh]"), "{complaint}");
}

/// Bash, asked what comes after `lrp expl`.
#[cfg(unix)]
#[test]
fn bash_completes_a_command() {
    let folder = Folder::new();
    folder.write("lrp.bash", folder.lrp("completions bash").silent());
    let script = "source lrp.bash; COMP_WORDS=(lrp expl); COMP_CWORD=1; _lrp lrp expl lrp; echo \"${COMPREPLY[*]}\"";
    let output = Command::new("bash").args(["-c", script]).current_dir(folder.path("")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "explain", "{output:?}");
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let folder = Folder::new();
    let page = folder.lrp("man").silent().to_owned();
    assert!(page.contains(".TH lrp 1") && page.contains("Exit codes"), "{page}");
    folder.lrp("man -o pages").silent();
    let pages: BTreeSet<String> = folder.list("pages").into_iter().collect();
    let expected = commands(&folder).into_iter().map(|command| format!("lrp-{command}.1"));
    assert_eq!(pages, expected.chain(["lrp.1".to_owned()]).collect());
    assert_eq!(String::from_utf8(folder.read("pages/lrp.1")).unwrap(), page);
    // Every page that is referred to is there, and every command's examples are lines of their own.
    for name in pages.iter().filter(|name| *name != "lrp.1") {
        assert!(page.replace("\\-", "-").contains(&format!("{}(1)", name.trim_end_matches(".1"))), "{name}");
        let text = String::from_utf8(folder.read(&format!("pages/{name}"))).unwrap();
        assert!(text.contains(".SH EXAMPLES") && text.contains(".nf\nlrp ") && !text.contains(".SH EXTRA"), "{text}");
    }
    folder.write("file", "");
    folder.lrp("man -o file").complaint();
}
