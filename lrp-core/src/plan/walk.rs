//! The relevance walk: from the output back to the inputs, with the ledger.

use super::{Observer, Plan, Values};
use crate::graph::{Body, NodeId};
use crate::kernels::entrance;
use crate::ledger::{Entry, Ledger};
use crate::operator::Io;
use crate::rule::{Outputs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, samples, sums, totals, update_sums};

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

/// Walks from `start` at a node, the output or one inside the network, to the inputs; `observe` sees the relevance received at each node, `[N, …]`. Each of `values` is
/// released when the walk has passed its node: nobody further down reads it.
pub(super) fn walk<T: Scalar>(
    plan: &Plan<T>,
    values: Values<T>,
    output: &Tensor<T>,
    start: (NodeId, Tensor<T>),
    observe: Observer<'_, T>,
) -> Explanation<T> {
    T::enter::<Entrance>((plan, values, output, start, observe))
}

type Arguments<'a, T> = (&'a Plan<T>, Values<T>, &'a Tensor<T>, (NodeId, Tensor<T>), Observer<'a, T>);

entrance!(Entrance<'p, 'a, T>: Arguments<'a, T> => Explanation<T>, compiled);

fn compiled<T: Scalar>((plan, mut values, output, (from, start), observe): Arguments<'_, T>) -> Explanation<T> {
    let model = plan.model();
    let n = samples(&start);
    let mut ledger = Ledger { start: sums(&start), input: vec![0.0; n], entries: Vec::new() };
    // Relevance received at each node so far; complete when the node's turn comes.
    let mut received_at: Vec<Option<Received<T>>> = model.nodes().map(|_| None).collect();
    received_at[from.index()] = Some(Received { totals: totals(&start), relevance: start });
    let mut at_inputs: Vec<Tensor<T>> = Vec::new();
    let nothing = crate::tensor::empty();

    for (id, node) in model.nodes().rev() {
        let is_input = matches!(node.body, Body::Input);
        let Some(Received { relevance: r, totals: received }) = received_at[id.index()].take() else {
            if is_input {
                at_inputs.push(Tensor::zeros(crate::tensor::batch_shape(n, &node.shape)));
            }
            values[id.index()] = None;
            continue;
        };
        observe(id, &r);
        let result = if plan.passes(id) {
            Propagated::lossless(vec![r])
        } else {
            let needs = plan.needs(id);
            let value = |id: NodeId, needed: bool| values[id.index()].as_deref().filter(|_| needed).unwrap_or(&nothing);
            let inputs: Vec<&Tensor<T>> = if is_input {
                vec![value(id, true)]
            } else {
                node.inputs.iter().map(|&i| value(i, needs.inputs)).collect()
            };
            plan.propagate(id, Io { inputs: &inputs, output: value(id, needs.output != Outputs::Nothing) }, &r)
        };
        let value = values[id.index()].take();
        if let Some(input) = plan.lends_to(id) {
            values[input.index()] = value;
        }
        let parts: Vec<Vec<[f64; 2]>> = match plan.passes(id) {
            true => vec![received.clone()],
            false => result.relevance.iter().map(totals).collect(),
        };
        let propagated = parts.iter().fold(vec![[0.0; 2]; n], |sum, part| added(&sum, part));
        let column = |totals: &[[f64; 2]], which: usize| totals.iter().map(|t| t[which]).collect();
        let entry = Entry {
            node: id,
            received: column(&received, 0),
            received_abs: column(&received, 1),
            propagated: column(&propagated, 0),
            propagated_abs: column(&propagated, 1),
            bias: result.bias,
            stabilizer: result.stabilizer,
            rule: result.rule,
        };
        if is_input {
            ledger.input.iter_mut().zip(&entry.propagated).for_each(|(sum, r)| *sum += r);
            at_inputs.extend(result.relevance);
        } else {
            for ((&i, relevance), totals) in node.inputs.iter().zip(result.relevance).zip(parts) {
                match &mut received_at[i.index()] {
                    Some(sum) => sum.add(&relevance),
                    slot => *slot = Some(Received { relevance, totals }),
                }
            }
        }
        ledger.entries.push(entry);
    }
    at_inputs.reverse();
    Explanation { relevance: at_inputs, output: output.clone(), ledger }
}

/// Relevance received at a node, and its `Σ` and `Σ |·|` per sample.
struct Received<T: Scalar> {
    relevance: Tensor<T>,
    totals: Vec<[f64; 2]>,
}

impl<T: Scalar> Received<T> {
    fn add(&mut self, relevance: &Tensor<T>) {
        self.totals = update_sums(&mut self.relevance, relevance, relevance, |sum, r, _| {
            let sum = sum + r;
            (sum, [sum.wide(), sum.abs().wide()])
        });
    }
}

/// `a + b`, for each sample and account.
fn added(a: &[[f64; 2]], b: &[[f64; 2]]) -> Vec<[f64; 2]> {
    a.iter().zip(b).map(|(a, b)| [a[0] + b[0], a[1] + b[1]]).collect()
}
