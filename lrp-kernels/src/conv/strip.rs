//! Strips: a few rows (or a part of one) of all source channels of a group, copied with their padding into a buffer that stays in the cache.
//!
//! A strip holds, for every channel, one plane for each combination of depth tap, row phase and column phase (see
//! [`passes`](super::passes); with two dimensions and stride 1 there is one plane). A plane has the rows and columns that the outputs
//! of the strip read, zeros where they read padding. So the kernels never check borders, and a tap is nothing but an offset.

#![allow(unsafe_code)]

use super::passes::Pass;
use num_traits::Zero;

use crate::simd::{Simd, Task};

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
    /// The padding at the end of it.
    apart: usize,
    /// For every tap, in the order of [`Pass::taps`], the offset from an output to the element that it reads.
    pub taps: Vec<usize>,
    row_phases: Vec<usize>,
    column_phases: Vec<usize>,
    plane_rows: usize,
}

impl Layout {
    /// The layout of strips of this number of rows and columns of outputs.
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
        Self { rows, columns, pitch, channel, apart: 0, taps, row_phases, column_phases, plane_rows }
    }

    /// The same with padding after each channel for writes beyond its end, so that channels can be copied one beside the other.
    pub fn apart<S: Simd>(self) -> Self {
        let apart = SLACK * S::LANES;
        Self { channel: self.channel + apart, apart, ..self }
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
    /// At least `channels · layout.channel` elements and [`SLACK`] vectors, unless channels are [apart](Layout::apart).
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
        let source_len = d.source * h.source * w.source;
        debug_assert!(strip.len() + layout.apart >= source.len() / source_len * layout.channel + SLACK * S::LANES);
        for (index, channel) in source.chunks_exact(source_len).enumerate() {
            let mut target = strip[index * layout.channel..].as_mut_ptr();
            for depth_tap in &d.taps {
                let z = (depth as isize + depth_tap.shift) * d.step as isize + depth_tap.phase as isize;
                for &row_phase in &layout.row_phases {
                    for &column_phase in &layout.column_phases {
                        let valid = w.valid(column_phase, first_column, layout.pitch);
                        let x = (valid.start as isize + first_column) * w.step as isize + column_phase as isize;
                        for j in 0..layout.plane_rows {
                            let y = (first_row + j as isize) * h.step as isize + row_phase as isize;
                            let inside = (0..d.source as isize).contains(&z) && (0..h.source as isize).contains(&y);
                            // SAFETY: the instruction set is the caller's. The strip has room for `pitch` elements from here on
                            // and for the vectors by which a line may overrun its end. The source line has `valid.len()`
                            // elements at distances of `step` from `x` on.
                            unsafe {
                                if inside && !valid.is_empty() {
                                    let line = &channel[(z as usize * h.source + y as usize) * w.source..][..w.source];
                                    zeros::<S>(target, valid.start);
                                    copy::<S>(&line[x as usize..], w.step, target.add(valid.start), valid.len());
                                    zeros::<S>(target.add(valid.end), layout.pitch - valid.end);
                                } else {
                                    zeros::<S>(target, layout.pitch);
                                }
                                target = target.add(layout.pitch);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Vectors by which writing a line may overrun its end; the next line is written after it.
pub(super) const SLACK: usize = 1;

/// Writes `len` zeros and less than a vector more.
///
/// # Safety
/// The machine has the instruction set; whole vectors can be written.
#[inline(always)]
pub(super) unsafe fn zeros<S: Simd>(to: *mut S::T, len: usize) {
    let mut i = 0;
    while i < len {
        // SAFETY: the caller's.
        unsafe { S::store(to.add(i), S::splat(S::T::zero())) };
        i += S::LANES;
    }
}

/// Copies `len` elements, every `step`-th of `from`, and writes less than a vector of zeros more.
///
/// # Safety
/// The machine has the instruction set; whole vectors can be written; `from` has that many elements.
#[inline(always)]
pub(super) unsafe fn copy<S: Simd>(from: &[S::T], step: usize, to: *mut S::T, len: usize) {
    debug_assert!(len == 0 || (len - 1) * step < from.len());
    let from_end = from.len();
    let from = from.as_ptr();
    let mut i = 0;
    // SAFETY: reads stay within `from`, writes within whole vectors from `to` on.
    unsafe {
        match step {
            1 => {
                while i + S::LANES <= len {
                    S::store(to.add(i), S::load(from.add(i)));
                    i += S::LANES;
                }
                if i < len {
                    S::store(to.add(i), S::load_first(from.add(i), len - i));
                }
            }
            2 => {
                while i + S::LANES <= len && 2 * (i + S::LANES) <= from_end {
                    S::store(to.add(i), S::evens(S::load(from.add(2 * i)), S::load(from.add(2 * i + S::LANES))));
                    i += S::LANES;
                }
                while i < len {
                    // What is left may end with the source: its elements in two parts, as far as they are there and wanted.
                    let left = (2 * (len - i) - 1).min(2 * S::LANES - 1);
                    let (low, high) = (left.min(S::LANES), left.saturating_sub(S::LANES));
                    let high = S::load_first(from.wrapping_add(2 * i + S::LANES), high);
                    S::store(to.add(i), S::evens(S::load_first(from.add(2 * i), low), high));
                    i += S::LANES;
                }
            }
            _ => {
                while i < len {
                    *to.add(i) = *from.add(i * step);
                    i += 1;
                }
            }
        }
    }
}
