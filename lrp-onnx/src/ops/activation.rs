//! Elementwise activations.

use lrp_core::Scalar;
use lrp_core::ops::{Activation, Function};

use super::{Context, Translated};

fn elementwise<T: Scalar>(cx: &mut Context<'_, T>, function: Function) -> Translated {
    let x = cx.data(0)?;
    cx.push(Activation::new(function, &cx.shape(x))?, &[x])
}

pub(super) fn relu<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Relu)
}

pub(super) fn leaky_relu<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::LeakyRelu { alpha: cx.node.float("alpha").unwrap_or(0.01) })
}

pub(super) fn sigmoid<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Sigmoid)
}

pub(super) fn tanh<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Tanh)
}

/// Limits are attributes up to operator set 10 and inputs later; one that is left out does not limit.
pub(super) fn clip<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    // Exporters write the largest finite f32 for "no limit".
    let limit = |v: f64| if v.abs() >= f64::from(f32::MAX) { v.signum() * f64::INFINITY } else { v };
    let low = cx.number(1, "min")?.map_or(f64::NEG_INFINITY, limit);
    let high = cx.number(2, "max")?.map_or(f64::INFINITY, limit);
    if low == 0.0 && high == f64::INFINITY {
        return elementwise(cx, Function::Relu);
    }
    elementwise(cx, Function::Clip { low, high })
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net};
    use ndarray::array;

    #[test]
    fn by_hand() {
        let x = array![[-2.0, -0.5, 0.5, 7.0]].into_dyn();
        let one = |op: &str, attributes: &[(&str, Attr<'_>)], opset: i64| {
            let mut net = Net::new(&[4]).opset(opset);
            net.op(op, &["x"], attributes);
            net.run(&x)
        };
        assert_eq!(one("Relu", &[], 17), array![[0.0, 0.0, 0.5, 7.0]].into_dyn());
        assert_eq!(one("LeakyRelu", &[("alpha", Attr::Float(0.5))], 17), array![[-1.0, -0.25, 0.5, 7.0]].into_dyn());
        let limits = [("min", Attr::Float(-1.0)), ("max", Attr::Float(6.0))];
        assert_eq!(one("Clip", &limits, 10), array![[-1.0, -0.5, 0.5, 6.0]].into_dyn());
        assert!((one("Tanh", &[], 17)[[0, 2]] - 0.5f64.tanh()).abs() < 1e-15);
        assert!((one("Sigmoid", &[], 17)[[0, 3]] - 1.0 / (1.0 + (-7f64).exp())).abs() < 1e-15);
    }

    #[test]
    fn limits_as_inputs() {
        let mut net = Net::new(&[2]);
        let six = net.floats(&[], &[6.0]);
        net.op("Clip", &["x", "", &six], &[]);
        assert_eq!(net.run(&array![[-9.0, 9.0]].into_dyn()), array![[-9.0, 6.0]].into_dyn());
        // A limit from 0 to the largest number is a ReLU.
        let mut net = Net::new(&[2]).opset(10);
        net.op("Clip", &["x"], &[("min", Attr::Float(0.0)), ("max", Attr::Float(f32::MAX))]);
        let model = net.import().unwrap().model;
        assert_eq!(model.node(model.output()).kind_name(), "relu");
    }
}
