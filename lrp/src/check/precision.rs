//! The error of single precision against double precision, layer by layer.

use std::collections::HashMap;

use lrp_core::target::Weighted;
use lrp_core::{Chosen, NodeId, Scalar, Start, Target, Tensor};
use ndarray::{Axis, Slice};

use super::invariants::relative_l2;
use super::ledger::worse;
use crate::error::Error;
use crate::loaded::Loaded;
use crate::prepared::Prepared;

/// Samples that are compared: the relevance at every layer is held for one at a time.
const SAMPLES: usize = 8;

/// A model, and its rules.
type Of<'a, T> = (&'a Loaded<T>, &'a Prepared<T>);

/// For each node the relative L2 error of the relevance received there in single precision, the worst of the first samples.
pub fn f32_errors(
    single: Of<'_, f32>,
    double: Of<'_, f64>,
    x: &Tensor<f64>,
    target: &Target,
    start: Start,
) -> Result<HashMap<NodeId, f64>, Error> {
    let mut errors = HashMap::new();
    for sample in 0..lrp_core::tensor::samples(x).min(SAMPLES) {
        let x = x.slice_axis(Axis(0), Slice::from(sample..=sample)).to_owned();
        let target = &target.part(sample..sample + 1);
        let mut expected: HashMap<NodeId, Tensor<f64>> = HashMap::new();
        // Both precisions explain the output that double precision chose.
        let chosen = observed(double, &x, target, start, &mut |id, r| {
            expected.insert(id, r.clone());
        })?;
        let Some(Chosen { weights, class, place, is_relevance, .. }) = chosen else { continue };
        let name = place.unwrap_or_default();
        let target = Target::Weighted(Weighted { weights, class, name, is_relevance });
        observed(single, &x.mapv(|v| v as f32), &target, start, &mut |id, r| {
            let error = expected.get(&id).map_or(f64::NAN, |expected| relative_l2(r, expected));
            let slot = errors.entry(id).or_insert(0.0);
            *slot = worse(*slot, error);
        })?;
    }
    Ok(errors)
}

/// Explains one sample, showing the relevance at every node, and gives what was explained.
fn observed<T: Scalar>(
    (loaded, prepared): Of<'_, T>,
    x: &Tensor<T>,
    target: &Target,
    start: Start,
    observe: &mut (dyn FnMut(NodeId, &Tensor<T>) + Send),
) -> Result<Option<Chosen>, Error> {
    let xs = loaded.enter(x.clone());
    let mut explained = || -> Result<Option<Chosen>, lrp_core::Error> {
        let record = prepared.plan.record_all(&xs)?;
        record.propagate_observed(record.seed(target, start)?, observe);
        Ok(target.chosen(record.output())?.pop())
    };
    Ok(explained()?)
}
