//! A rule in a whole network.

use std::sync::Arc;

use lrp_core::rule::Layer;
use lrp_core::{Assignment, Explanation, Model, Plan, Rule, Scalar, Tensor};
use lrp_rules::{BiasMode, Epsilon, EpsilonValue};
use ndarray::{Axis, Slice};

use super::Broken;
use crate::compare::{max_difference, same_bits};
use crate::network::Net;
use crate::random::Random;

/// As for single layers, but rounding may be amplified from layer to layer.
const ROUNDING: f64 = 1e-9;

/// Relevance of this size is noise over noise, from denominators that cancelled but for rounding.
const NOISE: f64 = 1e12;

/// The rule wherever it can be prepared, ε where an affine operator refuses it.
pub(super) fn assignment<T: Scalar>(model: &Model<T>, rule: &Arc<dyn Rule<T>>) -> Assignment<T> {
    let epsilon: Arc<dyn Rule<T>> = Arc::new(Epsilon { epsilon: EpsilonValue::Absolute(1e-6), bias: BiasMode::Absorb });
    let mut rules = Assignment::new();
    for (id, node) in model.nodes() {
        let Some(op) = node.op() else { continue };
        let layer = Layer {
            name: &node.name,
            op,
            nonnegative_inputs: node.inputs.iter().all(|&i| model.is_nonnegative(i)),
            nonnegative_outputs: false,
            skip_input: model.skip_input(id),
        };
        if rule.prepare(&layer).is_ok() {
            rules.insert(id, Arc::clone(rule));
        } else if op.as_affine().is_some() {
            rules.insert(id, Arc::clone(&epsilon));
        }
    }
    rules
}

fn largest_flow<T: Scalar>(e: &Explanation<T>) -> f64 {
    e.ledger.entries.iter().flat_map(|e| e.propagated_abs.iter().chain(&e.received_abs)).fold(0.0, |m, &v| m.max(v))
}

/// Everything that must hold for this rule in this network.
pub(super) fn check<R: Rule<f64> + Clone + 'static>(rule: &R, net: &Net) -> Result<(), Broken> {
    let rule: Arc<dyn Rule<f64>> = Arc::new(rule.clone());
    let model = Arc::new(net.build::<f64>());
    let plan = Plan::new(Arc::clone(&model), &assignment(&model, &rule)).map_err(|e| format!("prepared: {e}"))?;
    let xs = net.inputs::<f64>(2, -1.0, 1.0);
    // A network may overflow before any rule has a say.
    let Ok(record) = plan.record_all(&xs) else { return Ok(()) };
    let mut random = Random(net.seed ^ 0x0bad);
    let mut start = || random.tensor::<f64>(&[2, net.classes], -1.0, 1.0);
    let (u, v) = (start(), start());
    let first = record.propagate(u.clone());

    for entry in &first.ledger.entries {
        for sample in 0..2 {
            if entry.relative_imbalance(sample).abs() > ROUNDING && largest_flow(&first) < f64::INFINITY {
                let name = &model.node(entry.node).name;
                return Err(format!("balanced in a network: at '{name}', sample {sample}: {entry:?}"));
            }
        }
    }
    let flow = largest_flow(&first);
    for sample in 0..2 {
        let off = first.ledger.totals(sample).imbalance();
        if flow < NOISE && off.abs() > ROUNDING * flow.max(1.0) {
            return Err(format!("balanced in a network: {off} is missing of {:?}", first.ledger.totals(sample)));
        }
    }
    if !same(&first, &record.propagate(u.clone())) {
        return Err("the same when it is used again".into());
    }

    if rule.claims().linear && flow < NOISE {
        let second = record.propagate(v.clone());
        let both = record.propagate(&u * 0.75 - &v * 1.5);
        let scale = flow.max(largest_flow(&second));
        for ((a, b), c) in first.relevance.iter().zip(&second.relevance).zip(&both.relevance) {
            if scale < NOISE && max_difference(&(a * 0.75 - b * 1.5), c) > ROUNDING * scale {
                return Err("linear in a network".into());
            }
        }
    }

    for sample in 0..2 {
        let one = |t: &Tensor<f64>| t.slice_axis(Axis(0), Slice::from(sample..=sample)).to_owned();
        let xs: Vec<Tensor<f64>> = xs.iter().map(one).collect();
        let Ok(record) = plan.record_all(&xs) else { continue };
        let alone = record.propagate(one(&u));
        let part = first.relevance.iter().map(one);
        if !part.zip(&alone.relevance).all(|(a, b)| same_bits(&a, b)) {
            return Err(format!("the same for a batch as for its sample {sample} alone, in a network"));
        }
    }
    Ok(())
}

fn same(a: &Explanation<f64>, b: &Explanation<f64>) -> bool {
    a.relevance.iter().zip(&b.relevance).all(|(a, b)| same_bits(a, b))
        && format!("{:?}", a.ledger) == format!("{:?}", b.ledger)
}
