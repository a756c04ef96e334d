//! Colour maps. Zero is always the centre, and the centre of a diverging map is neutral.

use image::Rgb;

/// A colour map: colours at equal steps from the most negative value to the most positive one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Colormap {
    /// The name used in recipes.
    pub name: &'static str,
    stops: &'static [[u8; 3]],
}

/// The maps there are; names as in zennit.
pub const COLORMAPS: &[Colormap] = &[
    Colormap { name: "bwr", stops: &[[0, 0, 255], [255, 255, 255], [255, 0, 0]] },
    Colormap { name: "seismic", stops: &[[0, 0, 76], [0, 0, 255], [255, 255, 255], [255, 0, 0], [128, 0, 0]] },
    Colormap { name: "coldnhot", stops: &[[0, 255, 255], [0, 0, 255], [0, 0, 0], [255, 0, 0], [255, 255, 0]] },
    Colormap { name: "gray", stops: &[[0, 0, 0], [255, 255, 255]] },
];

impl Colormap {
    /// The map of this name.
    pub fn find(name: &str) -> Option<Self> {
        COLORMAPS.iter().copied().find(|map| map.name == name)
    }

    /// The colour of a value in −1…1; what is not a number gets the neutral colour.
    pub fn color(&self, value: f64) -> Rgb<u8> {
        let value = if value.is_nan() { 0.0 } else { value.clamp(-1.0, 1.0) };
        let last = self.stops.len() - 1;
        let position = (value + 1.0) / 2.0 * last as f64;
        let below = (position.floor() as usize).min(last - 1);
        let part = position - below as f64;
        let mix = |channel: usize| {
            let (a, b) = (f64::from(self.stops[below][channel]), f64::from(self.stops[below + 1][channel]));
            (a + (b - a) * part).round() as u8
        };
        Rgb([mix(0), mix(1), mix(2)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_neutral_and_the_ends_are_the_ends() {
        let bwr = Colormap::find("bwr").unwrap();
        assert_eq!(bwr.color(0.0), Rgb([255, 255, 255]));
        assert_eq!(bwr.color(1.0), Rgb([255, 0, 0]));
        assert_eq!(bwr.color(-1.0), Rgb([0, 0, 255]));
        assert_eq!(bwr.color(7.0), Rgb([255, 0, 0]));
        assert_eq!(bwr.color(f64::NAN), Rgb([255, 255, 255]));
        assert_eq!(Colormap::find("seismic").unwrap().color(0.0), Rgb([255, 255, 255]));
        assert_eq!(Colormap::find("coldnhot").unwrap().color(0.0), Rgb([0, 0, 0]));
    }

    #[test]
    fn every_name_that_recipes_allow_exists() {
        for name in lrp_config::COLORMAPS {
            assert!(Colormap::find(name).is_some(), "{name}");
        }
        assert_eq!(lrp_config::COLORMAPS.len(), COLORMAPS.len());
    }
}
