//! Elements that are written to places given by another tensor.

use ndarray::{ArrayD, Dimension, IxDyn};

use super::select::set;
use super::{Evaluation, both};
use crate::error::Problem;
use crate::tensor::Array;

/// What becomes of an element that is written to a place.
#[derive(Clone, Copy)]
enum Reduction {
    Replace,
    Add,
    Multiply,
    Max,
    Min,
}

/// Numbers that can be combined.
trait Number: Copy + PartialOrd {
    fn sum(self, other: Self) -> Self;
    fn product(self, other: Self) -> Self;
}

impl Number for f64 {
    fn sum(self, other: Self) -> Self {
        self + other
    }

    fn product(self, other: Self) -> Self {
        self * other
    }
}

impl Number for i64 {
    fn sum(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn product(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
}

impl Reduction {
    fn of<A: Number>(self, old: A, new: A) -> A {
        match self {
            Reduction::Replace => new,
            Reduction::Add => old.sum(new),
            Reduction::Multiply => old.product(new),
            Reduction::Max => {
                if new > old {
                    new
                } else {
                    old
                }
            }
            Reduction::Min => {
                if new < old {
                    new
                } else {
                    old
                }
            }
        }
    }
}

impl Evaluation<'_> {
    fn reduction(&self) -> Result<Reduction, Problem> {
        Ok(match self.node.text("reduction").as_deref() {
            None | Some("none") => Reduction::Replace,
            Some("add") => Reduction::Add,
            Some("mul") => Reduction::Multiply,
            Some("max") => Reduction::Max,
            Some("min") => Reduction::Min,
            Some(_) => return Err(Problem::unsupported("with an unknown reduction")),
        })
    }

    pub(super) fn scatter_elements(&mut self) -> Result<Array, Problem> {
        let reduction = self.reduction()?;
        let (x, updates) = (self.array(0)?, self.array(2)?);
        let axis = self.axis(0, x.shape().len())?;
        let places = self.positions(1, axis, x.shape())?;
        if updates.shape() != places.shape() {
            return Err(Problem::invalid("it has not as many indices as elements to write"));
        }
        let write = |at: &[usize], to: &mut Vec<usize>| {
            to.clear();
            to.extend_from_slice(at);
            set(to, axis, places.get(IxDyn(at)).copied())
        };
        Ok(both!(x, updates, |x, updates| written(x, &updates, reduction, write)))
    }

    pub(super) fn scatter_nd(&mut self) -> Result<Array, Problem> {
        let reduction = self.reduction()?;
        let (x, updates) = (self.array(0)?, self.array(2)?);
        let (starts, shape, size) = self.parts(1, x.shape(), 0)?;
        if updates.shape() != shape {
            return Err(Problem::invalid(format!("it writes {:?} to places of shape {shape:?}", updates.shape())));
        }
        let own = x.shape().to_vec();
        Ok(both!(x, updates, |x, updates| {
            let mut flat: Vec<_> = x.iter().copied().collect();
            for (i, &new) in updates.iter().enumerate() {
                let start = starts.get(i / size.max(1)).copied().unwrap_or(usize::MAX);
                if let Some(slot) = start.checked_add(i % size.max(1)).and_then(|at| flat.get_mut(at)) {
                    *slot = reduction.of(*slot, new);
                }
            }
            super::select::shaped(&own, flat)?
        }))
    }
}

/// `x` with each update at the place that `to` writes.
fn written<A: Number>(
    mut x: ArrayD<A>,
    updates: &ArrayD<A>,
    reduction: Reduction,
    to: impl Fn(&[usize], &mut Vec<usize>) -> bool,
) -> ArrayD<A> {
    let mut place = Vec::new();
    for (at, &new) in updates.indexed_iter() {
        if to(at.slice(), &mut place)
            && let Some(slot) = x.get_mut(IxDyn(&place))
        {
            *slot = reduction.of(*slot, new);
        }
    }
    x
}
