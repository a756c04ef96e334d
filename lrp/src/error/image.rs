//! Why an image is no input of a model.

use std::path::{Path, PathBuf};

use lrp_config::Channels;
use thiserror::Error;

/// Why an image is no input of a model. Messages call it `file`, whether or not it comes from one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// It cannot be decoded.
    #[error("cannot read the image '{}': {reason}", file.display())]
    Unreadable {
        /// The image.
        file: PathBuf,
        /// The mistake.
        reason: String,
    },
    /// The model takes no images.
    #[error("'{}': the model expects samples of shape {shape:?}, which is no image with 1 or 3 channels", file.display())]
    NoImages {
        /// The image.
        file: PathBuf,
        /// The shape of a sample.
        shape: Vec<usize>,
    },
    /// It has another size, and the recipe does not say how to resize it.
    #[error("'{}' is {}×{} pixels, the model expects {}×{}", file.display(), got[0], got[1], expected[0], expected[1])]
    Size {
        /// The image.
        file: PathBuf,
        /// Its width and height.
        got: [u32; 2],
        /// Those of the model's input.
        expected: [u32; 2],
    },
    /// A key of `[input]` is for another number of channels.
    #[error("[input] {key} is for {values} channels, the model's input has {channels}")]
    Values {
        /// The key.
        key: &'static str,
        /// The number of its values.
        values: usize,
        /// The number of channels of the model's input.
        channels: usize,
    },
    /// `[input]` says that there are colours, and the model's input has one channel.
    #[error("[input] channels are \"{}\", and the model's input has one channel", channels.name())]
    Colours {
        /// The channels of `[input]`.
        channels: Channels,
    },
}

impl ImageError {
    /// The remedy.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "PNG, JPEG and WebP are read",
            Self::NoImages { .. } => "give its input as an .npy file",
            Self::Size { .. } => {
                "let the recipe say how to resize it, resize = \"crop\" (keeps proportions) or \"stretch\" under [input], or pass --resize"
            }
            Self::Values { .. } => "give one value for all channels, or one for each",
            Self::Colours { .. } => "let channels be \"grey\", or leave it out",
        }
    }

    /// The image, where the message names it.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Unreadable { file, .. } | Self::NoImages { file, .. } | Self::Size { file, .. } => Some(file),
            Self::Values { .. } | Self::Colours { .. } => None,
        }
    }
}
