//! Fully connected layers over row-major weights `[outputs, inputs]`, both ways, without packing anything.
//!
//! Forward is dot products: four rows of weights times up to six samples in registers, so that weights are read once for six samples.
//! Backward is sums of rows: four rows, scaled, are added to the gradients of up to six samples. At batch 1 both run at the
//! speed of memory. Each number is summed in one order (forward: by lanes, then over the lanes; backward: row by row), however many samples
//! there are: so a batch gives bit for bit what its samples give, and skipping rows that are multiplied by zero changes nothing.

#![allow(unsafe_code)]

use num_traits::Zero;

use super::simd::{Isa, Simd, Task, with_isa};
use super::{Shared, chunks, each, parts};
use crate::simd::scalar::Scalar;
use crate::weights::Stored;

/// Rows of weights in registers.
const ROWS: usize = 4;
/// Rows of weights that go past all samples of a panel while they are in the cache.
const ROW_BLOCK: usize = 16;
/// Samples that go through a block of weights while that is in the cache.
const PANEL: usize = 48;
/// Inputs that are computed at a time if there are many samples: few enough for the second-level cache, enough for memory to be read in
/// long segments.
const INPUT_BLOCK: usize = 4096;
/// Columns of weights (backward) that a thread computes at a time, for the same reasons.
const COLUMN_BLOCK: usize = 8192;
/// Tasks per thread, so that disturbed threads even out.
const TASKS_PER_THREAD: usize = 4;
/// Multiply-adds below which work is not worth handing to another thread.
const GRAIN: usize = 1 << 16;

/// Samples in registers.
const fn samples<S: Simd>() -> usize {
    if S::REGISTERS >= 32 { 6 } else { 2 }
}

/// The matrix of a fully connected layer.
#[derive(Debug, Clone, Copy)]
pub struct DenseKernel<'a, T: Copy> {
    /// At any address.
    weights: &'a [Stored<T>],
    inputs: usize,
    outputs: usize,
    isa: Isa,
}

impl<'a, T: Scalar> DenseKernel<'a, T> {
    /// `weights` is `[outputs, inputs]`, row-major.
    pub fn new(weights: &'a [Stored<T>], inputs: usize) -> Self {
        let outputs = weights.len() / inputs.max(1);
        Self { weights, inputs, outputs, isa: Isa::best() }
    }

    /// The same on another instruction set, if the machine has it. For tests and measurements.
    pub fn with_isa(self, isa: Isa) -> Self {
        Self { isa: if isa.is_available() { isa } else { self.isa }, ..self }
    }

    /// `W x` for every sample of `x` (`[samples, inputs]`).
    pub fn forward(&self, x: &[T]) -> Vec<T> {
        let mut y = vec![T::zero(); x.len() / self.inputs * self.outputs];
        with_isa!(self.isa, T, S => self.dots::<S<T>>(x, Shared::new(y.as_mut_ptr(), y.len())));
        y
    }

    /// The elements of `W x` with these indices, for one sample: bit for bit those of [`forward`](Self::forward).
    pub fn forward_some(&self, x: &[T], indices: &[usize], y: &mut [T]) {
        with_isa!(self.isa, T, S => self.some_dots::<S<T>>(&x[..self.inputs], indices, &mut y[..self.outputs]));
    }

    /// `Wᵀ s` for every sample of `s` (`[samples, outputs]`).
    pub fn adjoint(&self, s: &[T]) -> Vec<T> {
        let mut g = vec![T::zero(); s.len() / self.outputs * self.inputs];
        // Rows that are multiplied by zero are not even read: after a ReLU, half of them.
        let mut nonzero = vec![false; self.outputs];
        for s in s.chunks(self.outputs) {
            nonzero.iter_mut().zip(s).for_each(|(nonzero, s)| *nonzero |= !s.is_zero());
        }
        let rows: Vec<usize> = (0..self.outputs).filter(|&row| nonzero[row]).collect();
        with_isa!(self.isa, T, S => self.sums::<S<T>>(s, &rows, Shared::new(g.as_mut_ptr(), g.len())));
        g
    }

    /// `Wᵀ s` for one sample that is zero everywhere but at these indices: bit for bit that of [`adjoint`](Self::adjoint).
    pub fn adjoint_of_some(&self, s: &[T], some: &[usize], g: &mut [T]) {
        let (s, g) = (&s[..self.outputs], &mut g[..self.inputs]);
        g.fill(T::zero());
        with_isa!(self.isa, T, S => self.sums::<S<T>>(s, some, Shared::new(g.as_mut_ptr(), g.len())));
    }

    /// Runs `f` for every index, on several threads where that pays.
    fn each(&self, tasks: usize, work: usize, f: impl Fn(usize) + Sync) {
        each(tasks, (GRAIN * tasks).div_ceil(work.max(1)).max(1), &f);
    }

    fn dots<S: Simd<T = T>>(&self, x: &[T], y: Shared<T>) {
        let n = x.len() / self.inputs;
        let (blocks, panels) = (self.outputs.div_ceil(ROW_BLOCK), n.div_ceil(PANEL));
        // With one block of samples nothing is gained by going back and forth.
        let input_block = if n <= samples::<S>() { self.inputs } else { INPUT_BLOCK };
        self.each(blocks * panels, x.len() * self.outputs, |task| {
            let (block, panel) = (task / panels, task % panels);
            let rows = block * ROW_BLOCK..((block + 1) * ROW_BLOCK).min(self.outputs);
            let panel = panel * PANEL..((panel + 1) * PANEL).min(n);
            // The vectors of sums of every row and sample, between one block of inputs and the next.
            let mut sums = vec![T::zero(); ROW_BLOCK * panel.len() * S::LANES];
            for inputs in chunks(self.inputs, input_block) {
                for block in parts(panel.clone(), samples::<S>()) {
                    let mut sums = sums[(block.start - panel.start) * ROW_BLOCK * S::LANES..].as_mut_ptr();
                    for some in chunks(rows.len(), ROWS) {
                        let row = |i: usize| {
                            let row = rows.start + (some.start + i).min(rows.len() - 1);
                            self.weights[row * self.inputs + inputs.start..][..inputs.len()].as_ptr().cast()
                        };
                        let dots = Dots::<S> {
                            rows: [row(0), row(1), row(2), row(3)],
                            x: x[block.start * self.inputs + inputs.start..].as_ptr(),
                            pitch: self.inputs,
                            len: inputs.len(),
                            sums,
                            y: y.at(block.start * self.outputs + rows.start + some.start, 1),
                            y_pitch: self.outputs,
                            last: (inputs.end == self.inputs).then_some(some.len()),
                        };
                        // SAFETY: the instruction set is available. Every row, and every sample of the block, has `len` inputs
                        // from here on; this task alone writes these rows of these samples, and has room for their sums.
                        unsafe { dots.run(block.len()) };
                        sums = sums.wrapping_add(block.len() * ROWS * S::LANES);
                    }
                }
            }
        });
    }

    fn some_dots<S: Simd<T = T>>(&self, x: &[T], indices: &[usize], y: &mut [T]) {
        let y = Shared::new(y.as_mut_ptr(), y.len());
        self.each(indices.len().div_ceil(ROWS), indices.len() * self.inputs, |task| {
            let indices = &indices[task * ROWS..((task + 1) * ROWS).min(indices.len())];
            let row = |i: usize| {
                self.weights[indices[i.min(indices.len() - 1)] * self.inputs..][..self.inputs].as_ptr().cast()
            };
            let mut sums = [T::zero(); ROWS * 16];
            let mut found = [T::zero(); ROWS];
            let dots = Dots::<S> {
                rows: [row(0), row(1), row(2), row(3)],
                x: x.as_ptr(),
                pitch: self.inputs,
                len: self.inputs,
                sums: sums.as_mut_ptr(),
                y: found.as_mut_ptr(),
                y_pitch: ROWS,
                last: Some(indices.len()),
            };
            // SAFETY: as above; no vector has more than 16 lanes.
            unsafe { dots.run(1) };
            for (&index, &dot) in indices.iter().zip(&found) {
                // SAFETY: inside `y`; every index is indices once.
                unsafe { *y.at(index, 1) = dot };
            }
        });
    }

    /// Adds the rows with these indices, times `s`, to `g`, which is zero.
    fn sums<S: Simd<T = T>>(&self, s: &[T], some: &[usize], g: Shared<T>) {
        let n = s.len() / self.outputs;
        let panels = n.div_ceil(PANEL);
        let share = self.inputs * panels / (TASKS_PER_THREAD * rayon::current_num_threads());
        let column_block = share.max(1).next_multiple_of(1024).min(COLUMN_BLOCK);
        let blocks = self.inputs.div_ceil(column_block);
        let row_block = if n <= samples::<S>() { some.len() } else { ROW_BLOCK };
        self.each(blocks * panels, n * some.len() * self.inputs, |task| {
            let (block, panel) = (task / panels, task % panels);
            let columns = block * column_block..((block + 1) * column_block).min(self.inputs);
            let panel = panel * PANEL..((panel + 1) * PANEL).min(n);
            for rows in some.chunks(row_block.max(1)) {
                for block in parts(panel.clone(), samples::<S>()) {
                    for rows in rows.chunks(ROWS) {
                        // Rows that are missing at the end are the last one again, times zero.
                        let index = |i: usize| rows[i.min(rows.len() - 1)];
                        let row = |i: usize| {
                            self.weights[index(i) * self.inputs + columns.start..][..columns.len()].as_ptr().cast()
                        };
                        let mut factors = [[T::zero(); 6]; ROWS];
                        for (factors, &row) in factors.iter_mut().zip(rows) {
                            for (factor, sample) in factors.iter_mut().zip(block.clone()) {
                                *factor = s[sample * self.outputs + row];
                            }
                        }
                        let sums = Sums::<S> {
                            rows: [row(0), row(1), row(2), row(3)],
                            factors,
                            len: columns.len(),
                            g: g.at(block.start * self.inputs + columns.start, columns.len()),
                            pitch: self.inputs,
                        };
                        // SAFETY: the instruction set is available. Every row has these columns; this task alone writes these
                        // columns of these samples.
                        unsafe { sums.run(block.len()) };
                    }
                }
            }
        });
    }
}

/// Dot products of four rows with some samples, or a part of them.
struct Dots<S: Simd> {
    /// At any address.
    rows: [*const S::T; ROWS],
    /// The first sample; the others follow at distances of `pitch`.
    x: *const S::T,
    pitch: usize,
    len: usize,
    /// `[sample, row, lane]`: what was summed so far, and where the sums are left.
    sums: *mut S::T,
    /// Where the first row's result for the first sample goes; the next sample's follow at a distance of `y_pitch`.
    y: *mut S::T,
    y_pitch: usize,
    /// The number of the rows' results that are written, at the end of the rows.
    last: Option<usize>,
}

impl<S: Simd> Dots<S> {
    /// # Safety
    /// The machine has the instruction set; everything described above exists for `n ≤ samples::<S>()` samples.
    unsafe fn run(self, n: usize) {
        // SAFETY: the caller's.
        unsafe {
            match n {
                1 => S::run(DotsOf::<S, 1>(self)),
                2 => S::run(DotsOf::<S, 2>(self)),
                3 => S::run(DotsOf::<S, 3>(self)),
                4 => S::run(DotsOf::<S, 4>(self)),
                5 => S::run(DotsOf::<S, 5>(self)),
                6 => S::run(DotsOf::<S, 6>(self)),
                _ => debug_assert!(false, "{n} samples"),
            }
        }
    }
}

struct DotsOf<S: Simd, const N: usize>(Dots<S>);

impl<S: Simd, const N: usize> Task for DotsOf<S, N> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        if N > samples::<S>() {
            return; // Never called; spares compiling what does not fit into the registers.
        }
        let Dots { rows, x, pitch, len, sums: kept, y, y_pitch, last } = self.0;
        // SAFETY: all reads and writes are those that the caller vouches for.
        unsafe {
            let mut sums = [[S::splat(S::T::zero()); ROWS]; N];
            for n in 0..N {
                for r in 0..ROWS {
                    sums[n][r] = S::load(kept.add((n * ROWS + r) * S::LANES));
                }
            }
            let mut k = 0;
            while k + S::LANES <= len {
                let mut w = [S::splat(S::T::zero()); ROWS];
                for r in 0..ROWS {
                    w[r] = S::load(rows[r].add(k));
                }
                for n in 0..N {
                    let x = S::load(x.add(n * pitch + k));
                    for r in 0..ROWS {
                        sums[n][r] = S::mul_add(w[r], x, sums[n][r]);
                    }
                }
                k += S::LANES;
            }
            if k < len {
                for n in 0..N {
                    let x = S::load_first(x.add(n * pitch + k), len - k);
                    for r in 0..ROWS {
                        sums[n][r] = S::mul_add(S::load_first(rows[r].add(k), len - k), x, sums[n][r]);
                    }
                }
            }
            // By way of memory, even at the end: sums that are picked one by one would not stay in registers before.
            for n in 0..N {
                for r in 0..ROWS {
                    S::store(kept.add((n * ROWS + r) * S::LANES), sums[n][r]);
                }
            }
            for n in 0..N {
                for r in 0..last.unwrap_or(0) {
                    *y.add(n * y_pitch + r) = S::sum(S::load(kept.add((n * ROWS + r) * S::LANES)));
                }
            }
        }
    }
}

/// Four rows, times one factor for each row and sample, added to some samples.
struct Sums<S: Simd> {
    /// At any address.
    rows: [*const S::T; ROWS],
    /// `[row, sample]`.
    factors: [[S::T; 6]; ROWS],
    len: usize,
    /// The first sample; the others follow at distances of `pitch`.
    g: *mut S::T,
    pitch: usize,
}

impl<S: Simd> Sums<S> {
    /// # Safety
    /// The machine has the instruction set; everything described above exists for `n ≤ samples::<S>()` samples.
    unsafe fn run(self, n: usize) {
        // SAFETY: the caller's.
        unsafe {
            match n {
                1 => S::run(SumsOf::<S, 1>(self)),
                2 => S::run(SumsOf::<S, 2>(self)),
                3 => S::run(SumsOf::<S, 3>(self)),
                4 => S::run(SumsOf::<S, 4>(self)),
                5 => S::run(SumsOf::<S, 5>(self)),
                6 => S::run(SumsOf::<S, 6>(self)),
                _ => debug_assert!(false, "{n} samples"),
            }
        }
    }
}

struct SumsOf<S: Simd, const N: usize>(Sums<S>);

impl<S: Simd, const N: usize> Task for SumsOf<S, N> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        if N > samples::<S>() {
            return; // Never called; spares compiling what does not fit into the registers.
        }
        let Sums { rows, factors, len, g, pitch } = self.0;
        // SAFETY: all reads and writes are those that the caller vouches for.
        unsafe {
            let mut s = [[S::splat(S::T::zero()); N]; ROWS];
            for r in 0..ROWS {
                for n in 0..N {
                    s[r][n] = S::splat(factors[r][n]);
                }
            }
            let mut k = 0;
            while k + S::LANES <= len {
                let mut w = [S::splat(S::T::zero()); ROWS];
                for r in 0..ROWS {
                    w[r] = S::load(rows[r].add(k));
                }
                for n in 0..N {
                    let mut sum = S::load(g.add(n * pitch + k));
                    for r in 0..ROWS {
                        sum = S::mul_add(w[r], s[r][n], sum);
                    }
                    S::store(g.add(n * pitch + k), sum);
                }
                k += S::LANES;
            }
            if k < len {
                for n in 0..N {
                    let mut sum = S::load_first(g.add(n * pitch + k), len - k);
                    for r in 0..ROWS {
                        sum = S::mul_add(S::load_first(rows[r].add(k), len - k), s[r][n], sum);
                    }
                    S::store_first(g.add(n * pitch + k), len - k, sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::noise;
    use crate::weights::Weights;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn check<T: Scalar>(n: usize, inputs: usize, outputs: usize) {
        let narrow = |values: Vec<f64>| values.into_iter().map(T::of).collect::<Vec<_>>();
        let (w, x, s) = (noise(outputs * inputs, 1), noise(n * inputs, 2), noise(n * outputs, 3));
        let (w, x, s) = (narrow(w), narrow(x), narrow(s));
        let close = |found: T, terms: &mut dyn Iterator<Item = (T, T)>| {
            let (mut sum, mut size) = (0.0, 0.0);
            terms.for_each(|(a, b)| (sum, size) = (sum + a.wide() * b.wide(), size + (a.wide() * b.wide()).abs()));
            assert!((found.wide() - sum).abs() <= 64.0 * T::epsilon().wide() * size, "{found} is not {sum}");
        };
        // Weights stand anywhere in a file.
        let file: Vec<u8> = [&[0; 3], bytemuck::cast_slice(&w)].concat();
        let weights = Weights::in_place(&[outputs, inputs], Bytes::from(file).slice(3..), |_| {}).unwrap();
        for isa in Isa::available() {
            let kernel = DenseKernel::new(weights.stored(), inputs).with_isa(isa);
            let (y, g) = (kernel.forward(&x), kernel.adjoint(&s));
            for sample in 0..n {
                let (x, s) = (&x[sample * inputs..][..inputs], &s[sample * outputs..][..outputs]);
                let (y, g) = (&y[sample * outputs..][..outputs], &g[sample * inputs..][..inputs]);
                for (k, &y) in y.iter().enumerate() {
                    close(y, &mut (0..inputs).map(|j| (w[k * inputs + j], x[j])));
                }
                for (j, &g) in g.iter().enumerate() {
                    close(g, &mut (0..outputs).map(|k| (w[k * inputs + j], s[k])));
                }
                // A sample alone, and a part of its outputs, give the same bits.
                assert_eq!((&*kernel.forward(x), &*kernel.adjoint(s)), (y, g));
                let some: Vec<usize> = (0..outputs).filter(|k| k * k % 7 == 2 || k % 5 == 3).collect();
                let mut found = y.to_vec();
                some.iter().for_each(|&k| found[k] = T::nan());
                kernel.forward_some(x, &some, &mut found);
                assert_eq!(found, y);
                let sparse: Vec<T> = (0..outputs).map(|k| if some.contains(&k) { s[k] } else { T::zero() }).collect();
                let mut found = vec![T::nan(); inputs];
                kernel.adjoint_of_some(&sparse, &some, &mut found);
                assert_eq!(found, kernel.adjoint(&sparse));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn any_layer_is_its_definition(n in 1..20usize, inputs in 1..90usize, outputs in 1..90usize) {
            check::<f32>(n, inputs, outputs);
            check::<f64>(n, inputs, outputs);
        }
    }

    #[test]
    fn blocks_of_samples_inputs_rows_and_columns() {
        check::<f32>(50, INPUT_BLOCK + 3, 2 * ROW_BLOCK + 1);
        check::<f64>(7, COLUMN_BLOCK + 17, 40);
        check::<f32>(1, COLUMN_BLOCK + 17, 300);
    }
}
