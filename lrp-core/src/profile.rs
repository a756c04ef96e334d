//! Time and memory, node by node: where an explanation spends them.

use std::time::Instant;

use crate::error::Error;
use crate::graph::NodeId;
use crate::plan::{Explanation, Plan, Record};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, samples};

/// The time and memory of the nodes of a plan so far, in the order of the model's nodes.
///
/// A function that clips is computed together with the operator before it, which then has the time of both.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Samples that went forward.
    pub samples: usize,
    /// The nodes.
    pub nodes: Vec<NodeProfile>,
}

/// The time and memory of one node so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct NodeProfile {
    /// Seconds of the forward pass.
    pub forward: f64,
    /// Seconds of the walk.
    pub walk: f64,
    /// Bytes of the value that was kept for the walk, for the largest batch.
    pub kept: usize,
}

impl Profile {
    /// As [`Plan::record_all`], with a look at the clock after each node.
    ///
    /// # Errors
    /// As [`Plan::record_all`].
    pub fn record<'p, T: Scalar>(&mut self, plan: &'p Plan<T>, xs: &[Tensor<T>]) -> Result<Record<'p, T>, Error> {
        self.nodes.resize_with(plan.model().nodes().len(), NodeProfile::default);
        let mut clock = Clock::start();
        let nodes = &mut self.nodes;
        let record = plan.record_observed(xs, &mut |id, _| nodes[id.index()].forward += clock.lap())?;
        for (id, _) in plan.model().nodes() {
            let kept = record.kept(id) * size_of::<T>();
            let node = &mut self.nodes[id.index()];
            node.kept = node.kept.max(kept);
        }
        self.samples += xs.first().map_or(0, samples);
        Ok(record)
    }

    /// As [`Record::propagate_observed`], with a look at the clock after each node.
    pub fn propagate<T: Scalar>(
        &mut self,
        record: &Record<'_, T>,
        start: Tensor<T>,
        observe: Observe<'_, T>,
    ) -> Explanation<T> {
        self.walk(observe, |observe| record.propagate_observed(start, observe))
    }

    /// As [`Record::propagate_last`], with a look at the clock after each node.
    pub fn propagate_last<T: Scalar>(
        &mut self,
        record: Record<'_, T>,
        start: Tensor<T>,
        observe: Observe<'_, T>,
    ) -> Explanation<T> {
        self.walk(observe, |observe| record.propagate_last(start, observe))
    }

    fn walk<T: Scalar>(
        &mut self,
        observe: Observe<'_, T>,
        walk: impl FnOnce(Observe<'_, T>) -> Explanation<T>,
    ) -> Explanation<T> {
        let mut clock = Clock::start();
        // When a node receives relevance, the one before it is done.
        let mut before: Option<usize> = None;
        let nodes = &mut self.nodes;
        let mut passed = |next: Option<usize>| {
            let lap = clock.lap();
            if let Some(node) = before.and_then(|before| nodes.get_mut(before)) {
                node.walk += lap;
            }
            before = next;
        };
        let explanation = walk(&mut |id, r| {
            passed(Some(id.index()));
            observe(id, r);
        });
        passed(None);
        explanation
    }
}

/// Sees the relevance received at each node, `[N, …]`.
pub type Observe<'a, T> = &'a mut (dyn FnMut(NodeId, &Tensor<T>) + Send);

/// The time since the last look at it.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        (now - std::mem::replace(&mut self.0, now)).as_secs_f64()
    }
}
