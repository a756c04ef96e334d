//! The font that is part of this crate: its measures, and the one font that pictures are drawn with.

use std::sync::{Arc, LazyLock};

use lrp::Error;
use resvg::usvg::fontdb::{Database, Source};
use skrifa::charmap::Charmap;
use skrifa::instance::{LocationRef, Size};
use skrifa::metrics::GlyphMetrics;
use skrifa::{FontRef, GlyphId, MetadataProvider};

/// The measures of the bundled font.
pub struct Font {
    characters: Charmap<'static>,
    glyphs: GlyphMetrics<'static>,
    units_per_em: f32,
    ascent: f32,
    descent: f32,
}

impl Font {
    /// The bundled font.
    ///
    /// # Errors
    /// When it cannot be read, which is a mistake of this program.
    pub fn bundled() -> Result<Self, Error> {
        let font = FontRef::new(epaint_default_fonts::HACK_REGULAR)
            .map_err(|e| Error::Internal(format!("the bundled font: {e}")))?;
        let metrics = font.metrics(Size::unscaled(), LocationRef::default());
        Ok(Self {
            characters: font.charmap(),
            glyphs: font.glyph_metrics(Size::unscaled(), LocationRef::default()),
            units_per_em: f32::from(metrics.units_per_em),
            ascent: metrics.ascent,
            descent: metrics.descent,
        })
    }

    /// Whether there is a glyph for the character.
    pub fn has(&self, c: char) -> bool {
        self.characters.map(c).is_some_and(|glyph| glyph != GlyphId::NOTDEF)
    }

    /// The size of the em of a text of this height, in pixels: `font-size` in SVG.
    pub fn em(&self, height: f32) -> f32 {
        self.units_per_em * self.per_unit(height)
    }

    /// Pixels from the top of a text of this height to its baseline.
    pub fn ascent(&self, height: f32) -> f32 {
        self.ascent * self.per_unit(height)
    }

    /// The width of a text of this height, in pixels.
    pub fn width(&self, height: f32, text: &str) -> f32 {
        let glyph = |c| self.characters.map(c).unwrap_or(GlyphId::NOTDEF);
        let advance = |c| self.glyphs.advance_width(glyph(c)).unwrap_or(self.units_per_em);
        text.chars().map(advance).sum::<f32>() * self.per_unit(height)
    }

    /// Pixels for a unit of the font, in a text of this height from its highest to its lowest point.
    fn per_unit(&self, height: f32) -> f32 {
        height / (self.ascent - self.descent)
    }
}

/// The fonts of pictures: the bundled one. Those of the system are not among them, so that a picture is the same on every machine.
pub fn database() -> Arc<Database> {
    static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
        let mut fonts = Database::new();
        fonts.load_font_source(Source::Binary(Arc::new(epaint_default_fonts::HACK_REGULAR)));
        Arc::new(fonts)
    });
    Arc::clone(&FONTS)
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
        // Templates name the family.
        assert!(database().faces().any(|face| face.families.iter().any(|(name, _)| name == "Hack")));
    }
}
