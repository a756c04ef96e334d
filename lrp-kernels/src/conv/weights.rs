//! Weights in the order in which the micro-kernels read them.
//!
//! For each pass, group and block of output channels: `[source channel, tap, output channel of the block]`. Which micro-kernel serves
//! an operator, and with it the size of a block, depends on the number of output channels in a group and on nothing else.

use super::ConvKernel;
use super::passes::Pass;
use super::{run, tile};
use crate::aligned::Aligned;
use crate::each_chunk;
use crate::simd::Simd;
use crate::simd::scalar::Scalar;

/// The direction of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From input to output.
    Forward,
    /// From output to input.
    Adjoint,
}

/// The micro-kernel and how it divides output channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Vectors along channels ([`tile`]).
    Tiles,
    /// Vectors along pixels ([`run`]).
    Runs,
}

/// A pass with its weights.
#[derive(Debug)]
pub(super) struct PackedPass<T> {
    pub pass: Pass,
    /// `[group, block, source channel, tap, channel of the block]`.
    pub weights: Aligned<T>,
    /// Elements of one group.
    pub group: usize,
    /// Elements of one whole block.
    pub block: usize,
}

/// A convolution, one way.
#[derive(Debug)]
pub(super) struct Packed<T> {
    pub passes: Vec<PackedPass<T>>,
    pub shape: Shape,
    /// Channels of a group that go in and come out.
    pub sources: usize,
    pub targets: usize,
    pub groups: usize,
    /// Output channels in a block.
    pub block: usize,
}

/// Channels of a group that go in and come out.
pub(super) fn sizes<T>(kernel: &ConvKernel<T>, direction: Direction) -> (usize, usize) {
    let (ins, outs) = (kernel.inputs / kernel.groups, kernel.outputs / kernel.groups);
    match direction {
        Direction::Forward => (ins, outs),
        Direction::Adjoint => (outs, ins),
    }
}

/// The micro-kernel for a convolution: vectors along channels pay as soon as half a vector is used.
pub(super) fn shape<S: Simd>(kernel: &ConvKernel<S::T>, direction: Direction) -> Shape {
    let targets = sizes(kernel, direction).1;
    let alone = if direction == Direction::Adjoint { targets / kernel.parts } else { targets };
    if alone * 2 > S::LANES { Shape::Tiles } else { Shape::Runs }
}

impl<T: Scalar> Packed<T> {
    /// Packs the weights of a kernel for one instruction set and direction.
    pub fn new<S: Simd<T = T>>(kernel: &ConvKernel<T>, direction: Direction) -> Self {
        let window = &kernel.window;
        let (sources, targets) = sizes(kernel, direction);
        let shape = shape::<S>(kernel, direction);
        let block = match shape {
            Shape::Tiles => tile::BLOCK * S::LANES,
            Shape::Runs => run::BLOCK,
        };
        let passes = match direction {
            _ if window.is_pointwise() && shape == Shape::Tiles => vec![Pass::pointwise(window)],
            Direction::Forward => Pass::forward(window),
            Direction::Adjoint => Pass::adjoint(window),
        };
        let mut packed = Self { passes: Vec::new(), shape, sources, targets, groups: kernel.groups, block };
        for pass in passes {
            let taps = pass.taps(window);
            let weight = |group: usize, target: usize, source: usize, tap: usize| {
                kernel.taps(direction, group, target, source)[tap].get()
            };
            let pass = packed.pack::<S>(pass, &taps, weight);
            packed.passes.push(pass);
        }
        packed
    }

    /// Packs one pass; `weight(group, output channel, source channel, tap)`.
    fn pack<S: Simd<T = T>>(
        &self,
        pass: Pass,
        taps: &[usize],
        weight: impl Fn(usize, usize, usize, usize) -> T + Sync,
    ) -> PackedPass<T> {
        let per_channel = self.sources * taps.len();
        let blocks = self.targets.div_ceil(self.block);
        let last = self.width::<S>(blocks - 1);
        let block = per_channel * self.block;
        let group = (blocks - 1) * block + per_channel * last;
        let mut weights = Aligned::zeros(group * self.groups);
        let pack_block = |group: usize, index: usize, target: &mut [T]| {
            let channels = self.channels(index);
            let mut rows = target.chunks_exact_mut(self.width::<S>(index));
            for source in 0..self.sources {
                for &tap in taps {
                    let Some(row) = rows.next() else { return };
                    row.iter_mut()
                        .zip(channels.clone())
                        .for_each(|(w, channel)| *w = weight(group, channel, source, tap));
                }
            }
        };
        each_chunk(&mut weights, group, 1, &|g, weights| {
            each_chunk(weights, block, 1, &|index, target| pack_block(g, index, target));
        });
        PackedPass { pass, weights, group, block }
    }

    /// The output channels of a block.
    pub fn channels(&self, index: usize) -> std::ops::Range<usize> {
        index * self.block..((index + 1) * self.block).min(self.targets)
    }

    /// The number of channels that the weights of a block have room for: the last block of tiles has one vector or two.
    pub fn width<S: Simd>(&self, index: usize) -> usize {
        match self.shape {
            Shape::Tiles => self.channels(index).len().next_multiple_of(S::LANES),
            Shape::Runs => self.channels(index).len(),
        }
    }
}
