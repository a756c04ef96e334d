//! Helpers of the unit tests of several operators.

use crate::operator::{Io, Operator};
use crate::tensor::Tensor;

/// Checks an operator's gradient against finite differences of its output, for the cotangent `g`.
///
/// # Panics
/// When they differ.
pub(crate) fn assert_gradient(op: &dyn Operator<f64>, xs: &[&Tensor<f64>], g: &Tensor<f64>) {
    const H: f64 = 1e-5;
    let y = op.forward(xs);
    let gradients = op.vjp(Io { inputs: xs, output: &y }, g);
    for (which, gradient) in gradients.iter().enumerate() {
        for (i, &got) in gradient.iter().enumerate() {
            let moved = |h: f64| {
                let mut xs: Vec<Tensor<f64>> = xs.iter().map(|&x| x.clone()).collect();
                xs[which].as_slice_mut().unwrap()[i] += h;
                (op.forward(&xs.iter().collect::<Vec<_>>()) * g).sum()
            };
            let slope = (moved(H) - moved(-H)) / (2.0 * H);
            assert!((slope - got).abs() < 1e-7, "{op:?}, input {which}, element {i}: slope {slope}, gradient {got}");
        }
    }
}
