//! Copies of an operator with modified weights: each map is made once, when it is first needed, and serves all branches.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::formula::Branch;
use crate::operator::Affine;
use crate::operator::fused::{Packing, pack};
use crate::scalar::Scalar;

/// The factors of positive and of negative numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gains<T> {
    pub(super) positive: T,
    pub(super) negative: T,
}

impl<T: Scalar> Gains<T> {
    pub(super) fn of(branch: &Branch) -> Self {
        Self { positive: T::of(branch.positive), negative: T::of(branch.negative) }
    }

    /// `w⁺` alone.
    pub(super) fn positive_only() -> Self {
        Self { positive: T::one(), negative: T::zero() }
    }

    /// Of contributions of negative inputs, which have the other sign.
    pub(super) fn swapped(self) -> Self {
        Self { positive: self.negative, negative: self.positive }
    }

    /// `g₊w⁺ + g₋w⁻`.
    pub(super) fn times(self, w: T) -> T {
        let gain = if w > T::zero() { self.positive } else { self.negative };
        // Not −0, which would be another zero for negative weights.
        if gain.is_zero() { T::zero() } else { gain * w }
    }
}

/// A map of the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Map<T> {
    /// These gains.
    One(Gains<T>),
    /// Two for two inputs; see [`Packing::ConcatInputs`].
    Inputs(Gains<T>, Gains<T>),
    /// Two for two outputs; see [`Packing::ConcatOutputs`].
    Outputs(Gains<T>, Gains<T>),
}

/// An operator, or `None` where there is no such operator.
type Made<T> = Option<Arc<dyn Affine<T>>>;

/// Where the operator of a map is, once it is made.
type Slot<T> = Arc<OnceLock<Made<T>>>;

/// An operator and the maps of its weights that were needed so far.
pub(super) struct Maps<T: Scalar> {
    pub(super) op: Arc<dyn Affine<T>>,
    made: Mutex<Vec<(Map<T>, Slot<T>)>>,
}

impl<T: Scalar> Maps<T> {
    pub(super) fn new(op: &Arc<dyn Affine<T>>) -> Arc<Self> {
        Arc::new(Self { op: Arc::clone(op), made: Mutex::default() })
    }

    /// The operator with weights that went through `map`; `None` where two cannot be packed.
    pub(super) fn get(&self, map: Map<T>) -> Made<T> {
        let slot = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            match made.iter().find(|(known, _)| *known == map) {
                Some((_, slot)) => Arc::clone(slot),
                None => {
                    let slot = Arc::default();
                    made.push((map, Arc::clone(&slot)));
                    slot
                }
            }
        };
        let make = || match map {
            Map::One(gains) => Some(self.op.map_weights(&|w| gains.times(w))),
            Map::Inputs(f, g) => pack(self.op.as_ref(), Packing::ConcatInputs(&|w| f.times(w), &|w| g.times(w))),
            Map::Outputs(f, g) => pack(self.op.as_ref(), Packing::ConcatOutputs(&|w| f.times(w), &|w| g.times(w))),
        };
        slot.get_or_init(make).clone()
    }

    /// The operator with these gains.
    pub(super) fn one(&self, gains: Gains<T>) -> Arc<dyn Affine<T>> {
        self.get(Map::One(gains)).unwrap_or_else(|| Arc::clone(&self.op))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Dense;
    use crate::tensor::Tensor;

    #[test]
    fn a_map_is_made_once() {
        let w = Tensor::from_shape_vec(vec![1, 2], vec![2.0, -3.0]).unwrap();
        let op: Arc<dyn Affine<f64>> = Arc::new(Dense::new(w, None, &[2]).unwrap());
        let maps = Maps::new(&op);
        let gains = Gains { positive: 1.5, negative: 0.0 };
        assert!(Arc::ptr_eq(&maps.one(gains), &maps.one(gains.swapped().swapped())));
        assert!(maps.get(Map::Inputs(gains, gains.swapped())).is_none());
        let x = Tensor::ones(vec![1, 2]);
        assert_eq!(maps.one(gains).apply(&[&x])[[0, 0]], 3.0);
        assert_eq!(maps.one(gains.swapped()).apply(&[&x])[[0, 0]], -4.5);
        assert!(gains.times(-3.0).is_sign_positive());
    }
}
