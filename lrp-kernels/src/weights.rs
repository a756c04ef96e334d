//! Weights as operators hold them: never changed, shared by copies of an operator, and left in the model's file where that is mapped into
//! memory.

use std::fmt;
use std::marker::PhantomData;

use bytemuck::{Pod, Zeroable};
use bytes::Bytes;

use crate::simd::scalar::Scalar;
use crate::tensor::{Tensor, into_elements};

/// The weights of a layer, row-major: of their own, or a part of a file.
///
/// Files have them at any address. So they are read one by one, or by vectors that do not ask for an alignment.
#[derive(Clone)]
pub struct Weights<T> {
    shape: Vec<usize>,
    /// As many numbers as the shape has, in the machine's byte order.
    bytes: Bytes,
    /// Tells the system that the pages these bytes stand on are not needed for a while.
    release: fn(&[u8]),
    numbers: PhantomData<T>,
}

/// A number at any address.
#[derive(Debug, Clone, Copy, Zeroable, Pod)]
#[repr(C, packed)]
pub struct Stored<T>(T);

impl<T: Copy> Stored<T> {
    /// The number.
    pub fn get(self) -> T {
        self.0
    }
}

/// Numbers that are at an address of their own.
pub fn stored<T: Scalar>(numbers: &[T]) -> &[Stored<T>] {
    bytemuck::must_cast_slice(numbers)
}

/// Numbers as bytes.
struct Owned<T>(Vec<T>);

impl<T: Scalar> AsRef<[u8]> for Owned<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl<T: Scalar> Weights<T> {
    /// Numbers that are never changed, one after the other.
    pub fn new(shape: &[usize], values: Vec<T>) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "{shape:?}");
        let bytes = Bytes::from_owner(Owned(values));
        Self { shape: shape.to_vec(), bytes, release: |_| {}, numbers: PhantomData }
    }

    /// Weights that stay where these bytes are, in the machine's byte order; `release` is called when they are not needed for a while.
    /// Nothing if there are not as many as the shape has.
    pub fn in_place(shape: &[usize], bytes: Bytes, release: fn(&[u8])) -> Option<Self> {
        let count = shape.iter().try_fold(size_of::<T>(), |n, &d| n.checked_mul(d))?;
        (count == bytes.len()).then(|| Self { shape: shape.to_vec(), bytes, release, numbers: PhantomData })
    }

    /// Their shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Their number.
    pub fn len(&self) -> usize {
        self.bytes.len() / size_of::<T>()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Where they stand.
    pub fn stored(&self) -> &[Stored<T>] {
        // Their number is whole, and nothing has to be aligned: it cannot fail.
        bytemuck::try_cast_slice(&self.bytes).unwrap_or_default()
    }

    /// One after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + '_ {
        self.stored().iter().map(|w| w.get())
    }

    /// Others of the same shape.
    pub fn map(&self, f: impl Fn(T) -> T) -> Self {
        self.map_indexed(|_, w| f(w))
    }

    /// Others of the same shape: `f(index, weight)`, row-major.
    pub fn map_indexed(&self, f: impl Fn(usize, T) -> T) -> Self {
        Self::new(&self.shape, self.iter().enumerate().map(|(i, w)| f(i, w)).collect())
    }

    /// Says that they are not needed for a while: what was read of a file is no longer this process's memory. They stay readable.
    pub fn release(&self) {
        (self.release)(&self.bytes);
    }
}

impl<T: Scalar> From<Vec<T>> for Weights<T> {
    fn from(values: Vec<T>) -> Self {
        Self::new(&[values.len()], values)
    }
}

impl<T: Scalar> From<Tensor<T>> for Weights<T> {
    fn from(values: Tensor<T>) -> Self {
        let shape = values.shape().to_vec();
        Self::new(&shape, into_elements(values))
    }
}

impl<T> fmt::Debug for Weights<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weights").field("shape", &self.shape).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_any_address() {
        let numbers = [1.5f32, -2.0, 3.25];
        for offset in 0..4 {
            let mut file = vec![7; offset];
            file.extend(bytemuck::cast_slice::<_, u8>(&numbers));
            let weights = Weights::<f32>::in_place(&[3, 1], Bytes::from(file).slice(offset..), |_| {}).unwrap();
            assert_eq!((weights.shape(), weights.len()), (&[3, 1][..], 3));
            assert_eq!(weights.iter().collect::<Vec<_>>(), numbers);
        }
        assert!(Weights::<f64>::in_place(&[3], Bytes::from(vec![0; 23]), |_| {}).is_none());
        assert!(Weights::<f64>::in_place(&[usize::MAX, 3], Bytes::new(), |_| {}).is_none());
    }
}
