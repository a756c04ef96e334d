//! Figures: inputs down, recipes across, with titles, predictions and a colour scale.

use ab_glyph::{FontRef, PxScale};
use image::{Rgb, RgbImage, imageops};
use imageproc::drawing::{draw_hollow_rect_mut, draw_text_mut, text_size};
use imageproc::rect::Rect;

use crate::colormap::Colormap;
use crate::failure::Failure;
use crate::heatmap::{Heatmap, enlarge};

const INK: Rgb<u8> = Rgb([30, 30, 30]);
const FAINT: Rgb<u8> = Rgb([105, 105, 105]);
const FRAME: Rgb<u8> = Rgb([205, 205, 205]);
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

const TITLE: f32 = 24.0;
const CAPTION: f32 = 17.0;
const MARGIN: u32 = 24;
const GAP: u32 = 18;
/// Pictures are enlarged to about this side.
const SIDE: u32 = 160;

/// A figure: one row for each sample, one column for each recipe.
#[derive(Debug)]
pub struct Figure {
    /// Titles of the recipes.
    pub columns: Vec<String>,
    /// One row for each sample.
    pub rows: Vec<Row>,
    /// Colours of the heatmaps.
    pub colormap: Colormap,
}

/// A sample and its heatmaps.
#[derive(Debug)]
pub struct Row {
    /// The sample as a picture.
    pub input: RgbImage,
    /// What stands under it: its name, then what the model says.
    pub caption: [String; 2],
    /// One heatmap for each recipe.
    pub heatmaps: Vec<Heatmap>,
}

/// A piece of text to draw.
struct Text<'a> {
    font: &'a FontRef<'a>,
    size: f32,
    color: Rgb<u8>,
}

impl Text<'_> {
    fn width(&self, text: &str) -> u32 {
        text_size(PxScale::from(self.size), self.font, text).0
    }

    /// Draws `text` centred on `x`, its top at `y`.
    fn centred(&self, image: &mut RgbImage, text: &str, x: u32, y: u32) {
        let left = x.saturating_sub(self.width(text) / 2);
        let (left, y) = (i32::try_from(left).unwrap_or(0), i32::try_from(y).unwrap_or(0));
        draw_text_mut(image, self.color, left, y, PxScale::from(self.size), self.font, text);
    }
}

impl Figure {
    /// Draws the figure.
    ///
    /// # Errors
    /// When the bundled font cannot be read, which is a mistake of this program.
    pub fn draw(&self) -> Result<RgbImage, Failure> {
        let font = FontRef::try_from_slice(epaint_default_fonts::HACK_REGULAR)
            .map_err(|e| Failure::Internal(format!("the bundled font: {e}")))?;
        let title = Text { font: &font, size: TITLE, color: INK };
        let caption = Text { font: &font, size: CAPTION, color: FAINT };
        let name = Text { font: &font, size: CAPTION, color: INK };

        let rows: Vec<DrawnRow> = self.rows.iter().map(|row| DrawnRow::new(row, self.colormap)).collect();
        let titles: Vec<&str> = std::iter::once("input").chain(self.columns.iter().map(String::as_str)).collect();
        // A column is as wide as the widest thing in it.
        let widths: Vec<u32> = titles
            .iter()
            .enumerate()
            .map(|(column, text)| {
                let cells = rows.iter().filter_map(|row| row.cells.get(column));
                let content = cells.map(|cell| {
                    let words = cell.caption.iter().map(|line| caption.width(line)).max().unwrap_or(0);
                    cell.picture.width().max(words)
                });
                content.max().unwrap_or(0).max(title.width(text))
            })
            .collect();
        let line = (CAPTION * 1.25) as u32;
        let header = (TITLE * 1.6) as u32;
        let height_of =
            |row: &DrawnRow| row.cells.iter().map(|c| c.picture.height()).max().unwrap_or(0) + 2 * line + GAP;
        let legend = 92;
        let scale_width = 360;
        let width = (widths.iter().sum::<u32>() + GAP * (widths.len() as u32 - 1)).max(scale_width + 240) + 2 * MARGIN;
        let height = 2 * MARGIN + header + rows.iter().map(height_of).sum::<u32>() + legend;
        let mut image = RgbImage::from_pixel(width, height, PAPER);

        let mut left = MARGIN;
        let centres: Vec<u32> = widths
            .iter()
            .map(|w| {
                let centre = left + w / 2;
                left += w + GAP;
                centre
            })
            .collect();
        for (text, &x) in titles.iter().zip(&centres) {
            title.centred(&mut image, text, x, MARGIN);
        }
        let mut top = MARGIN + header;
        for row in &rows {
            for (column, (cell, &x)) in row.cells.iter().zip(&centres).enumerate() {
                let (w, h) = cell.picture.dimensions();
                let corner = (x.saturating_sub(w / 2), top);
                imageops::replace(&mut image, &cell.picture, i64::from(corner.0), i64::from(corner.1));
                let frame =
                    Rect::at(i32::try_from(corner.0).unwrap_or(0) - 1, i32::try_from(corner.1).unwrap_or(0) - 1);
                draw_hollow_rect_mut(&mut image, frame.of_size(w + 2, h + 2), FRAME);
                let style = if column == 0 { &name } else { &caption };
                for (i, text) in cell.caption.iter().enumerate() {
                    style.centred(&mut image, text, x, top + h + 6 + line * i as u32);
                }
            }
            top += height_of(row);
        }
        self.draw_scale(&mut image, &caption, top + 8, scale_width);
        Ok(image)
    }

    /// The colour scale with its ends and its centre named.
    fn draw_scale(&self, image: &mut RgbImage, text: &Text<'_>, top: u32, width: u32) {
        let left = (image.width() - width) / 2;
        for x in 0..width {
            let color = self.colormap.color(f64::from(x) / f64::from(width - 1) * 2.0 - 1.0);
            for y in 0..16 {
                image.put_pixel(left + x, top + y, color);
            }
        }
        let frame = Rect::at(i32::try_from(left).unwrap_or(0) - 1, i32::try_from(top).unwrap_or(0) - 1);
        draw_hollow_rect_mut(image, frame.of_size(width + 2, 18), FRAME);
        for (x, label) in [(0, "−max|R|"), (width / 2, "0"), (width, "+max|R|")] {
            text.centred(image, label, left + x, top + 22);
        }
        let note = "relevance; each map is scaled to its own max|R|";
        text.centred(image, note, image.width() / 2, top + 46);
    }
}

struct DrawnCell {
    picture: RgbImage,
    caption: [String; 2],
}

struct DrawnRow {
    cells: Vec<DrawnCell>,
}

impl DrawnRow {
    fn new(row: &Row, colormap: Colormap) -> Self {
        let input = DrawnCell { picture: enlarge(&row.input, SIDE), caption: row.caption.clone() };
        let heatmaps = row.heatmaps.iter().map(|map| DrawnCell {
            picture: enlarge(&map.paint(colormap, map.limit()), SIDE),
            caption: [format!("max|R| {}", short(map.limit())), format!("sum {}", short(map.sum()))],
        });
        Self { cells: std::iter::once(input).chain(heatmaps).collect() }
    }
}

/// A number in at most seven characters or so, with a real minus sign.
pub fn short(value: f64) -> String {
    let size = value.abs();
    let text = if size == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e5).contains(&size) {
        format!("{value:.1e}")
    } else {
        let digits = if size >= 100.0 {
            1
        } else if size >= 1.0 {
            2
        } else {
            3
        };
        format!("{value:.digits$}")
    };
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 1.0, -12.345, 123.456, 0.01234, 1e-7, -2.5e9].map(short);
        assert_eq!(texts, ["0", "1.00", "−12.35", "123.5", "0.012", "1.0e−7", "−2.5e9"]);
    }

    #[test]
    fn a_title_wider_than_its_pictures_is_not_cut_off() {
        let map = Heatmap::new(Array::<f64, _>::zeros(vec![1, 4, 4]).view()).unwrap();
        let row = || Row { input: RgbImage::new(4, 4), caption: ["a".into(), "b".into()], heatmaps: vec![map.clone()] };
        let figure = |title: &str| Figure {
            columns: vec![title.into()],
            rows: vec![row(), row()],
            colormap: Colormap::find("bwr").unwrap(),
        };
        let image = figure("a title that is much wider than a picture of four pixels").draw().unwrap();
        // The outermost columns of pixels are paper.
        for x in [0, image.width() - 1] {
            assert!((0..image.height()).all(|y| *image.get_pixel(x, y) == PAPER));
        }
    }
}
