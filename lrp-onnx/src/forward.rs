//! The forward pass of the models that an import gives besides the one that is explained.

use lrp_core::graph::Body;
use lrp_core::{Model, Scalar, Tensor};

/// The model's output for its inputs, in the order of [`Model::inputs`], `[N, …]` each; no tensor where inputs are missing.
pub(crate) fn output<T: Scalar>(model: &Model<T>, inputs: &[&Tensor<T>]) -> Option<Tensor<T>> {
    let samples = inputs.first()?.shape().first().copied()?;
    let mut given = inputs.iter();
    let mut values: Vec<Tensor<T>> = Vec::new();
    for (_, node) in model.nodes() {
        let value = match &node.body {
            Body::Input => (*given.next()?).clone(),
            Body::Constant(c) => {
                let shape: Vec<usize> = std::iter::once(samples).chain(c.shape().iter().copied()).collect();
                c.broadcast(shape)?.to_owned()
            }
            Body::Operator(op) => {
                let inputs: Vec<&Tensor<T>> = node.inputs.iter().filter_map(|id| values.get(id.index())).collect();
                op.forward(&inputs)
            }
        };
        values.push(value);
    }
    let at = model.output().index();
    (at < values.len()).then(|| values.swap_remove(at))
}
