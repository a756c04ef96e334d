//! `[input]`: the input that the model expects, and the bounds that follow for z-box.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::values::{Interval, OneOrMany, Positive, intervals, per_channel, positive_per_channel};

/// `[input]`: how pixels become the model's input, `(pixel − mean) / std`, with pixels scaled to `range`.
///
/// The usual conventions, and the conversions of images, stand at the recipe's key `input`, from which the reference page is made.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Values of the darkest and the brightest pixel before `mean` and `std`; with these, it gives z-box its bounds.
    #[serde(default, deserialize_with = "intervals")]
    #[schemars(with = "Option<OneOrMany<Interval>>", extend("x-default" = "[0.0, 1.0] for images; none for z-box"), example = json!([0.0, 1.0]))]
    #[schemars(example = json!([0.0, 255.0]), example = json!([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]))]
    pub range: Option<Vec<[f64; 2]>>,
    /// Subtracted from pixels, in the units of `range`.
    #[serde(default, deserialize_with = "per_channel")]
    #[schemars(with = "Option<OneOrMany<f64>>", extend("default" = 0.0), example = 0.5, example = json!([0.485, 0.456, 0.406]))]
    pub mean: Option<Vec<f64>>,
    /// Divisor of the difference, greater than 0, in the units of `range`.
    #[serde(default, deserialize_with = "positive_per_channel")]
    #[schemars(with = "Option<OneOrMany<Positive>>", extend("default" = 1.0), example = 0.5, example = json!([0.229, 0.224, 0.225]))]
    pub std: Option<Vec<f64>>,
    /// The channels that the model expects, in its order.
    #[schemars(extend("x-default" = "rgb if the model has three channels, grey if it has one"), example = Channels::Bgr)]
    pub channels: Option<Channels>,
    /// Resizing of an image of another size than the model's input.
    #[schemars(extend("x-default" = "such an image is an error"), example = Resize::Crop)]
    pub resize: Option<Resize>,
    /// Kind of sample, which determines how it is drawn.
    #[schemars(extend("x-default" = "tokens where `tokens` is given, a series where the model's convolutions are 1-d or an input is a \
        CSV file, an image otherwise"), example = Kind::Series)]
    pub kind: Option<Kind>,
    /// The texts of the tokens, to draw relevance on: a text file with one token on a line and an empty line between samples, or a JSON
    /// file with a list of texts for each sample.
    #[schemars(extend("x-default" = "none"), example = &"tokens.txt")]
    pub tokens: Option<PathBuf>,
    /// The model's tokenizer, a `tokenizer.json` of Hugging Face: inputs can be `.txt` files then, with a sample on each line, and the
    /// tokens of arrays of ids are shown by their texts. Needs a build with the cargo feature `tokenizer`.
    #[schemars(extend("x-default" = "none"), example = &"tokenizer.json")]
    pub tokenizer: Option<PathBuf>,
    /// Whether the pieces of a word are drawn as one word, with the sum of their relevance. Files of numbers keep each token.
    #[schemars(extend("default" = false), example = true)]
    pub words: Option<bool>,
}

/// `kind = …`: the kind of sample.
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

/// `channels = …`: the channels of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red, as OpenCV and Caffe have them.
    Bgr,
    /// Brightness: one channel, or three that are equal.
    Grey,
}

impl Channels {
    /// As recipes and flags write it.
    pub fn name(self) -> &'static str {
        match self {
            Channels::Rgb => "rgb",
            Channels::Bgr => "bgr",
            Channels::Grey => "grey",
        }
    }
}

/// A usual convention for pixels, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputPreset {
    /// torchvision's networks, and most others that PyTorch users train on ImageNet.
    ImageNet,
    /// Keras, `preprocess_input` in mode "caffe": VGG, ResNet.
    KerasCaffe,
    /// Keras, `preprocess_input` in mode "tf": MobileNet, Inception, Xception, ResNetV2.
    KerasTf,
    /// Grey pixels from 0 to 1.
    Mnist,
}

impl InputPreset {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ImageNet, Self::KerasCaffe, Self::KerasTf, Self::Mnist];

    /// As flags write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ImageNet => "imagenet",
            Self::KerasCaffe => "keras-caffe",
            Self::KerasTf => "keras-tf",
            Self::Mnist => "mnist",
        }
    }

    /// Its `range`, `mean`, `std` and `channels`.
    pub fn input(self) -> Input {
        let (range, mean, std, channels) = match self {
            Self::ImageNet => ([0.0, 1.0], vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225], Channels::Rgb),
            Self::KerasCaffe => ([0.0, 255.0], vec![103.939, 116.779, 123.68], vec![1.0], Channels::Bgr),
            Self::KerasTf => ([-1.0, 1.0], vec![0.0], vec![1.0], Channels::Rgb),
            Self::Mnist => ([0.0, 1.0], vec![0.0], vec![1.0], Channels::Grey),
        };
        Input {
            range: Some(vec![range]),
            mean: Some(mean),
            std: Some(std),
            channels: Some(channels),
            ..Input::default()
        }
    }
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

    /// The model's input for a pixel of 16 bits in this channel of the model: `(pixel − mean) / std`, the pixel scaled to `range`.
    pub fn normalized(&self, pixel: u16, channel: usize) -> f64 {
        let [low, high] = self.range_of(channel);
        // Multiplied first: an 8-bit pixel v is 257 v, and (257 v · 255) / 65535 is v exactly.
        let pixel = low + f64::from(pixel) * (high - low) / f64::from(u16::MAX);
        (pixel - number(&self.mean, channel, 0.0)) / number(&self.std, channel, 1.0)
    }

    /// The pixel, from 0 to 1, that becomes this value of the model's input: the inverse of [`normalized`](Self::normalized).
    pub fn pixel(&self, value: f64, channel: usize) -> f64 {
        let [low, high] = self.range_of(channel);
        let pixel = value * number(&self.std, channel, 1.0) + number(&self.mean, channel, 0.0);
        (pixel - low) / (high - low)
    }

    /// Whether anything is said of the scale of pixels.
    pub fn says_scale(&self) -> bool {
        self.range.is_some() || self.mean.is_some() || self.std.is_some()
    }

    /// The darkest and the brightest pixel.
    fn range_of(&self, channel: usize) -> [f64; 2] {
        self.range.as_deref().and_then(|range| of(range, channel)).copied().unwrap_or([0.0, 1.0])
    }

    /// The error if keys with a value for each channel have different numbers of channels.
    pub fn mismatch(&self) -> Option<String> {
        self.check().err().map(|mismatch| mismatch.message)
    }

    /// Replaces `range`, `mean`, `std` and `channels` by those of `preset`.
    pub fn take_preset(&mut self, preset: InputPreset) {
        let Input { range, mean, std, channels, .. } = preset.input();
        (self.range, self.mean, self.std, self.channels) = (range, mean, std, channels);
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

    /// Takes keys that are not given here from `parent`.
    pub(crate) fn inherit(&mut self, parent: &Input) {
        inherit!(self, parent, range, mean, std, channels, resize, kind, tokens, tokenizer, words);
    }

    pub(crate) fn join(&mut self, folder: &Path) {
        for path in [&mut self.tokens, &mut self.tokenizer].into_iter().flatten() {
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
        assert_eq!((input.normalized(u16::MAX, 0), input.normalized(u16::MAX, 1)), (2.0, 1.0));
        assert_eq!((input.pixel(2.0, 0), input.pixel(1.0, 1)), (1.0, 1.0));
        assert_eq!(Input::default().normalized(257 * 51, 2), 0.2);
    }

    #[test]
    fn mean_and_std_are_in_the_units_of_the_range() {
        // Every 8-bit pixel stays what it is, to the last bit.
        let input = Input { range: Some(vec![[0.0, 255.0]]), mean: Some(vec![123.68]), ..Input::default() };
        for pixel in 0..=255_u16 {
            assert_eq!(input.normalized(257 * pixel, 0), f64::from(pixel) - 123.68);
        }
        let input = Input { range: Some(vec![[-1.0, 1.0], [0.0, 2.0]]), ..Input::default() };
        assert_eq!((input.normalized(0, 0), input.normalized(u16::MAX, 0)), (-1.0, 1.0));
        assert_eq!((input.normalized(0, 1), input.normalized(u16::MAX, 1)), (0.0, 2.0));
    }

    #[test]
    fn presets_agree_with_their_bounds_and_their_inverse() {
        for preset in InputPreset::ALL {
            let input = preset.input();
            assert_eq!(input.check(), Ok(()), "{preset:?}");
            let Bounds { low, high } = input.bounds().unwrap();
            for channel in 0..3 {
                let of = |bounds: &[f64]| *super::of(bounds, channel).unwrap();
                assert_eq!(input.normalized(0, channel), of(&low), "{preset:?}");
                assert_eq!(input.normalized(u16::MAX, channel), of(&high), "{preset:?}");
                for pixel in [0, 1, 12_345, u16::MAX] {
                    let back = input.pixel(input.normalized(pixel, channel), channel);
                    assert!((back - f64::from(pixel) / 65535.0).abs() < 1e-12, "{preset:?}: {pixel}, {back}");
                }
            }
        }
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
