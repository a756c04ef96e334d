//! Makes one dense layer of a product with a constant matrix and the sum with a constant that follows it (as exporters
//! write `x·W + b`), so that rules see the bias as the layer's.

use lrp_core::ops::shared;
use lrp_core::{Scalar, Tensor};

use super::Passed;
use crate::graph::{Constants, Graph, Linear, Node, Origin, Rewrite};

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    let uses = graph.uses();
    let mut new = Rewrite::default();
    for node in graph.nodes {
        match fused(&new, &node, &uses) {
            Some(dense) => {
                new.changes.push(format!("'{}' into '{}'", node.name, dense.name));
                new.replace(dense);
            }
            None => new.keep(node),
        }
    }
    new.finish(graph.output)
}

/// The dense layer that a sum with a constant and the layer before it make together.
fn fused<T: Scalar>(new: &Rewrite<T>, sum: &Node<T>, uses: &[usize]) -> Option<Node<T>> {
    let (Some(Origin::Scale(Constants { weight: None, .. })), &[input]) = (sum.origin(), sum.inputs.as_slice()) else {
        return None;
    };
    let dense = new.node(input).filter(|_| uses.get(input) == Some(&1))?;
    let Some(Origin::Dense(linear)) = dense.origin() else { return None };
    let outputs = *dense.shape.last()?;
    let shift = per_output(sum.op()?.as_affine()?.bias()?, outputs)?;
    let bias = match &linear.bias {
        Some(own) => own.iter().zip(shift).map(|(a, b)| a + b).collect(),
        None => shift,
    };
    let linear = Linear { bias: Some(bias), ..linear.clone() };
    let op = linear.build::<T>(dense.op()?.input_shapes().first()?).ok()?;
    (sum.shape == dense.shape).then(|| dense.with(shared(op), Origin::Dense(linear), dense.inputs.clone()))
}

/// A constant as one number per output, if it is the same at all positions.
fn per_output<T: Scalar>(constant: &Tensor<T>, outputs: usize) -> Option<Vec<f64>> {
    let (last, others) = constant.shape().split_last().unwrap_or((&1, &[]));
    if others.iter().any(|&d| d != 1) || (*last != 1 && *last != outputs) {
        return None;
    }
    Some(constant.iter().cycle().take(outputs).map(|v| v.wide()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Net, check_pass, kinds};

    #[test]
    fn a_product_and_a_sum_become_one_layer() {
        for (sample, bias) in [(&[4][..], &[3][..]), (&[2, 4], &[3]), (&[2, 4], &[1, 1, 3]), (&[4], &[1])] {
            let mut net = Net::new(sample);
            let (w, b) = (net.weight(&[4, 3]), net.weight(bias));
            let z = net.op("MatMul", &["x", &w], &[]);
            net.op("Add", &[&b, &z], &[]);
            let shape: Vec<usize> = sample.iter().map(|&d| d as usize).collect();
            assert_eq!(kinds(&check_pass(run, &net, &shape, 1)), ["dense"]);
        }
    }

    #[test]
    fn sums_that_are_no_bias_stay() {
        // The product is used elsewhere, too.
        let mut net = Net::new(&[4]);
        let (w, b) = (net.weight(&[4, 3]), net.weight(&[3]));
        let z = net.op("MatMul", &["x", &w], &[]);
        let y = net.op("Add", &[&z, &b], &[]);
        net.op("Add", &[&y, &z], &[]);
        check_pass(run, &net, &[4], 0);
        // The constant differs between positions.
        let mut net = Net::new(&[2, 4]);
        let (w, b) = (net.weight(&[4, 3]), net.weight(&[2, 3]));
        let z = net.op("MatMul", &["x", &w], &[]);
        net.op("Add", &[&z, &b], &[]);
        check_pass(run, &net, &[2, 4], 0);
    }
}
