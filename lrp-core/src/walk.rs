//! The relevance walk: from the output back to the inputs, keeping the books on the way.

use crate::graph::{Body, NodeId};
use crate::ledger::{Entry, Ledger};
use crate::operator::Io;
use crate::plan::Plan;
use crate::record::Record;
use crate::scalar::Scalar;
use crate::tensor::{Tensor, abs_sums, samples, sums};

/// The result of one walk.
#[derive(Debug, Clone)]
pub struct Explanation<T: Scalar> {
    /// Relevance at every input of the model, each of the input's shape `[N, …]`.
    pub relevance: Vec<Tensor<T>>,
    /// The model's output, `[N, …]`.
    pub output: Tensor<T>,
    /// Where relevance went.
    pub ledger: Ledger,
}

impl<T: Scalar> Explanation<T> {
    /// Relevance at the model's first (mostly only) input, `[N, …]`.
    pub fn input_relevance(&self) -> &Tensor<T> {
        &self.relevance[0]
    }
}

/// Walks from `start` at the output to the inputs; `observe` sees the relevance that arrived at each node, `[N, …]`.
pub(crate) fn walk<T: Scalar>(
    plan: &Plan<T>,
    record: &Record<'_, T>,
    start: Tensor<T>,
    observe: &mut dyn FnMut(NodeId, &Tensor<T>),
) -> Explanation<T> {
    let model = plan.model();
    let n = samples(&start);
    let mut ledger = Ledger { start: sums(&start), input: vec![0.0; n], entries: Vec::new() };
    // Relevance that has arrived at each node so far; complete when the node's turn comes.
    let mut arrived: Vec<Option<Tensor<T>>> = model.nodes().map(|_| None).collect();
    arrived[model.output().index()] = Some(start);
    let mut at_inputs: Vec<Tensor<T>> = Vec::new();

    for (id, node) in model.nodes().rev() {
        let is_input = matches!(node.body, Body::Input);
        let Some(r) = arrived[id.index()].take() else {
            if is_input {
                at_inputs.push(Tensor::zeros(crate::tensor::batch_shape(n, &node.shape)));
            }
            continue;
        };
        observe(id, &r);
        let needs = plan.needs(id);
        let inputs: Vec<&Tensor<T>> = if is_input {
            vec![record.value(id)]
        } else {
            node.inputs.iter().map(|&i| if needs.inputs { record.value(i) } else { record.nothing() }).collect()
        };
        let io = Io { inputs: &inputs, output: if needs.output { record.value(id) } else { record.nothing() } };
        let result = plan.propagate(id, io, &r);

        let total = |f: fn(&Tensor<T>) -> Vec<f64>| {
            result
                .relevance
                .iter()
                .map(f)
                .fold(vec![0.0; n], |sum, part| sum.iter().zip(part).map(|(a, b)| a + b).collect())
        };
        let entry = Entry {
            node: id,
            received: sums(&r),
            received_abs: abs_sums(&r),
            handed_on: total(sums),
            handed_on_abs: total(abs_sums),
            bias: result.bias,
            stabilizer: result.stabilizer,
            rule: result.rule,
        };
        if is_input {
            ledger.input.iter_mut().zip(&entry.handed_on).for_each(|(sum, r)| *sum += r);
            at_inputs.extend(result.relevance);
        } else {
            for (&i, part) in node.inputs.iter().zip(result.relevance) {
                match &mut arrived[i.index()] {
                    Some(sum) => *sum += &part,
                    slot => *slot = Some(part),
                }
            }
        }
        ledger.entries.push(entry);
    }
    at_inputs.reverse();
    Explanation { relevance: at_inputs, output: record.output().clone(), ledger }
}
