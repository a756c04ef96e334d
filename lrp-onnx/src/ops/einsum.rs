//! `Einsum`: sums of products given by a formula, as transpositions, reshapes and matrix products.

use std::collections::{BTreeSet, VecDeque};

use lrp_core::Scalar;
use lrp_core::operator::Affine;
use lrp_core::ops::{Mean, Reshape, Transpose, shared};
use ndarray::ArrayD;

use super::product::{Factors, multiplied};
use super::{Context, Translated, Value};
use crate::error::{Problem, Shape};
use crate::graph::{Body, Linear, Origin};
use crate::tensor::{Array, volume};

/// A label of an axis. Axes that `...` stands for have labels of their own, counted from the last.
type Label = u32;

/// A term of the formula: a node, and the labels of its sample's axes.
struct Term {
    id: usize,
    labels: Vec<Label>,
    is_constant: bool,
}

pub(super) fn einsum<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let equation = cx.node.text("equation").ok_or_else(|| Problem::invalid("it has no equation"))?;
    let values: Vec<Value> = cx.inputs.iter().flatten().cloned().collect();
    let activation = values.iter().find_map(|v| if let Value::Data(id) = v { Some(*id) } else { None });
    let activation = activation.ok_or_else(|| Problem::invalid("it has no activation as input"))?;
    let batch = cx.has_batch(activation);
    let ranks: Vec<usize> = values
        .iter()
        .map(|value| match value {
            Value::Data(id) => cx.full_shape(*id).len(),
            Value::Constant(constant) => constant.shape().len(),
            _ => 0,
        })
        .collect();
    let (inputs, mut output) = parsed(&equation, &ranks)?;
    let mixes = || {
        Problem::invalid(format!(
            "its equation '{equation}' does not keep the batch as the first axis; samples must stay independent of each other"
        ))
    };
    let first = output.first().copied();
    let mut terms = Vec::new();
    for (position, (value, mut labels)) in values.iter().zip(inputs).enumerate() {
        if labels.iter().collect::<BTreeSet<_>>().len() != labels.len() {
            return Err(Problem::unsupported(format!("with a diagonal ('{equation}')")));
        }
        match value {
            Value::Data(id) => {
                if batch {
                    // The batch is the first axis of each activation, and of the output.
                    if labels.is_empty() || first != Some(labels.remove(0)) {
                        return Err(mixes());
                    }
                }
                terms.push(Term { id: *id, labels, is_constant: false });
            }
            Value::Constant(c) => {
                if batch && labels.iter().any(|label| Some(*label) == first) {
                    return Err(mixes());
                }
                let tensor = c.tensor::<T>().map_err(|e| Problem::invalid(format!("its constant {e}")))?;
                let name = format!("{}/constant{position}", cx.name);
                terms.push(Term { id: cx.push_constant(&name, tensor), labels, is_constant: true });
            }
            _ => return Err(Problem::invalid("one of its inputs is neither an activation nor a constant")),
        }
    }
    if batch {
        output.remove(0);
    }
    check_lengths(cx, &terms, &equation)?;
    // A product of constants is no node: an activation is among the first two.
    if let Some(at) = terms.iter().position(|term| !term.is_constant).filter(|at| *at > 1) {
        terms[..=at].rotate_right(1);
    }
    let mut terms = VecDeque::from(terms);
    let Some(mut all) = terms.pop_front() else { return Err(Problem::invalid("it has no inputs")) };
    if terms.is_empty() {
        return of_one(cx, all, &output);
    }
    // More than two from left to right, as PyTorch multiplies them.
    while let Some(next) = terms.pop_front() {
        let later = |label: &Label| output.contains(label) || terms.iter().any(|term| term.labels.contains(label));
        let mut labels = all.labels.clone();
        labels.extend(next.labels.iter().filter(|label| !all.labels.contains(label)));
        labels.retain(later);
        let labels = if terms.is_empty() { output.clone() } else { labels };
        let Value::Data(id) = of_two(cx, all, next, &labels)? else { return Ok(Value::Unknown) };
        all = Term { id, labels, is_constant: false };
    }
    Ok(Value::Data(all.id))
}

/// The labels of the inputs and of the output.
fn parsed(equation: &str, ranks: &[usize]) -> Result<(Vec<Vec<Label>>, Vec<Label>), Problem> {
    let wrong = || Problem::invalid(format!("its equation '{equation}' does not fit its inputs"));
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let texts: Vec<&str> = left.split(',').collect();
    if texts.len() != ranks.len() {
        return Err(wrong());
    }
    let mut hidden = 0;
    let mut inputs = Vec::new();
    for (text, &rank) in texts.iter().zip(ranks) {
        let named = text.replace("...", "").chars().count();
        let open = if text.contains("...") { rank.checked_sub(named).ok_or_else(wrong)? } else { 0 };
        hidden = hidden.max(open);
        let labels = labels(text, open).ok_or_else(wrong)?;
        if labels.len() != rank {
            return Err(wrong());
        }
        inputs.push(labels);
    }
    let output = match right {
        Some(text) => labels(text, hidden).ok_or_else(wrong)?,
        // In alphabetical order, those that occur once.
        None => {
            let all: Vec<Label> = inputs.iter().flatten().copied().collect();
            let open: Vec<Label> =
                all.iter().copied().filter(|l| *l < OPEN).collect::<BTreeSet<_>>().into_iter().rev().collect();
            let once = |l: &Label| *l >= OPEN && all.iter().filter(|other| *other == l).count() == 1;
            let named: BTreeSet<Label> = all.iter().copied().filter(once).collect();
            open.into_iter().chain(named).collect()
        }
    };
    let known = |label: &Label| inputs.iter().flatten().any(|l| l == label);
    if !output.iter().all(known) || output.iter().collect::<BTreeSet<_>>().len() != output.len() {
        return Err(wrong());
    }
    Ok((inputs, output))
}

/// Labels below this one stand for axes of `...`.
const OPEN: Label = 32;

/// The labels of one term, in which `...` stands for as many axes as `open`.
fn labels(text: &str, open: usize) -> Option<Vec<Label>> {
    let (before, after) = text.split_once("...").map_or((text, None), |(before, after)| (before, Some(after)));
    let named = |part: &str| -> Option<Vec<Label>> {
        part.chars().map(|c| c.is_ascii_alphabetic().then(|| OPEN + u32::from(c))).collect()
    };
    let mut labels = named(before)?;
    if let Some(after) = after {
        labels.extend((0..Label::try_from(open).ok().filter(|n| *n < OPEN)?).rev());
        labels.extend(named(after)?);
    }
    Some(labels)
}

/// Checks that axes of one label have one length.
fn check_lengths<T: Scalar>(cx: &Context<'_, T>, terms: &[Term], equation: &str) -> Result<(), Problem> {
    let mut known: Vec<(Label, usize)> = Vec::new();
    for term in terms {
        let shape = cx.shape(term.id);
        for (&label, &length) in term.labels.iter().zip(&shape) {
            match known.iter().find(|(l, _)| *l == label) {
                Some((_, other)) if *other != length => {
                    return Err(Problem::invalid(format!(
                        "its equation '{equation}' gives one name to axes of the lengths {other} and {length} (of {})",
                        Shape(&shape)
                    )));
                }
                Some(_) => {}
                None => known.push((label, length)),
            }
        }
    }
    Ok(())
}

/// Sums over the axes that are missing in the output, and a permutation.
fn of_one<T: Scalar>(cx: &mut Context<'_, T>, term: Term, output: &[Label]) -> Translated {
    let term = summed(cx, term, output)?;
    let id = ordered(cx, &term, output)?;
    let shape = cx.shape(id);
    cx.push(Reshape::new(&shape, &shape)?, &[id])
}

/// A matrix product between reshapes: axes of both that stay are a stack, those of both that go are summed.
fn of_two<T: Scalar>(cx: &mut Context<'_, T>, a: Term, b: Term, output: &[Label]) -> Translated {
    let constant = [&a, &b].iter().position(|term| term.is_constant);
    let needed = |other: &Term| -> Vec<Label> { output.iter().chain(&other.labels).copied().collect() };
    let (for_a, for_b) = (needed(&b), needed(&a));
    let (a, b) = (summed(cx, a, &for_a)?, summed(cx, b, &for_b)?);
    let stack: Vec<Label> = output.iter().copied().filter(|l| a.labels.contains(l) && b.labels.contains(l)).collect();
    let inner: Vec<Label> = a.labels.iter().copied().filter(|l| b.labels.contains(l) && !stack.contains(l)).collect();
    let own = |term: &Term| -> Vec<Label> {
        output.iter().copied().filter(|l| term.labels.contains(l) && !stack.contains(l)).collect()
    };
    let (rows, columns) = (own(&a), own(&b));
    let length = |cx: &Context<'_, T>, label: Label| -> usize {
        let of = |term: &Term| cx.shape(term.id).get(term.labels.iter().position(|l| *l == label)?).copied();
        of(&a).or_else(|| of(&b)).unwrap_or(1)
    };
    let sizes =
        |cx: &Context<'_, T>, labels: &[Label]| -> Vec<usize> { labels.iter().map(|&l| length(cx, l)).collect() };
    let [stack_sizes, row_sizes, inner_sizes, column_sizes] = [&stack, &rows, &inner, &columns].map(|l| sizes(cx, l));
    let total = |sizes: &[usize]| volume(sizes).ok_or_else(|| Problem::invalid("its inputs are absurdly large"));
    let [m, k, n] = [total(&row_sizes)?, total(&inner_sizes)?, total(&column_sizes)?];
    if let (Some(constant), true) = (constant, stack.is_empty()) {
        let (x, weights) = if constant == 1 { (&a, &b) } else { (&b, &a) };
        let own = if constant == 1 { [&rows, &columns] } else { [&columns, &rows] };
        let sizes = if constant == 1 { [&row_sizes, &column_sizes] } else { [&column_sizes, &row_sizes] };
        if let Some(matrix) = constant_matrix(cx, weights, &[own[1].as_slice(), &inner].concat()) {
            let [samples, outputs] = [total(sizes[0])?, total(sizes[1])?];
            let id = ordered(cx, x, &[own[0].as_slice(), &inner].concat())?;
            let flat = cx.push_extra("matrix", Reshape::new(&cx.shape(id), &[samples, k])?, &[id]);
            let matrix = matrix.into_shape_with_order(vec![outputs, k]).map_err(|e| Problem::invalid(e.to_string()))?;
            let weights = Array::Float(matrix).into();
            let linear = Linear { weights, transposed: false, alpha: 1.0, bias: None };
            let dense = shared(linear.build::<T>(&cx.shape(flat))?);
            let product = cx.push_extra_made_from("dense", dense, Origin::Dense(linear), &[flat]);
            return split(
                cx,
                product,
                &[sizes[0].as_slice(), sizes[1]].concat(),
                own.map(Vec::as_slice).concat(),
                output,
            );
        }
    }
    let mut as_matrix = |term: &Term, order: [&[Label]; 3], matrix: [usize; 2]| -> Result<usize, Problem> {
        let id = ordered(cx, term, &order.concat())?;
        let shape: Vec<usize> = stack_sizes.iter().copied().chain(matrix).collect();
        let own = cx.shape(id);
        Ok(if own == shape { id } else { cx.push_extra("matrix", Reshape::new(&own, &shape)?, &[id]) })
    };
    let left = as_matrix(&a, [&stack, &rows, &inner], [m, k])?;
    let right = as_matrix(&b, [&stack, &inner, &columns], [k, n])?;
    let factors = Factors { ids: [left, right], constant };
    let Value::Data(product) = multiplied(cx, factors, Some("product"))? else { return Ok(Value::Unknown) };
    let shape = [stack_sizes, row_sizes, column_sizes].concat();
    split(cx, product, &shape, [stack, rows, columns].concat(), output)
}

/// A product with its axes apart, in the order of the output.
fn split<T: Scalar>(
    cx: &mut Context<'_, T>,
    product: usize,
    shape: &[usize],
    labels: Vec<Label>,
    output: &[Label],
) -> Translated {
    let id = cx.push_extra("split", Reshape::new(&cx.shape(product), shape)?, &[product]);
    Ok(Value::Data(if labels == output { id } else { ordered(cx, &Term { id, labels, is_constant: false }, output)? }))
}

/// A constant with its axes in this order, if the term is one.
fn constant_matrix<T: Scalar>(cx: &Context<'_, T>, term: &Term, order: &[Label]) -> Option<ArrayD<f64>> {
    let Body::Constant(value) = &cx.graph.nodes.get(term.id)?.body else { return None };
    let axes: Vec<usize> =
        order.iter().map(|label| term.labels.iter().position(|l| l == label)).collect::<Option<_>>()?;
    let ordered = (axes.len() == value.ndim()).then(|| value.mapv(T::wide).permuted_axes(axes))?;
    Some(ordered.as_standard_layout().into_owned())
}

/// The sum over axes whose labels are not needed.
fn summed<T: Scalar>(cx: &mut Context<'_, T>, term: Term, needed: &[Label]) -> Result<Term, Problem> {
    let gone: Vec<usize> = (1..=term.labels.len())
        .filter(|axis| term.labels.get(axis - 1).is_some_and(|label| !needed.contains(label)))
        .collect();
    if gone.is_empty() {
        return Ok(term);
    }
    let sum = Mean::new(&gone, false, &cx.shape(term.id))?.map_weights(&|_| T::one());
    let id = cx.push_extra_made_from("sum", sum, Origin::Other, &[term.id]);
    let labels = term.labels.into_iter().filter(|label| needed.contains(label)).collect();
    Ok(Term { id, labels, is_constant: term.is_constant })
}

/// The term with its axes in this order.
fn ordered<T: Scalar>(cx: &mut Context<'_, T>, term: &Term, order: &[Label]) -> Result<usize, Problem> {
    let place = |label: &Label| term.labels.iter().position(|l| l == label).map(|at| at + 1);
    let axes: Option<Vec<usize>> = std::iter::once(Some(0)).chain(order.iter().map(place)).collect();
    let axes = axes.filter(|axes| axes.len() == term.labels.len() + 1);
    let axes =
        axes.ok_or_else(|| Problem::unsupported("with an axis of the output that only some of its inputs have"))?;
    if axes.is_sorted() {
        return Ok(term.id);
    }
    let op = shared(Transpose::new(&axes, &cx.shape(term.id))?);
    Ok(cx.push_extra_made_from("transpose", op, Origin::Transpose(axes), &[term.id]))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, kinds, varied};

    fn net(equation: &'static str, sample: &[i64], constant: Option<&[i64]>) -> Net {
        let mut net = Net::new(sample);
        let other = constant.map(|shape| net.weight(shape));
        let inputs: Vec<&str> = std::iter::once("x").chain(other.as_deref()).collect();
        net.op("Einsum", &inputs, &[("equation", Attr::Text(equation))]);
        net
    }

    #[test]
    fn sums_and_permutations_of_one() {
        let x = varied(&[2, 3, 4]);
        let y = net("nab->nb", &[3, 4], None).run(&x);
        assert!((y - x.sum_axis(ndarray::Axis(1))).iter().all(|d| d.abs() < 1e-12));
        let y = net("n...b -> nb...", &[3, 4], None).run(&x);
        assert_eq!(y, x.view().permuted_axes(vec![0, 2, 1]));
    }

    #[test]
    fn products_of_two_activations() {
        // Scores of attention, with heads last.
        let mut net = Net::new(&[3, 2, 4]);
        net.op("Einsum", &["x", "x"], &[("equation", Attr::Text("nqhd,nkhd->nhqk"))]);
        let x = varied(&[2, 3, 2, 4]);
        let y = net.run(&x);
        assert_eq!(y.shape(), [2, 2, 3, 3]);
        for n in 0..2 {
            for (h, q, k) in [(0, 0, 0), (1, 2, 0), (0, 1, 2)] {
                let expected: f64 = (0..4).map(|d| x[[n, q, h, d]] * x[[n, k, h, d]]).sum();
                assert!((y[[n, h, q, k]] - expected).abs() < 1e-12);
            }
        }
        assert!(kinds(&net.raw()).contains(&"matmul"));
    }

    #[test]
    fn products_with_constants() {
        let x = varied(&[2, 3, 4]);
        for equation in ["nab,bc->nac", "...b,bc->...c", "abc,cd"] {
            let net = net(equation, &[3, 4], Some(&[4, 5]));
            let graph = net.raw();
            let w = graph.nodes.iter().find_map(|n| match &n.body {
                crate::graph::Body::Constant(w) => Some(w.clone()),
                _ => None,
            });
            let (w, y) = (w.unwrap(), net.run(&x));
            let expected: f64 = (0..4).map(|b| x[[1, 2, b]] * w[[b, 3]]).sum();
            // Without an arrow the axes are in alphabetical order.
            assert!((y[[1, 2, 3]] - expected).abs() < 1e-12, "{equation}");
        }
        assert!(kinds(&net("nab,bc->nac", &[3, 4], Some(&[4, 5])).raw()).contains(&"dense"));
        // The constant first, and its axes in another order.
        let y = net("nab,cb->nca", &[3, 4], Some(&[5, 4])).run(&x);
        assert_eq!(y.shape(), [2, 5, 3]);
        let mut first = Net::new(&[3, 4]);
        let w = first.weight(&[5, 4]);
        first.op("Einsum", &[&w, "x"], &[("equation", Attr::Text("cb,nab->nca"))]);
        assert!((first.run(&x) - y).iter().all(|d| d.abs() < 1e-12));
        // An axis that the constant shares with the result: a stack of products.
        let stack = net("nab,abc->nac", &[3, 4], Some(&[3, 4, 5]));
        assert!(kinds(&stack.raw()).contains(&"matmul"));
        assert_eq!(stack.run(&x).shape(), [2, 3, 5]);
        // An axis of the constant that is summed by itself, and an outer product.
        let y = net("na,bc->nab", &[3], Some(&[2, 5])).run(&varied(&[2, 3]));
        assert_eq!(y.shape(), [2, 3, 2]);
    }

    #[test]
    fn products_of_many() {
        let x = varied(&[2, 3]);
        // The parameters of a state space: Δ, B and x.
        for equation in ["na,nb,na->nab", "na,nb,na->nba"] {
            let mut net = Net::new(&[3]);
            net.op("Einsum", &["x", "x", "x"], &[("equation", Attr::Text(equation))]);
            let y = net.run(&x);
            for (a, b) in [(0, 1), (2, 0), (1, 1)] {
                let expected = x[[1, a]] * x[[1, b]] * x[[1, a]];
                let found = if equation.ends_with("nab") { y[[1, a, b]] } else { y[[1, b, a]] };
                assert!((found - expected).abs() < 1e-12, "{equation}");
            }
        }
        // Two constants first, and a sum over an axis of the last term alone.
        let mut net = Net::new(&[3]);
        let [a, b] = [net.weight(&[3, 4]), net.weight(&[4, 5])];
        net.op("Einsum", &[&a, &b, "x"], &[("equation", Attr::Text("ab,bc,na->nc"))]);
        let graph = net.raw();
        assert_eq!(kinds(&graph).iter().filter(|kind| **kind == "dense").count(), 2, "{:?}", kinds(&graph));
        assert_eq!(net.run(&x).shape(), [2, 5]);
    }

    #[test]
    fn what_mixes_samples_or_is_no_formula_is_refused() {
        for (equation, reason) in [
            ("nab->ban", "does not keep the batch"),
            ("nab->ab", "does not keep the batch"),
            ("nab,bn->na", "does not fit its inputs"),
            ("naa->na", "with a diagonal"),
            ("nab->nabz", "does not fit its inputs"),
            ("na->na", "does not fit its inputs"),
            ("n1b->nb", "does not fit its inputs"),
        ] {
            let text = net(equation, &[3, 3], None).batch_first_error();
            assert!(text.contains(reason), "{equation}: {text}");
        }
        assert!(net("nab,bn->na", &[3, 4], Some(&[4, 13])).batch_first_error().contains("does not keep the batch"));
        assert!(net("nab,bc->nac", &[3, 4], Some(&[5, 2])).error().contains("lengths 4 and 5"));
    }
}
