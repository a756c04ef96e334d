//! Fully connected layers: Gemm, and MatMul with a constant.

use lrp_core::Scalar;
use lrp_core::ops::{Reshape, Transpose, shared};

use super::{Context, Translated, Value};
use crate::error::{Problem, Shape};
use crate::graph::{Linear, Origin};
use crate::tensor::Constant;

/// `alpha · A B + beta · C`, with a constant `B` and `C`.
pub(super) fn gemm<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    if has_two_activations(cx) {
        return super::product::gemm(cx);
    }
    let (linear, x, outputs) = factors_of_gemm(cx)?;
    if let Some(Some(Value::Data(summand))) = cx.inputs.get(2) {
        let summand = *summand;
        if cx.node.float("beta").is_some_and(|beta| beta != 1.0) {
            return Err(Problem::unsupported("with an activation as input number 3 and a factor for it (beta)"));
        }
        let dense = linear.build::<T>(&cx.shape(x))?;
        let product = cx.push_extra_made_from("product", shared(dense), Origin::Dense(linear), &[x]);
        return super::arithmetic::sum_of(cx, &[product, summand]);
    }
    let beta = cx.node.float("beta").unwrap_or(1.0);
    let bias = match cx.optional(2)? {
        None => None,
        Some(c) => {
            let c = cx.per_sample(c, cx.rank(x))?;
            let c = c.broadcast([outputs]).ok_or_else(|| {
                Problem::invalid(format!("its bias of shape {:?} does not fit {outputs} outputs", c.shape()))
            })?;
            Some(c.iter().map(|v| beta * v.wide()).collect())
        }
    };
    push(cx, Linear { bias, ..linear }, x)
}

/// The layer that a Gemm with constant weights is but for its summand, its input, and the number of its outputs.
fn factors_of_gemm<T: Scalar>(cx: &mut Context<'_, T>) -> Result<(Linear, usize, usize), Problem> {
    let x = cx.data(0)?;
    let x = match cx.node.int("transA").unwrap_or(0) {
        0 => x,
        _ if cx.is_whole() => transposed(cx, x)?,
        _ => {
            let reason = "its transA = 1 makes the batch a feature axis; axis 0 must stay the batch";
            return Err(Problem::invalid(reason));
        }
    };
    let linear = Linear {
        weights: cx.constant(1)?.clone(),
        transposed: cx.node.int("transB").unwrap_or(0) == 0,
        alpha: cx.node.float("alpha").unwrap_or(1.0),
        bias: None,
    };
    let outputs = match linear.weights.shape() {
        shape if shape.contains(&0) => return Err(Problem::invalid("its weight is empty")),
        &[_, outputs] if linear.transposed => outputs,
        &[outputs, _] => outputs,
        shape => return Err(Problem::invalid(format!("its weight is no matrix but has the shape {shape:?}"))),
    };
    Ok((linear, x, outputs))
}

/// `x W` over the last axis, with a constant matrix (or vector) `W`; or `W x` over the last but one. All else is a product of activations.
pub(super) fn mat_mul<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    if has_two_activations(cx) {
        return super::product::mat_mul(cx);
    }
    if let Some(Some(Value::Constant(weights))) = cx.inputs.first() {
        if weights.shape().len() > 2 {
            return super::product::mat_mul(cx);
        }
        let weights = weights.clone();
        return from_the_left(cx, weights);
    }
    let x = cx.data(0)?;
    let weights = cx.constant(1)?;
    let rank = cx.rank(x);
    match weights.shape() {
        &[inputs] => {
            // A vector: one output, whose axis is then dropped.
            let weights = weights.reshaped(vec![1, inputs]).ok_or_else(|| Problem::invalid("its weight is empty"))?;
            let dense = Linear { weights, transposed: false, alpha: 1.0, bias: None }.build::<T>(&cx.shape(x))?;
            let z = cx.push_extra("dense", dense, &[x]);
            let shape = cx.shape(z);
            let dropped = shape.split_last().map(|(_, rest)| rest.to_vec()).unwrap_or_default();
            cx.push(Reshape::new(&shape, &dropped)?, &[z])
        }
        [ones @ .., inputs, outputs] if ones.iter().all(|&d| d == 1) && ones.len() + 2 <= rank.max(2) => {
            let weights = weights.reshaped(vec![*inputs, *outputs]);
            let weights = weights.ok_or_else(|| Problem::invalid("its weight is empty"))?;
            push(cx, Linear { weights, transposed: true, alpha: 1.0, bias: None }, x)
        }
        _ => super::product::mat_mul(cx),
    }
}

/// `W x = (xᵀ Wᵀ)ᵀ`: a dense layer between two transpositions of the last two axes.
fn from_the_left<T: Scalar>(cx: &mut Context<'_, T>, weights: Constant) -> Translated {
    let x = cx.data(1)?;
    let input = cx.shape(x);
    if input.len() < 2 || weights.shape().len() != 2 {
        return Err(Problem::unsupported(format!(
            "a constant {:?} times {}: the constant has to be a matrix and the product must keep the batch apart",
            weights.shape(),
            Shape(&input)
        )));
    }
    let turned = transposed(cx, x)?;
    let dense = Linear { weights, transposed: false, alpha: 1.0, bias: None }.build::<T>(&cx.shape(turned))?;
    let z = cx.push_extra("dense", dense, &[turned]);
    cx.push(Transpose::new(&swapped(input.len()), &cx.shape(z))?, &[z])
}

/// The last two axes of an activation exchanged.
pub(super) fn transposed<T: Scalar>(cx: &mut Context<'_, T>, x: usize) -> Result<usize, Problem> {
    let input = cx.shape(x);
    if input.len() < 2 {
        return Err(Problem::invalid(format!("its input {} is no matrix", Shape(&input))));
    }
    Ok(cx.push_extra("transpose", Transpose::new(&swapped(input.len()), &input)?, &[x]))
}

/// The permutation that exchanges the last two axes of samples of this rank.
fn swapped(rank: usize) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..=rank).collect();
    axes.swap(rank - 1, rank);
    axes
}

fn push<T: Scalar>(cx: &mut Context<'_, T>, linear: Linear, x: usize) -> Translated {
    let dense = linear.build::<T>(&cx.shape(x))?;
    cx.push_made_from(shared(dense), Origin::Dense(linear), &[x])
}

fn has_two_activations<T: Scalar>(cx: &Context<'_, T>) -> bool {
    matches!((cx.inputs.first(), cx.inputs.get(1)), (Some(Some(Value::Data(_))), Some(Some(Value::Data(_)))))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net};
    use ndarray::array;

    #[test]
    fn gemm_by_hand() {
        let mut net = Net::new(&[2]);
        let (w, b) = (net.floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), net.floats(&[1, 3], &[1.0, 0.0, -1.0]));
        net.op("Gemm", &["x", &w, &b], &[("alpha", Attr::Float(2.0)), ("beta", Attr::Float(10.0))]);
        let x = array![[1.0, 0.0], [0.0, 1.0]].into_dyn();
        assert_eq!(net.run(&x), array![[12.0, 4.0, -4.0], [18.0, 10.0, 2.0]].into_dyn());
    }

    #[test]
    fn a_summand_that_is_an_activation_is_a_sum() {
        let mut net = Net::new(&[2]);
        let (w, v) = (net.floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), net.floats(&[2, 1], &[1.0, -1.0]));
        let c = net.op("MatMul", &["x", &v], &[]);
        net.op("Gemm", &["x", &w, &c], &[("alpha", Attr::Float(2.0))]);
        let x = array![[1.0, 0.0], [1.0, 2.0]].into_dyn();
        assert_eq!(net.run(&x), array![[3.0, 5.0], [13.0, 19.0]].into_dyn());
        assert_eq!(crate::testing::kinds(&net.raw()), ["dense", "dense", "broadcast", "add"]);
        net.op("Gemm", &["x", &w, &c], &[("beta", Attr::Float(2.0))]);
        assert!(net.error().contains("beta"), "{}", net.error());
    }

    #[test]
    fn products_from_both_sides() {
        let x = array![[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]].into_dyn();
        let mut net = Net::new(&[3, 2]);
        let w = net.floats(&[1, 2, 1], &[1.0, 10.0]);
        net.op("MatMul", &["x", &w], &[]);
        assert_eq!(net.run(&x), array![[[21.0], [43.0], [65.0]]].into_dyn());
        let mut net = Net::new(&[3, 2]);
        let w = net.floats(&[2], &[1.0, 10.0]);
        net.op("MatMul", &["x", &w], &[]);
        assert_eq!(net.run(&x), array![[21.0, 43.0, 65.0]].into_dyn());
        let mut net = Net::new(&[3, 2]);
        let w = net.floats(&[1, 3], &[1.0, 0.0, 100.0]);
        net.op("MatMul", &[&w, "x"], &[]);
        assert_eq!(net.run(&x), array![[[501.0, 602.0]]].into_dyn());
    }

    #[test]
    fn quantized_weights() {
        // A scale and a zero point for each row, and one for all.
        let mut net = Net::new(&[2]);
        let (w, scale, zero) =
            (net.int8s(&[2, 2], &[1, 2, 3, -4]), net.floats(&[2], &[0.5, 2.0]), net.int8s(&[2], &[0, 1]));
        let w = net.op("DequantizeLinear", &[&w, &scale, &zero], &[("axis", Attr::Int(0))]);
        net.op("MatMul", &["x", &w], &[]);
        assert_eq!(net.run(&array![[1.0, 10.0]].into_dyn()), array![[40.5, -99.0]].into_dyn());
        // Weights that training rounded: 0.25 to the even 0, 0.8 to 1, 99 to the largest, 63.5.
        let mut net = Net::new(&[3]);
        let (w, scale, zero) = (net.floats(&[3, 1], &[0.25, 0.8, 99.0]), net.floats(&[], &[0.5]), net.int8s(&[], &[0]));
        let q = net.op("QuantizeLinear", &[&w, &scale, &zero], &[]);
        let w = net.op("DequantizeLinear", &[&q, &scale, &zero], &[]);
        net.op("MatMul", &["x", &w], &[]);
        assert_eq!(net.run(&array![[1000.0, 1.0, 1.0]].into_dyn()), array![[64.5]].into_dyn());
        let mut net = Net::new(&[3]);
        let (w, scale) = (net.int8s(&[3, 1], &[1, 2, 3]), net.floats(&[2], &[0.5, 1.0]));
        let w = net.op("DequantizeLinear", &[&w, &scale], &[("axis", Attr::Int(0))]);
        net.op("MatMul", &["x", &w], &[]);
        assert!(net.error().contains("does not fit axis 0 of [3, 1]"), "{}", net.error());
    }

    /// `g · v / ‖v‖` for each row, in the ways of the two exporters of PyTorch.
    #[test]
    fn weight_norm_is_folded() {
        let x = array![[1.0, 10.0]].into_dyn();
        let expected = array![[2.0 * (0.6 + 8.0), -5.0]].into_dyn();
        for squares in [false, true] {
            let mut net = Net::new(&[2]);
            let (v, g) = (net.floats(&[2, 2], &[3.0, 4.0, 0.0, 2.0]), net.floats(&[2, 1], &[2.0, -0.5]));
            let norm = if squares {
                let (two, half) = (net.floats(&[], &[2.0]), net.floats(&[], &[0.5]));
                let (absolute, axes) = (net.op("Abs", &[&v], &[]), net.ints(&[1]));
                let square = net.op("Pow", &[&absolute, &two], &[]);
                let sum = net.op("ReduceSum", &[&square, &axes], &[("keepdims", Attr::Int(1))]);
                net.op("Pow", &[&sum, &half], &[])
            } else {
                net.op("ReduceL2", &[&v], &[("axes", Attr::Ints(&[1])), ("keepdims", Attr::Int(1))])
            };
            let unit = net.op("Div", &[&v, &norm], &[]);
            let w = net.op("Mul", &[&unit, &g], &[]);
            net.op("Gemm", &["x", &w], &[("transB", Attr::Int(1))]);
            let y = net.run(&x);
            assert!((&y - &expected).iter().all(|d| d.abs() < 1e-6), "{squares}: {y}");
            assert_eq!(crate::testing::kinds(&net.raw()), ["dense"]);
        }
    }

    /// `W / (uᵀ W v)`, with the vectors that training has left behind.
    #[test]
    fn spectral_norm_is_folded() {
        let mut net = Net::new(&[2]);
        let w = net.floats(&[2, 2, 1], &[3.0, 0.0, 0.0, 2.0]);
        let (u, v, flat) = (net.floats(&[2], &[1.0, 0.0]), net.floats(&[2], &[1.0, 0.0]), net.ints(&[2, -1]));
        let matrix = net.op("Reshape", &[&w, &flat], &[]);
        let product = net.op("MatMul", &[&matrix, &v], &[]);
        let sigma = net.op("MatMul", &[&u, &product], &[]);
        let w = net.op("Div", &[&matrix, &sigma], &[]);
        let w = net.op("Transpose", &[&w], &[("perm", Attr::Ints(&[1, 0]))]);
        net.op("MatMul", &["x", &w], &[]);
        let y = net.run(&array![[1.0, 3.0]].into_dyn());
        assert!((&y - &array![[1.0, 2.0]].into_dyn()).iter().all(|d| d.abs() < 1e-6), "{y}");
    }

    /// `(W − mean) / std` for each row: written out, and as a batch norm in training mode of the weights as one sample.
    #[test]
    fn weight_standardisation_is_folded() {
        // Rows of (−1, 1) and (−1, 1) after it.
        let x = array![[1.0, 10.0]].into_dyn();
        let written_out = {
            let mut net = Net::new(&[2]);
            let (w, epsilon) = (net.floats(&[2, 2], &[1.0, 3.0, -5.0, 5.0]), net.floats(&[], &[1e-9]));
            let axes = [("axes", Attr::Ints(&[1])), ("keepdims", Attr::Int(1))];
            let mean = net.op("ReduceMean", &[&w], &axes);
            let centred = net.op("Sub", &[&w, &mean], &[]);
            let square = net.op("Mul", &[&centred, &centred], &[]);
            let variance = net.op("ReduceMean", &[&square], &axes);
            let shifted = net.op("Add", &[&variance, &epsilon], &[]);
            let deviation = net.op("Sqrt", &[&shifted], &[]);
            let w = net.op("Div", &[&centred, &deviation], &[]);
            net.op("Gemm", &["x", &w], &[("transB", Attr::Int(1))]);
            net
        };
        let as_batch_norm = {
            let mut net = Net::new(&[2]);
            let (w, one) = (net.floats(&[2, 2], &[1.0, 3.0, -5.0, 5.0]), net.floats(&[2], &[1.0, 1.0]));
            let (zero, stack, back) = (net.floats(&[2], &[0.0, 0.0]), net.ints(&[1, 2, -1]), net.ints(&[2, 2]));
            let stacked = net.op("Reshape", &[&w, &stack], &[]);
            let attributes = [("training_mode", Attr::Int(1)), ("epsilon", Attr::Float(1e-9))];
            let w = net.op("BatchNormalization", &[&stacked, &one, &zero, &zero, &one], &attributes);
            net.last("", &["running_mean", "running_var"]);
            let w = net.op("Reshape", &[&w, &back], &[]);
            net.op("Gemm", &["x", &w], &[("transB", Attr::Int(1))]);
            net
        };
        for net in [written_out, as_batch_norm] {
            let y = net.run(&x);
            assert!((&y - &array![[9.0, 9.0]].into_dyn()).iter().all(|d| d.abs() < 1e-6), "{y}");
        }
    }

    /// The gates of an LSTM written out, of a state of zeros: `Gemm(0, R, b)` is a constant.
    #[test]
    fn layers_on_a_constant_state_are_folded() {
        let mut net = Net::new(&[2]);
        let (r, b) = (net.floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), net.floats(&[2], &[0.5, -0.5]));
        let shape = net.ints(&[1, 2]);
        let zero = net.op("ConstantOfShape", &[&shape], &[]);
        let state = net.op("Gemm", &[&zero, &r, &b], &[]);
        net.op("Add", &["x", &state], &[]);
        assert_eq!(net.run(&array![[1.0, 1.0]].into_dyn()), array![[1.5, 0.5]].into_dyn());
    }

    #[test]
    fn what_is_no_layer_is_refused() {
        let mut net = Net::new(&[2]);
        let w = net.weight(&[2, 2]);
        net.op("Gemm", &["x", &w], &[("transA", Attr::Int(1))]);
        assert!(net.batch_first_error().contains("node 'gemm0' (Gemm): its transA = 1"), "{}", net.batch_first_error());
        let mut net = Net::new(&[2]);
        let w = net.weight(&[2, 2]);
        net.op("MatMul", &[&w, "x"], &[]);
        assert!(net.batch_first_error().contains("must keep the batch apart"), "{}", net.batch_first_error());
        let mut net = Net::new(&[2]);
        let (w, b) = (net.floats(&[0, 1 << 40], &[]), net.weight(&[1]));
        net.op("Gemm", &["x", &w, &b], &[]);
        assert!(net.error().contains("weight is empty"), "{}", net.error());
    }
}
