//! Sums, differences, products and quotients: of activations with constants, and of activations with each other.

use std::sync::Arc;

use lrp_core::ops::{Activation, Add, Broadcast, Div, Extremum, Function, Mul, shared};
use lrp_core::{Scalar, Tensor};

use super::{Context, Translated, Value};
use crate::consteval::joint_shape;
use crate::error::{Problem, Shape};
use crate::graph::{Constants, Origin};

/// The two sides of a binary operator.
enum Sides<T> {
    /// Two activations.
    Both(usize, usize),
    /// An activation, and a constant as every sample sees it.
    Right(usize, Tensor<T>),
    /// The same with the constant on the left.
    Left(usize, Tensor<T>),
}

fn sides<T: Scalar>(cx: &Context<'_, T>) -> Result<Sides<T>, Problem> {
    if cx.inputs.len() != 2 {
        return Err(Problem::invalid(format!("it has {} inputs in place of two", cx.inputs.len())));
    }
    let constant = |index: usize, other: usize| cx.per_sample(cx.constant(index)?, cx.rank(other));
    match (cx.inputs.first(), cx.inputs.get(1)) {
        (Some(Some(Value::Data(a))), Some(Some(Value::Data(b)))) => Ok(Sides::Both(*a, *b)),
        (Some(Some(Value::Data(a))), _) => Ok(Sides::Right(*a, constant(1, *a)?)),
        (_, Some(Some(Value::Data(b)))) => Ok(Sides::Left(*b, constant(0, *b)?)),
        _ => Err(Problem::invalid("it has no activation as input")),
    }
}

/// Masks add −∞ to scores: of constants, the largest finite numbers instead.
fn limit_constants<T: Scalar>(cx: &mut Context<'_, T>) {
    for input in cx.inputs.iter_mut().flatten() {
        if let Value::Constant(constant) = input {
            *constant = constant.limited::<T>();
        }
    }
}

pub(super) fn add<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    limit_constants(cx);
    match sides(cx)? {
        Sides::Both(a, b) => sum_of(cx, &[a, b]),
        Sides::Right(x, c) | Sides::Left(x, c) => scale(cx, x, None, Some(c)),
    }
}

pub(super) fn sub<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    limit_constants(cx);
    match sides(cx)? {
        Sides::Both(a, b) => {
            let (inputs, shape) = aligned(cx, &[a, b])?;
            cx.push_made_from(shared(Add::difference(&shape)?), Origin::Difference, &inputs)
        }
        Sides::Right(x, c) => scale(cx, x, None, Some(c.mapv(|v| -v))),
        Sides::Left(x, c) => scale(cx, x, Some(minus_one()), Some(c)),
    }
}

pub(super) fn mul<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    match sides(cx)? {
        Sides::Both(a, b) => {
            let (inputs, shape) = aligned(cx, &[a, b])?;
            cx.push(Mul::new(None, &shape)?, &inputs)
        }
        Sides::Right(x, c) | Sides::Left(x, c) => scale(cx, x, Some(c), None),
    }
}

pub(super) fn div<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    match sides(cx)? {
        // As TorchScript writes the reciprocal of a root.
        Sides::Left(x, c) if c.len() == 1 && c.ndim() <= cx.shape(x).len() && c.iter().all(T::is_one) => {
            let (op, origin) = power_of(cx, x, -1.0)?;
            cx.push_made_from(shared(op), origin, &[x])
        }
        Sides::Left(x, c) => {
            let (op, origin) = power_of(cx, x, -1.0)?;
            let x = cx.push_extra_made_from("reciprocal", shared(op), origin, &[x]);
            scale(cx, x, Some(c), None)
        }
        Sides::Both(a, b) => {
            let (inputs, shape) = aligned(cx, &[a, b])?;
            cx.push(Div::new(&shape)?, &inputs)
        }
        Sides::Right(_, c) if c.iter().any(|v| v.is_zero()) => Err(Problem::invalid("it divides by a zero")),
        Sides::Right(x, c) => scale(cx, x, Some(c.mapv(|v| v.recip())), None),
    }
}

pub(super) fn neg<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    scale(cx, x, Some(minus_one()), None)
}

pub(super) fn reciprocal<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let (op, origin) = power_of(cx, x, -1.0)?;
    cx.push_made_from(shared(op), origin, &[x])
}

/// A constant power.
pub(super) fn pow<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    match cx.constant(1)?.floats::<f64>().as_slice() {
        [power] if *power == 1.0 => scale(cx, x, None, None),
        [power] => {
            let (op, origin) = power_of(cx, x, *power)?;
            cx.push_made_from(shared(op), origin, &[x])
        }
        powers => Err(Problem::unsupported(format!("with {} different powers", powers.len()))),
    }
}

fn power_of<T: Scalar>(cx: &Context<'_, T>, x: usize, exponent: f64) -> Result<(Arc<Activation>, Origin<T>), Problem> {
    let function = Function::Power { exponent };
    Ok((Arc::new(Activation::new(function, &cx.shape(x))?), Origin::Activation(function)))
}

pub(super) fn max<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    extremum(cx, true)
}

pub(super) fn min<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    extremum(cx, false)
}

/// The largest or the smallest of activations and constants. Of one activation and one number it is a clip.
fn extremum<T: Scalar>(cx: &mut Context<'_, T>, largest: bool) -> Translated {
    let inputs: Vec<Value> = cx.inputs.iter().flatten().cloned().collect();
    if let [Value::Data(x), Value::Constant(c)] | [Value::Constant(c), Value::Data(x)] = inputs.as_slice()
        && let [limit] = c.floats::<f64>().as_slice()
    {
        let (low, high) = if largest { (*limit, f64::INFINITY) } else { (f64::NEG_INFINITY, *limit) };
        if low == f64::NEG_INFINITY && high == f64::INFINITY {
            return Ok(Value::Data(*x));
        }
        let function = if largest && low == 0.0 { Function::Relu } else { Function::Clip { low, high } };
        let op = Activation::new(function, &cx.shape(*x))?;
        return cx.push_made_from(shared(op), Origin::Activation(function), &[*x]);
    }
    let (ids, shape) = operands(cx, &inputs)?;
    let op = if largest { Extremum::maximum(ids.len(), &shape) } else { Extremum::minimum(ids.len(), &shape) };
    cx.push(op?, &ids)
}

/// Activations and constants as nodes of the shape that they broadcast to, and that shape. Constants become nodes of their own.
pub(super) fn operands<T: Scalar>(
    cx: &mut Context<'_, T>,
    values: &[Value],
) -> Result<(Vec<usize>, Vec<usize>), Problem> {
    let first = values.iter().find_map(|v| if let Value::Data(id) = v { Some(*id) } else { None });
    let first = first.ok_or_else(|| Problem::invalid("it has no activation as input"))?;
    let (rank, axes) = (cx.full_shape(first).len(), cx.shape(first).len());
    let mut ids = Vec::new();
    for (position, value) in values.iter().enumerate() {
        match value {
            Value::Data(id) => ids.push(*id),
            Value::Constant(constant) => {
                let value = cx.per_sample(constant, rank)?;
                // With as many axes as the activations, so that the batch stays the batch.
                let missing = axes.saturating_sub(value.ndim());
                let shape: Vec<usize> = std::iter::repeat_n(1, missing).chain(value.shape().iter().copied()).collect();
                let value = value.into_shape_with_order(shape).map_err(|e| Problem::invalid(e.to_string()))?;
                let name = format!("{}/constant{position}", cx.name);
                ids.push(cx.push_constant(&name, value));
            }
            _ => return Err(Problem::invalid("one of its inputs is neither an activation nor a constant")),
        }
    }
    aligned(cx, &ids)
}

/// The sum of any number of activations and constants.
pub(super) fn sum<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let summands = summands(cx)?;
    sum_of(cx, &summands)
}

/// The mean of any number of activations and constants: their sum, and a factor.
pub(super) fn mean<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let share = T::one() / lrp_core::scalar::count(cx.inputs.iter().flatten().count().max(1));
    let summands = summands(cx)?;
    let (inputs, shape) = aligned(cx, &summands)?;
    let sum = shared(Add::new(inputs.len(), &shape)?);
    let sum = cx.push_extra_made_from("sum", sum, Origin::Sum, &inputs);
    scale(cx, sum, Some(ndarray::arr0(share).into_dyn()), None)
}

/// The activations of a sum with its constants added to the first.
fn summands<T: Scalar>(cx: &mut Context<'_, T>) -> Result<Vec<usize>, Problem> {
    let inputs: Vec<Value> = cx.inputs.iter().flatten().cloned().collect();
    let data: Vec<usize> =
        inputs.iter().filter_map(|v| if let Value::Data(id) = v { Some(*id) } else { None }).collect();
    let rank = data.first().map_or(0, |&id| cx.rank(id));
    // Constants go onto the first activation.
    let mut with_constants = data.clone();
    for value in &inputs {
        let (Value::Constant(constant), Some(first)) = (value, with_constants.first_mut()) else { continue };
        let constant = cx.per_sample(constant, rank)?;
        let (x, shape) = widened(cx, *first, constant.shape())?;
        let constants = Constants { weight: None, bias: Some(constant) };
        let op = shared(constants.build(&shape)?);
        *first = cx.push_extra_made_from("constant", op, Origin::Scale(constants), &[x]);
    }
    Ok(with_constants)
}

pub(super) fn sum_of<T: Scalar>(cx: &mut Context<'_, T>, inputs: &[usize]) -> Translated {
    let (inputs, shape) = aligned(cx, inputs)?;
    cx.push_made_from(shared(Add::new(inputs.len(), &shape)?), Origin::Sum, &inputs)
}

/// `weight ⊙ x + bias`.
pub(super) fn scale<T: Scalar>(
    cx: &mut Context<'_, T>,
    x: usize,
    weight: Option<Tensor<T>>,
    bias: Option<Tensor<T>>,
) -> Translated {
    let mut shape = cx.shape(x);
    for constant in weight.iter().chain(&bias) {
        shape = joint_shape(&shape, constant.shape())?;
    }
    let (x, shape) = widened(cx, x, &shape)?;
    let constants = Constants { weight, bias };
    let op = constants.build(&shape)?;
    cx.push_made_from(shared(op), Origin::Scale(constants), &[x])
}

fn minus_one<T: Scalar>() -> Tensor<T> {
    ndarray::arr0(-T::one()).into_dyn()
}

/// Activations brought to the shape that they broadcast to.
fn aligned<T: Scalar>(cx: &mut Context<'_, T>, inputs: &[usize]) -> Result<(Vec<usize>, Vec<usize>), Problem> {
    let mut shape = inputs.first().map(|&id| cx.shape(id)).unwrap_or_default();
    for &id in inputs {
        let other = cx.shape(id);
        if other.len() != shape.len() && !cx.is_whole() {
            return Err(Problem::invalid(format!(
                "its inputs {} and {} have different numbers of axes, so the batch would meet another axis",
                Shape(&shape),
                Shape(&other)
            )));
        }
        shape = joint_shape(&shape, &other)?;
    }
    let inputs = inputs.iter().map(|&id| widened(cx, id, &shape).map(|w| w.0)).collect::<Result<_, _>>()?;
    Ok((inputs, shape))
}

/// An activation repeated to the shape that it and `other` broadcast to, and that shape.
pub(super) fn widened<T: Scalar>(
    cx: &mut Context<'_, T>,
    x: usize,
    other: &[usize],
) -> Result<(usize, Vec<usize>), Problem> {
    let own = cx.shape(x);
    let shape = joint_shape(&own, other)?;
    if shape == own {
        return Ok((x, shape));
    }
    let op = Broadcast::new(&own, &shape)?;
    Ok((cx.push_extra("broadcast", op, &[x]), shape))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Net, input, kinds, varied};
    use ndarray::array;

    fn with_constant(op: &str, constant_left: bool) -> Vec<f64> {
        let mut net = Net::new(&[2]);
        let c = net.floats(&[2], &[4.0, 0.5]);
        net.op(op, &if constant_left { [&c, "x"] } else { ["x", &c] }, &[]);
        net.run(&array![[1.0, 2.0]].into_dyn()).iter().copied().collect()
    }

    #[test]
    fn infinite_masks_are_the_largest_finite_numbers() {
        let mut net = Net::new(&[3]);
        let mask = net.floats(&[3], &[0.0, f32::NEG_INFINITY, 0.0]);
        let y = net.op("Add", &["x", &mask], &[]);
        let w = net.weight(&[3, 2]);
        let y = net.op("Softmax", &[&y], &[("axis", crate::testing::Attr::Int(1))]);
        net.op("MatMul", &[&y, &w], &[]);
        let (a, b) = (net.run(&array![[1.0, -5.0, 1.0]].into_dyn()), net.run(&array![[1.0, 9.0, 1.0]].into_dyn()));
        assert_eq!(a, b);
        assert!(a.iter().all(|v| v.is_finite()));
    }

    #[test]
    fn constants_on_either_side() {
        assert_eq!(with_constant("Add", true), [5.0, 2.5]);
        assert_eq!(with_constant("Sub", true), [3.0, -1.5]);
        assert_eq!(with_constant("Sub", false), [-3.0, 1.5]);
        assert_eq!(with_constant("Mul", true), [4.0, 1.0]);
        assert_eq!(with_constant("Div", false), [0.25, 4.0]);
        assert_eq!(with_constant("Div", true), [4.0, 0.25]);
        assert_eq!(with_constant("Max", false), [4.0, 2.0]);
        assert_eq!(with_constant("Min", true), [1.0, 0.5]);
        let mut net = Net::new(&[2]);
        let c = net.floats(&[2], &[1.0, 0.0]);
        net.op("Div", &["x", &c], &[]);
        assert!(net.error().contains("divides by a zero"), "{}", net.error());
    }

    #[test]
    fn largest_and_smallest() {
        let mut net = Net::new(&[2]);
        let six = net.floats(&[], &[1.5]);
        net.op("Min", &["x", &six], &[]);
        assert_eq!(kinds(&net.raw()), ["clip"]);
        assert_eq!(net.run(&array![[1.0, 2.0]].into_dyn()), array![[1.0, 1.5]].into_dyn());
        let mut net = Net::new(&[2, 3]);
        let first = net.op("ReduceMean", &["x"], &[("axes", crate::testing::Attr::Ints(&[2]))]);
        let c = net.floats(&[3], &[0.5, -9.0, 0.5]);
        net.op("Max", &["x", &first, &c], &[]);
        assert_eq!(kinds(&net.raw()), ["mean", "broadcast", "broadcast", "maximum"]);
        let y = net.run(&array![[[1.0, 2.0, 3.0], [0.0, 0.0, -3.0]]].into_dyn());
        assert_eq!(y, array![[[2.0, 2.0, 3.0], [0.5, 0.0, 0.5]]].into_dyn());
    }

    #[test]
    fn quotients_and_powers_are_computed_though_no_relevance_behaviour_is_defined() {
        let mut net = Net::new(&[2]);
        let three = net.floats(&[], &[3.0]);
        let cube = net.op("Pow", &["x", &three], &[]);
        let root = net.op("Sqrt", &["x"], &[]);
        let quotient = net.op("Div", &[&cube, &root], &[]);
        net.op("Reciprocal", &[&quotient], &[]);
        assert_eq!(kinds(&net.raw()), ["power", "sqrt", "div", "power"]);
        assert_eq!(net.run(&array![[4.0, 1.0]].into_dyn()), array![[2.0 / 64.0, 1.0]].into_dyn());
    }

    #[test]
    fn activations_are_broadcast() {
        let mut net = Net::new(&[2, 3]);
        let mean = net.op("ReduceMean", &["x"], &[("axes", crate::testing::Attr::Ints(&[2]))]);
        net.op("Sub", &["x", &mean], &[]);
        assert_eq!(kinds(&net.raw()), ["mean", "broadcast", "add"]);
        let y = net.run(&varied(&[4, 2, 3]));
        assert!(y.sum_axis(ndarray::Axis(2)).iter().all(|v| v.abs() < 1e-12));
    }

    #[test]
    fn sums_of_many_and_constants_that_widen() {
        let mut net = Net::new(&[1]);
        let c = net.floats(&[3], &[1.0, 2.0, 3.0]);
        net.op("Sum", &["x", &c, "x"], &[]);
        assert_eq!(net.run(&array![[10.0]].into_dyn()), array![[21.0, 22.0, 23.0]].into_dyn());
        let mut net = Net::new(&[1]);
        let c = net.floats(&[2], &[1.0, 4.0]);
        net.op("Mean", &["x", &c], &[]);
        assert_eq!(net.run(&array![[10.0]].into_dyn()), array![[5.5, 7.0]].into_dyn());
    }

    #[test]
    fn a_constant_with_a_batch_axis_must_be_the_same_for_all() {
        let net = |values: [f32; 4]| {
            let mut net = Net::with_batch(2, &[2]);
            let c = net.floats(&[2, 2], &values);
            net.op("Add", &["x", &c], &[]);
            net
        };
        let y = net([1.0, 2.0, 1.0, 2.0]).run(&array![[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]].into_dyn());
        assert_eq!(y, array![[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]].into_dyn());
        assert!(net([1.0, 2.0, 3.0, 4.0]).batch_first_error().contains("differs between the samples"));
    }

    #[test]
    fn products_and_features() {
        let mut net = Net::new(&[2, 1]);
        let other = net.op("Transpose", &["x"], &[("perm", crate::testing::Attr::Ints(&[0, 2, 1]))]);
        net.op("Mul", &["x", &other], &[]);
        let y = net.run(&array![[[2.0], [3.0]]].into_dyn());
        assert_eq!(y, array![[[4.0, 6.0], [6.0, 9.0]]].into_dyn());
        let mut net = Net::new(&[2]);
        net.op("Scaler", &["x"], &[]);
        net.graph().node[0].domain = "ai.onnx.ml".into();
        let list = |name: &str, floats: &[f32]| crate::proto::AttributeProto {
            name: name.into(),
            floats: floats.to_vec(),
            ..Default::default()
        };
        net.graph().node[0].attribute = vec![list("offset", &[1.0, 2.0]), list("scale", &[2.0])];
        assert_eq!(net.run(&array![[5.0, 5.0]].into_dyn()), array![[8.0, 6.0]].into_dyn());
        net.graph().node[0].attribute = vec![list("offset", &[1.0, 2.0]), list("scale", &[2.0, 3.0, 4.0])];
        assert!(net.error().contains("do not broadcast"), "{}", net.error());
    }

    #[test]
    fn the_batch_must_meet_the_batch() {
        let mut net = Net::new(&[2, 3]);
        net.graph().input.push(input("y", &[-1, 3]));
        net.op("Add", &["x", "y"], &[]);
        assert!(net.batch_first_error().contains("the batch would meet another axis"), "{}", net.batch_first_error());
    }
}
