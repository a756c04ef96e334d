//! Matrix products on slices, through `ndarray` (which hands them to `matrixmultiply`).

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use crate::scalar::Scalar;

/// How a row-major slice is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Mat<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    transposed: bool,
}

impl<'a, T> Mat<'a, T> {
    /// `data` as `rows × cols`.
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        debug_assert_eq!(data.len(), rows * cols);
        Self { data, rows, cols, transposed: false }
    }

    /// The transpose, without moving anything.
    pub fn t(mut self) -> Self {
        self.transposed = !self.transposed;
        self
    }

    fn view(self) -> Option<ArrayView2<'a, T>> {
        let view = ArrayView2::from_shape((self.rows, self.cols), self.data).ok()?;
        Some(if self.transposed { view.reversed_axes() } else { view })
    }
}

/// `c = a · b`, with `c` row-major. Every element of `c` is summed in the same order whatever the number
/// of rows, so that a batch gives bit for bit what its samples give.
pub fn matmul<T: Scalar>(a: Mat<'_, T>, b: Mat<'_, T>, c: &mut [T]) {
    let (Some(a), Some(b)) = (a.view(), b.view()) else { return };
    if let Ok(mut c) = ArrayViewMut2::from_shape((a.nrows(), b.ncols()), c) {
        general_mat_mul(T::one(), &a, &b, T::zero(), &mut c);
    }
}
