//! Elements that are moved or picked: gather, slice, concat, transpose and the like.

use ndarray::{ArrayD, Axis, Dimension, IxDyn};

use super::shapes::{length, lengths};
use super::{Evaluation, axis, broadcast, each, index, joint_shape, sliced, split_lengths};
use crate::error::Problem;
use crate::tensor::{Array, Constant, volume};

impl Evaluation<'_> {
    pub(super) fn gather(&mut self) -> Result<Array, Problem> {
        let axis = axis(self.node.int("axis").unwrap_or(0), self.input(0)?.shape().len())?;
        let x = self.array(0)?;
        let indices = self.input(1)?.shape().to_vec();
        let shape = x.shape().to_vec();
        let size = shape.get(axis).copied().unwrap_or(0);
        let picked: Vec<usize> = self.ints(1)?.into_iter().map(|i| index(i, size)).collect::<Result<_, _>>()?;
        let mut result = shape;
        result.splice(axis..=axis, indices.iter().copied());
        self.budget.charge(&result)?;
        let misshapen = |_| Problem::invalid("its result cannot be shaped");
        Ok(match x {
            Array::Float(a) => Array::Float(
                ArrayD::from_shape_vec(IxDyn(&result), a.select(Axis(axis), &picked).iter().copied().collect())
                    .map_err(misshapen)?,
            ),
            Array::Int(a) => Array::Int(
                ArrayD::from_shape_vec(IxDyn(&result), a.select(Axis(axis), &picked).iter().copied().collect())
                    .map_err(misshapen)?,
            ),
        })
    }

    pub(super) fn slice(&mut self) -> Result<Array, Problem> {
        let mut x = self.array(0)?;
        let slices = sliced(x.shape(), |index, name| self.list(index, name))?;
        for (axis, picked) in slices {
            x = each!(x, a => a.select(Axis(axis), &picked));
        }
        Ok(x)
    }

    pub(super) fn concat(&mut self) -> Result<Array, Problem> {
        let axis = axis(self.node.int("axis").unwrap_or(0), self.input(0)?.shape().len())?;
        let parts: Vec<Array> = (0..self.inputs.len()).map(|i| self.array(i)).collect::<Result<_, _>>()?;
        let unfit = "it concatenates tensors that do not fit together";
        let mixed = |_| Problem::invalid(unfit);
        // ndarray would panic on tensors that lack the axis.
        if parts.iter().any(|p| p.shape().len() <= axis) {
            return Err(Problem::invalid(unfit));
        }
        if parts.iter().all(|p| matches!(p, Array::Int(_))) {
            let views = parts.iter().filter_map(|p| if let Array::Int(a) = p { Some(a.view()) } else { None });
            let views: Vec<_> = views.collect();
            return ndarray::concatenate(Axis(axis), &views).map(Array::Int).map_err(mixed);
        }
        let parts: Vec<ArrayD<f64>> = parts.into_iter().map(Array::into_floats).collect();
        let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
        ndarray::concatenate(Axis(axis), &views).map(Array::Float).map_err(mixed)
    }

    pub(super) fn transpose(&mut self) -> Result<Array, Problem> {
        let rank = self.input(0)?.shape().len();
        let reversed: Vec<i64> = (0..length(rank)).rev().collect();
        let permutation = self.node.ints("perm").unwrap_or(&reversed).to_vec();
        let axes: Vec<usize> = permutation.iter().map(|&p| axis(p, rank)).collect::<Result<_, _>>()?;
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank) {
            return Err(Problem::invalid(format!("{permutation:?} is no permutation of {rank} axes")));
        }
        Ok(each!(self.array(0)?, a => a.permuted_axes(axes)))
    }

    pub(super) fn expand(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?;
        let shape = joint_shape(x.shape(), &lengths(&self.ints(1)?)?)?;
        self.budget.charge(&shape)?;
        Ok(each!(x, a => broadcast(&a, &shape)?))
    }

    pub(super) fn split(&mut self) -> Result<Vec<Constant>, Problem> {
        let x = self.array(0)?;
        let axis = self.axis(0, x.shape().len())?;
        let len = x.shape().get(axis).copied().unwrap_or(0);
        let lengths = split_lengths(len, self.list(1, "split")?.as_deref(), self.node.output.len())?;
        let mut start = 0;
        let parts = lengths.into_iter().map(|n| {
            let picked: Vec<usize> = (start..start + n).collect();
            start += n;
            each!(&x, a => a.select(Axis(axis), &picked)).into()
        });
        Ok(parts.collect())
    }

    /// Along an axis, the element whose position there is given, for each place.
    pub(super) fn gather_elements(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?;
        let axis = self.axis(0, x.shape().len())?;
        let places = self.positions(1, axis, x.shape())?;
        Ok(each!(x, a => picked(places.shape(), &a, |at, from| {
            let position = places.get(IxDyn(at)).copied();
            from.copy_from_slice(at);
            set(from, axis, position)
        })))
    }

    /// An input that has positions on an axis of a tensor of this shape, with as many axes as it, and within it on the others.
    pub(super) fn positions(&mut self, at: usize, axis: usize, shape: &[usize]) -> Result<ArrayD<usize>, Problem> {
        let list = self.input(at)?.shape().to_vec();
        let fits = list.len() == shape.len()
            && list.iter().zip(shape).enumerate().all(|(i, (own, other))| i == axis || own <= other);
        if !fits {
            return Err(Problem::invalid(format!("its indices of shape {list:?} do not fit {shape:?}")));
        }
        self.budget.charge(&list)?;
        let length = shape.get(axis).copied().unwrap_or(0);
        let values: Vec<usize> = self.ints(at)?.into_iter().map(|i| index(i, length)).collect::<Result<_, _>>()?;
        ArrayD::from_shape_vec(IxDyn(&list), values).map_err(|_| Problem::invalid("its indices have no shape"))
    }

    /// The parts of a tensor that lists of positions on its first axes name.
    pub(super) fn gather_nd(&mut self) -> Result<Array, Problem> {
        let batch = usize::try_from(self.node.int("batch_dims").unwrap_or(0));
        let batch = batch.map_err(|_| Problem::invalid("its batch_dims is negative"))?;
        let x = self.array(0)?;
        let (starts, shape, size) = self.parts(1, x.shape(), batch)?;
        self.budget.charge(&shape)?;
        Ok(each!(x, a => {
            let flat: Vec<_> = a.iter().copied().collect();
            let parts = starts.iter().filter_map(|&start| flat.get(start..start + size));
            shaped(&shape, parts.flatten().copied().collect())?
        }))
    }

    /// For lists of positions in input `at`, on the axes of a tensor of this shape behind `batch` ones: where the parts that they
    /// name start, the shape of all these parts, and the size of each.
    pub(super) fn parts(
        &mut self,
        at: usize,
        shape: &[usize],
        batch: usize,
    ) -> Result<(Vec<usize>, Vec<usize>, usize), Problem> {
        let list = self.input(at)?.shape().to_vec();
        let wrong = || Problem::invalid(format!("its indices of shape {list:?} do not fit {shape:?}"));
        let (&depth, outer) = list.split_last().ok_or_else(wrong)?;
        let named = shape.get(batch..batch.saturating_add(depth)).ok_or_else(wrong)?;
        if depth == 0 || batch > outer.len() || outer.get(..batch) != shape.get(..batch) {
            return Err(wrong());
        }
        let inner = shape.get(batch + depth..).unwrap_or_default();
        let size = volume(inner).ok_or_else(wrong)?;
        let one_batch = volume(named).and_then(|n| n.checked_mul(size)).ok_or_else(wrong)?;
        let lists = volume(outer).ok_or_else(wrong)?;
        let batches = volume(outer.get(..batch).unwrap_or_default()).ok_or_else(wrong)?.max(1);
        self.budget.charge(&list)?;
        let mut starts = Vec::with_capacity(lists);
        for (i, position) in self.ints(at)?.chunks(depth).enumerate() {
            let mut start = 0usize;
            for (&p, &length) in position.iter().zip(named) {
                start = start * length + index(p, length)?;
            }
            starts.push(i / (lists / batches).max(1) * one_batch + start * size);
        }
        Ok((starts, outer.iter().chain(inner).copied().collect(), size))
    }

    pub(super) fn tile(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?;
        let repeats = lengths(&self.ints(1)?)?;
        let own = x.shape().to_vec();
        if repeats.len() != own.len() {
            return Err(Problem::invalid(format!("it has {} repeats for {} axes", repeats.len(), own.len())));
        }
        let shape: Option<Vec<usize>> = own.iter().zip(&repeats).map(|(d, r)| d.checked_mul(*r)).collect();
        let shape = shape.ok_or_else(|| Problem::invalid("its result is absurdly large"))?;
        self.budget.charge(&shape)?;
        Ok(each!(x, a => picked(&shape, &a, |at, from| {
            for ((from, at), length) in from.iter_mut().zip(at).zip(&own) {
                *from = at % (*length).max(1);
            }
            true
        })))
    }

    /// Constants around a tensor, or parts of it cut off.
    pub(super) fn pad(&mut self) -> Result<Array, Problem> {
        if self.node.text("mode").is_some_and(|mode| mode != "constant") {
            return Err(Problem::unsupported("on constants it is computed for padding by a constant only"));
        }
        let x = self.array(0)?;
        let own = x.shape().to_vec();
        let pads = self.list(1, "pads")?.ok_or_else(|| Problem::invalid("it has no pads"))?;
        let axes = match self.has(3) {
            true => self.ints(3)?.into_iter().map(|a| axis(a, own.len())).collect::<Result<Vec<_>, _>>()?,
            false => (0..own.len()).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(Problem::invalid(format!("it has {} pads for {} axes", pads.len(), axes.len())));
        }
        let mut before = vec![0i64; own.len()];
        let mut shape = own.clone();
        for (i, &axis) in axes.iter().enumerate() {
            let (begin, end) = (pads.get(i).copied().unwrap_or(0), pads.get(i + axes.len()).copied().unwrap_or(0));
            let (Some(slot), Some(d)) = (before.get_mut(axis), shape.get_mut(axis)) else { continue };
            *slot = begin;
            let padded = length(*d).checked_add(begin).and_then(|n| n.checked_add(end));
            *d = padded.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| Problem::invalid("it pads absurdly"))?;
        }
        self.budget.charge(&shape)?;
        let value = match self.has(2) {
            true => self.array(2)?,
            false => Array::Float(ndarray::arr0(self.node.float("value").unwrap_or(0.0)).into_dyn()),
        };
        let value = value.into_floats().iter().next().copied().unwrap_or(0.0);
        let from = |at: &[usize], from: &mut [usize]| {
            at.iter().zip(&before).zip(&own).zip(from).all(|(((&at, &before), &length_of), from)| {
                let source = usize::try_from(length(at).saturating_sub(before)).ok().filter(|i| *i < length_of);
                *from = source.unwrap_or(0);
                source.is_some()
            })
        };
        Ok(match x {
            Array::Float(a) => Array::Float(picked_or(&shape, &a, value, from)),
            Array::Int(a) => Array::Int(picked_or(&shape, &a, value as i64, from)),
        })
    }

    /// The elements of matrices on and above a diagonal, or on and below it.
    pub(super) fn triangle(&mut self) -> Result<Array, Problem> {
        let x = self.array(0)?;
        let shift = if self.has(1) { self.ints(1)?.first().copied().unwrap_or(0) } else { 0 };
        let upper = self.node.int("upper").unwrap_or(1) != 0;
        let shape = x.shape().to_vec();
        if shape.len() < 2 {
            return Err(Problem::invalid(format!("its input of shape {shape:?} is no matrix")));
        }
        Ok(each!(x, a => picked(&shape, &a, |at, from| {
            from.copy_from_slice(at);
            let &[.., row, column] = at else { return false };
            let off = length(column).saturating_sub(length(row));
            if upper { off >= shift } else { off <= shift }
        })))
    }
}

/// A tensor whose elements come from the places in `x` that `from` writes, and are zero where it says so by `false`.
fn picked<A: Copy + Default>(
    shape: &[usize],
    x: &ArrayD<A>,
    from: impl Fn(&[usize], &mut [usize]) -> bool,
) -> ArrayD<A> {
    picked_or(shape, x, A::default(), from)
}

/// The same with another value than zero.
fn picked_or<A: Copy + Default>(
    shape: &[usize],
    x: &ArrayD<A>,
    otherwise: A,
    from: impl Fn(&[usize], &mut [usize]) -> bool,
) -> ArrayD<A> {
    let mut source = vec![0; x.ndim()];
    let mut result = ArrayD::from_elem(IxDyn(shape), otherwise);
    for (at, slot) in result.indexed_iter_mut() {
        if from(at.slice(), &mut source)
            && let Some(&value) = x.get(IxDyn(&source))
        {
            *slot = value;
        }
    }
    result
}

/// Sets a position on an axis, if there is one.
pub(super) fn set(at: &mut [usize], axis: usize, position: Option<usize>) -> bool {
    match (at.get_mut(axis), position) {
        (Some(slot), Some(position)) => {
            *slot = position;
            true
        }
        _ => false,
    }
}

/// A tensor of these values.
pub(super) fn shaped<A>(shape: &[usize], values: Vec<A>) -> Result<ArrayD<A>, Problem> {
    ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|_| Problem::invalid("its result cannot be shaped"))
}
