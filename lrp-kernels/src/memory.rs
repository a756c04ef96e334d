//! Advice to the allocator, and what came of it.

#![allow(unsafe_code)]

/// Asks the allocator to keep what is freed, for programs that explain many inputs: activations come and go by the dozen, and giving their
/// memory back to the system each time, to be given new pages that have to be cleared, costs more than many a layer. Call it at the
/// beginning of `main`. It does something for glibc's allocator, others are left as they are.
///
/// Where the system has large pages for those that ask (`madvise` or `always` in `/sys/kernel/mm/transparent_hugepage/enabled`), the first
/// gibibyte of what is allocated is in large pages: kernels read channels far apart, and the TLB holds few pages.
pub fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets numbers; ones that the allocator does not like are ignored.
    unsafe {
        // Activations are allocated by whichever thread walks: let all share one heap.
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        // Addresses only: memory is taken when something is written. What is freed at the end of the heap stays a part of it.
        let room = libc::malloc(HEAP);
        if !room.is_null() {
            in_large_pages(room as usize, HEAP);
            libc::free(room);
        }
    }
}

/// Bytes of addresses that the heap begins with; less than the threshold from which on memory does not come from there.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAP: usize = (1 << 30) - (1 << 20);

/// Asks the system for large pages for memory of the caller's.
#[cfg(target_os = "linux")]
pub fn in_large_pages(start: usize, bytes: usize) {
    /// The alignment of addresses; no machine has larger small pages.
    const PAGE: usize = 64 << 10;
    let (first, end) = (start.next_multiple_of(PAGE), (start + bytes) / PAGE * PAGE);
    if first < end {
        // SAFETY: this is advice: contents stay what they are, whoever has them. Whether it is taken does not matter.
        unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE) };
    }
}

/// The most memory that this process can have, in bytes, where the system says so: that of the machine, of the control group, or of
/// `ulimit -v`, whichever is least.
pub fn limit() -> Option<u64> {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let machine = || {
        let info = std::fs::read_to_string("/proc/meminfo").ok()?;
        let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        total.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| 1024 * kib)
    };
    let group =
        || number("/sys/fs/cgroup/memory.max").or_else(|| number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    [machine(), group(), addresses()].into_iter().flatten().min()
}

/// The most addresses that this process can have, if they are limited.
#[cfg(unix)]
fn addresses() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: writes to `limit`, which is what it expects.
    let done = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) } == 0;
    #[allow(clippy::useless_conversion)] // Of another type on other systems.
    (done && limit.rlim_cur != libc::RLIM_INFINITY).then(|| u64::from(limit.rlim_cur))
}

#[cfg(not(unix))]
fn addresses() -> Option<u64> {
    None
}

/// The most memory that this process has had, in bytes, where the system says so (Linux).
pub fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().trim_end_matches(" kB").parse::<usize>().ok().map(|kib| 1024 * kib)
}
