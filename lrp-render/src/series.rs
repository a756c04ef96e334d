//! Time series: a curve for each channel, coloured by relevance along time.

use lrp::Error;
use lrp::numbers::typeset;
use lrp_core::Scalar;
use ndarray::{Array2, ArrayViewD, Axis, Ix1, Ix2};

use crate::canvas::Canvas;
use crate::color::{FAINT, FRAME, INK};
use crate::curve::Piece;
use crate::font::Font;
use crate::look::Look;
use crate::text::{SCALE_HEIGHT, SCALE_WIDTH, Text, scale};

/// Most channels that are drawn: of more, those with the most relevance.
const MOST_CHANNELS: usize = 32;
/// Most pixels along time.
const WIDEST: usize = 4_096;
/// The height of a channel's curve.
const ROW: u32 = 88;
const GAP: u32 = 12;
const MARGIN: u32 = 20;
/// Between a curve and the edges of its row.
const INSET: f64 = 6.0;
/// The widths of a curve: in the colours of relevance, and in ink.
const WIDTHS: (f64, f64) = (8.3, 1.7);
/// Most pieces of one colour, of all curves together: an SVG of more elements can hardly be opened.
const MOST_PIECES: usize = 400_000;
/// Pieces from zero relevance to the limit.
const SHADES: f64 = 16.0;

/// Whether a sample of this shape is channels and time, axes of length 1 in front of them aside.
pub fn is_one(shape: &[usize]) -> bool {
    matches!(shape, [_] | [_, _] | [1, _, _])
}

/// A sample as `[C, L]`.
pub fn rows<T: Scalar>(sample: ArrayViewD<'_, T>, channels_last: bool) -> Option<Array2<f64>> {
    let wide = sample.mapv(T::wide);
    let rows = match wide.ndim() {
        1 => wide.into_dimensionality::<Ix1>().ok()?.insert_axis(Axis(0)),
        2 => wide.into_dimensionality::<Ix2>().ok()?,
        _ => wide.index_axis_move(Axis(0), 0).into_dimensionality::<Ix2>().ok()?,
    };
    Some(if channels_last { rows.reversed_axes().as_standard_layout().into_owned() } else { rows })
}

/// Draws the curves `values` `[C, L]` in the colours of `relevance`, which has the same shape. All channels share a scale of relevance,
/// and each has its own of values.
///
/// # Errors
/// When the bundled font cannot be read.
pub fn draw(values: &Array2<f64>, relevance: &Array2<f64>, look: &Look) -> Result<Canvas, Error> {
    let font = Font::bundled()?;
    let label = Text { font: &font, size: 15.0, color: FAINT };
    let name = Text { font: &font, size: 15.0, color: INK };
    let (channels, length) = values.dim();
    let drawn = most_relevant(relevance);
    let limit = look.limit(&relevance.iter().copied().collect::<Vec<_>>());

    let names: Vec<String> = drawn.iter().map(|channel| format!("channel {channel}")).collect();
    let left = MARGIN + names.iter().map(|n| name.width(n)).max().unwrap_or(0).max(72) + 10;
    let plot = u32::try_from((length * 6).clamp(640, WIDEST)).unwrap_or(640);
    let width = (left + plot + MARGIN).max(SCALE_WIDTH + 2 * MARGIN);
    let plot = width - left - MARGIN;
    let rows = u32::try_from(drawn.len()).unwrap_or(0);
    let bottom = MARGIN + rows * (ROW + GAP);
    let height = bottom + 3 * label.line() + SCALE_HEIGHT + MARGIN;
    let mut canvas = Canvas::new(width, height);

    for (i, (&channel, name_of)) in drawn.iter().zip(&names).enumerate() {
        let top = MARGIN + u32::try_from(i).unwrap_or(0) * (ROW + GAP);
        let steps = values.row(channel).into_iter().zip(relevance.row(channel)).enumerate();
        let steps = steps.map(|(t, (value, r))| Step { time: t as f64, value: *value, share: look.scaled(*r, limit) });
        let steps: Vec<Step> = steps.collect();
        let (low, high) = steps.iter().fold((f64::MAX, f64::MIN), |(l, h), s| (l.min(s.value), h.max(s.value)));
        let row = Row { corner: (left, top), width: plot, last: length.saturating_sub(1), range: (low, high) };
        row.draw(&mut canvas, &fewer(steps, plot as usize), MOST_PIECES / drawn.len().max(1), look);
        canvas.frame((left, top), (plot, ROW), FRAME);
        let half = label.line() / 2;
        name.right(&mut canvas, name_of, left - 8, top + ROW / 2 - half);
        if high > low {
            label.right(&mut canvas, &typeset(high), left - 8, top);
            label.right(&mut canvas, &typeset(low), left - 8, top + ROW - label.line());
        }
    }
    let last = length.saturating_sub(1);
    for time in ticks(last) {
        let x = left + place(time as f64, last, f64::from(plot)).round() as u32;
        canvas.rect((x.min(width - 1), bottom - GAP), (1, 5), FAINT);
        label.centred(&mut canvas, &time.to_string(), x, bottom - GAP + 8);
    }
    label.centred(&mut canvas, "time step", left + plot / 2, bottom - GAP + 8 + label.line());
    let mut note = format!("relevance: max|R| {}, sum {}", typeset(max(relevance)), typeset(relevance.sum()));
    if drawn.len() < channels {
        note = format!("{note}; {} of {channels} channels, those with the most |R|", drawn.len());
    }
    scale(&mut canvas, &label, look, &note, bottom + 2 * label.line() + 12);
    Ok(canvas)
}

fn max(relevance: &Array2<f64>) -> f64 {
    relevance.iter().fold(0.0, |most, r| r.abs().max(most))
}

/// The channels to draw, in their order.
fn most_relevant(relevance: &Array2<f64>) -> Vec<usize> {
    let amount = |channel: &usize| relevance.row(*channel).iter().map(|r| r.abs()).sum::<f64>();
    let mut channels: Vec<usize> = (0..relevance.nrows()).collect();
    channels.sort_by(|a, b| amount(b).total_cmp(&amount(a)));
    channels.truncate(MOST_CHANNELS);
    channels.sort_unstable();
    channels
}

/// Where a time step is in a row of this width: the first near its left end, the last near its right one.
fn place(time: f64, last: usize, width: f64) -> f64 {
    let share = if last == 0 { 0.5 } else { time / last as f64 };
    width * (0.005 + 0.99 * share)
}

/// Round time steps, about ten of them.
fn ticks(last: usize) -> Vec<usize> {
    let rough = (last / 10).max(1);
    let unit = 10_usize.pow(rough.ilog10());
    let step = [1, 2, 5, 10].into_iter().map(|n| n * unit).find(|step| *step >= rough).unwrap_or(rough);
    (0..=last).step_by(step).collect()
}

/// A time step of a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    time: f64,
    value: f64,
    /// Its relevance, as a share of the limit.
    share: f64,
}

/// Of more steps than could be seen, in each column of pixels the lowest and the highest, with the relevance that is strongest there.
fn fewer(steps: Vec<Step>, columns: usize) -> Vec<Step> {
    if steps.len() <= 2 * columns {
        return steps;
    }
    let mut kept = Vec::with_capacity(2 * columns);
    for column in steps.chunks(steps.len().div_ceil(columns)) {
        let strongest = column.iter().max_by(|a, b| a.share.abs().total_cmp(&b.share.abs()));
        let lowest = column.iter().min_by(|a, b| a.value.total_cmp(&b.value));
        let highest = column.iter().max_by(|a, b| a.value.total_cmp(&b.value));
        if let (Some(strongest), Some(lowest), Some(highest)) = (strongest, lowest, highest) {
            let (first, second) = if lowest.time <= highest.time { (lowest, highest) } else { (highest, lowest) };
            kept.extend([first, second].map(|step| Step { share: strongest.share, ..*step }));
        }
    }
    kept
}

/// The place of a channel's curve.
struct Row {
    corner: (u32, u32),
    width: u32,
    /// The last time step.
    last: usize,
    /// The lowest and the highest value.
    range: (f64, f64),
}

impl Row {
    fn x(&self, time: f64) -> f64 {
        f64::from(self.corner.0) + place(time, self.last, f64::from(self.width))
    }

    fn y(&self, value: f64) -> f64 {
        let (low, high) = self.range;
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        f64::from(self.corner.1 + ROW) - INSET - share * (f64::from(ROW) - 2.0 * INSET)
    }

    /// A curve: a broad line in the colours of relevance, and in it a thin dark one, which is seen where the colour is that of the paper.
    /// It has at most `most` pieces, or one for each step.
    fn draw(&self, canvas: &mut Canvas, steps: &[Step], most: usize, look: &Look) {
        let ((left, _), (low, high)) = (self.corner, self.range);
        // Where the value is zero, if it is passed.
        if low < 0.0 && high > 0.0 {
            canvas.dashes(left, left + self.width, self.y(0.0) as u32, FRAME);
        }
        let at = |step: &Step| (self.x(step.time), self.y(step.value));
        let mut broad = Vec::new();
        let most = (most / steps.len().max(1)).max(1) as f64;
        for pair in steps.windows(2) {
            let [a, b] = pair else { continue };
            let ((left, start), (right, end)) = (at(a), at(b));
            // As many as can be told apart, of at least two pixels.
            let length = (right - left).hypot(end - start);
            let pieces = ((b.share - a.share).abs() * SHADES).min(length / 2.0).ceil().clamp(1.0, most);
            for piece in 0..pieces as usize {
                let along = |from: f64, to: f64, part: f64| from + (to - from) * (piece as f64 + part) / pieces;
                let ends = [0.0, 1.0].map(|part| (along(left, right, part), along(start, end, part)));
                Piece::new(ends, look.color(along(a.share, b.share, 0.5))).join(&mut broad);
            }
        }
        if let [only] = steps {
            broad.push(Piece::new([at(only)], look.color(only.share)));
        }
        canvas.curve(broad, WIDTHS.0);
        canvas.curve(vec![Piece::new(steps.iter().map(at), INK)], WIDTHS.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;

    #[test]
    fn relevance_colours_the_curve_and_where_it_is_zero_the_curve_is_seen() {
        let values = Array2::from_shape_fn((2, 50), |(c, t)| (t as f64 / 8.0 + c as f64).sin());
        let mut relevance = Array2::zeros((2, 50));
        let draw = |relevance: &Array2<f64>| draw(&values, relevance, &Look::default()).unwrap().pixels().unwrap();
        let plain = draw(&relevance);
        // Left of the scale's top there is no red, and the curves are dark.
        let curves = |image: &RgbImage, wanted: &dyn Fn([u8; 3]) -> bool| {
            let (left, bottom) = (110, MARGIN + 2 * (ROW + GAP) - GAP);
            let pixels = image.enumerate_pixels().filter(|(x, y, _)| *x > left && *y < bottom);
            pixels.filter(|(_, _, pixel)| wanted(pixel.0)).count()
        };
        let (red, dark) = (|p: [u8; 3]| p[0] > 200 && p[1] < 90, |p: [u8; 3]| p.iter().all(|c| *c < 110));
        assert_eq!(curves(&plain, &red), 0);
        assert!(curves(&plain, &dark) > 500);
        relevance[(1, 20)] = 2.0;
        assert!(curves(&draw(&relevance), &red) > 20);
    }

    #[test]
    fn odd_shapes_are_drawn() {
        for (channels, length) in [(1, 1), (1, 2), (40, 3), (2, 10_000)] {
            let values = Array2::from_elem((channels, length), 1.0);
            let image = draw(&values, &values, &Look::default()).unwrap().pixels().unwrap();
            assert!(image.height() < 4_000 && image.width() < 4_500, "{channels} {length}");
        }
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0), [0]);
        assert_eq!(ticks(127), [0, 20, 40, 60, 80, 100, 120]);
        assert_eq!(ticks(7), [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
