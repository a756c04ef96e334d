//! The invariants of every recipe and of this model, tested on this input.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lrp_core::graph::{Body, Node};
use lrp_core::operator::{Group, Io, Kind};
use lrp_core::tensor::{abs_sums, batch_shape, samples};
use lrp_core::{Assignment, Explanation, Model, NodeId, Plan, Record, Rule, Scalar, Start, Target, Tensor};
use lrp_rules::{BiasMode, Gradient, Zero};
use ndarray::{Axis, Slice};
use serde::Serialize;

use super::ledger::{LedgerRow, worse};
use crate::error::Error;
use crate::explain::tolerance;
use crate::numbers::short;
use crate::prepared::Prepared;

/// Something that should hold.
#[derive(Debug, Serialize)]
pub struct Invariant {
    /// Its name.
    pub name: &'static str,
    /// Whether it holds; `None` if it does not apply to this model or recipe.
    pub holds: Option<bool>,
    /// The deviation, or why it does not apply.
    pub detail: String,
}

impl Invariant {
    fn new(name: &'static str, holds: bool, detail: String) -> Self {
        Self { name, holds: Some(holds), detail }
    }

    fn says_nothing(name: &'static str, why: String) -> Self {
        Self { name, holds: None, detail: why }
    }

    /// Whether it should hold and does not.
    pub fn fails(&self) -> bool {
        self.holds == Some(false)
    }
}

/// Whether received = propagated + bias + stabilizer + rule, at every layer and in total.
pub fn balance<T: Scalar>(ledger: &[LedgerRow], totals: &LedgerRow) -> Invariant {
    let worst = ledger.iter().chain([totals]).max_by(|a, b| a.imbalance.total_cmp(&b.imbalance));
    let (name, imbalance) = worst.map_or(("", 0.0), |b| (b.name.as_str(), b.imbalance));
    let detail = format!("worst {imbalance:.1e} of the relevance moved, at {name}");
    Invariant::new("the ledger balances", imbalance <= tolerance::<T>(), detail)
}

/// The invariants of every recipe, on the model's inputs `xs` of a batch and their explanation.
pub fn of_recipe<T: Scalar>(
    prepared: &Prepared<T>,
    xs: &[Tensor<T>],
    explanation: &Explanation<T>,
    target: &Target,
    start: Start,
) -> Result<Vec<Invariant>, Error> {
    let plan = &prepared.plan;
    let relevance = &explanation.relevance;
    let same = |a: &[Tensor<T>], b: &[Tensor<T>]| {
        let (a, b) = (a.iter().flatten(), b.iter().flatten());
        a.zip(b).all(|(a, b)| a.wide().to_bits() == b.wide().to_bits())
    };
    let all = || relevance.iter().flatten();
    let mut invariants = vec![Invariant::new(
        "relevance is finite",
        all().all(|r| r.is_finite()),
        format!("largest |R| {}", short(all().fold(0.0, |m, r| r.wide().abs().max(m)))),
    )];
    let record = plan.record_all(xs)?;
    let again = record.explain(target, start)?;
    invariants.push(Invariant::new(
        "a second run has the same bits",
        same(relevance, &again.relevance),
        "relevance at the input".into(),
    ));
    invariants.push(linear(prepared, &record, explanation, target, start)?);

    let n = xs.first().map_or(0, samples);
    if n > 1 {
        let single = |i: usize| -> Result<bool, Error> {
            let of = |all: &[Tensor<T>]| -> Vec<Tensor<T>> {
                all.iter().map(|all| all.slice_axis(Axis(0), Slice::from(i..=i)).to_owned()).collect()
            };
            let e = plan.record_all(&of(xs))?.explain(&target.part(i..i + 1), start)?;
            Ok(same(&of(relevance), &e.relevance))
        };
        let results = (0..n).map(single).collect::<Result<Vec<_>, _>>()?;
        let differing = results.iter().filter(|same| !**same).count();
        let detail = format!("{differing} of {n} samples differ");
        invariants.push(Invariant::new("a batch gives the same as its samples", differing == 0, detail));
    }
    Ok(invariants)
}

/// Whether the relevance of a sum of starts is the sum of their relevances.
fn linear<T: Scalar>(
    prepared: &Prepared<T>,
    record: &Record<'_, T>,
    explanation: &Explanation<T>,
    target: &Target,
    start: Start,
) -> Result<Invariant, Error> {
    const NAME: &str = "relevance is linear in the start";
    let nonlinear = prepared.resolved.choices.iter().find(|(_, choice)| !choice.rule.claims().linear);
    if let Some((id, choice)) = nonlinear {
        let node = &prepared.plan.model().node(*id).name;
        return Ok(Invariant::says_nothing(NAME, format!("'{}' on '{node}' is not", choice.rule)));
    }
    // Another start: alternating signs on all outputs.
    let first = record.seed(target, start)?;
    let mut sign = -T::one();
    let second = first.mapv(|_| {
        sign = -sign;
        sign
    });
    let other = record.propagate(second.clone());
    let sum = record.propagate(&first + &second);
    let mut difference = vec![0.0; samples(record.output())];
    for ((sum, one), other) in sum.relevance.iter().zip(&explanation.relevance).zip(&other.relevance) {
        let of_input = abs_sums(&(sum - &(one + other)));
        difference.iter_mut().zip(of_input).for_each(|(all, one)| *all += one);
    }
    // Rounding is in proportion to the relevance moved, not to what is left of it at the input.
    let moved = |i: usize| {
        let entries = [&explanation.ledger, &other.ledger].into_iter().flat_map(|ledger| &ledger.entries);
        entries.map(|e| e.received_abs[i].max(e.propagated_abs[i])).fold(0.0, f64::max)
    };
    let relative = |(i, d): (usize, &f64)| if *d == 0.0 { 0.0 } else { d / moved(i) };
    let worst = difference.iter().enumerate().map(relative).fold(0.0, worse);
    let detail = format!("two starts and their sum differ by {worst:.1e} of the relevance moved");
    Ok(Invariant::new(NAME, worst <= tolerance::<T>(), detail))
}

/// Whether every adjoint is one: `⟨A x, s⟩ = ⟨x, Aᵀ s⟩` for random `x` and `s`, for affine and structural operators.
pub fn adjoints<T: Scalar>(model: &Model<T>) -> Invariant {
    let mut random = numbers();
    let (mut count, mut worst, mut place) = (0, 0.0, "");
    for (_, node) in model.nodes() {
        let Some(op) = node.op() else { continue };
        // What is looked up is not linear in the positions.
        let structural = op.kind().group() == Group::Structural && !matches!(op.kind(), Kind::Embedding | Kind::Pick);
        // Windows that reflect or repeat the edge are linear, too; only a constant pad is not, which is taken off below.
        if op.as_affine().is_none() && !structural {
            continue;
        }
        let mut draw = |shape: &[usize]| Tensor::from_shape_simple_fn(batch_shape(1, shape), || T::of(random()));
        let xs: Vec<Tensor<T>> = op.input_shapes().iter().map(|shape| draw(shape)).collect();
        let s = draw(op.output_shape());
        let refs: Vec<&Tensor<T>> = xs.iter().collect();
        let (ax, ats) = match op.as_affine() {
            Some(affine) => (affine.apply(&refs), affine.adjoint(&s)),
            None => {
                let zeros: Vec<Tensor<T>> = xs.iter().map(|x| Tensor::zeros(x.raw_dim())).collect();
                let offset = op.forward(&zeros.iter().collect::<Vec<_>>());
                let y = op.forward(&refs);
                let routed = op.vjp(Io { inputs: &refs, output: &y }, &s);
                (y - offset, routed)
            }
        };
        let terms = |a: &Tensor<T>, b: &Tensor<T>| -> (f64, f64) {
            let products = a.iter().zip(b).map(|(a, b)| a.wide() * b.wide());
            products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()))
        };
        let (left, left_size) = terms(&ax, &s);
        let (right, right_size) =
            xs.iter().zip(&ats).map(|(x, g)| terms(x, g)).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
        let error = (left - right).abs() / left_size.max(right_size).max(f64::MIN_POSITIVE);
        count += 1;
        if worse(0.0, error) > worst {
            (worst, place) = (worse(0.0, error), &node.name);
        }
    }
    let at = if place.is_empty() { String::new() } else { format!(", at {place}") };
    let detail = format!("{count} operators, worst {worst:.1e}{at}");
    Invariant::new("adjoint test", worst <= tolerance::<T>(), detail)
}

/// Numbers in (−½, ½) that are the same in every run.
fn numbers() -> impl FnMut() -> f64 {
    // Weyl's sequence by the golden ratio: no test of randomness, but no structure that an operator has.
    let mut state = 0.0_f64;
    move || {
        state = (state + 0.618_033_988_749_895).fract();
        (state * 7919.0).fract() - 0.5
    }
}

/// On a network that is piecewise linear, LRP-0 everywhere is gradient × input: whether this one is, whatever the recipe.
/// For double precision, as denominators may nearly cancel.
pub fn gradient_times_input(model: &Arc<Model<f64>>, xs: &[Tensor<f64>], target: &Target) -> Result<Invariant, Error> {
    const NAME: &str = "LRP-0 would be gradient × input";
    let breaking = model.nodes().find(|(_, node)| {
        node.kind().is_some_and(|kind| match kind.group() {
            Group::Activation => !matches!(kind, Kind::Relu | Kind::LeakyRelu),
            Group::Product | Group::Normalization | Group::Recurrent | Group::Step | Group::Undefined => true,
            Group::Weighted | Group::Weightless | Group::Preprocessing | Group::Winner | Group::Structural => false,
        })
    });
    if let Some((_, node)) = breaking {
        let why = format!("'{}' ({}) is not piecewise linear through zero", node.name, node.kind_name());
        return Ok(Invariant::says_nothing(NAME, why));
    }
    let everywhere = |rule: Arc<dyn Rule<f64>>, on: &dyn Fn(Group) -> bool| -> Result<Plan<f64>, Error> {
        let nodes = model.nodes().filter(|(_, n)| n.kind().is_some_and(|kind| on(kind.group())));
        let rules: Assignment<f64> = nodes.map(|(id, _)| (id, Arc::clone(&rule))).collect();
        Plan::new(Arc::clone(model), &rules).map_err(|e| Error::Internal(e.to_string()))
    };
    let affine = |group| matches!(group, Group::Weighted | Group::Weightless | Group::Preprocessing);
    let zero = everywhere(Arc::new(Zero { bias: BiasMode::Absorb }), &affine)?;
    let gradient = everywhere(Arc::new(Gradient), &|_| true)?;
    let ends = ends(model);
    let (zero, _) = at_ends(&zero, xs, &ends, target, Start::Logit)?;
    // R = f · ∂f/∂x · x / f where relevance starts at the logit f.
    let (expected, cancelled) = at_ends(&gradient, xs, &ends, target, Start::One)?;
    if let Some(id) = cancelled {
        let why = format!("an output of '{}' is exactly 0, beside a bias: it has no shares", model.node(id).name);
        return Ok(Invariant::says_nothing(NAME, why));
    }
    let products = |End { value, received }: &End| received.iter().zip(value).map(|(r, x)| r * x).collect::<Vec<_>>();
    let zero: Vec<f64> = zero.iter().flat_map(|end| end.received.iter().copied()).collect();
    let expected: Vec<f64> = expected.iter().flat_map(products).collect();
    let error = relative_l2(&ndarray::arr1(&zero).into_dyn(), &ndarray::arr1(&expected).into_dyn());
    let detail = format!("relative L2 difference {error:.1e}, in f64");
    Ok(Invariant::new(NAME, error <= 1e-9, detail))
}

/// A node where a walk ends that a gradient can be compared at.
struct End {
    value: Tensor<f64>,
    received: Tensor<f64>,
}

/// The inputs, and in place of ids the vectors that are looked up: numbers of rows have no gradient.
fn ends(model: &Model<f64>) -> BTreeSet<NodeId> {
    let looks_up = |node: &Node<f64>| node.kind() == Some(Kind::Embedding);
    let mut before: BTreeSet<NodeId> = BTreeSet::new();
    for (id, node) in model.nodes().rev() {
        if looks_up(node) || before.contains(&id) {
            before.extend(&node.inputs);
        }
    }
    let is_end = |(id, node): &(NodeId, &Node<f64>)| {
        looks_up(node) || (matches!(node.body, Body::Input) && !before.contains(id))
    };
    model.nodes().filter(is_end).map(|(id, _)| id).collect()
}

/// The values and the relevance at these nodes; and a node where relevance arrives at an output of 0 that has a bias: its inputs and the bias cancel.
fn at_ends(
    plan: &Plan<f64>,
    xs: &[Tensor<f64>],
    ends: &BTreeSet<NodeId>,
    target: &Target,
    start: Start,
) -> Result<(Vec<End>, Option<NodeId>), Error> {
    let (mut values, mut received) = (BTreeMap::new(), BTreeMap::new());
    let (mut zeros, mut cancelled) = (BTreeMap::new(), None);
    let record = plan.record_observed(xs, &mut |id, value| {
        if ends.contains(&id) {
            values.insert(id, value.clone());
        }
        let affine = plan.model().node(id).op().and_then(|op| op.as_affine());
        if let Some(bias) = affine.and_then(|op| op.bias()?.broadcast(value.raw_dim()))
            && value.iter().any(|v| *v == 0.0)
        {
            zeros.insert(id, value.iter().zip(bias).map(|(v, b)| *v == 0.0 && *b != 0.0).collect::<Vec<bool>>());
        }
    })?;
    record.propagate_observed(record.seed(target, start)?, &mut |id, relevance| {
        if ends.contains(&id) {
            received.insert(id, relevance.clone());
        }
        let arrives = |zeros: &Vec<bool>| zeros.iter().zip(relevance).any(|(zero, r)| *zero && *r != 0.0);
        if zeros.get(&id).is_some_and(arrives) {
            cancelled = Some(id);
        }
    });
    let nothing = |value: &Tensor<f64>| Tensor::zeros(value.raw_dim());
    let end = |(id, value): (NodeId, Tensor<f64>)| End {
        received: received.remove(&id).unwrap_or_else(|| nothing(&value)),
        value,
    };
    Ok((values.into_iter().map(end).collect(), cancelled))
}

/// `‖a − b‖ / ‖b‖`, with 0 / 0 = 0.
pub fn relative_l2<A: Scalar, B: Scalar>(a: &Tensor<A>, b: &Tensor<B>) -> f64 {
    let size: f64 = b.iter().map(|v| v.wide().powi(2)).sum();
    let error: f64 = a.iter().zip(b).map(|(a, b)| (a.wide() - b.wide()).powi(2)).sum();
    if error == 0.0 { 0.0 } else { (error / size).sqrt() }
}
