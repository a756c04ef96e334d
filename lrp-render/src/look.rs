//! The colours of relevance: the map, the values of its ends, and overlay and size.

use image::Rgb;
use lrp_config::{Colormap, Recipe, Scale, Size};

/// The appearance of heatmaps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    /// The colours.
    pub colormap: Colormap,
    /// Their range.
    pub scale: Scale,
    /// The percentile of |R| at the ends, if not the maximum.
    pub clip: Option<f64>,
    /// The opacity of relevance over the input, if it is drawn there.
    pub overlay: Option<f64>,
    /// The size, if given.
    pub size: Option<Size>,
}

impl Look {
    /// From the recipe's `[output]`, with defaults.
    pub fn of_recipe(recipe: &Recipe) -> Self {
        let output = recipe.output();
        Self {
            colormap: output.colormap.clone().unwrap_or_default(),
            scale: output.scale.unwrap_or_default(),
            clip: output.clip.filter(|clip| *clip < 100.0),
            overlay: output.overlay,
            size: output.size,
        }
    }

    /// The colour of a value in −1…1, −1 and 1 being the limits.
    pub fn color(&self, value: f64) -> Rgb<u8> {
        Rgb(match self.scale {
            Scale::Symmetric => self.colormap.color(value),
            Scale::Positive => self.colormap.color_from_start(value),
        })
    }

    /// The value at the ends of the colours.
    pub fn limit(&self, values: &[f64]) -> f64 {
        let mut sizes: Vec<f64> = match self.scale {
            Scale::Symmetric => values.iter().map(|v| v.abs()).collect(),
            Scale::Positive => values.iter().map(|v| v.max(0.0)).collect(),
        };
        let most = sizes.iter().fold(0.0, |most: f64, size| most.max(*size));
        let Some(clip) = self.clip.filter(|_| !sizes.is_empty()) else { return most };
        sizes.sort_by(f64::total_cmp);
        // As numpy's percentile: linear between neighbours.
        let place = clip / 100.0 * (sizes.len() - 1) as f64;
        let at = |i: usize| sizes.get(i).copied().unwrap_or(most);
        let (low, part) = (at(place as usize), place.fract());
        let limit = low + (at(place as usize + 1) - low) * part;
        // Where nearly everything is zero, a percentile can be, and nothing could be told apart.
        if limit > 0.0 { limit } else { most }
    }

    /// `values` over the limit, ready for [`color`](Self::color). Where all is zero, so is this.
    pub fn scaled(&self, value: f64, limit: f64) -> f64 {
        if limit > 0.0 { (value / limit).clamp(-1.0, 1.0) } else { 0.0 }
    }

    /// The ticks of the scale: position, from 0 at the left end to 1 at the right one, and label.
    pub fn marks(&self) -> Vec<(f64, String)> {
        let most = match self.clip {
            Some(clip) => format!("P{clip}|R|"),
            None => "max|R|".to_owned(),
        };
        match self.scale {
            Scale::Symmetric => vec![(0.0, format!("−{most}")), (0.5, "0".to_owned()), (1.0, format!("+{most}"))],
            Scale::Positive => vec![(0.0, "≤ 0".to_owned()), (1.0, most.replace("|R|", " R"))],
        }
    }

    /// The colour at a position of the scale, from 0 to 1.
    pub fn color_on_scale(&self, place: f64) -> Rgb<u8> {
        match self.scale {
            Scale::Symmetric => self.color(place * 2.0 - 1.0),
            Scale::Positive => self.color(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_maxima_or_percentiles() {
        let values: Vec<f64> = (0..=100).map(|i| if i % 2 == 0 { f64::from(i) } else { -f64::from(i) }).collect();
        let clipped = |clip| Look { clip: Some(clip), ..Look::default() };
        assert_eq!(Look::default().limit(&values), 100.0);
        assert_eq!(clipped(95.0).limit(&values), 95.0);
        assert!((clipped(99.5).limit(&values) - 99.5).abs() < 1e-12);
        // Of mostly zeros, a percentile would be zero.
        assert_eq!(clipped(50.0).limit(&[0.0, 0.0, 0.0, -2.0]), 2.0);
        assert_eq!(clipped(50.0).limit(&[]), 0.0);
        let positive = Look { scale: Scale::Positive, ..Look::default() };
        assert_eq!(positive.limit(&[-7.0, 2.0]), 2.0);
        assert_eq!(positive.color(-1.0), positive.color(0.0));
    }
}
