//! The axes of a sample as a picture.

/// The layout of a sample that is a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[C, H, W]` with one, three or any number of channels.
    ChannelsFirst {
        /// Number of channels.
        channels: usize,
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },
    /// `[H, W, C]` with one or three channels, as TensorFlow exports it.
    ChannelsLast {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
        /// Number of channels.
        channels: usize,
    },
    /// `[H, W]`; a time series `[C, L]` is drawn this way, a row for each channel.
    Plane {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },
}

impl Layout {
    /// The layout of a sample shape, or `None` where it is no picture.
    pub fn of(shape: &[usize]) -> Option<Self> {
        match *shape {
            [height, width, channels @ (1 | 3)] if shape[0] > 3 => {
                Some(Layout::ChannelsLast { height, width, channels })
            }
            [channels, height, width] => Some(Layout::ChannelsFirst { channels, height, width }),
            [height, width] => Some(Layout::Plane { height, width }),
            _ => None,
        }
    }

    /// Height and width in pixels.
    pub fn size(self) -> (u32, u32) {
        let (Layout::ChannelsFirst { height, width, .. }
        | Layout::ChannelsLast { height, width, .. }
        | Layout::Plane { height, width }) = self;
        (u32::try_from(height).unwrap_or(u32::MAX), u32::try_from(width).unwrap_or(u32::MAX))
    }

    /// Number of channels.
    pub fn channels(self) -> usize {
        match self {
            Layout::ChannelsFirst { channels, .. } | Layout::ChannelsLast { channels, .. } => channels,
            Layout::Plane { .. } => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_are_recognised() {
        assert_eq!(Layout::of(&[3, 224, 224]), Some(Layout::ChannelsFirst { channels: 3, height: 224, width: 224 }));
        assert_eq!(Layout::of(&[224, 224, 3]), Some(Layout::ChannelsLast { height: 224, width: 224, channels: 3 }));
        assert_eq!(Layout::of(&[1, 5, 3]), Some(Layout::ChannelsFirst { channels: 1, height: 5, width: 3 }));
        assert_eq!(Layout::of(&[10]), None);
    }
}
