//! Checks that inputs are as the model expects: the given scale of pixels, and the values of the samples.
//!
//! Three things are held against values: the bounds that `[input]` gives them, the boxes of z-box, and what the first batch norm of the
//! model has recorded in training. A run gives each warning once.

use lrp_config::{Bounds, Channels, Input};
use lrp_core::{Model, Scalar, Tensor};
use lrp_onnx::{Distance, InputStatistics, SIGMAS};
use ndarray::{Axis, Slice};

use crate::diagnosis::Diagnosis;
use crate::input;
use crate::layout::Layout;
use crate::loaded::Loaded;
use crate::numbers::short;
use crate::prepared::Prepared;
use crate::text;

/// The number of samples of a run that are compared with the statistics: each needs a pass through the first layer.
const HELD: usize = 32;

/// Statistics are of values that spread: that many may be far out.
const FAR: f64 = 0.05;

/// Rounding, in proportion to the width of bounds: half precision has eleven bits.
const ROUNDING: f64 = 1e-3;

/// A warning about images for a model whose pixel scaling is not given.
pub fn unscaled<T: Scalar>(has_images: bool, expected: &Input, loaded: &Loaded<T>) -> Option<Diagnosis> {
    let normalises = loaded.model.has_preprocessing()
        || loaded.import.input_statistics.as_ref().is_some_and(InputStatistics::of_the_input);
    if expected.says_scale() || normalises || !has_images {
        return None;
    }
    let [only] = loaded.given.all() else { return None };
    // Integers are pixels as they are stored.
    if only.is_integer {
        return None;
    }
    let one = Layout::of(&only.shape).is_some_and(|layout| layout.channels() == 1);
    let order = match expected.channels {
        Some(Channels::Bgr) => "blue, green, red",
        Some(Channels::Grey) => "grey",
        None if one => "grey",
        Some(Channels::Rgb) | None => "red, green, blue",
    };
    let message = format!(
        "the pixel scaling of the model is not given: assumed are {order} from 0 to 1, without a mean and a standard deviation"
    );
    let help = match one {
        true => {
            "to confirm this, use --input-preset mnist, or range = [0.0, 1.0] under [input]; otherwise, use --range, --mean and --std"
        }
        false => {
            "to confirm this, use --range 0,1, or range = [0.0, 1.0] under [input]; networks trained on ImageNet expect \
             --input-preset imagenet (PyTorch), keras-caffe or keras-tf; for others, use --range, --mean, --std and --channels"
        }
    };
    Some(Diagnosis::warning("pixels-unscaled", message, help))
}

/// Images and texts that were changed in a way that loses something, without being told to.
pub fn converted<'a>(files: impl Iterator<Item = (&'a str, &'a [String])> + Clone, expected: &Input) -> Vec<Diagnosis> {
    let warn = |conversion: &str, name, what: &str, help| {
        let mut changed = files.clone().filter(|(_, changes)| changes.iter().any(|change| change == conversion));
        let (first, _) = changed.next()?;
        let more = match changed.count() {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        Some(Diagnosis::warning(name, format!("'{first}'{more} {what}"), help))
    };
    let grey = warn(
        input::TO_GREY,
        "colours-to-grey",
        "has colours, and the model has one channel: converted to grey, 0.299 R + 0.587 G + 0.114 B",
        "to confirm this, use --channels grey, or channels = \"grey\" under [input]",
    );
    let transparent = warn(
        input::TRANSPARENT,
        "transparent-pixels",
        "has transparent pixels: it is laid over black",
        "lay it over the background that the model knows, and save it without an alpha channel",
    );
    let padded = warn(
        text::SEEN_PADDING,
        "padding-seen",
        "has texts that are shorter than the model's input, and the model has no mask: it sees the padding",
        "explain texts of one number of tokens at a time with a model of open length, or export the model with an attention mask",
    );
    let grey = grey.filter(|_| expected.channels != Some(Channels::Grey));
    grey.into_iter().chain(transparent).chain(padded).collect()
}

/// Compares samples with the known properties of the model's input.
pub struct Fit<'a, T: Scalar> {
    limits: Vec<Limits>,
    statistics: Option<&'a InputStatistics<T>>,
    distance: Distance,
    /// Samples that were held against the statistics.
    held: usize,
}

/// Bounds, and the values outside.
struct Limits {
    of: Of,
    bounds: Bounds,
    values: usize,
    outside: usize,
    /// The channel, the value in it that is the farthest outside, its bounds, and how far that is in widths of the bounds.
    worst: Option<(usize, f64, [f64; 2], f64)>,
}

/// Who has bounds.
enum Of {
    /// `[input]`, and the layers whose z-box has the same bounds.
    Input(Vec<String>),
    /// The z-box of a layer.
    ZBox(String),
}

impl<'a, T: Scalar> Fit<'a, T> {
    /// Of samples for this model under this recipe.
    pub fn new(loaded: &'a Loaded<T>, prepared: &Prepared<T>) -> Self {
        // Bounds and statistics are of one input, and of numbers that can lie between two others.
        if loaded.given.only().is_none_or(|only| only.is_integer) {
            return Self { limits: Vec::new(), statistics: None, distance: Distance::default(), held: 0 };
        }
        let model: &Model<T> = &loaded.model;
        let first = model.first_layers();
        let mut limits: Vec<Limits> = prepared
            .recipe
            .input()
            .bounds()
            .map(|bounds| Limits::new(Of::Input(Vec::new()), bounds))
            .into_iter()
            .collect();
        for (id, bounds) in prepared.recipe.boxes(&prepared.resolved) {
            // Elsewhere, z-box is not about the input: the recipe's lint says so.
            if !first.contains(&id) {
                continue;
            }
            let name = model.node(id).name.clone();
            match limits.iter_mut().find(|limits| limits.bounds == bounds) {
                Some(Limits { of: Of::Input(layers), .. }) => layers.push(name),
                Some(_) => {}
                None => limits.push(Limits::new(Of::ZBox(name), bounds)),
            }
        }
        let statistics = loaded.import.input_statistics.as_ref();
        Self { limits, statistics, distance: Distance::default(), held: 0 }
    }

    /// Looks at samples `[N, …]`.
    pub fn see(&mut self, samples: &Tensor<T>) {
        self.limits.iter_mut().for_each(|limits| limits.see(samples));
        let Some(statistics) = self.statistics else { return };
        let n = lrp_core::tensor::samples(samples).min(HELD.saturating_sub(self.held));
        if n > 0 {
            self.held += n;
            let some = samples.slice_axis(Axis(0), Slice::from(..n)).to_owned();
            self.distance.add(&statistics.distance(&some));
        }
    }

    /// The warnings.
    pub fn warnings(&self) -> Vec<Diagnosis> {
        self.limits.iter().filter_map(Limits::warning).chain(self.unusual()).collect()
    }

    /// Values that training has not seen.
    fn unusual(&self) -> Option<Diagnosis> {
        let (statistics, (channel, value, _)) = (self.statistics?, self.distance.worst?);
        if self.distance.share() <= FAR {
            return None;
        }
        let (mean, std) = (statistics.mean.get(channel)?, statistics.std.get(channel)?);
        let message = format!(
            "{} of what reaches the first batch norm, '{}', is more than {SIGMAS} standard deviations from its mean in training: channel \
             {channel} has {}, where {} ± {} is usual",
            percent(self.distance.share()),
            statistics.batch_norm,
            short(value),
            short(*mean),
            short(*std)
        );
        let help = "the input is probably scaled otherwise than in training: check range, mean, std and channels under [input], or what \
                    arrays hold";
        Some(Diagnosis::warning("input-unlike-training", message, help))
    }
}

impl Limits {
    fn new(of: Of, bounds: Bounds) -> Self {
        Self { of, bounds, values: 0, outside: 0, worst: None }
    }

    fn see<T: Scalar>(&mut self, samples: &Tensor<T>) {
        let channels = self.bounds.low.len().max(self.bounds.high.len());
        // With one pair of bounds for all channels, the channel is named all the same.
        let shape = samples.shape().get(1..).unwrap_or_default();
        let axis = match Layout::of(shape) {
            Some(Layout::ChannelsLast { .. }) => samples.ndim() - 1,
            Some(Layout::Plane { .. }) if channels == 1 => 0,
            _ => 1,
        };
        let one = channels == 1 && (axis == 0 || samples.ndim() < 3);
        if !one && channels > 1 && samples.shape().get(axis) != Some(&channels) {
            return;
        }
        let of = |values: &[f64], channel: usize| match values {
            [one] => Some(*one),
            many => many.get(channel).copied(),
        };
        for (channel, values) in samples.axis_iter(Axis(axis)).enumerate() {
            let channel = if one { 0 } else { channel };
            let (Some(low), Some(high)) = (of(&self.bounds.low, channel), of(&self.bounds.high, channel)) else {
                return;
            };
            let width = (high - low).max(f64::MIN_POSITIVE);
            let room = ROUNDING * width;
            self.values += values.len();
            // Row by row: an iterator over all axes keeps an index for each, and steps all of them.
            for value in values.rows().into_iter().flat_map(|row| row.into_iter().map(|value| value.wide())) {
                if value < low - room || value > high + room {
                    self.outside += 1;
                    let far = (low - value).max(value - high) / width;
                    if self.worst.is_none_or(|(_, _, _, most)| far > most) {
                        self.worst = Some((channel, value, [low, high], far));
                    }
                }
            }
        }
    }

    fn warning(&self) -> Option<Diagnosis> {
        let (channel, value, [low, high], _) = self.worst?;
        let share = percent(self.outside as f64 / self.values as f64);
        let has =
            format!("channel {channel} has {}, and its bounds are {} and {}", short(value), short(low), short(high));
        Some(match &self.of {
            Of::Input(layers) => {
                let boxes = match layers.first() {
                    Some(layer) => format!("; z-box at '{layer}' takes them for its box"),
                    None => String::new(),
                };
                let message =
                    format!("{share} of the input's values leave the bounds that [input] gives them: {has}{boxes}");
                let help = "arrays and tables go to the model as they are, mean and std are for images: scale them before, or let range, \
                            mean and std under [input] (or --range, --mean and --std) say what they hold";
                Diagnosis::warning("input-outside-range", message, help)
            }
            Of::ZBox(layer) => {
                let message = format!("{share} of the input's values are not in the box of z-box at '{layer}': {has}");
                let help = "low and high are the limits of the model's input, after mean and std: leave them out to take those that follow \
                            from [input]";
                Diagnosis::warning("input-outside-box", message, help)
            }
        })
    }
}

fn percent(share: f64) -> String {
    format!("{} %", short(100.0 * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(bounds: Bounds, samples: Tensor<f64>) -> Option<(usize, usize, usize, f64)> {
        let mut limits = Limits::new(Of::ZBox("conv".into()), bounds);
        limits.see(&samples);
        limits.worst.map(|(channel, value, ..)| (limits.values, limits.outside, channel, value))
    }

    fn bounds(low: &[f64], high: &[f64]) -> Bounds {
        Bounds { low: low.to_vec(), high: high.to_vec() }
    }

    #[test]
    fn what_is_outside_is_counted_by_channel() {
        let first = Tensor::from_shape_fn(vec![2, 3, 4, 4], |i| if i[1] == 2 { 5.0 } else { 0.5 });
        assert_eq!(seen(bounds(&[0.0], &[1.0]), first.clone()), Some((96, 32, 2, 5.0)));
        assert_eq!(seen(bounds(&[0.0; 3], &[1.0, 1.0, 5.0]), first.clone()), None);
        assert_eq!(seen(bounds(&[0.0, 0.6, 0.0], &[1.0, 1.0, 5.0]), first), Some((96, 32, 1, 0.5)));
        let last = Tensor::from_shape_fn(vec![1, 4, 4, 3], |i| if i[3] == 0 { -1.0 } else { 0.5 });
        assert_eq!(seen(bounds(&[0.0; 3], &[1.0; 3]), last), Some((48, 16, 0, -1.0)));
        // Without channels.
        let vectors = Tensor::from_shape_fn(vec![2, 5], |i| i[1] as f64);
        assert_eq!(seen(bounds(&[0.0], &[3.0]), vectors), Some((10, 2, 0, 4.0)));
        let planes = Tensor::from_shape_fn(vec![2, 5, 5], |i| i[1] as f64);
        assert_eq!(seen(bounds(&[0.0], &[3.0]), planes), Some((50, 10, 0, 4.0)));
    }

    #[test]
    fn rounding_is_not_outside() {
        let edge = |value: f64| seen(bounds(&[0.0], &[1.0]), Tensor::from_elem(vec![1, 1, 1, 1], value));
        assert_eq!(edge(1.0005), None);
        assert_eq!(edge(-0.0005), None);
        assert!(edge(1.01).is_some() && edge(-0.01).is_some());
    }

    #[test]
    fn conversions_are_named_once() {
        let (grey, turned) = ([input::TO_GREY.to_owned()], ["exif rotation 90".to_owned()]);
        let files = [("a.png", &grey[..]), ("b.png", &turned[..]), ("c.png", &grey[..])];
        let warnings = converted(files.iter().copied(), &Input::default());
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].message.starts_with("'a.png' (and 1 more) has colours"), "{}", warnings[0].message);
        let told = Input { channels: Some(Channels::Grey), ..Input::default() };
        assert!(converted(files.iter().copied(), &told).is_empty());
    }
}
