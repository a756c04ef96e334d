//! Why there is no tokenizer.

/// Why a tokenizer cannot be read.
pub(super) enum Unread {
    /// The library is not there.
    #[cfg_attr(feature = "tokenizer", allow(dead_code))]
    NoFeature,
    /// The file is no tokenizer.
    #[cfg_attr(not(feature = "tokenizer"), allow(dead_code))]
    Damaged(String),
}
