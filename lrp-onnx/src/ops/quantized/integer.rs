//! Products of integers, as dynamic quantization writes them: the scales are multiplied on afterwards, or by the operator.

use lrp_core::Scalar;

use super::super::{Context, Translated, Value, conv, linear, recurrent};
use super::{affine, dequantized, dynamically, numbers, parameters, plus, real};
use crate::error::Problem;
use crate::quantization::{Form, Step};
use crate::tensor::Constant;

/// `(A − zero point) (B − zero point)`, of integers.
pub(in super::super) fn mat_mul_integer<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    cx.quantization.count(Form::Dynamic);
    product(cx, |shape| shape.len().saturating_sub(1), linear::mat_mul)
}

/// A convolution of integers.
pub(in super::super) fn conv_integer<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    cx.quantization.count(Form::Dynamic);
    product(cx, |_| 0, conv::conv)
}

/// A product of activations with constants, or with activations; `axis` is that of the constants along which zero points differ.
fn product<T: Scalar>(
    cx: &mut Context<'_, T>,
    axis: fn(&[usize]) -> usize,
    translate: fn(&mut Context<'_, T>) -> Translated,
) -> Translated {
    let zeros = [2, 3].map(|index| numbers(cx, index).map(|zero| zero.unwrap_or_else(|| vec![0.0])));
    let [a_zero, b_zero] = zeros;
    let zeros = [a_zero?, b_zero?];
    // The activations first: constants are divided by their scales.
    let mut scale = 1.0;
    let mut activations = 0;
    let mut factors = Vec::new();
    for (index, zero) in zeros.iter().enumerate() {
        let Some(Some(Value::Data(id))) = cx.inputs.get(index) else {
            factors.push(None);
            continue;
        };
        let (id, own) = integers(cx, *id, zero)?;
        scale *= own;
        activations += 1;
        factors.push(Some(Value::Data(id)));
    }
    for (index, (factor, zero)) in factors.iter_mut().zip(&zeros).enumerate().filter(|(_, (f, _))| f.is_none()) {
        let constant = cx.constant(index)?.clone();
        let axis = if index == 0 { constant.shape().len().saturating_sub(2) } else { axis(constant.shape()) };
        *factor = Some(Value::Constant(dequantized(cx, &constant, &[1.0 / scale], zero, axis)?));
    }
    cx.inputs = factors;
    let y = translate(cx)?;
    let Value::Data(mut id) = y else { return Ok(y) };
    if activations > 1 {
        id = affine(cx, id, 1.0 / scale, 0.0)?;
    }
    cx.quantization.keep(id, Step::INTEGERS);
    Ok(Value::Data(id))
}

/// An activation and a scale by which it is divided to give the integers without their zero point.
fn integers<T: Scalar>(cx: &mut Context<'_, T>, id: usize, zero: &[f64]) -> Result<(usize, f64), Problem> {
    match (cx.quantization.step(id).unwrap_or(Step::INTEGERS), zero) {
        (Step::One { scale, zero: own }, &[zero]) => Ok((affine(cx, id, 1.0, (own - zero) * scale)?, scale)),
        _ => Err(Problem::unsupported("with several scales or zero points for an activation")),
    }
}

/// `A B` of integers, times both scales, and a bias.
pub(in super::super) fn mat_mul_integer_to_float<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    cx.quantization.count(Form::Dynamic);
    let columns = columns(cx)?;
    let factors = [real(cx, 0, (2, 4), 0)?, real(cx, 1, (3, 5), columns)?];
    let bias = cx.optional(6)?.cloned();
    with_bias(cx, factors, bias)
}

/// `A B`, for which A is quantized by a scale of its own, and a bias.
pub(in super::super) fn dynamic_quantize_mat_mul<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    cx.quantization.count(Form::Dynamic);
    let x = cx.data(0)?;
    let columns = columns(cx)?;
    let weights = real(cx, 1, (2, 3), columns)?;
    let bias = cx.optional(4)?.cloned();
    let x = if cx.quantization.rounds { dynamically(cx, Some("quantized"), x)? } else { x };
    with_bias(cx, [Value::Data(x), weights], bias)
}

/// The last axis of the second factor.
fn columns<T: Scalar>(cx: &Context<'_, T>) -> Result<usize, Problem> {
    Ok(cx.constant(1)?.shape().len().saturating_sub(1))
}

fn with_bias<T: Scalar>(cx: &mut Context<'_, T>, factors: [Value; 2], bias: Option<Constant>) -> Translated {
    cx.inputs = factors.into_iter().map(Some).collect();
    let y = linear::mat_mul(cx)?;
    match (y, bias) {
        (Value::Data(id), Some(bias)) => plus(cx, id, &bias).map(Value::Data),
        (y, _) => Ok(y),
    }
}

/// An LSTM whose weights are integers, `[D, in, 4H]`, and which quantizes its input and its states by scales of their own.
/// Where anything is rounded, its input is.
pub(in super::super) fn dynamic_quantize_lstm<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    cx.quantization.count(Form::Dynamic);
    let input = gates_first(cx, 1, (8, 9))?;
    let recurrent = gates_first(cx, 2, (10, 11))?;
    if cx.quantization.rounds {
        let x = cx.data(0)?;
        let x = dynamically(cx, Some("quantized"), x)?;
        if let Some(slot) = cx.inputs.get_mut(0) {
            *slot = Some(Value::Data(x));
        }
    }
    for (slot, weights) in cx.inputs.iter_mut().skip(1).zip([input, recurrent]) {
        *slot = Some(Value::Constant(weights));
    }
    cx.inputs.truncate(8);
    recurrent::lstm(cx)
}

/// The weights in input `index`, `[D, in, 4H]`, as real values `[D, 4H, in]`. Each direction has its own scale and zero point, or
/// one for each gate and unit.
fn gates_first<T: Scalar>(cx: &mut Context<'_, T>, index: usize, places: (usize, usize)) -> Result<Constant, Problem> {
    let weights = cx.constant(index)?.clone();
    let &[directions, inputs, gates] = weights.shape() else {
        return Err(Problem::invalid(format!("its weights have the shape {:?}", weights.shape())));
    };
    let (scale, zero) = parameters(cx, places)?;
    for list in [&scale, &zero] {
        if ![1, directions, directions.saturating_mul(gates)].contains(&list.len()) {
            return Err(Problem::invalid(format!("{} scales or zero points do not fit its weights", list.len())));
        }
    }
    cx.budget.charge(weights.shape())?;
    let values = weights.floats::<f32>();
    let at = |list: &[f64], d: usize, gate: usize| {
        let i = match list.len() {
            1 => 0,
            n if n == directions => d,
            _ => d * gates + gate,
        };
        list.get(i).copied().unwrap_or(0.0)
    };
    let mut real = Vec::with_capacity(values.len());
    for d in 0..directions {
        for gate in 0..gates {
            let (scale, zero) = (at(&scale, d, gate), at(&zero, d, gate));
            let column = (0..inputs).filter_map(|i| values.get((d * inputs + i) * gates + gate));
            real.extend(column.map(|&v| ((f64::from(v) - zero) * scale) as f32));
        }
    }
    let real = Constant::from_f32s(vec![directions, gates, inputs], real.into_iter());
    real.ok_or_else(|| Problem::invalid("its weights cannot be shaped"))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, varied};
    use lrp_core::Tensor;
    use ndarray::array;

    const MICROSOFT: &str = "com.microsoft";

    fn close(a: &Tensor<f64>, b: &Tensor<f64>) {
        assert_eq!(a.shape(), b.shape());
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{a} and {b}");
    }

    #[test]
    fn integers_of_a_fixed_scale_are_found_again() {
        // Steps of 0.5 around 3: the integers are x / 0.5 + 3.
        let mut net = Net::new(&[2]);
        let (s, z, w) = (net.floats(&[], &[0.5]), net.uint8s(&[], &[3]), net.int8s(&[2, 1], &[1, 10]));
        let q = net.op("QuantizeLinear", &["x", &s, &z], &[]);
        let y = net.op("MatMulInteger", &[&q, &w, &z], &[]);
        net.op("Cast", &[&y], &[("to", Attr::Int(1))]);
        close(&net.run(&array![[1.0, 2.5]].into_dyn()), &array![[52.0]].into_dyn());
        // Without the zero point, three more of each.
        net.graph().node[1].input.pop();
        close(&net.run(&array![[1.0, 2.5]].into_dyn()), &array![[85.0]].into_dyn());
    }

    #[test]
    fn constants_from_the_left_have_a_zero_point_for_each_row() {
        let mut net = Net::new(&[2, 1]);
        let q = net.op("DynamicQuantizeLinear", &["x"], &[]);
        net.last("", &["scale", "zero"]);
        let (w, wz) = (net.uint8s(&[2, 2], &[11, 12, 21, 22]), net.uint8s(&[2], &[10, 20]));
        let y = net.op("MatMulInteger", &[&w, &q, &wz, "zero"], &[]);
        net.op("Cast", &[&y], &[("to", Attr::Int(1))]);
        close(&net.run(&array![[[1.0], [10.0]]].into_dyn()), &array![[[21.0], [21.0]]].into_dyn());
    }

    #[test]
    fn products_that_multiply_the_scales_themselves() {
        let x = array![[1.0, 2.0]].into_dyn();
        let expected = array![[0.5 * 13.0 + 1.0, 0.25 * -4.0]].into_dyn();
        let weights = |net: &mut Net| {
            (
                net.uint8s(&[2, 2], &[131, 130, 133, 123]),
                net.floats(&[2], &[0.5, 0.25]),
                net.uint8s(&[2], &[128, 126]),
                net.floats(&[2], &[1.0, 0.0]),
            )
        };
        let mut net = Net::new(&[2]);
        let (w, s, z, b) = weights(&mut net);
        net.op("DynamicQuantizeMatMul", &["x", &w, &s, &z, &b], &[]);
        net.last(MICROSOFT, &[]);
        // (131 − 128) · 1 + (133 − 128) · 2 = 13; (130 − 126) · 1 + (123 − 126) · 2 = −2.
        let expected = &expected - &array![[0.0, -0.5]].into_dyn();
        close(&net.run(&x), &expected);
        let mut net = Net::new(&[2]);
        let (w, s, z, b) = weights(&mut net);
        let q = net.op("DynamicQuantizeLinear", &["x"], &[]);
        net.last("", &["scale", "zero"]);
        net.op("MatMulIntegerToFloat", &[&q, &w, "scale", &s, "zero", &z, &b], &[]);
        net.last(MICROSOFT, &[]);
        close(&net.run(&x), &expected);
        // The same operator in another domain is another one.
        net.graph().node[1].domain = "com.example".into();
        assert!(net.error().contains("not part of ONNX"), "{}", net.error());
    }

    #[test]
    fn an_lstm_of_bytes_is_one_of_numbers() {
        // [D, in, 4H] with in = 3 and H = 1, [D, H, 4H]; zero point 128.
        let (w, r): (Vec<u8>, Vec<u8>) = ((0..12).map(|i| 120 + 3 * i).collect(), vec![100, 150, 140, 90]);
        let real = |bytes: &[u8], scale: f32| bytes.iter().map(|b| (f32::from(*b) - 128.0) * scale).collect::<Vec<_>>();
        let x = varied(&[2, 4, 3]);
        let layout = [("hidden_size", Attr::Int(1)), ("layout", Attr::Int(1))];
        let mut float = Net::new(&[4, 3]);
        let columns = real(&w, 0.02);
        let rows: Vec<f32> = (0..4).flat_map(|gate| [columns[gate], columns[4 + gate], columns[8 + gate]]).collect();
        let (fw, fr) = (float.floats(&[1, 4, 3], &rows), float.floats(&[1, 4, 1], &real(&r, 0.03)));
        float.op("LSTM", &["x", &fw, &fr], &layout);
        let mut net = Net::new(&[4, 3]);
        let (w, r) = (net.uint8s(&[1, 3, 4], &w), net.uint8s(&[1, 1, 4], &r));
        let (ws, rs, z) = (net.floats(&[1], &[0.02]), net.floats(&[1], &[0.03]), net.uint8s(&[1], &[128]));
        net.op("DynamicQuantizeLSTM", &["x", &w, &r, "", "", "", "", "", &ws, &z, &rs, &z], &layout);
        net.last(MICROSOFT, &[]);
        close(&net.run(&x), &float.run(&x));
        // A scale for each gate and unit.
        let scales = net.floats(&[1, 4], &[0.02; 4]);
        net.graph().node[0].input[8] = scales;
        close(&net.run(&x), &float.run(&x));
        let wrong = net.floats(&[3], &[0.02; 3]);
        net.graph().node[0].input[8] = wrong;
        assert!(net.error().contains("do not fit its weights"), "{}", net.error());
    }
}
