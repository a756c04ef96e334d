//! Matrix products of two activations, or of an activation with a stack of constant matrices.

use lrp_core::ops::{Add, Broadcast, MatMul, Reshape, Transpose, shared};
use lrp_core::{Scalar, Tensor};

use super::arithmetic::{scale, widened};
use super::{Context, Translated, Value};
use crate::consteval::joint_shape;
use crate::error::{Problem, Shape};
use crate::graph::Origin;

/// The two factors as nodes, and which of them is a constant.
pub(super) struct Factors {
    pub ids: [usize; 2],
    pub constant: Option<usize>,
}

/// `A B` of stacks of matrices, whose leading axes are broadcast.
pub(super) fn mat_mul<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let (factors, batch) = factors(cx)?;
    let [a, b] = factors.ids.map(|id| cx.shape(id));
    let samples_apart = !batch || (a.len() >= 2 && b.len() >= 2 && (a.len() == b.len() || factors.constant.is_some()));
    let activation = if factors.constant == Some(0) { &b } else { &a };
    let constant_fits = factors.constant.is_none() || !batch || a.len().max(b.len()) == activation.len();
    if !samples_apart || !constant_fits {
        return Err(Problem::invalid(format!(
            "it multiplies {} by {}, so that the batch would meet another axis; samples must stay independent of each other",
            Shape(&a),
            Shape(&b)
        )));
    }
    // A vector is one row on the left, one column on the right, and that axis goes again.
    let mut ids = factors.ids;
    for (position, shape) in [&a, &b].into_iter().enumerate() {
        let &[length] = shape.as_slice() else { continue };
        let matrix = if position == 0 { [1, length] } else { [length, 1] };
        if let Some(id) = ids.get_mut(position) {
            *id = cx.push_extra("matrix", Reshape::new(shape, &matrix)?, &[*id]);
        }
    }
    let factors = Factors { ids, ..factors };
    if a.len() > 1 && b.len() > 1 {
        return multiplied(cx, factors, None);
    }
    let z = multiplied(cx, factors, Some("product"))?;
    let Value::Data(z) = z else { return Ok(z) };
    let mut shape = cx.shape(z);
    if b.len() == 1 {
        shape.pop();
    }
    if a.len() == 1 {
        shape.remove(shape.len() - 1 - usize::from(b.len() > 1));
    }
    cx.push(Reshape::new(&cx.shape(z), &shape)?, &[z])
}

/// The product of two matrices or stacks of them, as this node or as one that it needs besides its own.
pub(super) fn multiplied<T: Scalar>(
    cx: &mut Context<'_, T>,
    Factors { ids: [a, b], constant }: Factors,
    suffix: Option<&str>,
) -> Translated {
    let (a_shape, b_shape) = (cx.shape(a), cx.shape(b));
    let (Some((a_stack, a_matrix)), Some((b_stack, b_matrix))) = (split(&a_shape), split(&b_shape)) else {
        return Err(Problem::invalid(format!("it multiplies {} by {}", Shape(&a_shape), Shape(&b_shape))));
    };
    let stack = joint_shape(a_stack, b_stack)?;
    let mut spread = |id: usize, shape: &[usize], matrix: [usize; 2]| -> Result<usize, Problem> {
        let target: Vec<usize> = stack.iter().copied().chain(matrix).collect();
        Ok(if target == shape { id } else { cx.push_extra("broadcast", Broadcast::new(shape, &target)?, &[id]) })
    };
    let inputs = [spread(a, &a_shape, a_matrix)?, spread(b, &b_shape, b_matrix)?];
    let op = MatMul::new(&cx.shape(inputs[0]), &cx.shape(inputs[1]))?;
    let op = match constant {
        Some(constant) => op.all_to(1 - constant),
        None => op,
    };
    match suffix {
        None => cx.push(op, &inputs),
        Some(suffix) => Ok(Value::Data(cx.push_extra(suffix, op, &inputs))),
    }
}

/// The leading axes, and the last two.
fn split(shape: &[usize]) -> Option<(&[usize], [usize; 2])> {
    shape.split_last_chunk().map(|(leading, last)| (leading, *last))
}

/// The first two inputs as nodes, and whether the file has the batch as an axis of them.
fn factors<T: Scalar>(cx: &mut Context<'_, T>) -> Result<(Factors, bool), Problem> {
    let input = |at: usize| cx.inputs.get(at).cloned().flatten();
    match (input(0), input(1)) {
        (Some(Value::Data(a)), Some(Value::Data(b))) => Ok((Factors { ids: [a, b], constant: None }, cx.has_batch(a))),
        (Some(Value::Data(a)), Some(Value::Constant(_))) => {
            let b = constant_factor(cx, 1, a)?;
            Ok((Factors { ids: [a, b], constant: Some(1) }, cx.has_batch(a)))
        }
        (Some(Value::Constant(_)), Some(Value::Data(b))) => {
            let a = constant_factor(cx, 0, b)?;
            Ok((Factors { ids: [a, b], constant: Some(0) }, cx.has_batch(b)))
        }
        _ => Err(Problem::invalid("it has not two factors, at least one of them an activation")),
    }
}

fn constant_factor<T: Scalar>(cx: &mut Context<'_, T>, at: usize, x: usize) -> Result<usize, Problem> {
    let rank = cx.full_shape(x).len();
    let value: Tensor<T> = cx.per_sample(cx.constant(at)?, rank)?;
    let name = format!("{}/constant{at}", cx.name);
    Ok(cx.push_constant(&name, value))
}

/// `alpha · A B + beta · C` of two activations without a batch: matrices that belong to one sample as a whole.
pub(super) fn gemm<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let (Factors { mut ids, constant }, batch) = factors(cx)?;
    if batch {
        return Err(Problem::invalid(
            "it multiplies two matrices whose rows are samples, so that samples would meet each other; they must stay independent",
        ));
    }
    for (id, attribute) in ids.iter_mut().zip(["transA", "transB"]) {
        if cx.node.int(attribute).unwrap_or(0) != 0 {
            let op = Transpose::new(&[0, 2, 1], &cx.shape(*id))?;
            *id = cx.push_extra_made_from("transpose", shared(op), Origin::Transpose(vec![0, 2, 1]), &[*id]);
        }
    }
    let number = |cx: &Context<'_, T>, name: &str| cx.node.float(name).unwrap_or(1.0);
    let (alpha, beta) = (number(cx, "alpha"), number(cx, "beta"));
    let summand = cx.inputs.get(2).cloned().flatten();
    if alpha == 1.0 && summand.is_none() {
        return multiplied(cx, Factors { ids, constant }, None);
    }
    let Value::Data(product) = multiplied(cx, Factors { ids, constant }, Some("product"))? else {
        return Ok(Value::Unknown);
    };
    let factor = |v: f64| Some(ndarray::arr0(T::of(v)).into_dyn());
    match summand {
        None => scale(cx, product, factor(alpha), None),
        Some(Value::Constant(c)) => {
            let bias = cx.per_sample(&c, cx.full_shape(product).len())?;
            scale(cx, product, factor(alpha), Some(bias.mapv(|v| v * T::of(beta))))
        }
        Some(Value::Data(c)) => {
            let shape = cx.shape(product);
            let mut inputs = Vec::new();
            for (id, v) in [(product, alpha), (c, beta)] {
                let id = widened(cx, id, &shape)?.0;
                let scaled = crate::graph::Constants { weight: factor(v), bias: None };
                let op = shared(scaled.build(&shape)?);
                inputs.push(if v == 1.0 {
                    id
                } else {
                    cx.push_extra_made_from("scaled", op, Origin::Scale(scaled), &[id])
                });
            }
            cx.push_made_from(shared(Add::new(2, &shape)?), Origin::Sum, &inputs)
        }
        Some(_) => Err(Problem::invalid("its input number 3 is neither an activation nor a constant")),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, input, kinds, varied};
    use ndarray::{Axis, Ix2, array};

    fn matrix(t: &lrp_core::Tensor<f64>, at: &[usize]) -> ndarray::Array2<f64> {
        let part = at.iter().fold(t.view(), |t, &i| t.index_axis_move(Axis(0), i));
        part.into_dimensionality::<Ix2>().unwrap().to_owned()
    }

    #[test]
    fn products_of_two_activations() {
        let x = varied(&[2, 3, 4, 5]);
        let mut net = Net::new(&[3, 4, 5]);
        let turned = net.op("Transpose", &["x"], &[("perm", Attr::Ints(&[0, 1, 3, 2]))]);
        net.op("MatMul", &["x", &turned], &[]);
        assert_eq!(kinds(&net.raw()), ["transpose", "matmul"]);
        let y = net.run(&x);
        assert_eq!(y.shape(), [2, 3, 4, 4]);
        for at in [[0, 0], [1, 2]] {
            let x = matrix(&x, &at);
            assert!((matrix(&y, &at) - x.dot(&x.t())).iter().all(|d| d.abs() < 1e-12));
        }
    }

    #[test]
    fn leading_axes_are_broadcast() {
        // One set of keys for several queries.
        let mut net = Net::new(&[3, 2, 4]);
        net.graph().input.push(input("k", &[-1, 1, 4, 5]));
        net.op("MatMul", &["x", "k"], &[]);
        let graph = net.raw();
        assert_eq!(kinds(&graph), ["broadcast", "matmul"]);
        assert_eq!(graph.nodes[graph.output].shape, [3, 2, 5]);
    }

    #[test]
    fn stacks_of_constant_matrices() {
        let x = varied(&[2, 3, 2, 4]);
        for left in [false, true] {
            let mut net = Net::new(&[3, 2, 4]);
            let w = net.weight(&if left { [3, 5, 2] } else { [3, 4, 5] });
            net.op("MatMul", &if left { [w.as_str(), "x"] } else { ["x", &w] }, &[]);
            let graph = net.raw();
            assert_eq!(kinds(&graph), ["matmul"]);
            let crate::graph::Body::Constant(w) = &graph.nodes[1].body else { panic!("no constant") };
            let y = net.run(&x);
            for n in 0..2 {
                let (w, x) = (matrix(w, &[2]), matrix(&x, &[n, 2]));
                let expected = if left { w.dot(&x) } else { x.dot(&w) };
                assert!((matrix(&y, &[n, 2]) - expected).iter().all(|d| d.abs() < 1e-12));
            }
            let op = graph.nodes[graph.output].op().unwrap();
            assert_eq!(op.fixed().name(), "epsilon, one factor constant");
            assert_eq!(op.factors().unwrap(), format!("input {} is a constant", usize::from(!left)));
        }
    }

    #[test]
    fn samples_must_not_meet() {
        let mut net = Net::new(&[4]);
        net.graph().input.push(input("y", &[-1, 4, 2]));
        net.op("MatMul", &["x", "y"], &[]);
        assert!(net.batch_first_error().contains("the batch would meet another axis"), "{}", net.batch_first_error());
        let mut net = Net::new(&[4]);
        net.op("MatMul", &["x", "x"], &[]);
        assert!(net.batch_first_error().contains("the batch would meet another axis"), "{}", net.batch_first_error());
        let mut net = Net::new(&[4]);
        net.op("Gemm", &["x", "x"], &[("transB", Attr::Int(1))]);
        assert!(net.batch_first_error().contains("whose rows are samples"), "{}", net.batch_first_error());
        let mut net = Net::new(&[4]);
        let w = net.weight(&[3, 4, 2]);
        net.op("MatMul", &["x", &w], &[]);
        assert!(net.batch_first_error().contains("the batch"), "{}", net.batch_first_error());
    }

    #[test]
    fn relevance_of_a_product_balances() {
        use lrp_core::{Assignment, Plan, Start, Target};
        let mut net = Net::new(&[2, 2]);
        let z = net.op("MatMul", &["x", "x"], &[]);
        let flat = net.ints(&[0, -1]);
        net.op("Reshape", &[&z, &flat], &[]);
        let plan = Plan::new(net.import().unwrap().model.into(), &Assignment::new()).unwrap();
        let x = array![[[1.0, 2.0], [3.0, 4.0]]].into_dyn();
        let found = plan.explain(&x, &Target::Class(0), Start::Logit).unwrap();
        // x₀₀² + x₀₁ x₁₀ = 1 + 6: each factor takes half of its term.
        let expected = array![[[1.0, 3.0], [3.0, 0.0]]].into_dyn();
        assert!((found.input_relevance() - expected).iter().all(|d: &f64| d.abs() < 1e-5));
        let totals = found.ledger.totals(0);
        assert!((totals.stabilizer - 1e-6).abs() < 1e-9, "{totals:?}");
    }
}
