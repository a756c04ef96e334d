//! One step of a plain recurrent layer: `h ← φ(W x + R h + b)`.

use super::{Absorbed, State, Step, Weights, add, add_product, add_transposed};
use crate::scalar::Scalar;

pub(super) fn forward<T: Scalar>(weights: &Weights<T>, projected: &[T], before: &State<T>, relu: bool) -> Step<T> {
    let mut signal = add(&add(projected, &weights.input_bias), &weights.recurrent_bias);
    add_product(&weights.recurrent, &before.hidden, &mut signal);
    let hidden: Vec<T> = signal.iter().map(|&v| if relu { crate::tensor::pos(v) } else { v.tanh() }).collect();
    Step { gates: Vec::new(), signal, gated: Vec::new(), after: State { hidden, cell: Vec::new() } }
}

/// The gradient before the step, and at the argument of φ.
pub(super) fn gradient<T: Scalar>(weights: &Weights<T>, step: &Step<T>, g: State<T>, relu: bool) -> (State<T>, Vec<T>) {
    let slope = |h: T| match relu {
        true if h > T::zero() => T::one(),
        true => T::zero(),
        false => T::one() - h * h,
    };
    let arguments: Vec<T> = g.hidden.iter().zip(&step.after.hidden).map(|(&g, &h)| g * slope(h)).collect();
    let mut hidden = vec![T::zero(); arguments.len()];
    add_transposed(&weights.recurrent, &arguments, &mut hidden);
    (State { hidden, cell: Vec::new() }, arguments)
}

/// The relevance before the step, and relevance over value at the argument of φ, through which relevance passes.
pub(super) fn relevance<T: Scalar>(
    weights: &Weights<T>,
    step: &Step<T>,
    before: &State<T>,
    r: State<T>,
    absorbed: &mut Absorbed,
) -> (State<T>, Vec<T>) {
    let biases = weights.input_bias.iter().zip(&weights.recurrent_bias);
    let values = r.hidden.iter().zip(&step.signal).zip(biases);
    let arguments: Vec<T> = values
        .map(|((&r, &z), (&of_input, &of_state))| {
            let s = absorbed.divide(r, z);
            absorbed.bias += s.wide() * (of_input + of_state).wide();
            s
        })
        .collect();
    let mut hidden = vec![T::zero(); arguments.len()];
    add_transposed(&weights.recurrent, &arguments, &mut hidden);
    hidden.iter_mut().zip(&before.hidden).for_each(|(c, &h)| *c *= h);
    (State { hidden, cell: Vec::new() }, arguments)
}
