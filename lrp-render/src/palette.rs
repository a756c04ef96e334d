//! Colour maps as a picture.

use image::{Rgb, RgbImage};
use lrp::Error;
use lrp_config::Colormap;

use crate::text::{FAINT, INK, PAPER, Text, font, frame};

/// One map below the other, zero marked.
///
/// # Errors
/// When the bundled font cannot be read, which is a mistake of this crate.
pub fn draw(maps: &[Colormap]) -> Result<RgbImage, Error> {
    const MARGIN: u32 = 20;
    const BAR: (u32, u32) = (513, 26);
    const STEP: u32 = 42;
    let font = font()?;
    let name = Text { font: &font, size: 17.0, color: INK };
    let label = Text { font: &font, size: 15.0, color: FAINT };
    let names = maps.iter().map(|map| name.width(map.name())).max().unwrap_or(0);
    let sources = maps.iter().map(|map| label.width(map.source())).max().unwrap_or(0);
    let left = MARGIN + names + 16;
    let rows = u32::try_from(maps.len()).unwrap_or(0);
    let bottom = MARGIN + rows * STEP;
    let (width, height) = (left + BAR.0 + 16 + sources + MARGIN, bottom + 24 + MARGIN);
    let mut image = RgbImage::from_pixel(width, height, PAPER);
    for (map, top) in maps.iter().zip((MARGIN..).step_by(STEP as usize)) {
        name.right(&mut image, map.name(), left - 16, top + 4);
        for x in 0..BAR.0 {
            let color = map.color(f64::from(x) / f64::from(BAR.0 - 1) * 2.0 - 1.0);
            for y in 0..BAR.1 {
                image.put_pixel(left + x, top + y, Rgb(color));
            }
        }
        frame(&mut image, (left, top), BAR);
        // Where zero is.
        for y in top - 6..top - 1 {
            image.put_pixel(left + BAR.0 / 2, y, INK);
        }
        label.left(&mut image, map.source(), left + BAR.0 + 16, top + 5);
    }
    for (x, text) in [(0, "−max|R|"), (BAR.0 / 2, "0"), (BAR.0, "+max|R|")] {
        label.centred(&mut image, text, left + x, bottom);
    }
    Ok(image)
}
