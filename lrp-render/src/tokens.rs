//! Texts: tokens on the colour of their relevance, as a picture and as a piece of HTML.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use askama::Template;
use image::Rgb;
use lrp::Error;
use lrp::numbers::typeset;
use lrp::text::TextPart;
use lrp_core::Scalar;
use lrp_core::text::shortened;
use ndarray::{ArrayViewD, Axis};

use crate::canvas::Canvas;
use crate::color::{FAINT, Hex, INK};
use crate::font::Font;
use crate::look::Look;
use crate::text::{SCALE_HEIGHT, Text, scale};

const MARGIN: u32 = 24;
const WIDTH: u32 = 900;
const SIZE: f32 = 22.0;
/// Characters of a token in the picture.
const LONGEST: usize = 60;
/// Most pixels from the first line of tokens to the last.
const TALLEST: u32 = 16_000;
/// Around a token's text.
const PAD: u32 = 5;

/// The texts of the tokens of an input's samples.
#[derive(Debug, Clone)]
pub struct Tokens {
    path: PathBuf,
    samples: Vec<Vec<String>>,
}

impl Tokens {
    /// From the text of a file, one token on a line with an empty line between samples, or, where `path` ends in .json, from JSON, a list for
    /// each sample. Messages call it `path`.
    ///
    /// # Errors
    /// When the text is not of that form.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let wrong = |why: &dyn std::fmt::Display| Self::unreadable(path, why);
        let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let samples = match is_json {
            true => serde_json::from_str::<Vec<Vec<String>>>(text)
                .or_else(|e| serde_json::from_str::<Vec<String>>(text).map(|only| vec![only]).map_err(|_| e))
                .map_err(|e| wrong(&e))?,
            false => {
                let lines: Vec<&str> = text.lines().collect();
                let samples = lines.split(|line| line.is_empty()).filter(|sample| !sample.is_empty());
                samples.map(|sample| sample.iter().map(|token| (*token).to_owned()).collect()).collect()
            }
        };
        if samples.is_empty() {
            return Err(wrong(&"there are none"));
        }
        Ok(Self { path: path.to_path_buf(), samples })
    }

    /// The error for tokens that cannot be read.
    pub fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Error {
        Error::user(
            format!("cannot read the tokens '{}': {why}", path.display()),
            "write one token on a line and an empty line between samples, or JSON: [[\"a\", \"text\"], [\"another\"]]",
        )
    }

    /// The texts of a sample with this number of positions. Positions behind the last token are padding, and have none.
    ///
    /// # Errors
    /// When there are no texts for the sample, or more than it has positions.
    pub fn of(&self, sample: usize, positions: usize) -> Result<Vec<String>, Error> {
        let path = self.path.display();
        let Some(texts) = self.samples.get(sample) else {
            let message =
                format!("'{path}' has the tokens of {} samples, and none for sample {sample}", self.samples.len());
            return Err(Error::user(message, "give tokens for every sample of the input"));
        };
        if texts.len() > positions {
            let message =
                format!("'{path}': sample {sample} has {} tokens, and the model expects {positions}", texts.len());
            return Err(Error::user(message, "give one token for each position, fewer where the rest is padding"));
        }
        Ok(texts.clone())
    }
}

/// The relevance of each token: the sum over its vector.
pub fn scores<T: Scalar>(relevance: ArrayViewD<'_, T>) -> Vec<f64> {
    match relevance.ndim() {
        0 | 1 => relevance.iter().map(|r| r.wide()).collect(),
        _ => relevance.axis_iter(Axis(0)).map(|token| token.iter().map(|r| r.wide()).sum()).collect(),
    }
}

/// Tokens, or words, and their relevance.
pub struct Scored {
    tokens: Vec<(TextPart, f64)>,
    /// The relevance of positions behind the last token, if there are any.
    padding: Option<f64>,
}

impl Scored {
    /// The parts of a text, and the relevance of every position.
    pub fn new(parts: Vec<TextPart>, scores: &[f64]) -> Self {
        let mut rest = scores;
        let scored = |part: TextPart| {
            let (own, others) = rest.split_at(part.positions.min(rest.len()));
            rest = others;
            (part, own.iter().sum())
        };
        let tokens = parts.into_iter().map(scored).collect();
        Self { tokens, padding: (!rest.is_empty()).then(|| rest.iter().sum()) }
    }

    fn limit(&self, look: &Look) -> f64 {
        look.limit(&self.tokens.iter().map(|(_, score)| *score).collect::<Vec<_>>())
    }

    /// The colours of every token: of its background, and of its text, which is grey for tokens that stand for no part of the text.
    fn colors(&self, look: &Look) -> Vec<(Rgb<u8>, Rgb<u8>)> {
        let limit = self.limit(look);
        let of = |(part, score): &(TextPart, f64)| {
            let back = look.color(look.scaled(*score, limit));
            (back, if part.is_special { faint_on(back) } else { readable_on(back) })
        };
        self.tokens.iter().map(of).collect()
    }

    fn note(&self) -> String {
        let max = self.tokens.iter().fold(0.0, |max: f64, (_, score)| max.max(score.abs()));
        let sum: f64 = self.tokens.iter().map(|(_, score)| score).sum();
        let padding = self.padding.map(|r| format!(", padding {}", typeset(r))).unwrap_or_default();
        format!("relevance of tokens: max|R| {}, sum {}{padding}", typeset(max), typeset(sum))
    }

    /// The text as a picture, in lines.
    ///
    /// # Errors
    /// When the bundled font cannot be read.
    pub fn draw(&self, look: &Look) -> Result<Canvas, Error> {
        let font = Font::bundled()?;
        let plain = Text { font: &font, size: SIZE, color: INK };
        let label = Text { font: &font, size: 15.0, color: FAINT };
        let line = plain.line() + 3 * PAD;
        let mut boxes = Vec::new();
        let (mut x, mut y) = (MARGIN, MARGIN);
        for (part, _) in &self.tokens {
            let text = visible(&shortened(&part.text, LONGEST), &font);
            let width = plain.width(&text).max(6) + 2 * PAD;
            if x > MARGIN && x + width > WIDTH - MARGIN {
                (x, y) = (MARGIN, y + line);
            }
            if y > TALLEST {
                break;
            }
            boxes.push((text, x, y, width));
            x += width + 3;
        }
        // Texts that go on are said to: with what is left out in words, where the next line would be.
        let more = self.tokens.len() - boxes.len();
        let text_bottom = y + line + 8;
        let widest = boxes.iter().map(|(_, x, _, width)| x + width + MARGIN).max().unwrap_or(0);
        let mut canvas = Canvas::new(WIDTH.max(widest), text_bottom + SCALE_HEIGHT + MARGIN);
        for ((text, x, y, width), (back, ink)) in boxes.iter().zip(self.colors(look)) {
            canvas.rect((*x, *y), (*width, plain.line() + PAD), back);
            Text { color: ink, ..plain }.left(&mut canvas, text, x + PAD, y + PAD / 2);
        }
        if more > 0 {
            label.left(
                &mut canvas,
                &format!("… and {more} more tokens, which the .html beside this picture has"),
                MARGIN,
                y + PAD,
            );
        }
        scale(&mut canvas, &label, look, &self.note(), text_bottom);
        Ok(canvas)
    }

    /// The text as a self-contained HTML fragment: no script, no other file.
    ///
    /// # Errors
    /// When the template cannot be rendered, which is a mistake of this program.
    pub fn html(&self, look: &Look) -> Result<String, Error> {
        let token = |((part, score), (back, ink)): (&'_ (TextPart, f64), _)| Token {
            text: part.text.clone(),
            is_special: part.is_special,
            score: typeset(*score),
            back: Hex(back),
            ink: Hex(ink),
        };
        let tokens = self.tokens.iter().zip(self.colors(look)).map(token).collect();
        let html = Fragment { tokens, note: self.note() }.render();
        html.map_err(|e| Error::Internal(format!("the HTML of tokens: {e}")))
    }
}

/// The HTML of a text.
#[derive(Template)]
#[template(path = "tokens.html")]
struct Fragment {
    tokens: Vec<Token>,
    note: String,
}

struct Token {
    text: String,
    /// Whether it stands for no part of the text.
    is_special: bool,
    score: String,
    back: Hex,
    ink: Hex,
}

/// A token as the font can show it. Other characters are shown by their code.
fn visible(text: &str, font: &Font) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        match c {
            '\n' => shown.push('↵'),
            '\t' => shown.push('→'),
            c if c.is_whitespace() || font.has(c) => shown.push(c),
            c => {
                let _ = write!(shown, "<{:X}>", u32::from(c));
            }
        }
    }
    shown
}

/// Whether a colour is light.
fn is_light(Rgb([red, green, blue]): Rgb<u8>) -> bool {
    0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue) > 140.0
}

/// Black or white, whichever is read more easily on a colour.
fn readable_on(color: Rgb<u8>) -> Rgb<u8> {
    if is_light(color) { Rgb([0; 3]) } else { Rgb([255; 3]) }
}

/// A grey that is read on a colour.
fn faint_on(color: Rgb<u8>) -> Rgb<u8> {
    if is_light(color) { Rgb([100; 3]) } else { Rgb([210; 3]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_from_lines_or_json() {
        let read = |name: &str, text: &str| Tokens::parse(Path::new(name), text).map(|tokens| tokens.samples);
        let expected = [vec!["a".to_owned(), " film".to_owned()], vec!["good".to_owned()]];
        assert_eq!(read("a.txt", "a\n film\n\ngood\n").unwrap(), expected);
        assert_eq!(read("a.json", r#"[["a", " film"], ["good"]]"#).unwrap(), expected);
        assert_eq!(read("b.json", r#"["a", " film"]"#).unwrap(), expected[..1]);
        for (name, text) in [("a.txt", "\n\n"), ("c.json", "[1]"), ("d.json", "[")] {
            assert!(read(name, text).is_err(), "{name}");
        }
    }

    #[test]
    fn html_is_escaped_and_has_the_colours() {
        let text = Scored::new(vec![TextPart::token("<b>"), TextPart::token("\"&")], &[2.0, 0.0, 0.5]);
        let html = text.html(&Look::default()).unwrap();
        assert!(html.contains("background: #ff0000; color: #ffffff") && html.contains("&#60;b&#62;</span>"), "{html}");
        assert!(html.contains("background: #ffffff; color: #000000") && html.contains("&#34;&#38;</span>"), "{html}");
        assert!(html.contains("sum 2.00, padding 0.500"), "{html}");
        assert!(text.draw(&Look::default()).unwrap().width() == WIDTH);
    }

    #[test]
    fn parts_have_the_sum_over_their_positions_and_special_ones_are_grey() {
        let special = TextPart { is_special: true, ..TextPart::token("[CLS]") };
        let word = TextPart { positions: 2, ..TextPart::token("playing") };
        let text = Scored::new(vec![special, word], &[0.0, 1.5, -0.5]);
        assert_eq!(text.tokens.iter().map(|(_, score)| *score).collect::<Vec<_>>(), [0.0, 1.0]);
        let html = text.html(&Look::default()).unwrap();
        assert!(html.contains("color: #646464; font-style: italic"), "{html}");
        assert!(html.contains("sum 1.00") && !html.contains("padding 0"), "{html}");
    }

    #[test]
    fn a_picture_of_long_texts_can_be_opened() {
        let draw = |texts: Vec<String>| {
            let scores = vec![1.0; texts.len()];
            Scored::new(texts.into_iter().map(TextPart::token).collect(), &scores).draw(&Look::default()).unwrap()
        };
        assert!(draw(vec!["a".repeat(2_000_000)]).width() < 2 * WIDTH);
        assert!(draw(vec!["\u{1b}".repeat(2_000_000)]).width() < 10 * WIDTH);
        assert!(draw((0..100_000).map(|i| i.to_string()).collect()).height() < TALLEST + 1000);
    }
}
