//! The model, rules and targets of a run, shared by its three threads.

use lrp::Given;
use lrp::text::TextReader;
use lrp_config::Target as Wanted;
use lrp_core::Target;

use super::arrays::ArraysOf;
use crate::files;
use crate::input::{self, FileSet};
use crate::job::ExplainJob;
use crate::manifest::InsideRecord;

/// The job.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The job.
    pub job: &'a ExplainJob,
    /// The inputs of the model that are given for each sample.
    pub given: &'a Given,
    /// The reader of texts, if there is a tokenizer.
    pub texts: Option<&'a TextReader>,
    /// The outputs to explain.
    pub targets: &'a [Target],
    /// The nodes inside the network whose relevance is saved.
    pub inside: &'a [InsideRecord],
    /// The rows of a ledger.
    pub nodes: usize,
}

impl<'a> Subject<'a> {
    /// The files of an input.
    pub fn set(&self, input: usize) -> &'a FileSet {
        &self.job.what.inputs[input]
    }

    /// The path of an input, as it was given; of several files, that of the first.
    pub fn path(&self, input: usize) -> String {
        self.set(input).path().display().to_string()
    }

    /// The stem of its results.
    pub fn stem(&self, input: usize) -> String {
        files::stem_of(self.set(input))
    }

    /// Whether targets have an axis of their own.
    pub fn several(&self) -> bool {
        self.targets.len() > 1 || matches!(self.job.what.how.target, Wanted::All | Wanted::Top(_))
    }

    /// The arrays of an input, if there are to be any.
    pub fn arrays(&self, input: usize, samples: usize) -> Option<ArraysOf<'a>> {
        // A file whose only sample has no axis of samples has relevance without one.
        let explained = || self.set(input).parts(self.given).into_iter().filter(|part| part.input.is_explained);
        let are_samples = || explained().map(|part| samples == 1 && input::is_sample(&part)).collect();
        self.job.output.keeps_relevance().then(|| ArraysOf {
            dir: &self.job.output.dir,
            stem: self.stem(input),
            targets: self.several().then_some(self.targets.len()),
            samples,
            given: self.given,
            are_samples: are_samples(),
            nodes: self.nodes,
            inside: self.inside,
        })
    }
}
