//! Memory that several threads write to, each its own elements.

#![allow(unsafe_code)]

/// Elements, initialized or not, handed to many threads. Whoever writes through it must see to it that they exist for as long as
/// that takes and that nobody else touches the same ones.
#[derive(Debug, Clone, Copy)]
pub struct Shared<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: it is a pointer; using it is unsafe and asks for disjoint elements.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: the same.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// `len` elements from `start` on.
    pub fn new(start: *mut T, len: usize) -> Self {
        Self { start, len }
    }

    /// A pointer to the first of `len` elements.
    #[inline]
    pub fn at(&self, index: usize, len: usize) -> *mut T {
        assert!(index + len <= self.len, "elements {index}..{} of {}", index + len, self.len);
        self.start.wrapping_add(index)
    }
}
