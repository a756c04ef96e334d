//! The display of samples of a shape: as pictures, or as series.

use lrp::{Given, Layout};
use lrp_report::{Kind, Shape};

/// Up to this number of rows, a plane that is four times as long as it is high is a series with several channels.
const CHANNELS: usize = 16;

/// The display of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Their layout in the report.
    pub shape: Shape,
    /// Whether their channels come last.
    last: bool,
}

/// The explained inputs of a model that are shown together, as one sample of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shares {
    /// All: the only one, or several one after the other, as a series.
    All,
    /// Each by itself: several of one shape.
    Each(usize),
}

impl Shares {
    /// Of these inputs, with the view of what is shown together.
    pub fn of(given: &Given) -> (Self, View) {
        let mut shapes = given.explained().map(|input| &input.shape);
        match (shapes.next(), given.explained().count()) {
            (Some(first), count) if count > 1 && shapes.all(|shape| shape == first) => {
                (Shares::Each(count), View::of(first))
            }
            _ => (Shares::All, View::of(&given.relevance_shape())),
        }
    }

    /// The samples of the report for each sample of the run.
    pub fn count(self) -> usize {
        if let Shares::Each(count) = self { count } else { 1 }
    }
}

impl View {
    /// Of samples of this shape. Images are pictures, and so are the slices of volumes; `[L]`, `[C, L]` with few channels, `[C, 1, L]`
    /// and everything else are series.
    pub fn of(shape: &[usize]) -> Self {
        let picture = |channels, height, width| Shape { kind: Kind::Picture, channels, height, width };
        let series = |channels, width| Shape { kind: Kind::Series, channels, height: 1, width };
        let first = |shape| Self { shape, last: false };
        match (Layout::of(shape), shape) {
            (Some(Layout::ChannelsLast { height, width, channels }), _) => {
                Self { shape: picture(channels, height, width), last: true }
            }
            (Some(Layout::ChannelsFirst { channels, height, width }), _) if height == 1 || width == 1 => {
                first(series(channels, height * width))
            }
            (Some(Layout::ChannelsFirst { channels, height, width }), _) => first(picture(channels, height, width)),
            (Some(Layout::Plane { height, width }), _) if height <= CHANNELS && width >= 4 * height => {
                first(series(height, width))
            }
            (Some(Layout::Plane { height, width }), _) => first(picture(1, height, width)),
            (None, &[channels, depth, height, width]) if height > 1 && width > 1 => {
                first(picture(channels * depth, height, width))
            }
            (None, _) => first(series(1, shape.iter().product())),
        }
    }

    /// Numbers of a sample in the order in which they are shown: `[channels, height, width]`.
    pub fn arranged(&self, numbers: Vec<f64>) -> Vec<f64> {
        if !self.last {
            return numbers;
        }
        let channels = self.shape.channels;
        (0..channels).flat_map(|channel| numbers.iter().skip(channel).step_by(channels).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_what_they_are_shown_as() {
        for (shape, kind, as_) in [
            (&[1, 28, 28][..], Kind::Picture, [1, 28, 28]),
            (&[28, 28], Kind::Picture, [1, 28, 28]),
            (&[224, 224, 3], Kind::Picture, [3, 224, 224]),
            (&[3, 8, 16, 16], Kind::Picture, [24, 16, 16]),
            (&[12, 1000], Kind::Series, [12, 1, 1000]),
            (&[2, 1, 100], Kind::Series, [2, 1, 100]),
            (&[64], Kind::Series, [1, 1, 64]),
            (&[2, 3, 4, 5, 6], Kind::Series, [1, 1, 720]),
            (&[], Kind::Series, [1, 1, 1]),
        ] {
            let View { shape: view, .. } = View::of(shape);
            assert_eq!((view.kind, [view.channels, view.height, view.width]), (kind, as_), "{shape:?}");
        }
    }

    #[test]
    fn channels_that_come_last_come_first() {
        let numbers = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(View::of(&[5, 4, 3]).arranged(numbers.clone()), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(View::of(&[3, 5, 4]).arranged(numbers.clone()), numbers);
    }

    #[test]
    fn inputs_of_one_shape_are_shown_each() {
        let given = |shapes: &[(&[usize], bool)]| {
            let one = |(shape, is_explained): &(&[usize], bool)| lrp::GivenInput {
                name: "x".into(),
                dtype: "float32".into(),
                shape: shape.to_vec(),
                is_integer: false,
                is_explained: *is_explained,
            };
            Given::of(shapes.iter().map(one).collect())
        };
        let image: &[usize] = &[1, 28, 28];
        assert_eq!(Shares::of(&given(&[(image, true), (image, true)])), (Shares::Each(2), View::of(image)));
        assert_eq!(Shares::of(&given(&[(image, true), (&[5], true)])), (Shares::All, View::of(&[789])));
        assert_eq!(Shares::of(&given(&[(image, true), (&[5], false)])), (Shares::All, View::of(image)));
        assert_eq!(Shares::of(&given(&[(image, true)])), (Shares::All, View::of(image)));
    }
}
