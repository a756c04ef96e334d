//! Random networks for property tests: chains of blocks with convolutions, pooling, residual sums, concatenations and more,
//! that shrink block by block.

use lrp_core::kernels::window::WindowSpec;
use lrp_core::operator::Kind;
use lrp_core::ops::{
    Activation, Add, AvgPool, Broadcast, Concat, Conv, ConvTranspose, Dense, Function, LayerNorm, MaxPool, Mean, Mul,
    Pad, PadMode, Reshape, Resize, Scale, Select, Taps, Transpose,
};
use lrp_core::{Builder, Model, NodeId, Scalar, Tensor};
use proptest::prelude::*;

use crate::Random;

/// One block of a random network.
#[allow(missing_docs, reason = "the fields are what they are called")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Block {
    /// A convolution and an activation.
    Conv { channels: usize, kernel: usize, stride: usize, pad: usize, dilation: usize, grouped: bool },
    /// A convolution to twice as many positions.
    ConvTranspose { channels: usize },
    /// A batch normalisation that stays an operator of its own.
    BatchNorm,
    /// A sum of the value and a padded convolution of it.
    Residual { subtract: bool },
    /// Two convolutions of the same value, concatenated.
    Branches,
    /// Max pooling.
    MaxPool { pad: usize },
    /// Average pooling.
    AvgPool { include_pad: bool },
    /// Zero padding on its own.
    Pad,
    /// A product and a sum with a constant.
    Scale,
    /// Channels scaled by a gate computed from their means (squeeze and excitation).
    Gate,
    /// The value times another convolution of it: no factor is a gate.
    Product,
    /// Layer normalisation over all axes of a sample.
    LayerNorm,
    /// Every other position from the second on, backwards.
    Slice { channels: bool },
    /// Positions repeated, or interpolated.
    Resize { nearest: bool },
    /// Channels and positions swapped and back again around a dense layer over positions.
    Mixer,
}

/// A random network, to be built by [`Net::build`] in any scalar type.
#[derive(Debug, Clone)]
pub struct Net {
    /// Spatial axes: 1 or 2.
    pub rank: usize,
    /// Input channels.
    pub channels: usize,
    /// Input length of each spatial axis.
    pub length: usize,
    /// The blocks before the head.
    pub blocks: Vec<Block>,
    /// Whether the head averages over positions instead of flattening.
    pub global_pool: bool,
    /// Whether layers have biases (and batch norms shifts, and pads other values than zero).
    pub biases: bool,
    /// Whether activations other than ReLU occur.
    pub any_activation: bool,
    /// Number of outputs.
    pub classes: usize,
    /// Seed of weights and inputs.
    pub seed: u64,
}

/// What a strategy may put into networks.
#[derive(Debug, Clone, Copy)]
pub struct Allow {
    /// Biases, and other constants that take relevance.
    pub biases: bool,
    /// Activations other than ReLU.
    pub any_activation: bool,
    /// Blocks that contain sums, scalings and normalisations (with `false` only convolution, pooling and concatenation).
    pub weightless: bool,
    /// Products of activations and normalisations by statistics of the input, on which LRP-0 is not gradient × input.
    pub products: bool,
}

/// Everything.
pub const ANYTHING: Allow = Allow { biases: true, any_activation: true, weightless: true, products: true };

fn block(allow: Allow) -> BoxedStrategy<Block> {
    let conv = (1..4usize, 1..4usize, 1..3usize, 0..2usize, 1..3usize, any::<bool>()).prop_map(
        |(channels, kernel, stride, pad, dilation, grouped)| Block::Conv {
            channels,
            kernel,
            stride,
            pad,
            dilation,
            grouped,
        },
    );
    let plain = prop_oneof![
        3 => conv,
        1 => (1..3usize).prop_map(|channels| Block::ConvTranspose { channels }),
        1 => Just(Block::Branches),
        1 => (0..2usize).prop_map(|pad| Block::MaxPool { pad }),
        1 => any::<bool>().prop_map(|include_pad| Block::AvgPool { include_pad }),
    ];
    if !allow.weightless {
        return plain.boxed();
    }
    let weightless = prop_oneof![
        5 => plain,
        2 => any::<bool>().prop_map(|subtract| Block::Residual { subtract }),
        1 => Just(Block::BatchNorm),
        1 => Just(Block::Pad),
        1 => Just(Block::Scale),
        1 => any::<bool>().prop_map(|channels| Block::Slice { channels }),
        1 => any::<bool>().prop_map(|nearest| Block::Resize { nearest }),
        1 => Just(Block::Mixer),
    ];
    if !allow.products {
        return weightless.boxed();
    }
    prop_oneof![
        8 => weightless,
        1 => Just(Block::Gate),
        1 => Just(Block::Product),
        1 => Just(Block::LayerNorm),
    ]
    .boxed()
}

/// Random networks.
pub fn nets(allow: Allow) -> impl Strategy<Value = Net> {
    let size = (1..3usize, 1..4usize, 3..7usize);
    let flags = (any::<bool>(), any::<bool>(), 1..4usize, any::<u64>());
    (size, prop::collection::vec(block(allow), 0..5), flags).prop_map(
        move |((rank, channels, length), blocks, (global_pool, mixed, classes, seed))| Net {
            rank,
            channels,
            length,
            blocks,
            global_pool,
            biases: allow.biases,
            any_activation: allow.any_activation && mixed,
            classes,
            seed,
        },
    )
}

impl Net {
    /// The sample shape of the input.
    pub fn input_shape(&self) -> Vec<usize> {
        let mut shape = vec![self.channels];
        shape.extend(vec![self.length; self.rank]);
        shape
    }

    /// A batch of `n` inputs with elements in `[low, high)`.
    pub fn inputs<T: Scalar>(&self, n: usize, low: f64, high: f64) -> Tensor<T> {
        let mut shape = vec![n];
        shape.extend(self.input_shape());
        Random(self.seed ^ 0x5eed).tensor(&shape, low, high)
    }

    /// The network. A block that does not fit any more (nothing left to pool) is left out.
    pub fn build<T: Scalar>(&self) -> Model<T> {
        let mut build = Build { net: self, random: Random(self.seed), graph: Builder::new(), count: 0 };
        let mut x = build.graph.input("input", &self.input_shape());
        for &block in &self.blocks {
            x = build.block(block, x);
        }
        let y = build.head(x);
        build.graph.finish(y).expect("a random network is a network")
    }
}

struct Build<'a, T: Scalar> {
    net: &'a Net,
    random: Random,
    graph: Builder<T>,
    count: usize,
}

impl<T: Scalar> Build<'_, T> {
    fn name(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}{}", self.count)
    }

    fn bias(&mut self, n: usize) -> Option<Vec<T>> {
        (self.net.biases && self.random.below(4) > 0).then(|| self.random.numbers(n, -0.5, 0.5))
    }

    fn shape(&self, x: NodeId) -> Vec<usize> {
        self.graph.shape(x).to_vec()
    }

    fn op(&mut self, name: &str, op: impl lrp_core::operator::Operator<T> + 'static, inputs: &[NodeId]) -> NodeId {
        let name = self.name(name);
        self.graph.add(name, op, inputs).expect("shapes fit")
    }

    fn conv(&mut self, x: NodeId, outputs: usize, spec: &WindowSpec, groups: usize) -> Option<NodeId> {
        let shape = self.shape(x);
        let mut weights = vec![outputs, shape[0] / groups];
        weights.extend(&spec.kernel);
        let (weights, bias) = (self.random.tensor(&weights, -1.0, 1.0), self.bias(outputs));
        let conv = Conv::new(weights, bias, spec, groups, &shape).ok()?;
        Some(self.op("conv", conv, &[x]))
    }

    fn activation(&mut self, x: NodeId) -> NodeId {
        let function = match self.random.below(if self.net.any_activation { 8 } else { 1 }) {
            1 => Function::LeakyRelu { alpha: 0.2 },
            2 => Function::Tanh,
            3 => Function::Sigmoid,
            4 => Function::Clip { low: -0.5, high: 1.0 },
            5 => return x,
            _ => Function::Relu,
        };
        let activation = Activation::new(function, &self.shape(x)).expect("an activation fits any shape");
        self.op("activation", activation, &[x])
    }

    /// A convolution that keeps positions.
    fn same_conv(&mut self, x: NodeId, outputs: usize) -> NodeId {
        let spec = WindowSpec::new(&vec![3; self.net.rank]).pad(1);
        self.conv(x, outputs, &spec, 1).expect("a padded convolution fits")
    }

    fn block(&mut self, block: Block, x: NodeId) -> NodeId {
        let rank = self.net.rank;
        let shape = self.shape(x);
        let channels = shape[0];
        match block {
            Block::Conv { channels: outputs, kernel, stride, pad, dilation, grouped } => {
                let spec = WindowSpec::new(&vec![kernel; rank]).stride(stride).pad(pad).dilation(dilation);
                let groups = if grouped { channels } else { 1 };
                match self.conv(x, outputs * groups, &spec, groups) {
                    Some(y) if self.shape(y)[0] <= 8 => self.activation(y),
                    _ => x,
                }
            }
            Block::ConvTranspose { channels: outputs } => {
                if shape[1] > 8 {
                    return x;
                }
                let spec = WindowSpec::new(&vec![2; rank]).stride(2);
                let space: Vec<usize> = shape[1..].iter().map(|d| 2 * d).collect();
                let mut weights = vec![channels, outputs];
                weights.extend(&spec.kernel);
                let (weights, bias) = (self.random.tensor(&weights, -1.0, 1.0), self.bias(outputs));
                let op = ConvTranspose::new(weights, bias, &spec, 1, &shape, &space).expect("sizes fit");
                let y = self.op("conv-transpose", op, &[x]);
                self.activation(y)
            }
            Block::BatchNorm => {
                let gamma = self.random.numbers::<T>(channels, 0.5, 2.0);
                let var = self.random.numbers(channels, 0.5, 2.0);
                let shift = |this: &mut Self| {
                    if this.net.biases { this.random.numbers(channels, -0.5, 0.5) } else { vec![T::zero(); channels] }
                };
                let (beta, mean) = (shift(self), shift(self));
                let op = Scale::batch_norm(&gamma, &beta, &mean, &var, T::of(1e-5), &shape).expect("sizes fit");
                self.op("batch-norm", op, &[x])
            }
            Block::Residual { subtract } => {
                let y = self.same_conv(x, channels);
                let y = self.activation(y);
                let sum = if subtract { Add::difference(&shape) } else { Add::new(2, &shape) };
                let y = self.op("add", sum.expect("sizes fit"), &[x, y]);
                self.activation(y)
            }
            Block::Branches => {
                let (a, b) = (self.same_conv(x, 1), self.same_conv(x, 2));
                let a = self.activation(a);
                let concat = Concat::new(1, &[&self.shape(a), &self.shape(b)]).expect("sizes fit");
                self.op("concat", concat, &[a, b])
            }
            Block::MaxPool { pad } => match MaxPool::new(&WindowSpec::new(&vec![2; rank]).stride(2).pad(pad), &shape) {
                Ok(pool) => self.op("max-pool", pool, &[x]),
                Err(_) => x,
            },
            Block::AvgPool { include_pad } => {
                let mut spec = WindowSpec::new(&vec![2; rank]).stride(2);
                // Padding that counts makes the divisor larger than the number of inputs.
                spec = if include_pad { spec.pad(1) } else { spec };
                match AvgPool::new(&spec, include_pad, &shape) {
                    Ok(pool) => self.op("avg-pool", pool, &[x]),
                    Err(_) => x,
                }
            }
            Block::Pad => {
                let mut amounts = vec![1; rank + 1];
                amounts[0] = 0;
                let value = if self.net.biases { 0.3 } else { 0.0 };
                let pad = Pad::new(PadMode::Constant(value), &amounts, &amounts, &shape).expect("sizes fit");
                self.op("pad", pad, &[x])
            }
            Block::Scale => {
                let mut constant = vec![channels];
                constant.extend(vec![1; rank]);
                let weight = self.random.tensor(&constant, 0.5, 2.0);
                let bias = self.net.biases.then(|| self.random.tensor(&constant, -0.5, 0.5));
                let scale = Scale::new(Some(weight), bias, &shape).expect("sizes fit");
                self.op("scale", scale, &[x])
            }
            Block::Gate => {
                let axes: Vec<usize> = (2..=shape.len()).collect();
                let mean = self.op("mean", Mean::new(&axes, true, &shape).expect("axes exist"), &[x]);
                let spec = WindowSpec::new(&vec![1; rank]);
                let gate = self.conv(mean, channels, &spec, 1).expect("a pointwise convolution fits");
                let sigmoid = Activation::new(Function::Sigmoid, &self.shape(gate)).expect("fits");
                let gate = self.op("sigmoid", sigmoid, &[gate]);
                let spread = Broadcast::new(&self.shape(gate), &shape).expect("axes of length one");
                let gate = self.op("broadcast", spread, &[gate]);
                self.op("mul", Mul::new(Some(1), &shape).expect("fits"), &[x, gate])
            }
            Block::Product => {
                let y = self.same_conv(x, channels);
                self.op("mul", Mul::new(None, &shape).expect("fits"), &[x, y])
            }
            Block::LayerNorm => {
                let n = shape.iter().product();
                let gamma = self.random.numbers(n, 0.5, 2.0);
                let beta = self.bias(n);
                let norm = LayerNorm::new(shape.len(), gamma, beta, T::of(1e-3), &shape).expect("sizes fit");
                self.op("layer-norm", norm, &[x])
            }
            Block::Slice { channels: along_channels } => {
                let axis = if along_channels { 1 } else { shape.len() };
                let length = shape[axis - 1];
                let slice = Select::slice(axis, length - 1, -2, length.div_ceil(2), &shape).expect("within the axis");
                self.op("slice", slice, &[x])
            }
            Block::Resize { nearest } => {
                if shape[1] > 6 {
                    return x;
                }
                if nearest {
                    let indices: Vec<Vec<usize>> = shape
                        .iter()
                        .enumerate()
                        .map(|(a, &d)| (0..d).flat_map(|i| vec![i; a.min(1) + 1]).collect())
                        .collect();
                    let copies = Select::new(Kind::ResizeNearest, String::new(), &indices, &shape).expect("within");
                    return self.op("resize-nearest", copies, &[x]);
                }
                // Points in the middle between neighbours are added along every spatial axis.
                let along = |d: usize| -> Vec<Taps<T>> {
                    let half = T::of(0.5);
                    let between = |i: usize| {
                        if i.is_multiple_of(2) {
                            vec![(i / 2, T::one())]
                        } else {
                            vec![(i / 2, half), (i / 2 + 1, half)]
                        }
                    };
                    (0..2 * d - 1).map(between).collect()
                };
                let same = (0..channels).map(|c| vec![(c, T::one())]).collect();
                let axes: Vec<Vec<Taps<T>>> =
                    std::iter::once(same).chain(shape[1..].iter().map(|&d| along(d))).collect();
                self.op("resize", Resize::new(&axes, &shape).expect("within"), &[x])
            }
            Block::Mixer => {
                let mut permutation: Vec<usize> = (0..=rank + 1).collect();
                permutation[1..].reverse();
                let to = Transpose::new(&permutation, &shape).expect("a permutation");
                let y = self.op("transpose", to, &[x]);
                let turned = self.shape(y);
                let (weights, bias) = (self.random.tensor(&[channels, channels], -1.0, 1.0), self.bias(channels));
                let dense = Dense::new(weights, bias, &turned).expect("sizes fit");
                let y = self.op("dense", dense, &[y]);
                let y = self.activation(y);
                let back = Transpose::new(&permutation, &turned).expect("a permutation");
                self.op("transpose", back, &[y])
            }
        }
    }

    fn head(&mut self, x: NodeId) -> NodeId {
        let shape = self.shape(x);
        let x = if self.net.global_pool {
            let axes: Vec<usize> = (2..=shape.len()).collect();
            self.op("mean", Mean::new(&axes, false, &shape).expect("axes exist"), &[x])
        } else {
            let flat = Reshape::new(&shape, &[shape.iter().product()]).expect("same elements");
            self.op("flatten", flat, &[x])
        };
        let x = self.dense(x, 4);
        let x = self.activation(x);
        self.dense(x, self.net.classes)
    }

    fn dense(&mut self, x: NodeId, outputs: usize) -> NodeId {
        let shape = self.shape(x);
        let (weights, bias) = (self.random.tensor(&[outputs, shape[0]], -1.0, 1.0), self.bias(outputs));
        let dense = Dense::new(weights, bias, &shape).expect("sizes fit");
        self.op("dense", dense, &[x])
    }
}
