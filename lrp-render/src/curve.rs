//! Curves in the colours of what they show.

use std::fmt;

use image::Rgb;

use crate::color::Hex;

/// Points in pixels, joined by lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Points(Vec<(f64, f64)>);

/// A part of a curve, in one colour.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Its points.
    pub points: Points,
    /// Its colour.
    pub color: Hex,
}

impl Piece {
    /// A curve through points. Those that are at no place, where a value is not finite, are left out.
    pub fn new(points: impl IntoIterator<Item = (f64, f64)>, color: Rgb<u8>) -> Self {
        let finite = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
        Self { points: Points(points.into_iter().filter(finite).collect()), color: Hex(color) }
    }

    /// Adds a piece to others that go on where the one before ends. Neighbours of one colour become one piece.
    pub fn join(self, pieces: &mut Vec<Piece>) {
        match pieces.last_mut() {
            Some(last) if last.color == self.color => last.points.0.extend(self.points.0.into_iter().skip(1)),
            _ => pieces.push(self),
        }
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (x, y)) in self.0.iter().enumerate() {
            let gap = if i == 0 { "" } else { " " };
            write!(f, "{gap}{},{}", rounded(*x), rounded(*y))?;
        }
        // A point alone has no length, and would not be drawn.
        match self.0.as_slice() {
            [(x, y)] => write!(f, " {},{}", rounded(*x + 0.01), rounded(*y)),
            _ => Ok(()),
        }
    }
}

/// To hundredths of a pixel.
fn rounded(pixels: f64) -> f64 {
    (pixels * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: Rgb<u8> = Rgb([255, 0, 0]);
    const BLUE: Rgb<u8> = Rgb([0, 0, 255]);

    #[test]
    fn neighbours_of_one_colour_are_joined() {
        let mut pieces = Vec::new();
        for (x, color) in [(0.0, RED), (1.0, RED), (2.0, BLUE)] {
            Piece::new([(x, 0.0), (x + 1.0, 1.0 / 3.0)], color).join(&mut pieces);
        }
        let shown: Vec<String> = pieces.iter().map(|piece| format!("{} {}", piece.color, piece.points)).collect();
        assert_eq!(shown, ["#ff0000 0,0 1,0.33 2,0.33", "#0000ff 2,0 3,0.33"]);
    }

    #[test]
    fn a_point_is_a_dot_and_no_place_is_nothing() {
        assert_eq!(Piece::new([(1.0, 2.0), (f64::NAN, 3.0)], RED).points.to_string(), "1,2 1.01,2");
        assert_eq!(Piece::new([(1.0, f64::INFINITY)], RED).points.to_string(), "");
    }
}
