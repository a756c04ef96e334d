//! The examples at the end of every command's `--help`. A test runs them in the repository.

use clap_mangen::roff::{Roff, roman};

/// The purpose of an example, and the command.
type Example = (&'static str, &'static str);

/// Every command with its examples, as `--help` lists them.
pub const COMMANDS: &[(&str, &[Example])] = &[
    (
        "run",
        &[
            ("Explain the bundled digits", "lrp run configs/mnist.toml"),
            ("Into another folder, in double precision", "lrp run configs/mnist.toml -o out/mnist-f64 --precision f64"),
        ],
    ),
    (
        "explain",
        &[
            (
                "A folder of images, by a preset",
                "lrp explain -m examples/mnist/cnn.onnx -r epsilon-plus \\\n      \
                 -i examples/mnist/digits --input-preset mnist -o out/digits",
            ),
            (
                "Why a 4 and not a 9? The arrays alone",
                "lrp explain -r configs/mnist.toml -i examples/mnist/digits/4_a.png -o out/four \\\n      \
                 --target '{ contrast = [4, 9] }' --save npy,json",
            ),
            (
                "The three best classes of every sample of an array, with time and memory of every layer",
                "lrp explain -r configs/mnist.toml -i examples/mnist/digits.npy -o out/top \\\n      \
                 --target '{ top = 3 }' --stats",
            ),
        ],
    ),
    (
        "layers",
        &[
            ("The layers, and the indices by which recipes count them", "lrp layers -m examples/mnist/cnn.onnx"),
            (
                "What canonization did: batch norms folded, a softmax cut",
                "lrp layers -m tests/models/ecg.ts.onnx --passes",
            ),
        ],
    ),
    (
        "plan",
        &[
            (
                "Which rule each layer gets, and why",
                "lrp plan -m examples/mnist/cnn.onnx -r configs/montavon-composite.toml",
            ),
            ("The model that the recipe names, and every node", "lrp plan -r configs/mnist.toml --all"),
            ("For programs", "lrp plan -m examples/mnist/cnn.onnx -r epsilon-plus --json"),
        ],
    ),
    (
        "check",
        &[
            ("The ledger and the invariants", "lrp check -r configs/mnist.toml -i examples/mnist/digits.npy"),
            (
                "As a gate: exit code 1 where more than half of the relevance is absorbed",
                "lrp check -r configs/mnist.toml -i examples/mnist/digits.npy \\\n      --fail-above absorbed=0.5",
            ),
        ],
    ),
    (
        "compare",
        &[
            (
                "Three recipes on two digits",
                "lrp compare -m examples/mnist/cnn.onnx -r lrp-0 -r lrp-gamma -r configs/mnist.toml \\\n      \
                 -i examples/mnist/nine.png examples/mnist/nine_with_patch.png --range 0,1 -o out/compare.png",
            ),
            (
                "With titles of your own",
                "lrp compare -m examples/mnist/cnn.onnx -r lrp-a1b0 --title 'Evidence for it' \\\n      \
                 -i examples/mnist/nine.png --range 0,1 -o out/nine.png",
            ),
        ],
    ),
    (
        "report",
        &[
            ("Of what `lrp explain` wrote", "lrp report out/digits"),
            (
                "To another place, with no more than ten inputs",
                "lrp report out/digits -o out/ten.html --max-samples 10",
            ),
        ],
    ),
    (
        "palette",
        &[
            ("The colour maps there are", "lrp palette"),
            ("A picture of two, and of one of your own", "lrp palette bwr coldnhot 00f,80:fff,fa0 -o out/palette.png"),
        ],
    ),
    (
        "schema",
        &[
            ("For an editor: beside your recipes, named in their first line by #:schema", "lrp schema"),
            ("As a page to read", "lrp schema --markdown"),
        ],
    ),
    ("rules", &[("The rules, for people", "lrp rules"), ("And for programs", "lrp rules --json")]),
    ("presets", &[("What there is", "lrp presets"), ("A preset's recipe, to start from", "lrp presets epsilon-plus")]),
    (
        "init",
        &[
            ("Look at what it would write", "lrp init -m examples/mnist/cnn.onnx"),
            (
                "Write an experiment, which `lrp run` runs as it stands",
                "lrp init -m examples/mnist/cnn.onnx -i examples/mnist/digits \\\n      \
                 --labels examples/mnist/labels.txt -o digits.toml",
            ),
        ],
    ),
    (
        "completions",
        &[
            ("In ~/.bashrc: source <(lrp completions bash)", "lrp completions bash"),
            ("In a folder of $fpath, as _lrp", "lrp completions zsh"),
            ("As ~/.config/fish/completions/lrp.fish", "lrp completions fish"),
        ],
    ),
    (
        "man",
        &[
            ("Read it with `lrp man | man -l -`", "lrp man"),
            ("Pages for `man lrp`, `man lrp-run`, …: move them to ~/.local/share/man/man1", "lrp man -o out/man"),
        ],
    ),
];

/// The examples of a command.
pub fn of(command: &str) -> Option<&'static [Example]> {
    COMMANDS.iter().find(|(name, _)| *name == command).map(|(_, examples)| *examples)
}

/// Examples as `--help` shows them.
pub fn text(examples: &[Example]) -> String {
    let lines: Vec<String> = examples.iter().map(|(what, command)| format!("  {what}:\n    {command}")).collect();
    format!("Examples:\n{}", lines.join("\n"))
}

/// Examples as a section of a manual page.
pub fn roff(examples: &[Example]) -> String {
    let mut section = Roff::new();
    section.control("SH", ["EXAMPLES"]);
    for (what, command) in examples {
        section.control("PP", []).text([roman(format!("{what}:"))]).control("RS", ["4"]).control("nf", []);
        command.lines().for_each(|line| {
            section.text([roman(line)]);
        });
        section.control("fi", []).control("RE", []);
    }
    section.to_roff()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_has_examples_of_its_own() {
        for command in crate::args::Cli::command().get_subcommands() {
            let name = command.get_name();
            let examples = of(name).unwrap_or_else(|| panic!("'{name}' has no examples: give it some in examples.rs"));
            assert!((2..=3).contains(&examples.len()), "{name}");
            let start = format!("lrp {name}");
            assert!(examples.iter().all(|(_, command)| command.starts_with(&start)), "{name}");
        }
    }
}
