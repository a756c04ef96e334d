//! The forward pass, with the activations that the walk will read.

use std::sync::Arc;

use super::walk::{Explanation, walk};
use super::{Observer, Plan, Values};
use crate::error::Error;
use crate::graph::{Body, Node, NodeId};
use crate::kernels::entrance;
use crate::operator::Group;
use crate::scalar::Scalar;
use crate::target::{Start, Target};
use crate::tensor::{Tensor, samples};
use crate::text::shown;

entrance!(
    Entrance<'p, 'a, T>: (&'p Plan<T>, &'a [Tensor<T>], Observer<'a, T>) => Result<Record<'p, T>, Error>,
    Record::compiled
);

/// A recorded forward pass. Several targets can be explained from one record.
pub struct Record<'p, T: Scalar> {
    plan: &'p Plan<T>,
    values: Values<T>,
    output: Arc<Tensor<T>>,
}

impl<'p, T: Scalar> Record<'p, T> {
    pub(crate) fn new(plan: &'p Plan<T>, xs: &[Tensor<T>], observe: Observer<'_, T>) -> Result<Self, Error> {
        T::enter::<Entrance>((plan, xs, observe))
    }

    fn compiled((plan, xs, observe): (&'p Plan<T>, &[Tensor<T>], Observer<'_, T>)) -> Result<Self, Error> {
        let model = plan.model();
        if xs.len() != model.inputs().len() {
            let reason = format!("has {} inputs, got {}", model.inputs().len(), xs.len());
            return Err(Error::Model { reason });
        }
        let n = xs.first().map_or(0, samples);
        for (x, &id) in xs.iter().zip(model.inputs()) {
            let node = model.node(id);
            if x.ndim() != node.shape.len() + 1 || x.shape()[1..] != node.shape || samples(x) != n {
                return Err(Error::InputShape { expected: node.shape.clone(), got: x.shape().to_vec() });
            }
            check_finite(x, || format!("input '{}'", node.name))?;
        }

        let mut inputs = xs.iter();
        let mut values: Values<T> = Vec::new();
        // A value that no rule reads is dropped when its last consumer has run.
        let mut pending: Vec<usize> = model.nodes().map(|(id, _)| model.consumers(id).len()).collect();
        let mut output = Arc::new(crate::tensor::empty());
        for (id, node) in model.nodes() {
            let clamp = plan.clamped_by(id).map(|(_, limits)| limits);
            let value = match &node.body {
                // Has been computed with its input.
                _ if node.inputs.first().is_some_and(|&i| plan.clamped_by(i).is_some_and(|(by, _)| by == id)) => {
                    let source = node.inputs[0].index();
                    let value = values[source].take();
                    pending[source] -= 1;
                    observe(id, value.as_deref().unwrap_or(&crate::tensor::empty()));
                    values.push(value);
                    continue;
                }
                Body::Input => inputs.next().map_or_else(crate::tensor::empty, |x| x.as_standard_layout().into_owned()),
                _ => {
                    let taken: Vec<Arc<Tensor<T>>> =
                        node.inputs.iter().filter_map(|i| values[i.index()].clone()).collect();
                    plan.forward(id, &taken.iter().map(Arc::as_ref).collect::<Vec<_>>(), n, clamp)
                }
            };
            check_rows(node, &value, node.inputs.first().and_then(|i| values[i.index()].as_deref()))?;
            if can_overflow(node) {
                check_finite(&value, || format!("the value of node '{}'", shown(&node.name)))?;
            }
            observe(id, &value);
            let value = Arc::new(value);
            if id == model.output() {
                output = Arc::clone(&value);
            }
            values.push(Some(value));
            for i in &node.inputs {
                pending[i.index()] -= 1;
                if pending[i.index()] == 0 && !plan.keeps(*i) {
                    values[i.index()] = None;
                }
            }
        }
        check_finite(&output, || format!("the model's output ('{}')", model.node(model.output()).name))?;
        Ok(Self { plan, values, output })
    }

    /// The model's output for every sample, `[N, …]`: the logits.
    pub fn output(&self) -> &Tensor<T> {
        &self.output
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        samples(&self.output)
    }

    /// Explains one target of every sample.
    ///
    /// # Errors
    /// When the target does not exist, or relevance overflows at a node.
    pub fn explain(&self, target: &Target, start: Start) -> Result<Explanation<T>, Error> {
        let explanation = self.propagate(self.seed(target, start)?);
        explanation.ledger.check_finite(self.plan.model())?;
        Ok(explanation)
    }

    /// The starting relevance of a target, of the output's shape.
    ///
    /// # Errors
    /// When the target does not exist.
    pub fn seed(&self, target: &Target, start: Start) -> Result<Tensor<T>, Error> {
        target.seed(&self.output, start)
    }

    /// Propagates any relevance `start` of the output's shape back to the inputs.
    pub fn propagate(&self, start: Tensor<T>) -> Explanation<T> {
        self.propagate_observed(start, &mut |_, _| {})
    }

    /// As [`propagate`](Record::propagate), and shows `observe` the relevance received at each node, `[N, …]`, from the
    /// output to the inputs. Nodes that receive none are omitted.
    pub fn propagate_observed(
        &self,
        start: Tensor<T>,
        observe: &mut (dyn FnMut(NodeId, &Tensor<T>) + Send),
    ) -> Explanation<T> {
        // As in `Plan::record_observed`.
        rayon::scope(|_| {
            walk(self.plan, self.values.clone(), &self.output, (self.plan.model().output(), start), observe)
        })
    }

    /// As [`propagate_observed`](Record::propagate_observed), from relevance `start` at a node inside the network, `[N, …]`. Nodes that are not
    /// below it receive none, and the ledger starts with `start`.
    ///
    /// # Errors
    /// When `start` has not the shape of the node's value.
    pub fn propagate_from(
        &self,
        node: NodeId,
        start: Tensor<T>,
        observe: &mut (dyn FnMut(NodeId, &Tensor<T>) + Send),
    ) -> Result<Explanation<T>, Error> {
        let at = self.plan.model().node(node);
        if start.shape().first() != Some(&self.samples()) || start.shape().get(1..) != Some(at.shape.as_slice()) {
            let reason =
                format!("relevance of the shape {:?} cannot start here: samples are {:?}", start.shape(), at.shape);
            return Err(Error::Node { node: at.name.clone(), reason });
        }
        Ok(rayon::scope(|_| walk(self.plan, self.values.clone(), &self.output, (node, start), observe)))
    }

    /// As [`propagate_observed`](Record::propagate_observed), for the last time: every activation is released as soon as it has been read,
    /// which leaves room for what the walk needs.
    pub fn propagate_last(
        self,
        start: Tensor<T>,
        observe: &mut (dyn FnMut(NodeId, &Tensor<T>) + Send),
    ) -> Explanation<T> {
        let Self { plan, values, output } = self;
        rayon::scope(|_| walk(plan, values, &output, (plan.model().output(), start), observe))
    }

    /// The elements of the value that is kept of a node.
    pub(crate) fn kept(&self, id: NodeId) -> usize {
        self.values[id.index()].as_ref().map_or(0, |value| value.len())
    }
}

impl<T: Scalar> std::fmt::Debug for Record<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("output", &self.output).finish_non_exhaustive()
    }
}

/// Whether values that are not finite can arise at a node whose inputs are finite. Operators that only move, pick or clip elements cannot
/// make any.
fn can_overflow<T: Scalar>(node: &Node<T>) -> bool {
    node.op().is_some_and(|op| !matches!(op.kind().group(), Group::Structural | Group::Winner) && op.limits().is_none())
}

/// Names the first number among `ids` that is no row of an embedding's table, which made its value NaN.
fn check_rows<T: Scalar>(node: &Node<T>, value: &Tensor<T>, ids: Option<&Tensor<T>>) -> Result<(), Error> {
    let (Some(rows), Some(ids)) = (node.op().and_then(|op| op.rows()), ids) else { return Ok(()) };
    if crate::tensor::is_finite(value) {
        return Ok(());
    }
    let is_row = |id: f64| id.fract() == 0.0 && (-(rows as f64)..rows as f64).contains(&id);
    let Some((at, id)) = ids.indexed_iter().find(|(_, id)| !is_row(id.wide())) else { return Ok(()) };
    let (sample, position) = ndarray::Dimension::slice(&at).split_first().map_or((0, &[][..]), |(s, p)| (*s, p));
    Err(Error::NoRow { node: node.name.clone(), sample, position: position.to_vec(), id: id.to_string(), rows })
}

/// Names the first sample with a value that is NaN or infinite.
fn check_finite<T: Scalar>(x: &Tensor<T>, place: impl Fn() -> String) -> Result<(), Error> {
    if crate::tensor::is_finite(x) {
        return Ok(());
    }
    for (sample, values) in x.axis_iter(ndarray::Axis(0)).enumerate() {
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Error::NotFinite { place: place(), sample });
        }
    }
    Ok(())
}
