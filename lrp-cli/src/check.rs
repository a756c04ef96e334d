//! `lrp check`: the ledger layer by layer, where relevance is lost, and the invariants that should hold for this recipe on this
//! model and input.

use lrp::check::{Check, Report};
use lrp::fit::{self, Fit};
use lrp::numbers::{rule, short};
use lrp::{Error, Prepared};
use lrp_core::Scalar;
use lrp_core::tensor::samples;
use lrp_core::text::{shortened, shown};
use lrp_run::input::{self, FileSet, InputFile};
use lrp_run::job::WhatJob;
use lrp_run::targets::Targets;
use ndarray::Axis;

use crate::args::CheckArgs;
use crate::failure::Failure;
use crate::output::{note, print_json, say};
use crate::precision::in_precision;
use crate::{job, table};

/// The number of losses that are printed; JSON has all.
const LOSSES: usize = 5;

/// Maximum number of characters of an invariant or a warning.
const LINE: usize = 1000;

/// Runs `lrp check`.
pub fn check(args: CheckArgs) -> Result<(), Failure> {
    let job = job::what(&args.what)?;
    in_precision!(job.how.precision, self::run, &job, &args)
}

fn run<T: Scalar>(job: &WhatJob, args: &CheckArgs) -> Result<(), Failure> {
    let loaded = job.model.load::<T>()?;
    let prepared = Prepared::new(job.recipe.clone(), &loaded, job.how.on_unknown)?;
    let inputs = input::in_order(&job.inputs, &loaded.given)?;
    loaded.check_memory()?;
    if let Some(at) = &job.how.start_at {
        let help = "leave it out: the ledger of the whole walk has the node among its rows";
        return Err(Error::user(format!("a check follows the whole walk, and the start is {at}"), help).into());
    }
    let targets = Targets::new(&loaded, &job.how, Some(&job.recipe), &inputs)?;
    let reading = (&job.how.input, loaded.texts.as_deref());
    let files: Vec<_> =
        inputs.iter().map(|set| input::read::<T>(set, &loaded.given, reading)).collect::<Result<_, _>>()?;
    let numbers =
        |(input, file): (usize, &InputFile<T>)| (0..samples(&file.samples)).map(move |sample| (input, sample));
    let numbers: Vec<(usize, usize)> = files.iter().enumerate().flat_map(numbers).collect();
    let target = targets.one(&numbers, "a check follows")?;
    let has_images = inputs.iter().any(FileSet::has_images);
    let mut warnings: Vec<_> = fit::unscaled(has_images, &job.how.input, &loaded).into_iter().collect();
    let paths: Vec<String> = inputs.iter().map(|set| set.path().display().to_string()).collect();
    let changes = paths.iter().zip(&files).map(|(path, file)| (path.as_str(), file.conversions.as_slice()));
    warnings.extend(fit::converted(changes, &job.how.input));
    let mut fit = Fit::new(&loaded, &prepared);
    files.iter().for_each(|file| fit.see(&file.samples));
    warnings.extend(fit.warnings());
    let views: Vec<_> = files.iter().map(|f| f.samples.view()).collect();
    let x = ndarray::concatenate(Axis(0), &views).map_err(|e| Error::Internal(e.to_string()))?;

    let (loaded, prepared, on_unknown, options) = (&loaded, &prepared, job.how.on_unknown, job.how.options());
    let check = Check { loaded, prepared, on_unknown, target, options, limits: &args.fail_above };
    let report = check.run(&x, warnings)?;
    if args.listing.json {
        print_json(&report)?;
    } else {
        loaded.notes().for_each(|text| note(&text));
        print(&report)?;
        let others = loaded.given.all().iter().filter(|input| !input.is_explained).map(|input| shown(&input.name));
        let others: Vec<_> = others.map(|name| format!("'{name}'")).collect();
        if !others.is_empty() {
            say!("      not explained, with lines of their own in the ledger: {}", others.join(", "))?;
        }
    }
    let denied = args.deny_warnings && !report.warnings.is_empty();
    if denied || report.fails() { Err(Failure::Check) } else { Ok(()) }
}

fn print(report: &Report) -> Result<(), Error> {
    let headings =
        ["layer", "rule", "received", "propagated", "bias", "stabilizer", "rule", "imbalance", "|R| ×", "f32 error"];
    let mut listing = table::table(&headings, 2..headings.len());
    for row in report.ledger.iter().chain([&report.totals]) {
        let total = row.name == report.totals.name && row.rule.is_empty();
        listing.add_row([
            row.name.clone(),
            rule(&row.rule),
            table::amount(row.received),
            table::amount(row.propagated),
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
    let plural = if report.samples == 1 { "" } else { "s, summed" };
    say!("{} sample{plural}, {}; received = propagated + bias + stabilizer + rule", report.samples, report.precision)?;
    for invariant in &report.invariants {
        let mark = match invariant.holds {
            Some(true) => "ok  ",
            Some(false) => "FAIL",
            None => "n/a ",
        };
        say!("{mark}  {}: {}", invariant.name, shortened(&invariant.detail, LINE))?;
    }
    report.losses.iter().take(LOSSES).try_for_each(|loss| {
        // Created relevance is a loss of the other sign.
        let (word, side) = if loss.share < 0.0 { ("made", "by") } else { ("lost", "to") };
        let share = 100.0 * loss.share.abs();
        let why = loss.why.map(|why| format!(": {why}")).unwrap_or_default();
        let (name, amount) = (shown(&loss.name), short(loss.amount));
        say!("{word}  {share:.1} % of the start at {name} {side} {} ({amount}){why}", loss.to)
    })?;
    let more = report.losses.len().saturating_sub(LOSSES);
    if more > 0 {
        say!("      and less at {more} more places (--json has all)")?;
    }
    report.warnings.iter().try_for_each(|warning| say!("warn  {}", shortened(&warning.line(), LINE)))?;
    report.gates.iter().try_for_each(|gate| {
        let (mark, side) = if gate.holds { ("ok  ", "≤") } else { ("FAIL", ">") };
        say!("{mark}  {}: {} {side} {}", gate.meaning, short(gate.value), gate.limit)
    })
}
