//! The check of a recipe on a model and inputs: the ledger layer by layer, where relevance is lost, and the invariants that should hold.

mod gate;
mod invariants;
mod ledger;
mod precision;
mod warnings;

use std::sync::Arc;

use lrp_config::OnUnknown;
use lrp_core::tensor::samples;
use lrp_core::{Scalar, Start, Target, Tensor};
use ndarray::{Axis, Slice};
use serde::Serialize;

use self::gate::gates;
use self::ledger::{losses, rows};
use crate::diagnosis::Diagnosis;
use crate::error::Error;
use crate::explain::{Options, tolerance};
use crate::loaded::Loaded;
use crate::prepared::Prepared;
use crate::shares;

pub use self::gate::{Gate, Limit};
pub use self::invariants::Invariant;
pub use self::ledger::{LedgerRow, Loss};

/// Everything that was checked.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The number of samples.
    pub samples: usize,
    /// `f32` or `f64`.
    pub precision: &'static str,
    /// The tolerance of the ledger, in proportion to the relevance moved.
    pub tolerance: f64,
    /// From the output to the input, summed over samples.
    #[serde(rename = "books")]
    pub ledger: Vec<LedgerRow>,
    /// The whole walk, summed over samples.
    pub totals: LedgerRow,
    /// The invariants.
    pub invariants: Vec<Invariant>,
    /// Where relevance was lost, the worst first.
    pub losses: Vec<Loss>,
    /// Warnings about the recipe and about the ledger.
    pub warnings: Vec<Diagnosis>,
    /// The limits of `--fail-above`.
    pub gates: Vec<Gate>,
}

impl Report {
    /// Whether an invariant does not hold, or a value is above its limit.
    pub fn fails(&self) -> bool {
        self.invariants.iter().any(Invariant::fails) || self.gates.iter().any(|gate| !gate.holds)
    }
}

/// A check, ready to run.
#[derive(Clone)]
pub struct Check<'a, T: Scalar> {
    /// The model; its file is read again, in both precisions.
    pub loaded: &'a Loaded<T>,
    /// The same model under the recipe.
    pub prepared: &'a Prepared<T>,
    /// The rule of nodes that need one and have none, as in `prepared`.
    pub on_unknown: Option<OnUnknown>,
    /// The output whose relevance is followed, the same for all samples or one for each.
    pub target: Target,
    /// The relevance that is put on it, and samples at once.
    pub options: Options,
    /// Limits.
    pub limits: &'a [Limit],
}

impl<T: Scalar> Check<'_, T> {
    /// Checks samples `[N, …]`, those of several inputs joined as [`Given::join`](crate::Given::join) does. `warnings` about the inputs come
    /// first in the report.
    ///
    /// # Errors
    /// When the samples cannot be explained.
    pub fn run(&self, x: &Tensor<T>, mut warnings: Vec<Diagnosis>) -> Result<Report, Error> {
        let Self { prepared, target, .. } = self;
        let start: Start = self.options.start.into();
        let batches = (0..samples(x)).step_by(self.options.batch).map(|first| {
            let last = samples(x).min(first + self.options.batch);
            let batch = x.slice_axis(Axis(0), Slice::from(first..last)).to_owned();
            let (xs, target) = (self.loaded.enter(batch.clone()), target.part(first..last));
            let e = prepared.plan.record_all(&xs)?.explain(&target, start)?;
            Ok((batch, xs, target, e))
        });
        let batches = batches.collect::<Result<Vec<_>, Error>>()?;
        let explanations = || batches.iter().map(|(.., e)| e);
        let (mut ledger, totals) = rows(prepared, explanations());

        let mut invariants = vec![invariants::balance::<T>(&ledger, &totals)];
        if let Some((batch, xs, target, explanation)) = batches.first() {
            invariants.extend(invariants::of_recipe(prepared, xs, explanation, target, start)?);
            invariants.push(invariants::adjoints(&self.loaded.model));
            invariants.push(self.against_double(&batch.mapv(|v| v.wide()), target, start, &mut ledger)?);
        }
        let losses = losses(&ledger, &totals);
        let outputs = explanations().flat_map(|e| (0..e.ledger.samples()).map(|sample| e.ledger.totals(sample)));
        warnings.extend(warnings::warnings(prepared, &ledger));
        let places: Vec<shares::Place> = losses.iter().map(Loss::place).collect();
        warnings.extend(shares::warnings(prepared, outputs, &places));
        Ok(Report {
            samples: samples(x),
            precision: T::NAME,
            tolerance: tolerance::<T>(),
            losses,
            warnings,
            gates: gates(self.limits, &ledger, explanations()),
            ledger,
            totals,
            invariants,
        })
    }

    /// The tests that need the model in both precisions: the error of single precision goes into the ledger.
    fn against_double(
        &self,
        x: &Tensor<f64>,
        target: &Target,
        start: Start,
        ledger: &mut [LedgerRow],
    ) -> Result<Invariant, Error> {
        let options = &self.loaded.options;
        let (single, double) = (Loaded::<f32>::new(options)?, Loaded::<f64>::new(options)?);
        let recipe = || self.prepared.recipe.clone();
        let of_single = Prepared::new(recipe(), &single, self.on_unknown)?;
        let of_double = Prepared::new(recipe(), &double, self.on_unknown)?;
        let errors = precision::f32_errors((&single, &of_single), (&double, &of_double), x, target, start)?;
        for (id, node) in double.model.nodes() {
            if let (Some(row), Some(error)) = (ledger.iter_mut().find(|row| row.name == node.name), errors.get(&id)) {
                row.f32_error = Some(*error);
            }
        }
        invariants::gradient_times_input(&Arc::clone(&double.model), &double.enter(x.clone()), target)
    }
}
