//! Reductions along axes, and running sums.

use std::cell::Cell;

use ndarray::{ArrayD, Axis};

use super::{Evaluation, axis, overflow};
use crate::error::Problem;
use crate::tensor::Array;

impl Evaluation<'_> {
    /// The axes that are reduced: all without a list.
    fn axes(&self, rank: usize) -> Result<Vec<usize>, Problem> {
        let axes = match self.list(1, "axes")? {
            Some(axes) if !axes.is_empty() || self.node.int("noop_with_empty_axes").unwrap_or(0) != 0 => {
                axes.into_iter().map(|a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?
            }
            None if self.node.int("noop_with_empty_axes").unwrap_or(0) != 0 => Vec::new(),
            _ => (0..rank).collect(),
        };
        Ok(axes)
    }

    pub(super) fn reduce(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?;
        let mut axes = self.axes(x.shape().len())?;
        axes.sort_unstable();
        axes.dedup();
        let shape = x.shape().to_vec();
        let count = axes.iter().filter_map(|&a| shape.get(a)).product::<usize>() as f64;
        let keep = self.node.int("keepdims").unwrap_or(1) != 0;
        let result = match (self.node.op_type.as_str(), x) {
            ("ReduceMax", Array::Int(a)) => Array::Int(folded(a, &axes, i64::MIN, i64::max)),
            ("ReduceMin", Array::Int(a)) => Array::Int(folded(a, &axes, i64::MAX, i64::min)),
            ("ReduceSum", Array::Int(a)) => Array::Int(whole(a, &axes, 0, i64::checked_add)?),
            ("ReduceProd", Array::Int(a)) => Array::Int(whole(a, &axes, 1, i64::checked_mul)?),
            ("ReduceL1", Array::Int(a)) => Array::Int(whole(a.mapv(i64::saturating_abs), &axes, 0, i64::checked_add)?),
            (op_type, x) => {
                let a = x.into_floats();
                let sum = |a: ArrayD<f64>| folded(a, &axes, 0.0, |a, b| a + b);
                Array::Float(match op_type {
                    "ReduceMax" => folded(a, &axes, f64::NEG_INFINITY, f64::max),
                    "ReduceMin" => folded(a, &axes, f64::INFINITY, f64::min),
                    "ReduceProd" => folded(a, &axes, 1.0, |a, b| a * b),
                    "ReduceSum" => sum(a),
                    "ReduceMean" => sum(a) / count,
                    "ReduceL1" => sum(a.mapv(f64::abs)),
                    "ReduceSumSquare" => sum(a.mapv(|v| v * v)),
                    "ReduceL2" => sum(a.mapv(|v| v * v)).mapv(f64::sqrt),
                    "ReduceLogSum" => sum(a).mapv(f64::ln),
                    "ReduceLogSumExp" => {
                        // Without overflow.
                        let largest = a.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                        let largest = if largest.is_finite() { largest } else { 0.0 };
                        sum(a.mapv(|v| (v - largest).exp())).mapv(|v| v.ln() + largest)
                    }
                    _ => return Err(Problem::unsupported("on constants it is not computed")),
                })
            }
        };
        Ok(super::each!(result, a => if keep { a } else { dropped(a, &axes) }))
    }

    /// The position of the largest or the smallest element along an axis.
    pub(super) fn extreme_index(&mut self, largest: bool) -> Result<Array, Problem> {
        let x = self.array(0)?.into_floats();
        let axis = self.axis(0, x.ndim())?;
        if x.len_of(Axis(axis)) == 0 {
            return Err(Problem::invalid("it looks for an element of an empty axis"));
        }
        let last = self.node.int("select_last_index").unwrap_or(0) != 0;
        let better = |new: f64, old: f64| match (largest, last) {
            (true, false) => new > old,
            (true, true) => new >= old,
            (false, false) => new < old,
            (false, true) => new <= old,
        };
        let places = x.map_axis(Axis(axis), |lane| {
            let mut best = (0, f64::NAN);
            for (i, &v) in lane.iter().enumerate() {
                if i == 0 || better(v, best.1) {
                    best = (i, v);
                }
            }
            i64::try_from(best.0).unwrap_or(i64::MAX)
        });
        let keep = self.node.int("keepdims").unwrap_or(1) != 0;
        Ok(Array::Int(if keep { places.insert_axis(Axis(axis)) } else { places }))
    }

    /// The sum of all elements up to each one along an axis.
    pub(super) fn running_sum(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?;
        let at = self.ints(1)?.first().copied().ok_or_else(|| Problem::invalid("it has no axis"))?;
        let at = axis(at, x.shape().len())?;
        let flag = |name: &str| self.node.int(name).unwrap_or(0) != 0;
        let (exclusive, reverse) = (flag("exclusive"), flag("reverse"));
        Ok(match x {
            Array::Float(a) => Array::Float(running(a, at, exclusive, reverse, |a, b| a + b)),
            Array::Int(a) => Array::Int(running(a, at, exclusive, reverse, i64::wrapping_add)),
        })
    }
}

/// Along axes, which keep length one.
fn folded<A: Copy>(mut a: ArrayD<A>, axes: &[usize], start: A, function: impl Fn(A, A) -> A) -> ArrayD<A> {
    for &axis in axes {
        a = a.fold_axis(Axis(axis), start, |&sum, &v| function(sum, v)).insert_axis(Axis(axis));
    }
    a
}

/// Of integers, which may overflow.
fn whole(
    a: ArrayD<i64>,
    axes: &[usize],
    start: i64,
    function: impl Fn(i64, i64) -> Option<i64>,
) -> Result<ArrayD<i64>, Problem> {
    let fits = Cell::new(true);
    let result = folded(a, axes, start, |a, b| {
        function(a, b).unwrap_or_else(|| {
            fits.set(false);
            0
        })
    });
    if fits.get() { Ok(result) } else { Err(overflow()) }
}

/// Without these axes, which have length one.
fn dropped<A>(mut a: ArrayD<A>, axes: &[usize]) -> ArrayD<A> {
    for &axis in axes.iter().rev() {
        a = a.index_axis_move(Axis(axis), 0);
    }
    a
}

fn running<A: Copy + Default>(
    mut a: ArrayD<A>,
    axis: usize,
    exclusive: bool,
    reverse: bool,
    add: impl Fn(A, A) -> A,
) -> ArrayD<A> {
    for mut lane in a.lanes_mut(Axis(axis)) {
        if reverse {
            lane.invert_axis(Axis(0));
        }
        let mut sum = A::default();
        for slot in &mut lane {
            let before = sum;
            sum = add(sum, *slot);
            *slot = if exclusive { before } else { sum };
        }
    }
    a
}
