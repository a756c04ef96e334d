//! Recognises GELU where an exporter wrote it out: `x · ½(1 + erf(x/√2))`, or the approximation by a tanh,
//! `x · ½(1 + tanh(√(2/π)(x + 0.044715 x³)))`, in whatever order the factors come.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use lrp_core::Scalar;
use lrp_core::ops::Function;

use super::Passed;
use super::pattern::{activation, close, function_of, gated, lines, polynomial, rewrite};
use crate::graph::Graph;

pub(super) fn run<T: Scalar>(graph: Graph<T>) -> Passed<T> {
    rewrite(graph, "is a GELU", |graph, node| {
        [false, true].into_iter().find_map(|tanh| {
            let x = gated(graph, node, (0.5, 0.5), |graph, id, x| gate(graph, id, x, tanh))?;
            activation(node, Function::Gelu { tanh }, x)
        })
    })
}

/// For a linear function of the erf or tanh that GELU takes of `x`: its factor and summand.
fn gate<T: Scalar>(graph: &Graph<T>, id: usize, x: usize, tanh: bool) -> Option<(f64, f64)> {
    let line = *lines(graph, id).last()?;
    let (function, argument) = function_of(graph.nodes.get(line.id)?)?;
    let scale = FRAC_1_SQRT_2 * FRAC_2_SQRT_PI;
    let expected = match (function, tanh) {
        (Function::Erf, false) => [0.0, FRAC_1_SQRT_2, 0.0, 0.0],
        (Function::Tanh, true) => [0.0, scale, 0.0, scale * 0.044_715],
        _ => return None,
    };
    let found = polynomial(graph, argument, x)?;
    found.iter().zip(&expected).all(|(f, e)| close(*f, *e)).then_some((line.weight, line.bias))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Net, check_pass_to, kinds};

    /// The constants in the file are rounded to f32.
    const TOLERANCE: f64 = 1e-7;

    #[test]
    fn by_erf_in_every_order() {
        for order in 0..3 {
            let mut net = Net::new(&[5]);
            let numbers = [std::f32::consts::SQRT_2, 1.0, 0.5].map(|v| net.floats(&[], &[v]));
            let [root, one, half] = &numbers;
            let z = net.op("Div", &["x", root], &[]);
            let z = net.op("Erf", &[&z], &[]);
            let z = net.op("Add", &[&z, one], &[]);
            match order {
                0 => {
                    let z = net.op("Mul", &["x", &z], &[]);
                    net.op("Mul", &[&z, half], &[]);
                }
                1 => {
                    let z = net.op("Mul", &[half, &z], &[]);
                    net.op("Mul", &[&z, "x"], &[]);
                }
                _ => {
                    let x = net.op("Mul", &["x", half], &[]);
                    net.op("Mul", &[&x, &z], &[]);
                }
            }
            assert_eq!(kinds(&check_pass_to(TOLERANCE, run, &net, &[5], 1)), ["gelu"], "{order}");
        }
    }

    #[test]
    fn by_tanh_with_powers_or_products() {
        for powers in [false, true] {
            let mut net = Net::new(&[5]);
            let numbers = [0.044_715, 0.797_884_6, 1.0, 0.5].map(|v| net.floats(&[], &[v]));
            let [cubic, scale, one, half] = &numbers;
            let three = net.floats(&[], &[3.0]);
            let cube = if powers {
                net.op("Pow", &["x", &three], &[])
            } else {
                let square = net.op("Mul", &["x", "x"], &[]);
                net.op("Mul", &[&square, "x"], &[])
            };
            let z = net.op("Mul", &[cubic, &cube], &[]);
            let z = net.op("Add", &["x", &z], &[]);
            let z = net.op("Mul", &[scale, &z], &[]);
            let z = net.op("Tanh", &[&z], &[]);
            let z = net.op("Add", &[&z, one], &[]);
            let z = net.op("Mul", &["x", &z], &[]);
            net.op("Mul", &[half, &z], &[]);
            assert_eq!(kinds(&check_pass_to(TOLERANCE, run, &net, &[5], 1)), ["gelu"], "{powers}");
        }
    }

    #[test]
    fn other_functions_stay() {
        let mut net = Net::new(&[5]);
        let one = net.floats(&[], &[1.0]);
        let z = net.op("Erf", &["x"], &[]);
        let z = net.op("Add", &[&z, &one], &[]);
        net.op("Mul", &["x", &z], &[]);
        check_pass_to(TOLERANCE, run, &net, &[5], 0);
        let mut net = Net::new(&[5]);
        let two = net.floats(&[], &[2.0]);
        net.op("Pow", &["x", &two], &[]);
        assert_eq!(kinds(&check_pass_to(TOLERANCE, run, &net, &[5], 0)), ["power"]);
    }
}
