//! Strips: a few rows (or a part of one) of all source channels of a group, copied with their padding into a buffer that stays in the cache.
//!
//! A strip holds, for every channel, one plane for each combination of depth tap, row phase and column phase (see
//! [`passes`](super::passes); with two dimensions and stride 1 there is one plane). A plane has the rows and columns that the outputs
//! of the strip read, zeros where they read padding. So the kernels never look at borders, and a tap is nothing but an offset.

#![allow(unsafe_code)]

use std::ops::Range;

use super::passes::Pass;
use num_traits::Zero;

use crate::kernels::simd::{Simd, Task};

/// Where everything stands in the strips of a pass.
#[derive(Debug)]
pub(super) struct Layout {
    /// Rows and columns of outputs.
    pub rows: usize,
    pub columns: usize,
    /// Distance between the rows of a plane.
    pub pitch: usize,
    /// Distance between channels.
    pub channel: usize,
    /// For every tap, in the order of [`Pass::taps`], the offset from an output's place to what it reads.
    pub taps: Vec<usize>,
    row_phases: Vec<usize>,
    column_phases: Vec<usize>,
    plane_rows: usize,
}

impl Layout {
    /// The layout of strips of so many rows and columns of outputs.
    pub fn new(pass: &Pass, rows: usize, columns: usize) -> Self {
        let [d, h, w] = &pass.axes;
        let ((top, bottom), (left, right)) = (h.shifts(), w.shifts());
        let (row_phases, column_phases) = (h.phases(), w.phases());
        let plane_rows = rows + (bottom - top) as usize;
        let pitch = columns + (right - left) as usize;
        let plane = plane_rows * pitch;
        let mut taps = Vec::new();
        for depth in 0..d.taps.len() {
            for row in &h.taps {
                for column in &w.taps {
                    let row_phase = row_phases.partition_point(|&p| p < row.phase);
                    let column_phase = column_phases.partition_point(|&p| p < column.phase);
                    let index = (depth * row_phases.len() + row_phase) * column_phases.len() + column_phase;
                    taps.push(index * plane + (row.shift - top) as usize * pitch + (column.shift - left) as usize);
                }
            }
        }
        let channel = d.taps.len() * row_phases.len() * column_phases.len() * plane;
        Self { rows, columns, pitch, channel, taps, row_phases, column_phases, plane_rows }
    }

    /// The layout of a pointwise pass, which reads the source itself.
    pub fn in_place(pass: &Pass, columns: usize) -> Self {
        let mut layout = Self::new(pass, 1, columns);
        layout.channel = pass.axes[2].source;
        layout
    }
}

/// Copies a strip.
pub(super) struct Fill<'a, S: Simd> {
    pub pass: &'a Pass,
    pub layout: &'a Layout,
    /// The channels of a group of one sample: `[channels, depth, height, width]` of the source.
    pub source: &'a [S::T],
    /// At least `channels · layout.channel` elements.
    pub strip: &'a mut [S::T],
    /// The depth of the outputs.
    pub depth: usize,
    /// The first row and column of outputs.
    pub row: usize,
    pub column: usize,
}

impl<S: Simd> Task for Fill<'_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { pass, layout, source, strip, depth, row, column } = self;
        let [d, h, w] = &pass.axes;
        let (first_row, first_column) = (row as isize + h.shifts().0, column as isize + w.shifts().0);
        let columns: Vec<(Range<usize>, usize)> = layout
            .column_phases
            .iter()
            .map(|&phase| {
                let valid = w.valid(phase, first_column, layout.pitch);
                let from = (valid.start as isize + first_column) * w.step as isize + phase as isize;
                (valid, from.max(0) as usize)
            })
            .collect();
        let zero = S::T::zero();
        let mut targets = strip.chunks_exact_mut(layout.pitch);
        for channel in source.chunks_exact(d.source * h.source * w.source) {
            for depth_tap in &d.taps {
                let z = (depth as isize + depth_tap.shift) * d.step as isize + depth_tap.phase as isize;
                for &row_phase in &layout.row_phases {
                    for (valid, from) in &columns {
                        for j in 0..layout.plane_rows {
                            let Some(target) = targets.next() else { return };
                            let y = (first_row + j as isize) * h.step as isize + row_phase as isize;
                            let inside = (0..d.source as isize).contains(&z) && (0..h.source as isize).contains(&y);
                            if !inside || valid.is_empty() {
                                target.fill(zero);
                                continue;
                            }
                            let line = (z as usize * h.source + y as usize) * w.source;
                            target[..valid.start].fill(zero);
                            let (to, rest) = target[valid.start..].split_at_mut(valid.len());
                            // SAFETY: the instruction set is the caller's.
                            unsafe { copy::<S>(&channel[line + from..line + w.source], w.step, to) };
                            rest.fill(zero);
                        }
                    }
                }
            }
        }
    }
}

/// Copies every `step`-th element.
///
/// # Safety
/// The machine has the instruction set.
#[inline(always)]
unsafe fn copy<S: Simd>(from: &[S::T], step: usize, to: &mut [S::T]) {
    debug_assert!(to.is_empty() || (to.len() - 1) * step < from.len());
    if step == 1 {
        let len = to.len().min(from.len());
        let mut i = 0;
        while i + S::LANES <= len {
            // SAFETY: `LANES` elements from `i` on are inside both.
            unsafe { S::store(to.as_mut_ptr().add(i), S::load(from.as_ptr().add(i))) };
            i += S::LANES;
        }
        // SAFETY: `len − i < LANES` elements from `i` on are inside both.
        unsafe { S::store_first(to.as_mut_ptr().add(i), len - i, S::load_first(from.as_ptr().add(i), len - i)) };
    } else {
        to.iter_mut().zip(from.iter().step_by(step)).for_each(|(to, &from)| *to = from);
    }
}
