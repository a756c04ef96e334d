//! Events of a run.

use lrp::{Diagnosis, Error};

/// Listens to a run. Every method has a default that does nothing, and `()` listens to nothing.
///
/// Methods are called from several threads.
pub trait Events: Sync {
    /// Preparation is over: from now on, a request to stop ends the run in order. `samples` counts those of the run; every file is opened
    /// for that.
    fn started(&self, samples: &dyn Fn() -> usize) {
        let _ = samples;
    }

    /// `samples` more are explained and written.
    fn done(&self, samples: u64) {
        let _ = samples;
    }

    /// `samples` are taken over from an earlier run: rates start anew.
    fn taken_over(&self, samples: u64) {
        let _ = samples;
    }

    /// All samples are explained; manifest, exports and report are being written.
    fn finishing(&self) {}

    /// Something that the user should know.
    fn note(&self, text: &str) {
        let _ = text;
    }

    /// Something that deserves a look.
    fn warning(&self, warning: &Diagnosis) {
        let _ = warning;
    }

    /// An input, or a sample, that could not be explained; the run goes on.
    fn failed(&self, error: &Error) {
        let _ = error;
    }

    /// `samples` more of an input could not be explained, after those that [`failed`](Self::failed) got.
    fn more_failed(&self, input: &str, samples: usize) {
        let _ = (input, samples);
    }
}

impl Events for () {}
