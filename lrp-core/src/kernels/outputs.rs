//! Memory for the outputs of a layer.

#![allow(unsafe_code)]

/// Room for `len` elements. Where it is large, the system is asked for large pages: providing small ones, one after the other as they are
/// first written to, would take longer than many layers.
pub(crate) fn with_room<T>(len: usize) -> Vec<T> {
    let vec = Vec::with_capacity(len);
    #[cfg(target_os = "linux")]
    if len * size_of::<T>() >= LARGE {
        let start = vec.as_ptr() as usize;
        let (first, end) = (start.next_multiple_of(PAGE), (start + len * size_of::<T>()) / PAGE * PAGE);
        // SAFETY: these pages belong to the vector alone, and this is advice: contents stay what they are. Whether it is taken does not
        // matter.
        unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE) };
    }
    vec
}

/// Bytes from which on large pages are worth asking for.
#[cfg(target_os = "linux")]
const LARGE: usize = 4 << 20;
/// What addresses must be a multiple of; no machine has larger small pages.
#[cfg(target_os = "linux")]
const PAGE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_of_any_size_can_be_written() {
        for len in [0, 1, 1000, 5_000_001] {
            let mut vec = with_room::<u64>(len);
            vec.extend(0..len as u64);
            assert!(vec.len() == len && vec.last().is_none_or(|&last| last == len as u64 - 1));
        }
    }
}
