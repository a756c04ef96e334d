//! Elements that are picked from, or written to, places that a constant table names; and repetition along axes.

use lrp_core::Scalar;
use lrp_core::Tensor;
use lrp_core::operator::Kind;
use lrp_core::ops::{Add, Concat, Pick, Reshape, Select, Transpose, shared};
use ndarray::{ArrayD, Axis, IxDyn};

use super::{Context, Translated, Value};
use crate::consteval::index;
use crate::error::{Problem, Shape};
use crate::graph::Origin;
use crate::tensor::volume;

/// Repeats the whole tensor along axes.
pub(super) fn tile<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let repeats = cx.constant(1)?.ints().map_err(|e| Problem::invalid(format!("its repeats {e}")))?;
    let full = cx.full_shape(x);
    if repeats.len() != full.len() {
        return Err(Problem::invalid(format!("it has {} repeats for {} axes", repeats.len(), full.len())));
    }
    let mut times = vec![1; input.len()];
    for (axis, &n) in repeats.iter().enumerate() {
        if n == 1 {
            continue;
        }
        let sample = i64::try_from(axis).map_err(|_| Problem::invalid("it has absurdly many axes"))?;
        let axis = cx.sample_axis(sample, x)?;
        if let Some(slot) = times.get_mut(axis - 1) {
            *slot = usize::try_from(n).map_err(|_| Problem::invalid(format!("it repeats an axis {n} times")))?;
        }
    }
    let output: Option<Vec<usize>> = input.iter().zip(&times).map(|(&d, &n)| d.checked_mul(n)).collect();
    let output = output.ok_or_else(|| Problem::invalid("its output is absurdly large"))?;
    cx.tables.charge_axes(output.iter().copied())?;
    let copies = |(&d, &n): (&usize, &usize)| (0..n).flat_map(|_| 0..d).collect();
    let indices: Vec<Vec<usize>> = input.iter().zip(&times).map(copies).collect();
    let detail = times.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
    cx.push(Select::new(Kind::Broadcast, format!("{detail} times"), &indices, &input)?, &[x])
}

/// For every place of a table the element that stands there along one axis, and elsewhere where the place is.
pub(super) fn gather_elements<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let axis = cx.sample_axis(cx.node.int("axis").unwrap_or(0), x)?;
    let table = table(cx, 1, x)?;
    let picked = places_along(&table, axis, &input)?;
    picked_from(cx, x, picked, &table.shape)
}

/// The slices along one axis at positions that the model computes.
pub(super) fn along_computed<T: Scalar>(cx: &mut Context<'_, T>, x: usize, positions: usize) -> Translated {
    if !cx.is_whole() {
        return Err(Problem::invalid(
            "its positions are computed, for all samples of a batch together; samples must stay independent of each other",
        ));
    }
    let axis = cx.sample_axis(cx.node.int("axis").unwrap_or(0), x)?;
    let (input, places) = (cx.shape(x), cx.shape(positions));
    let moved = |cx: &mut Context<'_, T>, suffix: &str, order: Vec<usize>, id: usize| {
        let turned = shared(Transpose::new(&order, &cx.shape(id))?);
        Ok::<_, Problem>(cx.push_extra_made_from(suffix, turned, Origin::Transpose(order), &[id]))
    };
    let first = |axis: usize| std::iter::once(0).chain([axis]).chain((1..=input.len()).filter(move |&a| a != axis));
    let data = if axis == 1 { x } else { moved(cx, "first", first(axis).collect(), x)? };
    let single = Reshape::new(&places, &[places.as_slice(), &[1]].concat())?;
    let positions = cx.push_extra("positions", single, &[positions]);
    let pick = Pick::new(&cx.shape(positions), &cx.shape(data))?;
    if axis == 1 {
        return cx.push(pick, &[positions, data]);
    }
    let picked = cx.push_extra("picked", pick, &[positions, data]);
    // The axes of the positions go where the axis was.
    let (taken, before, rank) = (places.len(), axis - 1, cx.shape(picked).len());
    let order: Vec<usize> = std::iter::once(0)
        .chain(taken + 1..=taken + before)
        .chain(1..=taken)
        .chain(taken + before + 1..=rank)
        .collect();
    let turned = shared(Transpose::new(&order, &cx.shape(picked))?);
    cx.push_made_from(turned, Origin::Transpose(order), &[picked])
}

/// Slices at the positions that the last axis of a table names.
pub(super) fn gather_nd<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let given = cx.node.int("batch_dims").unwrap_or(0);
    let shared_axes = usize::try_from(given).map_err(|_| Problem::invalid(format!("it has batch_dims = {given}")))?;
    let shared_axes = match (cx.has_batch(x), shared_axes.checked_sub(1)) {
        (false, _) => shared_axes,
        (true, Some(others)) => others,
        (true, None) => {
            return Err(Problem::invalid(
                "its indices name samples of the batch (batch_dims = 0); samples must stay independent of each other",
            ));
        }
    };
    if let Some(Some(Value::Data(positions))) = cx.inputs.get(1) {
        if shared_axes > 0 || (cx.has_batch(x) && !cx.has_batch(*positions)) {
            return Err(Problem::unsupported(format!("with computed positions and batch_dims = {given}")));
        }
        let (positions, pick) = (*positions, Pick::new(&cx.shape(*positions), &input)?);
        return cx.push(pick, &[positions, x]);
    }
    let table = table(cx, 1, x)?;
    let (picked, output) = slices_at(&table, shared_axes, &input)?;
    picked_from(cx, x, picked, &output)
}

/// Writes updates along one axis, to the places that a table names.
pub(super) fn scatter_elements<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let reduction = Combine::of(cx)?;
    let (data, x, updates) = written(cx)?;
    let shape = cx.shape(data);
    let axis = cx.sample_axis(cx.node.int("axis").unwrap_or(0), x)?;
    let table = table(cx, 1, x)?;
    let places = places_along(&table, axis, &shape)?;
    scattered(cx, data, updates, &places, reduction)
}

/// Writes slices to the positions that the last axis of a table names.
pub(super) fn scatter_nd<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let reduction = Combine::of(cx)?;
    let (data, x, updates) = written(cx)?;
    let shape = cx.shape(data);
    let table = if cx.has_batch(x) { table_of_samples(cx)? } else { table(cx, 1, x)? };
    let (places, _) = slices_at(&table, 0, &shape)?;
    scattered(cx, data, updates, &places, reduction)
}

/// A constant table of positions, as every sample sees it.
struct Table {
    values: Vec<i64>,
    shape: Vec<usize>,
}

fn read<T: Scalar>(cx: &Context<'_, T>, at: usize) -> Result<(Vec<i64>, Vec<usize>), Problem> {
    let constant = cx.constant(at)?;
    let values = constant.ints().map_err(|e| Problem::invalid(format!("its input number {} {e}", at + 1)))?;
    Ok((values, constant.shape().to_vec()))
}

/// The table at an input, where the batch stands at the same axis as in the activation `x`; it has to be the same for all samples.
fn table<T: Scalar>(cx: &Context<'_, T>, at: usize, x: usize) -> Result<Table, Problem> {
    let (values, shape) = read(cx, at)?;
    if !cx.has_batch(x) {
        return Ok(Table { values, shape });
    }
    let batch_axis = cx.batch_axis;
    let differs = || {
        Problem::invalid(format!(
            "its table of positions of shape {shape:?} differs between the samples of a batch, or is not for {} of them; samples must \
             stay independent of each other",
            cx.batch
        ))
    };
    if shape.get(batch_axis) != Some(&cx.batch) {
        return Err(differs());
    }
    let all = ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|_| differs())?;
    let mut samples = all.axis_iter(Axis(batch_axis));
    let first = samples.next().ok_or_else(differs)?;
    if samples.any(|sample| sample != first) {
        return Err(differs());
    }
    Ok(Table { values: first.iter().copied().collect(), shape: first.shape().to_vec() })
}

/// A table whose positions begin with the sample's own number, as `x[:, …] = y` is written.
fn table_of_samples<T: Scalar>(cx: &Context<'_, T>) -> Result<Table, Problem> {
    let (values, shape) = read(cx, 1)?;
    let mixes = || {
        Problem::invalid(format!(
            "its table of positions of shape {shape:?} does not write the same places of every sample (with N = {}); samples must stay \
             independent of each other",
            cx.batch
        ))
    };
    let [batch, between @ .., coordinates] = shape.as_slice() else { return Err(mixes()) };
    if *batch != cx.batch || *coordinates == 0 || values.is_empty() {
        return Err(mixes());
    }
    let per_sample = values.len() / cx.batch.max(1);
    let own = |sample: &[i64]| -> Vec<i64> {
        sample.chunks(*coordinates).flat_map(|place| place.iter().skip(1).copied()).collect()
    };
    let mut first: Option<Vec<i64>> = None;
    for (n, sample) in values.chunks(per_sample.max(1)).enumerate() {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        let its_own = sample.chunks(*coordinates).all(|place| place.first() == Some(&n));
        if !its_own || first.as_ref().is_some_and(|first| *first != own(sample)) {
            return Err(mixes());
        }
        first.get_or_insert_with(|| own(sample));
    }
    let shape = between.iter().copied().chain([coordinates - 1]).collect();
    Ok(Table { values: first.unwrap_or_default(), shape })
}

/// The distance between neighbours along each axis.
fn strides(shape: &[usize]) -> Result<Vec<usize>, Problem> {
    let absurd = || Problem::invalid("its input is absurdly large");
    (0..shape.len()).map(|axis| shape.get(axis + 1..).and_then(volume).ok_or_else(absurd)).collect()
}

/// For each entry of a table the place in a tensor of `shape`: that of the entry, but along `axis` (counted from the batch) the one that it names.
fn places_along(table: &Table, axis: usize, shape: &[usize]) -> Result<Vec<usize>, Problem> {
    let fits = table.shape.len() == shape.len()
        && table.shape.iter().zip(shape).enumerate().all(|(i, (t, d))| i + 1 == axis || t <= d);
    if !fits {
        return Err(Problem::invalid(format!(
            "its table of positions of shape {} does not fit {}",
            Shape(&table.shape),
            Shape(shape)
        )));
    }
    let (own, target) = (strides(&table.shape)?, strides(shape)?);
    let length = shape.get(axis - 1).copied().unwrap_or(0);
    let place = |(i, &value): (usize, &i64)| {
        let value = index(value, length)?;
        let mut rest = i;
        let mut place = 0;
        for (at, (own, target)) in own.iter().zip(&target).enumerate() {
            let along = rest / own.max(&1);
            rest %= own.max(&1);
            place += target * if at + 1 == axis { value } else { along };
        }
        Ok(place)
    };
    table.values.iter().enumerate().map(place).collect()
}

/// For each element of the slices that a table names its place in a tensor of `shape`, and the shape of all slices. The first axes, as many as
/// `shared_axes`, are the table's, too.
fn slices_at(table: &Table, shared_axes: usize, shape: &[usize]) -> Result<(Vec<usize>, Vec<usize>), Problem> {
    let misfit = || {
        Problem::invalid(format!(
            "its table of positions of shape {} does not fit {}",
            Shape(&table.shape),
            Shape(shape)
        ))
    };
    let (&coordinates, outer) = table.shape.split_last().ok_or_else(misfit)?;
    let (before, inside) = shape.split_at_checked(shared_axes).ok_or_else(misfit)?;
    if outer.get(..shared_axes) != Some(before) {
        return Err(misfit());
    }
    let (named, slice) = inside.split_at_checked(coordinates).ok_or_else(misfit)?;
    let size = volume(slice).ok_or_else(misfit)?;
    let named_strides = strides(named)?;
    let per_group = volume(named).ok_or_else(misfit)?;
    let groups = volume(before).ok_or_else(misfit)?.max(1);
    let entries = volume(outer).ok_or_else(misfit)?;
    let output: Vec<usize> = outer.iter().chain(slice).copied().collect();
    let total = volume(&output).filter(|&n| n <= super::Tables::MAX.0).ok_or_else(misfit)?;
    let mut places = Vec::with_capacity(total);
    for entry in 0..entries {
        let group = entry / (entries / groups).max(1);
        let coordinates = table.values.get(entry * coordinates..(entry + 1) * coordinates).ok_or_else(misfit)?;
        let mut place = group * per_group;
        for ((&at, &length), stride) in coordinates.iter().zip(named).zip(&named_strides) {
            place += index(at, length)? * stride;
        }
        places.extend(place * size..(place + 1) * size);
    }
    Ok((places, output))
}

/// The elements at these places of the flat sample, in a shape.
fn picked_from<T: Scalar>(cx: &mut Context<'_, T>, x: usize, places: Vec<usize>, output: &[usize]) -> Translated {
    cx.tables.charge(&[places.len()])?;
    let flat = flattened(cx, x, "flatten")?;
    let size = cx.shape(flat);
    let detail = format!("{} elements of {}", places.len(), size.first().copied().unwrap_or(0));
    let picked = cx.push_extra("pick", Select::new(Kind::Gather, detail, &[places], &size)?, &[flat]);
    cx.push(Reshape::new(&cx.shape(picked), output)?, &[picked])
}

fn flattened<T: Scalar>(cx: &mut Context<'_, T>, x: usize, suffix: &str) -> Result<usize, Problem> {
    let shape = cx.shape(x);
    let size = volume(&shape).ok_or_else(|| Problem::invalid("its input is absurdly large"))?;
    Ok(if shape.len() == 1 { x } else { cx.push_extra(suffix, Reshape::new(&shape, &[size])?, &[x]) })
}

/// What is done where something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Combine {
    Replace,
    Add,
}

impl Combine {
    fn of<T: Scalar>(cx: &Context<'_, T>) -> Result<Self, Problem> {
        match cx.node.text("reduction").as_deref() {
            None | Some("none") => Ok(Combine::Replace),
            Some("add") => Ok(Combine::Add),
            Some(other) => Err(Problem::unsupported(format!("with the reduction '{other}'"))),
        }
    }
}

/// The data that is written to, an activation among the inputs, and the updates; constants become nodes.
fn written<T: Scalar>(cx: &mut Context<'_, T>) -> Result<(usize, usize, usize), Problem> {
    let input = |at: usize| cx.inputs.get(at).cloned().flatten();
    let (Some(data), Some(updates)) = (input(0), input(2)) else {
        return Err(Problem::invalid("it has no data or no updates"));
    };
    let x = [&data, &updates].into_iter().find_map(|v| if let Value::Data(id) = v { Some(*id) } else { None });
    let x = x.ok_or_else(|| Problem::invalid("it has no activation as input"))?;
    let mut node = |value: Value, what: &str| match value {
        Value::Data(id) => Ok(id),
        Value::Constant(constant) => {
            let rank = constant.shape().len();
            if cx.has_batch(x) && constant.shape().first() != Some(&cx.batch) {
                return Err(Problem::invalid(format!(
                    "its {what} of shape {:?} are not for a batch",
                    constant.shape()
                )));
            }
            let value = cx.per_sample(&constant, rank)?;
            let name = format!("{}/{what}", cx.name);
            Ok(cx.push_constant(&name, value))
        }
        _ => Err(Problem::invalid("one of its inputs is neither an activation nor a constant")),
    };
    Ok((node(data, "data")?, x, node(updates, "updates")?))
}

/// The data with the updates at these places, one for each element of the updates.
fn scattered<T: Scalar>(
    cx: &mut Context<'_, T>,
    data: usize,
    updates: usize,
    places: &[usize],
    combine: Combine,
) -> Translated {
    let shape = cx.shape(data);
    let count = volume(&cx.shape(updates)).unwrap_or(0);
    if count != places.len() {
        return Err(Problem::invalid(format!("it writes {count} elements to {} places", places.len())));
    }
    let flat = flattened(cx, data, "flatten")?;
    let new = flattened(cx, updates, "updates-flatten")?;
    let size = cx.shape(flat).first().copied().unwrap_or(0);
    if combine == Combine::Replace {
        cx.tables.charge(&[size])?;
        // From the data, and behind them the updates. Of several for one place the last one counts.
        let mut sources: Vec<usize> = (0..size).collect();
        for (update, &place) in places.iter().enumerate() {
            if let Some(source) = sources.get_mut(place) {
                *source = size + update;
            }
        }
        let both = cx.push_extra("joined", Concat::new(1, &[&[size], &[count]])?, &[flat, new]);
        let picked = picked_at(cx, both, sources)?;
        return cx.push(Reshape::new(&[size], &shape)?, &[picked]);
    }
    let mut summands = vec![flat];
    let zero = cx.push_constant(&format!("{}/zero", cx.name), Tensor::zeros(vec![1]));
    let padded = cx.push_extra("padded", Concat::new(1, &[&[count], &[1]])?, &[new, zero]);
    // Each layer has one update at most for a place.
    let mut left: Vec<(usize, usize)> = places.iter().copied().enumerate().collect();
    while !left.is_empty() {
        if summands.len() > MOST_LAYERS {
            return Err(Problem::unsupported(format!("adding more than {MOST_LAYERS} elements at one place")));
        }
        cx.tables.charge(&[size])?;
        let mut sources = vec![count; size];
        left.retain(|&(update, place)| match sources.get_mut(place) {
            Some(source) if *source == count => {
                *source = update;
                false
            }
            _ => true,
        });
        summands.push(picked_at(cx, padded, sources)?);
    }
    let op = shared(Add::new(summands.len(), &[size])?);
    let sum = cx.push_extra_made_from("sum", op, Origin::Sum, &summands);
    cx.push(Reshape::new(&[size], &shape)?, &[sum])
}

/// The largest number of updates that are added at one place.
const MOST_LAYERS: usize = 64;

fn picked_at<T: Scalar>(cx: &mut Context<'_, T>, x: usize, sources: Vec<usize>) -> Result<usize, Problem> {
    let detail = format!("{} elements", sources.len());
    let op = Select::new(Kind::Gather, detail, &[sources], &cx.shape(x))?;
    Ok(cx.push_extra("pick", op, &[x]))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, kinds, varied};
    use ndarray::array;

    fn table(net: &mut Net, shape: &[i64], values: &[i64]) -> String {
        let (values, shape) = (net.ints(values), net.ints(shape));
        net.op("Reshape", &[&values, &shape], &[])
    }

    /// The vector of the token with the largest id, as CLIP takes it, in three ways of writing it.
    #[test]
    fn computed_positions() {
        let vectors = [0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 11.0];
        for way in 0..3 {
            let mut net = Net::new(&[3]);
            net.graph().input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 7;
            let rows = net.floats(&[4, 2], &vectors);
            let vectors = net.op("Gather", &[&rows, "x"], &[]);
            let keep = ("keepdims", Attr::Int(0));
            let largest = net.op("ArgMax", &["x"], &[("axis", Attr::Int(1)), keep]);
            match way {
                0 => {
                    let (first, axes) = (table(&mut net, &[1, 1], &[0]), net.ints(&[1]));
                    let column = net.op("Unsqueeze", &[&largest, &axes], &[]);
                    let place = net.op("Concat", &[&first, &column], &[("axis", Attr::Int(1))]);
                    net.op("GatherND", &[&vectors, &place], &[]);
                }
                1 => {
                    let axes = net.ints(&[1]);
                    let column = net.op("Unsqueeze", &[&largest, &axes], &[]);
                    net.op("GatherND", &[&vectors, &column], &[("batch_dims", Attr::Int(1))]);
                }
                _ => {
                    let axes = net.ints(&[1]);
                    let one = net.op("Gather", &[&vectors, &largest], &[("axis", Attr::Int(1))]);
                    net.op("Squeeze", &[&one, &axes], &[]);
                }
            }
            let (ids, y) = (array![[1.0, 3.0, 2.0]].into_dyn(), array![[7.0, 11.0]].into_dyn());
            assert_eq!(net.run(&ids), y, "{way}");
            let kinds = kinds(&net.raw());
            assert!(kinds.contains(&"pick") && kinds.contains(&"arg-max"), "{kinds:?}");
        }
    }

    #[test]
    fn repetition() {
        let mut net = Net::new(&[2, 1]);
        let repeats = net.ints(&[1, 2, 3]);
        net.op("Tile", &["x", &repeats], &[]);
        let y = net.run(&array![[[1.0], [2.0]]].into_dyn());
        let expected = array![[[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]];
        assert_eq!(y, expected.into_dyn());
        for (repeats, reason) in [
            (&[2, 1, 1][..], "which is the batch"),
            (&[1, 1], "2 repeats for 3"),
            (&[1, -1, 1], "-1 times"),
            (&[1, 1 << 40, 1], "large"),
        ] {
            let mut net = Net::new(&[2, 1]);
            let repeats = net.ints(repeats);
            net.op("Tile", &["x", &repeats], &[]);
            assert!(net.batch_first_error().contains(reason), "{}", net.batch_first_error());
        }
    }

    #[test]
    fn elements_by_a_table() {
        let mut net = Net::with_batch(2, &[2, 3]);
        let table_of_both = table(&mut net, &[2, 2, 2], &[0, -1, 1, 1, 0, -1, 1, 1]);
        net.op("GatherElements", &["x", &table_of_both], &[("axis", Attr::Int(2))]);
        let x = array![[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]].into_dyn();
        assert_eq!(net.run(&x), array![[[1.0, 3.0], [5.0, 5.0]]].into_dyn());
        for (values, axis, reason) in [
            ([0, 1, 0, 0], 1, "differs between the samples"),
            ([0, 0, 0, 0], 0, "which is the batch"),
            ([3, 0, 3, 0], 1, "element 3"),
        ] {
            let mut net = Net::with_batch(2, &[2]);
            let table = table(&mut net, &[2, 2], &values);
            net.op("GatherElements", &["x", &table], &[("axis", Attr::Int(axis))]);
            assert!(net.batch_first_error().contains(reason), "{}", net.batch_first_error());
        }
    }

    #[test]
    fn slices_by_a_table() {
        // Of each of three groups two rows.
        let x = varied(&[1, 3, 4, 2]);
        let mut net = Net::with_batch(1, &[3, 4, 2]);
        let rows = table(&mut net, &[1, 3, 2, 1], &[0, 1, 2, 3, -1, 0]);
        net.op("GatherND", &["x", &rows], &[("batch_dims", Attr::Int(2))]);
        let y = net.run(&x);
        assert_eq!(y.shape(), [1, 3, 2, 2]);
        for (group, rows) in [[0, 1], [2, 3], [3, 0]].iter().enumerate() {
            for (i, &row) in rows.iter().enumerate() {
                assert_eq!([y[[0, group, i, 0]], y[[0, group, i, 1]]], [x[[0, group, row, 0]], x[[0, group, row, 1]]]);
            }
        }
        // Single elements.
        let mut net = Net::with_batch(1, &[3, 4, 2]);
        let places = table(&mut net, &[1, 2, 3], &[2, 3, 1, 0, 0, 0]);
        net.op("GatherND", &["x", &places], &[("batch_dims", Attr::Int(1))]);
        assert_eq!(net.run(&x), array![[x[[0, 2, 3, 1]], x[[0, 0, 0, 0]]]].into_dyn());
        let mut net = Net::new(&[2]);
        let places = table(&mut net, &[1, 2], &[0, 0]);
        net.op("GatherND", &["x", &places], &[]);
        assert!(net.batch_first_error().contains("samples of the batch"), "{}", net.batch_first_error());
    }

    #[test]
    fn elements_that_are_written() {
        let x = array![[1.0, 2.0, 3.0]].into_dyn();
        let scatter = |reduction: &'static str| {
            let mut net = Net::with_batch(1, &[3]);
            let places = table(&mut net, &[1, 3], &[2, 0, 2]);
            let updates = net.floats(&[1, 3], &[10.0, 20.0, 30.0]);
            net.op(
                "ScatterElements",
                &["x", &places, &updates],
                &[("axis", Attr::Int(1)), ("reduction", Attr::Text(reduction))],
            );
            net
        };
        assert_eq!(scatter("none").run(&x), array![[20.0, 2.0, 30.0]].into_dyn());
        assert_eq!(scatter("add").run(&x), array![[21.0, 2.0, 43.0]].into_dyn());
        assert!(scatter("mul").error().contains("reduction 'mul'"));
        // Into a constant: the updates are the activation.
        let mut net = Net::with_batch(1, &[1]);
        let zeros = net.floats(&[1, 3], &[5.0; 3]);
        let places = table(&mut net, &[1, 1], &[1]);
        net.op("ScatterElements", &[&zeros, &places, "x"], &[("axis", Attr::Int(1))]);
        assert_eq!(net.run(&array![[7.0]].into_dyn()), array![[5.0, 7.0, 5.0]].into_dyn());
    }

    #[test]
    fn slices_that_are_written() {
        // x[:, 1] = y, as exporters write it: positions begin with the sample.
        let x = array![[[1.0, 2.0], [3.0, 4.0]]].into_dyn();
        let scatter = |batch: i64, values: &[i64]| {
            let mut net = Net::with_batch(batch, &[2, 2]);
            let places = table(&mut net, &[batch, 1, 2], values);
            let twos = net.floats(&[], &[2.0]);
            let doubled = net.op("Mul", &["x", &twos], &[]);
            let (starts, ends, axes) = (net.ints(&[0]), net.ints(&[1]), net.ints(&[1]));
            let first = net.op("Slice", &[&doubled, &starts, &ends, &axes], &[]);
            net.op("ScatterND", &["x", &places, &first], &[]);
            net
        };
        assert_eq!(scatter(1, &[0, 1]).run(&x), array![[[1.0, 2.0], [2.0, 4.0]]].into_dyn());
        assert_eq!(scatter(2, &[0, 1, 1, 1]).run(&x), array![[[1.0, 2.0], [2.0, 4.0]]].into_dyn());
        assert!(scatter(2, &[0, 1, 0, 1]).batch_first_error().contains("the same places of every sample"));
        assert!(scatter(2, &[0, 1, 1, 0]).batch_first_error().contains("the same places of every sample"));
    }
}
