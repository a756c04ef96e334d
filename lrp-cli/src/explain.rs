//! `lrp explain`, and the part of `lrp run` that does the same: runs a job, and prints its results.

use lrp::Error;
use lrp_config::Save;
use lrp_run::explain::{Done, Outcome};
use lrp_run::job::ExplainJob;

use crate::failure::Failure;
use crate::output::{print_json, say, shown};
use crate::precision::in_precision;
use crate::progress::Progress;
use crate::{interrupt, report, stats, summary};

/// Runs a job; prints the manifest as JSON, or a table.
pub fn explain(job: &ExplainJob, json: bool) -> Result<(), Failure> {
    let progress = Progress::default();
    let outcome = in_precision!(job.what.how.precision, lrp_run::explain::run, job, interrupt::flag(), &progress);
    progress.clear();
    match outcome? {
        Outcome::Nothing(manifest) if json => Ok(print_json(&manifest)?),
        Outcome::Nothing(manifest) => {
            let samples: usize = manifest.inputs.iter().map(|input| input.samples.len()).sum();
            let plural = if samples == 1 { "" } else { "s" };
            let dir = shown(&job.output.dir);
            Ok(say!("nothing to do: {samples} sample{plural} explained into {dir} before")?)
        }
        Outcome::Interrupted { done, of } => {
            Err(Failure::Interrupted(format!("interrupted: {done} of {of} samples done; go on with --resume")))
        }
        Outcome::Done(done) => Ok(print(*done, job, json)?),
    }
}

fn print(done: Done, job: &ExplainJob, json: bool) -> Result<(), Error> {
    let Done { manifest, report, failures } = done;
    if json {
        print_json(&manifest)?;
    } else {
        summary::print(&manifest.inputs, &job.output.dir)?;
        manifest.stats.as_ref().map_or(Ok(()), stats::print)?;
    }
    if let Some(made) = report.transpose()?
        && !json
    {
        report::print(&made)?;
    }
    match failures {
        None => Ok(()),
        Some(message) => Err(Error::user(
            message,
            match job.output.save.contains(&Save::Json) {
                true => "the reasons are above, and under \"failed\" in manifest.json",
                false => "the reasons are above",
            },
        )),
    }
}
