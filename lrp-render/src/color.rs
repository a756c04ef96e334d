//! The colours of everything that is not relevance, and colours as text.

use std::fmt;

use image::Rgb;

/// The colour of primary text.
pub const INK: Rgb<u8> = Rgb([30, 30, 30]);
/// The colour of secondary text.
pub const FAINT: Rgb<u8> = Rgb([105, 105, 105]);
/// Lines around pictures.
pub const FRAME: Rgb<u8> = Rgb([205, 205, 205]);
/// The background.
pub const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

/// A colour as SVG and HTML have it, `#ff0000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hex(pub Rgb<u8>);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rgb([red, green, blue]) = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}
