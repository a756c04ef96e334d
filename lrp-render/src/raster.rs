//! SVG drawn over pixels, by resvg.

use image::RgbImage;
use lrp::Error;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// Pixels that are drawn at once: they have four bytes there, and large figures have many.
const STRIP: u32 = 1 << 22;

/// Draws an SVG of the size of the image over it. Embedded pictures are not drawn, and texts have to be outlines.
///
/// # Errors
/// When the SVG cannot be read, which is a mistake of this program.
pub fn draw_over(image: &mut RgbImage, svg: &str) -> Result<(), Error> {
    let tree =
        Tree::from_str(svg, &Options::default()).map_err(|e| Error::Internal(format!("the SVG of a picture: {e}")))?;
    let width = image.width();
    if width == 0 {
        return Ok(());
    }
    let rows = (STRIP / width).max(1);
    let line = width as usize * 3;
    for (top, strip) in (0..).step_by(rows as usize).zip(image.chunks_mut(line * rows as usize)) {
        let height = u32::try_from(strip.len() / line).unwrap_or(rows);
        let too_large = || Error::Internal(format!("a picture of {width} pixels in a row cannot be drawn"));
        let mut pixmap = Pixmap::new(width, height).ok_or_else(too_large)?;
        for (pixel, [red, green, blue]) in pixmap.data_mut().as_chunks_mut().0.iter_mut().zip(strip.as_chunks().0) {
            *pixel = [*red, *green, *blue, u8::MAX];
        }
        resvg::render(&tree, Transform::from_translate(0.0, -(top as f32)), &mut pixmap.as_mut());
        // What is drawn over an opaque picture is opaque.
        for ([red, green, blue, _], pixel) in pixmap.data().as_chunks().0.iter().zip(strip.as_chunks_mut().0) {
            *pixel = [*red, *green, *blue];
        }
    }
    Ok(())
}
