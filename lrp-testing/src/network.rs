//! Random networks for property tests: chains of blocks with convolutions, pooling, residual sums, concatenations, gates and more,
//! that shrink block by block and print as code.

use std::fmt;

use lrp_core::kernels::window::WindowSpec;
use lrp_core::operator::Kind;
use lrp_core::ops::{Cell, Direction, Divisor, Function, PadMode, Parameters, Relation, Taps};
use lrp_core::{Model, Scalar, Tensor};
use proptest::prelude::*;

use crate::draft::{Draft, Place};
use crate::op::Op;
use crate::random::Random;

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
    /// A value that is used three times: as it is, after an activation, and after a convolution.
    Shared,
    /// Another input of the network, added to the value or concatenated with it.
    Join { concat: bool },
    /// Softmax over channels or along the last axis.
    Softmax { channels: bool },
    /// The larger of the value and a convolution of it, by a comparison.
    Choice,
    /// The two largest or smallest elements along the last axis.
    TopK { largest: bool },
    /// Running sums along the last axis.
    CumSum { reverse: bool },
    /// The value times the products of its positions with each other, as attention without a softmax.
    MatMul,
    /// Division by the root mean square over channels.
    Normalize,
    /// The positions as the steps of an LSTM or GRU.
    Recurrent { gru: Option<bool>, both: bool, hidden: usize },
}

/// A random network, to be built by [`Net::build`] in any scalar type. `Debug` and `Display` print the code that builds it.
#[derive(Clone)]
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
    /// Bits after the point that weights are rounded to: 52 unless shrinking has found that fewer, shorter ones fail as well.
    pub bits: i32,
}

/// The operators that a strategy may put into networks.
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
    /// More than one input.
    pub joins: bool,
}

/// Everything.
pub const ANYTHING: Allow = Allow { biases: true, any_activation: true, weightless: true, products: true, joins: true };

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
        1 => Just(Block::Shared),
        1 => Just(Block::Choice),
        1 => any::<bool>().prop_map(|largest| Block::TopK { largest }),
        1 => any::<bool>().prop_map(|reverse| Block::CumSum { reverse }),
    ];
    let joined = if allow.joins {
        prop_oneof![12 => weightless, 1 => any::<bool>().prop_map(|concat| Block::Join { concat })].boxed()
    } else {
        weightless.boxed()
    };
    if !allow.products {
        return joined;
    }
    let recurrent = (prop::option::of(any::<bool>()), any::<bool>(), 1..3usize);
    prop_oneof![
        16 => joined,
        2 => Just(Block::Gate),
        2 => Just(Block::Product),
        2 => Just(Block::LayerNorm),
        1 => Just(Block::MatMul),
        1 => Just(Block::Normalize),
        1 => any::<bool>().prop_map(|channels| Block::Softmax { channels }),
        1 => recurrent.prop_map(|(gru, both, hidden)| Block::Recurrent { gru, both, hidden }),
    ]
    .boxed()
}

/// Random networks.
pub fn nets(allow: Allow) -> impl Strategy<Value = Net> {
    let size = (1..3usize, 1..4usize, 3..7usize);
    // Few networks have short weights to begin with; shrinking makes them shorter while they fail.
    let bits = (2..1000i32).prop_map(|bits| bits.min(52));
    let flags = (any::<bool>(), any::<bool>(), 1..4usize, any::<u64>(), bits);
    (size, prop::collection::vec(block(allow), 0..5), flags).prop_map(
        move |((rank, channels, length), blocks, (global_pool, mixed, classes, seed, bits))| Net {
            rank,
            channels,
            length,
            blocks,
            global_pool,
            biases: allow.biases,
            any_activation: allow.any_activation && mixed,
            classes,
            seed,
            bits,
        },
    )
}

impl Net {
    /// The sample shape of the first input.
    pub fn input_shape(&self) -> Vec<usize> {
        let mut shape = vec![self.channels];
        shape.extend(vec![self.length; self.rank]);
        shape
    }

    /// A batch of `n` samples for each input of the network, with elements in `[low, high)`.
    pub fn inputs<T: Scalar>(&self, n: usize, low: f64, high: f64) -> Vec<Tensor<T>> {
        let mut random = Random(self.seed ^ 0x5eed);
        let batch = |sample: &Vec<usize>| {
            let shape = [&[n][..], sample].concat();
            Tensor::from_shape_simple_fn(shape, || T::of(round(random.uniform(low, high), self.bits)))
        };
        self.draft().input_shapes().iter().map(batch).collect()
    }

    /// The network. A block that does not fit any more (nothing left to pool) is left out.
    pub fn build<T: Scalar>(&self) -> Model<T> {
        self.draft().model()
    }

    /// The network as data.
    pub fn draft(&self) -> Draft {
        let mut build = Build { net: self, random: Random(self.seed), draft: Draft::new(), count: 0 };
        let mut x = build.draft.input("input", &self.input_shape());
        for &block in &self.blocks {
            x = build.block(block, x);
        }
        build.head(x);
        build.draft
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.draft().fmt(f)
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Net { rank, channels, length, blocks, global_pool, biases, any_activation, classes, seed, bits } = self;
        write!(
            f,
            "\n// Net {{ rank: {rank}, channels: {channels}, length: {length}, blocks: vec!{blocks:?}, global_pool: {global_pool}, \
             biases: {biases}, any_activation: {any_activation}, classes: {classes}, seed: {seed}, bits: {bits} }}\n{self}"
        )
    }
}

/// `v` with this many bits after the point.
fn round(v: f64, bits: i32) -> f64 {
    let scale = f64::powi(2.0, bits);
    // Never −0, which reads badly.
    (v * scale).round() / scale + 0.0
}

struct Build<'a> {
    net: &'a Net,
    random: Random,
    draft: Draft,
    count: usize,
}

impl Build<'_> {
    fn name(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}{}", self.count)
    }

    fn numbers(&mut self, n: usize, low: f64, high: f64) -> Vec<f64> {
        (0..n).map(|_| round(self.random.uniform(low, high), self.net.bits)).collect()
    }

    fn tensor(&mut self, shape: &[usize], low: f64, high: f64) -> Tensor<f64> {
        let numbers = self.numbers(shape.iter().product(), low, high);
        Tensor::from_shape_vec(shape, numbers).expect("as many numbers as the shape has elements")
    }

    fn bias(&mut self, n: usize) -> Option<Vec<f64>> {
        (self.net.biases && self.random.below(4) > 0).then(|| self.numbers(n, -0.5, 0.5))
    }

    fn shape(&self, x: Place) -> Vec<usize> {
        self.draft.shape(x).to_vec()
    }

    fn try_op(&mut self, name: &str, op: Op, inputs: &[Place]) -> Option<Place> {
        let name = self.name(name);
        self.draft.add(name, op, inputs).ok()
    }

    fn op(&mut self, name: &str, op: Op, inputs: &[Place]) -> Place {
        self.try_op(name, op, inputs).expect("shapes fit")
    }

    fn conv(&mut self, x: Place, outputs: usize, spec: &WindowSpec, groups: usize) -> Option<Place> {
        let shape = self.shape(x);
        let mut weights = vec![outputs, shape[0] / groups];
        weights.extend(&spec.kernel);
        let (weights, bias) = (self.tensor(&weights, -1.0, 1.0), self.bias(outputs));
        self.try_op("conv", Op::Conv { weights, bias, spec: spec.clone(), groups }, &[x])
    }

    fn activation(&mut self, x: Place) -> Place {
        let function = match self.random.below(if self.net.any_activation { 8 } else { 1 }) {
            1 => Function::LeakyRelu { alpha: 0.2 },
            2 => Function::Tanh,
            3 => Function::Sigmoid,
            4 => Function::Clip { low: -0.5, high: 1.0 },
            5 => return x,
            _ => Function::Relu,
        };
        self.op("activation", Op::Activation { function }, &[x])
    }

    /// A convolution that keeps positions.
    fn same_conv(&mut self, x: Place, outputs: usize) -> Place {
        let spec = WindowSpec::new(&vec![3; self.net.rank]).pad(1);
        self.conv(x, outputs, &spec, 1).expect("a padded convolution fits")
    }

    fn block(&mut self, block: Block, x: Place) -> Place {
        let rank = self.net.rank;
        let shape = self.shape(x);
        let channels = shape[0];
        match block {
            Block::Conv { channels: outputs, kernel, stride, pad, dilation, grouped } => {
                let spec = WindowSpec::new(&vec![kernel; rank]).stride(stride).pad(pad).dilation(dilation);
                let groups = if grouped { channels } else { 1 };
                if outputs * groups > 8 {
                    return x;
                }
                self.conv(x, outputs * groups, &spec, groups).map_or(x, |y| self.activation(y))
            }
            Block::ConvTranspose { channels: outputs } => {
                if shape[1] > 8 {
                    return x;
                }
                let spec = WindowSpec::new(&vec![2; rank]).stride(2);
                let space: Vec<usize> = shape[1..].iter().map(|d| 2 * d).collect();
                let mut weights = vec![channels, outputs];
                weights.extend(&spec.kernel);
                let (weights, bias) = (self.tensor(&weights, -1.0, 1.0), self.bias(outputs));
                let y = self.op("conv-transpose", Op::ConvTranspose { weights, bias, spec, groups: 1, space }, &[x]);
                self.activation(y)
            }
            Block::BatchNorm => {
                let (gamma, var) = (self.numbers(channels, 0.5, 2.0), self.numbers(channels, 0.5, 2.0));
                let mut shift =
                    || if self.net.biases { self.numbers(channels, -0.5, 0.5) } else { vec![0.0; channels] };
                let (beta, mean) = (shift(), shift());
                self.op("batch-norm", Op::BatchNorm { gamma, beta, mean, var, epsilon: 1e-5 }, &[x])
            }
            Block::Residual { subtract } => {
                let y = self.same_conv(x, channels);
                let y = self.activation(y);
                let sum = if subtract { Op::Difference } else { Op::Add { inputs: 2 } };
                let y = self.op("add", sum, &[x, y]);
                self.activation(y)
            }
            Block::Branches => {
                let (a, b) = (self.same_conv(x, 1), self.same_conv(x, 2));
                let a = self.activation(a);
                self.op("concat", Op::Concat { axis: 1 }, &[a, b])
            }
            Block::MaxPool { pad } => {
                let spec = WindowSpec::new(&vec![2; rank]).stride(2).pad(pad);
                self.try_op("max-pool", Op::MaxPool { spec }, &[x]).unwrap_or(x)
            }
            Block::AvgPool { include_pad } => {
                let mut spec = WindowSpec::new(&vec![2; rank]).stride(2);
                // Padding that counts makes the divisor larger than the number of inputs.
                spec = if include_pad { spec.pad(1) } else { spec };
                self.try_op("avg-pool", Op::AvgPool { spec, include_pad }, &[x]).unwrap_or(x)
            }
            Block::Pad => {
                let mut amounts = vec![1; rank + 1];
                amounts[0] = 0;
                let value = if self.net.biases { 0.25 } else { 0.0 };
                let pad = Op::Pad { mode: PadMode::Constant(value), begin: amounts.clone(), end: amounts };
                self.op("pad", pad, &[x])
            }
            Block::Scale => {
                let mut constant = vec![channels];
                constant.extend(vec![1; rank]);
                let weight = self.tensor(&constant, 0.5, 2.0);
                let bias = self.net.biases.then(|| self.tensor(&constant, -0.5, 0.5));
                self.op("scale", Op::Scale { weight: Some(weight), bias }, &[x])
            }
            Block::Gate => {
                let axes: Vec<usize> = (2..=shape.len()).collect();
                let mean = self.op("mean", Op::Mean { axes, keep: true }, &[x]);
                let spec = WindowSpec::new(&vec![1; rank]);
                let gate = self.conv(mean, channels, &spec, 1).expect("a pointwise convolution fits");
                let gate = self.op("sigmoid", Op::Activation { function: Function::Sigmoid }, &[gate]);
                let gate = self.op("broadcast", Op::Broadcast { to: shape }, &[gate]);
                self.op("mul", Op::Mul { gate: Some(1) }, &[x, gate])
            }
            Block::Product => {
                let y = self.same_conv(x, channels);
                self.op("mul", Op::Mul { gate: None }, &[x, y])
            }
            Block::LayerNorm => {
                let n = shape.iter().product();
                let (gamma, beta) = (self.numbers(n, 0.5, 2.0), self.bias(n));
                // An ε above the variance of rounding: a sample of one element must not explode.
                self.op("layer-norm", Op::LayerNorm { axes: shape.len(), gamma, beta, epsilon: 1e-3 }, &[x])
            }
            Block::Slice { channels: along_channels } => {
                let axis = if along_channels { 1 } else { shape.len() };
                let length = shape[axis - 1];
                let slice = Op::Slice { axis, start: length - 1, step: -2, len: length.div_ceil(2) };
                self.op("slice", slice, &[x])
            }
            Block::Resize { nearest } => {
                if shape[1] > 6 {
                    return x;
                }
                if nearest {
                    let copies =
                        |(axis, &d): (usize, &usize)| (0..d).flat_map(|i| vec![i; usize::from(axis > 0) + 1]).collect();
                    let indices: Vec<Vec<usize>> = shape.iter().enumerate().map(copies).collect();
                    return self.op("resize-nearest", Op::Gather { kind: Kind::ResizeNearest, indices }, &[x]);
                }
                // Points in the middle between neighbours are added along every spatial axis.
                let between = |i: usize| -> Taps<f64> {
                    if i.is_multiple_of(2) { vec![(i / 2, 1.0)] } else { vec![(i / 2, 0.5), (i / 2 + 1, 0.5)] }
                };
                let same = (0..channels).map(|c| vec![(c, 1.0)]).collect();
                let along = shape[1..].iter().map(|&d| (0..2 * d - 1).map(between).collect());
                let axes: Vec<Vec<Taps<f64>>> = std::iter::once(same).chain(along).collect();
                self.op("resize", Op::Resize { axes }, &[x])
            }
            Block::Mixer => {
                let mut permutation: Vec<usize> = (0..=rank + 1).collect();
                permutation[1..].reverse();
                let y = self.op("transpose", Op::Transpose { permutation: permutation.clone() }, &[x]);
                let (weights, bias) = (self.tensor(&[channels, channels], -1.0, 1.0), self.bias(channels));
                let y = self.op("dense", Op::Dense { weights, bias }, &[y]);
                let y = self.activation(y);
                self.op("transpose", Op::Transpose { permutation }, &[y])
            }
            Block::Shared => {
                let activated = self.op("relu", Op::Activation { function: Function::Relu }, &[x]);
                let conv = self.same_conv(x, channels);
                self.op("add", Op::Add { inputs: 3 }, &[x, activated, conv])
            }
            Block::Join { concat } => {
                let name = self.name("input");
                let other = self.draft.input(name, &shape);
                let op = if concat { Op::Concat { axis: 1 } } else { Op::Add { inputs: 2 } };
                self.op("join", op, &[x, other])
            }
            Block::Softmax { channels: over_channels } => {
                let axis = if over_channels { 1 } else { shape.len() };
                self.op("softmax", Op::Softmax { axis, logarithm: false }, &[x])
            }
            Block::Choice => {
                let y = self.same_conv(x, channels);
                let condition = self.op("compare", Op::Compare { relation: Relation::Greater }, &[x, y]);
                self.op("where", Op::Where, &[condition, x, y])
            }
            Block::TopK { largest } => {
                let (axis, k) = (shape.len(), shape[shape.len() - 1].min(2));
                self.op("top-k", Op::TopK { axis, k, largest }, &[x])
            }
            Block::CumSum { reverse } => {
                self.op("cum-sum", Op::CumSum { axis: shape.len(), exclusive: false, reverse }, &[x])
            }
            Block::MatMul => {
                let positions = shape[1..].iter().product();
                let y = self.op("positions", Op::Reshape { to: vec![channels, positions] }, &[x]);
                let turned = self.op("transpose", Op::Transpose { permutation: vec![0, 2, 1] }, &[y]);
                let pairs = self.op("matmul", Op::MatMul { all_to: None }, &[turned, y]);
                let y = self.op("matmul", Op::MatMul { all_to: None }, &[y, pairs]);
                self.op("positions", Op::Reshape { to: shape }, &[y])
            }
            Block::Normalize => {
                // As in a layer norm: an ε above the variance of rounding.
                let divisor = Divisor::RootMeanSquare { epsilon: 1e-3 };
                self.op("rms-norm", Op::Normalize { divisor, axis: 1 }, &[x])
            }
            Block::Recurrent { gru, both, hidden } => {
                let steps: usize = shape[1..].iter().product();
                if steps > 9 {
                    return x;
                }
                let cell = gru.map_or(Cell::Lstm, |linear_before_reset| Cell::Gru { linear_before_reset });
                let direction = if both { Direction::Both } else { Direction::Forward };
                let (d, rows) = (direction.count(), hidden * if cell == Cell::Lstm { 4 } else { 3 });
                let parameters = Box::new(Parameters {
                    input: self.tensor(&[d, rows, channels], -1.0, 1.0),
                    recurrent: self.tensor(&[d, rows, hidden], -1.0, 1.0),
                    bias: self.net.biases.then(|| self.tensor(&[d, 2 * rows], -0.5, 0.5)),
                    hidden: None,
                    cell: None,
                });
                let y = self.op("steps", Op::Reshape { to: vec![channels, steps] }, &[x]);
                let y = self.op("transpose", Op::Transpose { permutation: vec![0, 2, 1] }, &[y]);
                let y = self.op("recurrent", Op::Recurrent { cell, direction, parameters }, &[y]);
                let y = self.op("transpose", Op::Transpose { permutation: vec![0, 2, 3, 1] }, &[y]);
                let to = [&[d * hidden][..], &shape[1..]].concat();
                self.op("positions", Op::Reshape { to }, &[y])
            }
        }
    }

    fn head(&mut self, x: Place) {
        let shape = self.shape(x);
        let x = if self.net.global_pool {
            self.op("mean", Op::Mean { axes: (2..=shape.len()).collect(), keep: false }, &[x])
        } else {
            self.op("flatten", Op::Reshape { to: vec![shape.iter().product()] }, &[x])
        };
        let x = self.dense(x, 4);
        let x = self.activation(x);
        self.dense(x, self.net.classes);
    }

    fn dense(&mut self, x: Place, outputs: usize) -> Place {
        let (weights, bias) = (self.tensor(&[outputs, self.shape(x)[0]], -1.0, 1.0), self.bias(outputs));
        self.op("dense", Op::Dense { weights, bias }, &[x])
    }
}
