//! Strategies for numbers and tensors, which shrink to short and simple ones.

use lrp_core::Tensor;
use proptest::prelude::*;

/// A list that is read round and round, so that a few numbers fill any shape and shrinking can make them fewer.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    values: Vec<f64>,
    next: usize,
}

impl Pool {
    /// Reads these numbers.
    ///
    /// # Panics
    /// When there are none.
    pub fn new(values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "a pool needs a number");
        Self { values, next: 0 }
    }

    /// The next `n` numbers.
    pub fn take(&mut self, n: usize) -> Vec<f64> {
        let start = self.next;
        self.next += n;
        (start..self.next).map(|i| self.values[i % self.values.len()]).collect()
    }

    /// A tensor of the next numbers.
    pub fn tensor(&mut self, shape: &[usize]) -> Tensor<f64> {
        let values = self.take(shape.iter().product());
        Tensor::from_shape_vec(shape, values).expect("as many numbers as the shape has elements")
    }
}

/// A multiple of 1/8 within ±2, exactly zero every now and then; simple enough to be read, and exact in `f32` as in `f64`, so that
/// sums cancel to exactly zero or not at all.
pub fn eighths() -> impl Strategy<Value = f64> {
    (-16..=16i32).prop_map(|n| f64::from(n) / 8.0)
}

/// Any number within ±2, with all its bits.
pub fn reals() -> impl Strategy<Value = f64> {
    -2.0..2.0_f64
}

/// A pool of up to `n` numbers, mostly eighths.
pub fn pool(n: usize) -> impl Strategy<Value = Pool> {
    let number = prop_oneof![3 => eighths(), 1 => reals()];
    let eighths = prop::collection::vec(eighths(), 1..=n);
    // A pool is of one sort: sums of eighths stay exact.
    prop_oneof![2 => eighths, 1 => prop::collection::vec(number, 1..=n)].prop_map(Pool::new)
}

/// A tensor of this shape with numbers in `[low, high]`; every eighth is exactly zero (where zero is in the range).
pub fn tensors(shape: Vec<usize>, low: f64, high: f64) -> impl Strategy<Value = Tensor<f64>> {
    let zero = 0.0_f64.clamp(low, high);
    let number = prop_oneof![1 => Just(zero), 7 => low..=high];
    prop::collection::vec(number, shape.iter().product::<usize>())
        .prop_map(move |values| Tensor::from_shape_vec(shape.as_slice(), values).expect("sizes fit"))
}

/// A sample shape of `rank` axes of 1 to `longest` elements.
pub fn shapes(rank: std::ops::RangeInclusive<usize>, longest: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..=longest, rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_goes_round() {
        let mut pool = Pool::new(vec![1.0, 2.0, 3.0]);
        assert_eq!(pool.take(2), [1.0, 2.0]);
        assert_eq!(pool.tensor(&[1, 3]).into_raw_vec_and_offset().0, [3.0, 1.0, 2.0]);
    }

    proptest! {
        #[test]
        fn tensors_keep_to_their_range(t in tensors(vec![2, 3], 0.5, 1.5)) {
            prop_assert_eq!(t.shape(), &[2, 3]);
            prop_assert!(t.iter().all(|v| (0.5..=1.5).contains(v)));
        }
    }
}
