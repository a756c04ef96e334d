//! Where each number of a sample is in its picture, whatever the sample's shape: an image is itself, a volume a montage of its slices, a
//! vector a strip of cells.

use lrp::Layout;

/// Most slices of a montage: more could not be told apart. They are evenly spaced.
const SLICES: usize = 256;

/// Cells of a strip before it goes on in the next row.
const CELLS: usize = 256;

/// The picture of samples of one shape. Channels are summed; all other axes have positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrangement {
    /// The number of elements of a position.
    channels: usize,
    /// Whether channels are the last axis; otherwise they are the first.
    channels_last: bool,
    /// Places of a sample.
    places: usize,
    /// The parts of the picture, side by side and below each other.
    tiles: Tiles,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tiles {
    /// Slices of a volume side by side: the size of one, how many are shown of how many, and the number of columns.
    Slices { height: usize, width: usize, shown: usize, all: usize, columns: usize },
    /// Rows of cells that are `tall` pixels high.
    Strip { width: usize, tall: usize },
}

impl Arrangement {
    /// The arrangement of samples of this shape (without the batch axis). Of `[C, D, H, W]` (or `[D, H, W, C]` with one or three channels) and
    /// of more axes, all but channels, height and width count slices. A sample without height and width is a strip.
    pub fn of(shape: &[usize]) -> Self {
        let slices = |channels: usize, channels_last, all: usize, height: usize, width: usize| {
            let shown = all.min(SLICES);
            // About as wide as it is high.
            let columns = (shown as f64 * height as f64 / width as f64).sqrt().ceil() as usize;
            let columns = columns.min(shown).max(1);
            let tiles = Tiles::Slices { height, width, shown, all, columns };
            Self { channels, channels_last, places: all * height * width, tiles }
        };
        match (Layout::of(shape), shape) {
            (_, [channels, 1, 1]) if *channels > 1 => Self::strip(*channels),
            (Some(layout), _) => {
                let last = matches!(layout, Layout::ChannelsLast { .. });
                let (height, width) = layout.size();
                slices(layout.channels(), last, 1, height as usize, width as usize)
            }
            (None, [depth, height, width, channels @ (1 | 3)]) if *depth > 3 && *height > 1 && *width > 1 => {
                slices(*channels, true, *depth, *height, *width)
            }
            (None, [channels, between @ .., height, width]) if *height > 1 || *width > 1 => {
                slices(*channels, false, between.iter().product(), *height, *width)
            }
            (None, _) => Self::strip(shape.iter().product()),
        }
    }

    /// A vector of this length.
    fn strip(places: usize) -> Self {
        let width = places.clamp(1, CELLS.max(places.isqrt()));
        let rows = places.div_ceil(width).max(1);
        let tiles = Tiles::Strip { width, tall: (width / (8 * rows)).max(1) };
        Self { channels: 1, channels_last: false, places, tiles }
    }

    /// The same picture of samples whose channels have been summed.
    pub fn summed(self) -> Self {
        Self { channels: 1, channels_last: false, ..self }
    }

    /// The number of elements of a position.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Places of a sample.
    pub fn places(&self) -> usize {
        self.places
    }

    /// The index of a channel and a position among the elements of the sample.
    pub fn index(&self, channel: usize, place: usize) -> usize {
        if self.channels_last { place * self.channels + channel } else { channel * self.places + place }
    }

    /// Width and height of the picture, in pixels.
    pub fn size(&self) -> (u32, u32) {
        let of = |n: usize, one: usize, gap: usize| (n * (one + gap)).saturating_sub(gap);
        let (width, height) = match self.tiles {
            Tiles::Slices { height, width, shown, columns, .. } => {
                (of(columns, width, 1), of(shown.div_ceil(columns), height, 1))
            }
            Tiles::Strip { width, tall } => (width, of(self.places.div_ceil(width).max(1), tall, gap(tall))),
        };
        (u32::try_from(width).unwrap_or(u32::MAX), u32::try_from(height).unwrap_or(u32::MAX))
    }

    /// The position that a pixel shows; `None` between slices and after the last row.
    pub fn place(&self, x: u32, y: u32) -> Option<usize> {
        let (x, y) = (x as usize, y as usize);
        match self.tiles {
            Tiles::Slices { height, width, shown, all, columns } => {
                let (column, x) = (x / (width + 1), x % (width + 1));
                let (row, y) = (y / (height + 1), y % (height + 1));
                let slice = row * columns + column;
                let within = x < width && y < height && column < columns && slice < shown;
                within.then(|| (slice * all / shown * height + y) * width + x)
            }
            Tiles::Strip { width, tall } => {
                let (row, y) = (y / (tall + gap(tall)), y % (tall + gap(tall)));
                let place = row * width + x;
                (x < width && y < tall && place < self.places).then_some(place)
            }
        }
    }

    /// A remark for readers, if the picture is not simply the sample.
    pub fn note(&self, shape: &[usize]) -> Option<String> {
        match self.tiles {
            Tiles::Slices { all: 1, .. } => None,
            Tiles::Slices { height, width, shown, all, columns } => {
                let of = if shown < all {
                    format!("{shown} of {all} slices, evenly spaced,")
                } else {
                    format!("{all} slices")
                };
                let summed = if self.channels > 1 { ", channels summed" } else { "" };
                Some(format!(
                    "samples have the shape {shape:?}: a heatmap is a montage of {of} of {height}×{width}, {columns} in a row{summed}"
                ))
            }
            Tiles::Strip { width, .. } => {
                let rows = if width < self.places { format!(", {width} in a row") } else { String::new() };
                Some(format!(
                    "samples have the shape {shape:?}, without height and width: a heatmap is a strip with one cell for each number{rows}"
                ))
            }
        }
    }
}

/// Rows of cells are told apart by a line, if they are high enough for one.
fn gap(tall: usize) -> usize {
    usize::from(tall > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All positions, in the order of pixels.
    fn seen(shape: &[usize]) -> Vec<usize> {
        let arrangement = Arrangement::of(shape);
        let (width, height) = arrangement.size();
        (0..height).flat_map(|y| (0..width).filter_map(move |x| arrangement.place(x, y))).collect()
    }

    #[test]
    fn every_shape_has_a_picture_that_shows_every_place() {
        let shapes: [&[usize]; 20] = [
            &[],
            &[1],
            &[7],
            &[300],
            &[1000],
            &[4, 5],
            &[3, 4, 5],
            &[8, 9, 3],
            &[5, 1, 1],
            &[1, 1, 1],
            &[6, 1, 9],
            &[2, 8, 4, 6],
            &[8, 5, 4, 3],
            &[1, 8, 1, 1],
            &[3, 1, 1, 1],
            &[1, 2, 3, 4, 5],
            &[2, 2, 2, 2, 2, 2],
            &[1, 7, 30, 2],
            &[1, 7, 2, 30],
            &[16, 1, 1, 4],
        ];
        for shape in shapes {
            let arrangement = Arrangement::of(shape);
            let numbers: usize = shape.iter().product();
            assert_eq!(arrangement.places() * arrangement.channels(), numbers, "{shape:?}");
            let mut places = seen(shape);
            places.sort_unstable();
            places.dedup();
            assert_eq!(places, (0..arrangement.places()).collect::<Vec<_>>(), "{shape:?}");
            let mut indices: Vec<usize> = (0..arrangement.channels())
                .flat_map(|channel| (0..arrangement.places()).map(move |place| arrangement.index(channel, place)))
                .collect();
            indices.sort_unstable();
            assert_eq!(indices, (0..numbers).collect::<Vec<_>>(), "{shape:?}");
        }
    }

    #[test]
    fn an_image_is_itself_and_needs_no_note() {
        for shape in [&[3, 4, 5][..], &[4, 5], &[4, 5, 3], &[1, 1, 5]] {
            assert_eq!(seen(shape), (0..Arrangement::of(shape).places()).collect::<Vec<_>>(), "{shape:?}");
            assert_eq!(Arrangement::of(shape).note(shape), None);
        }
    }

    #[test]
    fn a_volume_is_a_montage_and_says_what_it_leaves_out() {
        let volume = Arrangement::of(&[2, 8, 4, 4]);
        assert_eq!((volume.channels(), volume.size()), (2, (14, 14)));
        // The second slice begins after the first and a gap.
        assert_eq!([volume.place(0, 0), volume.place(4, 0), volume.place(5, 0)], [Some(0), None, Some(16)]);
        assert_eq!(volume.place(13, 13), None, "the ninth of eight");
        assert!(
            volume.note(&[2, 8, 4, 4]).unwrap().contains("montage of 8 slices of 4×4, 3 in a row, channels summed")
        );
        let film = Arrangement::of(&[1, 1000, 2, 2]);
        assert!(film.note(&[1, 1000, 2, 2]).unwrap().contains("256 of 1000 slices"));
        assert_eq!(seen(&[1, 1000, 2, 2]).len(), 256 * 4);
    }

    #[test]
    fn pictures_stay_small_enough() {
        for shape in [&[10_000_000][..], &[1, 100_000, 1, 1], &[3, 500, 256, 256], &[1, 300, 1, 400]] {
            let (width, height) = Arrangement::of(shape).size();
            assert!(width < 7000 && height < 7000, "{shape:?}: {width}×{height}");
        }
    }
}
