//! The values of flags, each read from its text.

use lrp_config::{
    Begin, Colormap, FixedInput, Kind, NameGlob, Precision, Resize, Save, Scale, Size, Target, ValueError,
};
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// Columns of an explanation below a message.
const WIDTH: usize = 100;

/// Columns of a message that is too long for the line on which the flag is named.
const MESSAGE_WIDTH: usize = 92;

/// A fixed input: its name and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Fix(pub String, pub FixedInput);

pub(super) fn choose<V: Copy>(text: &str, choices: &[(&str, V)]) -> Result<V, String> {
    choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        match names.split_last() {
            Some((last, others)) if !others.is_empty() => format!("expected {} or {last}", others.join(", ")),
            _ => format!("expected {}", names.join("")),
        }
    })
}

/// The error, and set in below it the remedy.
fn explained(error: ValueError) -> String {
    match error.remedy() {
        Some(help) => format!("{}\n{}", error.message(), set_in(help, WIDTH)),
        None => error.message().to_owned(),
    }
}

/// Lines of at most this width, set in by two columns. Words stay whole.
fn set_in(text: &str, width: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let options = Options::new(width)
        .initial_indent("  ")
        .subsequent_indent("  ")
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::fill(&words.join(" "), options)
}

pub(super) fn fixed(text: &str) -> Result<Fix, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let error = ValueError::new("not a value");
            let error = error.help("give a number, [numbers], zeros, ones, or an .npy or .npz file");
            value.parse::<FixedInput>().map(|value| Fix(name.to_owned(), value)).map_err(|_| explained(error))
        }
        _ => {
            let error = ValueError::new("expected NAME=VALUE");
            Err(explained(error.help("give the name of an input of the model, and its value")))
        }
    }
}

pub(super) fn target(text: &str) -> Result<Target, String> {
    text.parse().map_err(|error: ValueError| {
        // The message stands behind the name of the flag, unless it is long.
        let message = error.in_one_line();
        let is_short = message.chars().count() <= MESSAGE_WIDTH / 2;
        if is_short { message } else { format!("\n{}", set_in(&message, MESSAGE_WIDTH)) }
    })
}

pub(super) fn start(text: &str) -> Result<Begin, String> {
    text.parse().map_err(explained)
}

pub(super) fn node_glob(text: &str) -> Result<NameGlob, String> {
    text.parse().map_err(explained)
}

pub(super) fn colormap(text: &str) -> Result<Colormap, String> {
    text.parse().map_err(explained)
}

pub(super) fn size(text: &str) -> Result<Size, String> {
    text.parse().map_err(explained)
}

pub(super) fn precision(text: &str) -> Result<Precision, String> {
    choose(text, &[("f32", Precision::F32), ("f64", Precision::F64)])
}

pub(super) fn resize(text: &str) -> Result<Resize, String> {
    choose(text, &[("crop", Resize::Crop), ("stretch", Resize::Stretch)])
}

pub(super) fn save(text: &str) -> Result<Save, String> {
    let choices = [
        ("npy", Save::Npy),
        ("npz", Save::Npz),
        ("safetensors", Save::Safetensors),
        ("png", Save::Png),
        ("svg", Save::Svg),
        ("json", Save::Json),
        ("html", Save::Html),
        ("quantus", Save::Quantus),
        ("virelay", Save::Virelay),
    ];
    choose(text, &choices)
}

pub(super) fn save_picture(text: &str) -> Result<Save, String> {
    choose(text, &[("png", Save::Png), ("svg", Save::Svg)])
}

pub(super) fn kind(text: &str) -> Result<Kind, String> {
    let choices =
        [("image", Kind::Image), ("series", Kind::Series), ("series-last", Kind::SeriesLast), ("tokens", Kind::Tokens)];
    choose(text, &choices)
}

pub(super) fn scale(text: &str) -> Result<Scale, String> {
    choose(text, &[("symmetric", Scale::Symmetric), ("positive", Scale::Positive)])
}

pub(super) fn percentile(text: &str) -> Result<f64, String> {
    above_zero(text, 100.0)
}

pub(super) fn opacity(text: &str) -> Result<f64, String> {
    above_zero(text, 1.0)
}

fn above_zero(text: &str, most: f64) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| *value > 0.0 && *value <= most);
    value.ok_or_else(|| format!("expected a number greater than 0 and at most {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_stand_below_the_flag() {
        assert_eq!(
            target("{ top = 0 }").unwrap_err(),
            "\n  must be at least 1, got 0; count from 1 here, or leave the key out"
        );
        let long = target("{ tops = 3 }").unwrap_err();
        assert!(long.starts_with("\n  unknown field `tops`, expected one of"), "{long}");
        assert!(long.lines().count() > 2 && long.lines().all(|line| line.len() <= MESSAGE_WIDTH), "{long}");
    }

    #[test]
    fn remedies_are_set_in() {
        assert_eq!(size("0").unwrap_err(), "must be from 1 to 16384, got 0");
        let error = size("huge").unwrap_err();
        assert_eq!(error, "'huge' is no size\n  write the pixels of the longer side, 448, or a factor, \"4x\"");
        assert_eq!(
            fixed("=3").unwrap_err(),
            "expected NAME=VALUE\n  give the name of an input of the model, and its value"
        );
        assert_eq!(set_in("aa bb  cc", 7), "  aa bb\n  cc");
    }
}
