//! Whether an image file is all there. Decoders are lenient: of a JPEG that is cut off, they make up the rest.
//!
//! Each format marks its end: JPEG with a marker, PNG with a chunk, WebP with a length. The parts of a file are walked through up to
//! there; the rest is ignored.

use image::ImageFormat;

/// Checks that a file does not end before its image does.
///
/// # Errors
/// The missing part, as the end of a sentence.
pub fn check(bytes: &[u8], format: ImageFormat) -> Result<(), String> {
    let complete = match format {
        ImageFormat::Jpeg => jpeg(bytes),
        ImageFormat::Png => png(bytes),
        ImageFormat::WebP => webp(bytes),
        _ => Some(()),
    };
    complete.ok_or_else(|| "it is truncated: the file ends before the image does; copy or download it again".to_owned())
}

/// Walks through the segments of a JPEG up to its end-of-image marker.
fn jpeg(bytes: &[u8]) -> Option<()> {
    const MARKER: u8 = 0xff;
    const END_OF_IMAGE: u8 = 0xd9;
    let mut rest = bytes.strip_prefix(&[MARKER, 0xd8])?;
    loop {
        // Between segments, and within a scan, stands what is no marker: 0xff and a stuffed zero, or a restart.
        let at =
            rest.windows(2).position(|pair| pair[0] == MARKER && !matches!(pair[1], 0x00 | 0xd0..=0xd7 | MARKER))?;
        let marker = *rest.get(at + 1)?;
        rest = rest.get(at + 2..)?;
        match marker {
            END_OF_IMAGE => return Some(()),
            // TEM and SOI have no length.
            0x01 | 0xd8 => {}
            // All others do, and what is in them (a thumbnail with an end of its own, say) is passed over. The data of a scan follow
            // its head.
            0x02..=0xfe => {
                let length = u16::from_be_bytes([*rest.first()?, *rest.get(1)?]);
                rest = rest.get(usize::from(length)..)?;
            }
            0x00 | MARKER => return None,
        }
    }
}

/// Walks through the chunks of a PNG up to `IEND`.
fn png(bytes: &[u8]) -> Option<()> {
    let mut rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    loop {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        // Four bytes of checksum.
        rest = after.get(length..)?.get(4..)?;
        if kind == b"IEND" {
            return Some(());
        }
    }
}

/// Checks that a WebP has the length in its header, and walks through its chunks.
fn webp(bytes: &[u8]) -> Option<()> {
    let (length, rest) = bytes.strip_prefix(b"RIFF")?.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    // The last chunk's byte of padding says nothing, and some writers leave it out.
    let riff = rest.get(..length).or_else(|| rest.get(..length.checked_sub(1)?))?;
    let mut rest = riff.strip_prefix(b"WEBP")?;
    while let Some((_, after)) = rest.split_first_chunk::<4>() {
        let (size, after) = after.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
        let after = after.get(size..)?;
        rest = if size % 2 == 1 { after.get(1..).unwrap_or_default() } else { after };
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::codecs::jpeg::JpegEncoder;
    use image::{DynamicImage, ImageReader, Rgb, RgbImage};

    use super::*;

    fn picture() -> RgbImage {
        RgbImage::from_fn(37, 29, |x, y| Rgb([(x * 7 + y) as u8, (x * y) as u8, (y * 9) as u8 ^ x as u8]))
    }

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn decoded(bytes: &[u8], format: ImageFormat) -> Option<Vec<u8>> {
        check(bytes, format).ok()?;
        let image = ImageReader::with_format(Cursor::new(bytes), format).decode().ok()?;
        Some(image.into_bytes())
    }

    /// Every cut is refused, or changes nothing.
    fn check_cuts(whole: &[u8], format: ImageFormat) {
        let expected = decoded(whole, format).unwrap();
        let mut accepted = 0;
        for cut in 0..whole.len() {
            if let Some(pixels) = decoded(&whole[..cut], format) {
                assert_eq!(pixels, expected, "{format:?}, cut at {cut} of {}", whole.len());
                accepted += 1;
            }
        }
        assert!(accepted <= 1, "{format:?}: {accepted} cuts");
        // What follows the image is nobody's business.
        let longer = [whole, b"\0\0trailing \xff\xd8\xff"].concat();
        assert_eq!(decoded(&longer, format), Some(expected));
    }

    #[test]
    fn cut_images_are_refused() {
        let eight = DynamicImage::ImageRgb8(picture());
        check_cuts(&encoded(&eight, ImageFormat::Png), ImageFormat::Png);
        check_cuts(&encoded(&DynamicImage::ImageRgb16(eight.to_rgb16()), ImageFormat::Png), ImageFormat::Png);
        check_cuts(&encoded(&DynamicImage::ImageLumaA8(eight.to_luma_alpha8()), ImageFormat::Png), ImageFormat::Png);
        check_cuts(&encoded(&eight, ImageFormat::WebP), ImageFormat::WebP);
        check_cuts(&encoded(&eight, ImageFormat::Jpeg), ImageFormat::Jpeg);
        let mut best = Vec::new();
        JpegEncoder::new_with_quality(&mut best, 100).encode_image(&eight.to_luma8()).unwrap();
        check_cuts(&best, ImageFormat::Jpeg);
    }

    /// Ends of thumbnails within segments are none of the image's.
    #[test]
    fn a_thumbnail_does_not_end_a_jpeg() {
        let whole = encoded(&DynamicImage::ImageRgb8(picture()), ImageFormat::Jpeg);
        let thumbnail = [b"Exif\0\0".as_slice(), &whole].concat();
        let length = u16::try_from(thumbnail.len() + 2).unwrap().to_be_bytes();
        let with = [&whole[..2], &[0xff, 0xe1], &length, &thumbnail, &whole[2..]].concat();
        check(&with, ImageFormat::Jpeg).unwrap();
        let kept = with.len() - whole.len() / 3;
        assert!(check(&with[..kept], ImageFormat::Jpeg).is_err());
    }
}
