//! Operators of quantized models, on real values in place of integers (see [`crate::quantization`]): a quantization is a
//! clip to what its integers can say, and its inverse does nothing.

pub(super) mod integer;
pub(super) mod qlinear;
mod rounding;

use std::sync::Arc;

use lrp_core::Scalar;
use lrp_core::operator::{Kind, Operator};
use lrp_core::ops::{Activation, Function, Identity, shared};

use super::{Context, Translated, Translator, Value};
use crate::error::Problem;
use crate::graph::{Body, Constants, Graph, Origin};
use crate::quantization::{Form, Step};
use crate::tensor::{Array, Constant, DType, volume};
use rounding::{Fixed, Rounding};

/// The operators that move or select elements, or compare them: what they do to integers they do to the real values.
const MOVES: &[&str] = &[
    "Clip",
    "Concat",
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "GlobalMaxPool",
    "Identity",
    "Max",
    "MaxPool",
    "Min",
    "Pad",
    "Relu",
    "Reshape",
    "Resize",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Upsample",
    "Where",
];

/// The operators that round: integers are not rounded again.
const ROUNDS: [&str; 3] = ["Ceil", "Floor", "Round"];

/// Translates a node among whose inputs there may be integers of a quantized model.
pub(crate) fn translated<T: Scalar>(cx: &mut Context<'_, T>, translate: Translator<T>) -> Translated {
    let op_type = cx.node.op_type.clone();
    let ids: Vec<usize> =
        cx.inputs.iter().flatten().filter_map(|v| if let Value::Data(id) = v { Some(*id) } else { None }).collect();
    let steps: Vec<Option<Step>> = ids.iter().map(|&id| cx.quantization.step(id)).collect();
    let Some(step) = steps.iter().flatten().next().copied() else { return translate(cx) };
    let rounds = ROUNDS.contains(&op_type.as_str());
    if ["uantize", "Integer", "QLinear", "QGemm"].iter().any(|own| op_type.contains(own)) {
        return translate(cx);
    }
    match op_type.as_str() {
        "Cast" => return cast(cx, step),
        "Relu" if step != Step::INTEGERS => return relu(cx, step),
        _ if MOVES.contains(&op_type.as_str()) && steps.iter().all(|s| *s == Some(step)) => {
            integer_constants(cx, step)?
        }
        _ if rounds || step == Step::INTEGERS => {}
        _ => {
            return Err(Problem::unsupported(
                "it computes with the integers of a quantized tensor, but does not take its scale into account",
            ));
        }
    }
    let first = if rounds { super::structure::identity(cx)? } else { translate(cx)? };
    for value in std::iter::once(&first).chain(&cx.further) {
        if let Value::Data(id) | Value::Moved(id, _) = value {
            cx.quantization.keep(*id, step);
        }
    }
    Ok(first)
}

/// To floating-point numbers, integers become what they are; to other integers, nothing changes.
fn cast<T: Scalar>(cx: &mut Context<'_, T>, step: Step) -> Translated {
    let x = cx.data(0)?;
    let code = cx.node.int("to").and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
    let to_float = DType::from_code(code).is_some_and(DType::is_float);
    match step {
        Step::One { scale, zero } if to_float && step != Step::INTEGERS => {
            affine(cx, x, 1.0 / scale, zero).map(Value::Data)
        }
        Step::Each if to_float => Err(Problem::unsupported("a cast of integers that have a scale for each channel")),
        _ => {
            let y = super::structure::identity(cx)?;
            if let (Value::Data(id), false) = (&y, to_float) {
                cx.quantization.keep(*id, step);
            }
            Ok(y)
        }
    }
}

/// The larger of the integers and 0.
fn relu<T: Scalar>(cx: &mut Context<'_, T>, step: Step) -> Translated {
    let Step::One { scale, zero } = step else {
        return Err(Problem::unsupported("on integers that have a scale for each channel"));
    };
    let x = cx.data(0)?;
    let low = -zero * scale;
    let function = if low == 0.0 { Function::Relu } else { Function::Clip { low, high: f64::INFINITY } };
    let op = Activation::new(function, &cx.shape(x))?;
    let y = cx.push_made_from(shared(op), Origin::Activation(function), &[x])?;
    if let Value::Data(id) = &y {
        cx.quantization.keep(*id, step);
    }
    Ok(y)
}

/// Makes the constants beside integers real values, too.
fn integer_constants<T: Scalar>(cx: &mut Context<'_, T>, step: Step) -> Result<(), Problem> {
    let places: Vec<usize> = match cx.node.op_type.as_str() {
        "Pad" => vec![2],
        "Clip" | "Where" => vec![1, 2],
        "Concat" | "Max" | "Min" => (0..cx.inputs.len()).collect(),
        _ => return Ok(()),
    };
    let Step::One { scale, zero } = step else {
        let constant = |&i: &usize| matches!(cx.inputs.get(i), Some(Some(Value::Constant(_))));
        return match places.iter().any(constant) {
            true => Err(Problem::unsupported("on integers that have a scale for each channel")),
            false => Ok(()),
        };
    };
    // Padding by nothing in particular is padding by the integer 0.
    if cx.node.op_type == "Pad" && zero != 0.0 && cx.optional(2)?.is_none() {
        cx.inputs.resize(cx.inputs.len().max(3), None);
        if let Some(slot) = cx.inputs.get_mut(2) {
            *slot = Some(number(0.0));
        }
    }
    for place in places {
        if let Some(Some(Value::Constant(c))) = cx.inputs.get(place) {
            let real = dequantized(cx, &c.clone(), &[scale], &[zero], 0)?;
            if let Some(slot) = cx.inputs.get_mut(place) {
                *slot = Some(Value::Constant(real));
            }
        }
    }
    Ok(())
}

fn number(value: f64) -> Value {
    Value::Constant(Array::Float(ndarray::arr0(value).into_dyn()).into())
}

/// Integers of the type of the zero point, from `x / scale + zero point`.
pub(super) fn quantize_linear<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    cx.quantization.count(Form::Pairs);
    let (scale, zero) = parameters(cx, (1, 2))?;
    match (scale.as_slice(), zero.as_slice()) {
        (&[scale], &[zero]) => {
            let range = range(cx, 2)?;
            limited(cx, None, x, Fixed { scale, zero, range })
        }
        _ => {
            let y = cx.push(Identity::new(&cx.shape(x))?, &[x])?;
            if let Value::Data(id) = &y {
                cx.quantization.keep(*id, Step::Each);
            }
            Ok(y)
        }
    }
}

/// Real values from integers: here they are that already.
pub(super) fn dequantize_linear<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    match real(cx, 0, (1, 2), 0)? {
        // Another node, which does not stand for integers.
        Value::Data(id) if id == x => cx.push(Identity::new(&cx.shape(x))?, &[x]),
        value => Ok(value),
    }
}

/// Bytes by a scale that is computed from the tensor. Here that is 1, and the zero point 0: the values are the integers.
pub(super) fn dynamic_quantize_linear<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let y = dynamically(cx, None, x)?;
    cx.quantization.keep(y, Step::INTEGERS);
    let one: Constant = Array::Float(ndarray::arr0(1.0).into_dyn()).into();
    let zero: Constant = Array::Int(ndarray::arr0(0).into_dyn()).into();
    let constants = [one, zero.of_type(DType::U8)];
    cx.further = constants.into_iter().map(|c| Value::Constant(c.marked_dynamic())).collect();
    Ok(Value::Data(y))
}

/// An activation that is rounded by a scale of its own, where anything is rounded.
fn dynamically<T: Scalar>(cx: &mut Context<'_, T>, suffix: Option<&str>, x: usize) -> Result<usize, Problem> {
    let shape = cx.shape(x);
    let op: Arc<dyn Operator<T>> = match cx.quantization.rounds {
        true => Arc::new(Rounding::new(None, &shape)?),
        false => shared(Identity::new(&shape)?),
    };
    Ok(add(cx, suffix, op, Origin::Other, x))
}

/// Adds an operator under the node's own name, or with a suffix.
fn add<T: Scalar>(
    cx: &mut Context<'_, T>,
    suffix: Option<&str>,
    op: Arc<dyn Operator<T>>,
    origin: Origin<T>,
    x: usize,
) -> usize {
    match suffix {
        Some(suffix) => cx.push_extra_made_from(suffix, op, origin, &[x]),
        None => cx.add(cx.name.clone(), op, origin, &[x]),
    }
}

/// An activation, limited to the real values that the integers of a quantization stand for, and rounded to them where anything
/// is rounded. A limit that its values exceed by no more than a step, as a softmax exceeds 255/256, is none.
fn limited<T: Scalar>(cx: &mut Context<'_, T>, suffix: Option<&str>, x: usize, step: Fixed) -> Translated {
    let shape = cx.shape(x);
    // Also checks the step.
    let rounding = Rounding::new(Some(step), &shape)?;
    let Fixed { scale, zero, range } = step;
    let y = if cx.quantization.rounds {
        add(cx, suffix, Arc::new(rounding), Origin::Other, x)
    } else {
        let (least, largest) = bounds(cx.graph, x);
        let (low, high) = ((range.0 - zero) * scale, (range.1 - zero) * scale);
        let low = if least >= low - scale { f64::NEG_INFINITY } else { low };
        let high = if largest <= high + scale { f64::INFINITY } else { high };
        let function = match (low, high) {
            (f64::NEG_INFINITY, f64::INFINITY) => None,
            (0.0, f64::INFINITY) => Some(Function::Relu),
            _ => Some(Function::Clip { low, high }),
        };
        match function {
            None => add(cx, suffix, shared(Identity::new(&shape)?), Origin::Other, x),
            Some(f) => add(cx, suffix, shared(Activation::new(f, &shape)?), Origin::Activation(f), x),
        }
    };
    cx.quantization.keep(y, Step::One { scale, zero });
    Ok(Value::Data(y))
}

/// The number of nodes that are looked at for the bounds of a value.
const LOOKED_AT: usize = 16;

/// Numbers that the values of a node lie between, as far as the operator before it tells.
fn bounds<T: Scalar>(graph: &Graph<T>, mut id: usize) -> (f64, f64) {
    const ANY: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);
    for _ in 0..LOOKED_AT {
        let Some(node) = graph.nodes.get(id) else { return ANY };
        let Body::Operator(op, origin) = &node.body else { return ANY };
        match (origin, op.kind()) {
            (Origin::Activation(Function::Clip { low, high }), _) => return (*low, *high),
            (_, Kind::Relu) => return (0.0, f64::INFINITY),
            (_, Kind::Sigmoid | Kind::HardSigmoid | Kind::Softmax) => return (0.0, 1.0),
            (_, Kind::Tanh | Kind::Erf) => return (-1.0, 1.0),
            (_, Kind::Identity | Kind::Reshape | Kind::Transpose | Kind::MaxPool | Kind::Slice | Kind::Gather) => {}
            _ => return ANY,
        }
        let Some(&input) = node.inputs.first() else { return ANY };
        id = input;
    }
    ANY
}

/// The numbers in a constant input; none if it is left out.
fn numbers<T: Scalar>(cx: &Context<'_, T>, index: usize) -> Result<Option<Vec<f64>>, Problem> {
    let Some(constant) = cx.optional(index)? else { return Ok(None) };
    let values = constant.floats::<f64>();
    if values.is_empty() || values.iter().any(|v| !v.is_finite()) {
        return Err(Problem::invalid(format!(
            "its input number {}, a scale or a zero point, has no number",
            index + 1
        )));
    }
    Ok(Some(values))
}

/// A scale and a zero point, each one number or several.
fn parameters<T: Scalar>(cx: &Context<'_, T>, (scale, zero): (usize, usize)) -> Result<(Vec<f64>, Vec<f64>), Problem> {
    if cx.node.int("block_size").unwrap_or(0) != 0 {
        return Err(Problem::unsupported("with a scale for each of several blocks of an activation"));
    }
    let scales =
        numbers(cx, scale)?.ok_or_else(|| Problem::invalid(format!("it has no input number {}", scale + 1)))?;
    if scales.iter().any(|s| *s <= 0.0) {
        return Err(Problem::invalid("its scale is not positive"));
    }
    Ok((scales, numbers(cx, zero)?.unwrap_or_else(|| vec![0.0])))
}

/// The range of the integers of a zero point; without one, that of the type that the node says, or of bytes.
fn range<T: Scalar>(cx: &Context<'_, T>, index: usize) -> Result<(f64, f64), Problem> {
    let dtype = match cx.optional(index)? {
        Some(zero) => zero.dtype(),
        None => match cx.node.int("output_dtype").and_then(|code| i32::try_from(code).ok()).unwrap_or(0) {
            0 => Some(DType::U8),
            code => DType::from_code(code),
        },
    };
    let range = dtype.and_then(DType::range);
    range.ok_or_else(|| Problem::unsupported("it quantizes to a type other than integers of 8 and 16 bits"))
}

/// Input `index` as real values, by the scale and the zero point in these inputs; a constant may have one of each for every index
/// of `axis`.
fn real<T: Scalar>(
    cx: &mut Context<'_, T>,
    index: usize,
    places: (usize, usize),
    axis: usize,
) -> Result<Value, Problem> {
    let (scale, zero) = parameters(cx, places)?;
    if let Some(Some(Value::Constant(constant))) = cx.inputs.get(index) {
        return dequantized(cx, &constant.clone(), &scale, &zero, axis).map(Value::Constant);
    }
    let x = cx.data(index)?;
    match (cx.quantization.step(x).unwrap_or(Step::INTEGERS), scale.as_slice(), zero.as_slice()) {
        (Step::Each, ..) => Ok(Value::Data(x)),
        (Step::One { scale: own, zero: own_zero }, &[scale], &[zero]) => {
            affine(cx, x, scale / own, (own_zero - zero) * scale).map(Value::Data)
        }
        _ => Err(Problem::unsupported("with several scales for an activation that was quantized by one")),
    }
}

/// `weight · x + bias`; `x` itself where that is the same.
fn affine<T: Scalar>(cx: &mut Context<'_, T>, x: usize, weight: f64, bias: f64) -> Result<usize, Problem> {
    let number = |v: f64| Some(ndarray::arr0(T::of(v)).into_dyn());
    // Scales are written in single precision.
    let weight = if (weight - 1.0).abs() < 1e-6 { None } else { number(weight) };
    let bias = if bias == 0.0 { None } else { number(bias) };
    if weight.is_none() && bias.is_none() {
        return Ok(x);
    }
    let constants = Constants { weight, bias };
    let op = shared(constants.build(&cx.shape(x))?);
    Ok(cx.push_extra_made_from("step", op, Origin::Scale(constants), &[x]))
}

/// `x + bias`, with a bias as every sample sees it.
fn plus<T: Scalar>(cx: &mut Context<'_, T>, x: usize, bias: &Constant) -> Result<usize, Problem> {
    let shape = cx.shape(x);
    let constants = Constants { weight: None, bias: Some(cx.per_sample(bias, cx.rank(x))?) };
    let op = shared(constants.build(&shape)?);
    Ok(cx.push_extra_made_from("bias", op, Origin::Scale(constants), &[x]))
}

/// `(q − zero) · scale` of a constant, by one number or one for each index of an axis.
pub(super) fn dequantized<T: Scalar>(
    cx: &mut Context<'_, T>,
    q: &Constant,
    scale: &[f64],
    zero: &[f64],
    axis: usize,
) -> Result<Constant, Problem> {
    let shape = q.shape().to_vec();
    let length = shape.get(axis).copied().unwrap_or(1);
    for (list, what) in [(scale, "scale"), (zero, "zero point")] {
        if list.len() != 1 && list.len() != length {
            return Err(Problem::invalid(format!(
                "its {what} has {} numbers, which do not fit axis {axis} of {shape:?}",
                list.len()
            )));
        }
    }
    cx.budget.charge(&shape)?;
    let inner = volume(shape.get(axis + 1..).unwrap_or_default()).unwrap_or(1).max(1);
    let at = |list: &[f64], i: usize| list.get(i % list.len().max(1)).copied().unwrap_or(0.0);
    let values = q.floats::<f32>().into_iter().enumerate().map(|(i, v)| {
        let along = (i / inner) % length.max(1);
        ((f64::from(v) - at(zero, along)) * at(scale, along)) as f32
    });
    Constant::from_f32s(shape, values).ok_or_else(|| Problem::invalid("its constant cannot be shaped"))
}

/// Limits the output of an operator on real values to the range of the integers that the file has there.
fn requantized<T: Scalar>(
    cx: &mut Context<'_, T>,
    y: Value,
    places: (usize, usize),
    original: &[Option<Value>],
) -> Translated {
    let Value::Data(id) = y else { return Ok(y) };
    // The scales are among the inputs that the file lists.
    let inputs = std::mem::replace(&mut cx.inputs, original.to_vec());
    let step = parameters(cx, places).and_then(|(scale, zero)| match (scale.as_slice(), zero.as_slice()) {
        (&[scale], &[zero]) => Ok(Fixed { scale, zero, range: range(cx, places.1)? }),
        _ => Err(Problem::unsupported("with several scales for its output")),
    });
    cx.inputs = inputs;
    let y = limited(cx, Some("quantized"), id, step?)?;
    Ok(y)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, forward, kinds, varied};
    use lrp_core::Tensor;
    use ndarray::array;

    /// The output with rounding.
    fn rounded(net: &Net, x: &Tensor<f64>) -> Tensor<f64> {
        net.import().unwrap().quantized.unwrap().output(&[x]).unwrap()
    }

    fn close(a: &Tensor<f64>, b: &Tensor<f64>) {
        assert_eq!(a.shape(), b.shape());
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{a} and {b}");
    }

    /// `x` quantized with a scale of 0.5 and this zero point, then what `between` does, and back.
    fn pair(zero: u8, between: impl FnOnce(&mut Net, &str) -> String) -> Net {
        let mut net = Net::new(&[1, 4]);
        let (s, z) = (net.floats(&[], &[0.5]), net.uint8s(&[], &[zero]));
        let q = net.op("QuantizeLinear", &["x", &s, &z], &[]);
        let q = between(&mut net, &q);
        net.op("DequantizeLinear", &[&q, &s, &z], &[]);
        net
    }

    #[test]
    fn a_pair_limits_values_and_rounds_only_where_asked_to() {
        let x = array![[[-1.0, 0.3, 20.2, 200.0]]].into_dyn();
        let net = pair(0, |_, q| q.to_owned());
        assert_eq!(net.run(&x), array![[[0.0, 0.3, 20.2, 127.5]]].into_dyn());
        assert_eq!(rounded(&net, &x), array![[[0.0, 0.5, 20.0, 127.5]]].into_dyn());
        let import = net.import().unwrap();
        assert!(import.notes[0].contains("is quantized (one activation is quantized)"), "{:?}", import.notes);
        assert_eq!(import.model.node(import.model.output()).kind_name(), "clip");
        // With the zero point in the middle.
        let net = pair(128, |_, q| q.to_owned());
        assert_eq!(net.run(&x), array![[[-1.0, 0.3, 20.2, 63.5]]].into_dyn());
        // Zero points in the field of a type, as onnx.helper writes them.
        let mut net = pair(128, |_, q| q.to_owned());
        let zero = &mut net.graph().initializer[1];
        (zero.raw_data, zero.int32_data, zero.data_type) = (None, vec![-128], 3);
        assert_eq!(net.run(&x), array![[[0.0, 0.3, 20.2, 127.5]]].into_dyn());
        assert!(Net::new(&[2]).error().contains("no output"));
    }

    #[test]
    fn operators_between_work_on_real_values() {
        let x = array![[[-1.0, 0.3, 20.2, 200.0]]].into_dyn();
        let pool = pair(128, |net, q| {
            net.op("MaxPool", &[q], &[("kernel_shape", Attr::Ints(&[2])), ("strides", Attr::Ints(&[2]))])
        });
        assert_eq!(pool.run(&x), array![[[0.3, 63.5]]].into_dyn());
        // Padding by the integer 0 is padding by −64, and by 130 is padding by 1.
        let pads = &[0, 0, 1, 0, 0, 0];
        let pad = pair(128, |net, q| {
            let pads = net.ints(pads);
            net.op("Pad", &[q, &pads], &[])
        });
        assert_eq!(pad.run(&x)[[0, 0, 0]], -64.0);
        let pad = pair(128, |net, q| {
            let (pads, value) = (net.ints(pads), net.uint8s(&[], &[130]));
            net.op("Pad", &[q, &pads, &value], &[])
        });
        assert_eq!(pad.run(&x)[[0, 0, 0]], 1.0);
        // The larger of the integers and 0 is all of them.
        assert_eq!(pair(128, |net, q| net.op("Relu", &[q], &[])).run(&x)[[0, 0, 0]], -1.0);
        // Their numbers: −1 / 0.5 + 128.
        let cast = pair(128, |net, q| {
            let z = net.op("Cast", &[q], &[("to", Attr::Int(6))]);
            net.op("Cast", &[&z], &[("to", Attr::Int(1))])
        });
        assert_eq!(kinds(&cast.raw()).len(), 4);
        let mut numbers = pair(128, |net, q| net.op("Cast", &[q], &[("to", Attr::Int(1))]));
        numbers.graph().node.pop();
        numbers.graph().output[0].name = "t1".into();
        assert_eq!(numbers.run(&x)[[0, 0, 0]], 126.0);
        let sum = pair(128, |net, q| net.op("Add", &[q, q], &[]));
        assert!(sum.error().contains("does not take its scale into account"), "{}", sum.error());
        let floor = pair(128, |net, q| net.op("Floor", &[q], &[]));
        assert_eq!(floor.run(&x), pair(128, |_, q| q.to_owned()).run(&x));
        let mut net = Net::new(&[2]);
        net.op("Floor", &["x"], &[]);
        assert_eq!(kinds(&net.raw()), ["round"]);
    }

    #[test]
    fn limits_that_do_not_matter_are_left_out() {
        let after = |op: &str, scale: f32| {
            let mut net = Net::new(&[4]);
            let y = net.op(op, &["x"], &[]);
            let (s, z) = (net.floats(&[], &[scale]), net.uint8s(&[], &[0]));
            let q = net.op("QuantizeLinear", &[&y, &s, &z], &[]);
            net.op("DequantizeLinear", &[&q, &s, &z], &[]);
            kinds(&net.raw())
        };
        assert_eq!(after("Softmax", 1.0 / 256.0), ["softmax", "identity", "identity"]);
        assert_eq!(after("Sigmoid", 0.001), ["sigmoid", "clip", "identity"]);
        assert_eq!(after("Relu", 1.0), ["relu", "clip", "identity"]);
        assert_eq!(after("Neg", 1.0), ["scale", "clip", "identity"]);
    }

    #[test]
    fn scales_for_each_channel_do_nothing() {
        let mut net = Net::new(&[2]);
        let s = net.floats(&[2], &[0.5, 2.0]);
        let q = net.op("QuantizeLinear", &["x", &s], &[("axis", Attr::Int(1))]);
        net.op("DequantizeLinear", &[&q, &s], &[("axis", Attr::Int(1))]);
        let x = varied(&[3, 2]);
        assert_eq!(net.run(&x), x);
        assert_eq!(rounded(&net, &x), x);
    }

    #[test]
    fn weights_in_pairs_are_multiplied_out() {
        // 4-step weights, and an activation in steps of 0.25 around 10.
        let mut net = Net::new(&[2]);
        let (xs, xz) = (net.floats(&[], &[0.25]), net.uint8s(&[], &[10]));
        let (w, ws) = (net.int8s(&[2, 2], &[1, -2, 3, 4]), net.floats(&[2], &[0.5, 2.0]));
        let q = net.op("QuantizeLinear", &["x", &xs, &xz], &[]);
        let x = net.op("DequantizeLinear", &[&q, &xs, &xz], &[]);
        let w = net.op("DequantizeLinear", &[&w, &ws], &[("axis", Attr::Int(1))]);
        net.op("MatMul", &[&x, &w], &[]);
        let x = array![[1.1, -9.0]].into_dyn();
        // −9 becomes −2.5, the least number.
        close(&net.run(&x), &array![[0.5 * 1.1 - 1.5 * 2.5, -4.0 * 1.1 - 8.0 * 2.5]].into_dyn());
        close(&rounded(&net, &x), &array![[0.5 - 1.5 * 2.5, -4.0 - 8.0 * 2.5]].into_dyn());
    }

    #[test]
    fn broken_quantizations_are_refused() {
        for (scale, dims) in [(&[0.0f32][..], &[][..]), (&[-1.0], &[]), (&[f32::NAN], &[]), (&[], &[0])] {
            let mut net = Net::new(&[2]);
            let s = net.floats(dims, scale);
            net.op("QuantizeLinear", &["x", &s], &[]);
            net.error();
        }
        let mut net = Net::new(&[2]);
        let (s, z) = (net.floats(&[], &[1.0]), net.int32s(&[], &[0]));
        net.op("QuantizeLinear", &["x", &s, &z], &[]);
        assert!(net.error().contains("other than integers of 8 and 16 bits"), "{}", net.error());
    }

    /// The number of levels that a tensor is rounded to, as ONNX defines it.
    fn integers(x: &Tensor<f64>) -> (Tensor<f64>, f64, f64) {
        let (low, high) = x.iter().fold((0.0f64, 0.0f64), |(l, h), &v| (l.min(v), h.max(v)));
        let scale = (high - low) / 255.0;
        let zero = (-low / scale).round_ties_even();
        (x.mapv(|v| ((v / scale).round_ties_even() + zero).clamp(0.0, 255.0)), scale, zero)
    }

    #[test]
    fn dynamic_quantization_as_onnx_runtime_writes_it() {
        let mut net = Net::new(&[3]);
        let q = net.op("DynamicQuantizeLinear", &["x"], &[]);
        net.last("", &["scale", "zero"]);
        let (w, wz) = (net.uint8s(&[3, 2], &[130, 120, 129, 140, 128, 100]), net.uint8s(&[2], &[128, 127]));
        let (ws, b) = (net.floats(&[2], &[0.5, 0.25]), net.floats(&[2], &[1.0, -1.0]));
        let z = net.op("MatMulInteger", &[&q, &w, "zero", &wz], &[]);
        let z = net.op("Cast", &[&z], &[("to", Attr::Int(1))]);
        let scales = net.op("Mul", &["scale", &ws], &[]);
        let z = net.op("Mul", &[&z, &scales], &[]);
        net.op("Add", &[&z, &b], &[]);
        let x = array![[0.3, -1.0, 2.0]].into_dyn();
        let weights = array![[2.0, -7.0], [1.0, 13.0], [0.0, -27.0]];
        let of = |x: &Tensor<f64>, factor: f64| -> Tensor<f64> {
            let x = x.clone().into_dimensionality::<ndarray::Ix2>().unwrap();
            let z = x.dot(&weights) * factor * array![[0.5, 0.25]] + array![[1.0, -1.0]];
            z.into_dyn()
        };
        close(&net.run(&x), &of(&x, 1.0));
        let (q, scale, zero) = integers(&x);
        close(&rounded(&net, &x), &of(&(q - zero), scale));
        let import = net.import().unwrap();
        assert!(import.notes[0].contains("dynamic quantization of one layer"), "{:?}", import.notes);
        // One dense layer is left.
        assert_eq!(import.model.layers().len(), 1);
        assert!(forward(&import.model, &x).iter().all(|v| v.is_finite()));
    }

    #[test]
    fn biases_in_units_of_a_dynamic_scale_are_not_rounded() {
        // floor(b / (x_scale · w_scale)), added to the integers.
        let mut net = Net::new(&[1, 3]);
        let q = net.op("DynamicQuantizeLinear", &["x"], &[]);
        net.last("", &["scale", "zero"]);
        let (w, ws) = (net.int8s(&[2, 1, 2], &[1, 2, 3, -4]), net.floats(&[], &[0.5]));
        let b = net.floats(&[1, 2, 1], &[0.3, -0.7]);
        let scales = net.op("Mul", &["scale", &ws], &[]);
        let b = net.op("Div", &[&b, &scales], &[]);
        let b = net.op("Floor", &[&b], &[]);
        let b = net.op("Cast", &[&b], &[("to", Attr::Int(6))]);
        let z = net.op("ConvInteger", &[&q, &w, "zero"], &[]);
        let z = net.op("Add", &[&z, &b], &[]);
        let z = net.op("Cast", &[&z], &[("to", Attr::Int(1))]);
        net.op("Mul", &[&z, &scales], &[]);
        let y = net.run(&array![[[1.0, 2.0, 4.0]]].into_dyn());
        close(&y, &array![[[2.8, 5.3], [-3.2, -5.7]]].into_dyn());
    }
}
