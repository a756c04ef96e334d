//! Shapes of results, and axes and positions as the format counts them.

use super::overflow;
use crate::error::Problem;
use crate::proto::NodeProto;
use crate::tensor::{Constant, MAX_RANK, volume};

pub(super) fn check_rank(rank: usize) -> Result<(), Problem> {
    if rank > MAX_RANK {
        return Err(Problem::invalid(format!("its result has {rank} axes; at most {MAX_RANK} are supported")));
    }
    Ok(())
}

/// The operators Shape and Size on a tensor of this (full) shape.
pub fn shape_of(node: &NodeProto, shape: &[usize]) -> Result<Constant, Problem> {
    if node.op_type == "Size" {
        let count = volume(shape).ok_or_else(|| Problem::invalid("its input is absurdly large"))?;
        let number = Constant::ints_1d(&[length(count)]).reshaped(Vec::new());
        return number.ok_or_else(|| Problem::invalid("its result cannot be shaped"));
    }
    let rank = length(shape.len());
    let bound = |v: i64| if v < 0 { v.saturating_add(rank) } else { v }.clamp(0, rank);
    let start = bound(node.int("start").unwrap_or(0));
    let end = bound(node.int("end").unwrap_or(rank)).max(start);
    let all: Vec<i64> = shape.iter().map(|&d| length(d)).collect();
    let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
    Ok(Constant::ints_1d(all.get(range).unwrap_or_default()))
}

/// The Reshape operator: 0 copies a length of the input (unless `allow_zero`), −1 takes what is left.
pub fn reshaped(input: &[usize], target: &[i64], allow_zero: bool) -> Result<Vec<usize>, Problem> {
    check_rank(target.len())?;
    let wrong = || Problem::invalid(format!("{input:?} cannot be reshaped to {target:?}"));
    let total = volume(input).ok_or_else(wrong)?;
    let mut shape = Vec::with_capacity(target.len());
    let mut open = None;
    for (i, &d) in target.iter().enumerate() {
        shape.push(match d {
            0 if !allow_zero => input.get(i).copied().ok_or_else(wrong)?,
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            d => usize::try_from(d).map_err(|_| wrong())?,
        });
    }
    let known = volume(&shape).ok_or_else(wrong)?;
    if let Some(slot) = open.and_then(|i| shape.get_mut(i)) {
        *slot = total.checked_div(known).filter(|n| n * known == total).ok_or_else(wrong)?;
    } else if known != total {
        return Err(wrong());
    }
    Ok(shape)
}

/// The Flatten operator: a matrix of the axes before and from `axis`.
pub fn flattened(input: &[usize], axis: i64) -> Result<Vec<usize>, Problem> {
    let rank = length(input.len());
    let at = usize::try_from(if axis < 0 { axis.saturating_add(rank) } else { axis }).unwrap_or(usize::MAX);
    match input.split_at_checked(at) {
        Some((before, after)) => {
            let volume = |part| volume(part).ok_or_else(overflow);
            Ok(vec![volume(before)?, volume(after)?])
        }
        None => Err(Problem::invalid(format!("it flattens from axis {axis} a tensor of rank {rank}"))),
    }
}

/// The Squeeze operator; without axes, every axis of length one goes.
pub fn squeezed(input: &[usize], axes: Option<&[i64]>) -> Result<Vec<usize>, Problem> {
    let gone: Vec<usize> = match axes {
        Some(axes) => axes.iter().map(|&a| axis(a, input.len())).collect::<Result<_, _>>()?,
        None => input.iter().enumerate().filter(|(_, d)| **d == 1).map(|(i, _)| i).collect(),
    };
    if let Some(&bad) = gone.iter().find(|&&i| input.get(i) != Some(&1)) {
        return Err(Problem::invalid(format!("it squeezes axis {bad} of {input:?}, which has not length 1")));
    }
    Ok(input.iter().enumerate().filter(|(i, _)| !gone.contains(i)).map(|(_, &d)| d).collect())
}

/// The Unsqueeze operator: axes of length one at these positions of the result.
pub fn unsqueezed(input: &[usize], axes: &[i64]) -> Result<Vec<usize>, Problem> {
    let rank = input.len().saturating_add(axes.len());
    check_rank(rank)?;
    let mut new: Vec<usize> = axes.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?;
    new.sort_unstable();
    let mut shape = input.to_vec();
    for &at in &new {
        if at > shape.len() {
            return Err(Problem::invalid(format!("it inserts the same axis twice: {axes:?}")));
        }
        shape.insert(at, 1);
    }
    Ok(shape)
}

/// The Slice operator: along which axes it picks what. `list` reads an input that is an attribute in old operator sets.
pub fn sliced(
    shape: &[usize],
    list: impl Fn(usize, &str) -> Result<Option<Vec<i64>>, Problem>,
) -> Result<Vec<(usize, Vec<usize>)>, Problem> {
    let needed = |index: usize, name: &str| {
        list(index, name)?.ok_or_else(|| Problem::invalid(format!("it does not say where its {name} are")))
    };
    let (starts, ends) = (needed(1, "starts")?, needed(2, "ends")?);
    let axes = list(3, "axes")?.unwrap_or_else(|| (0..length(starts.len())).collect());
    let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err(Problem::invalid("its starts, ends, axes and steps are not equally many"));
    }
    let mut slices: Vec<(usize, Vec<usize>)> = Vec::new();
    for (((&start, &end), &along), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let along = axis(along, shape.len())?;
        if slices.iter().any(|(a, _)| *a == along) {
            return Err(Problem::invalid(format!("it slices axis {along} twice")));
        }
        slices.push((along, stepped(start, end, step, shape.get(along).copied().unwrap_or(0))?));
    }
    Ok(slices)
}

/// The positions from `start` to before `end` in steps of `step`, on an axis of this length.
fn stepped(start: i64, end: i64, step: i64, len: usize) -> Result<Vec<usize>, Problem> {
    let from_end = |v: i64| if v < 0 { v.saturating_add(length(len)) } else { v };
    let bound = |v: i64| usize::try_from(v.clamp(0, length(len))).unwrap_or(0);
    let stride = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX).max(1);
    match step {
        0 => Err(Problem::invalid("it slices in steps of 0")),
        1.. => Ok((bound(from_end(start))..bound(from_end(end))).step_by(stride).collect()),
        // From `start` down to above `end`.
        _ => {
            let above = |v: i64| bound(from_end(v).saturating_add(1));
            Ok((above(end)..above(start)).rev().step_by(stride).collect())
        }
    }
}

/// The lengths that the Split operator divides an axis into: as given, or `parts` equal ones, of which the last may be
/// shorter.
pub fn split_lengths(len: usize, given: Option<&[i64]>, parts: usize) -> Result<Vec<usize>, Problem> {
    let lengths: Option<Vec<usize>> = match given {
        Some(given) => given.iter().map(|&n| usize::try_from(n).ok()).collect(),
        None => {
            let each = len.div_ceil(parts.max(1)).max(1);
            Some((0..parts.min(len)).map(|i| len.saturating_sub(i * each).min(each)).collect())
        }
    };
    let total = lengths.as_ref().and_then(|l| l.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)));
    match lengths {
        Some(lengths) if total == Some(len) && lengths.len() == parts => Ok(lengths),
        _ => Err(Problem::invalid(format!(
            "it splits an axis of length {len} into {parts} parts of {}",
            given.map_or_else(|| "equal length".to_owned(), |g| format!("{g:?}"))
        ))),
    }
}

/// The shape that two shapes broadcast to.
pub fn joint_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Problem> {
    let rank = a.len().max(b.len());
    let from = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).and_then(|i| s.get(i).copied()).unwrap_or(1);
    (0..rank)
        .map(|i| match (from(a, i), from(b, i)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(Problem::invalid(format!("{a:?} and {b:?} do not broadcast"))),
        })
        .collect()
}

/// An axis of a tensor of this rank; negative ones count from the end.
pub fn axis(axis: i64, rank: usize) -> Result<usize, Problem> {
    let from_start = if axis < 0 { axis.saturating_add(length(rank)) } else { axis };
    usize::try_from(from_start)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| Problem::invalid(format!("axis {axis} does not exist in a tensor of rank {rank}")))
}

/// A position on an axis; negative ones count from the end.
pub fn index(i: i64, len: usize) -> Result<usize, Problem> {
    let from_start = if i < 0 { i.saturating_add(length(len)) } else { i };
    usize::try_from(from_start)
        .ok()
        .filter(|&i| i < len)
        .ok_or_else(|| Problem::invalid(format!("it takes element {i} of an axis of length {len}")))
}

/// Dimensions as lengths.
pub(super) fn lengths(dims: &[i64]) -> Result<Vec<usize>, Problem> {
    check_rank(dims.len())?;
    dims.iter().map(|&d| usize::try_from(d).map_err(|_| Problem::invalid(format!("{dims:?} is no shape")))).collect()
}

/// A length as the format's integers.
pub(super) fn length(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
