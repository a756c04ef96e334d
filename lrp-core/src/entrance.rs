//! Bounds of the inputs of the first layers, from the lowest and highest values of the model's input.
//!
//! z-box needs bounds of a layer's input, and those of the model's input are known. They are propagated by the operators in
//! between, element by element, with the rounding of the forward pass: an input at its bound is at the propagated bound, bit for bit.

use crate::graph::{Body, Model, Node, NodeId};
use crate::operator::{Group, Kind, Operator};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, add_broadcast, batch_shape, neg, pos};

/// The lowest and the highest value of every element, `[1, …]`.
pub type Bounds<T> = [Tensor<T>; 2];

/// Why the bounds of the model's input say nothing about those of a layer's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoBounds {
    /// This node, on the way, does not keep them.
    Lost(NodeId),
    /// There is not one number, and not one for each channel of the model's input, which has this sample shape.
    Channels(Vec<usize>),
}

impl<T: Scalar> Model<T> {
    /// Bounds of each input of the node `id`, where the values of the model's inputs lie between `low` and `high`: one number each, or one
    /// for each channel (the first axis of the sample shape, or the last one where only that fits).
    ///
    /// # Errors
    /// When an operator on the way does not keep them, or there are as many numbers as an input has no channels.
    pub fn input_box_at(&self, id: NodeId, low: &[f64], high: &[f64]) -> Result<Vec<Bounds<T>>, NoBounds> {
        if let Some(lost) = self.loses_bounds(id) {
            return Err(NoBounds::Lost(lost));
        }
        let needed = self.before(id);
        let mut found: Vec<Option<Bounds<T>>> = self.nodes().map(|_| None).collect();
        for (before, node) in self.nodes().take(id.index()).filter(|(before, _)| needed[before.index()]) {
            found[before.index()] = Some(match &node.body {
                Body::Input => [of_channels(low, &node.shape)?, of_channels(high, &node.shape)?],
                Body::Constant(value) => {
                    let value = value.clone().insert_axis(ndarray::Axis(0));
                    [value.clone(), value]
                }
                Body::Operator(op) => {
                    let inputs: Vec<&Bounds<T>> =
                        node.inputs.iter().filter_map(|i| found[i.index()].as_ref()).collect();
                    carried(op.as_ref(), &inputs)
                }
            });
        }
        Ok(self.node(id).inputs.iter().filter_map(|i| found[i.index()].clone()).collect())
    }

    /// Whether nothing but moving elements happens between the model's inputs and the inputs of the node `id`.
    pub fn moves_only(&self, id: NodeId) -> bool {
        let needed = self.before(id);
        let moves = |node: &Node<T>| node.kind().is_none_or(|kind| kind.group() == Group::Structural && !chooses(kind));
        self.nodes().all(|(before, node)| !needed[before.index()] || moves(node))
    }

    /// The first node on the way from the model's inputs to those of the node `id` that does not keep bounds.
    pub fn loses_bounds(&self, id: NodeId) -> Option<NodeId> {
        let needed = self.before(id);
        let loses = |node: &Node<T>| node.op().is_some_and(|op| !keeps_bounds(op.as_ref()));
        self.nodes().find(|(before, node)| needed[before.index()] && loses(node)).map(|(lost, _)| lost)
    }

    /// For each node whether the inputs of `id` depend on it.
    fn before(&self, id: NodeId) -> Vec<bool> {
        let mut needed = vec![false; self.nodes().len()];
        let mut open = self.node(id).inputs.clone();
        while let Some(next) = open.pop() {
            if !std::mem::replace(&mut needed[next.index()], true) {
                open.extend(&self.node(next).inputs);
            }
        }
        needed
    }
}

/// Whether one input chooses elements of the others: the output does not grow with it.
fn chooses(kind: Kind) -> bool {
    matches!(kind, Kind::Where | Kind::Pick)
}

/// Whether bounds of the inputs give bounds of the output: for operators without weights that are affine, or grow with every input.
fn keeps_bounds<T: Scalar>(op: &dyn Operator<T>) -> bool {
    match op.kind().group() {
        Group::Structural | Group::Winner => !chooses(op.kind()),
        Group::Preprocessing | Group::Weightless => op.as_affine().is_some(),
        _ => matches!(op.kind(), Kind::Relu | Kind::Clip | Kind::Sigmoid | Kind::Tanh | Kind::Softplus | Kind::Erf),
    }
}

/// The bounds of the output of an operator that keeps them.
fn carried<T: Scalar>(op: &dyn Operator<T>, inputs: &[&Bounds<T>]) -> Bounds<T> {
    let forward = |xs: &[&Tensor<T>]| op.forward(xs);
    let side = |side: usize| -> Vec<&Tensor<T>> { inputs.iter().map(|bounds| &bounds[side]).collect() };
    match (op.as_affine(), op.kind(), inputs) {
        // Element by element: each has the bound that a factor's sign makes the lower one.
        (Some(affine), Kind::Preprocessing | Kind::Scale, [[low, high]]) => {
            let weights = affine.adjoint(&Tensor::ones(low.raw_dim()));
            let Some(weights) = weights.first() else { return [forward(&[low]), forward(&[high])] };
            let chosen = |other: &Tensor<T>, bound: &Tensor<T>| {
                ndarray::Zip::from(weights)
                    .and(other)
                    .and(bound)
                    .map_collect(|&w, &other, &bound| if w < T::zero() { other } else { bound })
            };
            [forward(&[&chosen(high, low)]), forward(&[&chosen(low, high)])]
        }
        (Some(affine), ..) => {
            let (positive, negative) = (affine.map_weights(&pos), affine.map_weights(&neg));
            [(side(0), side(1)), (side(1), side(0))].map(|(own, other)| {
                let mut bound = positive.apply(&own) + negative.apply(&other);
                if let Some(bias) = affine.bias() {
                    add_broadcast(&mut bound, bias);
                }
                bound
            })
        }
        _ => [forward(&side(0)), forward(&side(1))],
    }
}

/// A tensor `[1, shape…]` with one value everywhere, or one per channel.
fn of_channels<T: Scalar>(values: &[f64], shape: &[usize]) -> Result<Tensor<T>, NoBounds> {
    let n = values.len();
    let axis = match (shape.first(), shape.last()) {
        _ if n == 1 => 0,
        (Some(first), _) if *first == n => 1,
        (_, Some(last)) if *last == n => shape.len(),
        _ => return Err(NoBounds::Channels(shape.to_vec())),
    };
    let value = |index: ndarray::IxDyn| values.get(index[axis] % n).copied().unwrap_or(0.0);
    Ok(Tensor::from_shape_fn(batch_shape(1, shape), |index| T::of(value(index))))
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, array};

    use super::*;
    use crate::graph::Builder;
    use crate::kernels::window::WindowSpec;
    use crate::ops::{Activation, AvgPool, Concat, Dense, Function, Pad, PadMode, Preprocessing, Select, Transpose};

    /// Adds a node named after its operator.
    fn add(net: &mut Builder<f64>, op: impl Operator<f64> + 'static, inputs: &[NodeId]) -> NodeId {
        let name = format!("{}{}", op.kind(), inputs[0].index());
        net.add(name, op, inputs).unwrap()
    }

    fn preprocessing(weight: ArrayD<f64>, bias: ArrayD<f64>, shape: &[usize]) -> Preprocessing<f64> {
        Preprocessing::new(Some(weight), Some(bias), shape).unwrap()
    }

    fn dense(net: &mut Builder<f64>, x: NodeId) -> NodeId {
        let shape = net.shape(x).to_vec();
        let weights = Tensor::ones(vec![1, *shape.last().unwrap()]);
        add(net, Dense::new(weights, None, &shape).unwrap(), &[x])
    }

    #[test]
    fn by_hand_with_a_change_of_sign_a_flip_of_channels_and_a_pad() {
        let mut net = Builder::new();
        let x = net.input("x", &[1, 1, 2]);
        let weight = array![[[2.0, -1.0]]].into_dyn();
        let y = add(&mut net, preprocessing(weight, array![[[1.0, 0.5]]].into_dyn(), &[1, 1, 2]), &[x]);
        let y = add(&mut net, Transpose::new(&[0, 3, 1, 2], &[1, 1, 2]).unwrap(), &[y]);
        let flip = Select::new(Kind::Gather, String::new(), &[vec![1, 0], vec![0], vec![0]], &[2, 1, 1]).unwrap();
        let y = add(&mut net, flip, &[y]);
        let pad = Pad::new(PadMode::Constant(0.0), &[0, 0, 0], &[0, 0, 1], &[2, 1, 1]).unwrap();
        let y = add(&mut net, pad, &[y]);
        let z = dense(&mut net, y);
        let model = net.finish(z).unwrap();
        let layer = model.layers()[0];
        // The last axis has the channels: 2 x + 1 in [0, 10], 0.5 − x in [1, 3].
        let bounds = model.input_box_at(layer, &[0.0, 1.0], &[10.0, 3.0]).unwrap();
        let expected =
            [array![[[[-2.5, 0.0]], [[1.0, 0.0]]]].into_dyn(), array![[[[-0.5, 0.0]], [[21.0, 0.0]]]].into_dyn()];
        assert_eq!(bounds, [expected]);
        assert!(!model.moves_only(layer) && model.has_preprocessing());
        assert_eq!(model.first_layers(), [layer]);
        assert_eq!(model.input_box_at(layer, &[0.0; 4], &[1.0]).unwrap_err(), NoBounds::Channels(vec![1, 1, 2]));
    }

    #[test]
    fn pooling_clipping_and_constants() {
        let mut net = Builder::new();
        let x = net.input("x", &[1, 4]);
        let pool = AvgPool::new(&WindowSpec { stride: vec![2], ..WindowSpec::new(&[2]) }, true, &[1, 4]).unwrap();
        let pooled = add(&mut net, pool, &[x]);
        let clip = Activation::new(Function::Clip { low: 0.0, high: 0.5 }, &[1, 2]).unwrap();
        let clipped = add(&mut net, clip, &[pooled]);
        let constant = net.constant("c", array![[7.0, -7.0]].into_dyn());
        let both = add(&mut net, Concat::new(1, &[&[1, 2], &[1, 2]]).unwrap(), &[clipped, constant]);
        let z = dense(&mut net, both);
        let model = net.finish(z).unwrap();
        let [low, high] = &model.input_box_at(model.layers()[0], &[-1.0], &[1.0]).unwrap()[0];
        assert_eq!(low, &array![[[0.0, 0.0], [7.0, -7.0]]].into_dyn());
        assert_eq!(high, &array![[[0.5, 0.5], [7.0, -7.0]]].into_dyn());
    }

    #[test]
    fn what_loses_the_bounds_is_named() {
        let mut net = Builder::new();
        let x = net.input("x", &[2]);
        let y = dense(&mut net, x);
        let z = dense(&mut net, y);
        let model = net.finish(z).unwrap();
        let [first, second] = model.layers() else { panic!("two layers") };
        assert_eq!(model.input_box_at(*second, &[0.0], &[1.0]).unwrap_err(), NoBounds::Lost(*first));
        assert!(model.moves_only(*first));
        let exact = model.input_box_at(*first, &[0.25], &[0.5]).unwrap();
        assert_eq!(exact, [[array![[0.25, 0.25]].into_dyn(), array![[0.5, 0.5]].into_dyn()]]);
    }

    /// Whatever lies in the box lies in the carried box, and its corners are reached.
    #[test]
    fn a_picture_at_its_bounds_is_at_the_carried_bounds() {
        let mut net = Builder::<f32>::new();
        let x = net.input("x", &[3, 2]);
        let of = |values: [f64; 3]| Some(ArrayD::from_shape_vec(vec![3, 1], values.to_vec()).unwrap());
        let op = Preprocessing::new(of([1.0 / 0.229, -1.0 / 0.224, 0.3]), of([-0.485 / 0.229, 0.1, -7.7]), &[3, 2]);
        let y = net.add("scale", op.unwrap(), &[x]).unwrap();
        let z = net.add("dense", Dense::new(Tensor::ones(vec![1, 2]), None, &[3, 2]).unwrap(), &[y]).unwrap();
        let model = net.finish(z).unwrap();
        let [low, high] = &model.input_box_at(model.layers()[0], &[0.1], &[0.7]).unwrap()[0];
        let op = model.node(y).op().unwrap();
        for (value, bounds) in [(0.1_f32, [low, high, low]), (0.7, [high, low, high])] {
            let reached = op.forward(&[&Tensor::from_elem(vec![1, 3, 2], value)]);
            for (channel, bound) in bounds.into_iter().enumerate() {
                assert_eq!(reached[[0, channel, 1]].to_bits(), bound[[0, channel, 1]].to_bits());
            }
        }
    }
}
