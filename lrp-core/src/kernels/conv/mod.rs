//! Convolution, forward and adjoint, for any groups, strides, paddings and dilations in one to three dimensions.
//!
//! Direct convolution: nothing is gathered into a matrix. [`passes`] brings both directions into one form, [`weights`] packs
//! weights once, [`strip`] copies a few rows with their padding, [`tile`] and [`run`] are the two micro-kernels, and [`driver`] has
//! the loops and divides them among threads. A transposed convolution is the same pair with the roles swapped.

mod driver;
mod passes;
mod run;
mod strip;
mod tile;
mod weights;

use std::sync::{Arc, OnceLock};

use self::driver::{Sides, convolve};
use self::weights::{Direction, Packed};
use super::simd::{Isa, with_isa};
use super::window::Window;
use crate::scalar::Scalar;

/// Weights and geometry of a convolution.
///
/// Weights are packed for each direction when it is first needed and kept for as long as the kernel or a copy of it lives.
#[derive(Debug, Clone)]
pub struct ConvKernel<T> {
    /// `[out, in / groups, taps]`, row-major.
    pub weights: Arc<Vec<T>>,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Number of groups; divides both.
    pub groups: usize,
    /// Which input positions each output position sees.
    pub window: Window,
    isa: Isa,
    forward: Arc<OnceLock<Packed<T>>>,
    adjoint: Arc<OnceLock<Packed<T>>>,
}

impl<T: Scalar> ConvKernel<T> {
    /// A convolution from `inputs` to `outputs` channels in `groups` with weights `[outputs, inputs / groups, taps]`.
    pub fn new(weights: Arc<Vec<T>>, inputs: usize, outputs: usize, groups: usize, window: Window) -> Self {
        let (forward, adjoint) = Default::default();
        Self { weights, inputs, outputs, groups, window, isa: Isa::best(), forward, adjoint }
    }

    /// The same kernel on another instruction set, if the machine has it. For tests and measurements.
    pub fn with_isa(&self, isa: Isa) -> Self {
        let isa = if isa.is_available() { isa } else { self.isa };
        Self { isa, ..self.with_weights(Arc::clone(&self.weights)) }
    }

    /// `W x` for a batch `x` of samples `[inputs, positions]`.
    pub fn forward(&self, x: &[T]) -> Vec<T> {
        self.convolve(x, Direction::Forward)
    }

    /// `Wᵀ s` for a batch `s` of samples `[outputs, positions]`.
    pub fn adjoint(&self, s: &[T]) -> Vec<T> {
        self.convolve(s, Direction::Adjoint)
    }

    fn convolve(&self, source: &[T], direction: Direction) -> Vec<T> {
        let axes = &self.window.axes;
        let (inputs, outputs) = (axes.map(|a| a.input), axes.map(|a| a.output));
        let (packed, source_space, mut target) = match direction {
            Direction::Forward => (&self.forward, inputs, outputs),
            Direction::Adjoint => (&self.adjoint, outputs, inputs),
        };
        with_isa!(self.isa, T, S => {
            let packed = packed.get_or_init(|| Packed::new::<S<T>>(self, direction));
            if packed.passes.iter().any(|pass| pass.pass.in_place) {
                target = [1, 1, target.iter().product()];
            }
            convolve::<S<T>>(packed, Sides { source_len: source_space.iter().product(), target }, source)
        })
    }

    /// The same geometry with other weights.
    pub fn map(&self, f: &dyn Fn(T) -> T) -> Self {
        self.with_weights(Arc::new(self.weights.iter().map(|&w| f(w)).collect()))
    }

    /// The same geometry with weights `f(output channel, input channel within its group, weight)`.
    pub fn map_by_channel(&self, f: impl Fn(usize, usize, T) -> T) -> Self {
        let (taps, ins) = (self.window.taps(), self.inputs / self.groups);
        let weight = |(i, &w): (usize, &T)| f(i / (taps * ins), i / taps % ins, w);
        self.with_weights(Arc::new(self.weights.iter().enumerate().map(weight).collect()))
    }

    fn with_weights(&self, weights: Arc<Vec<T>>) -> Self {
        let (forward, adjoint) = Default::default();
        Self { weights, window: self.window.clone(), forward, adjoint, ..*self }
    }
}

#[cfg(test)]
mod tests;
