//! Random operators of every kind, with inputs and with relevance at their output.

use std::fmt;
use std::sync::Arc;

use lrp_core::kernels::window::WindowSpec;
use lrp_core::operator::{Kind, Operator};
use lrp_core::ops::{Cell, Direction, Divisor, Function, PadMode, Parameters, Reducer, Relation, Taps};
use lrp_core::rule::Layer;
use lrp_core::tensor::batch_shape;
use lrp_core::{Scalar, Tensor};
use proptest::prelude::*;

use crate::code;
use crate::op::Op;
use crate::tensors::{Pool, pool, shapes};

/// An operator with the sample shapes of its inputs.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The operator.
    pub op: Op,
    /// Sample shape of every input.
    pub shapes: Vec<Vec<usize>>,
}

impl Bound {
    fn new(op: Op, shapes: Vec<Vec<usize>>) -> Self {
        Self { op, shapes }
    }

    /// The operator in this scalar type.
    ///
    /// # Panics
    /// When it does not fit its shapes, which a strategy of this module does not let happen.
    pub fn build<T: Scalar>(&self) -> Arc<dyn Operator<T>> {
        let shapes: Vec<&[usize]> = self.shapes.iter().map(Vec::as_slice).collect();
        self.op.build(&shapes).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// An operator with a batch of inputs, and of relevance at its output.
#[derive(Clone)]
pub struct Applied {
    /// The operator and its shapes.
    pub bound: Bound,
    /// The inputs, `[N, …]` each.
    pub xs: Vec<Tensor<f64>>,
    /// Relevance at the output, `[N, …]`.
    pub r: Tensor<f64>,
    /// Whether the rule is told that no input is negative (and none is).
    pub nonnegative: bool,
}

impl Applied {
    /// The layer that a rule is prepared for; `op` is [`Bound::build`].
    pub fn layer<'a, T: Scalar>(&self, op: &'a Arc<dyn Operator<T>>) -> Layer<'a, T> {
        let skip_input = (op.kind() == Kind::Add).then_some(0);
        Layer { name: "layer", op, nonnegative_inputs: self.nonnegative, nonnegative_outputs: false, skip_input }
    }
}

/// The code that makes the operator, the inputs and the relevance.
impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bound { op, shapes } = &self.bound;
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        f.write_str("use std::sync::Arc;\nuse lrp_core::operator::Operator;\n")?;
        f.write_str(&code::imports(std::iter::once(op), &["Tensor"]))?;
        writeln!(f, "let op: Arc<dyn Operator<f64>> = Arc::new({});", code::op(op, &shapes))?;
        for (i, x) in self.xs.iter().enumerate() {
            writeln!(f, "let x{i} = {};", code::tensor(x))?;
        }
        writeln!(f, "let r = {};", code::tensor(&self.r))?;
        if self.nonnegative { writeln!(f, "let nonnegative_inputs = true;") } else { Ok(()) }
    }
}

impl fmt::Debug for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

/// These operators with inputs and relevance for one to three samples.
pub fn applied(operators: impl Strategy<Value = Bound>) -> impl Strategy<Value = Applied> {
    (operators, pool(24), pool(8), 1..=3usize, any::<bool>()).prop_map(|(bound, mut x, mut r, n, nonnegative)| {
        let sign = |v: f64| if nonnegative { v.abs() } else { v };
        let xs = bound.shapes.iter().map(|s| x.tensor(&batch_shape(n, s)).mapv_into(sign)).collect();
        let r = r.tensor(&batch_shape(n, bound.build::<f64>().output_shape()));
        Applied { bound, xs, r, nonnegative }
    })
}

/// Random operators of all kinds, two in three of them affine.
pub fn any_operator() -> impl Strategy<Value = Bound> {
    prop_oneof![2 => affine(), 1 => not_affine()]
}

/// Random affine operators of all kinds.
pub fn affine() -> impl Strategy<Value = Bound> {
    prop_oneof![
        4 => dense(),
        4 => conv(),
        2 => conv_transpose(),
        1 => batch_norm(),
        1 => scale(),
        1 => preprocessing(),
        2 => sum(),
        2 => avg_pool(),
        1 => mean(),
        1 => resize(),
        1 => cum_sum(),
    ]
}

/// Random operators of all other kinds.
pub fn not_affine() -> impl Strategy<Value = Bound> {
    prop_oneof![
        4 => activation(),
        1 => p_relu(),
        1 => max_pool(),
        2 => mul(),
        2 => mat_mul(),
        1 => layer_norm(),
        2 => normalize(),
        1 => softmax(),
        1 => extremum(),
        1 => top_k(),
        1 => compare(),
        2 => undefined(),
        1 => recurrent(),
        1 => plain_recurrent(),
        3 => structural(),
    ]
}

/// Fully connected layers, with and without axes before the last.
pub fn dense() -> impl Strategy<Value = Bound> {
    (shapes(0..=1, 2), 1..=5usize, 1..=5usize, pool(12), bias()).prop_map(|(mut shape, k, o, mut w, b)| {
        shape.push(k);
        Bound::new(Op::Dense { weights: w.tensor(&[o, k]), bias: b.map(|mut b| b.take(o)) }, vec![shape])
    })
}

fn bias() -> impl Strategy<Value = Option<Pool>> {
    prop::option::of(pool(3))
}

/// Geometry of a window over one to three axes.
#[derive(Debug, Clone)]
struct Geometry {
    space: Vec<usize>,
    spec: WindowSpec,
}

/// Windows with at most this padding, stride and dilation, that fit their axes.
fn geometry(pad: usize, stride: usize, dilation: usize) -> impl Strategy<Value = Geometry> {
    let lengths = (shapes(3..=3, 6), shapes(3..=3, 3));
    (1..=3usize, lengths, 0..=pad, 1..=stride, 1..=dilation).prop_map(
        |(rank, (lengths, kernel), pad, stride, dilation)| {
            // Three axes of six would be slow.
            let space: Vec<usize> = lengths[..rank].iter().map(|&l| l.min([6, 4, 3][rank - 1])).collect();
            let fits = |(&k, &l): (&usize, &usize)| k.min((l + 2 * pad - 1) / dilation + 1);
            let kernel: Vec<usize> = kernel.iter().zip(&space).map(fits).collect();
            Geometry { spec: WindowSpec::new(&kernel).pad(pad).stride(stride).dilation(dilation), space }
        },
    )
}

/// Convolutions with one to three axes, stride, padding, dilation and groups.
pub fn conv() -> impl Strategy<Value = Bound> {
    let channels = (1..=2usize, 1..=2usize, 1..=2usize);
    (channels, geometry(1, 2, 2), pool(12), bias()).prop_map(
        |((groups, ins, outs), Geometry { space, spec }, mut w, b)| {
            let weights = w.tensor(&[&[groups * outs, ins][..], &spec.kernel].concat());
            let bias = b.map(|mut b| b.take(groups * outs));
            Bound::new(Op::Conv { weights, bias, spec, groups }, vec![[&[groups * ins][..], &space].concat()])
        },
    )
}

/// Transposed convolutions.
pub fn conv_transpose() -> impl Strategy<Value = Bound> {
    let channels = (1..=2usize, 1..=2usize, 1..=2usize);
    // The geometry is that of the convolution it is the adjoint of; its output is our input.
    (channels, geometry(1, 2, 2), pool(12), bias()).prop_map(
        |((groups, ins, outs), Geometry { space, spec }, mut w, b)| {
            let positions = |i: usize| {
                (space[i] + 2 * spec.pad_begin[i] - spec.dilation[i] * (spec.kernel[i] - 1) - 1) / spec.stride[i] + 1
            };
            let input: Vec<usize> = std::iter::once(groups * ins).chain((0..space.len()).map(positions)).collect();
            let weights = w.tensor(&[&[groups * ins, outs][..], &spec.kernel].concat());
            let bias = b.map(|mut b| b.take(groups * outs));
            Bound::new(Op::ConvTranspose { weights, bias, spec, groups, space }, vec![input])
        },
    )
}

/// Batch normalisations that stay operators of their own.
pub fn batch_norm() -> impl Strategy<Value = Bound> {
    (shapes(1..=3, 3), pool(12)).prop_map(|(shape, mut p)| {
        let c = shape[0];
        let (gamma, beta, mean) = (p.take(c), p.take(c), p.take(c));
        let var = p.take(c).iter().map(|v| v.abs() + 0.125).collect();
        Bound::new(Op::BatchNorm { gamma, beta, mean, var, epsilon: 1e-5 }, vec![shape])
    })
}

/// Products and sums with constants: one for all, one for each channel, or one for each element.
pub fn scale() -> impl Strategy<Value = Bound> {
    let constant = || prop::option::of((0..3usize, pool(6)));
    (shapes(1..=3, 3), constant(), constant()).prop_map(|(shape, weight, bias)| {
        let constant = |(broadcast, mut pool): (usize, Pool)| match broadcast {
            0 => pool.tensor(&[1]),
            1 => pool.tensor(&[&shape[..1], &vec![1; shape.len() - 1]].concat()),
            _ => pool.tensor(&shape),
        };
        Bound::new(Op::Scale { weight: weight.map(constant), bias: bias.map(constant) }, vec![shape.clone()])
    })
}

/// Leaky ReLUs with a slope for each channel.
pub fn p_relu() -> impl Strategy<Value = Bound> {
    (shapes(1..=3, 3), pool(6)).prop_map(|(shape, mut pool)| {
        let slopes = pool.tensor(&[&shape[..1], &vec![1; shape.len() - 1]].concat());
        Bound::new(Op::PRelu { slopes }, vec![shape])
    })
}

/// Products and sums with constants at the model's entrance.
pub fn preprocessing() -> impl Strategy<Value = Bound> {
    scale().prop_map(|bound| match bound.op {
        Op::Scale { weight, bias } => Bound::new(Op::Preprocessing { weight, bias }, bound.shapes),
        _ => bound,
    })
}

/// Sums of two to four inputs, and differences.
pub fn sum() -> impl Strategy<Value = Bound> {
    (shapes(1..=2, 3), 1..=4usize).prop_map(|(shape, n)| match n {
        1 => Bound::new(Op::Difference, vec![shape; 2]),
        n => Bound::new(Op::Add { inputs: n }, vec![shape; n]),
    })
}

/// Average pooling, padding counted or not; a window can see nothing but padding.
pub fn avg_pool() -> impl Strategy<Value = Bound> {
    (1..=2usize, geometry(1, 2, 1), any::<bool>()).prop_map(|(channels, Geometry { space, spec }, include_pad)| {
        Bound::new(Op::AvgPool { spec, include_pad }, vec![[&[channels][..], &space].concat()])
    })
}

/// Means over any axes.
pub fn mean() -> impl Strategy<Value = Bound> {
    (shapes(1..=3, 3), 1..8usize, any::<bool>()).prop_map(|(shape, axes, keep)| {
        let axes: Vec<usize> = (1..=shape.len()).filter(|axis| axes >> (axis - 1) & 1 == 1).collect();
        // A sample must keep an axis.
        let keep = keep || axes.len() == shape.len();
        let axes = if axes.is_empty() { vec![1] } else { axes };
        let keep = keep || axes.len() == shape.len();
        Bound::new(Op::Mean { axes, keep }, vec![shape])
    })
}

/// Interpolations (and extrapolations: weights can be negative) along the last axis.
pub fn resize() -> impl Strategy<Value = Bound> {
    (1..=2usize, 1..=4usize, 1..=6usize, pool(6)).prop_map(|(channels, length, outputs, mut weights)| {
        let taps = |o: usize| -> Taps<f64> {
            let i = o * length / outputs;
            let t = weights.take(1)[0];
            if i + 1 < length { vec![(i, 1.0 - t), (i + 1, t)] } else { vec![(i, 1.0)] }
        };
        let along = (0..outputs).map(taps).collect();
        let same = (0..channels).map(|c| vec![(c, 1.0)]).collect();
        Bound::new(Op::Resize { axes: vec![same, along] }, vec![vec![channels, length]])
    })
}

/// All activations.
pub fn activation() -> impl Strategy<Value = Bound> {
    let functions = vec![
        Function::Relu,
        Function::LeakyRelu { alpha: 0.25 },
        Function::Sigmoid,
        Function::Tanh,
        Function::Clip { low: -0.5, high: f64::INFINITY },
        Function::Clip { low: 0.0, high: 1.0 },
        Function::Silu,
        Function::HardSwish,
        Function::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Function::Gelu { tanh: false },
        Function::Gelu { tanh: true },
        Function::Elu { alpha: 1.0 },
        Function::Softplus,
        Function::Erf,
        Function::Atan,
        Function::Sinh,
        Function::Asinh,
        Function::Softsign,
        Function::Celu { alpha: 0.5 },
        Function::ThresholdedRelu { alpha: 0.5 },
        Function::Shrink { bias: 0.25, limit: 0.25 },
    ];
    (prop::sample::select(functions), shapes(1..=2, 3))
        .prop_map(|(function, shape)| Bound::new(Op::Activation { function }, vec![shape]))
}

/// Running sums.
pub fn cum_sum() -> impl Strategy<Value = Bound> {
    (shapes(1..=3, 3), 1..=3usize, any::<bool>(), any::<bool>()).prop_map(|(shape, axis, exclusive, reverse)| {
        let axis = axis.min(shape.len());
        Bound::new(Op::CumSum { axis, exclusive, reverse }, vec![shape])
    })
}

/// Max pooling.
pub fn max_pool() -> impl Strategy<Value = Bound> {
    (1..=2usize, geometry(1, 2, 1)).prop_map(|(channels, Geometry { space, mut spec })| {
        // No window may see nothing but padding.
        if spec.kernel.contains(&1) {
            spec = spec.pad(0);
            spec.kernel.iter_mut().zip(&space).for_each(|(k, &l)| *k = (*k).min(l));
        }
        Bound::new(Op::MaxPool { spec }, vec![[&[channels][..], &space].concat()])
    })
}

/// Products of two activations, with and without a gate.
pub fn mul() -> impl Strategy<Value = Bound> {
    (prop::option::of(0..2usize), shapes(1..=2, 3)).prop_map(|(gate, s)| Bound::new(Op::Mul { gate }, vec![s; 2]))
}

/// Matrix products of two activations, and of one with a constant.
pub fn mat_mul() -> impl Strategy<Value = Bound> {
    (shapes(3..=3, 3), prop::collection::vec(1..=2usize, 0..=1), prop::option::of(0..2usize)).prop_map(
        |(sizes, stack, all_to)| {
            let [m, k, n] = [sizes[0], sizes[1], sizes[2]];
            let shape = |matrix: [usize; 2]| [stack.as_slice(), &matrix].concat();
            Bound::new(Op::MatMul { all_to }, vec![shape([m, k]), shape([k, n])])
        },
    )
}

/// Divisions by statistics of a row.
pub fn normalize() -> impl Strategy<Value = Bound> {
    let divisors = vec![
        Divisor::RootMeanSquare { epsilon: 1e-3 },
        Divisor::L1,
        Divisor::L2,
        Divisor::Neighbours { size: 2, alpha: 0.5, beta: 0.75, bias: 1.0 },
    ];
    (prop::sample::select(divisors), shapes(1..=3, 3), 1..=3usize).prop_map(|(divisor, shape, axis)| {
        let axis = axis.min(shape.len());
        Bound::new(Op::Normalize { divisor, axis }, vec![shape])
    })
}

/// Comparisons, and what is made of them.
pub fn compare() -> impl Strategy<Value = Bound> {
    let one = [Relation::Not, Relation::Sign, Relation::Floor];
    let relations = [vec![Relation::Greater, Relation::LessOrEqual, Relation::Xor], one.to_vec()].concat();
    (prop::sample::select(relations), shapes(1..=2, 3))
        .prop_map(|(relation, shape)| Bound::new(Op::Compare { relation }, vec![shape; relation.inputs()]))
}

/// The largest or smallest elements along an axis.
pub fn top_k() -> impl Strategy<Value = Bound> {
    (any::<bool>(), 1..=2usize, shapes(1..=3, 3), 1..=3usize).prop_map(|(largest, k, shape, axis)| {
        let axis = axis.min(shape.len());
        let k = k.min(shape[axis - 1]);
        Bound::new(Op::TopK { axis, k, largest }, vec![shape])
    })
}

/// Layer normalisations over the last axes.
pub fn layer_norm() -> impl Strategy<Value = Bound> {
    (shapes(1..=3, 3), 1..=3usize, pool(6), bias()).prop_map(|(shape, axes, mut gamma, beta)| {
        let axes = axes.min(shape.len());
        let n = shape[shape.len() - axes..].iter().product();
        let (gamma, beta) = (gamma.take(n), beta.map(|mut b| b.take(n)));
        Bound::new(Op::LayerNorm { axes, gamma, beta, epsilon: 1e-3 }, vec![shape])
    })
}

/// Softmax along any axis.
pub fn softmax() -> impl Strategy<Value = Bound> {
    softmax_or_logarithm(false)
}

fn softmax_or_logarithm(logarithm: bool) -> impl Strategy<Value = Bound> {
    (shapes(1..=3, 3), 1..=3usize).prop_map(move |(shape, axis)| {
        let axis = axis.min(shape.len());
        Bound::new(Op::Softmax { axis, logarithm }, vec![shape])
    })
}

/// The largest and the smallest of one to three activations.
pub fn extremum() -> impl Strategy<Value = Bound> {
    (any::<bool>(), 1..=3usize, shapes(1..=2, 3)).prop_map(|(largest, inputs, shape)| {
        let op = if largest { Op::Maximum { inputs } } else { Op::Minimum { inputs } };
        Bound::new(op, vec![shape; inputs])
    })
}

/// Operators for which no relevance behaviour is defined, those that are finite for any input.
pub fn undefined() -> impl Strategy<Value = Bound> {
    let functions = vec![
        Function::Power { exponent: 2.0 },
        Function::Power { exponent: 3.0 },
        Function::Exp,
        Function::Abs,
        Function::Sin,
        Function::Cos,
        Function::Cosh,
    ];
    let function = (prop::sample::select(functions), shapes(1..=2, 3))
        .prop_map(|(function, shape)| Bound::new(Op::Activation { function }, vec![shape]));
    let reducers = vec![Reducer::LogSumExp, Reducer::Product];
    let reduction =
        (prop::sample::select(reducers), shapes(1..=3, 3), 1..=3usize).prop_map(|(reducer, shape, axis)| {
            let axis = axis.min(shape.len());
            Bound::new(Op::Reduction { reducer, axis }, vec![shape])
        });
    prop_oneof![4 => function, 1 => softmax_or_logarithm(true), 1 => reduction]
}

/// LSTM and GRU, in every direction.
pub fn recurrent() -> impl Strategy<Value = Bound> {
    of_cells(&[Cell::Lstm, Cell::Gru { linear_before_reset: false }, Cell::Gru { linear_before_reset: true }])
}

/// Plain recurrent layers, in every direction.
pub fn plain_recurrent() -> impl Strategy<Value = Bound> {
    of_cells(&[Cell::Rnn { relu: false }, Cell::Rnn { relu: true }])
}

fn of_cells(cells: &[Cell]) -> impl Strategy<Value = Bound> + use<> {
    let cells = cells.to_vec();
    let directions = vec![Direction::Forward, Direction::Reverse, Direction::Both];
    let kind = (prop::sample::select(cells), prop::sample::select(directions), any::<[bool; 3]>());
    (kind, 1..=3usize, 1..=3usize, 1..=2usize, pool(24)).prop_map(|((cell, direction, given), steps, k, h, mut p)| {
        let gates = match cell {
            Cell::Lstm => 4,
            Cell::Gru { .. } => 3,
            Cell::Rnn { .. } => 1,
        };
        let (d, rows) = (direction.count(), h * gates);
        let mut maybe = |given: bool, shape: &[usize]| given.then(|| p.tensor(shape));
        let [bias, hidden, cell_state] = given;
        let parameters = Box::new(Parameters {
            input: maybe(true, &[d, rows, k]).expect("given"),
            recurrent: maybe(true, &[d, rows, h]).expect("given"),
            bias: maybe(bias, &[d, 2 * rows]),
            hidden: maybe(hidden, &[d, h]),
            cell: maybe(cell_state && cell == Cell::Lstm, &[d, h]),
        });
        Bound::new(Op::Recurrent { cell, direction, parameters }, vec![vec![steps, k]])
    })
}

/// Operators that move elements around.
pub fn structural() -> impl Strategy<Value = Bound> {
    (0..9usize, shapes(2..=3, 3), 0..3usize, pool(2)).prop_map(|(which, shape, at, mut value)| {
        let rank = shape.len();
        let axis = at.min(rank - 1) + 1;
        let length = shape[axis - 1];
        let flat = vec![shape.iter().product()];
        let op = match which {
            0 => Op::Slice { axis, start: length - 1, step: -1, len: length.div_ceil(2) },
            1 => {
                let copies =
                    |(a, &d): (usize, &usize)| (0..d).flat_map(|i| vec![i; 1 + usize::from(a == at)]).collect();
                Op::Gather { kind: Kind::Gather, indices: shape.iter().enumerate().map(copies).collect() }
            }
            2 => return Bound::new(Op::Concat { axis }, vec![shape; 2]),
            3 => Op::Reshape { to: flat },
            4 => Op::Transpose { permutation: std::iter::once(0).chain((1..=rank).rev()).collect() },
            5 => {
                let mode = [PadMode::Constant(value.take(1)[0]), PadMode::Edge, PadMode::Reflect][at];
                // A reflection is smaller than the axis.
                let pad = if shape.contains(&1) && mode == PadMode::Reflect { 0 } else { 1 };
                Op::Pad { mode, begin: vec![pad; rank], end: vec![0; rank] }
            }
            6 => {
                let mut one = shape.clone();
                one[axis - 1] = 1;
                return Bound::new(Op::Broadcast { to: shape }, vec![one]);
            }
            7 => return Bound::new(Op::Where, vec![shape; 3]),
            _ => Op::Identity,
        };
        Bound::new(op, vec![shape])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    /// Whatever a strategy gives can be built, and every kind of operator there is comes from one.
    #[test]
    fn every_kind_is_there() {
        let mut runner = TestRunner::deterministic();
        let mut kinds = BTreeSet::new();
        for _ in 0..2000 {
            let applied = applied(any_operator()).new_tree(&mut runner).expect("a value").current();
            let op = applied.bound.build::<f64>();
            kinds.insert(op.kind());
            let xs: Vec<&Tensor<f64>> = applied.xs.iter().collect();
            assert_eq!(op.forward(&xs).shape(), applied.r.shape(), "{applied:?}");
        }
        // The nearest resize is a gather by another name, and is in the random networks; an embedding and a pick take whole numbers, and an
        // arg-max gives them: they have tests of their own. The others are not finite for any input, or steep.
        let elsewhere = [
            Kind::ResizeNearest,
            Kind::Embedding,
            Kind::Pick,
            Kind::ArgMax,
            Kind::Div,
            Kind::Sqrt,
            Kind::Log,
            Kind::Tan,
            Kind::Asin,
            Kind::Acos,
            Kind::Acosh,
            Kind::Atanh,
        ];
        let missing: Vec<&Kind> = Kind::ALL.iter().filter(|k| !kinds.contains(k) && !elsewhere.contains(k)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
