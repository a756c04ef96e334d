//! Pictures inside of HTML.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, ImageResult, RgbImage};

/// Pictures that take fewer bytes than this as PNG are written exactly.
const EXACT: usize = 32 << 10;

/// The quality of the others, which are JPEG.
const QUALITY: u8 = 90;

/// A picture as a `data:` address.
///
/// # Errors
/// When it cannot be encoded.
pub fn address(picture: &RgbImage) -> ImageResult<String> {
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png)?;
    let png = png.into_inner();
    if png.len() < EXACT {
        return Ok(format!("data:image/png;base64,{}", STANDARD.encode(png)));
    }
    let mut jpeg = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY))?;
    Ok(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pictures_are_exact_and_large_ones_are_small() {
        assert!(address(&RgbImage::new(28, 28)).unwrap().starts_with("data:image/png;base64,"));
        let mut state = 1_u32;
        let noise = RgbImage::from_fn(224, 224, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [a, b, c, _] = state.to_be_bytes();
            image::Rgb([a, b, c])
        });
        let text = address(&noise).unwrap();
        assert!(text.starts_with("data:image/jpeg;base64,") && text.len() < 224 * 224 * 3, "{}", text.len());
    }
}
