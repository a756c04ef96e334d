//! Colour maps as a picture.

use image::{Rgb, RgbImage};
use lrp::Error;
use lrp_config::Colormap;

use crate::canvas::Canvas;
use crate::color::{FAINT, FRAME, INK};
use crate::font::Font;
use crate::text::Text;

/// One map below the other, zero marked.
///
/// # Errors
/// When the bundled font cannot be read, which is a mistake of this crate.
pub fn draw(maps: &[Colormap]) -> Result<Canvas, Error> {
    const MARGIN: u32 = 20;
    const BAR: (u32, u32) = (513, 26);
    const STEP: u32 = 42;
    let font = Font::bundled()?;
    let name = Text { font: &font, size: 17.0, color: INK };
    let label = Text { font: &font, size: 15.0, color: FAINT };
    let names = maps.iter().map(|map| name.width(map.name())).max().unwrap_or(0);
    let sources = maps.iter().map(|map| label.width(map.source())).max().unwrap_or(0);
    let left = MARGIN + names + 16;
    let rows = u32::try_from(maps.len()).unwrap_or(0);
    let bottom = MARGIN + rows * STEP;
    let (width, height) = (left + BAR.0 + 16 + sources + MARGIN, bottom + 24 + MARGIN);
    let mut canvas = Canvas::new(width, height);
    for (map, top) in maps.iter().zip((MARGIN..).step_by(STEP as usize)) {
        name.right(&mut canvas, map.name(), left - 16, top + 4);
        let color = |x: u32| Rgb(map.color(f64::from(x) / f64::from(BAR.0 - 1) * 2.0 - 1.0));
        canvas.image(RgbImage::from_fn(BAR.0, BAR.1, |x, _| color(x)), left, top);
        canvas.frame((left, top), BAR, FRAME);
        // Where zero is.
        canvas.rect((left + BAR.0 / 2, top - 6), (1, 5), INK);
        label.left(&mut canvas, map.source(), left + BAR.0 + 16, top + 5);
    }
    for (x, text) in [(0, "−max|R|"), (BAR.0 / 2, "0"), (BAR.0, "+max|R|")] {
        label.centred(&mut canvas, text, left + x, bottom);
    }
    Ok(canvas)
}
