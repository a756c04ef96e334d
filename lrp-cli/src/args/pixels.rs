//! Scaling of pixels: the flags that override the recipe's `[input]`.

use clap::Args;
use lrp_config::{Channels, InputPreset};

use super::values::choose;

/// Scaling of pixels; overrides the recipe's [input].
#[derive(Debug, Args, Default)]
pub struct PixelArgs {
    /// Pixel scaling of the model, by name: imagenet (torchvision), keras-caffe, keras-tf or mnist. Sets range, mean, std and channels,
    /// which other flags override
    #[arg(long, value_name = "NAME", value_parser = input_preset)]
    pub input_preset: Option<InputPreset>,
    /// Values of the darkest and the brightest pixel before mean and std, as 0,255 or -1,1; or a pair for each channel [default: 0,1]
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true, value_parser = range)]
    pub range: Option<Ranges>,
    /// Subtracted from pixels, in the units of the range: a number, or one for each channel, as 0.485,0.456,0.406 [default: 0]
    #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true, value_parser = numbers)]
    pub mean: Option<Numbers>,
    /// Divisor of the difference: a number, or one for each channel, as 0.229,0.224,0.225 [default: 1]
    #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true, value_parser = positive)]
    pub std: Option<Numbers>,
    /// The model's channels in its order: rgb, bgr or grey [default: rgb, or grey if it has one channel]
    #[arg(long, value_parser = channels)]
    pub channels: Option<Channels>,
}

/// Numbers with commas between them: one for all channels, or one for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers(pub Vec<f64>);

/// Lowest and highest value, for all channels or for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranges(pub Vec<[f64; 2]>);

pub(super) fn input_preset(text: &str) -> Result<InputPreset, String> {
    choose(text, &InputPreset::ALL.map(|preset| (preset.name(), preset)))
}

fn channels(text: &str) -> Result<Channels, String> {
    choose(text, &[Channels::Rgb, Channels::Bgr, Channels::Grey].map(|channels| (channels.name(), channels)))
}

fn numbers(text: &str) -> Result<Numbers, String> {
    // Brackets, as recipes write them, do no harm.
    let plain = text.replace(['[', ']'], "");
    let numbers = plain.split(',').map(|number| number.trim().parse().ok().filter(|number: &f64| number.is_finite()));
    let numbers = numbers.collect::<Option<Vec<f64>>>();
    numbers.map(Numbers).ok_or_else(|| "expected a number, or one for each channel with commas between them".to_owned())
}

fn positive(text: &str) -> Result<Numbers, String> {
    let numbers = numbers(text)?;
    match numbers.0.iter().all(|number| *number > 0.0) {
        true => Ok(numbers),
        false => Err("expected numbers greater than 0: pixels are divided by them".to_owned()),
    }
}

fn range(text: &str) -> Result<Ranges, String> {
    let wrong = || "expected LOW,HIGH with LOW below HIGH, as 0,255; or such a pair for each channel".to_owned();
    let Numbers(numbers) = numbers(text).map_err(|_| wrong())?;
    let pairs: Vec<[f64; 2]> = numbers.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).collect();
    let fits = 2 * pairs.len() == numbers.len() && pairs.iter().all(|[low, high]| low < high);
    if fits { Ok(Ranges(pairs)) } else { Err(wrong()) }
}
