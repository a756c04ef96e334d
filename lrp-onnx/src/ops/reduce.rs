//! Reductions over axes that are no sums or means, the largest elements along an axis, and running sums.

use lrp_core::Scalar;
use lrp_core::operator::Affine;
use lrp_core::ops::{
    Activation, ArgMax, Builtin, CumSum, Function, Mean, Reducer, Reduction, Reshape, TopK, Transpose, shared,
};

use super::pool::{Reduced, move_batch, reduced};
use super::{Context, Translated, Value};
use crate::error::Problem;
use crate::graph::Origin;
use crate::tensor::volume;

pub(super) fn reduce_max<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    along_one_axis(cx, "maximum", |axis, shape| Ok(TopK::new(axis, 1, true, shape)?.into()))
}

pub(super) fn reduce_min<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    along_one_axis(cx, "minimum", |axis, shape| Ok(TopK::new(axis, 1, false, shape)?.into()))
}

pub(super) fn reduce_prod<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    along_one_axis(cx, "product", |axis, shape| Ok(Reduction::new(Reducer::Product, axis, shape)?.into()))
}

pub(super) fn reduce_log_sum_exp<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    along_one_axis(cx, "sum", |axis, shape| Ok(Reduction::new(Reducer::LogSumExp, axis, shape)?.into()))
}

/// `Σ |x|`.
pub(super) fn reduce_l1<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    sum_between(cx, Some(Function::Abs), None)
}

/// `√(Σ x²)`.
pub(super) fn reduce_l2<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    sum_between(cx, Some(SQUARE), Some(Function::Sqrt))
}

/// `Σ x²`.
pub(super) fn reduce_sum_square<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    sum_between(cx, Some(SQUARE), None)
}

/// `ln Σ x`.
pub(super) fn reduce_log_sum<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    sum_between(cx, None, Some(Function::Log))
}

const SQUARE: Function = Function::Power { exponent: 2.0 };

/// A sum over axes of a function of the elements, and a function of the sum.
fn sum_between<T: Scalar>(cx: &mut Context<'_, T>, before: Option<Function>, after: Option<Function>) -> Translated {
    let Some(Reduced { mut x, axes, keep }) = reduced(cx, "sum")? else { return without_axes(cx, before, after) };
    if let Some(function) = before {
        let op = shared(Activation::new(function, &cx.shape(x))?);
        x = cx.push_extra_made_from("terms", op, Origin::Activation(function), &[x]);
    }
    let shape = cx.shape(x);
    let sum = Mean::new(&axes, keep, &shape)?.map_weights(&|_| T::one());
    let summed: usize = axes.iter().filter_map(|&axis| shape.get(axis.checked_sub(1)?)).product();
    let origin = Origin::Combination { total: summed as f64, overshoot: 0.0 };
    move_batch(cx, &axes, keep);
    let Some(function) = after else { return cx.push_made_from(sum, origin, &[x]) };
    let sum = cx.push_extra_made_from("sum", sum, origin, &[x]);
    elementwise(cx, function, sum)
}

/// Where nothing is to be summed, the functions are left.
fn without_axes<T: Scalar>(cx: &mut Context<'_, T>, before: Option<Function>, after: Option<Function>) -> Translated {
    let x = cx.data(0)?;
    match (before, after) {
        (Some(first), Some(then)) => {
            let op = shared(Activation::new(first, &cx.shape(x))?);
            let x = cx.push_extra_made_from("terms", op, Origin::Activation(first), &[x]);
            elementwise(cx, then, x)
        }
        (Some(function), None) | (None, Some(function)) => elementwise(cx, function, x),
        (None, None) => super::structure::identity(cx),
    }
}

fn elementwise<T: Scalar>(cx: &mut Context<'_, T>, function: Function, x: usize) -> Translated {
    let op = shared(Activation::new(function, &cx.shape(x))?);
    cx.push_made_from(op, Origin::Activation(function), &[x])
}

/// An operator along a single axis, which the reduced ones are joined to: they are moved to the end where others stand between them.
fn along_one_axis<T: Scalar>(
    cx: &mut Context<'_, T>,
    what: &str,
    op: impl Fn(usize, &[usize]) -> Result<Builtin<T>, Problem>,
) -> Translated {
    let Some(reduced) = reduced(cx, what)? else { return super::structure::identity(cx) };
    let input = cx.shape(reduced.x);
    let output = reduced.shape(&input);
    let Reduced { mut x, axes, keep } = reduced;
    let (Some(&first), Some(&last)) = (axes.first(), axes.last()) else { return super::structure::identity(cx) };
    let mut first = first;
    if last - first + 1 != axes.len() {
        let kept: Vec<usize> = (1..=input.len()).filter(|axis| !axes.contains(axis)).collect();
        first = kept.len() + 1;
        let order: Vec<usize> = std::iter::once(0).chain(kept).chain(axes.iter().copied()).collect();
        let turned = shared(Transpose::new(&order, &input)?);
        x = cx.push_extra_made_from("transpose", turned, Origin::Transpose(order), &[x]);
    }
    let mut joined = cx.shape(x);
    if axes.len() > 1 {
        let along = joined.get(first - 1..first - 1 + axes.len()).and_then(volume);
        let along = along.ok_or_else(|| Problem::invalid("its input is absurdly large"))?;
        joined.splice(first - 1..first - 1 + axes.len(), [along]);
        x = cx.push_extra("joined", Reshape::new(&cx.shape(x), &joined)?, &[x]);
    }
    move_batch(cx, &axes, keep);
    let op = op(first, &joined)?;
    if let Some(slot) = joined.get_mut(first - 1) {
        *slot = 1;
    }
    if joined == output {
        return cx.push(op, &[x]);
    }
    let y = cx.push_extra(what, op, &[x]);
    cx.push(Reshape::new(&joined, &output)?, &[y])
}

/// The positions of the largest (or smallest) elements along an axis.
pub(super) fn arg_max<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let axis = cx.sample_axis(cx.node.int("axis").unwrap_or(0), x)?;
    let (largest, last) = (cx.node.op_type == "ArgMax", cx.node.int("select_last_index").unwrap_or(0) != 0);
    let op = ArgMax::new(axis, largest, last, &cx.shape(x))?;
    let keep = cx.node.int("keepdims").unwrap_or(1) != 0;
    if keep {
        return cx.push(op, &[x]);
    }
    let mut output = cx.shape(x);
    output.remove(axis - 1);
    move_batch(cx, &[axis], keep);
    let y = cx.push_extra("position", op, &[x]);
    cx.push(Reshape::new(&cx.shape(y), &output)?, &[y])
}

/// The values; their positions carry no relevance, and must not be used.
pub(super) fn top_k<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let axis = cx.sample_axis(cx.node.int("axis").unwrap_or(-1), x)?;
    let k = match cx.node.int("k") {
        Some(k) => k,
        None => match cx.constant(1)?.ints().as_deref() {
            Ok(&[k]) => k,
            _ => return Err(Problem::invalid("its k is not one whole number")),
        },
    };
    let k = usize::try_from(k).map_err(|_| Problem::invalid(format!("it takes the {k} largest elements")))?;
    let largest = cx.node.int("largest").unwrap_or(1) != 0;
    cx.push(TopK::new(axis, k, largest, &cx.shape(x))?, &[x])
}

pub(super) fn cum_sum<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let axis = match cx.constant(1)?.ints().as_deref() {
        Ok(&[axis]) => axis,
        _ => return Err(Problem::invalid("its axis is not one whole number")),
    };
    let axis = cx.sample_axis(axis, x)?;
    let flag = |name: &str| cx.node.int(name).unwrap_or(0) != 0;
    let op = CumSum::new(axis, flag("exclusive"), flag("reverse"), &cx.shape(x))?;
    let Value::Data(id) = cx.push(op, &[x])? else { return Ok(Value::Unknown) };
    Ok(Value::Data(id))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, kinds, varied};
    use ndarray::{Axis, array};

    #[test]
    fn by_hand() {
        let x = array![[[1.0, 5.0, 2.0], [4.0, -3.0, 0.5]]].into_dyn();
        let run = |op: &str, axes: &[i64], keep: i64| -> Vec<f64> {
            let mut attribute = Net::new(&[2, 3]);
            attribute.op(op, &["x"], &[("axes", Attr::Ints(axes)), ("keepdims", Attr::Int(keep))]);
            let mut input = Net::new(&[2, 3]).opset(18);
            let list = input.ints(axes);
            input.op(op, &["x", &list], &[("keepdims", Attr::Int(keep))]);
            let (y, z) = (attribute.run(&x), input.run(&x));
            assert_eq!(y, z);
            assert_eq!(y.ndim(), if keep == 1 { 3 } else { 3 - axes.len() });
            y.iter().map(|v| (v * 1e6).round() / 1e6).collect()
        };
        for keep in [0, 1] {
            assert_eq!(run("ReduceMax", &[-1], keep), [5.0, 4.0]);
            assert_eq!(run("ReduceMax", &[1], keep), [4.0, 5.0, 2.0]);
            assert_eq!(run("ReduceMax", &[2, 1], keep), [5.0]);
            assert_eq!(run("ReduceMin", &[2], keep), [1.0, -3.0]);
            assert_eq!(run("ReduceMin", &[-1, -2], keep), [-3.0]);
            assert_eq!(run("ReduceProd", &[2], keep), [10.0, -6.0]);
            assert_eq!(run("ReduceL1", &[2], keep), [8.0, 7.5]);
            assert_eq!(run("ReduceL2", &[1], keep), [4.123106, 5.830952, 2.061553]);
            assert_eq!(run("ReduceSumSquare", &[2], keep), [30.0, 25.25]);
            assert_eq!(run("ReduceLogSum", &[1], keep), [5.0, 2.0, 2.5].map(|sum: f64| (sum.ln() * 1e6).round() / 1e6));
            assert_eq!(run("ReduceLogSumExp", &[2], keep), [5.065884, 4.030635]);
        }
    }

    #[test]
    fn axes_with_others_between() {
        let x = varied(&[2, 3, 4, 5]);
        let expected = x.map_axis(Axis(3), |row| row.fold(f64::MIN, |m, &v| m.max(v)));
        let expected = expected.map_axis(Axis(1), |row| row.fold(f64::MIN, |m, &v| m.max(v)));
        for keep in [0, 1] {
            let mut net = Net::new(&[3, 4, 5]);
            net.op("ReduceMax", &["x"], &[("axes", Attr::Ints(&[1, 3])), ("keepdims", Attr::Int(keep))]);
            assert_eq!(kinds(&net.raw())[..3], ["transpose", "reshape", "maximum"]);
            let shape: &[usize] = if keep == 1 { &[2, 1, 4, 1] } else { &[2, 4] };
            assert_eq!(net.run(&x), expected.to_shape(shape).unwrap());
        }
    }

    #[test]
    fn without_axes() {
        let mut net = Net::new(&[2]);
        net.op("ReduceMax", &["x"], &[]);
        assert!(
            net.batch_first_error().contains("the maximum over all axes, the batch included"),
            "{}",
            net.batch_first_error()
        );
        let x = array![[3.0, 4.0]].into_dyn();
        for (op, expected) in [
            ("ReduceMax", [3.0, 4.0]),
            ("ReduceSumSquare", [9.0, 16.0]),
            ("ReduceL2", [3.0, 4.0]),
            ("ReduceLogSum", [3f64.ln(), 4f64.ln()]),
        ] {
            let mut net = Net::new(&[2]).opset(18);
            net.op(op, &["x"], &[("noop_with_empty_axes", Attr::Int(1))]);
            assert_eq!(net.run(&x).iter().copied().collect::<Vec<f64>>(), expected, "{op}");
        }
    }

    #[test]
    fn largest_elements() {
        let x = array![[[1.0, 5.0, 2.0], [4.0, -3.0, 0.5]]].into_dyn();
        let top = |k: i64, attributes: &[(&str, Attr<'_>)]| {
            let mut net = Net::new(&[2, 3]);
            let k = net.ints(&[k]);
            net.op("TopK", &["x", &k], attributes);
            net
        };
        assert_eq!(top(2, &[]).run(&x), array![[[5.0, 2.0], [4.0, 0.5]]].into_dyn());
        let smallest = [("largest", Attr::Int(0)), ("axis", Attr::Int(1))];
        assert_eq!(top(1, &smallest).run(&x), array![[[1.0, -3.0, 0.5]]].into_dyn());
        assert!(top(4, &[]).error().contains("4 largest or smallest of 3"));
        assert!(top(-1, &[]).error().contains("the -1 largest"));
        assert!(top(1, &[("axis", Attr::Int(0))]).batch_first_error().contains("which is the batch"));
        let mut net = top(2, &[]);
        net.graph().node[0].output.push("positions".into());
        net.op("Cast", &["positions"], &[("to", Attr::Int(1))]);
        assert!(net.error().contains("its further output 'positions' is used"), "{}", net.error());
    }

    #[test]
    fn running_sums() {
        let mut net = Net::new(&[3]);
        let axis = net.ints(&[-1]);
        net.op("CumSum", &["x", &axis], &[("reverse", Attr::Int(1)), ("exclusive", Attr::Int(1))]);
        assert_eq!(net.run(&array![[1.0, 2.0, 4.0]].into_dyn()), array![[6.0, 4.0, 0.0]].into_dyn());
        let mut net = Net::new(&[3]);
        let axis = net.ints(&[0]);
        net.op("CumSum", &["x", &axis], &[]);
        assert!(net.batch_first_error().contains("which is the batch"), "{}", net.batch_first_error());
    }
}
