//! Explaining whole folders: inputs stream through, results are files, a journal lets an interrupted run go on.
//!
//! [`explain::run`] writes relevance, heatmaps, exports and a manifest; [`compare::compare`] draws one figure of several recipes;
//! [`report::report`] makes the HTML report of a folder. A run reports its progress to [`Events`]: this crate prints nothing.

pub mod compare;
mod events;
pub mod explain;
pub mod files;
mod guard;
mod hash;
pub mod input;
pub mod job;
mod lock;
pub mod manifest;
pub mod report;
pub mod targets;

pub use self::events::Events;
pub use self::guard::Guard;
