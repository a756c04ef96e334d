//! Text in pictures, in the bundled font, and the colour scale below them.

use ab_glyph::{Font, FontRef, PxScale};
use image::{Rgb, RgbImage};
use imageproc::drawing::{draw_hollow_rect_mut, draw_text_mut, text_size};
use imageproc::rect::Rect;
use lrp::Error;

use crate::look::Look;

/// The colour of primary text.
pub const INK: Rgb<u8> = Rgb([30, 30, 30]);
/// The colour of secondary text.
pub const FAINT: Rgb<u8> = Rgb([105, 105, 105]);
/// Lines around pictures.
pub const FRAME: Rgb<u8> = Rgb([205, 205, 205]);
/// The background.
pub const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

/// The bundled font.
///
/// # Errors
/// When it cannot be read, which is a mistake of this program.
pub fn font() -> Result<FontRef<'static>, Error> {
    FontRef::try_from_slice(epaint_default_fonts::HACK_REGULAR)
        .map_err(|e| Error::Internal(format!("the bundled font: {e}")))
}

/// A kind of text: its font, size and colour.
pub struct Text<'a> {
    /// The font.
    pub font: &'a FontRef<'a>,
    /// Pixels from line to line, about.
    pub size: f32,
    /// The colour.
    pub color: Rgb<u8>,
}

impl Text<'_> {
    /// The width of a text.
    pub fn width(&self, text: &str) -> u32 {
        text_size(PxScale::from(self.size), self.font, text).0
    }

    /// From one line to the next.
    pub fn line(&self) -> u32 {
        (self.size * 1.25) as u32
    }

    /// Whether the font has every character.
    pub fn has(&self, text: &str) -> bool {
        text.chars().all(|c| c.is_whitespace() || self.font.glyph_id(c).0 != 0)
    }

    /// Draws `text` from `x` on, its top at `y`.
    pub fn left(&self, image: &mut RgbImage, text: &str, x: u32, y: u32) {
        let (x, y) = (i32::try_from(x).unwrap_or(0), i32::try_from(y).unwrap_or(0));
        draw_text_mut(image, self.color, x, y, PxScale::from(self.size), self.font, text);
    }

    /// Draws `text` centred on `x`, its top at `y`.
    pub fn centred(&self, image: &mut RgbImage, text: &str, x: u32, y: u32) {
        self.left(image, text, x.saturating_sub(self.width(text) / 2), y);
    }

    /// Draws `text` up to `x`, its top at `y`.
    pub fn right(&self, image: &mut RgbImage, text: &str, x: u32, y: u32) {
        self.left(image, text, x.saturating_sub(self.width(text)), y);
    }
}

/// The height of [`scale`], with its labels.
pub const SCALE_HEIGHT: u32 = 84;
/// The width that [`scale`] needs, with its labels.
pub const SCALE_WIDTH: u32 = 600;

/// Draws the colours with their ends and their centre named, and a note below, centred in the picture.
pub fn scale(image: &mut RgbImage, text: &Text<'_>, look: &Look, note: &str, top: u32) {
    let width = 360;
    let left = image.width().saturating_sub(width) / 2;
    for x in 0..width {
        let color = look.color_on_scale(f64::from(x) / f64::from(width - 1));
        for y in 0..16 {
            if let Some(pixel) = image.get_pixel_mut_checked(left + x, top + y) {
                *pixel = color;
            }
        }
    }
    frame(image, (left, top), (width, 16));
    for (place, label) in look.marks() {
        text.centred(image, &label, left + (f64::from(width) * place) as u32, top + 22);
    }
    text.centred(image, note, image.width() / 2, top + 46);
}

/// A thin line around a part of a picture.
pub fn frame(image: &mut RgbImage, (left, top): (u32, u32), (width, height): (u32, u32)) {
    let corner = Rect::at(i32::try_from(left).unwrap_or(0) - 1, i32::try_from(top).unwrap_or(0) - 1);
    draw_hollow_rect_mut(image, corner.of_size(width + 2, height + 2), FRAME);
}
