//! One step of an LSTM. Gates are in the order `i o f g`.

use super::{Absorbed, State, Step, Weights, add, add_product, add_transposed, sigmoid};
use crate::scalar::Scalar;

pub(super) fn forward<T: Scalar>(weights: &Weights<T>, projected: &[T], before: &State<T>) -> Step<T> {
    let n = before.hidden.len();
    let mut gates = add(&add(projected, &weights.input_bias), &weights.recurrent_bias);
    add_product(&weights.recurrent, &before.hidden, &mut gates);
    let signal = gates[3 * n..].to_vec();
    gates[..3 * n].iter_mut().for_each(|v| *v = sigmoid(*v));
    gates[3 * n..].iter_mut().for_each(|v| *v = v.tanh());
    let cell: Vec<T> = (0..n).map(|k| gates[2 * n + k] * before.cell[k] + gates[k] * gates[3 * n + k]).collect();
    let hidden = cell.iter().zip(&gates[n..]).map(|(c, &o)| o * c.tanh()).collect();
    Step { gates, signal, gated: Vec::new(), after: State { hidden, cell } }
}

/// The gradient before the step, and at the arguments of all gates.
pub(super) fn gradient<T: Scalar>(
    weights: &Weights<T>,
    step: &Step<T>,
    before: &State<T>,
    g: State<T>,
) -> (State<T>, Vec<T>) {
    let n = before.hidden.len();
    let mut arguments = vec![T::zero(); 4 * n];
    let mut received = State { hidden: vec![T::zero(); n], cell: vec![T::zero(); n] };
    let slope = |s: T| s * (T::one() - s);
    for k in 0..n {
        let [i, o, f, signal] = [0, 1, 2, 3].map(|gate| step.gates[gate * n + k]);
        let squashed = step.after.cell[k].tanh();
        let cell = g.cell[k] + g.hidden[k] * o * (T::one() - squashed * squashed);
        arguments[k] = cell * signal * slope(i);
        arguments[n + k] = g.hidden[k] * squashed * slope(o);
        arguments[2 * n + k] = cell * before.cell[k] * slope(f);
        arguments[3 * n + k] = cell * i * (T::one() - signal * signal);
        received.cell[k] = cell * f;
    }
    add_transposed(&weights.recurrent, &arguments, &mut received.hidden);
    (received, arguments)
}

/// The relevance before the step, and relevance over value at the signal's argument.
pub(super) fn relevance<T: Scalar>(
    weights: &Weights<T>,
    step: &Step<T>,
    before: &State<T>,
    r: State<T>,
    absorbed: &mut Absorbed,
) -> (State<T>, Vec<T>) {
    let n = before.hidden.len();
    let mut arguments = vec![T::zero(); n];
    let mut received = State { hidden: vec![T::zero(); n], cell: vec![T::zero(); n] };
    for (k, argument) in arguments.iter_mut().enumerate() {
        let [i, f, signal] = [0, 2, 3].map(|gate| step.gates[gate * n + k]);
        // h = o ⊙ tanh(c): all to the cell.
        let s = absorbed.divide(r.cell[k] + r.hidden[k], step.after.cell[k]);
        received.cell[k] = f * before.cell[k] * s;
        *argument = absorbed.divide(i * signal * s, step.signal[k]);
        let bias = weights.input_bias[3 * n + k] + weights.recurrent_bias[3 * n + k];
        absorbed.bias += argument.wide() * bias.wide();
    }
    add_transposed(&weights.recurrent[3 * n * n..], &arguments, &mut received.hidden);
    received.hidden.iter_mut().zip(&before.hidden).for_each(|(c, &h)| *c *= h);
    (received, arguments)
}
