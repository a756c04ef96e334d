//! `lrp compare`, and `lrp run` of a recipe with `[compare]`.

use lrp::Error;
use lrp_run::compare::CompareJob;

use crate::output::{say, shown};
use crate::precision::in_precision;
use crate::progress::Progress;

/// Runs a job, and says where the figure is.
pub fn compare(job: &CompareJob) -> Result<(), Error> {
    let progress = Progress::new(&job.inputs);
    let image = in_precision!(job.how.precision, lrp_run::compare::compare, job, &progress)?;
    say!("{} ({}×{} pixels)", shown(&job.figure), image.width(), image.height())
}
