//! A slice that several threads write to, each its own elements.

#![allow(unsafe_code)]

use std::marker::PhantomData;

/// A mutable slice, handed to many threads. Whoever writes through it must see to it that nobody else touches that element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a mutable slice; writing through the pointers it gives is unsafe and asks for disjoint elements.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: the same.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// A pointer to an element.
    #[inline]
    pub fn at(&self, index: usize) -> *mut T {
        assert!(index < self.len, "element {index} of {}", self.len);
        // SAFETY: inside the slice.
        unsafe { self.start.add(index) }
    }
}
