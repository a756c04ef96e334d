//! One step of a GRU. Gates are in the order `z r n`.

use super::{Absorbed, State, Step, Weights, add, add_product, add_transposed, sigmoid};
use crate::scalar::Scalar;

pub(super) fn forward<T: Scalar>(
    weights: &Weights<T>,
    projected: &[T],
    before: &State<T>,
    linear_before_reset: bool,
) -> Step<T> {
    let n = before.hidden.len();
    let (gate_rows, signal_rows) = weights.recurrent.split_at(2 * n * n);
    let (gate_bias, signal_bias) = weights.recurrent_bias.split_at(2 * n);
    let mut gates = add(projected, &weights.input_bias);
    let mut signal = gates.split_off(2 * n);
    gates.iter_mut().zip(gate_bias).for_each(|(v, &b)| *v += b);
    add_product(gate_rows, &before.hidden, &mut gates);
    gates.iter_mut().for_each(|v| *v = sigmoid(*v));
    let reset = &gates[n..];
    let gated = if linear_before_reset {
        let mut linear = signal_bias.to_vec();
        add_product(signal_rows, &before.hidden, &mut linear);
        signal.iter_mut().zip(reset).zip(&linear).for_each(|((v, &r), &l)| *v += r * l);
        linear
    } else {
        let part: Vec<T> = reset.iter().zip(&before.hidden).map(|(&r, &h)| r * h).collect();
        signal.iter_mut().zip(signal_bias).for_each(|(v, &b)| *v += b);
        add_product(signal_rows, &part, &mut signal);
        before.hidden.clone()
    };
    gates.extend(signal.iter().map(|v| v.tanh()));
    let hidden = (0..n).map(|k| (T::one() - gates[k]) * gates[2 * n + k] + gates[k] * before.hidden[k]).collect();
    Step { gates, signal, gated, after: State { hidden, cell: Vec::new() } }
}

/// The gradient before the step, and at the arguments of all gates.
pub(super) fn gradient<T: Scalar>(
    weights: &Weights<T>,
    step: &Step<T>,
    before: &State<T>,
    g: State<T>,
    linear_before_reset: bool,
) -> (State<T>, Vec<T>) {
    let n = before.hidden.len();
    let (gate_rows, signal_rows) = weights.recurrent.split_at(2 * n * n);
    let (update, reset, signal) = (&step.gates[..n], &step.gates[n..2 * n], &step.gates[2 * n..]);
    let slope = |s: T| s * (T::one() - s);
    let mut hidden: Vec<T> = g.hidden.iter().zip(update).map(|(&g, &z)| g * z).collect();
    let mut arguments: Vec<T> =
        (0..n).map(|k| g.hidden[k] * (before.hidden[k] - signal[k]) * slope(update[k])).collect();
    let at_signal: Vec<T> =
        (0..n).map(|k| g.hidden[k] * (T::one() - update[k]) * (T::one() - signal[k] * signal[k])).collect();
    // The gradient at the product of the reset gate with what it multiplies.
    let product = if linear_before_reset {
        let linear: Vec<T> = at_signal.iter().zip(reset).map(|(&g, &r)| g * r).collect();
        add_transposed(signal_rows, &linear, &mut hidden);
        at_signal.clone()
    } else {
        let mut product = vec![T::zero(); n];
        add_transposed(signal_rows, &at_signal, &mut product);
        hidden.iter_mut().zip(&product).zip(reset).for_each(|((sum, &g), &r)| *sum += g * r);
        product
    };
    arguments.extend((0..n).map(|k| product[k] * step.gated[k] * slope(reset[k])));
    add_transposed(gate_rows, &arguments, &mut hidden);
    arguments.extend(at_signal);
    (State { hidden, cell: Vec::new() }, arguments)
}

/// The relevance before the step, and relevance over value at the signal's argument.
pub(super) fn relevance<T: Scalar>(
    weights: &Weights<T>,
    step: &Step<T>,
    before: &State<T>,
    r: State<T>,
    linear_before_reset: bool,
    absorbed: &mut Absorbed,
) -> (State<T>, Vec<T>) {
    let n = before.hidden.len();
    let (mut direct, mut arguments) = (Vec::with_capacity(n), Vec::with_capacity(n));
    // The coefficients of the rows of R, which the reset gate multiplies before or after.
    let mut rows = Vec::with_capacity(n);
    for k in 0..n {
        let [update, reset, signal] = [0, 1, 2].map(|gate| step.gates[gate * n + k]);
        let s = absorbed.divide(r.hidden[k], step.after.hidden[k]);
        direct.push(update * before.hidden[k] * s);
        let at_signal = absorbed.divide((T::one() - update) * signal * s, step.signal[k]);
        let of_rows = if linear_before_reset { at_signal * reset } else { at_signal };
        absorbed.bias += at_signal.wide() * weights.input_bias[2 * n + k].wide();
        absorbed.bias += of_rows.wide() * weights.recurrent_bias[2 * n + k].wide();
        arguments.push(at_signal);
        rows.push(of_rows);
    }
    let mut hidden = vec![T::zero(); n];
    add_transposed(&weights.recurrent[2 * n * n..], &rows, &mut hidden);
    for (k, c) in hidden.iter_mut().enumerate() {
        let reset = if linear_before_reset { T::one() } else { step.gates[n + k] };
        *c = direct[k] + *c * reset * before.hidden[k];
    }
    (State { hidden, cell: Vec::new() }, arguments)
}
