//! `[input]`: what the model expects of its input, and the bounds that follow for z-box.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::values::{Interval, OneOrMany, Positive, intervals, per_channel, positive_per_channel};

/// `[input]`: how pixels become the model's input, `(pixel − mean) / std` with pixels scaled to 0..1.
///
/// `range`, `mean` and `std` take one value for all channels, or a list with one for each.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Valid values before `mean` and `std`, lowest and highest: gives z-box its bounds.
    #[serde(default, deserialize_with = "intervals")]
    #[schemars(with = "Option<OneOrMany<Interval>>", extend("x-default" = "none"), example = json!([0.0, 1.0]))]
    #[schemars(example = json!([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]))]
    pub range: Option<Vec<[f64; 2]>>,
    /// What is subtracted from pixels.
    #[serde(default, deserialize_with = "per_channel")]
    #[schemars(with = "Option<OneOrMany<f64>>", extend("default" = 0.0), example = 0.5, example = json!([0.485, 0.456, 0.406]))]
    pub mean: Option<Vec<f64>>,
    /// What the difference is divided by, greater than 0.
    #[serde(default, deserialize_with = "positive_per_channel")]
    #[schemars(with = "Option<OneOrMany<Positive>>", extend("default" = 1.0), example = 0.5, example = json!([0.229, 0.224, 0.225]))]
    pub std: Option<Vec<f64>>,
    /// What is done with an image of another size than the model's input.
    #[schemars(extend("x-default" = "such an image is an error"), example = Resize::Crop)]
    pub resize: Option<Resize>,
    /// What a sample is, which decides how it is drawn.
    #[schemars(extend("x-default" = "tokens where `tokens` is given, a series where the model's convolutions are 1-d or an input is a \
        CSV file, an image otherwise"), example = Kind::Series)]
    pub kind: Option<Kind>,
    /// The texts of the tokens, to draw relevance on: a text file with one token on a line and an empty line between samples, or a JSON
    /// file with a list of texts for each sample.
    #[schemars(extend("x-default" = "none"), example = &"tokens.txt")]
    pub tokens: Option<PathBuf>,
}

/// `kind = …`: what a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A picture, `[C, H, W]`, `[H, W, C]` or `[H, W]`.
    Image,
    /// A time series, `[C, L]` or `[L]`.
    Series,
    /// A time series, `[L, C]`.
    SeriesLast,
    /// A text: a vector for each token, `[L, D]`.
    Tokens,
}

/// `resize = …`: how an image gets the size of the model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// Scaled until the shorter side fits, then cropped around the middle: proportions stay.
    Crop,
    /// Scaled in each direction by itself.
    Stretch,
}

/// Lowest and highest values of the model's input, one number for all channels or one for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// The lowest values.
    pub low: Vec<f64>,
    /// The highest values.
    pub high: Vec<f64>,
}

/// A key that is for another number of channels than those before it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub key: &'static str,
    pub channels: usize,
    pub message: String,
}

impl Input {
    /// The bounds of the model's input, `(range − mean) / std`, if `range` is given.
    pub fn bounds(&self) -> Option<Bounds> {
        let range = self.range.as_deref()?;
        let mean = self.mean.as_deref().unwrap_or(&[0.0]);
        let std = self.std.as_deref().unwrap_or(&[1.0]);
        let channels = range.len().max(mean.len()).max(std.len());
        let bound = |side: fn(&[f64; 2]) -> f64| -> Option<Vec<f64>> {
            (0..channels).map(|c| Some((side(of(range, c)?) - of(mean, c)?) / of(std, c)?)).collect()
        };
        Some(Bounds { low: bound(|[low, _]| *low)?, high: bound(|[_, high]| *high)? })
    }

    /// The model's input for a pixel (0..1) of this channel: `(pixel − mean) / std`.
    pub fn normalized(&self, pixel: f64, channel: usize) -> f64 {
        (pixel - number(&self.mean, channel, 0.0)) / number(&self.std, channel, 1.0)
    }

    /// The pixel that becomes this value of the model's input: the inverse of [`normalized`](Self::normalized).
    pub fn pixel(&self, value: f64, channel: usize) -> f64 {
        value * number(&self.std, channel, 1.0) + number(&self.mean, channel, 0.0)
    }

    /// Checks that keys with a value for each channel agree on the number of channels.
    pub(crate) fn check(&self) -> Result<(), Mismatch> {
        let lengths = [
            ("range", self.range.as_ref().map(Vec::len)),
            ("mean", self.mean.as_ref().map(Vec::len)),
            ("std", self.std.as_ref().map(Vec::len)),
        ];
        let mut lists = lengths.iter().filter_map(|(key, length)| Some((key, length.filter(|n| *n > 1)?)));
        let Some((first, length)) = lists.next() else { return Ok(()) };
        match lists.find(|(_, other)| *other != length) {
            Some((key, channels)) => {
                let message = format!("`{first}` is for {length} channels and `{key}` for {channels}");
                Err(Mismatch { key, channels, message })
            }
            None => Ok(()),
        }
    }

    /// Takes what is not given here from `parent`.
    pub(crate) fn inherit(&mut self, parent: &Input) {
        inherit!(self, parent, range, mean, std, resize, kind, tokens);
    }

    pub(crate) fn join(&mut self, folder: &Path) {
        if let Some(path) = &mut self.tokens {
            *path = folder.join(&path);
        }
    }
}

/// The value for channel `c`: a single one is for all.
fn of<V>(values: &[V], c: usize) -> Option<&V> {
    match values {
        [one] => Some(one),
        many => many.get(c),
    }
}

/// The number for channel `c` of a key that may not be given.
fn number(values: &Option<Vec<f64>>, c: usize, default: f64) -> f64 {
    values.as_deref().and_then(|values| of(values, c)).copied().unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_and_values() {
        let input = Input { mean: Some(vec![0.5]), std: Some(vec![0.25, 0.5]), ..Input::default() };
        assert_eq!((input.normalized(1.0, 0), input.normalized(1.0, 1)), (2.0, 1.0));
        assert_eq!((input.pixel(2.0, 0), input.pixel(1.0, 1)), (1.0, 1.0));
        assert_eq!(Input::default().normalized(0.3, 2), 0.3);
    }

    #[test]
    fn bounds_are_what_the_range_becomes() {
        let mut input = Input { range: Some(vec![[0.0, 1.0]]), ..Input::default() };
        assert_eq!(input.bounds(), Some(Bounds { low: vec![0.0], high: vec![1.0] }));
        input.mean = Some(vec![0.5, 0.25]);
        input.std = Some(vec![0.5]);
        assert_eq!(input.bounds(), Some(Bounds { low: vec![-1.0, -0.5], high: vec![1.0, 1.5] }));
        input.range = None;
        assert_eq!(input.bounds(), None);
    }

    #[test]
    fn numbers_of_channels_must_agree() {
        let mut input =
            Input { mean: Some(vec![0.5; 3]), std: Some(vec![0.5]), range: Some(vec![[0.0, 1.0]]), ..Input::default() };
        assert_eq!(input.check(), Ok(()));
        input.std = Some(vec![0.5; 2]);
        assert_eq!(input.check().unwrap_err().message, "`mean` is for 3 channels and `std` for 2");
        assert_eq!(input.bounds(), None);
    }
}
