//! A model compiled against an assignment of rules, ready to explain any number of batches.

mod record;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::behaviour::{Behaviour, Division};
use crate::carriers::{carriers, reached};
use crate::error::Error;
use crate::formula::STABILIZER;
use crate::graph::{Body, Model, Node, NodeId};
use crate::kernels::conv::Limits;
use crate::operator::{Fixed, Group, Io, batch_of};
use crate::ops::FoldedRule;
use crate::rule::{Layer, Needs, Outputs, PreparedRule, Propagated, Rule};
use crate::scalar::Scalar;
use crate::target::{Start, Target};
use crate::tensor::{Tensor, sums};

pub use self::record::Record;
pub use self::walk::Explanation;

/// The values of all nodes that are kept.
type Values<T> = Vec<Option<Arc<Tensor<T>>>>;

/// Sees the value of each node, or the relevance received there, `[N, …]`.
type Observer<'a, T> = &'a mut (dyn FnMut(NodeId, &Tensor<T>) + Send);

/// The rules of nodes. Nodes without an entry keep their fixed behaviour.
pub type Assignment<T> = BTreeMap<NodeId, Arc<dyn Rule<T>>>;

/// A model with a prepared rule for every layer: immutable, shareable, made once.
///
/// The same plan gives the same bits for any batch size and any number of threads.
pub struct Plan<T: Scalar> {
    model: Arc<Model<T>>,
    steps: Vec<Step<T>>,
    /// For each node, whether some rule reads its value in the walk.
    kept: Vec<bool>,
    /// For each node, whether what the ReLU after it leaves serves its rule as its output.
    lent: Vec<bool>,
    times_input: bool,
}

/// The behaviour of relevance at one node.
pub(crate) enum Step<T: Scalar> {
    /// Inputs and constants: relevance ends here.
    End,
    /// The operator's fixed behaviour.
    Fixed(Fixed),
    /// A rule.
    Rule { name: String, prepared: Box<dyn PreparedRule<T>> },
}

impl<T: Scalar> Plan<T> {
    /// Prepares every rule for its node.
    ///
    /// # Errors
    /// When an operator that needs a rule has none (all of them are named), a rule's parameters are not allowed, or a rule
    /// does not go with its operator.
    pub fn new(model: Arc<Model<T>>, rules: &Assignment<T>) -> Result<Self, Error> {
        let nonnegative = nonnegative_outputs(&model, rules);
        let mut steps = Vec::new();
        let mut unassigned = Vec::new();
        let is_constant = |id| rules.get(&id).is_some_and(|rule| rule.behaviour() == Behaviour::Constant);
        let carriers = carriers(&model, &is_constant);
        for (id, node) in model.nodes() {
            let given = rules.get(&id);
            let beside_constant = signal_beside_constant(node, &carriers, given);
            let rule = beside_constant.as_ref().or(given);
            let step = match (&node.body, rule) {
                (Body::Input | Body::Constant(_), _) => Step::End,
                (Body::Operator(op), Some(rule)) => {
                    let folded = op.folded();
                    let layer = Layer {
                        name: &node.name,
                        op: folded.map_or(op, |(op, _)| op),
                        nonnegative_inputs: node.inputs.iter().all(|&i| model.is_nonnegative(i)),
                        nonnegative_outputs: nonnegative[id.index()],
                        skip_input: model.skip_input(id),
                    };
                    rule.check().map_err(|error| Error::Parameter {
                        node: node.name.clone(),
                        rule: rule.to_string(),
                        error,
                    })?;
                    let prepared = rule.prepare(&layer).map_err(|error| Error::Rule {
                        node: node.name.clone(),
                        rule: rule.to_string(),
                        reason: error.0,
                    })?;
                    let prepared = match folded {
                        Some((_, parts)) => Box::new(FoldedRule { prepared, parts }),
                        None => prepared,
                    };
                    Step::Rule { name: rule.to_string(), prepared }
                }
                // A rule would divide what never arrives.
                (Body::Operator(op), None) if op.fixed() == Fixed::RuleNeeded && !reached(node, &carriers) => {
                    Step::Rule { name: "constant".to_owned(), prepared: Behaviour::constant(op.as_ref()) }
                }
                (Body::Operator(op), None) if op.fixed() == Fixed::RuleNeeded => {
                    unassigned.push(format!("'{}' ({})", node.name, op.kind()));
                    Step::End
                }
                (Body::Operator(op), None) => Step::Fixed(op.fixed()),
            };
            steps.push(step);
        }
        if !unassigned.is_empty() {
            return Err(Error::Unassigned { nodes: unassigned });
        }
        // If negative outputs have no relevance, the output of the ReLU suffices for a rule that reads nothing else.
        let reads_relevant = |id| needs(&model, &steps, id).output == Outputs::Relevant;
        let lent: Vec<bool> = model.nodes().map(|(id, _)| nonnegative[id.index()] && reads_relevant(id)).collect();
        let kept = kept_values(&model, &steps, &lent, false);
        Ok(Self { model, steps, kept, lent, times_input: false })
    }

    /// Multiplies the relevance at the inputs with the inputs, as gradient × input does. The difference is recorded
    /// under the input's own entry.
    #[must_use]
    pub fn times_input(mut self, yes: bool) -> Self {
        self.times_input = yes;
        self.kept = kept_values(&self.model, &self.steps, &self.lent, yes);
        self
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model<T>> {
        &self.model
    }

    /// The rule or the fixed behaviour of a node, in words.
    pub fn behaviour(&self, id: NodeId) -> String {
        match &self.steps[id.index()] {
            Step::End => "–".to_owned(),
            Step::Fixed(fixed) => fixed.name().to_owned(),
            Step::Rule { name, .. } => name.clone(),
        }
    }

    /// Runs the forward pass on `x` (`[N, …]`) and records what the walk will need.
    ///
    /// # Errors
    /// When the shape is wrong, or a value is or becomes NaN or infinite.
    pub fn record(&self, x: &Tensor<T>) -> Result<Record<'_, T>, Error> {
        self.record_all(std::slice::from_ref(x))
    }

    /// As [`record`](Plan::record), for models with several inputs.
    ///
    /// # Errors
    /// As [`record`](Plan::record), and when the number of inputs or their batch sizes differ.
    pub fn record_all(&self, xs: &[Tensor<T>]) -> Result<Record<'_, T>, Error> {
        self.record_observed(xs, &mut |_, _| {})
    }

    /// As [`record_all`](Plan::record_all), and shows `observe` the value of each node, `[N, …]`, as soon as it is there.
    ///
    /// # Errors
    /// As [`record_all`](Plan::record_all).
    pub fn record_observed(
        &self,
        xs: &[Tensor<T>],
        observe: &mut (dyn FnMut(NodeId, &Tensor<T>) + Send),
    ) -> Result<Record<'_, T>, Error> {
        // Each operator divides its work among threads. Called by one of these, it need not wake up all of them, every time.
        rayon::scope(|_| Record::new(self, xs, observe))
    }

    /// Explains `target` for every sample of `x` (`[N, …]`).
    ///
    /// # Errors
    /// As [`record`](Plan::record), and when the target does not exist.
    pub fn explain(&self, x: &Tensor<T>, target: &Target, start: Start) -> Result<Explanation<T>, Error> {
        self.record(x)?.explain(target, start)
    }

    pub(crate) fn keeps(&self, id: NodeId) -> bool {
        self.kept[id.index()]
    }

    /// For a ReLU whose value serves the rule of the node before it as that node's output: that node.
    pub(crate) fn lends_to(&self, id: NodeId) -> Option<NodeId> {
        self.model.node(id).inputs.first().copied().filter(|input| self.lent[input.index()])
    }

    pub(crate) fn needs(&self, id: NodeId) -> Needs {
        needs(&self.model, &self.steps, id)
    }

    /// Whether a node propagates its relevance unchanged, so that there is nothing to compute.
    pub(crate) fn passes(&self, id: NodeId) -> bool {
        matches!(self.steps[id.index()], Step::Fixed(Fixed::Pass))
    }

    /// Passes the relevance `r` through one node.
    pub(crate) fn propagate(&self, id: NodeId, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        match &self.steps[id.index()] {
            Step::End => {
                let node = self.model.node(id);
                let mut end = Propagated::lossless(vec![r.clone()]);
                match (&node.body, io.inputs.first()) {
                    (Body::Constant(_), _) => {
                        end.bias = sums(r);
                        end.relevance.clear();
                    }
                    (Body::Input, Some(x)) if self.times_input => {
                        let product = crate::tensor::times(x, r);
                        // Σ r − Σ r·x, element by element.
                        end.rule = sums(&ndarray::Zip::from(*x).and(r).map_collect(|&x, &r| r - r * x));
                        end.relevance = vec![product];
                    }
                    _ => {}
                }
                end
            }
            Step::Fixed(fixed) => match (self.model.node(id).op(), fixed) {
                (Some(op), Fixed::Own { .. }) => op.propagate(io, r),
                (Some(op), Fixed::Route | Fixed::Winner) => {
                    let mut routed = Propagated::lossless(op.vjp(io, r));
                    routed.bias = op.constant_share(r);
                    routed
                }
                _ => Propagated::lossless(vec![r.clone()]),
            },
            Step::Rule { prepared, .. } => prepared.propagate(io, r),
        }
    }

    /// The ReLU (or another function that clips) that is all that a node's value is read for, so that the two can be computed in one
    /// pass.
    pub(crate) fn clamped_by(&self, id: NodeId) -> Option<(NodeId, Limits<T>)> {
        match self.model.consumers(id) {
            &[relu] if !self.keeps(id) && relu != self.model.output() && self.model.node(id).op().is_some() => {
                self.model.node(relu).op()?.limits().map(|limits| (relu, limits))
            }
            _ => None,
        }
    }

    /// Runs one node forward, and the function after it that clips.
    pub(crate) fn forward(&self, id: NodeId, xs: &[&Tensor<T>], n: usize, clamp: Option<Limits<T>>) -> Tensor<T> {
        match &self.model.node(id).body {
            Body::Operator(op) => {
                debug_assert_eq!(batch_of(xs), n);
                clamp.map_or_else(|| op.forward(xs), |limits| op.forward_clamped(xs, limits))
            }
            Body::Constant(value) => {
                let shape = crate::tensor::batch_shape(n, value.shape());
                value.broadcast(shape.as_slice()).map_or_else(|| Tensor::zeros(shape.as_slice()), |v| v.to_owned())
            }
            Body::Input => crate::tensor::empty(),
        }
    }
}

impl<T: Scalar> std::fmt::Debug for Plan<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rules = self.model.nodes().map(|(id, node)| (&node.name, self.behaviour(id)));
        f.debug_map().entries(rules).finish()
    }
}

fn needs<T: Scalar>(model: &Model<T>, steps: &[Step<T>], id: NodeId) -> Needs {
    match &steps[id.index()] {
        Step::Fixed(Fixed::Own { needs, .. }) => *needs,
        Step::Fixed(Fixed::Route | Fixed::Winner) => {
            let reads = model.node(id).op().is_some_and(|op| op.vjp_needs_inputs());
            if reads { Needs::INPUTS } else { Needs::NOTHING }
        }
        Step::End | Step::Fixed(_) => Needs::NOTHING,
        Step::Rule { prepared, .. } => prepared.needs(),
    }
}

/// The values that the walk will read: the model's output always, and what rules ask for.
fn kept_values<T: Scalar>(model: &Model<T>, steps: &[Step<T>], lent: &[bool], times_input: bool) -> Vec<bool> {
    let mut kept = vec![false; steps.len()];
    kept[model.output().index()] = true;
    for (id, node) in model.nodes() {
        let needs = needs(model, steps, id);
        if needs.output != Outputs::Nothing {
            let lender = model.consumers(id).first().filter(|_| lent[id.index()]);
            kept[lender.unwrap_or(&id).index()] = true;
        }
        kept[id.index()] |= times_input && matches!(node.body, Body::Input);
        if needs.inputs {
            node.inputs.iter().for_each(|i| kept[i.index()] = true);
        }
    }
    kept
}

/// The rule of a product of a factor that carries relevance and one that does not: the first receives all. A rule that names the signal, or that
/// does not divide relevance between factors, stays.
fn signal_beside_constant<T: Scalar>(
    node: &Node<T>,
    carriers: &[bool],
    given: Option<&Arc<dyn Rule<T>>>,
) -> Option<Arc<dyn Rule<T>>> {
    let op = node.op().filter(|op| op.kind().group() == Group::Product)?;
    let &[a, b] = node.inputs.as_slice() else { return None };
    let input = match (carriers[a.index()], carriers[b.index()]) {
        (true, false) => 0,
        (false, true) => 1,
        _ => return None,
    };
    let stabilizer = match given.map(|rule| rule.behaviour()) {
        // Where the graph says so anyway, its reason is the better one.
        None if op.gate_input() == Some(1 - input) => return None,
        None => STABILIZER,
        Some(Behaviour::Product { division: Division::KnownGate | Division::Uniform, stabilizer }) => stabilizer,
        Some(_) => return None,
    };
    Some(Arc::new(Signal { input, stabilizer }))
}

/// The division of a product one factor of which is a constant.
#[derive(Debug)]
struct Signal {
    input: usize,
    stabilizer: f64,
}

impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "all to input {}, input {} is constant", self.input, 1 - self.input)
    }
}

impl<T: Scalar> Rule<T> for Signal {
    fn behaviour(&self) -> Behaviour {
        Behaviour::Product { division: Division::Signal(self.input), stabilizer: self.stabilizer }
    }
}

/// The nodes whose outputs below zero have no relevance: only a ReLU reads them, and its zeros have none.
fn nonnegative_outputs<T: Scalar>(model: &Model<T>, rules: &Assignment<T>) -> Vec<bool> {
    let relu = Limits { low: T::zero(), high: T::infinity() };
    let limits = |id: NodeId| model.node(id).op().and_then(|op| op.limits());
    let fixed = |id: NodeId| model.node(id).op().filter(|_| !rules.contains_key(&id)).map(|op| op.fixed());
    let passes = |id: NodeId| fixed(id) == Some(Fixed::Pass);
    // For each node, whether relevance vanishes where its value is zero.
    let mut vanishes = vec![false; model.nodes().len()];
    for (id, _) in model.nodes().rev() {
        let at_inputs_of = |&consumer: &NodeId| match (rules.get(&consumer), fixed(consumer)) {
            (Some(rule), _) => rule.claims().vanishing,
            // Elements that are moved about, or won, are what they were.
            (None, Some(Fixed::Route | Fixed::Winner)) => {
                let group = model.node(consumer).op().map(|op| op.kind().group());
                matches!(group, Some(Group::Structural | Group::Winner)) && vanishes[consumer.index()]
            }
            // Zero is zero after a ReLU, too.
            (None, Some(Fixed::Pass)) => limits(consumer) == Some(relu) && vanishes[consumer.index()],
            (None, _) => false,
        };
        vanishes[id.index()] = id != model.output() && model.consumers(id).iter().all(at_inputs_of);
    }
    let nonnegative = model.nodes().map(|(id, _)| match model.consumers(id) {
        &[only] => limits(only) == Some(relu) && passes(only) && vanishes[only.index()],
        _ => false,
    });
    nonnegative.collect()
}
