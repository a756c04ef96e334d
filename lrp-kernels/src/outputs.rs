//! Memory for the outputs of a layer.

#![allow(unsafe_code)]

/// An empty vector with uninitialized capacity for `len` elements. A large one gets large pages: faults of small pages, one after the other,
/// would take longer than many layers.
pub fn uninit<T>(len: usize) -> Vec<T> {
    let vec = Vec::with_capacity(len);
    #[cfg(target_os = "linux")]
    if len * size_of::<T>() >= LARGE {
        crate::memory::in_large_pages(vec.as_ptr() as usize, len * size_of::<T>());
    }
    vec
}

/// Bytes from which on large pages are worth asking for.
#[cfg(target_os = "linux")]
const LARGE: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_of_any_size_can_be_written() {
        for len in [0, 1, 1000, 5_000_001] {
            let mut vec = uninit::<u64>(len);
            vec.extend(0..len as u64);
            assert!(vec.len() == len && vec.last().is_none_or(|&last| last == len as u64 - 1));
        }
    }
}
