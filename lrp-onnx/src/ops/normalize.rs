//! Normalisation by statistics of the input that are no means and variances of features: groups, norms, neighbours; and pooling by norms.

use lrp_core::operator::Affine;
use lrp_core::ops::{Activation, AvgPool, Divisor, Function, Mean, Normalize, Reshape, Transpose, shared};
use lrp_core::{Scalar, Tensor};

use super::{Context, Translated};
use crate::error::{Problem, Shape};
use crate::graph::{Constants, Normalization, Origin};
use crate::tensor::volume;

/// Division by the size of neighbouring channels.
pub(super) fn lrn<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let axis = cx.sample_axis(1, x)?;
    let size = cx.node.int("size").and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=MOST_NEIGHBOURS).contains(n));
    let size = size.ok_or_else(|| Problem::invalid(format!("its size is not from 1 to {MOST_NEIGHBOURS}")))?;
    let number = |name: &str, default: f64| cx.node.float(name).unwrap_or(default);
    let (alpha, beta, bias) = (number("alpha", 1e-4), number("beta", 0.75), number("bias", 1.0));
    cx.push(Normalize::new(Divisor::Neighbours { size, alpha, beta, bias }, axis, &cx.shape(x))?, &[x])
}

/// The largest neighbourhood, which is summed for every element.
const MOST_NEIGHBOURS: usize = 1 << 10;

/// Division by the norm along an axis.
pub(super) fn lp_normalization<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let axis = cx.sample_axis(cx.node.int("axis").unwrap_or(-1), x)?;
    let divisor = match cx.node.int("p").unwrap_or(2) {
        1 => Divisor::L1,
        2 => Divisor::L2,
        p => return Err(Problem::invalid(format!("its norm is p = {p} in place of 1 or 2"))),
    };
    cx.push(Normalize::new(divisor, axis, &cx.shape(x))?, &[x])
}

/// Centred and divided by the standard deviation: a layer normalisation without parameters, over axes that are moved to the end.
pub(super) fn mean_variance<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let axes = cx.node.ints("axes").map_or_else(|| vec![0, 2, 3], <[i64]>::to_vec);
    let mut axes: Vec<usize> = axes.iter().map(|&a| cx.sample_axis(a, x)).collect::<Result<_, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    let kept: Vec<usize> = (1..=input.len()).filter(|axis| !axes.contains(axis)).collect();
    let order: Vec<usize> = std::iter::once(0).chain(kept).chain(axes.iter().copied()).collect();
    // So small that it only keeps zero from being a divisor, as the specification has it.
    let norm = |cx: &mut Context<'_, T>, x: usize| unscaled(cx, x, axes.len(), 1e-18);
    if order.is_sorted() {
        let (op, origin) = norm(cx, x)?;
        return cx.push_made_from(op, origin, &[x]);
    }
    let turned = shared(Transpose::new(&order, &input)?);
    let turned = cx.push_extra_made_from("transpose", turned, Origin::Transpose(order.clone()), &[x]);
    let (op, origin) = norm(cx, turned)?;
    let y = cx.push_extra_made_from("normalized", op, origin, &[turned]);
    let mut back = vec![0; order.len()];
    for (i, &axis) in order.iter().enumerate() {
        if let Some(slot) = back.get_mut(axis) {
            *slot = i;
        }
    }
    let op = shared(Transpose::new(&back, &cx.shape(y))?);
    cx.push_made_from(op, Origin::Transpose(back), &[y])
}

type Made<T> = (std::sync::Arc<dyn lrp_core::operator::Operator<T>>, Origin<T>);

/// A layer normalisation over the last axes, without parameters.
fn unscaled<T: Scalar>(cx: &mut Context<'_, T>, x: usize, axes: usize, epsilon: f64) -> Result<Made<T>, Problem> {
    let input = cx.shape(x);
    let normalized = input.get(input.len().saturating_sub(axes)..).unwrap_or_default();
    cx.tables.charge(normalized)?;
    let gamma = vec![T::one(); volume(normalized).unwrap_or(0)];
    let norm = Normalization { axes, gamma, beta: None, epsilon: T::of(epsilon) };
    Ok((shared(norm.build(&input)?), Origin::LayerNorm(norm)))
}

/// Layer normalisation of groups of channels, and a factor and a summand for each channel (for each group up to operator set 20).
pub(super) fn group_norm<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let axis = cx.sample_axis(1, x)?;
    let (before, inside) = input.split_at_checked(axis - 1).unwrap_or_default();
    let &[channels, ..] = inside else {
        return Err(Problem::invalid(format!("its input {} has no channels", Shape(&input))));
    };
    let groups =
        cx.node.int("num_groups").and_then(|g| usize::try_from(g).ok()).filter(|&g| g > 0 && channels % g == 0);
    let groups = groups.ok_or_else(|| Problem::invalid(format!("its num_groups do not divide {channels} channels")))?;
    let per_channel = |at: usize| -> Result<Tensor<T>, Problem> {
        let tensor = cx.constant(at)?.tensor::<T>();
        let tensor = tensor.map_err(|e| Problem::invalid(format!("its input number {} {e}", at + 1)))?;
        let given: Vec<T> = tensor.iter().copied().collect();
        let values: Vec<T> = match given.len() {
            n if n == channels => given,
            n if n == groups => given.iter().flat_map(|&v| std::iter::repeat_n(v, channels / groups)).collect(),
            n => {
                let reason = format!("its input number {} has {n} elements for {channels} channels", at + 1);
                return Err(Problem::invalid(reason));
            }
        };
        let mut shape = vec![1; inside.len()];
        if let Some(slot) = shape.first_mut() {
            *slot = channels;
        }
        Tensor::from_shape_vec(shape, values).map_err(|e| Problem::invalid(e.to_string()))
    };
    let constants = Constants { weight: Some(per_channel(1)?), bias: Some(per_channel(2)?) };
    let size = volume(inside).ok_or_else(|| Problem::invalid("its input is absurdly large"))?;
    let grouped: Vec<usize> = before.iter().copied().chain([groups, size / groups]).collect();
    let in_groups = cx.push_extra("groups", Reshape::new(&input, &grouped)?, &[x]);
    let epsilon = cx.node.float("epsilon").unwrap_or(1e-5);
    let (op, origin) = unscaled(cx, in_groups, 1, epsilon)?;
    let normalized = cx.push_extra_made_from("normalized", op, origin, &[in_groups]);
    let joined = cx.push_extra("joined", Reshape::new(&grouped, &input)?, &[normalized]);
    cx.push_made_from(shared(constants.build(&input)?), Origin::Scale(constants), &[joined])
}

/// Division by the root mean square over all axes from one on, and a factor for each position.
pub(super) fn rms_norm<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let axis = cx.sample_axis(cx.node.int("axis").unwrap_or(-1), x)?;
    let (kept, normalized) = input.split_at_checked(axis - 1).unwrap_or_default();
    let weight = cx.constant(1)?.tensor::<T>();
    let weight = weight.map_err(|e| Problem::invalid(format!("its input number 2 {e}")))?;
    let constants = Constants { weight: Some(weight), bias: None };
    let epsilon = cx.node.float("epsilon").unwrap_or(1e-5);
    let size = volume(normalized).ok_or_else(|| Problem::invalid("its input is absurdly large"))?;
    let rows: Vec<usize> = kept.iter().copied().chain([size]).collect();
    let joined = if rows == input { x } else { cx.push_extra("joined", Reshape::new(&input, &rows)?, &[x]) };
    let op = Normalize::new(Divisor::RootMeanSquare { epsilon }, axis, &rows)?;
    let mut y = cx.push_extra("normalized", op, &[joined]);
    if rows != input {
        y = cx.push_extra("split", Reshape::new(&rows, &input)?, &[y]);
    }
    cx.push_made_from(shared(constants.build(&input)?), Origin::Scale(constants), &[y])
}

/// `(Σ |x|ᵖ)^(1/p)` over all positions of a channel.
pub(super) fn global_lp_pool<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let p = exponent(cx)?;
    let powers = powers(cx, p)?;
    let shape = cx.shape(powers);
    let axes: Vec<usize> = (2..=super::pool::space(&shape)?.len() + 1).collect();
    let sum = Mean::new(&axes, true, &shape)?.map_weights(&|_| T::one());
    let sum = cx.push_extra_made_from("sum", sum, Origin::Other, &[powers]);
    root(cx, p, sum)
}

/// `(Σ |x|ᵖ)^(1/p)` over windows.
pub(super) fn lp_pool<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let p = exponent(cx)?;
    let powers = powers(cx, p)?;
    let shape = cx.shape(powers);
    let spec = super::pool::pooling(cx, &shape)?;
    let sum = AvgPool::new(&spec, true, &shape)?.map_weights(&|_| T::one());
    let sum = cx.push_extra_made_from("sum", sum, Origin::Other, &[powers]);
    root(cx, p, sum)
}

fn exponent<T: Scalar>(cx: &Context<'_, T>) -> Result<f64, Problem> {
    match cx.node.int("p").unwrap_or(2) {
        p @ 1..=16 => Ok(p as f64),
        p => Err(Problem::invalid(format!("its norm is p = {p} in place of 1 to 16"))),
    }
}

/// `|x|ᵖ`.
fn powers<T: Scalar>(cx: &mut Context<'_, T>, p: f64) -> Result<usize, Problem> {
    let mut x = cx.data(0)?;
    if !cx.has_batch(x) {
        return Err(Problem::unsupported("of a tensor without a batch; use a pooling by means or maxima"));
    }
    for (suffix, function) in [("abs", Function::Abs), ("powers", Function::Power { exponent: p })] {
        // An even power is never negative, and the first power changes nothing.
        if (function == Function::Abs && p % 2.0 == 0.0) || (function != Function::Abs && p == 1.0) {
            continue;
        }
        let op = shared(Activation::new(function, &cx.shape(x))?);
        x = cx.push_extra_made_from(suffix, op, Origin::Activation(function), &[x]);
    }
    Ok(x)
}

fn root<T: Scalar>(cx: &mut Context<'_, T>, p: f64, sum: usize) -> Translated {
    let function = if p == 2.0 { Function::Sqrt } else { Function::Power { exponent: 1.0 / p } };
    let op = shared(Activation::new(function, &cx.shape(sum))?);
    cx.push_made_from(op, Origin::Activation(function), &[sum])
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, kinds, varied};
    use ndarray::array;

    fn near(a: &lrp_core::Tensor<f64>, b: &lrp_core::Tensor<f64>) -> bool {
        a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
    }

    #[test]
    fn neighbours_and_norms_by_hand() {
        let x = array![[[1.0], [2.0], [-2.0]]].into_dyn();
        let mut net = Net::new(&[3, 1]);
        let attributes = [("size", Attr::Int(3)), ("alpha", Attr::Float(3.0)), ("beta", Attr::Float(1.0))];
        net.op("LRN", &["x"], &attributes);
        assert_eq!(kinds(&net.raw()), ["normalize"]);
        assert!(near(&net.run(&x), &array![[[1.0 / 6.0], [2.0 / 10.0], [-2.0 / 9.0]]].into_dyn()));
        let mut net = Net::new(&[3, 1]);
        net.op("LpNormalization", &["x"], &[("axis", Attr::Int(1)), ("p", Attr::Int(1))]);
        assert!(near(&net.run(&x), &array![[[0.2], [0.4], [-0.4]]].into_dyn()));
        let mut net = Net::new(&[3, 1]);
        net.op("LpNormalization", &["x"], &[("axis", Attr::Int(1))]);
        assert!(near(&net.run(&x), &(x.clone() / 3.0)));
        let mut net = Net::new(&[3, 1]);
        net.op("LpNormalization", &["x"], &[("p", Attr::Int(3))]);
        assert!(net.error().contains("p = 3"), "{}", net.error());
        let mut net = Net::new(&[3, 1]);
        net.op("LRN", &["x"], &[("size", Attr::Int(i64::MAX))]);
        assert!(net.error().contains("its size is not from 1"), "{}", net.error());
    }

    #[test]
    fn mean_and_variance_over_any_axes() {
        let x = array![[[1.0, 0.0], [5.0, 4.0]]].into_dyn();
        for (axes, expected) in
            [(&[2][..], array![[[1.0, -1.0], [1.0, -1.0]]]), (&[1], array![[[-1.0, -1.0], [1.0, 1.0]]])]
        {
            let mut net = Net::new(&[2, 2]);
            net.op("MeanVarianceNormalization", &["x"], &[("axes", Attr::Ints(axes))]);
            assert!(near(&net.run(&x), &expected.into_dyn()), "{axes:?}");
        }
        let mut net = Net::new(&[1, 2, 2]);
        net.op("MeanVarianceNormalization", &["x"], &[]);
        assert!(net.error().contains("which is the batch"), "{}", net.error());
    }

    #[test]
    fn groups_by_hand() {
        // Two groups of two channels; parameters for channels, or for groups.
        let x = array![[[1.0], [5.0], [0.0], [4.0]]].into_dyn();
        for (scale, bias, expected) in [
            (&[1.0, 2.0, 3.0, 4.0][..], &[0.0, 0.0, 0.0, 1.0][..], array![[[-1.0], [2.0], [-3.0], [5.0]]]),
            (&[1.0, 3.0], &[0.0, 1.0], array![[[-1.0], [1.0], [-2.0], [4.0]]]),
        ] {
            let mut net = Net::new(&[4, 1]).opset(21);
            let n = scale.len() as i64;
            let (scale, bias) = (net.floats(&[n], scale), net.floats(&[n], bias));
            let attributes = [("num_groups", Attr::Int(2)), ("epsilon", Attr::Float(0.0))];
            net.op("GroupNormalization", &["x", &scale, &bias], &attributes);
            assert!(near(&net.run(&x), &expected.into_dyn()));
        }
        for (groups, n, reason) in [(3, 4, "do not divide 4 channels"), (2, 3, "3 elements for 4 channels")] {
            let mut net = Net::new(&[4, 1]).opset(21);
            let p = net.positive(&[n]);
            net.op("GroupNormalization", &["x", &p, &p], &[("num_groups", Attr::Int(groups))]);
            assert!(net.error().contains(reason), "{}", net.error());
        }
    }

    #[test]
    fn root_mean_squares_by_hand() {
        let x = varied(&[2, 3, 4]);
        for axis in [-1, 1] {
            let mut net = Net::new(&[3, 4]).opset(23);
            let scale = net.floats(&[4], &[1.0, 2.0, -1.0, 0.5]);
            net.op("RMSNormalization", &["x", &scale], &[("axis", Attr::Int(axis)), ("epsilon", Attr::Float(0.5))]);
            let y = net.run(&x);
            let scale = [1.0, 2.0, -1.0, 0.5];
            for ((n, row, column), &v) in y.clone().into_dimensionality::<ndarray::Ix3>().unwrap().indexed_iter() {
                let all = x.index_axis(ndarray::Axis(0), n);
                let squares = if axis == 1 {
                    all.iter().map(|v| v * v).sum::<f64>() / 12.0
                } else {
                    all.index_axis(ndarray::Axis(0), row).iter().map(|v| v * v).sum::<f64>() / 4.0
                };
                assert!((v - scale[column] * x[[n, row, column]] / (squares + 0.5).sqrt()).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn pooling_by_norms() {
        let x = array![[[3.0, -4.0, 0.0, 2.0]]].into_dyn();
        let mut net = Net::new(&[1, 4]);
        net.op("GlobalLpPool", &["x"], &[]);
        assert!(near(&net.run(&x), &array![[[29f64.sqrt()]]].into_dyn()));
        let mut net = Net::new(&[1, 4]);
        net.op("LpPool", &["x"], &[("kernel_shape", Attr::Ints(&[2])), ("strides", Attr::Ints(&[2]))]);
        assert!(near(&net.run(&x), &array![[[5.0, 2.0]]].into_dyn()));
        let mut net = Net::new(&[1, 4]);
        net.op("GlobalLpPool", &["x"], &[("p", Attr::Int(1))]);
        assert!(near(&net.run(&x), &array![[[9.0]]].into_dyn()));
        let mut net = Net::new(&[1, 4]);
        net.op("GlobalLpPool", &["x"], &[("p", Attr::Int(0))]);
        assert!(net.error().contains("p = 0"), "{}", net.error());
    }
}
