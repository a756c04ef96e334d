//! The layers of attention, by the structure of the model: exporters drop the names that would tell.

use std::collections::BTreeSet;

use lrp_core::operator::{Group, Kind};
use lrp_core::{Model, NodeId, Scalar};

/// The weighted layers whose output is a factor of a matrix product of two activations (queries, keys and values), or whose input comes out of
/// one (the projection of the output), with no other weighted layer between.
pub fn layers<T: Scalar>(model: &Model<T>) -> BTreeSet<NodeId> {
    let kind = |id: NodeId| model.node(id).kind();
    // For each node, the weighted layers that it comes from, and whether it comes out of a product without one.
    let mut sources: Vec<BTreeSet<NodeId>> = Vec::new();
    let mut after_product: Vec<bool> = Vec::new();
    let mut found = BTreeSet::new();
    for (id, node) in model.nodes() {
        let before = || node.inputs.iter().flat_map(|input| sources[input.index()].iter().copied());
        match kind(id) {
            Some(Kind::MatMul) => {
                found.extend(before());
                sources.push(BTreeSet::new());
                after_product.push(true);
            }
            Some(kind) if kind.group() == Group::Weighted => {
                if node.inputs.iter().any(|input| after_product[input.index()]) {
                    found.insert(id);
                }
                sources.push(BTreeSet::from([id]));
                after_product.push(false);
            }
            // Heads are split and joined, scores scaled, positions rotated; but what is normalised as a whole is another layer's input, and
            // so is what an activation made of it.
            Some(kind) if passes(kind) => {
                sources.push(before().collect());
                let moves = matches!(kind.group(), Group::Structural);
                after_product.push(moves && node.inputs.iter().any(|input| after_product[input.index()]));
            }
            _ => {
                sources.push(BTreeSet::new());
                after_product.push(false);
            }
        }
    }
    found
}

/// Whether a value that a layer made is still that layer's after an operator of this kind.
fn passes(kind: Kind) -> bool {
    let mixes = matches!(kind, Kind::Mul | Kind::Scale | Kind::Add | Kind::RmsNorm | Kind::Normalize);
    mixes || kind.group() == Group::Structural
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lrp_core::ops::{Activation, Add, Dense, Function, MatMul, Softmax, Transpose};
    use lrp_core::{Builder, Model, NodeId, Tensor};

    /// A block of attention with one head, and a multilayer perceptron, both with their skip connections.
    fn block() -> (Arc<Model<f64>>, Vec<NodeId>) {
        let dense = || Dense::new(Tensor::<f64>::ones(vec![2, 2]), None, &[3, 2]).unwrap();
        let mut net = Builder::new();
        let x = net.input("x", &[3, 2]);
        let [q, k, v] = ["q", "k", "v"].map(|name| net.add(name, dense(), &[x]).unwrap());
        let turned = net.add("turned", Transpose::new(&[0, 2, 1], &[3, 2]).unwrap(), &[k]).unwrap();
        let scores = net.add("scores", MatMul::new(&[3, 2], &[2, 3]).unwrap(), &[q, turned]).unwrap();
        let weights = net.add("weights", Softmax::new(2, &[3, 3]).unwrap(), &[scores]).unwrap();
        let mixed = net.add("mixed", MatMul::new(&[3, 3], &[3, 2]).unwrap(), &[weights, v]).unwrap();
        let out = net.add("out", dense(), &[mixed]).unwrap();
        let sum = net.add("sum", Add::new(2, &[3, 2]).unwrap(), &[x, out]).unwrap();
        let up = net.add("up", dense(), &[sum]).unwrap();
        let relu = net.add("relu", Activation::new(Function::Relu, &[3, 2]).unwrap(), &[up]).unwrap();
        let down = net.add("down", dense(), &[relu]).unwrap();
        let y = net.add("y", Add::new(2, &[3, 2]).unwrap(), &[sum, down]).unwrap();
        (Arc::new(net.finish(y).unwrap()), vec![q, k, v, out])
    }

    #[test]
    fn projections_are_attention_and_the_perceptron_is_not() {
        let (model, expected) = block();
        assert_eq!(super::layers(&model).into_iter().collect::<Vec<_>>(), expected);
    }
}
