//! Recurrent layers: LSTM, GRU and plain ones, in one direction or both, over a whole sequence.

mod gru;
mod lstm;
mod rnn;

use ndarray::Axis;
use rayon::prelude::*;

use super::{check_shape, one};
use crate::error::OperatorError;
use crate::kernels::dense::DenseKernel;
use crate::kernels::map_samples;
use crate::operator::{Fixed, Io, Kind, Operator};
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batch_shape, elements, from_elements, into_elements, samples, volume};
use crate::weights::stored;

/// The stabilizer of the fixed behaviour.
const STABILIZER: f64 = 1e-6;

/// The kind of cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// `c ← f⊙c + i⊙g`, `h ← o⊙tanh(c)`, with the gates `i`, `o`, `f` and the signal `g = tanh(W x + R h + b)`.
    Lstm,
    /// `h ← (1 − z)⊙n + z⊙h`, with the gates `z`, `r` and the signal `n = tanh(W x + R (r⊙h) + b)`.
    Gru {
        /// The reset gate comes after the linear map: `n = tanh(W x + b + r⊙(R h + b′))`.
        linear_before_reset: bool,
    },
    /// `h ← φ(W x + R h + b)`, without gates; φ is tanh or ReLU.
    Rnn {
        /// φ is the ReLU.
        relu: bool,
    },
}

impl Cell {
    /// Number of gates, the signal among them.
    fn gates(self) -> usize {
        match self {
            Cell::Lstm => 4,
            Cell::Gru { .. } => 3,
            Cell::Rnn { .. } => 1,
        }
    }
}

/// The order in which the sequence is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first step to the last.
    Forward,
    /// From the last step to the first.
    Reverse,
    /// Both, independently of each other.
    Both,
}

impl Direction {
    /// Whether each of the layer's directions reads from the end.
    fn reversed(self) -> &'static [bool] {
        match self {
            Direction::Forward => &[false],
            Direction::Reverse => &[true],
            Direction::Both => &[false, true],
        }
    }

    /// The number of directions.
    pub fn count(self) -> usize {
        self.reversed().len()
    }
}

/// The parameters of all `D` directions for `K` inputs, `H` hidden units and `G` gates, in ONNX's order: `i o f g` for LSTM,
/// `z r n` for GRU. A plain layer has its signal only.
#[derive(Debug, Clone)]
pub struct Parameters<T: Scalar> {
    /// `W`, `[D, G·H, K]`.
    pub input: Tensor<T>,
    /// `R`, `[D, G·H, H]`.
    pub recurrent: Tensor<T>,
    /// Biases, those of `W` before those of `R`: `[D, 2·G·H]`.
    pub bias: Option<Tensor<T>>,
    /// The state before the first step, `[D, H]`; zero if not given.
    pub hidden: Option<Tensor<T>>,
    /// For LSTM the cell before the first step, likewise.
    pub cell: Option<Tensor<T>>,
}

/// A recurrent layer from `[T, K]` to `[T, D, H]`: the hidden states of all steps, in the order of time for every direction.
///
/// Relevance by LRP-all of Arras et al. 2017 and 2019. In a product of gate and signal the signal receives all relevance, so that the gates are
/// constant factors; sums (a cell's update, and the linear maps inside signals) are divided by LRP-ε, tanh passes. Biases
/// and constant initial states absorb relevance as bias. It has weights but is no weighted layer: this behaviour is fixed,
/// and no rule is asked for.
#[derive(Debug, Clone)]
pub struct Recurrent<T: Scalar> {
    cell: Cell,
    direction: Direction,
    directions: Vec<Weights<T>>,
    biases: usize,
    steps: usize,
    inputs: usize,
    hidden: usize,
    input_shape: [Vec<usize>; 1],
    output_shape: Vec<usize>,
}

/// The parameters of one direction.
#[derive(Debug, Clone)]
struct Weights<T> {
    reversed: bool,
    /// `[G·H, K]`
    input: Vec<T>,
    /// `[G·H, H]`
    recurrent: Vec<T>,
    /// `[G·H]`
    input_bias: Vec<T>,
    /// `[G·H]`
    recurrent_bias: Vec<T>,
    initial: State<T>,
}

/// The state between two steps, or its gradient or relevance. Only LSTMs have a cell.
#[derive(Debug, Clone)]
struct State<T> {
    hidden: Vec<T>,
    cell: Vec<T>,
}

/// One step as it was computed.
struct Step<T> {
    /// Values of the gates and, last, of the signal; none in a plain layer.
    gates: Vec<T>,
    /// The signal before its activation.
    signal: Vec<T>,
    /// GRU: what the reset gate multiplies in the signal.
    gated: Vec<T>,
    after: State<T>,
}

/// Relevance absorbed by biases and stabilizers.
#[derive(Default)]
struct Absorbed {
    bias: f64,
    stabilizer: f64,
}

impl Absorbed {
    /// `r / stab(z)`; records what the stabilizer absorbs.
    fn divide<T: Scalar>(&mut self, r: T, z: T) -> T {
        let shift = T::of(if z < T::zero() { -STABILIZER } else { STABILIZER });
        let s = r / (z + shift);
        self.stabilizer += s.wide() * shift.wide();
        s
    }
}

impl<T: Scalar> Recurrent<T> {
    /// A layer on the sample shape `input`, `[T, K]`.
    ///
    /// # Errors
    /// When the shapes of parameters and input do not fit together.
    pub fn new(
        cell: Cell,
        direction: Direction,
        parameters: Parameters<T>,
        input: &[usize],
    ) -> Result<Self, OperatorError> {
        check_shape(input)?;
        let &[steps, inputs] = input else {
            return Err(OperatorError::new(format!("needs samples [steps, inputs], got {input:?}")));
        };
        let d = direction.count();
        let hidden = parameters.recurrent.shape().last().copied().unwrap_or(0);
        let output_shape = vec![steps, d, hidden];
        check_shape(&output_shape)?;
        let rows = cell.gates() * hidden;
        let zeros = |shape: [usize; 2]| Tensor::zeros(shape.as_slice());
        let biases = parameters.bias.as_ref().map_or(0, Tensor::len);
        let parts = [
            ("input weights", vec![d, rows, inputs], parameters.input),
            ("recurrent weights", vec![d, rows, hidden], parameters.recurrent),
            ("biases", vec![d, 2 * rows], parameters.bias.unwrap_or_else(|| zeros([d, 2 * rows]))),
            ("initial states", vec![d, hidden], parameters.hidden.unwrap_or_else(|| zeros([d, hidden]))),
            ("initial cells", vec![d, hidden], parameters.cell.unwrap_or_else(|| zeros([d, hidden]))),
        ];
        for (what, shape, tensor) in &parts {
            if tensor.shape() != shape {
                return Err(OperatorError::new(format!(
                    "{what} of shape {:?} in place of {shape:?}, for {inputs} inputs and {hidden} hidden units",
                    tensor.shape()
                )));
            }
        }
        let directions = direction.reversed().iter().enumerate().map(|(i, &reversed)| {
            let [input, recurrent, mut input_bias, h, c] =
                parts.each_ref().map(|(_, _, tensor)| into_elements(tensor.index_axis(Axis(0), i).to_owned()));
            let recurrent_bias = input_bias.split_off(rows);
            let initial = State { hidden: h, cell: if cell == Cell::Lstm { c } else { Vec::new() } };
            Weights { reversed, input, recurrent, input_bias, recurrent_bias, initial }
        });
        let directions = directions.collect();
        let input_shape = one(input);
        Ok(Self { cell, direction, directions, biases, steps, inputs, hidden, input_shape, output_shape })
    }

    /// The time of a direction's step.
    fn time(&self, weights: &Weights<T>, step: usize) -> usize {
        if weights.reversed { self.steps - 1 - step } else { step }
    }

    /// The states of a direction in a tensor `[T, D, H]`.
    fn place(&self, time: usize, direction: usize) -> std::ops::Range<usize> {
        let start = (time * self.directions.len() + direction) * self.hidden;
        start..start + self.hidden
    }

    /// All steps of a direction for one sample.
    fn run(&self, weights: &Weights<T>, x: &[T]) -> Vec<Step<T>> {
        let rows = weights.input_bias.len();
        let projected = DenseKernel::new(stored(&weights.input), self.inputs).forward(x);
        let mut steps: Vec<Step<T>> = Vec::with_capacity(self.steps);
        for step in 0..self.steps {
            let time = self.time(weights, step);
            let projected = &projected[time * rows..(time + 1) * rows];
            let before = steps.last().map_or(&weights.initial, |s| &s.after);
            let step = match self.cell {
                Cell::Lstm => lstm::forward(weights, projected, before),
                Cell::Gru { linear_before_reset } => gru::forward(weights, projected, before, linear_before_reset),
                Cell::Rnn { relu } => rnn::forward(weights, projected, before, relu),
            };
            steps.push(step);
        }
        steps
    }

    /// Goes back through the steps of a direction, with the gradient or relevance of the output in `given`. `back` gets a step, the state
    /// before it and the gradient or relevance after it; it returns that before it, and the coefficients of the last rows of `W`, whose sum
    /// is added to `input`. Returns the gradient or relevance of the initial state.
    fn back(
        &self,
        d: usize,
        steps: &[Step<T>],
        given: &[T],
        input: &mut [T],
        mut back: impl FnMut(&Step<T>, &State<T>, State<T>) -> (State<T>, Vec<T>),
    ) -> State<T> {
        let weights = &self.directions[d];
        let zeros = |like: &Vec<T>| vec![T::zero(); like.len()];
        let mut state = State { hidden: zeros(&weights.initial.hidden), cell: zeros(&weights.initial.cell) };
        for (i, step) in steps.iter().enumerate().rev() {
            let time = self.time(weights, i);
            state.hidden.iter_mut().zip(&given[self.place(time, d)]).for_each(|(sum, &g)| *sum += g);
            let before = if i == 0 { &weights.initial } else { &steps[i - 1].after };
            let (received, coefficients) = back(step, before, state);
            state = received;
            let rows = &weights.input[weights.input.len() - coefficients.len() * self.inputs..];
            add_transposed(rows, &coefficients, &mut input[time * self.inputs..(time + 1) * self.inputs]);
        }
        state
    }

    fn sample_gradient(&self, x: &[T], g: &[T]) -> Vec<T> {
        let mut gradient = vec![T::zero(); x.len()];
        for (d, weights) in self.directions.iter().enumerate() {
            let steps = self.run(weights, x);
            self.back(d, &steps, g, &mut gradient, |step, before, g| match self.cell {
                Cell::Lstm => lstm::gradient(weights, step, before, g),
                Cell::Gru { linear_before_reset } => gru::gradient(weights, step, before, g, linear_before_reset),
                Cell::Rnn { relu } => rnn::gradient(weights, step, g, relu),
            });
        }
        gradient
    }

    fn sample_relevance(&self, x: &[T], r: &[T]) -> (Vec<T>, Absorbed) {
        let mut absorbed = Absorbed::default();
        let mut relevance = vec![T::zero(); x.len()];
        for (d, weights) in self.directions.iter().enumerate() {
            let steps = self.run(weights, x);
            let rest = self.back(d, &steps, r, &mut relevance, |step, before, r| match self.cell {
                Cell::Lstm => lstm::relevance(weights, step, before, r, &mut absorbed),
                Cell::Gru { linear_before_reset } => {
                    gru::relevance(weights, step, before, r, linear_before_reset, &mut absorbed)
                }
                Cell::Rnn { .. } => rnn::relevance(weights, step, before, r, &mut absorbed),
            });
            absorbed.bias += rest.hidden.iter().chain(&rest.cell).map(|r| r.wide()).sum::<f64>();
        }
        relevance.iter_mut().zip(x).for_each(|(c, &x)| *c = *c * x + T::zero());
        (relevance, absorbed)
    }
}

impl<T: Scalar> Operator<T> for Recurrent<T> {
    fn kind(&self) -> Kind {
        match self.cell {
            Cell::Lstm => Kind::Lstm,
            Cell::Gru { .. } => Kind::Gru,
            Cell::Rnn { .. } => Kind::Rnn,
        }
    }

    fn input_shapes(&self) -> &[Vec<usize>] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T> {
        let Some(x) = xs.first() else { return crate::tensor::empty() };
        let y = map_samples(&elements(x), volume(&self.input_shape[0]), volume(&self.output_shape), |x, y| {
            for (d, weights) in self.directions.iter().enumerate() {
                for (i, step) in self.run(weights, x).iter().enumerate() {
                    y[self.place(self.time(weights, i), d)].copy_from_slice(&step.after.hidden);
                }
            }
        });
        from_elements(&batch_shape(samples(x), &self.output_shape), y)
    }

    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>> {
        let Some(x) = io.inputs.first() else { return Vec::new() };
        let (x_elements, g) = (elements(x), elements(g));
        let pairs = x_elements.par_chunks(volume(&self.input_shape[0])).zip(g.par_chunks(volume(&self.output_shape)));
        let gradients: Vec<Vec<T>> = pairs.map(|(x, g)| self.sample_gradient(x, g)).collect();
        vec![from_elements(x.shape(), gradients.concat())]
    }

    fn vjp_needs_inputs(&self) -> bool {
        true
    }

    fn fixed(&self) -> Fixed {
        Fixed::Own { name: "epsilon, gates constant", needs: Needs::INPUTS }
    }

    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        let Some(x) = io.inputs.first() else { return Propagated::lossless(Vec::new()) };
        let (x_elements, r) = (elements(x), elements(r));
        let pairs = x_elements.par_chunks(volume(&self.input_shape[0])).zip(r.par_chunks(volume(&self.output_shape)));
        let (parts, absorbed): (Vec<Vec<T>>, Vec<Absorbed>) = pairs.map(|(x, r)| self.sample_relevance(x, r)).unzip();
        let mut result = Propagated::lossless(vec![from_elements(x.shape(), parts.concat())]);
        result.bias = absorbed.iter().map(|b| b.bias).collect();
        result.stabilizer = absorbed.iter().map(|b| b.stabilizer).collect();
        result
    }

    fn parameters(&self) -> usize {
        self.directions.iter().map(|w| w.input.len() + w.recurrent.len()).sum::<usize>() + self.biases
    }

    fn detail(&self) -> String {
        let direction = match self.direction {
            Direction::Forward => "",
            Direction::Reverse => ", reverse",
            Direction::Both => ", both directions",
        };
        format!("{}→{}, {} steps{direction}", self.inputs, self.hidden, self.steps)
    }
}

fn sigmoid<T: Scalar>(x: T) -> T {
    (T::one() + (-x).exp()).recip()
}

fn add<T: Scalar>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().zip(b).map(|(&a, &b)| a + b).collect()
}

/// `out += M v`, with as many rows of `matrix` as `out` has elements.
fn add_product<T: Scalar>(matrix: &[T], v: &[T], out: &mut [T]) {
    for (row, out) in matrix.chunks(v.len()).zip(out) {
        *out += row.iter().zip(v).fold(T::zero(), |sum, (&m, &v)| sum + m * v);
    }
}

/// `out += Mᵀ s`.
fn add_transposed<T: Scalar>(matrix: &[T], s: &[T], out: &mut [T]) {
    for (row, &s) in matrix.chunks(out.len()).zip(s).filter(|(_, s)| !s.is_zero()) {
        out.iter_mut().zip(row).for_each(|(out, &m)| *out += m * s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn varied(shape: &[usize], seed: f64) -> Tensor<f64> {
        let mut i = seed;
        Tensor::from_shape_simple_fn(shape, || {
            i += 1.0;
            (i * 12.9898).sin()
        })
    }

    const CELLS: [Cell; 3] =
        [Cell::Lstm, Cell::Gru { linear_before_reset: false }, Cell::Gru { linear_before_reset: true }];

    const PLAIN: [Cell; 2] = [Cell::Rnn { relu: false }, Cell::Rnn { relu: true }];

    /// Every cell in every direction, with and without constants, on `[4, 3]` with 2 hidden units.
    fn ops() -> Vec<Recurrent<f64>> {
        let mut ops = Vec::new();
        for cell in CELLS.into_iter().chain(PLAIN) {
            for direction in [Direction::Forward, Direction::Reverse, Direction::Both] {
                for constants in [false, true] {
                    let (d, rows) = (direction.count(), 2 * cell.gates());
                    let parameters = Parameters {
                        input: varied(&[d, rows, 3], 1.0),
                        recurrent: varied(&[d, rows, 2], 100.0),
                        bias: constants.then(|| varied(&[d, 2 * rows], 200.0)),
                        hidden: constants.then(|| varied(&[d, 2], 300.0)),
                        cell: constants.then(|| varied(&[d, 2], 400.0)),
                    };
                    ops.push(Recurrent::new(cell, direction, parameters, &[4, 3]).unwrap());
                }
            }
        }
        ops
    }

    /// One input, one hidden unit; all weights of the gates are zero.
    fn tiny(cell: Cell, w: f64, r: f64, bias: [f64; 2], initial: f64) -> Recurrent<f64> {
        let rows = cell.gates();
        let last = |v: f64, i: usize| if i + 1 == rows { v } else { 0.0 };
        let column = |v: f64| Tensor::from_shape_fn(vec![1, rows, 1], |i| last(v, i[1]));
        let parameters = Parameters {
            input: column(w),
            recurrent: column(r),
            bias: Some(Tensor::from_shape_fn(vec![1, 2 * rows], |i| last(bias[i[1] / rows], i[1] % rows))),
            hidden: Some(array![[initial]].into_dyn()),
            cell: Some(array![[initial]].into_dyn()),
        };
        Recurrent::new(cell, Direction::Forward, parameters, &[1, 1]).unwrap()
    }

    #[test]
    fn by_hand() {
        // Every gate is σ(0) = 1/2.
        let x = array![[[0.3]]].into_dyn();
        let y = |op: &Recurrent<f64>| op.forward(&[&x])[[0, 0, 0, 0]];
        let g = (2.0_f64 * 0.3 - 0.5 * 0.8 + 0.1 + 0.2).tanh();
        let op = tiny(Cell::Lstm, 2.0, -0.5, [0.1, 0.2], 0.8);
        assert!((y(&op) - 0.5 * (0.5 * 0.8 + 0.5 * g).tanh()).abs() < 1e-15);
        let after = (2.0_f64 * 0.3 + 0.1 + 0.5 * (-0.5 * 0.8 + 0.2)).tanh();
        let op = tiny(CELLS[2], 2.0, -0.5, [0.1, 0.2], 0.8);
        assert!((y(&op) - (0.5 * after + 0.5 * 0.8)).abs() < 1e-15);
        let before = (2.0_f64 * 0.3 + 0.1 - 0.5 * (0.5 * 0.8) + 0.2).tanh();
        let op = tiny(CELLS[1], 2.0, -0.5, [0.1, 0.2], 0.8);
        assert!((y(&op) - (0.5 * before + 0.5 * 0.8)).abs() < 1e-15);
    }

    #[test]
    fn relevance_by_hand() {
        let x = array![[[0.3]]].into_dyn();
        let r = array![[[[1.0]]]].into_dyn();
        let signals: [f64; 3] = [0.6 - 0.4 + 0.3, 0.6 - 0.2 + 0.3, 0.6 + 0.1 + 0.5 * (-0.4 + 0.2)];
        for (cell, signal) in CELLS.into_iter().zip(signals) {
            let op = tiny(cell, 2.0, -0.5, [0.1, 0.2], 0.8);
            let y = op.forward(&[&x]);
            let out = op.propagate(Io { inputs: &[&x], output: &y }, &r);
            // Of the update, tanh(signal)/2 against 0.8/2; of the signal, 2 · 0.3.
            let share = signal.tanh() / (signal.tanh() + 0.8) * 0.6 / signal;
            assert!((out.relevance[0][[0, 0, 0]] - share).abs() < 1e-5, "{cell:?}");
            assert!((out.bias[0] - (1.0 - share)).abs() < 1e-5, "{cell:?}");
        }
    }

    #[test]
    fn plain_layers_by_hand() {
        let x = array![[[0.3]]].into_dyn();
        let signal: f64 = 2.0 * 0.3 - 0.5 * 0.8 + 0.1 + 0.2;
        for (cell, value) in PLAIN.into_iter().zip([signal.tanh(), signal]) {
            let op = tiny(cell, 2.0, -0.5, [0.1, 0.2], 0.8);
            let y = op.forward(&[&x]);
            assert!((y[[0, 0, 0, 0]] - value).abs() < 1e-15);
            let out = op.propagate(Io { inputs: &[&x], output: &y }, &array![[[[1.0]]]].into_dyn());
            assert!((out.relevance[0][[0, 0, 0]] - 0.6 / signal).abs() < 1e-5);
            // The state before the first step is a constant.
            assert!((out.bias[0] - (0.3 - 0.4) / signal).abs() < 1e-5);
        }
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let x = varied(&[2, 4, 3], 500.0);
        for op in ops() {
            let y = op.forward(&[&x]);
            let g = varied(y.shape(), 600.0);
            crate::testing::assert_gradient(&op, &[&x], &g);
        }
    }

    #[test]
    fn the_ledger_balances_and_samples_are_independent() {
        let x = varied(&[2, 4, 3], 500.0);
        for op in ops() {
            let y = op.forward(&[&x]);
            let r = varied(y.shape(), 600.0);
            let out = op.propagate(Io { inputs: &[&x], output: &y }, &r);
            for s in 0..2 {
                let part = |t: &Tensor<f64>| t.slice_axis(Axis(0), (s..=s).into()).to_owned();
                let received = part(&r).sum();
                let propagated = part(&out.relevance[0]);
                let booked = propagated.sum() + out.bias[s] + out.stabilizer[s] + out.rule[s];
                let moved = propagated.mapv(f64::abs).sum() + out.bias[s].abs();
                assert!((received - booked).abs() < 1e-12 * moved.max(1.0), "{:?}: {received} and {booked}", op.cell);
                let (x, y, r) = (part(&x), part(&y), part(&r));
                assert_eq!(op.forward(&[&x]), y);
                assert_eq!(op.propagate(Io { inputs: &[&x], output: &y }, &r).relevance[0], propagated);
            }
            assert!(out.bias.iter().all(|&b| (b != 0.0) == (op.biases > 0)));
        }
    }

    #[test]
    fn reversed_input_gives_reversed_output() {
        let parameters = Parameters {
            input: varied(&[1, 8, 3], 1.0),
            recurrent: varied(&[1, 8, 2], 100.0),
            bias: None,
            hidden: None,
            cell: None,
        };
        let op = |direction| Recurrent::new(Cell::Lstm, direction, parameters.clone(), &[4, 3]).unwrap();
        let x = varied(&[1, 4, 3], 500.0);
        let mut reversed = x.clone();
        reversed.invert_axis(Axis(1));
        let mut y = op(Direction::Reverse).forward(&[&reversed.as_standard_layout().into_owned()]);
        y.invert_axis(Axis(1));
        assert_eq!(y, op(Direction::Forward).forward(&[&x]));
    }

    #[test]
    fn shapes_that_do_not_fit() {
        let parameters = |rows: usize, inputs: usize| Parameters {
            input: varied(&[1, rows, inputs], 1.0),
            recurrent: varied(&[1, rows, 2], 100.0),
            bias: None,
            hidden: None,
            cell: None,
        };
        let new = |rows, inputs, sample: &[usize]| {
            Recurrent::new(Cell::Lstm, Direction::Forward, parameters(rows, inputs), sample)
        };
        assert!(new(8, 3, &[4, 3]).is_ok());
        for (rows, inputs, sample) in [(6, 3, &[4, 3][..]), (8, 2, &[4, 3]), (8, 3, &[3]), (8, 3, &[0, 3])] {
            assert!(new(rows, inputs, sample).is_err());
        }
        assert!(Recurrent::new(Cell::Lstm, Direction::Both, parameters(8, 3), &[4, 3]).is_err());
    }
}
