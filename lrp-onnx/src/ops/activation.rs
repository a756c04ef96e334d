//! Elementwise activations.

use lrp_core::Scalar;
use lrp_core::ops::{Activation, Function, Mul, PRelu, shared};

use super::{Context, Translated};
use crate::error::Problem;
use crate::graph::{Constants, Origin};

fn elementwise<T: Scalar>(cx: &mut Context<'_, T>, function: Function) -> Translated {
    let x = cx.data(0)?;
    let op = Activation::new(function, &cx.shape(x))?;
    cx.push_made_from(shared(op), Origin::Activation(function), &[x])
}

/// An activation that this node needs besides its own operator.
pub(super) fn extra<T: Scalar>(
    cx: &mut Context<'_, T>,
    suffix: &str,
    function: Function,
    x: usize,
) -> Result<usize, Problem> {
    let op = Activation::new(function, &cx.shape(x))?;
    Ok(cx.push_extra_made_from(suffix, shared(op), Origin::Activation(function), &[x]))
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

pub(super) fn elu<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Elu { alpha: cx.node.float("alpha").unwrap_or(1.0) })
}

pub(super) fn erf<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Erf)
}

pub(super) fn softplus<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Softplus)
}

pub(super) fn hard_sigmoid<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let alpha = cx.node.float("alpha").unwrap_or(0.2);
    // The file has a sixth as an f32.
    let alpha = if (alpha - 1.0 / 6.0).abs() < 1e-7 { 1.0 / 6.0 } else { alpha };
    elementwise(cx, Function::HardSigmoid { alpha, beta: cx.node.float("beta").unwrap_or(0.5) })
}

pub(super) fn hard_swish<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::HardSwish)
}

pub(super) fn gelu<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    match cx.node.text("approximate").as_deref() {
        None | Some("none") => elementwise(cx, Function::Gelu { tanh: false }),
        Some("tanh") => elementwise(cx, Function::Gelu { tanh: true }),
        Some(other) => Err(Problem::invalid(format!("it is approximated by '{other}'"))),
    }
}

pub(super) fn sqrt<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Sqrt)
}

pub(super) fn exp<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Exp)
}

pub(super) fn log<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Log)
}

pub(super) fn abs<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Abs)
}

pub(super) fn sin<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Sin)
}

pub(super) fn cos<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Cos)
}

pub(super) fn tan<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Tan)
}

pub(super) fn asin<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Asin)
}

pub(super) fn acos<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Acos)
}

pub(super) fn atan<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Atan)
}

pub(super) fn sinh<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Sinh)
}

pub(super) fn cosh<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Cosh)
}

pub(super) fn asinh<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Asinh)
}

pub(super) fn acosh<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Acosh)
}

pub(super) fn atanh<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Atanh)
}

pub(super) fn softsign<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Softsign)
}

pub(super) fn celu<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::Celu { alpha: cx.node.float("alpha").unwrap_or(1.0) })
}

pub(super) fn thresholded_relu<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    elementwise(cx, Function::ThresholdedRelu { alpha: cx.node.float("alpha").unwrap_or(1.0) })
}

pub(super) fn shrink<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let bias = cx.node.float("bias").unwrap_or(0.0);
    elementwise(cx, Function::Shrink { bias, limit: cx.node.float("lambd").unwrap_or(0.5) })
}

/// `x · σ(alpha · x)`, of which the sigmoid is the gate.
pub(super) fn swish<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let alpha = cx.node.float("alpha").unwrap_or(1.0);
    if alpha == 1.0 {
        return elementwise(cx, Function::Silu);
    }
    let x = cx.data(0)?;
    let shape = cx.shape(x);
    let constants = Constants { weight: Some(ndarray::arr0(T::of(alpha)).into_dyn()), bias: None };
    let op = shared(constants.build(&shape)?);
    let scaled = cx.push_extra_made_from("scaled", op, Origin::Scale(constants), &[x]);
    let gate = extra(cx, "sigmoid", Function::Sigmoid, scaled)?;
    cx.push(Mul::new(Some(1), &shape)?.because("the sigmoid of x · σ(αx)"), &[x, gate])
}

/// `gamma · elu(x)`.
pub(super) fn selu<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    // The defaults of the ONNX specification.
    let alpha = cx.node.float("alpha").unwrap_or(1.673_263_192_176_818_8);
    let gamma = cx.node.float("gamma").unwrap_or(1.050_700_902_938_842_8);
    let elu = extra(cx, "elu", Function::Elu { alpha }, x)?;
    let constants = Constants { weight: Some(ndarray::arr0(T::of(gamma)).into_dyn()), bias: None };
    let op = shared(constants.build(&cx.shape(x))?);
    cx.push_made_from(op, Origin::Scale(constants), &[elu])
}

/// `x · tanh(softplus(x))`, of which the tanh is the gate.
pub(super) fn mish<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let softplus = extra(cx, "softplus", Function::Softplus, x)?;
    let gate = extra(cx, "tanh", Function::Tanh, softplus)?;
    let product = Mul::new(Some(1), &cx.shape(x))?.because("the tanh of x · tanh(softplus(x))");
    cx.push(product, &[x, gate])
}

/// A slope below zero for each channel; with one for all it is a leaky ReLU.
pub(super) fn p_relu<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let shape = cx.shape(x);
    let slope = cx.per_sample(cx.constant(1)?, cx.rank(x))?;
    if let Some(first) = slope.first().copied()
        && slope.iter().all(|&s| s == first)
    {
        return elementwise(cx, Function::LeakyRelu { alpha: first.wide() });
    }
    cx.push(PRelu::new(slope, &shape)?, &[x])
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
    use std::f64::consts::{FRAC_PI_3, FRAC_PI_6};

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
    fn smooth_ones_by_hand() {
        let x = array![[-2.0, 0.5]].into_dyn();
        let one = |op: &str, attributes: &[(&str, Attr<'_>)]| {
            let mut net = Net::new(&[2]).opset(20);
            net.op(op, &["x"], attributes);
            net.run(&x)
        };
        // As ONNX Runtime computes them, to six places.
        for (op, attributes, expected) in [
            ("Elu", &[("alpha", Attr::Float(2.0))][..], [-1.729329, 0.5]),
            ("Erf", &[], [-0.995322, 0.520500]),
            ("Gelu", &[], [-0.045500, 0.345731]),
            ("Gelu", &[("approximate", Attr::Text("tanh"))], [-0.045402, 0.345714]),
            ("HardSigmoid", &[], [0.1, 0.6]),
            ("HardSigmoid", &[("alpha", Attr::Float(1.0 / 6.0))], [0.166667, 0.583333]),
            ("HardSwish", &[], [-0.333333, 0.291667]),
            ("Mish", &[], [-0.252501, 0.375245]),
            ("Softplus", &[], [0.126928, 0.974077]),
            ("Celu", &[("alpha", Attr::Float(2.0))], [-1.264241, 0.5]),
            ("Softsign", &[], [-0.666667, 0.333333]),
            ("ThresholdedRelu", &[("alpha", Attr::Float(0.4))], [0.0, 0.5]),
            ("Shrink", &[("lambd", Attr::Float(1.0)), ("bias", Attr::Float(0.25))], [-1.75, 0.0]),
            ("Swish", &[("alpha", Attr::Float(2.0))], [-0.035972, 0.365529]),
            ("Swish", &[], [-0.238406, 0.311230]),
            ("Sinh", &[], [-3.626860, 0.521095]),
            ("Cosh", &[], [3.762196, 1.127626]),
            ("Tan", &[], [2.185040, 0.546302]),
            ("Atan", &[], [-1.107149, 0.463648]),
            ("Asinh", &[], [-1.443635, 0.481212]),
        ] {
            let y = one(op, attributes);
            assert!(y.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{op}: {y} and {expected:?}");
        }
        let unit = array![[-0.5, 0.5]].into_dyn();
        for (op, expected) in [
            ("Asin", [-FRAC_PI_6, FRAC_PI_6]),
            ("Acos", [2.0 * FRAC_PI_3, FRAC_PI_3]),
            ("Atanh", [-0.549306, 0.549306]),
        ] {
            let mut net = Net::new(&[2]);
            net.op(op, &["x"], &[]);
            assert!(net.run(&unit).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{op}");
        }
        let mut net = Net::new(&[1]);
        net.op("Acosh", &["x"], &[]);
        assert!((net.run(&array![[2.0]].into_dyn())[[0, 0]] - 1.316958).abs() < 1e-6);
        let mut net = Net::new(&[2]);
        net.op("Gelu", &["x"], &[("approximate", Attr::Text("roughly"))]);
        assert!(net.error().contains("approximated by 'roughly'"), "{}", net.error());
    }

    #[test]
    fn slopes_for_each_channel() {
        let x = array![[[-2.0, 4.0], [-2.0, 4.0]]].into_dyn();
        let mut net = Net::new(&[2, 2]);
        let slopes = net.floats(&[2, 1], &[0.5, -1.0]);
        net.op("PRelu", &["x", &slopes], &[]);
        assert_eq!(net.run(&x), array![[[-1.0, 4.0], [2.0, 4.0]]].into_dyn());
        let mut net = Net::new(&[2, 2]);
        let slopes = net.floats(&[2, 1], &[0.5, 0.5]);
        net.op("PRelu", &["x", &slopes], &[]);
        assert_eq!(crate::testing::kinds(&net.raw()), ["leaky-relu"]);
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
