//! `lrp check`: the books layer by layer, and the invariants that should hold for this recipe on this model and input.

use std::sync::Arc;

use lrp_core::operator::Group;
use lrp_core::tensor::samples;
use lrp_core::{Explanation, Plan, Rule, Scalar, Start, Target, Tensor};
use lrp_rules::Gradient;
use ndarray::{Axis, Slice};
use serde::Serialize;

use crate::args::CheckArgs;
use crate::failure::Failure;
use crate::figure::short;
use crate::input;
use crate::job::WhatJob;
use crate::layers::print_json;
use crate::output::say;
use crate::run::in_precision;
use crate::session::{Loaded, Prepared, forward_failure};
use crate::table;

/// How far the books may be off, in proportion to the relevance moved.
fn tolerance<T: Scalar>() -> f64 {
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
}

/// The accounts of one layer, summed over samples.
#[derive(Debug, Default, Serialize)]
struct Books {
    name: String,
    rule: String,
    received: f64,
    handed_on: f64,
    bias: f64,
    stabilizer: f64,
    rule_share: f64,
    /// The largest imbalance of a sample, in proportion to the relevance moved.
    imbalance: f64,
    /// The largest `Σ|R| handed on / Σ|R| received` of a sample.
    amplification: f64,
}

/// Something that should hold.
#[derive(Debug, Serialize)]
struct Invariant {
    name: &'static str,
    holds: bool,
    detail: String,
}

/// Runs `lrp check`.
pub fn check(args: CheckArgs) -> Result<(), Failure> {
    let job = WhatJob::new(&args.what)?;
    in_precision!(job.how.precision, self::run, &job, args.listing.json)
}

fn run<T: Scalar>(job: &WhatJob, json: bool) -> Result<(), Failure> {
    let loaded = Loaded::<T>::new(&job.model)?;
    let prepared = Prepared::new(job.recipe.clone(), &loaded, job.how.on_unknown)?;
    let shape = loaded.input_shape()?.to_vec();
    let targets = loaded.targets(&job.how.target)?;
    let [target] = targets[..] else {
        return Err(Failure::user("a check follows one target", "choose argmax, a class or a contrast"));
    };
    let start: Start = job.how.start.into();
    let files: Vec<_> =
        job.inputs.iter().map(|p| input::read::<T>(p, &shape, &job.how.input)).collect::<Result<_, _>>()?;
    let views: Vec<_> = files.iter().map(|f| f.samples.view()).collect();
    let x = ndarray::concatenate(Axis(0), &views).map_err(|e| Failure::Internal(e.to_string()))?;

    let batches = (0..samples(&x)).step_by(job.how.batch).map(|first| {
        let batch = x.slice_axis(Axis(0), Slice::from(first..samples(&x).min(first + job.how.batch))).to_owned();
        let e = prepared.plan.explain(&batch, &target, start).map_err(|e| forward_failure(&e))?;
        Ok((batch, e))
    });
    let batches = batches.collect::<Result<Vec<_>, Failure>>()?;
    let (books, totals) = books(&prepared.plan, batches.iter().map(|(_, e)| e));
    let Some((batch, first)) = batches.first() else { return Err(Failure::plain("no samples")) };
    let mut invariants = vec![balance::<T>(&books, &totals)];
    invariants.extend(behaviour(&prepared, batch, first, target, start)?);
    let failed = invariants.iter().any(|i| !i.holds);
    let report =
        Report { samples: samples(&x), precision: T::NAME, tolerance: tolerance::<T>(), books, totals, invariants };
    if json {
        print_json(&report)?;
    } else {
        loaded.print_notes();
        report.print()?;
    }
    if failed { Err(Failure::Check) } else { Ok(()) }
}

/// The books of every node that did something, and those of the whole walk.
fn books<'a, T: Scalar>(
    plan: &Plan<T>,
    explanations: impl Iterator<Item = &'a Explanation<T>> + Clone,
) -> (Vec<Books>, Books) {
    let mut rows: Vec<Books> = Vec::new();
    let mut totals = Books { name: "total".into(), ..Books::default() };
    for explanation in explanations {
        for (i, entry) in explanation.ledger.entries.iter().enumerate() {
            if rows.len() <= i {
                let name = plan.model().node(entry.node).name.clone();
                rows.push(Books { name, rule: plan.behaviour(entry.node), ..Books::default() });
            }
            let row = &mut rows[i];
            row.received += entry.received.iter().sum::<f64>();
            row.handed_on += entry.handed_on.iter().sum::<f64>();
            row.bias += entry.bias.iter().sum::<f64>();
            row.stabilizer += entry.stabilizer.iter().sum::<f64>();
            row.rule_share += entry.rule.iter().sum::<f64>();
            for sample in 0..entry.received.len() {
                row.imbalance = worse(row.imbalance, entry.relative_imbalance(sample));
                row.amplification = worse(row.amplification, entry.amplification(sample));
            }
        }
        for sample in 0..explanation.ledger.samples() {
            let t = explanation.ledger.totals(sample);
            totals.received += t.start;
            totals.handed_on += t.input;
            totals.bias += t.bias;
            totals.stabilizer += t.stabilizer;
            totals.rule_share += t.rule;
            totals.imbalance = worse(totals.imbalance, t.relative_imbalance());
        }
    }
    (rows, totals)
}

/// The larger absolute value; NaN is the worst.
fn worse(a: f64, b: f64) -> f64 {
    if b.is_nan() { f64::INFINITY } else { a.max(b.abs()) }
}

fn balance<T: Scalar>(books: &[Books], totals: &Books) -> Invariant {
    let worst = books.iter().chain([totals]).max_by(|a, b| a.imbalance.total_cmp(&b.imbalance));
    let (name, imbalance) = worst.map_or(("", 0.0), |b| (b.name.as_str(), b.imbalance));
    Invariant {
        name: "the books balance",
        holds: imbalance <= tolerance::<T>(),
        detail: format!("worst {imbalance:.1e} of the relevance moved, at {name}"),
    }
}

/// What should hold for every recipe, and for this one.
fn behaviour<T: Scalar>(
    prepared: &Prepared<T>,
    x: &Tensor<T>,
    explanation: &Explanation<T>,
    target: Target,
    start: Start,
) -> Result<Vec<Invariant>, Failure> {
    let plan = &prepared.plan;
    let relevance = explanation.input_relevance();
    let same = |a: &Tensor<T>, b: &Tensor<T>| a.iter().zip(b).all(|(a, b)| a.wide().to_bits() == b.wide().to_bits());
    let mut invariants = vec![Invariant {
        name: "relevance is finite",
        holds: relevance.iter().all(|r| r.is_finite()),
        detail: format!("largest |R| {}", short(relevance.iter().fold(0.0, |m, r| r.wide().abs().max(m)))),
    }];

    let record = plan.record(x).map_err(|e| forward_failure(&e))?;
    let again = record.explain(&target, start).map_err(|e| forward_failure(&e))?;
    invariants.push(Invariant {
        name: "a second run gives the same",
        holds: same(relevance, again.input_relevance()),
        detail: "bit for bit".into(),
    });

    let seed = record.propagate(record.seed(&target, start).map_err(|e| forward_failure(&e))? * T::of(2.0));
    let twice = relevance * T::of(2.0);
    invariants.push(Invariant {
        name: "relevance is linear in the start",
        holds: same(&twice, seed.input_relevance()),
        detail: "twice the start gives twice the relevance, bit for bit".into(),
    });

    let n = samples(x);
    if n > 1 {
        let single = |i: usize| -> Result<bool, Failure> {
            let one = x.slice_axis(Axis(0), Slice::from(i..=i)).to_owned();
            let e = plan.explain(&one, &target, start).map_err(|e| forward_failure(&e))?;
            let part = relevance.slice_axis(Axis(0), Slice::from(i..=i)).to_owned();
            Ok(same(&part, e.input_relevance()))
        };
        let differing = (0..n).map(single).collect::<Result<Vec<_>, _>>()?.iter().filter(|same| !**same).count();
        invariants.push(Invariant {
            name: "a batch gives what its samples give",
            holds: differing == 0,
            detail: format!("{differing} of {n} samples differ"),
        });
    }
    if is_uniform_zero(prepared) {
        invariants.push(gradient_times_input(prepared, x, relevance, target, start)?);
    }
    Ok(invariants)
}

/// Whether every affine operator has LRP-0, every activation is a ReLU, and there is nothing else that is not piecewise linear.
fn is_uniform_zero<T: Scalar>(prepared: &Prepared<T>) -> bool {
    let plan = &prepared.plan;
    plan.model().nodes().all(|(id, node)| match node.kind().map(|k| (k, k.group())) {
        Some((_, Group::Weighted | Group::Weightless)) => plan.behaviour(id) == "zero",
        Some((kind, Group::Activation)) => kind.name() == "relu" && plan.behaviour(id) == "pass",
        Some((_, Group::Product | Group::Normalization | Group::Recurrent | Group::Undefined)) => false,
        Some((_, Group::Winner | Group::Structural)) | None => true,
    })
}

/// LRP-0 everywhere on a ReLU network is gradient × input, where relevance starts at the logit.
fn gradient_times_input<T: Scalar>(
    prepared: &Prepared<T>,
    x: &Tensor<T>,
    relevance: &Tensor<T>,
    target: Target,
    start: Start,
) -> Result<Invariant, Failure> {
    let model = prepared.plan.model();
    let rule: Arc<dyn Rule<T>> = Arc::new(Gradient);
    let rules = model.nodes().filter(|(_, n)| n.op().is_some()).map(|(id, _)| (id, Arc::clone(&rule))).collect();
    let plan = Plan::new(Arc::clone(model), &rules).map_err(|e| Failure::Internal(e.to_string()))?.times_input(true);
    let gradient = plan.explain(x, &target, Start::One).map_err(|e| forward_failure(&e))?;
    // R = f · ∂f/∂x · x / f when relevance starts at the logit f; at one, it is divided by f.
    let mut expected = gradient.input_relevance().clone();
    if start == Start::One {
        let classes = target.classes(&gradient.output).map_err(|e| forward_failure(&e))?;
        for (i, mut sample) in expected.outer_iter_mut().enumerate() {
            let logit = gradient.output.index_axis(Axis(0), i).iter().nth(classes[i]).copied().unwrap_or_else(T::one);
            sample.mapv_inplace(|v| v / logit);
        }
    }
    let size: f64 = expected.iter().map(|v| v.wide().powi(2)).sum();
    let error: f64 = expected.iter().zip(relevance).map(|(a, b)| (a.wide() - b.wide()).powi(2)).sum();
    let relative = if error == 0.0 { 0.0 } else { (error / size).sqrt() };
    Ok(Invariant {
        name: "LRP-0 is gradient × input",
        holds: relative <= 10.0 * tolerance::<T>(),
        detail: format!("relative L2 difference {relative:.1e}"),
    })
}

impl Report {
    fn print(&self) -> Result<(), Failure> {
        let headings =
            ["layer", "rule", "received", "handed on", "to bias", "to stabilizer", "to rule", "imbalance", "|R| ×"];
        let mut listing = table::table(&headings, &headings[2..]);
        for row in self.books.iter().chain([&self.totals]) {
            let total = row.name == self.totals.name && row.rule.is_empty();
            listing.add_row([
                row.name.clone(),
                row.rule.clone(),
                table::amount(row.received),
                table::amount(row.handed_on),
                table::amount(row.bias),
                table::amount(row.stabilizer),
                table::amount(row.rule_share),
                format!("{:.1e}", row.imbalance),
                if total { String::new() } else { short(row.amplification) },
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
        self.invariants.iter().try_for_each(|invariant| {
            let mark = if invariant.holds { "ok  " } else { "FAIL" };
            say!("{mark}  {}: {}", invariant.name, invariant.detail)
        })
    }
}
