//! Text in pictures, in the bundled font, and the colour scale below them.

use image::{Rgb, RgbImage};

use crate::canvas::{Anchor, Canvas};
use crate::color::FRAME;
use crate::font::Font;
use crate::look::Look;

/// A kind of text: its font, size and colour.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    /// The font.
    pub font: &'a Font,
    /// Pixels from its highest to its lowest point.
    pub size: f32,
    /// The colour.
    pub color: Rgb<u8>,
}

impl Text<'_> {
    /// The width of a text.
    pub fn width(&self, text: &str) -> u32 {
        if text.is_empty() { 0 } else { 1 + self.font.width(self.size, text).ceil() as u32 }
    }

    /// From one line to the next.
    pub fn line(&self) -> u32 {
        (self.size * 1.25) as u32
    }

    /// Draws `text` from `x` on, its top at `y`.
    pub fn left(&self, canvas: &mut Canvas, text: &str, x: u32, y: u32) {
        self.anchored(canvas, text, Anchor::Start, x, y);
    }

    /// Draws `text` centred on `x`, its top at `y`.
    pub fn centred(&self, canvas: &mut Canvas, text: &str, x: u32, y: u32) {
        self.anchored(canvas, text, Anchor::Middle, x, y);
    }

    /// Draws `text` up to `x`, its top at `y`.
    pub fn right(&self, canvas: &mut Canvas, text: &str, x: u32, y: u32) {
        self.anchored(canvas, text, Anchor::End, x, y);
    }

    fn anchored(&self, canvas: &mut Canvas, text: &str, anchor: Anchor, x: u32, y: u32) {
        let baseline = y as f32 + self.font.ascent(self.size);
        canvas.text(text, anchor, (x, baseline), self.font.em(self.size), self.color);
    }
}

/// The height of [`scale`], with its labels.
pub const SCALE_HEIGHT: u32 = 84;
/// The width that [`scale`] needs, with its labels.
pub const SCALE_WIDTH: u32 = 600;

/// Draws the colours with their ends and their centre named, and a note below, centred in the picture.
pub fn scale(canvas: &mut Canvas, text: &Text<'_>, look: &Look, note: &str, top: u32) {
    let (width, height) = (360, 16);
    let left = canvas.width().saturating_sub(width) / 2;
    let color = |x: u32| look.color_on_scale(f64::from(x) / f64::from(width - 1));
    canvas.image(RgbImage::from_fn(width, height, |x, _| color(x)), left, top);
    canvas.frame((left, top), (width, height), FRAME);
    for (place, label) in look.marks() {
        text.centred(canvas, &label, left + (f64::from(width) * place) as u32, top + 22);
    }
    text.centred(canvas, note, canvas.width() / 2, top + 46);
}
