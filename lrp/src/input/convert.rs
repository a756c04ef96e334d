//! From an image as it is stored to the pixels that a model takes: upright, opaque, and in the model's channels. Whatever is changed on the
//! way is named.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, ImageResult, Limits};
use lrp_config::Channels;

/// An image with an alpha channel that is not opaque everywhere.
pub const TRANSPARENT: &str = "transparent pixels laid over black";
/// An image with colours, for a model without.
pub const TO_GREY: &str = "colours to grey";
/// An image without colours, for a model with three channels.
pub const TO_COLOURS: &str = "grey to three channels";
const CMYK: &str = "CMYK to RGB";

/// Decodes an image; turns it as its EXIF data say, and makes it opaque. Returns the changes.
pub fn decoded(
    mut reader: ImageReader<Cursor<&[u8]>>,
    bytes: &[u8],
    mut limits: Limits,
) -> ImageResult<(DynamicImage, Vec<String>)> {
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    // Damaged EXIF data say nothing of the pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder)?;
    let mut conversions = Vec::new();
    if jpeg_components(bytes) == Some(4) {
        conversions.push(CMYK.to_owned());
    }
    if let Some(name) = turned(orientation) {
        image.apply_orientation(orientation);
        conversions.push(format!("exif {name}"));
    }
    let (image, transparent) = opaque(image);
    if transparent {
        conversions.push(TRANSPARENT.to_owned());
    }
    Ok((image, conversions))
}

/// Width and height of an image once it is upright.
pub fn upright_size(decoder: &mut impl ImageDecoder) -> (u32, u32) {
    let (width, height) = decoder.dimensions();
    match decoder.orientation() {
        Ok(
            Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH,
        ) => (height, width),
        _ => (width, height),
    }
}

/// The rotation that makes the image upright, in words.
fn turned(orientation: Orientation) -> Option<&'static str> {
    match orientation {
        Orientation::NoTransforms => None,
        Orientation::Rotate90 => Some("rotation 90"),
        Orientation::Rotate180 => Some("rotation 180"),
        Orientation::Rotate270 => Some("rotation 270"),
        Orientation::FlipHorizontal => Some("flip horizontal"),
        Orientation::FlipVertical => Some("flip vertical"),
        Orientation::Rotate90FlipH => Some("rotation 90, flip horizontal"),
        Orientation::Rotate270FlipH => Some("rotation 270, flip horizontal"),
    }
}

/// The number of components of the pixels of a JPEG file, from the frame header.
fn jpeg_components(bytes: &[u8]) -> Option<u8> {
    let mut at = bytes.starts_with(&[0xFF, 0xD8]).then_some(2)?;
    loop {
        let &[0xFF, marker] = bytes.get(at..at + 2)? else { return None };
        // Any number of bytes 0xFF may stand before a marker.
        if marker == 0xFF {
            at += 1;
            continue;
        }
        let length = usize::from(u16::from_be_bytes(bytes.get(at + 2..at + 4)?.try_into().ok()?));
        match marker {
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => return bytes.get(at + 9).copied(),
            // Where pixels begin, the frame header is missing.
            0xDA => return None,
            _ => at += 2 + length.max(2),
        }
    }
}

/// The image without its alpha channel, and whether some pixel was transparent: then the image is laid over black.
fn opaque(image: DynamicImage) -> (DynamicImage, bool) {
    use DynamicImage::{ImageLuma8, ImageLuma16, ImageRgb8, ImageRgb16};

    if !image.color().has_alpha() {
        return (image, false);
    }
    let colours = image.color().has_color();
    let eight = matches!(image, DynamicImage::ImageLumaA8(_) | DynamicImage::ImageRgba8(_));
    let seen = |value: u16, alpha: u16| {
        let product = u32::from(value) * u32::from(alpha) + u32::from(u16::MAX) / 2;
        u16::try_from(product / u32::from(u16::MAX)).unwrap_or(u16::MAX)
    };
    if colours {
        let pixels = image.to_rgba16();
        if pixels.pixels().all(|pixel| pixel.0[3] == u16::MAX) {
            return (if eight { ImageRgb8(image.to_rgb8()) } else { ImageRgb16(image.to_rgb16()) }, false);
        }
        let over_black = |x: u32, y: u32| {
            let [red, green, blue, alpha] = pixels.get_pixel(x, y).0;
            image::Rgb([red, green, blue].map(|value| seen(value, alpha)))
        };
        (ImageRgb16(image::ImageBuffer::from_fn(pixels.width(), pixels.height(), over_black)), true)
    } else {
        let pixels = image.to_luma_alpha16();
        if pixels.pixels().all(|pixel| pixel.0[1] == u16::MAX) {
            return (if eight { ImageLuma8(image.to_luma8()) } else { ImageLuma16(image.to_luma16()) }, false);
        }
        let over_black = |x: u32, y: u32| {
            let [value, alpha] = pixels.get_pixel(x, y).0;
            image::Luma([seen(value, alpha)])
        };
        (ImageLuma16(image::ImageBuffer::from_fn(pixels.width(), pixels.height(), over_black)), true)
    }
}

/// The pixels of an opaque image, row by row, in the one or three channels of a model, as `wanted`; and the changes.
pub fn pixels(image: &DynamicImage, channels: usize, wanted: Option<Channels>) -> (Vec<u16>, Option<&'static str>) {
    let colours = image.color().has_color();
    match (channels, wanted) {
        (1, _) | (_, Some(Channels::Grey)) => {
            let (grey, changed) = grey(image);
            let change = match (changed, channels) {
                (true, _) => Some(TO_GREY),
                (false, 1) => None,
                (false, _) => (!colours).then_some(TO_COLOURS),
            };
            (grey.into_iter().flat_map(|value| std::iter::repeat_n(value, channels)).collect(), change)
        }
        _ => {
            // Sixteen bits hold the value of every eight-bit pixel exactly: v·257 / 65535 = v / 255.
            let mut pixels = image.to_rgb16().into_raw();
            if wanted == Some(Channels::Bgr) {
                pixels.chunks_exact_mut(3).for_each(<[u16]>::reverse);
            }
            (pixels, (!colours).then_some(TO_COLOURS))
        }
    }
}

/// The brightness of each pixel (ITU-R BT.601, as Pillow, OpenCV and torchvision have it), and whether there were colours.
fn grey(image: &DynamicImage) -> (Vec<u16>, bool) {
    if !image.color().has_color() {
        return (image.to_luma16().into_raw(), false);
    }
    let pixels = image.to_rgb16();
    let changed = pixels.pixels().any(|pixel| pixel.0.iter().any(|value| *value != pixel.0[0]));
    let brightness = |pixel: &image::Rgb<u16>| {
        let [red, green, blue] = pixel.0.map(u32::from);
        u16::try_from((299 * red + 587 * green + 114 * blue + 500) / 1000).unwrap_or(u16::MAX)
    };
    (pixels.pixels().map(brightness).collect(), changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, Rgb32FImage, RgbImage, Rgba, RgbaImage};

    fn colours(pixels: &[[u8; 3]]) -> DynamicImage {
        RgbImage::from_fn(pixels.len() as u32, 1, |x, _| Rgb(pixels[x as usize])).into()
    }

    #[test]
    fn channels_in_the_models_order() {
        let image = colours(&[[10, 20, 30]]);
        let values = |channels, wanted| {
            let (values, change) = pixels(&image, channels, wanted);
            (values.into_iter().map(|v| v / 257).collect::<Vec<_>>(), change)
        };
        assert_eq!(values(3, None), (vec![10, 20, 30], None));
        assert_eq!(values(3, Some(Channels::Rgb)), (vec![10, 20, 30], None));
        assert_eq!(values(3, Some(Channels::Bgr)), (vec![30, 20, 10], None));
        // 2.99 + 11.74 + 3.42 = 18.15
        assert_eq!(values(1, None), (vec![18], Some(TO_GREY)));
        assert_eq!(values(3, Some(Channels::Grey)), (vec![18; 3], Some(TO_GREY)));
    }

    #[test]
    fn grey_stays_grey() {
        // Equal channels are no colours: nothing is lost.
        let same = colours(&[[7; 3], [255; 3]]);
        assert_eq!(pixels(&same, 1, None), (vec![7 * 257, u16::MAX], None));
        let grey: DynamicImage = GrayImage::from_pixel(1, 1, Luma([9])).into();
        assert_eq!(pixels(&grey, 1, None), (vec![9 * 257], None));
        assert_eq!(pixels(&grey, 3, None), (vec![9 * 257; 3], Some(TO_COLOURS)));
        assert_eq!(pixels(&grey, 3, Some(Channels::Grey)), (vec![9 * 257; 3], Some(TO_COLOURS)));
    }

    #[test]
    fn only_what_is_transparent_is_laid_over_black() {
        let image = |alpha: [u8; 2]| {
            DynamicImage::from(RgbaImage::from_fn(2, 1, |x, _| Rgba([200, 100, 255, alpha[x as usize]])))
        };
        let (solid, transparent) = opaque(image([255, 255]));
        assert!(!transparent);
        assert_eq!(solid, colours(&[[200, 100, 255]; 2]));
        let (seen, transparent) = opaque(image([255, 0]));
        assert!(transparent);
        assert_eq!(seen.to_rgb8(), colours(&[[200, 100, 255], [0; 3]]).to_rgb8());
        let half = pixels(&opaque(image([255, 51])).0, 3, None).0;
        assert_eq!(half[3..], [200 * 257 / 5, 100 * 257 / 5, u16::MAX / 5]);
        let other: DynamicImage = Rgb32FImage::new(1, 1).into();
        assert!(!opaque(other).1);
    }

    #[test]
    fn a_jpeg_file_says_how_many_components_it_has() {
        let frame = |components| {
            let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2, 0xFF, 0xFF, 0xC2, 0, 11, 8, 0, 1, 0, 1];
            bytes.push(components);
            bytes
        };
        assert_eq!(jpeg_components(&frame(4)), Some(4));
        assert_eq!(jpeg_components(&frame(3)), Some(3));
        for cut in 0..19 {
            assert_eq!(jpeg_components(&frame(4)[..cut.min(18)]), None);
        }
        assert_eq!(jpeg_components(&[0xFF, 0xD8, 0xFF, 0xDA, 0, 2]), None);
        assert_eq!(jpeg_components(b"\x89PNG"), None);
    }
}
