//! The forward pass of a model, and nothing else: without rules, and without a record of activations.

use lrp_core::graph::Body;
use lrp_core::{Model, Scalar, Tensor};

/// The model's output for its inputs, in the order of [`Model::inputs`], `[N, …]` each; no tensor where inputs are missing. Values are dropped
/// when no node needs them any more.
pub fn output<T: Scalar>(model: &Model<T>, inputs: &[&Tensor<T>]) -> Option<Tensor<T>> {
    let samples = inputs.first()?.shape().first().copied()?;
    let mut given = inputs.iter();
    let mut uses: Vec<usize> = vec![0; model.nodes().len()];
    for id in model.nodes().flat_map(|(_, node)| &node.inputs).chain([&model.output()]) {
        *uses.get_mut(id.index())? += 1;
    }
    let mut values: Vec<Option<Tensor<T>>> = Vec::new();
    for (_, node) in model.nodes() {
        let value = match &node.body {
            Body::Input => (*given.next()?).clone(),
            Body::Constant(c) => {
                let shape: Vec<usize> = std::iter::once(samples).chain(c.shape().iter().copied()).collect();
                c.broadcast(shape)?.to_owned()
            }
            Body::Operator(op) => {
                let inputs: Vec<&Tensor<T>> =
                    node.inputs.iter().filter_map(|id| values.get(id.index())?.as_ref()).collect();
                op.forward(&inputs)
            }
        };
        values.push(Some(value));
        for id in &node.inputs {
            let left = uses.get_mut(id.index())?;
            *left = left.saturating_sub(1);
            if *left == 0 {
                *values.get_mut(id.index())? = None;
            }
        }
    }
    values.get_mut(model.output().index())?.take()
}
