//! Parts of activations: split, slice, and gather with constant indices.

use lrp_core::Scalar;
use lrp_core::operator::Kind;
use lrp_core::ops::{Reshape, Select, shared};

use super::{Context, Translated, Value};
use crate::consteval::{axis, index, sliced, split_lengths};
use crate::error::{Problem, Shape};
use crate::graph::Origin;
use crate::tensor::volume;

/// Every output that is used becomes a slice: `NAME`, `NAME.1`, `NAME.2`, ….
pub(super) fn split<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let axis = cx.sample_axis(cx.node.int("axis").unwrap_or(0), x)?;
    let given = cx.list(1, "split")?;
    let parts = cx.node.output.len();
    if cx.node.int("num_outputs").is_some_and(|n| usize::try_from(n) != Ok(parts)) {
        return Err(Problem::invalid(format!("its num_outputs are not the {parts} outputs that it has")));
    }
    let lengths = split_lengths(input.get(axis - 1).copied().unwrap_or(0), given.as_deref(), parts)?;
    let mut start = 0;
    let mut values = Vec::with_capacity(parts);
    for (i, length) in lengths.into_iter().enumerate() {
        values.push(if cx.used.get(i) == Some(&true) {
            let mut part = input.clone();
            if let Some(slot) = part.get_mut(axis - 1) {
                *slot = length;
            }
            cx.tables.charge_axes(part)?;
            let op = shared(Select::slice(axis, start, 1, length, &input)?);
            let name = if i == 0 { cx.name.clone() } else { cx.names.unique(&format!("{}.{i}", cx.name)) };
            Value::Data(cx.add(name, op, Origin::Other, &[x]))
        } else {
            Value::Unknown
        });
        start += length;
    }
    let further = values.split_off(values.len().min(1));
    cx.further = further;
    values.pop().ok_or_else(|| Problem::invalid("it has no outputs"))
}

/// Starts and ends are attributes up to operator set 9 and inputs later.
pub(super) fn slice<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    // What is picked is never longer than the axis.
    cx.tables.charge_axes(input.iter().copied())?;
    let mut indices: Vec<Vec<usize>> = input.iter().map(|&d| (0..d).collect()).collect();
    let mut detail = Vec::new();
    for (axis, picked) in sliced(&cx.full_shape(x), |index, name| cx.list(index, name))? {
        let axis = cx.behind_batch(axis);
        let Some(slot) = axis.checked_sub(1) else {
            if picked.iter().copied().eq(0..cx.batch) {
                continue;
            }
            return Err(Problem::invalid(format!(
                "it slices the batch axis of {}; samples must stay independent of each other",
                Shape(&input)
            )));
        };
        detail.push(described(axis, &picked));
        if let Some(list) = indices.get_mut(slot) {
            *list = picked;
        }
    }
    pick(cx, Kind::Slice, detail.join("; "), &indices, x)
}

/// With a single index the axis is dropped; with indices of several axes it becomes as many.
pub(super) fn gather<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    if let Some((x, length)) = cx.row()? {
        return from_row(cx, x, length);
    }
    if let (Some(Some(Value::Constant(table))), Some(Some(Value::Data(ids)))) = (cx.inputs.first(), cx.inputs.get(1)) {
        let (table, ids) = (table.clone(), *ids);
        return super::embedding::rows_of(cx, &table, ids);
    }
    if let (Some(Some(Value::Data(x))), Some(Some(Value::Data(positions)))) = (cx.inputs.first(), cx.inputs.get(1)) {
        return super::pick::along_computed(cx, *x, *positions);
    }
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let axis = cx.sample_axis(cx.node.int("axis").unwrap_or(0), x)?;
    let constant = cx.constant(1)?;
    let wanted = constant.ints().map_err(|e| Problem::invalid(format!("its input number 2 {e}")))?;
    let shape = constant.shape().to_vec();
    let length = input.get(axis - 1).copied().unwrap_or(0);
    let picked: Vec<usize> = wanted.into_iter().map(|i| index(i, length)).collect::<Result<_, _>>()?;
    cx.tables.charge_axes(input.iter().copied().chain([picked.len()]))?;
    let mut indices: Vec<Vec<usize>> = input.iter().map(|&d| (0..d).collect()).collect();
    let detail = described(axis, &picked);
    if let Some(list) = indices.get_mut(axis - 1) {
        *list = picked;
    }
    let gathered = pick(cx, Kind::Gather, detail, &indices, x)?;
    let Value::Data(id) = gathered else { return Ok(gathered) };
    if shape.len() == 1 {
        return Ok(gathered);
    }
    if axis <= cx.batch_axis && !cx.is_whole() {
        cx.batch_axis = cx.batch_axis + shape.len() - 1;
    }
    let mut output = input;
    output.splice(axis - 1..axis, shape);
    Ok(Value::Data(cx.push_extra("reshape", Reshape::new(&cx.shape(id), &output)?, &[id])))
}

/// A view of the whole batch that is copied by indices, as dynamo writes `as_strided`: the table has a line for each sample,
/// and every line must take the same elements, of its own sample. Then it is a selection within samples, and a reshape.
///
/// The table is that of the batch that the file fixes, or that the importer binds a symbolic one to, as all shapes are.
fn from_row<T: Scalar>(cx: &mut Context<'_, T>, x: usize, length: usize) -> Translated {
    let size = length / cx.batch.max(1);
    axis(cx.node.int("axis").unwrap_or(0), 1)?;
    let constant = cx.constant(1)?;
    let wanted = constant.ints().map_err(|e| Problem::invalid(format!("its input number 2 {e}")))?;
    let mixes = || {
        Problem::invalid(format!(
            "a Reshape before it puts the whole batch of {} (with N = {}) on a single axis, and its indices of shape {:?} do \
             not take the same from every sample; samples must stay independent of each other",
            Shape(&cx.shape(x)),
            cx.batch,
            constant.shape()
        ))
    };
    let sample = match constant.shape().split_first() {
        Some((&batch, sample)) if batch == cx.batch => sample.to_vec(),
        _ => return Err(mixes()),
    };
    let mut lines = wanted.chunks(volume(&sample).filter(|&n| n > 0).ok_or_else(mixes)?).enumerate();
    let first = lines.next().map(|(_, line)| line).unwrap_or_default();
    let first: Vec<usize> = first.iter().map(|&i| index(i, length)).collect::<Result<_, _>>()?;
    if first.iter().any(|&i| i >= size) {
        return Err(mixes());
    }
    for (n, line) in lines {
        for (&i, &own) in line.iter().zip(&first) {
            if index(i, length)? != n * size + own {
                return Err(mixes());
            }
        }
    }
    if first.iter().copied().eq(0..size) {
        return cx.push(Reshape::new(&cx.shape(x), &sample)?, &[x]);
    }
    cx.tables.charge(&[first.len()])?;
    let flat = cx.push_extra("flatten", Reshape::new(&cx.shape(x), &[size])?, &[x]);
    let picked = Select::new(Kind::Gather, described(1, &first), &[first], &[size])?;
    let picked = cx.push_extra("pick", picked, &[flat]);
    cx.push(Reshape::new(&cx.shape(picked), &sample)?, &[picked])
}

/// The first elements of an axis in reverse order, as many in each sequence.
pub(super) fn reverse_sequence<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let axis = cx.sample_axis(cx.node.int("time_axis").unwrap_or(0), x)?;
    let lengths = cx.constant(1)?.ints().map_err(|e| Problem::invalid(format!("its input number 2 {e}")))?;
    let total = input.get(axis - 1).copied().unwrap_or(0);
    let Some(first) = lengths.first().copied().filter(|first| lengths.iter().all(|length| length == first)) else {
        return Err(Problem::unsupported("with sequences of different lengths"));
    };
    let Some(length) = usize::try_from(first).ok().filter(|length| *length <= total) else {
        return Err(Problem::invalid(format!("it reverses {first} elements of an axis of length {total}")));
    };
    cx.tables.charge_axes(input.iter().copied())?;
    let mut indices: Vec<Vec<usize>> = input.iter().map(|&d| (0..d).collect()).collect();
    if let Some(list) = indices.get_mut(axis - 1) {
        list[..length].reverse();
    }
    pick(cx, Kind::Gather, format!("axis {axis}, reversed"), &indices, x)
}

fn pick<T: Scalar>(
    cx: &mut Context<'_, T>,
    kind: Kind,
    detail: String,
    indices: &[Vec<usize>],
    x: usize,
) -> Translated {
    cx.push(Select::new(kind, detail, indices, &cx.shape(x))?, &[x])
}

/// The selection along an axis, in a few words.
fn described(axis: usize, picked: &[usize]) -> String {
    match picked {
        [one] => format!("axis {axis}, {one}"),
        [first, .., last] if picked.iter().copied().eq(*first..last + 1) => {
            format!("axis {axis}, {first}..{}", last + 1)
        }
        [first, second, .., last] => format!("axis {axis}, {first}, {second} … {last}"),
        [first, last] => format!("axis {axis}, {first}, {last}"),
        [] => format!("axis {axis}, nothing"),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, kinds, varied};
    use ndarray::{Axis, array};

    #[test]
    fn used_parts_of_a_split() {
        for opset in [11, 13, 18] {
            let mut net = Net::new(&[5, 2]).opset(opset);
            let sizes = net.ints(&[1, 2, 2]);
            let attributes = [("axis", Attr::Int(1)), ("split", Attr::Ints(&[1, 2, 2]))];
            if opset < 13 {
                net.op("Split", &["x"], &attributes);
            } else {
                net.op("Split", &["x", &sizes], &attributes[..1]);
            }
            net.graph().node[0].output.extend(["middle".to_owned(), "last".to_owned()]);
            net.op("Sub", &["last", "middle"], &[]);
            let x = varied(&[3, 5, 2]);
            let part = |from: isize, to: isize| x.slice_axis(Axis(1), (from..to).into()).to_owned();
            assert_eq!(net.run(&x), part(3, 5) - part(1, 3));
            let model = net.import().unwrap().model;
            let names: Vec<&str> = model.nodes().map(|(_, n)| n.name.as_str()).collect();
            assert_eq!(names, ["x", "split0.1", "split0.2", "sub1"]);
        }
    }

    #[test]
    fn equal_parts_and_parts_that_do_not_add_up() {
        let split = |outputs: usize, attributes: &[(&str, Attr<'_>)]| {
            let mut net = Net::new(&[5]).opset(18);
            let first = net.op("Split", &["x"], attributes);
            net.graph().node[0].output.extend((1..outputs).map(|i| format!("p{i}")));
            net.op("Relu", &[if outputs > 1 { "p1" } else { &first }], &[]);
            net
        };
        let attributes = [("axis", Attr::Int(1)), ("num_outputs", Attr::Int(2))];
        assert_eq!(
            split(2, &attributes).run(&array![[1.0, 2.0, 3.0, 4.0, 5.0]].into_dyn()),
            array![[4.0, 5.0]].into_dyn()
        );
        assert!(split(3, &attributes).error().contains("num_outputs"));
        assert!(
            split(2, &[("axis", Attr::Int(1)), ("split", Attr::Ints(&[2, 2]))]).error().contains("length 5 into 2")
        );
        assert!(split(2, &[]).batch_first_error().contains("which is the batch"));
    }

    #[test]
    fn slices_of_every_form() {
        let slice = |lists: [&[i64]; 4]| {
            let mut net = Net::new(&[4]);
            let inputs = lists.map(|l| net.ints(l));
            net.op("Slice", &["x", &inputs[0], &inputs[1], &inputs[2], &inputs[3]], &[]);
            net
        };
        let x = array![[0.0, 1.0, 2.0, 3.0]].into_dyn();
        for (lists, expected) in [
            ([&[1][..], &[3], &[1], &[1]], &[1.0, 2.0][..]),
            ([&[-3], &[i64::MAX], &[-1], &[2]], &[1.0, 3.0]),
            ([&[-1], &[i64::MIN], &[1], &[-1]], &[3.0, 2.0, 1.0, 0.0]),
            ([&[0, 2], &[i64::MAX, -1], &[0, 1], &[1, 1]], &[2.0]),
        ] {
            assert_eq!(slice(lists).run(&x).iter().copied().collect::<Vec<_>>(), expected, "{lists:?}");
        }
        assert!(slice([&[0], &[1], &[0], &[1]]).batch_first_error().contains("slices the batch axis"));
        assert!(slice([&[0], &[1], &[1], &[0]]).error().contains("steps of 0"));
        assert!(slice([&[0, 0], &[1, 1], &[1, 1], &[1, 1]]).error().contains("twice"));
        assert!(slice([&[2], &[1], &[1], &[1]]).error().contains("length 0"));
        let mut old = Net::new(&[4]).opset(9);
        let lists = [("starts", Attr::Ints(&[1])), ("ends", Attr::Ints(&[2])), ("axes", Attr::Ints(&[1]))];
        old.op("Slice", &["x"], &lists);
        assert_eq!(old.run(&x), array![[1.0]].into_dyn());
    }

    #[test]
    fn gather_keeps_or_drops_the_axis() {
        let x = varied(&[2, 3, 4]);
        let mut net = Net::new(&[3, 4]);
        let list = net.ints(&[2, -3, 2]);
        net.op("Gather", &["x", &list], &[("axis", Attr::Int(1))]);
        assert_eq!(net.run(&x), x.select(Axis(1), &[2, 0, 2]));
        let mut net = Net::new(&[3, 4]);
        let (list, axis) = (net.ints(&[1]), net.ints(&[0]));
        let scalar = net.op("Squeeze", &[&list, &axis], &[]);
        net.op("Gather", &["x", &scalar], &[("axis", Attr::Int(2))]);
        assert_eq!(kinds(&net.raw()), ["gather", "reshape"]);
        assert_eq!(net.run(&x), x.index_axis(Axis(2), 1));
        let mut net = Net::new(&[3, 4]);
        let list = net.ints(&[3]);
        net.op("Gather", &["x", &list], &[("axis", Attr::Int(1))]);
        assert!(net.error().contains("element 3 of an axis of length 3"), "{}", net.error());
    }

    #[test]
    fn sequences_are_reversed() {
        let x = varied(&[2, 3, 4]);
        let reversed = |lengths: &[i64]| {
            let mut net = Net::new(&[3, 4]);
            let lengths = net.ints(lengths);
            net.op("ReverseSequence", &["x", &lengths], &[("time_axis", Attr::Int(1)), ("batch_axis", Attr::Int(0))]);
            net
        };
        assert_eq!(reversed(&[3]).run(&x), x.select(Axis(1), &[2, 1, 0]));
        assert_eq!(reversed(&[2]).run(&x), x.select(Axis(1), &[1, 0, 2]));
        assert!(reversed(&[4]).error().contains("reverses 4 elements"));
        assert!(reversed(&[3, 2]).error().contains("of different lengths"));
    }

    /// The whole batch on one axis, and elements of it by a table that is computed from the size of the batch:
    /// `size · n + offset` for each sample `n`.
    fn strided(batch: i64, sample: &[i64], size: i64, offsets: &[i64], shape: &[i64]) -> Net {
        let mut net = Net::with_batch(batch, sample);
        let (open, axis, one) = (net.ints(&[-1]), net.ints(&[0]), net.ints(&[1]));
        let row = net.op("Reshape", &["x", &open], &[]);
        let [zero, one] = [&axis, &one].map(|list| net.op("Squeeze", &[list, &axis], &[]));
        let all = net.op("Shape", &["x"], &[]);
        let n = net.op("Gather", &[&all, &zero], &[]);
        let n = net.op("Range", &[&zero, &n, &one], &[]);
        let (size, offsets) = (net.ints(&[size]), net.ints(offsets));
        let starts = net.op("Mul", &[&n, &size], &[]);
        let behind = net.ints(&[1]);
        let starts = net.op("Unsqueeze", &[&starts, &behind], &[]);
        let table = net.op("Add", &[&starts, &offsets], &[]);
        let shape = net.ints(shape);
        let table = net.op("Reshape", &[&table, &shape], &[]);
        net.op("Gather", &[&row, &table], &[("axis", Attr::Int(0))]);
        net
    }

    #[test]
    fn indices_into_the_whole_batch() {
        let x = varied(&[5, 2, 3]);
        for batch in [-1, 1, 7] {
            let net = strided(batch, &[2, 3], 6, &[0, 1, 2, 3, 4, 5], &[0, 3, 2]);
            assert_eq!(net.run(&x), x.to_shape(vec![5, 3, 2]).unwrap());
            let import = net.import().unwrap();
            let names: Vec<&str> = import.model.nodes().map(|(_, n)| n.name.as_str()).collect();
            assert_eq!(names.len(), 2, "{names:?}");
            // Strides of its own: the columns, and one of them twice.
            let columns = strided(batch, &[2, 3], 6, &[0, 3, 2, 5, 2, 5], &[0, 3, 2]);
            let expected = x.select(Axis(2), &[0, 2, 2]).permuted_axes(vec![0, 2, 1]);
            assert_eq!(columns.run(&x), expected);
        }
        // The last sample by indices that count from the end.
        let net = strided(1, &[2, 3], 0, &[-1, -2], &[0, 2]);
        assert_eq!(net.run(&x), x.to_shape(vec![5, 6]).unwrap().select(Axis(1), &[5, 4]));
    }

    #[test]
    fn indices_that_mix_samples_are_refused() {
        let reason = "do not take the same from every sample";
        for (size, offsets, shape) in [
            (5, &[0, 1, 2, 3, 4, 5][..], &[0, -1][..]),
            (7, &[0], &[0, 1]),
            (0, &[0, 1], &[0, -1]),
            (6, &[0, 6], &[0, -1]),
            (6, &[-1, 0], &[0, -1]),
            (6, &[0, 1], &[-1]),
            (6, &[0, 1], &[1, -1]),
            (6, &[0, 1, 2, 3, 4, 5], &[6, -1]),
        ] {
            let text = strided(-1, &[2, 3], size, offsets, shape).batch_first_error();
            assert!(text.contains(reason), "{size} {offsets:?} {shape:?}: {text}");
        }
        // Lines of samples in another order.
        let mut net = Net::with_batch(2, &[2]);
        let (open, table) = (net.ints(&[-1]), net.ints(&[2, 3, 0, 1]));
        let lines = net.ints(&[2, 2]);
        let row = net.op("Reshape", &["x", &open], &[]);
        let table = net.op("Reshape", &[&table, &lines], &[]);
        net.op("Gather", &[&row, &table], &[]);
        assert!(net.batch_first_error().contains(reason), "{}", net.batch_first_error());
    }

    #[test]
    fn constants_are_split_too() {
        let mut net = Net::new(&[2]);
        let both = net.ints(&[0, 2]);
        let first = net.op("Split", &[&both], &[("axis", Attr::Int(0))]);
        net.graph().node[0].output.push("second".into());
        let target = net.op("Concat", &[&first, "second"], &[("axis", Attr::Int(0))]);
        net.op("Reshape", &["x", &target], &[]);
        assert_eq!(net.run(&varied(&[3, 2])).shape(), [3, 2]);
    }
}
