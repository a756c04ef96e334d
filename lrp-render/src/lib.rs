//! Pictures of relevance: heatmaps of images, curves of series, coloured texts of tokens, figures of several recipes.
//!
//! [`heatmap`] draws one sample with a [`Look`]: colours and their range. [`Drawing`] decides from a model and a shape whether samples are
//! images, series or texts. Heatmaps are pixels, [`image::RgbImage`]; everything else is a [`Canvas`], which is encoded as SVG or, drawn by
//! resvg, as PNG. This crate writes no files.

mod arrangement;
mod canvas;
mod color;
mod curve;
mod drawing;
mod figure;
mod font;
mod heatmap;
mod look;
mod maps;
pub mod palette;
mod picture;
mod raster;
mod series;
mod text;
mod tokens;

use image::RgbImage;
use lrp::Scalar;
use ndarray::ArrayViewD;

pub use self::arrangement::Arrangement;
pub use self::canvas::{Canvas, Format};
pub use self::drawing::{Drawing, Drawn};
pub use self::figure::{Figure, Row};
pub use self::heatmap::Heatmap;
pub use self::look::Look;
pub use self::maps::maps;
pub use self::picture::picture;
pub use self::tokens::Tokens;

/// The heatmap of one sample's relevance, without the batch axis: `[C, H, W]`, `[H, W, C]` or `[H, W]`; channels are summed. Every value is
/// a square of pixels, of the size `look.size`. To lay it over the input, see [`Heatmap::picture`].
pub fn heatmap<T: Scalar>(relevance: ArrayViewD<'_, T>, look: &Look) -> RgbImage {
    Heatmap::new(relevance).picture(look, None)
}
