//! Advice to the allocator, and what came of it.

#![allow(unsafe_code)]

/// Asks the allocator to keep what is freed, for programs that explain many inputs: activations come and go by the dozen, and giving their
/// memory back to the system each time, to be given new pages that have to be cleared, costs more than many a layer. Call it at the
/// beginning of `main`. It does something for glibc's allocator, others are left as they are.
pub fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets numbers; ones that the allocator does not like are ignored.
    unsafe {
        // Activations are allocated by whichever thread walks: let all share one heap.
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}

/// The most memory that this process has had, in bytes, where the system says so (Linux).
pub fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().trim_end_matches(" kB").parse::<usize>().ok().map(|kib| 1024 * kib)
}
