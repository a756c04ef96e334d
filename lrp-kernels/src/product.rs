//! Products of matrices: dense layers on many rows, and the products of activations that attention has.
//!
//! `C = A B` after Goto and van de Geijn (2008): rows of `A` are packed in panels, columns of `B` in blocks, each in the order in which the
//! micro-kernel reads it, which is the one of [convolutions](crate::conv) with one tap. `B` stays in the second-level cache for a part of the inner
//! axis at a time. Each number is summed in one order, which depends on the inner axis alone: rows that are multiplied together with others have the
//! bits that they have alone.

#![allow(unsafe_code)]

use std::ops::Range;

use num_traits::Zero;

use crate::conv::tile::{BLOCK, Tile, pixels};
use crate::simd::scalar::Scalar;
use crate::simd::{Isa, Simd, Task, left, with_isa};
use crate::weights::{Stored, stored};
use crate::{Scratch, Shared, chunks, each, parts, uninit};

/// The part of the inner axis that is multiplied at a time: a block of `B` of this length takes an eighth of a second-level cache.
const INNER: usize = 1024;
/// Tasks per thread, so that disturbed threads even out.
const TASKS_PER_THREAD: usize = 4;
/// Panels of `A` for which it pays to pack a block of `B`.
const PANELS: usize = 8;
/// Steps of packing between asking for what is packed and packing it.
const AHEAD: usize = 16;
/// Multiply-adds below which work is not worth handing to another thread.
const GRAIN: usize = 1 << 17;

/// Matrices of one size, one after the other, row-major or transposed.
#[derive(Debug, Clone, Copy)]
pub struct Matrices<'a, T: Copy> {
    elements: &'a [Stored<T>],
    transposed: bool,
}

impl<'a, T: Scalar> Matrices<'a, T> {
    /// Row-major matrices.
    pub fn new(elements: &'a [T]) -> Self {
        Self::stored(stored(elements))
    }

    /// Row-major matrices at any address.
    pub fn stored(elements: &'a [Stored<T>]) -> Self {
        Self { elements, transposed: false }
    }

    /// The transposes of these matrices.
    pub fn transposed(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }
}

/// What becomes of a product before it is written.
#[derive(Debug, Clone, Copy)]
pub enum Finish<'a, T> {
    /// `C`.
    Plain,
    /// `C + b`, with a number for each column.
    Plus(&'a [T]),
    /// `x ⊙ f C`, zeros made `+0`; `x` is as large as all products, `f` a number.
    Times(&'a [T], T),
    /// `r + x ⊙ C`; `x` and `r` are as large as all products.
    TimesOnto(&'a [T], &'a [T]),
}

/// `count` products `C = A B`, where `A` is `[rows, inner]` and `B` is `[inner, columns]`.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a, T: Copy> {
    /// The first factors.
    pub a: Matrices<'a, T>,
    /// The second factors.
    pub b: Matrices<'a, T>,
    /// Number of products.
    pub count: usize,
    /// Rows, inner axis, columns.
    pub sizes: [usize; 3],
}

impl<T: Scalar> Product<'_, T> {
    /// All products, one after the other, row-major.
    ///
    /// # Panics
    /// When there are fewer elements than the sizes say.
    pub fn compute(&self, finish: Finish<'_, T>) -> Vec<T> {
        self.compute_with(Isa::best(), finish)
    }

    /// The same on an instruction set that the machine has.
    fn compute_with(&self, isa: Isa, finish: Finish<'_, T>) -> Vec<T> {
        let [rows, inner, columns] = self.sizes;
        let len = self.count * rows * columns;
        assert!(
            self.a.elements.len() >= self.count * rows * inner && self.b.elements.len() >= self.count * inner * columns
        );
        match finish {
            _ if inner == 0 => return vec![T::zero(); len],
            Finish::Plain => {}
            Finish::Plus(b) => assert!(b.len() == columns, "{} numbers for {columns} columns", b.len()),
            Finish::Times(x, _) => assert!(x.len() == len, "{} factors for {len} elements", x.len()),
            Finish::TimesOnto(x, r) => {
                assert!(x.len() == len && r.len() == len, "{} and {} for {len}", x.len(), r.len())
            }
        }
        let mut out = uninit(len);
        let target = Shared::new(out.as_mut_ptr(), len);
        with_isa!(isa, T, S => self.run::<S<T>>(target, finish));
        // SAFETY: that many elements were asked for, and each is written: every row of every panel, in every block of columns.
        unsafe { out.set_len(len) };
        out
    }

    fn run<S: Simd<T = T>>(&self, out: Shared<T>, finish: Finish<'_, T>) {
        let [rows, inner, columns] = self.sizes;
        let panels: Vec<Range<usize>> = parts(0..rows, pixels::<S>()).filter(|panel| !panel.is_empty()).collect();
        let (block, work) = (BLOCK * S::LANES, self.count * rows * inner * columns);
        let packed = self.pack_rows::<S>(&panels);
        let blocks = columns.div_ceil(block);
        // Few blocks of many rows are divided by rows, too.
        let wanted = (TASKS_PER_THREAD * rayon::current_num_threads()).div_ceil((self.count * blocks).max(1));
        let groups = wanted.clamp(1, panels.len().div_ceil(PANELS).max(1));
        let tasks = self.count * blocks * groups;
        each(tasks, (GRAIN * tasks).div_ceil(work.max(1)).max(1), &|task| {
            let (matrix, index, group) = (task / groups / blocks, task / groups % blocks, task % groups);
            let some = &panels[group * panels.len() / groups..(group + 1) * panels.len() / groups];
            let first = index * block..((index + 1) * block).min(columns);
            let lengths = [inner.min(INNER) * block, pixels::<S>() * block];
            let mut scratch = Scratch::new(lengths);
            let [weights, sums] = scratch.slices(lengths);
            for part in parts(0..inner, INNER) {
                self.pack_columns::<S>(matrix, part.clone(), first.clone(), weights);
                for (position, panel) in some.iter().enumerate() {
                    let source = |panel: &Range<usize>| {
                        packed[matrix * rows * inner + part.start * rows + panel.start * part.len()..].as_ptr()
                    };
                    let tile = Tile::<S> {
                        source: source(panel),
                        channels: part.len(),
                        channel: panel.len(),
                        taps: &[0],
                        weights: weights.as_ptr(),
                        target: sums.as_mut_ptr(),
                        target_channel: 1,
                        target_channels: block,
                    };
                    let next = some.get(position + 1).map_or_else(|| weights.as_ptr(), source);
                    let ahead = [(next, panel.len()), (next.wrapping_add(S::LANES), panel.len())];
                    // SAFETY: the instruction set is available; the panel and the block are packed for this part of the inner axis, and there is
                    // room for the sums of whole blocks.
                    unsafe { tile.run_by_pixel(panel.len(), ahead) };
                    let start = (matrix * rows + panel.start) * columns + first.start;
                    let last = part.end == inner;
                    let written = Written::<S> {
                        sums: sums.as_ptr(),
                        rows: panel.len(),
                        columns: first.len(),
                        // Of this task alone: these columns of these rows.
                        target: out.at(start, (panel.len() - 1) * columns + first.len()),
                        step: columns,
                        begins: part.start == 0,
                        finish: match finish {
                            _ if !last => Ending::Plain,
                            Finish::Plain => Ending::Plain,
                            Finish::Plus(b) => Ending::Plus(b[first.clone()].as_ptr()),
                            Finish::Times(x, factor) => Ending::Times(x[start..].as_ptr(), factor),
                            Finish::TimesOnto(x, r) => Ending::TimesOnto(x[start..].as_ptr(), r[start..].as_ptr()),
                        },
                    };
                    // SAFETY: the instruction set is available, and there is what is described.
                    unsafe { S::run(written) };
                }
            }
        });
    }

    /// Panels of `A`, `[matrix, part of the inner axis, panel, inner, row]`.
    fn pack_rows<S: Simd<T = T>>(&self, panels: &[Range<usize>]) -> Vec<T> {
        let [rows, inner, _] = self.sizes;
        let mut packed = uninit(self.count * rows * inner);
        let target = Shared::new(packed.as_mut_ptr(), self.count * rows * inner);
        let tasks = self.count * panels.len();
        each(tasks, (GRAIN / (16 * pixels::<S>() * inner)).max(1), &|task| {
            let (matrix, panel) = (task / panels.len(), &panels[task % panels.len()]);
            for part in parts(0..inner, INNER) {
                let start = matrix * rows * inner + part.start * rows + panel.start * part.len();
                let target = target.at(start, panel.len() * part.len());
                let lines = self.a.lines(matrix, [rows, inner], panel.clone(), part);
                // SAFETY: the instruction set is available; this task alone writes this panel, and there is room for it.
                unsafe { S::run(Packing::<S> { lines, target, width: panel.len() }) };
            }
        });
        // SAFETY: that many elements were asked for, and the panels and parts are all of them.
        unsafe { packed.set_len(self.count * rows * inner) };
        packed
    }

    /// A block of columns of `B`, `[inner, column]`, with whatever in the places of columns that do not exist.
    fn pack_columns<S: Simd<T = T>>(&self, matrix: usize, part: Range<usize>, columns: Range<usize>, target: &mut [T]) {
        let width = BLOCK * S::LANES;
        assert!(target.len() >= part.len() * width);
        if columns.len() < width {
            // Sums of what does not exist are not read, but numbers that are none of anything are slow to multiply.
            target.fill(T::zero());
        }
        let [_, inner, all] = self.sizes;
        let lines = self.b.transposed().lines(matrix, [all, inner], columns, part);
        // SAFETY: the instruction set is available, and there is room for the block.
        unsafe { S::run(Packing::<S> { lines, target: target.as_mut_ptr(), width }) };
    }
}

/// Some lines of a matrix, and of each the same part: element `i` of a line is `start[line·line_step + i·step]`; one of the steps is one.
struct Lines<'a, T: Copy> {
    start: &'a [Stored<T>],
    line_step: usize,
    step: usize,
    lines: usize,
    len: usize,
}

impl<'a, T: Scalar> Matrices<'a, T> {
    /// Some rows of a matrix, and some of their elements.
    fn lines(&self, matrix: usize, [rows, inner]: [usize; 2], some: Range<usize>, part: Range<usize>) -> Lines<'a, T> {
        let [line_step, step] = if self.transposed { [1, rows] } else { [inner, 1] };
        let first = some.start * line_step + part.start * step;
        let start = &self.elements[matrix * rows * inner + first..(matrix + 1) * rows * inner];
        Lines { start, line_step, step, lines: some.len(), len: part.len() }
    }
}

/// Interleaves lines: `target[i·width + line]`.
struct Packing<'a, S: Simd> {
    lines: Lines<'a, S::T>,
    target: *mut S::T,
    width: usize,
}

impl<S: Simd> Task for Packing<'_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        let Self { lines: Lines { start, line_step, step, lines, len }, target, width } = self;
        if lines == 0 || len == 0 {
            return;
        }
        assert!(start.len() > (lines - 1) * line_step + (len - 1) * step);
        let from: *const S::T = start.as_ptr().cast();
        // SAFETY: the elements of the lines are those of the slice, as just checked; the caller vouches for the target.
        unsafe {
            if line_step == 1 {
                for i in 0..len {
                    // A few lines of each of many pages: nothing fetches them in advance.
                    for line in (0..lines).step_by(S::LANES) {
                        S::prefetch(from.wrapping_add((i + AHEAD) * step + line));
                    }
                    let (from, to) = (from.add(i * step), target.add(i * width));
                    if lines == BLOCK * S::LANES {
                        for b in 0..BLOCK {
                            S::store(to.add(b * S::LANES), S::load(from.add(b * S::LANES)));
                        }
                        continue;
                    }
                    for line in (0..lines).step_by(S::LANES) {
                        let n = left::<S>(lines, line);
                        S::store_first(to.add(line), n, S::load_first(from.add(line), n));
                    }
                }
                return;
            }
            for some in chunks(lines, S::LANES) {
                let (from, to) = (from.add(some.start * line_step), target.add(some.start));
                let mut i = 0;
                while i + S::LANES <= len {
                    for line in 0..some.len() {
                        S::prefetch(from.wrapping_add(line * line_step + i + AHEAD * S::LANES));
                    }
                    S::transpose(from.add(i), line_step, some.len(), to.add(i * width), width, S::LANES);
                    i += S::LANES;
                }
                for i in i..len {
                    for line in 0..some.len() {
                        *to.add(i * width + line) = from.add(line * line_step + i).read_unaligned();
                    }
                }
            }
        }
    }
}

/// Sums of a panel and a block, on their way to the product.
struct Written<S: Simd> {
    /// `[row, BLOCK·LANES]`.
    sums: *const S::T,
    rows: usize,
    columns: usize,
    /// The first row; the others follow at distances of `step`.
    target: *mut S::T,
    step: usize,
    /// Whether these are the first sums, to which nothing is added.
    begins: bool,
    /// What is done with complete sums.
    finish: Ending<S::T>,
}

/// A [`Finish`] of some rows and columns. Pointers to elements are to those that belong to the first one that is written.
#[derive(Clone, Copy)]
enum Ending<T> {
    Plain,
    Plus(*const T),
    Times(*const T, T),
    TimesOnto(*const T, *const T),
}

impl<S: Simd> Task for Written<S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run(self) {
        for row in 0..self.rows {
            for column in (0..self.columns).step_by(S::LANES) {
                let n = left::<S>(self.columns, column);
                // SAFETY: the caller vouches for all rows and columns.
                unsafe {
                    let at = row * self.step + column;
                    let to = self.target.add(at);
                    let mut v = S::load(self.sums.add(row * BLOCK * S::LANES + column));
                    if !self.begins {
                        v = S::add(S::load_first(to, n), v);
                    }
                    let v = match self.finish {
                        Ending::Plain => v,
                        Ending::Plus(b) => S::add(v, S::load_first(b.add(column), n)),
                        Ending::Times(x, factor) => {
                            let product = S::mul(S::load_first(x.add(at), n), S::mul(v, S::splat(factor)));
                            S::add(product, S::splat(S::T::zero()))
                        }
                        Ending::TimesOnto(x, r) => {
                            S::add(S::load_first(r.add(at), n), S::mul(S::load_first(x.add(at), n), v))
                        }
                    };
                    S::store_first(to, n, v);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::noise;
    use proptest::prelude::*;

    fn check<T: Scalar>(count: usize, [m, k, n]: [usize; 3], transposed: [bool; 2]) {
        let numbers = |len, seed| noise(len, seed).into_iter().map(T::of).collect::<Vec<_>>();
        let (a, b, x, bias) =
            (numbers(count * m * k, 1), numbers(count * k * n, 2), numbers(count * m * n, 3), numbers(n, 4));
        // `B` at an odd address, as weights in a file are.
        let file: Vec<u8> = [&[0; 3], bytemuck::cast_slice(&b)].concat();
        let odd: &[Stored<T>] = bytemuck::try_cast_slice(&file[3..]).unwrap();
        let a_of =
            |elements| if transposed[0] { Matrices::new(elements).transposed() } else { Matrices::new(elements) };
        let b_all = if transposed[1] { Matrices::stored(odd).transposed() } else { Matrices::stored(odd) };
        let at = |i: usize, row: usize, column: usize| {
            let terms = (0..k).map(|j| {
                let a = if transposed[0] { a[i * m * k + j * m + row] } else { a[i * m * k + row * k + j] };
                let b = if transposed[1] { b[i * k * n + column * k + j] } else { b[i * k * n + j * n + column] };
                a.wide() * b.wide()
            });
            terms.fold((0.0, 0.0), |(sum, size): (f64, f64), v| (sum + v, size + v.abs()))
        };
        for isa in Isa::available() {
            let product = Product { a: a_of(&a), b: b_all, count, sizes: [m, k, n] };
            let plain = product.compute_with(isa, Finish::Plain);
            for (index, c) in plain.iter().enumerate() {
                let (sum, size) = at(index / (m * n), index / n % m, index % n);
                assert!((c.wide() - sum).abs() <= 8.0 * T::epsilon().wide() * size, "{c} is not {sum}");
            }
            let plus = product.compute_with(isa, Finish::Plus(&bias));
            assert!(plus.iter().zip(plain.iter().zip(bias.iter().cycle())).all(|(&p, (&c, &b))| p == c + b));
            let times = product.compute_with(isa, Finish::Times(&x, T::of(0.5)));
            assert!(times.iter().zip(plain.iter().zip(&x)).all(|(&p, (&c, &x))| p == x * (c * T::of(0.5))));
            let onto = product.compute_with(isa, Finish::TimesOnto(&x, &plain));
            assert!(onto.iter().zip(plain.iter().zip(&x)).all(|(&p, (&c, &x))| p == c + x * c));
            // A row alone has the same bits.
            if !transposed[0] && count == 1 {
                let row = m / 2;
                let alone = Product { a: Matrices::new(&a[row * k..][..k]), sizes: [1, k, n], ..product };
                assert_eq!(alone.compute_with(isa, Finish::Plain), plain[row * n..][..n]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn any_product_is_its_definition(
            count in 1..4usize,
            sizes in [1..40usize, 1..50usize, 1..80usize],
            transposed in any::<[bool; 2]>(),
        ) {
            check::<f32>(count, sizes, transposed);
            check::<f64>(count, sizes, transposed);
        }
    }

    #[test]
    fn parts_of_the_inner_axis_and_groups_of_rows() {
        check::<f32>(1, [3, 2 * INNER + 5, 33], [false, true]);
        check::<f64>(1, [250, 70, 3], [false, false]);
        check::<f32>(2, [0, 3, 4], [false, false]);
    }
}
