//! Support for the tests of the whole workspace: mutated files, the program as a process, what other implementations say, and the
//! tables of the guides. Random networks and the comparison of tensors are those of `lrp-testing`.

pub mod agree;
pub mod mutation;
pub mod onnx;
pub mod presets;
pub mod program;
pub mod references;
mod table;
pub mod which_rule;

/// The code blocks of the guides are tested as documentation.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../docs/how-to/own-rule.md")]
    struct OwnRule;
    #[doc = include_str!("../../docs/how-to/library.md")]
    struct Library;
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/verification.md")]
    struct Verification;
}

pub use lrp_testing::{Random, cases, max_difference, relative_l2};
pub use table::Table;
