//! The font that is part of this crate: its measures, and the outlines of its glyphs.
//!
//! Texts are drawn as outlines, in this font alone: a picture is the same on every machine, whatever fonts that has. (resvg could shape texts in
//! any font; that part of it takes longer to compile than this workspace's pictures.)

use std::fmt::Write;

use lrp::Error;
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// The glyph of characters that the font lacks.
const NO_GLYPH: GlyphId = GlyphId(0);

/// The bundled font.
pub struct Font(Face<'static>);

impl Font {
    /// The bundled font.
    ///
    /// # Errors
    /// When it cannot be read, which is a mistake of this program.
    pub fn bundled() -> Result<Self, Error> {
        let face = Face::parse(epaint_default_fonts::HACK_REGULAR, 0);
        face.map(Self).map_err(|e| Error::Internal(format!("the bundled font: {e}")))
    }

    /// Whether there is a glyph for the character.
    pub fn has(&self, c: char) -> bool {
        self.0.glyph_index(c).is_some_and(|glyph| glyph != NO_GLYPH)
    }

    /// The size of the em of a text of this height, in pixels: `font-size` in SVG.
    pub fn em(&self, height: f32) -> f32 {
        f32::from(self.0.units_per_em()) * self.per_unit(height)
    }

    /// Pixels from the top of a text of this height to its baseline.
    pub fn ascent(&self, height: f32) -> f32 {
        f32::from(self.0.ascender()) * self.per_unit(height)
    }

    /// The width of a text of this height, in pixels.
    pub fn width(&self, height: f32, text: &str) -> f32 {
        self.units(text) * self.per_unit(height)
    }

    /// The outlines of a text whose baseline begins at the origin, as the data of an SVG path in units of the font; and the pixels of a unit where
    /// the em has `em` pixels.
    pub fn outlines(&self, text: &str, em: f32) -> (String, f32) {
        let mut path = Path::default();
        for c in text.chars() {
            self.0.outline_glyph(self.glyph(c), &mut path);
            path.x += self.advance(c);
        }
        (path.data, em / f32::from(self.0.units_per_em()))
    }

    /// The width of a text, in units of the font.
    pub fn units(&self, text: &str) -> f32 {
        text.chars().map(|c| self.advance(c)).sum()
    }

    fn glyph(&self, c: char) -> GlyphId {
        self.0.glyph_index(c).unwrap_or(NO_GLYPH)
    }

    fn advance(&self, c: char) -> f32 {
        f32::from(self.0.glyph_hor_advance(self.glyph(c)).unwrap_or_else(|| self.0.units_per_em()))
    }

    /// Pixels for a unit of the font, in a text of this height from its highest to its lowest point.
    fn per_unit(&self, height: f32) -> f32 {
        height / f32::from(self.0.ascender() - self.0.descender())
    }
}

/// The data of an SVG path.
#[derive(Default)]
struct Path {
    data: String,
    /// Where the current glyph begins.
    x: f32,
}

impl Path {
    fn add(&mut self, command: char, points: &[[f32; 2]]) {
        self.data.push(command);
        for [x, y] in points {
            // Writing to a string does not fail.
            let _ = write!(self.data, "{} {} ", self.x + x, y);
        }
    }
}

impl OutlineBuilder for Path {
    fn move_to(&mut self, x: f32, y: f32) {
        self.add('M', &[[x, y]]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.add('L', &[[x, y]]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.add('Q', &[[x1, y1], [x, y]]);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.add('C', &[[x1, y1], [x2, y2], [x, y]]);
    }

    fn close(&mut self) {
        self.add('Z', &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_add_up_and_missing_characters_are_known() {
        let font = Font::bundled().unwrap();
        assert!((font.width(20.0, "iiWW") - 4.0 * font.width(20.0, "W")).abs() < 1e-3);
        assert!(font.em(20.0) < 20.0 && font.ascent(20.0) < 20.0);
        assert!(font.has('ε') && font.has('−') && !font.has('漢') && !font.has('\u{1b}'));
    }

    #[test]
    fn texts_are_the_outlines_of_their_characters() {
        let font = Font::bundled().unwrap();
        let [one, two, space] = ["l", "ll", " "].map(|text| font.outlines(text, 16.0).0);
        assert!(one.starts_with('M') && two.starts_with(&one) && space.is_empty());
        assert_eq!(two.matches('M').count(), 2 * one.matches('M').count());
    }
}
