//! The model, rules and targets of a run, shared by its three threads.

use lrp_config::Target as Wanted;
use lrp_core::Target;

use super::arrays::ArraysOf;
use crate::files;
use crate::job::ExplainJob;
use crate::manifest::InsideRecord;

/// The job.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The job.
    pub job: &'a ExplainJob,
    /// The shape of a sample.
    pub shape: &'a [usize],
    /// The outputs to explain.
    pub targets: &'a [Target],
    /// The nodes inside the network whose relevance is saved.
    pub inside: &'a [InsideRecord],
    /// The rows of a ledger.
    pub nodes: usize,
}

impl<'a> Subject<'a> {
    /// The path of an input, as it was given.
    pub fn path(&self, input: usize) -> String {
        self.job.what.inputs[input].display().to_string()
    }

    /// The stem of its results.
    pub fn stem(&self, input: usize) -> String {
        files::stem(&self.job.what.inputs[input])
    }

    /// Whether targets have an axis of their own.
    pub fn several(&self) -> bool {
        self.targets.len() > 1 || matches!(self.job.what.how.target, Wanted::All | Wanted::Top(_))
    }

    /// The arrays of an input, if there are to be any.
    pub fn arrays(&self, input: usize, samples: usize) -> Option<ArraysOf<'a>> {
        self.job.output.keeps_relevance().then(|| ArraysOf {
            dir: &self.job.output.dir,
            stem: self.stem(input),
            targets: self.several().then_some(self.targets.len()),
            samples,
            sample: self.shape,
            nodes: self.nodes,
            inside: self.inside,
        })
    }
}
