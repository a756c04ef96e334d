//! The nodes of a network whose values are maps: channels first, then positions that are places of the input.

use std::collections::HashMap;

use lrp_core::operator::Kind;
use lrp_core::{Model, NodeId, Scalar};

/// For each node whose samples are `[C, positions…]`, the number of axes of positions: 2 of `[C, H, W]`.
///
/// Convolutions and windows of pooling say that axes are positions, and what keeps axes in place keeps that. An attention's weights, `[heads, T,
/// T]`, look the same and are no maps.
pub fn maps<T: Scalar>(model: &Model<T>) -> HashMap<NodeId, usize> {
    let mut maps: HashMap<NodeId, usize> = HashMap::new();
    for (id, node) in model.nodes() {
        let (Some(kind), Some(positions)) = (node.kind(), node.shape.len().checked_sub(1)) else { continue };
        let is_map = match kind {
            // The first axis counts parts, such as the frames of a video.
            _ if node.op().is_some_and(|op| op.folded().is_some()) => false,
            Kind::Conv | Kind::ConvTranspose | Kind::AvgPool | Kind::MaxPool => true,
            Kind::Reshape | Kind::Transpose | Kind::MatMul | Kind::Dense => false,
            Kind::Lstm | Kind::Gru | Kind::Rnn | Kind::Embedding => false,
            _ => node.inputs.iter().any(|input| maps.get(input) == Some(&positions)),
        };
        if is_map && positions > 0 {
            maps.insert(id, positions);
        }
    }
    maps
}

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::Tensor;
    use lrp_core::graph::Builder;
    use lrp_core::kernels::window::WindowSpec;
    use lrp_core::ops::{Activation, Conv, Function, Reshape};

    #[test]
    fn maps_begin_at_convolutions_and_end_where_axes_move() {
        let mut net = Builder::<f64>::new();
        let relu = |shape: &[usize]| Activation::new(Function::Relu, shape).unwrap();
        let x = net.input("x", &[1, 2, 2]);
        let before = net.add("before", relu(&[1, 2, 2]), &[x]).unwrap();
        let weights = Tensor::ones(vec![3, 1, 1, 1]);
        let conv = Conv::new(weights, None, &WindowSpec::new(&[1, 1]), 1, &[1, 2, 2]).unwrap();
        let conv = net.add("conv", conv, &[before]).unwrap();
        let after = net.add("after", relu(&[3, 2, 2]), &[conv]).unwrap();
        let moved = net.add("moved", Reshape::new(&[3, 2, 2], &[2, 3, 2]).unwrap(), &[after]).unwrap();
        let last = net.add("last", relu(&[2, 3, 2]), &[moved]).unwrap();
        let model = net.finish(last).unwrap();
        assert_eq!(maps(&model), HashMap::from([(conv, 2), (after, 2)]));
    }
}
