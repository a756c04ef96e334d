//! One description of a picture, written as SVG and drawn as PNG.
//!
//! The pixels of heatmaps lie below, exactly as they are; rectangles, curves and texts lie over them, and are drawn by resvg. A picture
//! without any of these is pixels alone.

use std::borrow::Cow;
use std::fmt;
use std::io::Cursor;
use std::path::Path;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, Rgb, RgbImage, imageops};
use lrp::Error;

use crate::color::{Hex, PAPER};
use crate::curve::Piece;
use crate::font::Font;
use crate::raster;

/// A picture: pixels, and drawings over them.
#[derive(Debug, Clone)]
pub struct Canvas {
    width: u32,
    height: u32,
    images: Vec<Placed>,
    marks: Vec<Mark>,
}

/// The formats of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Pixels.
    Png,
    /// Vectors, with the pixels of heatmaps embedded.
    Svg,
}

impl Format {
    /// The format that a file's extension names, in either case.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?;
        [Self::Png, Self::Svg].into_iter().find(|format| extension.eq_ignore_ascii_case(format.extension()))
    }

    /// The extension of files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Svg => "svg",
        }
    }
}

#[derive(Debug, Clone)]
struct Placed {
    x: u32,
    y: u32,
    pixels: RgbImage,
}

/// Something that is drawn over the pixels. Coordinates are pixels from the upper left corner.
#[derive(Debug, Clone)]
enum Mark {
    Rect {
        x: u32,
        y: u32,
        width: u32,
        height: u32,
        color: Hex,
    },
    Frame {
        x: i64,
        y: i64,
        width: u32,
        height: u32,
        color: Hex,
    },
    Dashes {
        from: u32,
        to: u32,
        y: f64,
        color: Hex,
    },
    Curve {
        pieces: Vec<Piece>,
        width: f64,
    },
    Text {
        x: u32,
        y: f32,
        size: f32,
        color: Hex,
        anchor: Anchor,
        words: String,
    },
    /// A text in its place: its outlines, in units of the font, and the pixels of a unit.
    Outlines {
        x: f32,
        y: f32,
        unit: f32,
        color: Hex,
        data: String,
    },
}

/// The part of a text that is at a place.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    /// Its left end.
    Start,
    /// Its centre.
    Middle,
    /// Its right end.
    End,
}

impl Anchor {
    /// The part of a text that is left of the place.
    fn part_before(self) -> f32 {
        match self {
            Self::Start => 0.0,
            Self::Middle => 0.5,
            Self::End => 1.0,
        }
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        })
    }
}

impl Mark {
    /// Texts as outlines; the rest as it is.
    fn outlined(&self, font: &Font) -> Cow<'_, Mark> {
        let Mark::Text { x, y, size, color, anchor, words } = self else { return Cow::Borrowed(self) };
        let (data, unit) = font.outlines(words, *size);
        let x = *x as f32 - anchor.part_before() * unit * font.units(words);
        Cow::Owned(Mark::Outlines { x, y: *y, unit, color: *color, data })
    }
}

impl Canvas {
    /// A white picture.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self { width, height, images: Vec::new(), marks: Vec::new() }
    }

    /// The pixels of an image, and nothing else.
    pub fn of_image(pixels: RgbImage) -> Self {
        let mut canvas = Self::new(pixels.width(), pixels.height());
        canvas.image(pixels, 0, 0);
        canvas
    }

    /// Pixels of a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows of pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    pub(crate) fn image(&mut self, pixels: RgbImage, x: u32, y: u32) {
        self.images.push(Placed { x, y, pixels });
    }

    pub(crate) fn rect(&mut self, (x, y): (u32, u32), (width, height): (u32, u32), color: Rgb<u8>) {
        self.marks.push(Mark::Rect { x, y, width, height, color: Hex(color) });
    }

    /// A line of one pixel around a rectangle.
    pub(crate) fn frame(&mut self, (x, y): (u32, u32), (width, height): (u32, u32), color: Rgb<u8>) {
        let (x, y) = (i64::from(x) - 1, i64::from(y) - 1);
        self.marks.push(Mark::Frame { x, y, width: width + 2, height: height + 2, color: Hex(color) });
    }

    /// A dashed row of pixels.
    pub(crate) fn dashes(&mut self, from: u32, to: u32, y: u32, color: Rgb<u8>) {
        self.marks.push(Mark::Dashes { from, to, y: f64::from(y) + 0.5, color: Hex(color) });
    }

    /// A curve, with round ends and corners.
    pub(crate) fn curve(&mut self, pieces: Vec<Piece>, width: f64) {
        self.marks.push(Mark::Curve { pieces, width });
    }

    /// A text on a baseline.
    pub(crate) fn text(&mut self, text: &str, anchor: Anchor, (x, y): (u32, f32), size: f32, color: Rgb<u8>) {
        let words = text.chars().map(|c| if is_xml(c) { c } else { char::REPLACEMENT_CHARACTER }).collect();
        let (y, size, color) = (hundredths(y), hundredths(size), Hex(color));
        self.marks.push(Mark::Text { x, y, size, color, anchor, words });
    }

    /// The picture as a file of this format.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>, Error> {
        match format {
            Format::Png => png(&self.pixels()?),
            Format::Svg => self.svg().map(String::into_bytes),
        }
    }

    /// The picture as pixels.
    ///
    /// # Errors
    /// When it cannot be drawn, which is a mistake of this program.
    pub fn pixels(&self) -> Result<RgbImage, Error> {
        let mut image = RgbImage::from_pixel(self.width, self.height, PAPER);
        for Placed { x, y, pixels } in &self.images {
            imageops::replace(&mut image, pixels, i64::from(*x), i64::from(*y));
        }
        if !self.marks.is_empty() {
            let font = Font::bundled()?;
            let marks = self.marks.iter().map(|mark| mark.outlined(&font)).collect();
            raster::draw_over(&mut image, &self.written(None, Vec::new(), marks)?)?;
        }
        Ok(image)
    }

    /// The picture as an SVG that needs no other file.
    ///
    /// # Errors
    /// When the pixels cannot be encoded.
    pub fn svg(&self) -> Result<String, Error> {
        let images = self.images.iter().map(Embedded::new).collect::<Result<_, _>>()?;
        self.written(Some(Hex(PAPER)), images, self.marks.iter().map(Cow::Borrowed).collect())
    }

    fn written(&self, paper: Option<Hex>, images: Vec<Embedded>, marks: Vec<Cow<'_, Mark>>) -> Result<String, Error> {
        let &Self { width, height, .. } = self;
        let svg = Svg { width, height, paper, images, marks }.render();
        svg.map_err(|e| Error::Internal(format!("the SVG of a picture: {e}")))
    }
}

/// The document.
#[derive(Template)]
#[template(path = "picture.svg")]
struct Svg<'a> {
    width: u32,
    height: u32,
    paper: Option<Hex>,
    images: Vec<Embedded>,
    marks: Vec<Cow<'a, Mark>>,
}

/// An image within the document.
struct Embedded {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    /// In base64.
    png: String,
}

impl Embedded {
    fn new(Placed { x, y, pixels }: &Placed) -> Result<Self, Error> {
        let (width, height) = pixels.dimensions();
        Ok(Self { x: *x, y: *y, width, height, png: STANDARD.encode(png(pixels)?) })
    }
}

fn png(pixels: &RgbImage) -> Result<Vec<u8>, Error> {
    let mut png = Cursor::new(Vec::new());
    pixels.write_to(&mut png, ImageFormat::Png).map_err(|e| Error::Internal(format!("a picture as PNG: {e}")))?;
    Ok(png.into_inner())
}

/// To hundredths of a pixel.
fn hundredths(pixels: f32) -> f32 {
    (pixels * 100.0).round() / 100.0
}

/// Whether XML can contain the character at all. Nothing stands for the others, not even an escape.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::INK;

    /// Two by two pixels, no two alike.
    fn four() -> RgbImage {
        RgbImage::from_fn(2, 2, |x, y| Rgb([x as u8 * 200, y as u8 * 200, 7]))
    }

    #[test]
    fn pixels_stay_as_they_are_also_below_drawings() {
        assert_eq!(Canvas::of_image(four()).pixels().unwrap(), four());
        let mut canvas = Canvas::new(40, 30);
        canvas.image(four(), 3, 4);
        canvas.frame((3, 4), (2, 2), INK);
        canvas.rect((20, 10), (2, 3), INK);
        canvas.text("x", Anchor::Middle, (30, 29.0), 9.0, INK);
        let drawn = canvas.pixels().unwrap();
        assert_eq!(imageops::crop_imm(&drawn, 3, 4, 2, 2).to_image(), four());
        // Around it there is a line of one pixel, and paper.
        let row: Vec<Rgb<u8>> = (0..7).map(|x| *drawn.get_pixel(x, 5)).collect();
        assert_eq!(row, [PAPER, PAPER, INK, Rgb([0, 200, 7]), Rgb([200, 200, 7]), INK, PAPER]);
        assert_eq!(drawn.pixels().filter(|pixel| **pixel == INK).count(), 12 + 6);
        assert!(imageops::crop_imm(&drawn, 25, 20, 10, 10).to_image().pixels().any(|pixel| *pixel != PAPER));
    }

    #[test]
    fn the_svg_is_xml_and_has_everything_in_it() {
        let mut canvas = Canvas::of_image(four());
        canvas.text("<a b=\"c\">&\u{1}\u{ffff}  ]]>", Anchor::Start, (0, 1.25), 10.0, INK);
        let svg = canvas.svg().unwrap();
        let tree = resvg::usvg::roxmltree::Document::parse(&svg).unwrap();
        let node = |name: &str| tree.descendants().find(|node| node.has_tag_name(name)).unwrap();
        assert_eq!(node("text").text(), Some("<a b=\"c\">&\u{fffd}\u{fffd}  ]]>"));
        let data = node("image").attribute("href").unwrap().strip_prefix("data:image/png;base64,").unwrap();
        let png = image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap();
        assert_eq!(png.into_rgb8(), four());
        assert_eq!((node("svg").attribute("width"), node("svg").attribute("height")), (Some("2"), Some("2")));
    }

    #[test]
    fn formats_are_told_by_extensions() {
        let of = |name: &str| Format::of(Path::new(name));
        assert_eq!(
            (of("a.b.PNG"), of("a.svg"), of("png"), of("a.jpg")),
            (Some(Format::Png), Some(Format::Svg), None, None)
        );
    }
}
