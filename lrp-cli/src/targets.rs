//! The table of targets in `--help`, of the commands that have a target.

use clap_mangen::roff::{Roff, roman};

/// The forms of `--target`, their meaning, and whether that is several outputs.
const TARGETS: [(&str, &str, bool); 15] = [
    ("argmax", "the largest output of each sample (the default)", false),
    ("281", "one class, by its number, counted from 0", false),
    ("'tabby cat'", "one class, by its label, where there are labels (--labels)", false),
    ("'{ contrast = [0, 9] }'", "the evidence for class 0 rather than class 9", false),
    ("'{ top = 3 }'", "the three largest outputs of each sample, one by one", true),
    ("all", "every output, one after the other", true),
    ("sum", "all outputs, summed", false),
    ("'{ index = [3, 7] }'", "one element of the output; negative: from the end", false),
    ("'{ at = -1, class = \"argmax\" }'", "outputs [T, C]: the largest class at the last step", false),
    ("'{ at = [2, 5], class = 7 }'", "outputs [H, W, C]: class 7 at one position", false),
    ("'{ each = \"argmax\", skip = 0 }'", "outputs [T, C]: the largest at every step but blanks (CTC)", false),
    ("'{ region = \"mask.npy\", class = 7 }'", "outputs [C, H, W]: class 7 where the mask is not zero", false),
    ("'{ box = 0, classes = \"4..\" }'", "outputs [boxes, C]: the class score of rank 0, the largest", false),
    ("'{ similarity = \"other.png\" }'", "an embedding: its cosine with that of another input", false),
    ("'{ seed = \"r.npy\" }'", "the relevance to start with, in the shape of the output", false),
];

/// The targets that a command takes; `check` and `compare` follow one output.
fn of(command: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let (any, several) = match command {
        "explain" | "run" => (true, true),
        "check" | "compare" => (true, false),
        _ => (false, false),
    };
    TARGETS
        .into_iter()
        .filter(move |(.., of_several)| any && (several || !of_several))
        .map(|(text, what, _)| (text, what))
}

/// The table as help shows it, with an empty line after it; nothing for other commands.
pub fn text(command: &str) -> String {
    let lines: String = of(command).map(|(text, what)| format!("  {text:38}{what}\n")).collect();
    if lines.is_empty() { lines } else { format!("Targets (--target):\n{lines}\n") }
}

/// The table as a section of a manual page.
pub fn roff(command: &str) -> String {
    let mut page = Roff::new();
    if of(command).next().is_some() {
        page.control("SH", ["TARGETS"]);
    }
    for (text, what) in of(command) {
        page.control("TP", []);
        page.text([roman(text)]);
        page.text([roman(what)]);
    }
    page.to_roff()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_config::Target;

    #[test]
    fn what_the_table_says_can_be_written() {
        for (text, ..) in TARGETS {
            let written: Target = text.trim_matches('\'').parse().unwrap();
            assert_eq!(written.to_string().trim_matches('"'), text.trim_matches('\''));
        }
        assert!(text("explain").contains("top = 3") && !text("check").contains("top = 3") && text("layers").is_empty());
        assert!(roff("run").contains("TARGETS") && !roff("layers").contains("TARGETS"));
    }
}
