//! Images as inputs, from the bytes of a file.

mod complete;
mod convert;
mod picture;

pub use self::convert::{TO_GREY, TRANSPARENT};
pub use self::picture::{read as read_image, size as image_size, unreadable};
