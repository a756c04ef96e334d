//! `lrp check`: the books layer by layer, where relevance is lost, and the invariants that should hold for this recipe on this
//! model and input.

mod books;
mod gate;
mod invariants;
mod precision;
mod warnings;

use std::sync::Arc;

use lrp_core::tensor::samples;
use lrp_core::text::{shortened, shown};
use lrp_core::{Scalar, Start, Target, Tensor};
use ndarray::{Axis, Slice};
use serde::Serialize;

use self::books::{Books, Loss, books, losses};
use self::gate::{Gate, gates};
use self::invariants::Invariant;
use crate::args::CheckArgs;
use crate::diagnosis::Diagnosis;
use crate::failure::Failure;
use crate::figure::short;
use crate::fit::{self, Fit};
use crate::input;
use crate::job::WhatJob;
use crate::layers::print_json;
use crate::manifest::LedgerRecord;
use crate::output::say;
use crate::run::in_precision;
use crate::session::{Loaded, Prepared, forward_failure};
use crate::shares;
use crate::table;

pub use self::gate::Limit;

/// So many losses are printed; JSON has all.
const LOSSES: usize = 5;

/// Characters of what is said of an invariant, or in a warning.
const LINE: usize = 1000;

/// How far the books may be off, in proportion to the relevance moved.
pub fn tolerance<T: Scalar>() -> f64 {
    // Rounding of single and double precision, with room for long sums.
    if T::NAME == "f32" { 1e-4 } else { 1e-10 }
}

/// Everything that was checked.
#[derive(Serialize)]
struct Report {
    samples: usize,
    precision: &'static str,
    tolerance: f64,
    /// From the output to the input, summed over samples.
    books: Vec<Books>,
    totals: Books,
    invariants: Vec<Invariant>,
    /// Where relevance was lost, the worst first.
    losses: Vec<Loss>,
    /// About the recipe, and about what the books show.
    warnings: Vec<Diagnosis>,
    /// What `--fail-above` limits.
    gates: Vec<Gate>,
}

/// Runs `lrp check`.
pub fn check(args: CheckArgs) -> Result<(), Failure> {
    let job = WhatJob::new(&args.what)?;
    in_precision!(job.how.precision, self::run, &job, &args)
}

fn run<T: Scalar>(job: &WhatJob, args: &CheckArgs) -> Result<(), Failure> {
    let loaded = Loaded::<T>::new(&job.model)?;
    let prepared = Prepared::new(job.recipe.clone(), &loaded, job.how.on_unknown)?;
    let shape = loaded.input_shape()?.to_vec();
    loaded.check_memory()?;
    let targets = loaded.targets(&job.how.target, Some(&job.recipe))?;
    let [target] = targets[..] else {
        return Err(Failure::user("a check follows one target", "choose argmax, a class or a contrast"));
    };
    let start: Start = job.how.start.into();
    let files: Vec<_> =
        job.inputs.iter().map(|p| input::read::<T>(p, &shape, &job.how.input)).collect::<Result<_, _>>()?;
    let mut warnings: Vec<_> = fit::unscaled(&job.inputs, &job.how.input, &loaded).into_iter().collect();
    let paths: Vec<String> = job.inputs.iter().map(|path| path.display().to_string()).collect();
    let changes = paths.iter().zip(&files).map(|(path, file)| (path.as_str(), file.conversions.as_slice()));
    warnings.extend(fit::converted(changes, &job.how.input));
    let mut fit = Fit::new(&loaded, &prepared);
    files.iter().for_each(|file| fit.see(&file.samples));
    warnings.extend(fit.warnings());
    let views: Vec<_> = files.iter().map(|f| f.samples.view()).collect();
    let x = ndarray::concatenate(Axis(0), &views).map_err(|e| Failure::Internal(e.to_string()))?;

    let batches = (0..samples(&x)).step_by(job.how.batch).map(|first| {
        let batch = x.slice_axis(Axis(0), Slice::from(first..samples(&x).min(first + job.how.batch))).to_owned();
        let e = prepared.plan.explain(&batch, &target, start).map_err(|e| forward_failure(&e))?;
        Ok((batch, e))
    });
    let batches = batches.collect::<Result<Vec<_>, Failure>>()?;
    let explanations = || batches.iter().map(|(_, e)| e);
    let (mut books, totals) = books(&prepared, explanations());

    let mut invariants = vec![invariants::balance::<T>(&books, &totals)];
    if let Some((batch, explanation)) = batches.first() {
        invariants.extend(invariants::of_recipe(&prepared, batch, explanation, &target, start)?);
        invariants.push(invariants::adjoints(&loaded.model));
        invariants.push(against_double(job, &batch.mapv(|v| v.wide()), &target, start, &mut books)?);
    }
    let losses = losses(&books, &totals);
    let outputs = explanations().flat_map(|e| (0..e.ledger.samples()).map(|sample| e.ledger.totals(sample).into()));
    let outputs: Vec<LedgerRecord> = outputs.collect();
    warnings.extend(warnings::warnings(&prepared, &books));
    let places: Vec<shares::Place> = losses.iter().map(Loss::place).collect();
    warnings.extend(shares::warnings(&prepared, outputs.iter(), &places));
    let report = Report {
        samples: samples(&x),
        precision: T::NAME,
        tolerance: tolerance::<T>(),
        losses,
        warnings,
        gates: gates(&args.fail_above, &books, explanations()),
        books,
        totals,
        invariants,
    };
    if args.listing.json {
        print_json(&report)?;
    } else {
        loaded.print_notes();
        report.print()?;
    }
    let denied = args.deny_warnings && !report.warnings.is_empty();
    let failed =
        denied || report.invariants.iter().any(Invariant::fails) || report.gates.iter().any(|gate| !gate.holds);
    if failed { Err(Failure::Check) } else { Ok(()) }
}

/// What needs the model in both precisions: the error of single precision goes into the books.
fn against_double(
    job: &WhatJob,
    x: &Tensor<f64>,
    target: &Target,
    start: Start,
    books: &mut [Books],
) -> Result<Invariant, Failure> {
    let (single, double) = (Loaded::<f32>::new(&job.model)?, Loaded::<f64>::new(&job.model)?);
    let (single, prepared) = (
        Prepared::new(job.recipe.clone(), &single, job.how.on_unknown)?,
        Prepared::new(job.recipe.clone(), &double, job.how.on_unknown)?,
    );
    let errors = precision::f32_errors(&single, &prepared, x, target, start)?;
    for (id, node) in double.model.nodes() {
        if let (Some(row), Some(error)) = (books.iter_mut().find(|row| row.name == node.name), errors.get(&id)) {
            row.f32_error = Some(*error);
        }
    }
    invariants::gradient_times_input(&Arc::clone(&double.model), x, target)
}

impl Report {
    fn print(&self) -> Result<(), Failure> {
        let headings = [
            "layer",
            "rule",
            "received",
            "handed on",
            "to bias",
            "to stabilizer",
            "to rule",
            "imbalance",
            "|R| ×",
            "f32 error",
        ];
        let mut listing = table::table(&headings, &headings[2..]);
        for row in self.books.iter().chain([&self.totals]) {
            let total = row.name == self.totals.name && row.rule.is_empty();
            listing.add_row([
                row.name.clone(),
                table::rule(&row.rule),
                table::amount(row.received),
                table::amount(row.handed_on),
                table::amount(row.bias),
                table::amount(row.stabilizer),
                table::amount(row.rule_share),
                format!("{:.1e}", row.imbalance),
                if total { String::new() } else { short(row.amplification) },
                row.f32_error.map(|error| format!("{error:.1e}")).unwrap_or_default(),
            ]);
        }
        table::print(&listing)?;
        say!("")?;
        let plural = if self.samples == 1 { "" } else { "s, summed" };
        say!(
            "{} sample{plural}, {}; received = handed on + to bias + to stabilizer + to rule",
            self.samples,
            self.precision
        )?;
        for invariant in &self.invariants {
            let mark = match invariant.holds {
                Some(true) => "ok  ",
                Some(false) => "FAIL",
                None => "n/a ",
            };
            say!("{mark}  {}: {}", invariant.name, shortened(&invariant.detail, LINE))?;
        }
        self.losses.iter().take(LOSSES).try_for_each(|loss| {
            // Created relevance is a loss of the other sign.
            let (word, side) = if loss.share < 0.0 { ("made", "by") } else { ("lost", "to") };
            let share = 100.0 * loss.share.abs();
            let why = loss.why.map(|why| format!(": {why}")).unwrap_or_default();
            let (name, amount) = (shown(&loss.name), short(loss.amount));
            say!("{word}  {share:.1} % of the start at {name} {side} {} ({amount}){why}", loss.to)
        })?;
        let more = self.losses.len().saturating_sub(LOSSES);
        if more > 0 {
            say!("      and less at {more} more places (--json has all)")?;
        }
        self.warnings.iter().try_for_each(|warning| say!("warn  {}", shortened(&warning.line(), LINE)))?;
        self.gates.iter().try_for_each(|gate| {
            let (mark, side) = if gate.holds { ("ok  ", "≤") } else { ("FAIL", ">") };
            say!("{mark}  {}: {} {side} {}", gate.meaning, short(gate.value), gate.limit)
        })
    }
}
