//! Operators on integers that know the scales of their inputs and outputs: the float operator, limited to the range of the
//! output's integers.

use lrp_core::Scalar;

use super::super::{Context, Translated, Translator, Value, activation, arithmetic, conv, linear, pool, structure};
use super::{numbers, real, requantized};
use crate::error::Problem;
use crate::quantization::Form;
use crate::tensor::Constant;

/// Translates the node with these inputs, which are real values, and limits the output by the step in the inputs `places`.
fn on_real<T: Scalar>(
    cx: &mut Context<'_, T>,
    inputs: Vec<Option<Value>>,
    places: (usize, usize),
    translate: Translator<T>,
) -> Translated {
    cx.quantization.count(Form::Operators);
    let original = std::mem::replace(&mut cx.inputs, inputs);
    let y = translate(cx)?;
    match original.get(places.0) {
        Some(Some(_)) => requantized(cx, y, places, &original),
        // QGemm without a scale has real outputs.
        _ => Ok(y),
    }
}

pub(in super::super) fn conv<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let (x, w) = (real(cx, 0, (1, 2), 0)?, real(cx, 3, (4, 5), 0)?);
    let bias = bias(cx, 8, 1, 4)?;
    on_real(cx, vec![Some(x), Some(w), bias], (6, 7), conv::conv)
}

pub(in super::super) fn mat_mul<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let rank = |index: usize| match cx.inputs.get(index) {
        Some(Some(Value::Constant(c))) => c.shape().len(),
        _ => 0,
    };
    let (row, column) = (rank(0).saturating_sub(2), rank(3).saturating_sub(1));
    let (a, b) = (real(cx, 0, (1, 2), row)?, real(cx, 3, (4, 5), column)?);
    on_real(cx, vec![Some(a), Some(b)], (6, 7), linear::mat_mul)
}

pub(in super::super) fn gemm<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let outputs = usize::from(cx.node.int("transB").unwrap_or(0) == 0);
    let (a, b) = (real(cx, 0, (1, 2), 0)?, real(cx, 3, (4, 5), outputs)?);
    let bias = bias(cx, 6, 1, 4)?;
    on_real(cx, vec![Some(a), Some(b), bias], (7, 8), linear::gemm)
}

/// A bias of integers, in units of the product of two scales.
fn bias<T: Scalar>(cx: &mut Context<'_, T>, index: usize, x: usize, w: usize) -> Result<Option<Value>, Problem> {
    let Some(bias) = cx.optional(index)?.cloned() else { return Ok(None) };
    let number = |list: Option<Vec<f64>>| list.ok_or_else(|| Problem::invalid("one of its scales is left out"));
    let (x, w) = (number(numbers(cx, x)?)?, number(numbers(cx, w)?)?);
    let [x] = x.as_slice() else { return Err(Problem::unsupported("with several scales for an activation")) };
    let scales: Vec<f64> = w.iter().map(|w| w * x).collect();
    let last = bias.shape().len().saturating_sub(1);
    let real: Constant = super::dequantized(cx, &bias, &scales, &[0.0], last)?;
    Ok(Some(Value::Constant(real)))
}

pub(in super::super) fn add<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    binary(cx, arithmetic::add)
}

pub(in super::super) fn mul<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    binary(cx, arithmetic::mul)
}

fn binary<T: Scalar>(cx: &mut Context<'_, T>, translate: Translator<T>) -> Translated {
    let (a, b) = (real(cx, 0, (1, 2), 0)?, real(cx, 3, (4, 5), 0)?);
    on_real(cx, vec![Some(a), Some(b)], (6, 7), translate)
}

pub(in super::super) fn average_pool<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    unary(cx, pool::average_pool)
}

pub(in super::super) fn global_average_pool<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    unary(cx, pool::global_average_pool)
}

pub(in super::super) fn leaky_relu<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    unary(cx, activation::leaky_relu)
}

pub(in super::super) fn sigmoid<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    unary(cx, activation::sigmoid)
}

pub(in super::super) fn softmax<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    // Of the operator set that the softmax was written in.
    let opset = cx.opset;
    cx.opset = cx.node.int("opset").unwrap_or(opset);
    let y = unary(cx, structure::softmax);
    cx.opset = opset;
    y
}

fn unary<T: Scalar>(cx: &mut Context<'_, T>, translate: Translator<T>) -> Translated {
    if cx.node.int("channels_last").unwrap_or(0) != 0 {
        return Err(Problem::unsupported("with channels as the last axis (channels_last = 1)"));
    }
    let x = real(cx, 0, (1, 2), 0)?;
    on_real(cx, vec![Some(x)], (3, 4), translate)
}

/// The step of the output comes first, and each input has its own behind it.
pub(in super::super) fn concat<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let mut parts = Vec::new();
    for index in (2..cx.inputs.len()).step_by(3) {
        parts.push(Some(real(cx, index, (index + 1, index + 2), 0)?));
    }
    on_real(cx, parts, (0, 1), structure::concat)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net};
    use lrp_core::Tensor;
    use ndarray::array;

    const MICROSOFT: &str = "com.microsoft";

    fn close(a: &Tensor<f64>, b: &Tensor<f64>) {
        assert_eq!(a.shape(), b.shape());
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{a} and {b}");
    }

    /// A net on integers: the input in steps of 0.5 around 128, then what `build` makes of it and of this step, in steps of 0.25
    /// around 100, and back to numbers.
    fn on_integers(sample: &[i64], build: impl FnOnce(&mut Net, &[&str; 3], &[&str; 2]) -> String) -> Net {
        let mut net = Net::new(sample);
        let (xs, xz) = (net.floats(&[], &[0.5]), net.uint8s(&[], &[128]));
        let (ys, yz) = (net.floats(&[], &[0.25]), net.uint8s(&[], &[100]));
        let q = net.op("QuantizeLinear", &["x", &xs, &xz], &[]);
        let y = build(&mut net, &[&q, &xs, &xz], &[&ys, &yz]);
        net.op("DequantizeLinear", &[&y, &ys, &yz], &[]);
        net
    }

    /// The output with rounding.
    fn rounded(net: &Net, x: &Tensor<f64>) -> Tensor<f64> {
        net.import().unwrap().quantized.unwrap().output(&[x]).unwrap()
    }

    #[test]
    fn a_convolution_by_hand() {
        let net = on_integers(&[1, 3], |net, [x, xs, xz], [ys, yz]| {
            let (w, ws, wz) =
                (net.int8s(&[2, 1, 2], &[1, 2, 3, -4]), net.floats(&[2], &[0.5, 0.1]), net.int8s(&[2], &[0, 1]));
            // In steps of 0.5 · 0.5 and 0.5 · 0.1.
            let b = net.int32s(&[2], &[4, -10]);
            net.op("QLinearConv", &[x, xs, xz, &w, &ws, &wz, ys, yz, &b], &[])
        });
        let x = array![[[1.0, 2.2, 40.0]]].into_dyn();
        // 0.5 · (1 · a + 2 · b) + 1 and 0.1 · (2 · a − 5 · b) − 0.5; at most (255 − 100) · 0.25 = 38.75.
        close(&net.run(&x), &array![[[3.7, 38.75], [-1.4, -20.06]]].into_dyn());
        // The input in steps of 0.5, the output in steps of 0.25: 3.5 and −1.3.
        close(&rounded(&net, &x), &array![[[3.5, 38.75], [-1.25, -20.0]]].into_dyn());
        let notes = net.import().unwrap().notes;
        assert!(notes[0].contains("one activation is quantized, one operator on integers"), "{notes:?}");
    }

    #[test]
    fn products_by_hand() {
        let net = on_integers(&[2], |net, [x, xs, xz], [ys, yz]| {
            let (w, ws, wz) =
                (net.uint8s(&[2, 2], &[11, 12, 13, 14]), net.floats(&[2], &[1.0, 0.5]), net.uint8s(&[2], &[10, 10]));
            net.op("QLinearMatMul", &[x, xs, xz, &w, &ws, &wz, ys, yz], &[])
        });
        let x = array![[1.0, 2.0]].into_dyn();
        close(&net.run(&x), &array![[7.0, 5.0]].into_dyn());
        let gemm = |net: &mut Net, [x, xs, xz]: &[&str; 3], y: &[&str]| {
            let (w, ws, wz) = (net.int8s(&[1, 2], &[1, 3]), net.floats(&[], &[2.0]), net.int8s(&[], &[0]));
            let b = net.int32s(&[1], &[3]);
            let y = net.op("QGemm", &[&[*x, xs, xz, &w, &ws, &wz, &b], y].concat(), &[("transB", Attr::Int(1))]);
            net.last(MICROSOFT, &[]);
            y
        };
        // 2 · (1 + 3 · 2) + 3 · 0.5 · 2
        close(&on_integers(&[2], |net, x, y| gemm(net, x, y)).run(&x), &array![[17.0]].into_dyn());
        // Without a scale of its output, that is a number.
        let mut float = on_integers(&[2], |net, x, _| gemm(net, x, &[]));
        float.graph().node.pop();
        float.graph().output[0].name = "t1".into();
        close(&float.run(&x), &array![[17.0]].into_dyn());
    }

    #[test]
    fn sums_and_products_of_activations_and_constants() {
        let x = array![[1.0, 2.0]].into_dyn();
        for (op, other, expected) in [("QLinearAdd", 5, [2.0, 3.0]), ("QLinearMul", 5, [1.0, 2.0])] {
            // 5 in steps of 0.25 around 1 is 1.
            let net = on_integers(&[2], |net, [x, xs, xz], [ys, yz]| {
                let (c, s, z) = (net.uint8s(&[], &[other]), net.floats(&[], &[0.25]), net.uint8s(&[], &[1]));
                let y = net.op(op, &[x, xs, xz, &c, &s, &z, ys, yz], &[]);
                net.last(MICROSOFT, &[]);
                y
            });
            close(&net.run(&x), &array![expected].into_dyn());
        }
        let net = on_integers(&[2], |net, [x, xs, xz], [ys, yz]| {
            let y = net.op("QLinearAdd", &[x, xs, xz, x, xs, xz, ys, yz], &[]);
            net.last(MICROSOFT, &[]);
            y
        });
        close(&net.run(&x), &array![[2.0, 4.0]].into_dyn());
    }

    #[test]
    fn pools_functions_and_concatenations() {
        let x = array![[[1.0, -2.0, 4.0, 6.0]]].into_dyn();
        let unary = |op: &'static str, attributes: &[(&str, Attr<'_>)]| {
            on_integers(&[1, 4], |net, [x, xs, xz], [ys, yz]| {
                let y = net.op(op, &[x, xs, xz, ys, yz], attributes);
                net.last(MICROSOFT, &[]);
                y
            })
        };
        let pool = [("kernel_shape", Attr::Ints(&[2])), ("strides", Attr::Ints(&[2]))];
        close(&unary("QLinearAveragePool", &pool).run(&x), &array![[[-0.5, 5.0]]].into_dyn());
        close(&unary("QLinearGlobalAveragePool", &[]).run(&x), &array![[[2.25]]].into_dyn());
        let leaky = unary("QLinearLeakyRelu", &[("alpha", Attr::Float(0.5))]);
        close(&leaky.run(&x), &array![[[1.0, -1.0, 4.0, 6.0]]].into_dyn());
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        close(&unary("QLinearSigmoid", &[]).run(&x), &x.mapv(sigmoid));
        let sum: f64 = x.iter().map(|v| v.exp()).sum();
        let softmax = unary("QLinearSoftmax", &[("axis", Attr::Int(-1)), ("opset", Attr::Int(13))]);
        close(&softmax.run(&x), &x.mapv(|v| v.exp() / sum));
        let last = unary("QLinearGlobalAveragePool", &[("channels_last", Attr::Int(1))]);
        assert!(last.error().contains("channels_last"), "{}", last.error());
        let concat = on_integers(&[1, 4], |net, [x, xs, xz], [ys, yz]| {
            let y = net.op("QLinearConcat", &[ys, yz, x, xs, xz, x, xs, xz], &[("axis", Attr::Int(1))]);
            net.last(MICROSOFT, &[]);
            y
        });
        assert_eq!(concat.run(&x).shape(), [1, 2, 4]);
    }
}
