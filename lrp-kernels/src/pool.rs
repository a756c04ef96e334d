//! Max pooling of planes, and the way back to the winners.
//!
//! No table of winners is kept: the maxima are taken row by row in vectors, and for the way back each window that carries
//! something is searched again.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ops::Range;

use num_traits::Zero;

use super::simd::{Isa, Simd, Task, with_isa};
use super::window::{Axis, Window};
use super::{each_chunk, uninit};
use crate::simd::scalar::Scalar;

/// Elements below which work is not worth handing to another thread.
const GRAIN: usize = 1 << 14;

/// The maximum of every window of every plane of `x`. Every window must see an element; the first of equals wins, and a number that
/// is not one wins where it comes first.
pub fn max<T: Scalar>(window: &Window, x: &[T], isa: Isa) -> Vec<T> {
    let (in_len, out_len) = (window.input_len(), window.output_len());
    let mut y = vec![T::zero(); x.len() / in_len * out_len];
    each_chunk(&mut y, out_len, GRAIN.div_ceil(in_len), &|plane, y| {
        let x = &x[plane * in_len..][..in_len];
        // SAFETY: the instruction set is available, or it would not have been chosen.
        with_isa!(isa, T, S => unsafe { S::<T>::run(Max::<S<T>> { window, x, y }) });
    });
    y
}

/// Gives each element of `g` to the winner of its window. `x` is what [`max`] was taken of.
pub fn route<T: Scalar>(window: &Window, x: &[T], g: &[T], isa: Isa) -> Vec<T> {
    let (in_len, out_len) = (window.input_len(), window.output_len());
    let mut routed = uninit(x.len());
    let fresh = &mut routed.spare_capacity_mut()[..x.len()];
    let halving = is_halving(window);
    each_chunk(fresh, in_len, GRAIN.div_ceil(in_len), &|plane, fresh| {
        let (x, g) = (&x[plane * in_len..][..in_len], &g[plane * out_len..][..out_len]);
        if halving {
            let width = window.axes[2].output;
            // SAFETY: the instruction set is available, or it would not have been chosen.
            with_isa!(isa, T, S => unsafe { S::<T>::run(Halved::<S<T>> { width, x, g, routed: fresh }) });
        } else {
            route_plane(window, x, g, zeroed(fresh));
        }
    });
    // SAFETY: that many elements were asked for, and the planes are all of them.
    unsafe { routed.set_len(x.len()) };
    routed
}

/// Whether windows are 2×2 and neither overlap nor leave anything out.
fn is_halving(window: &Window) -> bool {
    let [d, h, w] = &window.axes;
    let halved =
        |a: &Axis| a.kernel == 2 && a.stride == 2 && a.dilation == 1 && a.pad_begin == 0 && a.input == 2 * a.output;
    d.kernel == 1 && d.input == d.output && halved(h) && halved(w)
}

/// [`route`] for windows of 2×2 that cover a plane: without branches, so that vectors of windows are done at once.
struct Halved<'a, S: Simd> {
    /// Windows in a line.
    width: usize,
    x: &'a [S::T],
    g: &'a [S::T],
    routed: &'a mut [MaybeUninit<S::T>],
}

impl<S: Simd> Task for Halved<'_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { width, x, g, routed } = self;
        let zero = S::T::zero();
        for ((x, g), routed) in
            x.chunks_exact(4 * width).zip(g.chunks_exact(width)).zip(routed.chunks_exact_mut(4 * width))
        {
            let ((x_0, x_1), (to_0, to_1)) = (x.split_at(2 * width), routed.split_at_mut(2 * width));
            let pairs = x_0.chunks_exact(2).zip(x_1.chunks_exact(2)).zip(g);
            for (((a, b), &g), (to_a, to_b)) in pairs.zip(to_0.chunks_exact_mut(2).zip(to_1.chunks_exact_mut(2))) {
                // In the order in which the windows are read: whoever is larger than all before it.
                let largest = a[0];
                let second = a[1] > largest;
                let largest = if second { a[1] } else { largest };
                let third = b[0] > largest;
                let largest = if third { b[0] } else { largest };
                let fourth = b[1] > largest;
                to_a[0].write(if second | third | fourth { zero } else { g });
                to_a[1].write(if second & !(third | fourth) { g } else { zero });
                to_b[0].write(if third & !fourth { g } else { zero });
                to_b[1].write(if fourth { g } else { zero });
            }
        }
    }
}

/// Fills memory with zeros.
fn zeroed<T: Scalar>(fresh: &mut [MaybeUninit<T>]) -> &mut [T] {
    fresh.iter_mut().for_each(|slot| {
        slot.write(T::zero());
    });
    // SAFETY: all of it was just written.
    unsafe { &mut *(std::ptr::from_mut(fresh) as *mut [T]) }
}

/// Routes one plane.
fn route_plane<T: Scalar>(window: &Window, x: &[T], g: &[T], routed: &mut [T]) {
    let [d, h, w] = &window.axes;
    let inside = w.inside();
    for (line, g) in g.chunks_exact(w.output).enumerate() {
        let (planes, lines) = (seen(d, line / h.output), seen(h, line % h.output));
        for (column, &g) in g.iter().enumerate().filter(|(_, g)| !g.is_zero()) {
            let columns = if inside.contains(&column) {
                let start = column * w.stride - w.pad_begin;
                (start..start + w.kernel * w.dilation).step_by(w.dilation)
            } else {
                seen(w, column)
            };
            let mut winner = None;
            for line in planes.clone().flat_map(|z| lines.clone().map(move |y| (z * h.input + y) * w.input)) {
                for i in columns.clone().map(|column| line + column) {
                    let (mut index, mut largest) = winner.unwrap_or((i, x[i]));
                    // No branch: which one is larger cannot be foreseen.
                    let larger = x[i] > largest;
                    index = if larger { i } else { index };
                    largest = if larger { x[i] } else { largest };
                    winner = Some((index, largest));
                }
            }
            if let Some((winner, _)) = winner {
                routed[winner] += g;
            }
        }
    }
}

/// The inputs that window `o` sees along an axis.
fn seen(axis: &Axis, o: usize) -> std::iter::StepBy<Range<usize>> {
    let start = o * axis.stride;
    let skipped = axis.pad_begin.saturating_sub(start).div_ceil(axis.dilation);
    let end = (axis.input + axis.pad_begin).saturating_sub(start).div_ceil(axis.dilation).min(axis.kernel);
    let first = (start + skipped * axis.dilation).saturating_sub(axis.pad_begin);
    (first..first + end.saturating_sub(skipped) * axis.dilation).step_by(axis.dilation)
}

/// The maxima of one plane.
struct Max<'a, S: Simd> {
    window: &'a Window,
    x: &'a [S::T],
    y: &'a mut [S::T],
}

impl<S: Simd> Task for Max<'_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { window, x, y } = self;
        let [d, h, w] = &window.axes;
        for (line, y) in y.chunks_exact_mut(w.output).enumerate() {
            let (z, row) = (line / h.output, line % h.output);
            let mut first = true;
            for z in seen(d, z) {
                for row in seen(h, row) {
                    let x = &x[(z * h.input + row) * w.input..][..w.input];
                    // The outputs that nothing was written to yet. With each tap, those that see something begin further left.
                    let mut unseen = w.output;
                    for tap in 0..w.kernel {
                        let valid = w.valid(tap);
                        if valid.is_empty() {
                            continue;
                        }
                        let new = valid.start..if first { unseen.clamp(valid.start, valid.end) } else { valid.start };
                        unseen = valid.start;
                        for o in new.clone() {
                            y[o] = x[w.source(o, tap)];
                        }
                        if new.end < valid.end {
                            let from = &x[w.source(new.end, tap)..];
                            // SAFETY: the instruction set is the caller's.
                            unsafe { larger::<S>(from, w.stride, &mut y[new.end..valid.end]) };
                        }
                    }
                    first = false;
                }
            }
        }
    }
}

/// Replaces each element by the element of `from`, at steps of `step`, if that is larger.
///
/// # Safety
/// The machine has the instruction set.
#[inline(always)]
unsafe fn larger<S: Simd>(from: &[S::T], step: usize, to: &mut [S::T]) {
    let mut i = 0;
    if step <= 2 {
        while i + S::LANES <= to.len() && step * (i + S::LANES) <= from.len() {
            // SAFETY: `step·LANES` elements of `from` and `LANES` of `to` are there.
            unsafe {
                let place = from.as_ptr().add(step * i);
                let x = if step == 1 { S::load(place) } else { S::evens(S::load(place), S::load(place.add(S::LANES))) };
                let to = to.as_mut_ptr().add(i);
                S::store(to, S::max(x, S::load(to)));
            }
            i += S::LANES;
        }
    }
    while i < to.len() {
        if from[i * step] > to[i] {
            to[i] = from[i * step];
        }
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{noise, windows};
    use crate::window::WindowSpec;
    use proptest::prelude::*;

    /// The winner of every window, straight from the definition.
    fn winners(window: &Window, x: &[f64]) -> Vec<usize> {
        let mut winners = vec![usize::MAX; window.output_len()];
        window.for_each_row(|row| {
            for (o, i) in row.pairs() {
                if winners[o] == usize::MAX || x[i] > x[winners[o]] {
                    winners[o] = i;
                }
            }
        });
        winners
    }

    proptest! {
        #[test]
        fn maxima_are_those_of_the_winners(
            (spec, space) in windows(),
            coarse: bool,
        ) {
            let Ok(window) = Window::new(&spec, &space) else { return Ok(()) };
            let in_len = window.input_len();
            let mut x = noise(2 * in_len, 5);
            if coarse {
                x.iter_mut().for_each(|v| *v = (*v * 4.0).round());
            }
            x[in_len / 2] = f64::NAN;
            let winners: Vec<usize> =
                x.chunks(in_len).enumerate().flat_map(|(n, x)| winners(&window, x).into_iter().map(move |w| (n, w)))
                    .map(|(n, w)| if w == usize::MAX { w } else { n * in_len + w }).collect();
            if winners.contains(&usize::MAX) {
                return Ok(());
            }
            for isa in Isa::available() {
                for (y, &winner) in max(&window, &x, isa).into_iter().zip(&winners) {
                    prop_assert!(y == x[winner] || y.is_nan() && x[winner].is_nan(), "{:?}", isa);
                }
                let narrow: Vec<f32> = x.iter().map(|&v| v as f32).collect();
                for (y, &winner) in max(&window, &narrow, isa).into_iter().zip(&winners) {
                    prop_assert!(y == narrow[winner] || y.is_nan() && narrow[winner].is_nan(), "{:?}", isa);
                }
            }
            let g = noise(winners.len(), 6);
            let mut expected = vec![0.0; x.len()];
            winners.iter().zip(&g).for_each(|(&winner, &g)| expected[winner] += g);
            for isa in Isa::available() {
                prop_assert_eq!(&route(&window, &x, &g, isa), &expected, "{:?}", isa);
            }
        }
    }

    #[test]
    fn windows_that_halve_a_plane() {
        for (h, w, halves) in [(2, 2, true), (4, 70, true), (6, 36, true), (5, 8, false), (8, 33, false)] {
            let spec = WindowSpec { stride: vec![2, 2], ..WindowSpec::new(&[2, 2]) };
            let window = Window::new(&spec, &[h, w]).unwrap();
            assert_eq!(is_halving(&window), halves);
            let mut x: Vec<f64> = noise(h * w, 7).into_iter().map(|v| (v * 3.0).round()).collect();
            (x[0], x[h * w / 2]) = (f64::NAN, f64::NAN);
            let g = noise(window.output_len(), 8);
            let mut expected = vec![0.0; x.len()];
            winners(&window, &x).into_iter().zip(&g).for_each(|(winner, &g)| expected[winner] += g);
            for isa in Isa::available() {
                assert_eq!(route(&window, &x, &g, isa), expected, "{isa:?}, {h}×{w}");
            }
        }
    }
}
