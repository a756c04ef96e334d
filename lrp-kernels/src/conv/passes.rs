//! A convolution and its adjoint, both as sums of shifted planes.
//!
//! The kernels know one thing only: `y[q] = Σ_tap w_tap · plane_tap[q + shift_tap]`, with steps of one. A *pass* brings a convolution into
//! that form.
//!
//! - Forward, output `o` reads through tap `k` the input `o·s + k·d − p`. Splitting that number into a multiple of the stride `s` and a
//!   rest gives `(o + shift)·s + phase`: the input falls into `s` *phases* (every `s`-th element, from `phase` on), and every tap
//!   reads one of them at unit steps. One pass, `s` phases read.
//! - Backward, input `i = q·s + r` gets something from output `o` through tap `k` if `o·s + k·d − p = i`, that is if `s` divides
//!   `r + p − k·d`, and then `o = q + (r + p − k·d) / s`. For every remainder `r` that is a pass of its own with the taps that divide,
//!   which writes every `s`-th element. With stride 1 it is one pass with the taps reversed.

use crate::window::{Axis, Window};

/// The reads of a tap along one axis: output `q` reads the source at `(q + shift)·step + phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AxisTap {
    /// Index of the tap in the convolution's kernel.
    pub tap: usize,
    pub phase: usize,
    pub shift: isize,
}

/// One axis of a pass.
#[derive(Debug, Clone)]
pub(super) struct AxisPass {
    /// Number of outputs `q`.
    pub len: usize,
    /// Output `q` is written to `first + q·stride` of the target axis.
    pub first: usize,
    pub stride: usize,
    /// Length of the source axis.
    pub source: usize,
    /// Number of phases that the source is read in.
    pub step: usize,
    /// The taps that read something for at least one output.
    pub taps: Vec<AxisTap>,
}

impl AxisPass {
    fn forward(axis: &Axis) -> Self {
        let step = axis.stride as isize;
        let taps = (0..axis.kernel).map(|tap| {
            let offset = (tap * axis.dilation) as isize - axis.pad_begin as isize;
            AxisTap { tap, phase: offset.rem_euclid(step) as usize, shift: offset.div_euclid(step) }
        });
        Self { len: axis.output, first: 0, stride: 1, source: axis.input, step: axis.stride, taps: Vec::new() }
            .with_taps(taps)
    }

    fn adjoint(axis: &Axis) -> Vec<Self> {
        let stride = axis.stride as isize;
        (0..axis.stride.min(axis.input))
            .map(|first| {
                let taps = (0..axis.kernel).filter_map(|tap| {
                    let offset = (first + axis.pad_begin) as isize - (tap * axis.dilation) as isize;
                    (offset % stride == 0).then(|| AxisTap { tap, phase: 0, shift: offset / stride })
                });
                let len = (axis.input - first).div_ceil(axis.stride);
                Self { len, first, stride: axis.stride, source: axis.output, step: 1, taps: Vec::new() }.with_taps(taps)
            })
            .collect()
    }

    /// Keeps the taps that read at least one element of the source for at least one output: the others would only make
    /// buffers larger.
    fn with_taps(mut self, taps: impl Iterator<Item = AxisTap>) -> Self {
        self.taps = taps.filter(|tap| !self.valid(tap.phase, tap.shift, self.len).is_empty()).collect();
        self
    }

    /// Of the positions `shift..shift + len` of a phase, which ones are in the source, counted from `shift`.
    #[inline]
    pub fn valid(&self, phase: usize, shift: isize, len: usize) -> std::ops::Range<usize> {
        let in_phase = (self.source.saturating_sub(phase)).div_ceil(self.step) as isize;
        let begin = (-shift).clamp(0, len as isize);
        let end = (in_phase - shift).clamp(begin, len as isize);
        begin as usize..end as usize
    }

    /// Smallest and largest shift.
    #[inline]
    pub fn shifts(&self) -> (isize, isize) {
        let shifts = || self.taps.iter().map(|tap| tap.shift);
        (shifts().min().unwrap_or(0), shifts().max().unwrap_or(0))
    }

    /// The phases that some tap reads.
    pub fn phases(&self) -> Vec<usize> {
        let mut phases: Vec<usize> = self.taps.iter().map(|tap| tap.phase).collect();
        phases.sort_unstable();
        phases.dedup();
        phases
    }
}

/// One pass over all three axes: depth, height, width.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub axes: [AxisPass; 3],
    /// Every output reads the source at its own position and nowhere else: kernels may read it without a copy.
    pub in_place: bool,
}

impl Pass {
    /// The convolution itself: at most one pass (none where no tap ever reads anything but padding).
    pub fn forward(window: &Window) -> Vec<Self> {
        Self::new(window.axes.each_ref().map(AxisPass::forward)).into_iter().collect()
    }

    /// Its adjoint: one pass for each offset within a stride that reads any output.
    pub fn adjoint(window: &Window) -> Vec<Self> {
        let [depths, rows, columns] = window.axes.each_ref().map(AxisPass::adjoint);
        let mut passes = Vec::new();
        for depth in &depths {
            for row in &rows {
                for column in &columns {
                    passes.extend(Self::new([depth.clone(), row.clone(), column.clone()]));
                }
            }
        }
        passes
    }

    fn new(axes: [AxisPass; 3]) -> Option<Self> {
        let connected = axes.iter().all(|axis| !axis.taps.is_empty());
        connected.then_some(Self { axes, in_place: false })
    }

    /// A pointwise convolution, either way: all positions in one row.
    pub fn pointwise(window: &Window) -> Self {
        let axis = |len| {
            let tap = AxisTap { tap: 0, phase: 0, shift: 0 };
            AxisPass { len, first: 0, stride: 1, source: len, step: 1, taps: vec![tap] }
        };
        Self { axes: [axis(1), axis(1), axis(window.output_len())], in_place: true }
    }

    /// Number of outputs.
    #[inline]
    pub fn outputs(&self) -> usize {
        self.axes.iter().map(|axis| axis.len).product()
    }

    /// The number of rows and columns that a strip reads beyond those that it writes.
    pub fn overlaps(&self) -> (usize, usize) {
        let overlap = |axis: &AxisPass| (axis.shifts().1 - axis.shifts().0) as usize;
        (overlap(&self.axes[1]), overlap(&self.axes[2]))
    }

    /// Indices of the kernel's taps in the order of this pass.
    pub fn taps(&self, window: &Window) -> Vec<usize> {
        let [_, height, width] = &window.axes;
        let [d, h, w] = &self.axes;
        let index = |d: &AxisTap, h: &AxisTap, w: &AxisTap| (d.tap * height.kernel + h.tap) * width.kernel + w.tap;
        d.taps
            .iter()
            .flat_map(|d| h.taps.iter().flat_map(move |h| w.taps.iter().map(move |w| index(d, h, w))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::WindowSpec;

    /// The connections `(tap, output, input)` along the last axis that passes make.
    fn connections(passes: &[Pass], forward: bool) -> Vec<(usize, usize, usize)> {
        let mut list = Vec::new();
        for axis in passes.iter().map(|pass| &pass.axes[2]) {
            for tap in &axis.taps {
                for q in axis.valid(tap.phase, tap.shift, axis.len) {
                    let source = (q as isize + tap.shift) as usize * axis.step + tap.phase;
                    assert!(source < axis.source);
                    let target = axis.first + q * axis.stride;
                    list.push(if forward { (tap.tap, target, source) } else { (tap.tap, source, target) });
                }
            }
        }
        list.sort_unstable();
        list
    }

    #[test]
    fn passes_make_exactly_the_connections_of_the_window() {
        for kernel in 1..=4 {
            for stride in 1..=4 {
                for dilation in 1..=3 {
                    for (begin, end) in [(0, 0), (1, 0), (2, 3), (9, 0)] {
                        for input in [1, 5, 8] {
                            let mut spec = WindowSpec::new(&[kernel]).stride(stride).dilation(dilation);
                            (spec.pad_begin, spec.pad_end) = (vec![begin], vec![end]);
                            let Ok(window) = Window::new(&spec, &[input]) else { continue };
                            let mut expected = Vec::new();
                            window.for_each_row(|row| expected.extend(row.pairs().map(|(o, i)| (row.tap, o, i))));
                            expected.sort_unstable();
                            assert_eq!(connections(&Pass::forward(&window), true), expected, "{spec:?} {input}");
                            assert_eq!(connections(&Pass::adjoint(&window), false), expected, "{spec:?} {input}");
                        }
                    }
                }
            }
        }
    }
}
