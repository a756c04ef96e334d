//! `lrp compare`, and `lrp run` of a recipe with `[compare]`.

use std::path::PathBuf;

use lrp::Error;
use lrp_run::compare::CompareJob;

use crate::output::{say, shown};
use crate::precision::in_precision;
use crate::progress::Progress;

/// Runs a job, and says where the figure is, in each of its formats.
pub fn compare(job: &CompareJob) -> Result<(), Error> {
    let progress = Progress::default();
    let figure = in_precision!(job.how.precision, lrp_run::compare::compare, job, &progress)?;
    let say = |path: &PathBuf| say!("{} ({}×{} pixels)", shown(path), figure.width(), figure.height());
    job.figures().iter().try_for_each(say)
}
