//! Bounds of an operator's inputs, as the formula of z-box has them and as plans print them.

use ndarray::Axis;

use crate::tensor::Tensor;
use crate::text::number;

/// The lowest and the highest values of an operator's inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum Bounds {
    /// One number each, or one per channel (axis 1 of `[N, C, …]`), for every input of the operator.
    Channels {
        /// The lowest values.
        low: Vec<f64>,
        /// The highest values.
        high: Vec<f64>,
    },
    /// One number each for every element: low and high, `[1, …]`, for every input of the operator.
    Elements(Vec<[Tensor<f64>; 2]>),
}

/// Lists of bounds that are longer are not written out.
const MOST_CHANNELS: usize = 16;

impl Bounds {
    /// All bounds, low and high.
    pub fn all(&self) -> [Box<dyn Iterator<Item = f64> + '_>; 2] {
        match self {
            Bounds::Channels { low, high } => [Box::new(low.iter().copied()), Box::new(high.iter().copied())],
            Bounds::Elements(bounds) => [0, 1].map(|side| -> Box<dyn Iterator<Item = f64>> {
                Box::new(bounds.iter().flat_map(move |bounds| bounds[side].iter().copied()))
            }),
        }
    }

    /// The first lower bound that is above its upper one, and that one. One number for all channels is each channel's.
    pub fn out_of_order(&self) -> Option<(f64, f64)> {
        let [low, high] = self.all().map(Vec::from_iter);
        let n = low.len().max(high.len());
        let mut pairs = low.iter().copied().cycle().zip(high.iter().copied().cycle()).take(n);
        pairs.find(|(low, high)| low > high)
    }

    /// The lower and the upper bounds as a recipe writes them.
    pub fn printed(&self) -> [String; 2] {
        match self {
            Bounds::Channels { low, high } => [list(low, number), list(high, number)],
            Bounds::Elements(bounds) => {
                [0, 1].map(|side| printed(&bounds.iter().map(|bounds| &bounds[side]).collect::<Vec<_>>()))
            }
        }
    }
}

/// One number, or a list of them.
fn list(bounds: &[f64], number: impl Fn(f64) -> String) -> String {
    match bounds {
        [one] => number(*one),
        many => format!("[{}]", many.iter().map(|&b| number(b)).collect::<Vec<_>>().join(", ")),
    }
}

/// Bounds of elements as one number, or one per channel, where they are; else the range in which they lie.
fn printed(bounds: &[&Tensor<f64>]) -> String {
    // Bounds carried along in single precision have no more digits than that.
    let short = |value: f64| {
        let single = value as f32;
        let is_single = f64::from(single) == value && (1e-3..1e6).contains(&value.abs());
        if is_single { format!("{single:?}") } else { number(value) }
    };
    let all = || bounds.iter().flat_map(|bounds| bounds.iter().copied());
    if let Some(one) = the_same(all()) {
        return list(&[one], short);
    }
    let channels = |bounds: &&Tensor<f64>| -> Option<Vec<f64>> {
        (bounds.len_of(Axis(1)) <= MOST_CHANNELS)
            .then(|| bounds.axis_iter(Axis(1)).map(|channel| the_same(channel.iter().copied())).collect())?
    };
    match bounds.iter().map(channels).collect::<Option<Vec<_>>>().as_deref() {
        Some([channels, others @ ..]) if others.iter().all(|other| other == channels) => list(channels, short),
        _ => {
            let (least, most) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), b| (l.min(b), h.max(b)));
            format!("\"{} to {}, by element\"", short(least), short(most))
        }
    }
}

/// The number that all are.
fn the_same(mut values: impl Iterator<Item = f64>) -> Option<f64> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_stands_for_every_channel() {
        let channels = |low: &[f64], high: &[f64]| Bounds::Channels { low: low.to_vec(), high: high.to_vec() };
        assert_eq!(channels(&[0.0, 1.5], &[1.0]).out_of_order(), Some((1.5, 1.0)));
        assert_eq!(channels(&[0.0], &[1.0, 2.0]).out_of_order(), None);
        assert_eq!(channels(&[0.0], &[1.0, 2e-9]).printed(), ["0.0", "[1.0, 2e-9]"]);
    }
}
