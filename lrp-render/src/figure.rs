//! Figures: inputs down, recipes across, with titles, predictions and a colour scale.

use std::borrow::Cow;

use image::RgbImage;
use lrp::Error;
use lrp::numbers::typeset;
use lrp_config::Size;
use lrp_core::text::shortened;

use crate::canvas::Canvas;
use crate::color::{FAINT, FRAME, INK};
use crate::font::Font;
use crate::heatmap::{Heatmap, enlarge};
use crate::look::Look;
use crate::text::{SCALE_WIDTH, Text, scale};

const TITLE: f32 = 24.0;
const CAPTION: f32 = 17.0;
const MARGIN: u32 = 24;
const GAP: u32 = 18;
/// The default size of pictures.
const SIZE: Size = Size::Side(160);

/// Characters of a title or a caption.
const WORDS: usize = 80;
/// Pixels of a figure.
const MOST_PIXELS: u64 = 1 << 28;

/// A figure: one row for each sample, one column for each recipe.
#[derive(Debug)]
pub struct Figure {
    /// Titles of the recipes.
    pub columns: Vec<String>,
    /// One row for each sample.
    pub rows: Vec<Row>,
    /// Whether a score is negative, so that its map has a negative sum.
    pub negative: bool,
    /// The appearance of heatmaps.
    pub look: Look,
}

/// A sample and its heatmaps.
#[derive(Debug)]
pub struct Row {
    /// The sample as a picture.
    pub input: RgbImage,
    /// The caption: its name, then the prediction of the model.
    pub caption: [String; 2],
    /// One heatmap for each recipe.
    pub heatmaps: Vec<Heatmap>,
}

impl Figure {
    /// Draws the figure.
    ///
    /// # Errors
    /// When it would be too large, and when the bundled font cannot be read, which is a mistake of this program.
    pub fn draw(&self) -> Result<Canvas, Error> {
        let font = Font::bundled()?;
        let title = Text { font: &font, size: TITLE, color: INK };
        let caption = Text { font: &font, size: CAPTION, color: FAINT };
        let name = Text { font: &font, size: CAPTION, color: INK };

        self.check_size()?;
        let rows: Vec<DrawnRow> = self.rows.iter().map(|row| DrawnRow::new(row, &self.look)).collect();
        let columns = self.columns.iter().map(|title| shortened(title, WORDS));
        let titles: Vec<Cow<'_, str>> = std::iter::once("input".into()).chain(columns).collect();
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
        let line = caption.line();
        let header = (TITLE * 1.6) as u32;
        let height_of =
            |row: &DrawnRow| row.cells.iter().map(|c| c.picture.height()).max().unwrap_or(0) + 2 * line + GAP;
        let note = match self.look.clip {
            Some(clip) => format!("relevance; each map is scaled to its own {clip} % percentile of |R|"),
            None => "relevance; each map is scaled to its own max|R|".to_owned(),
        };
        let below = if self.negative { "a map of a negative score sums to less than zero" } else { "" };
        let legend = 92 + if self.negative { line } else { 0 };
        let notes = caption.width(&note).max(caption.width(below)).max(SCALE_WIDTH);
        let width = (widths.iter().sum::<u32>() + GAP * (widths.len() as u32 - 1)).max(notes) + 2 * MARGIN;
        let height = 2 * MARGIN + header + rows.iter().map(height_of).sum::<u32>() + legend;
        let mut canvas = Canvas::new(width, height);

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
            title.centred(&mut canvas, text, x, MARGIN);
        }
        let mut top = MARGIN + header;
        for row in rows {
            let height = height_of(&row);
            for (column, (cell, &x)) in row.cells.into_iter().zip(&centres).enumerate() {
                let (w, h) = cell.picture.dimensions();
                let corner = (x.saturating_sub(w / 2), top);
                canvas.image(cell.picture, corner.0, corner.1);
                canvas.frame(corner, (w, h), FRAME);
                let style = if column == 0 { &name } else { &caption };
                for (i, text) in cell.caption.iter().enumerate() {
                    style.centred(&mut canvas, text, x, top + h + 6 + line * i as u32);
                }
            }
            top += height;
        }
        scale(&mut canvas, &caption, &self.look, &note, top + 8);
        caption.centred(&mut canvas, below, width / 2, top + 92);
        Ok(canvas)
    }
}

impl Figure {
    /// Pictures that are enlarged a lot, of many inputs and recipes, are more than anybody can open.
    fn check_size(&self) -> Result<(), Error> {
        let size = self.look.size.unwrap_or(SIZE);
        let pixels = |row: &Row| {
            let (width, height) = row.input.dimensions();
            let factor = u64::from(size.factor(width.max(height)));
            let cell = u64::from(width).saturating_mul(u64::from(height)).saturating_mul(factor * factor);
            cell.saturating_mul(1 + row.heatmaps.len() as u64)
        };
        let all = self.rows.iter().map(pixels).fold(0, u64::saturating_add);
        if all <= MOST_PIXELS {
            return Ok(());
        }
        let message = format!("the figure would have {} million pixels", all / 1_000_000);
        Err(Error::user(message, "give fewer inputs or recipes, or a smaller --size"))
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
    fn new(row: &Row, look: &Look) -> Self {
        let size = look.size.unwrap_or(SIZE);
        let caption = row.caption.each_ref().map(|words| shortened(words, WORDS).into_owned());
        let input = DrawnCell { picture: enlarge(&row.input, size), caption };
        let heatmaps = row.heatmaps.iter().map(|map| DrawnCell {
            picture: enlarge(&map.paint(look, Some(&row.input)), size),
            caption: [format!("max|R| {}", typeset(map.max())), format!("sum {}", typeset(map.sum()))],
        });
        Self { cells: std::iter::once(input).chain(heatmaps).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::PAPER;
    use ndarray::Array;

    #[test]
    fn a_title_wider_than_its_pictures_is_not_cut_off() {
        let map = Heatmap::new(Array::<f64, _>::zeros(vec![1, 4, 4]).view());
        let row = || Row { input: RgbImage::new(4, 4), caption: ["a".into(), "b".into()], heatmaps: vec![map.clone()] };
        let figure = |title: &str| Figure {
            columns: vec![title.into()],
            rows: vec![row(), row()],
            negative: false,
            look: Look::default(),
        };
        let canvas = figure("a title that is much wider than a picture of four pixels").draw().unwrap();
        let image = canvas.pixels().unwrap();
        // The outermost columns of pixels are paper.
        for x in [0, image.width() - 1] {
            assert!((0..image.height()).all(|y| *image.get_pixel(x, y) == PAPER));
        }
    }
}
