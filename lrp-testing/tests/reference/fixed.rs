//! The fixed behaviours of operators that are not affine, from the papers: LRP-all for recurrent layers (Arras et al. 2017, 2019), AttnLRP
//! for softmax and products (Achtibat et al. 2024), constant σ for layer norms (Ali et al. 2022), winner takes all for max pooling.

use lrp_core::Tensor;
use lrp_core::kernels::window::WindowSpec;
use lrp_core::operator::{Fixed, Io};
use lrp_core::ops::{Cell, Direction, Parameters};
use lrp_testing::cases;
use lrp_testing::op::Op;
use lrp_testing::operators::{
    Applied, applied, layer_norm, mat_mul, max_pool, mul, plain_recurrent, recurrent, softmax,
};
use ndarray::Axis;
use proptest::prelude::*;

use super::{TOLERANCE, flat};

/// Relevance and what was taken on the way, with the largest amount that was moved.
#[derive(Default)]
struct Expected {
    relevance: Vec<f64>,
    bias: f64,
    stabilizer: f64,
    rule: f64,
    moved: f64,
    /// Some divisor is zero but for rounding: its sign is anybody's guess, and so is what depends on it.
    unclear: bool,
}

/// ε of the fixed behaviours.
const EPSILON: f64 = 1e-6;

impl Expected {
    /// Divides `r` among `contributions` to `z` by LRP-ε; the share of the stabilizer is recorded.
    fn divide(&mut self, r: f64, contributions: &[f64]) -> Vec<f64> {
        let z: f64 = contributions.iter().sum();
        let size: f64 = contributions.iter().map(|c| c.abs()).sum();
        self.unclear |= size > 0.0 && z.abs() < 1e-9 * size;
        let stabilized = if z >= 0.0 { z + EPSILON } else { z - EPSILON };
        self.stabilizer += (stabilized - z) / stabilized * r;
        let parts: Vec<f64> = contributions.iter().map(|c| c / stabilized * r).collect();
        self.moved = parts.iter().fold(self.moved, |m, p| m.max(p.abs()));
        parts
    }
}

/// Compares the operator's own behaviour with the reference on every sample.
fn agree(case: &Applied, reference: impl Fn(&[f64], &[f64]) -> Expected) -> Result<(), TestCaseError> {
    let op = case.bound.build::<f64>();
    let xs: Vec<&Tensor<f64>> = case.xs.iter().collect();
    let output = op.forward(&xs);
    let io = Io { inputs: &xs, output: &output };
    let (relevance, accounts) = match op.fixed() {
        Fixed::Own { .. } => {
            let out = op.propagate(io, &case.r);
            (out.relevance, Some([out.bias, out.stabilizer, out.rule]))
        }
        _ => (op.vjp(io, &case.r), None),
    };
    for (sample, r) in case.r.axis_iter(Axis(0)).enumerate() {
        let r: Vec<f64> = r.iter().copied().collect();
        let expected = reference(&flat(&case.xs, sample), &r);
        if expected.unclear {
            continue;
        }
        let moved = r.iter().chain(&expected.relevance).fold(expected.moved, |m, v| m.max(v.abs()));
        let near = |a: f64, b: f64| (a - b).abs() <= TOLERANCE * moved.max(1e-300);
        let got = flat(&relevance, sample);
        prop_assert_eq!(got.len(), expected.relevance.len());
        prop_assert!(
            got.iter().zip(&expected.relevance).all(|(a, b)| near(*a, *b)),
            "{got:?}, by the formula {:?}",
            expected.relevance
        );
        if let Some([bias, stabilizer, rule]) = &accounts {
            let got = [bias[sample], stabilizer[sample], rule[sample]];
            let wanted = [expected.bias, expected.stabilizer, expected.rule];
            prop_assert!(got.iter().zip(&wanted).all(|(a, b)| near(*a, *b)), "took {got:?}, by the formula {wanted:?}");
        }
    }
    Ok(())
}

/// All positions of an array of this shape, in row-major order.
fn positions(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![Vec::new()], |all, &d| {
        all.iter().flat_map(|p| (0..d).map(move |i| [p.as_slice(), &[i]].concat())).collect()
    })
}

fn index(shape: &[usize], position: &[usize]) -> usize {
    shape.iter().zip(position).fold(0, |sum, (d, i)| sum * d + i)
}

/// The first of the largest elements of every window gets its relevance.
fn winners(spec: &WindowSpec, shape: &[usize], x: &[f64], r: &[f64]) -> Expected {
    let (channels, space) = (shape[0], &shape[1..]);
    let out: Vec<usize> = (0..space.len())
        .map(|a| {
            (space[a] + spec.pad_begin[a] + spec.pad_end[a] - spec.dilation[a] * (spec.kernel[a] - 1) - 1)
                / spec.stride[a]
                + 1
        })
        .collect();
    let (inside, outside): (usize, usize) = (space.iter().product(), out.iter().product());
    let mut relevance = vec![0.0; x.len()];
    for c in 0..channels {
        for o in positions(&out) {
            let seen = positions(&spec.kernel).into_iter().filter_map(|tap| {
                let at = |a: usize| {
                    let i = (o[a] * spec.stride[a] + tap[a] * spec.dilation[a]).checked_sub(spec.pad_begin[a])?;
                    (i < space[a]).then_some(i)
                };
                (0..space.len()).map(at).collect::<Option<Vec<usize>>>()
            });
            let mut winner: Option<usize> = None;
            for position in seen {
                let i = c * inside + index(space, &position);
                if winner.is_none_or(|w| x[i] > x[w]) {
                    winner = Some(i);
                }
            }
            relevance[winner.unwrap()] += r[c * outside + index(&out, &o)];
        }
    }
    Expected { relevance, ..Expected::default() }
}

fn sigmoid(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

/// One direction of a recurrent layer, with its weights as rows.
struct Way<'a> {
    p: &'a Parameters<f64>,
    d: usize,
    hidden: usize,
}

impl Way<'_> {
    fn w(&self, row: usize, j: usize) -> f64 {
        self.p.input[[self.d, row, j]]
    }

    fn r(&self, row: usize, j: usize) -> f64 {
        self.p.recurrent[[self.d, row, j]]
    }

    /// The biases of `W` and of `R`.
    fn b(&self, gates: usize, row: usize) -> (f64, f64) {
        let rows = gates * self.hidden;
        self.p.bias.as_ref().map_or((0.0, 0.0), |b| (b[[self.d, row]], b[[self.d, rows + row]]))
    }

    fn initial(&self, state: Option<&Tensor<f64>>) -> Vec<f64> {
        (0..self.hidden).map(|k| state.map_or(0.0, |s| s[[self.d, k]])).collect()
    }
}

/// The values of a direction at one step.
struct Moment {
    x: Vec<f64>,
    h: Vec<f64>,
    c: Vec<f64>,
    /// Gates after their function, before it for the signal.
    gates: Vec<Vec<f64>>,
    h_after: Vec<f64>,
    c_after: Vec<f64>,
}

fn lstm_step(way: &Way<'_>, x: &[f64], h: &[f64], c: &[f64]) -> Moment {
    let n = way.hidden;
    let argument = |gate: usize, k: usize| {
        let row = gate * n + k;
        let (b, c) = way.b(4, row);
        let inputs: f64 = x.iter().enumerate().map(|(j, x)| way.w(row, j) * x).sum();
        let states: f64 = h.iter().enumerate().map(|(j, h)| way.r(row, j) * h).sum();
        inputs + states + b + c
    };
    let gate = |g: usize| (0..n).map(|k| argument(g, k)).collect::<Vec<f64>>();
    // ONNX's order: i o f g.
    let mut gates: Vec<Vec<f64>> = (0..4).map(gate).collect();
    gates[..3].iter_mut().flatten().for_each(|v| *v = sigmoid(*v));
    let c_after: Vec<f64> = (0..n).map(|k| gates[2][k] * c[k] + gates[0][k] * gates[3][k].tanh()).collect();
    let h_after = (0..n).map(|k| gates[1][k] * c_after[k].tanh()).collect();
    Moment { x: x.to_vec(), h: h.to_vec(), c: c.to_vec(), gates, h_after, c_after }
}

fn gru_step(way: &Way<'_>, x: &[f64], h: &[f64], linear_before_reset: bool) -> Moment {
    let n = way.hidden;
    let inputs = |row: usize| x.iter().enumerate().map(|(j, x)| way.w(row, j) * x).sum::<f64>() + way.b(3, row).0;
    let states = |row: usize, h: &[f64]| h.iter().enumerate().map(|(j, h)| way.r(row, j) * h).sum::<f64>();
    let gate = |g: usize, k: usize| sigmoid(inputs(g * n + k) + states(g * n + k, h) + way.b(3, g * n + k).1);
    // ONNX's order: z r n.
    let update: Vec<f64> = (0..n).map(|k| gate(0, k)).collect();
    let reset: Vec<f64> = (0..n).map(|k| gate(1, k)).collect();
    let held: Vec<f64> = reset.iter().zip(h).map(|(r, h)| r * h).collect();
    let signal: Vec<f64> = (0..n)
        .map(|k| {
            let row = 2 * n + k;
            let bias = way.b(3, row).1;
            let recurrent =
                if linear_before_reset { reset[k] * (states(row, h) + bias) } else { states(row, &held) + bias };
            inputs(row) + recurrent
        })
        .collect();
    let h_after = (0..n).map(|k| (1.0 - update[k]) * signal[k].tanh() + update[k] * h[k]).collect();
    Moment {
        x: x.to_vec(),
        h: h.to_vec(),
        c: vec![0.0; n],
        gates: vec![update, reset, signal],
        h_after,
        c_after: vec![0.0; n],
    }
}

fn plain_step(way: &Way<'_>, x: &[f64], h: &[f64], relu: bool) -> Moment {
    let argument = |row: usize| {
        let (b, c) = way.b(1, row);
        let inputs: f64 = x.iter().enumerate().map(|(j, x)| way.w(row, j) * x).sum();
        inputs + h.iter().enumerate().map(|(j, h)| way.r(row, j) * h).sum::<f64>() + b + c
    };
    let signal: Vec<f64> = (0..way.hidden).map(argument).collect();
    let h_after = signal.iter().map(|&z| if relu { z.max(0.0) } else { z.tanh() }).collect();
    let c = vec![0.0; way.hidden];
    Moment { x: x.to_vec(), h: h.to_vec(), c: c.clone(), gates: vec![signal], h_after, c_after: c }
}

/// LRP-all through a recurrent layer: gates are constants, sums are divided by LRP-ε, tanh passes.
fn through_time(cell: Cell, direction: Direction, p: &Parameters<f64>, steps: usize, x: &[f64], r: &[f64]) -> Expected {
    let (hidden, inputs) = (*p.recurrent.shape().last().unwrap(), x.len() / steps);
    let reversed: &[bool] = match direction {
        Direction::Forward => &[false],
        Direction::Reverse => &[true],
        Direction::Both => &[false, true],
    };
    let mut out = Expected { relevance: vec![0.0; x.len()], ..Expected::default() };
    for (d, &backwards) in reversed.iter().enumerate() {
        let way = Way { p, d, hidden };
        let order: Vec<usize> = if backwards { (0..steps).rev().collect() } else { (0..steps).collect() };
        let (mut h, mut c) = (way.initial(p.hidden.as_ref()), way.initial(p.cell.as_ref()));
        let mut moments = Vec::new();
        for &t in &order {
            let x = &x[t * inputs..(t + 1) * inputs];
            let moment = match cell {
                Cell::Lstm => lstm_step(&way, x, &h, &c),
                Cell::Gru { linear_before_reset } => gru_step(&way, x, &h, linear_before_reset),
                Cell::Rnn { relu } => plain_step(&way, x, &h, relu),
            };
            (h, c) = (moment.h_after.clone(), moment.c_after.clone());
            moments.push(moment);
        }
        let (mut rh, mut rc) = (vec![0.0; hidden], vec![0.0; hidden]);
        for (moment, &t) in moments.iter().zip(&order).rev() {
            for k in 0..hidden {
                rh[k] += r[(t * reversed.len() + d) * hidden + k];
            }
            let (mut rh_before, mut rc_before) = (vec![0.0; hidden], vec![0.0; hidden]);
            for k in 0..hidden {
                let gates = &moment.gates;
                // To the state before and to the signal.
                let (row, gates_count, to_signal) = match cell {
                    Cell::Lstm => {
                        // h = o ⊙ tanh(c): all of it to the cell; c = f⊙c + i⊙g.
                        let kept = gates[2][k] * moment.c[k];
                        let new = gates[0][k] * gates[3][k].tanh();
                        let parts = out.divide(rh[k] + rc[k], &[kept, new]);
                        rc_before[k] += parts[0];
                        (3 * hidden + k, 4, parts[1])
                    }
                    Cell::Gru { .. } => {
                        let new = (1.0 - gates[0][k]) * gates[2][k].tanh();
                        let kept = gates[0][k] * moment.h[k];
                        let parts = out.divide(rh[k], &[kept, new]);
                        rh_before[k] += parts[0];
                        (2 * hidden + k, 3, parts[1])
                    }
                    // h = φ(z): φ passes.
                    Cell::Rnn { .. } => (k, 1, rh[k]),
                };
                // The signal's argument: inputs, states, biases.
                let (b, b_recurrent) = way.b(gates_count, row);
                let (of_state, of_bias): (Box<dyn Fn(usize) -> f64>, f64) = match cell {
                    Cell::Lstm | Cell::Rnn { .. } => (Box::new(|_| 1.0), 1.0),
                    Cell::Gru { linear_before_reset: true } => (Box::new(|_| gates[1][k]), gates[1][k]),
                    Cell::Gru { linear_before_reset: false } => (Box::new(|j| gates[1][j]), 1.0),
                };
                let mut terms: Vec<f64> = (0..inputs).map(|j| way.w(row, j) * moment.x[j]).collect();
                terms.extend((0..hidden).map(|j| way.r(row, j) * of_state(j) * moment.h[j]));
                terms.extend([b, of_bias * b_recurrent]);
                let parts = out.divide(to_signal, &terms);
                for (sum, part) in out.relevance[t * inputs..].iter_mut().zip(&parts[..inputs]) {
                    *sum += part;
                }
                for (sum, part) in rh_before.iter_mut().zip(&parts[inputs..]) {
                    *sum += part;
                }
                out.bias += parts[inputs + hidden] + parts[inputs + hidden + 1];
            }
            (rh, rc) = (rh_before, rc_before);
        }
        // Initial states are constants.
        out.bias += rh.iter().chain(&rc).sum::<f64>();
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn max_pooling_is_winner_takes_all(case in applied(max_pool())) {
        let Op::MaxPool { spec } = &case.bound.op else { unreachable!() };
        agree(&case, |x, r| winners(spec, &case.bound.shapes[0], x, r))?;
    }

    /// `R_a = R_b = R / 2` (Achtibat et al. 2024, eq. 14), or all to the signal (Arras et al. 2017).
    #[test]
    fn products_are_divided_in_half_or_gated(case in applied(mul())) {
        let Op::Mul { gate } = case.bound.op else { unreachable!() };
        agree(&case, |_, r| {
            let takes = |input: usize| match gate {
                None => 0.5,
                Some(gate) => f64::from(u8::from(input != gate)),
            };
            let relevance = (0..2).flat_map(|input| r.iter().map(move |r| takes(input) * r)).collect();
            Expected { relevance, ..Expected::default() }
        })?;
    }

    /// `R_i = x_i (R_i − s_i Σ_j R_j)` (Achtibat et al. 2024, Proposition 3.1).
    #[test]
    fn softmax_is_its_expansion(case in applied(softmax())) {
        let Op::Softmax { axis, .. } = case.bound.op else { unreachable!() };
        let shape = case.bound.shapes[0].clone();
        agree(&case, |x, r| {
            let mut relevance = vec![0.0; x.len()];
            for position in positions(&shape) {
                let along = |i: usize| {
                    let mut other = position.clone();
                    other[axis - 1] = i;
                    index(&shape, &other)
                };
                let row: Vec<usize> = (0..shape[axis - 1]).map(along).collect();
                let sum: f64 = row.iter().map(|&i| x[i].exp()).sum();
                let total: f64 = row.iter().map(|&i| r[i]).sum();
                let i = index(&shape, &position);
                relevance[i] = x[i] * (r[i] - x[i].exp() / sum * total);
            }
            let rule = r.iter().sum::<f64>() - relevance.iter().sum::<f64>();
            Expected { relevance, rule, ..Expected::default() }
        })?;
    }

    /// `y_i = γ_i (x_i − Σ_j x_j / n) / σ + β_i` with σ a constant, divided by LRP-ε.
    #[test]
    fn layer_norm_is_epsilon_with_sigma_constant(case in applied(layer_norm())) {
        let Op::LayerNorm { gamma, beta, epsilon, .. } = &case.bound.op else { unreachable!() };
        agree(&case, |x, r| {
            let n = gamma.len();
            let mut out = Expected { relevance: vec![0.0; x.len()], ..Expected::default() };
            for row in 0..x.len() / n {
                let x = &x[row * n..(row + 1) * n];
                let mean = x.iter().sum::<f64>() / n as f64;
                let sigma = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64 + epsilon).sqrt();
                for i in 0..n {
                    let weight = |j: usize| gamma[i] / sigma * (f64::from(u8::from(i == j)) - 1.0 / n as f64);
                    let mut terms: Vec<f64> = (0..n).map(|j| weight(j) * x[j]).collect();
                    terms.push(beta.as_ref().map_or(0.0, |b| b[i]));
                    let parts = out.divide(r[row * n + i], &terms);
                    (0..n).for_each(|j| out.relevance[row * n + j] += parts[j]);
                    out.bias += parts[n];
                }
            }
            out
        })?;
    }

    /// Each term `a_ij b_jk` of an output gets its share by LRP-ε, and gives half of it to either factor (Achtibat et al. 2024, Proposition 3.3);
    /// all of it to one where the other is a constant.
    #[test]
    fn matrix_products_are_divided_term_by_term(case in applied(mat_mul())) {
        let Op::MatMul { all_to } = case.bound.op else { unreachable!() };
        let [a_shape, b_shape] = [&case.bound.shapes[0], &case.bound.shapes[1]];
        let (m, k, n) = (a_shape[a_shape.len() - 2], a_shape[a_shape.len() - 1], b_shape[b_shape.len() - 1]);
        let stack = a_shape.iter().product::<usize>() / (m * k);
        let shares = match all_to {
            None => [0.5, 0.5],
            Some(0) => [1.0, 0.0],
            Some(_) => [0.0, 1.0],
        };
        agree(&case, |x, r| {
            let mut out = Expected { relevance: vec![0.0; x.len()], ..Expected::default() };
            let b_begins = stack * m * k;
            for (s, row, column) in positions(&[stack, m, n]).iter().map(|p| (p[0], p[1], p[2])) {
                let a = |j: usize| (s * m + row) * k + j;
                let b = |j: usize| b_begins + (s * k + j) * n + column;
                let terms: Vec<f64> = (0..k).map(|j| x[a(j)] * x[b(j)]).collect();
                for (j, part) in out.divide(r[(s * m + row) * n + column], &terms).into_iter().enumerate() {
                    out.relevance[a(j)] += shares[0] * part;
                    out.relevance[b(j)] += shares[1] * part;
                }
            }
            out
        })?;
    }

    /// The same for plain recurrent layers, which have no gates.
    #[test]
    fn plain_recurrent_layers_are_epsilon(case in applied(plain_recurrent())) {
        let Op::Recurrent { cell, direction, parameters } = &case.bound.op else { unreachable!() };
        let steps = case.bound.shapes[0][0];
        agree(&case, |x, r| through_time(*cell, *direction, parameters, steps, x, r))?;
    }

    /// Arras et al. 2017 and 2019, for LSTM and both kinds of GRU, in all directions.
    #[test]
    fn recurrent_layers_are_lrp_all(case in applied(recurrent())) {
        let Op::Recurrent { cell, direction, parameters } = &case.bound.op else { unreachable!() };
        let steps = case.bound.shapes[0][0];
        agree(&case, |x, r| through_time(*cell, *direction, parameters, steps, x, r))?;
    }
}
