//! Time series: a curve for each channel, coloured by relevance along time.

use image::{Rgb, RgbImage, imageops};
use imageproc::drawing::draw_filled_circle_mut;
use lrp::Error;
use lrp::numbers::typeset;
use lrp_core::Scalar;
use ndarray::{Array2, ArrayViewD, Axis, Ix1, Ix2};

use crate::look::Look;
use crate::text::{FAINT, FRAME, INK, PAPER, SCALE_HEIGHT, SCALE_WIDTH, Text, font, frame, scale};

/// Most channels that are drawn: of more, those with the most relevance.
const MOST_CHANNELS: usize = 32;
/// Most pixels along time.
const WIDEST: usize = 4_096;
/// The height of a channel's curve.
const ROW: u32 = 88;
const GAP: u32 = 12;
const MARGIN: u32 = 20;
/// Curves are drawn larger and made smaller, so that their edges are smooth.
const FINER: u32 = 3;

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
pub fn draw(values: &Array2<f64>, relevance: &Array2<f64>, look: &Look) -> Result<RgbImage, Error> {
    let font = font()?;
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
    let mut image = RgbImage::from_pixel(width, height, PAPER);

    for (i, (&channel, name_of)) in drawn.iter().zip(&names).enumerate() {
        let top = MARGIN + u32::try_from(i).unwrap_or(0) * (ROW + GAP);
        let curve: Vec<f64> = values.row(channel).to_vec();
        let (low, high) = curve.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
        let colors: Vec<f64> = relevance.row(channel).iter().map(|r| look.scaled(*r, limit)).collect();
        let picture = curve_picture(&curve, &colors, (low, high), (plot, ROW), look);
        imageops::replace(&mut image, &picture, i64::from(left), i64::from(top));
        frame(&mut image, (left, top), (plot, ROW));
        let half = label.line() / 2;
        name.right(&mut image, name_of, left - 8, top + ROW / 2 - half);
        if high > low {
            label.right(&mut image, &typeset(high), left - 8, top);
            label.right(&mut image, &typeset(low), left - 8, top + ROW - label.line());
        }
    }
    let last = length.saturating_sub(1);
    for time in ticks(last) {
        let x = left + place(time as f64, last, f64::from(plot)).round() as u32;
        for y in bottom - GAP..bottom - GAP + 5 {
            image.put_pixel(x.min(width - 1), y, FAINT);
        }
        label.centred(&mut image, &time.to_string(), x, bottom - GAP + 8);
    }
    label.centred(&mut image, "time step", left + plot / 2, bottom - GAP + 8 + label.line());
    let mut note = format!("relevance: max|R| {}, sum {}", typeset(max(relevance)), typeset(relevance.sum()));
    if drawn.len() < channels {
        note = format!("{note}; {} of {channels} channels, those with the most |R|", drawn.len());
    }
    scale(&mut image, &label, look, &note, bottom + 2 * label.line() + 12);
    Ok(image)
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

/// A curve: a broad line in the colours of relevance, and in it a thin dark one, which is seen where the colour is that of the paper.
fn curve_picture(
    values: &[f64],
    relevance: &[f64],
    (low, high): (f64, f64),
    (width, height): (u32, u32),
    look: &Look,
) -> RgbImage {
    let mut fine = RgbImage::from_pixel(width * FINER, height * FINER, PAPER);
    let (w, h) = (f64::from(fine.width()), f64::from(fine.height()));
    let inset = 6.0 * f64::from(FINER);
    let last = values.len().saturating_sub(1);
    let x = |t: f64| place(t, last, w);
    let share = |v: f64| if high > low { (v - low) / (high - low) } else { 0.5 };
    let y = |v: f64| h - inset - share(v) * (h - 2.0 * inset);
    // Where the value is zero, if it is passed.
    if low < 0.0 && high > 0.0 {
        let zero = (y(0.0) as u32).min(fine.height() - FINER);
        for column in (0..fine.width()).filter(|column| column / 12 % 2 == 0) {
            (zero..zero + FINER).for_each(|row| fine.put_pixel(column, row, FRAME));
        }
    }
    let mut line = |radius: f64, color: &dyn Fn(f64) -> Rgb<u8>| {
        let mut dot = |t: f64, value: f64, relevance: f64| {
            let centre = (x(t).round() as i32, y(value).round() as i32);
            draw_filled_circle_mut(&mut fine, centre, radius.round() as i32, color(relevance));
        };
        for (t, pair) in values.windows(2).zip(relevance.windows(2)).enumerate() {
            let ([a, b], [r, s]) = (pair.0, pair.1) else { continue };
            let distance = (x(1.0) - x(0.0)).hypot(y(*b) - y(*a));
            let steps = (distance / radius.max(1.0) * 2.0).ceil().max(1.0);
            for step in 0..=steps as usize {
                let part = step as f64 / steps;
                dot(t as f64 + part, a + (b - a) * part, r + (s - r) * part);
            }
        }
        if let ([value], [relevance]) = (values, relevance) {
            dot(0.0, *value, *relevance);
        }
    };
    let finer = f64::from(FINER);
    line(4.0 * finer, &|relevance| look.color(relevance));
    line(0.6 * finer, &|_| INK);
    imageops::resize(&fine, width, height, imageops::FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relevance_colours_the_curve_and_where_it_is_zero_the_curve_is_seen() {
        let values = Array2::from_shape_fn((2, 50), |(c, t)| (t as f64 / 8.0 + c as f64).sin());
        let mut relevance = Array2::zeros((2, 50));
        let plain = draw(&values, &relevance, &Look::default()).unwrap();
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
        assert!(curves(&draw(&values, &relevance, &Look::default()).unwrap(), &red) > 20);
    }

    #[test]
    fn odd_shapes_are_drawn() {
        for (channels, length) in [(1, 1), (1, 2), (40, 3), (2, 10_000)] {
            let values = Array2::from_elem((channels, length), 1.0);
            let image = draw(&values, &values, &Look::default()).unwrap();
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
