//! Structural operators: reshape and its relatives, transpose, concat, pad, dropout, cast; and the
//! softmax at the end, which is cut later.

use std::sync::Arc;

use lrp_core::Scalar;
use lrp_core::operator::{Group, Kind};
use lrp_core::ops::{Broadcast, Concat, Identity, Pad, PadMode, Reshape, Softmax, Transpose, shared};

use super::{Context, Translated, Value};
use crate::consteval::{axis, flattened, joint_shape, reshaped, squeezed, unsqueezed};
use crate::error::{Problem, Shape};
use crate::graph::{Body, Node, Origin};
use crate::tensor::{DType, volume};

pub(super) fn identity<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    cx.push(Identity::new(&cx.shape(x))?, &[x])
}

/// Does nothing when a model is used; in training mode it would be random.
pub(super) fn dropout<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let training = cx.optional(2)?.map(|c| c.ints()).transpose().map_err(Problem::Invalid)?;
    if training.is_some_and(|t| t.contains(&1)) {
        return Err(Problem::invalid("it is in training mode; call model.eval() before exporting"));
    }
    identity(cx)
}

/// Between floating-point types nothing changes: everything is computed in one precision here. To whole numbers, the fraction is cut off; ids that
/// the model takes as floating-point numbers have none.
pub(super) fn cast<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let code = cx.node.int("to").unwrap_or(0);
    match i32::try_from(code).ok().and_then(DType::from_code) {
        Some(dtype) if dtype.is_float() => identity(cx),
        // Truth values are 0 and 1 here, whatever their type.
        Some(_) if is_truth(cx) => identity(cx),
        Some(DType::Bool) => super::choice::truth(cx),
        Some(_) if is_input(cx) => identity(cx),
        Some(_) => super::choice::truncate(cx),
        None => Err(Problem::unsupported(format!("a cast of activations to type {code}"))),
    }
}

/// Whether the input is a comparison, moved about or not.
fn is_truth<T: Scalar>(cx: &Context<'_, T>) -> bool {
    moved(cx).is_some_and(|node| node.kind() == Some(Kind::Compare))
}

/// Whether the input is one of the model's, moved about or not.
fn is_input<T: Scalar>(cx: &Context<'_, T>) -> bool {
    moved(cx).is_some_and(|node| matches!(node.body, Body::Input { .. }))
}

/// The node whose value the input is, moved about or not.
fn moved<'c, T: Scalar>(cx: &'c Context<'_, T>) -> Option<&'c Node<T>> {
    let Some(Some(Value::Data(id))) = cx.inputs.first() else { return None };
    let mut id = *id;
    loop {
        let node = cx.graph.nodes.get(id)?;
        match (node.kind(), node.inputs.as_slice()) {
            (Some(kind), &[x]) if kind.group() == Group::Structural && kind != Kind::Pad => id = x,
            _ => return Some(node),
        }
    }
}

pub(super) fn reshape<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let (x, full) = match cx.row()? {
        Some((x, length)) => (x, vec![length]),
        None => cx.data(0).map(|x| (x, cx.full_shape(x)))?,
    };
    let target = cx.list(1, "shape")?.ok_or_else(|| Problem::invalid("it has no target shape"))?;
    let allow_zero = cx.node.int("allowzero") == Some(1);
    let shape = reshaped(&full, &target, allow_zero).map_err(|_| mixes_batch(cx, x, &target))?;
    if cx.is_whole() {
        return reshape_to(cx, x, shape);
    }
    // The samples one behind the other, as dynamo writes them before it copies a view of them by indices.
    if let (0, [length]) = (cx.batch_axis, shape.as_slice())
        && *length != cx.batch
    {
        return Ok(Value::Row(x));
    }
    // The batch stays where as much comes before it as did.
    let before = |shape: &[usize], axis: usize| shape.iter().take(axis).product::<usize>();
    let fits = |&at: &usize| shape.get(at) == Some(&cx.batch) && before(&shape, at) == before(&full, cx.batch_axis);
    let at = if cx.batch_axis == 0 { Some(0) } else { std::iter::once(cx.batch_axis).chain(0..shape.len()).find(fits) };
    cx.batch_axis = at.ok_or_else(|| mixes_batch(cx, x, &target))?;
    reshape_to(cx, x, shape)
}

pub(super) fn flatten<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let shape = flattened(&cx.full_shape(x), cx.node.int("axis").unwrap_or(1))?;
    reshape_to(cx, x, shape)
}

pub(super) fn squeeze<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let axes = cx.list(1, "axes")?;
    let rank = cx.full_shape(x).len();
    // A batch of one that was fixed at export is still the batch.
    if axes.iter().flatten().any(|&a| axis(a, rank).is_ok_and(|a| a == cx.batch_axis)) {
        return Err(Problem::invalid("it squeezes the batch axis away; axis 0 must stay the batch"));
    }
    let full = cx.full_shape(x);
    let shape = squeezed(&full, axes.as_deref())?;
    let gone = |at: &usize| match &axes {
        Some(axes) => axes.iter().any(|&a| axis(a, rank).is_ok_and(|a| a == *at)),
        None => full.get(*at) == Some(&1),
    };
    if !cx.is_whole() {
        cx.batch_axis -= (0..cx.batch_axis).filter(gone).count();
    }
    reshape_to(cx, x, shape)
}

pub(super) fn unsqueeze<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let axes = cx.list(1, "axes")?.ok_or_else(|| Problem::invalid("it has no axes"))?;
    let full = cx.full_shape(x);
    let shape = unsqueezed(&full, &axes)?;
    if cx.batch_axis > 0 && !cx.is_whole() {
        let new: Vec<usize> = axes.iter().map(|&a| axis(a, shape.len())).collect::<Result<_, _>>()?;
        let kept = (0..shape.len()).filter(|at| !new.contains(at));
        cx.batch_axis = kept.into_iter().nth(cx.batch_axis).unwrap_or(0);
    }
    reshape_to(cx, x, shape)
}

/// Reshapes to a full shape in which the batch must still stand at its axis.
fn reshape_to<T: Scalar>(cx: &mut Context<'_, T>, x: usize, full: Vec<usize>) -> Translated {
    let input = cx.shape(x);
    if cx.is_whole() {
        return cx.push(Reshape::new(&input, &full)?, &[x]);
    }
    let mut sample = full.clone();
    let batch = (cx.batch_axis < full.len()).then(|| sample.remove(cx.batch_axis));
    match batch {
        Some(batch) if batch == cx.batch && volume(&sample) == volume(&input) => {
            cx.push(Reshape::new(&input, &sample)?, &[x])
        }
        _ => {
            let target: Vec<i64> = full.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect();
            Err(mixes_batch(cx, x, &target))
        }
    }
}

fn mixes_batch<T: Scalar>(cx: &Context<'_, T>, x: usize, target: &[i64]) -> Problem {
    Problem::invalid(format!(
        "it reshapes {} (with N = {}) to {target:?}, which does not keep the batch as axis 0; samples must stay \
         independent of each other",
        Shape(&cx.shape(x)),
        cx.batch
    ))
}

pub(super) fn transpose<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let rank = cx.rank(x);
    let permutation: Vec<usize> = match cx.node.ints("perm") {
        Some(axes) => axes.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).rev().collect(),
    };
    if cx.is_whole() {
        let permutation: Vec<usize> = std::iter::once(0).chain(permutation.iter().map(|axis| axis + 1)).collect();
        let op = Transpose::new(&permutation, &input)?;
        return cx.push_made_from(shared(op), Origin::Transpose(permutation), &[x]);
    }
    let Some(at) = permutation.iter().position(|&axis| axis == cx.batch_axis) else {
        return Err(Problem::invalid(format!("{permutation:?} is no permutation of {rank} axes")));
    };
    // Samples keep the order of their axes, whatever becomes of the batch's.
    let samples = permutation.iter().filter(|&&axis| axis != cx.batch_axis).map(|&axis| cx.behind_batch(axis));
    let permutation: Vec<usize> = std::iter::once(0).chain(samples).collect();
    let moved = at != 0 || cx.batch_axis != 0;
    cx.batch_axis = at;
    let op = Transpose::new(&permutation, &input)?;
    if moved && permutation.is_sorted() {
        return Ok(Value::Data(x));
    }
    cx.push_made_from(shared(op), Origin::Transpose(permutation), &[x])
}

/// Constants among the inputs become nodes of their own.
pub(super) fn concat<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let inputs: Vec<(String, Value)> = cx.node.input.iter().cloned().zip(cx.inputs.iter().flatten().cloned()).collect();
    let first = inputs.iter().find_map(|(_, v)| if let Value::Data(id) = v { Some(*id) } else { None });
    let first = first.ok_or_else(|| Problem::invalid("it has no activation as input"))?;
    let rank = cx.rank(first);
    let axis = cx.node.int("axis").ok_or_else(|| Problem::invalid("it has no axis"))?;
    let axis = cx.sample_axis(axis, first)?;
    let mut ids = Vec::new();
    for (name, value) in inputs {
        ids.push(match value {
            // Nothing, as an exporter writes a state that is not there.
            Value::Constant(constant) if constant.shape().contains(&0) && constant.shape().len() == rank => continue,
            Value::Constant(constant) => {
                if constant.shape().len() != rank {
                    let reason = format!("its constant of shape {:?} has not {rank} axes", constant.shape());
                    return Err(Problem::invalid(reason));
                }
                let value = cx.per_sample(&constant, rank)?;
                cx.push_constant(&name, value)
            }
            Value::Data(id) => id,
            _ => return Ok(Value::Unknown),
        });
    }
    if ids.len() == 1 {
        return cx.push(Identity::new(&cx.shape(first))?, &[first]);
    }
    let shapes: Vec<Vec<usize>> = ids.iter().map(|&id| cx.shape(id)).collect();
    let op = Concat::new(axis, &shapes.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    cx.push(op, &ids)
}

/// Repeats axes of length one.
pub(super) fn expand<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let target = cx.list(1, "shape")?.ok_or_else(|| Problem::invalid("it has no target shape"))?;
    let lengths: Option<Vec<usize>> = target.iter().map(|&d| usize::try_from(d).ok()).collect();
    let lengths = lengths.ok_or_else(|| Problem::invalid(format!("{target:?} is no shape")))?;
    let full = cx.full_shape(x);
    if cx.is_whole() {
        let shape = joint_shape(&full, &lengths)?;
        return cx.push(Broadcast::new(&full, &shape)?, &[x]);
    }
    match joint_shape(&full, &lengths)?.split_first() {
        Some((&batch, sample)) if batch == cx.batch && sample.len() + 1 == full.len() => {
            cx.push(Broadcast::new(&cx.shape(x), sample)?, &[x])
        }
        _ => Err(mixes_batch(cx, x, &target)),
    }
}

/// Channels become blocks of the image: reshape, transpose, reshape.
pub(super) fn depth_to_space<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let (x, block, [c, h, w]) = blocks(cx)?;
    let c = c / (block * block).max(1);
    let (split, order): (_, [usize; 6]) = match cx.node.text("mode").as_deref() {
        None | Some("DCR") => ([block, block, c, h, w], [0, 3, 4, 1, 5, 2]),
        Some("CRD") => ([c, block, block, h, w], [0, 1, 4, 2, 5, 3]),
        Some(other) => return Err(Problem::invalid(format!("it has the mode '{other}'"))),
    };
    rearranged(cx, x, &split, &order, &[c, h * block, w * block])
}

/// Blocks of the image become channels.
pub(super) fn space_to_depth<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let (x, block, [c, h, w]) = blocks(cx)?;
    let (rows, columns) = (h / block.max(1), w / block.max(1));
    let depth = c * block * block;
    rearranged(cx, x, &[c, rows, block, columns, block], &[0, 3, 5, 1, 2, 4], &[depth, rows, columns])
}

/// The input, the size of blocks, and the input's channels, height and width.
fn blocks<T: Scalar>(cx: &Context<'_, T>) -> Result<(usize, usize, [usize; 3]), Problem> {
    let x = cx.data(0)?;
    let shape: [usize; 3] = cx.shape(x).try_into().map_err(|shape: Vec<usize>| {
        Problem::invalid(format!("it needs an input of [N, C, H, W], and gets {}", Shape(&shape)))
    })?;
    let block = cx.node.int("blocksize").and_then(|b| usize::try_from(b).ok()).filter(|b| (1..1 << 10).contains(b));
    Ok((x, block.ok_or_else(|| Problem::invalid("it has no blocksize that makes sense"))?, shape))
}

fn rearranged<T: Scalar>(
    cx: &mut Context<'_, T>,
    x: usize,
    split: &[usize],
    order: &[usize],
    joined: &[usize],
) -> Translated {
    let split = cx.push_extra("split", Reshape::new(&cx.shape(x), split)?, &[x]);
    let turned = cx.push_extra("transpose", Transpose::new(order, &cx.shape(split))?, &[split]);
    cx.push(Reshape::new(&cx.shape(turned), joined)?, &[turned])
}

/// Pads are an attribute up to operator set 10 and an input later; from 18 on they can be for some axes only.
pub(super) fn pad<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let rank = cx.rank(x);
    let value = cx.number(2, "value")?.unwrap_or(0.0);
    let mode = match cx.node.text("mode").as_deref() {
        None | Some("constant") => PadMode::Constant(value),
        Some("reflect") => PadMode::Reflect,
        Some("edge") => PadMode::Edge,
        Some(other) => return Err(Problem::unsupported(format!("with mode '{other}'"))),
    };
    let pads = cx.list(1, "pads")?.ok_or_else(|| Problem::invalid("it has no pads"))?;
    let axes: Vec<usize> = match cx.list(3, "axes")? {
        Some(axes) => axes.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(Problem::invalid(format!("it has {} pads for {} axes", pads.len(), axes.len())));
    }
    let (mut begin, mut end) = (vec![0; rank], vec![0; rank]);
    let (first, last) = pads.split_at(axes.len());
    for ((&axis, &b), &e) in axes.iter().zip(first).zip(last) {
        if let (Some(begin), Some(end)) = (begin.get_mut(axis), end.get_mut(axis)) {
            (*begin, *end) = (b, e);
        }
    }
    let (begin, end) = match (begin.split_first(), end.split_first()) {
        _ if cx.is_whole() => (begin.as_slice(), end.as_slice()),
        (Some((0, begin)), Some((0, end))) => (begin, end),
        _ => return Err(Problem::invalid("it pads the batch axis; axis 0 must stay the batch")),
    };
    let padded = |(&d, (&b, &e)): (&usize, (&i64, &i64))| {
        let d = i64::try_from(d).ok().filter(|_| b.unsigned_abs().max(e.unsigned_abs()) <= 1 << 31)?;
        usize::try_from(d.checked_add(b)?.checked_add(e)?).ok()
    };
    let padded: Option<Vec<usize>> = input.iter().zip(begin.iter().zip(end)).map(padded).collect();
    let Some(padded) = padded else {
        return Err(Problem::invalid(format!(
            "it pads {} by {begin:?} before and {end:?} after: less than nothing, or absurdly much",
            Shape(&input)
        )));
    };
    cx.tables.charge_axes(padded)?;
    let op = Arc::new(Pad::new(mode, begin, end, &input)?);
    cx.push_made_from(shared(op.clone()), Origin::Pad(op), &[x])
}

/// At the end of the model the pass `cut-output` takes it away.
pub(super) fn softmax<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    // Before operator set 13 the default was axis 1, and the axis and all after it were taken as one.
    let axis = cx.sample_axis(cx.node.int("axis").unwrap_or(if cx.opset < 13 { 1 } else { -1 }), x)?;
    let shape = cx.shape(x);
    let one_axis = cx.opset >= 13 || shape.iter().skip(axis).all(|&d| d == 1);
    let softmax = |shape: &[usize]| -> Result<Softmax, Problem> {
        let softmax = Softmax::new(axis, shape)?;
        Ok(if cx.node.op_type == "LogSoftmax" { softmax.logarithm() } else { softmax })
    };
    if one_axis {
        let op = softmax(&shape)?;
        return cx.push(op, &[x]);
    }
    let (kept, joined) = shape.split_at_checked(axis - 1).unwrap_or_default();
    let flat: Vec<usize> = kept.iter().copied().chain(crate::tensor::volume(joined)).collect();
    let op = softmax(&flat)?;
    let x = cx.push_extra("joined", Reshape::new(&shape, &flat)?, &[x]);
    let y = cx.push_extra("rows", op, &[x]);
    cx.push(Reshape::new(&flat, &shape)?, &[y])
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, kinds, varied};
    use ndarray::array;

    fn reshaping(batch: i64, op: &str, list: &[i64], attributes: &[(&str, Attr<'_>)]) -> Net {
        let mut net = Net::with_batch(batch, &[2, 1, 3]);
        let list = net.ints(list);
        net.op(op, &["x", &list], attributes);
        net
    }

    /// The sample shape that a node makes of `[2, 1, 3]`.
    fn shape(batch: i64, op: &str, list: &[i64], attributes: &[(&str, Attr<'_>)]) -> Result<Vec<usize>, String> {
        let model = reshaping(batch, op, list, attributes).import().map_err(|e| e.to_string())?.model;
        Ok(model.node(model.output()).shape.clone())
    }

    #[test]
    fn shapes_that_keep_the_batch() {
        for batch in [-1, 1, 6] {
            assert_eq!(shape(batch, "Reshape", &[0, -1], &[]).unwrap(), [6]);
            assert_eq!(shape(batch, "Reshape", &[-1, 6], &[]).unwrap(), [6]);
            assert_eq!(shape(batch, "Reshape", &[0, 0, 3], &[]).unwrap(), [2, 3]);
            assert_eq!(shape(batch, "Squeeze", &[2], &[]).unwrap(), [2, 3]);
            assert_eq!(shape(batch, "Unsqueeze", &[1, -1], &[]).unwrap(), [1, 2, 1, 3, 1]);
            let transposed = shape(batch, "Transpose", &[], &[("perm", Attr::Ints(&[0, 3, 1, 2]))]);
            assert_eq!(transposed.unwrap(), [3, 2, 1]);
        }
        assert_eq!(shape(1, "Reshape", &[1, 6], &[]).unwrap(), [6]);
        assert_eq!(shape(6, "Reshape", &[6, 3, 2], &[]).unwrap(), [3, 2]);
    }

    #[test]
    fn shapes_that_mix_the_batch_are_refused() {
        for (op, list, attributes, reason) in [
            ("Reshape", &[1, -1][..], &[][..], "does not keep the batch as axis 0"),
            ("Reshape", &[-1, 3], &[], "does not keep the batch as axis 0"),
            ("Reshape", &[-1], &[], "the whole batch on a single axis"),
            ("Reshape", &[0, 5], &[], "does not keep the batch as axis 0"),
            ("Flatten", &[], &[("axis", Attr::Int(2))], "does not keep the batch as axis 0"),
            ("Unsqueeze", &[0], &[], "does not keep the batch as axis 0"),
            ("Squeeze", &[0], &[], "squeezes the batch axis"),
            ("Transpose", &[], &[("perm", Attr::Ints(&[1, 0, 2, 3]))], "moves the batch axis"),
            ("Concat", &[], &[("axis", Attr::Int(0))], "which is the batch"),
            ("Pad", &[1, 0, 0, 0, 0, 0, 0, 0], &[], "pads the batch axis"),
            ("Pad", &[0, 0, 0, i64::MIN, 0, 0, 0, i64::MAX], &[], "absurdly much"),
            ("Pad", &[0, 0, 0, 1 << 40, 0, 0, 0, 0], &[], "absurdly much"),
            ("Pad", &[0, 0, 0], &[], "3 pads for 4 axes"),
        ] {
            let text = reshaping(-1, op, list, attributes).batch_first_error();
            assert!(text.contains(reason), "{op}: {text}");
        }
    }

    #[test]
    fn the_whole_batch_on_one_axis_can_only_be_taken_apart_again() {
        let row = |then: &dyn Fn(&mut Net, &str) -> String| {
            let mut net = Net::new(&[2, 3]);
            let open = net.ints(&[-1]);
            let row = net.op("Reshape", &["x", &open], &[]);
            then(&mut net, &row);
            net
        };
        let x = varied(&[4, 2, 3]);
        let again = row(&|net, row| {
            let (one, by) = (net.ints(&[-1]), net.ints(&[-1, 3, 2]));
            let row = net.op("Reshape", &[row, &one], &[]);
            net.op("Reshape", &[&row, &by], &[])
        });
        assert_eq!(again.run(&x), x.into_shape_with_order(vec![4, 3, 2]).unwrap());
        let relu = row(&|net, row| net.op("Relu", &[row], &[]));
        let text = relu.batch_first_error();
        assert!(text.contains("'relu1' (Relu): a Reshape before it puts the whole batch"), "{text}");
        let other = row(&|net, row| net.op("Reshape", &["x", row], &[]));
        assert!(other.batch_first_error().contains("puts the whole batch"), "{}", other.batch_first_error());
        let by_three = row(&|net, row| {
            let by = net.ints(&[-1, 3]);
            net.op("Reshape", &[row, &by], &[])
        });
        let text = by_three.batch_first_error();
        assert!(text.contains("does not keep the batch as axis 0"), "{text}");
    }

    #[test]
    fn flattening_by_the_size_of_the_batch() {
        // x.view(x.size(0), -1), as TorchScript exports it.
        let mut net = Net::new(&[2, 3]);
        let (zero, axis, rest) = (net.ints(&[0]), net.ints(&[0]), net.ints(&[-1]));
        let scalar = net.op("Squeeze", &[&zero, &axis], &[]);
        let shape = net.op("Shape", &["x"], &[]);
        let size = net.op("Gather", &[&shape, &scalar], &[]);
        let size = net.op("Unsqueeze", &[&size, &axis], &[]);
        let target = net.op("Concat", &[&size, &rest], &[("axis", Attr::Int(0))]);
        net.op("Reshape", &["x", &target], &[]);
        let x = varied(&[4, 2, 3]);
        assert_eq!(net.run(&x), x.into_shape_with_order(vec![4, 6]).unwrap());
    }

    #[test]
    fn concat_and_pad_by_hand() {
        let mut net = Net::new(&[2]);
        // Built in the file from the size of the batch: a constant for each sample.
        let (shape, two) = (net.op("Shape", &["x"], &[]), net.ints(&[13, 1]));
        let same = net.op("Equal", &[&shape, &two], &[]);
        let target = net.op("Where", &[&same, &shape, &two], &[]);
        let c = net.op("ConstantOfShape", &[&target], &[]);
        let y = net.op("Concat", &[&c, "x"], &[("axis", Attr::Int(1))]);
        net.op("Pad", &[&y], &[("pads", Attr::Ints(&[0, 0, 0, 2])), ("mode", Attr::Text("edge"))]);
        let x = array![[1.0, 2.0], [3.0, 4.0]].into_dyn();
        let expected = array![[0.0, 1.0, 2.0, 2.0, 2.0], [0.0, 3.0, 4.0, 4.0, 4.0]].into_dyn();
        assert_eq!(net.run(&x), expected);
    }

    #[test]
    fn nothing_is_joined_to_nothing() {
        let mut net = Net::new(&[2]);
        let nothing = net.floats(&[1, 0], &[]);
        net.op("Concat", &[&nothing, "x"], &[("axis", Attr::Int(1))]);
        let x = array![[1.0, 2.0]].into_dyn();
        assert_eq!(net.run(&x), x);
    }

    #[test]
    fn depth_and_space() {
        // Channel 10·place + c, of 2 channels and a block of 2 × 2 places.
        let x = array![0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 30.0, 31.0];
        let x = x.into_shape_with_order(vec![1, 8, 1, 1]).unwrap();
        let blocks = array![[[[0.0, 10.0], [20.0, 30.0]], [[1.0, 11.0], [21.0, 31.0]]]].into_dyn();
        let block = ("blocksize", Attr::Int(2));
        let mut net = Net::new(&[8, 1, 1]);
        net.op("DepthToSpace", &["x"], &[block]);
        assert_eq!(net.run(&x), blocks);
        let mut net = Net::new(&[2, 2, 2]);
        net.op("SpaceToDepth", &["x"], &[block]);
        assert_eq!(net.run(&blocks), x);
        let mut net = Net::new(&[8, 1, 1]);
        net.op("DepthToSpace", &["x"], &[block, ("mode", Attr::Text("CRD"))]);
        let blocks = array![[[[0.0, 1.0], [10.0, 11.0]], [[20.0, 21.0], [30.0, 31.0]]]].into_dyn();
        assert_eq!(net.run(&x), blocks);
        for (op, size) in [("DepthToSpace", 3), ("SpaceToDepth", 3), ("DepthToSpace", 0), ("SpaceToDepth", -1)] {
            let mut net = Net::new(&[8, 4, 4]);
            net.op(op, &["x"], &[("blocksize", Attr::Int(size))]);
            net.error();
        }
    }

    #[test]
    fn repetition() {
        let mut net = Net::new(&[1, 2]);
        let target = net.ints(&[1, 3, 1]);
        net.op("Expand", &["x", &target], &[]);
        let y = net.run(&array![[[1.0, 2.0]]].into_dyn());
        assert_eq!(y, array![[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]].into_dyn());
        let mut net = Net::new(&[1, 2]);
        let target = net.ints(&[4, 1, 1, 1]);
        net.op("Expand", &["x", &target], &[]);
        assert!(net.batch_first_error().contains("does not keep the batch as axis 0"), "{}", net.batch_first_error());
    }

    #[test]
    fn casts_to_integers_are_steps_but_for_inputs() {
        let cast = |to: i64, of_input: bool| {
            let mut net = Net::new(&[2]);
            let x = if of_input { "x".to_owned() } else { net.op("Neg", &["x"], &[]) };
            let y = net.op("Cast", &[&x], &[("to", Attr::Int(to))]);
            net.op("Neg", &[&y], &[]);
            net
        };
        assert!(!kinds(&cast(7, true).raw()).contains(&"round"));
        let x = array![[-1.5, 0.0]].into_dyn();
        assert_eq!(cast(7, false).run(&x), array![[-1.0, 0.0]].into_dyn());
        assert!(kinds(&cast(7, false).raw()).contains(&"round"));
        assert_eq!(cast(9, false).run(&x), array![[-1.0, 0.0]].into_dyn());
    }

    /// Keras' embeddings of ids that are floating-point numbers.
    #[test]
    fn ids_that_are_cast_are_looked_up() {
        let mut net = Net::new(&[2]);
        let ids = net.op("Cast", &["x"], &[("to", Attr::Int(6))]);
        let table = net.weight(&[3, 2]);
        net.op("Gather", &[&table, &ids], &[]);
        assert!(kinds(&net.raw()).contains(&"embedding"), "{:?}", kinds(&net.raw()));
    }

    #[test]
    fn training_is_refused() {
        let mut net = Net::new(&[2]);
        let yes = net.ints(&[1]);
        net.op("Dropout", &["x", "", &yes], &[]);
        assert!(net.error().contains("training mode"), "{}", net.error());
    }
}
