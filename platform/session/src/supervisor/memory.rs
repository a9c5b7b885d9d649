//! Makes the start short: a policy of some hundred rules touches some hundred fresh pages, and
//! each of them costs a fault that takes longer than what is written to it.

/// Bytes that are made ready at once: what parsing and merging 500 rules takes.
#[cfg(target_env = "gnu")]
const READY: usize = 2 << 20;

/// Makes the next allocations come from memory that is there already. What fails here only makes
/// the start slower.
#[cfg(target_env = "gnu")]
pub(super) fn prepare() {
    // SAFETY: mallopt takes numbers, and no other thread allocates yet (mallopt(3)).
    unsafe {
        // One heap for all threads, which allocate little, that grows and is not given back.
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_TOP_PAD, READY as libc::c_int);
    }
    // Larger than what is left of the heap, so that it grows by this and the padding.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(256 << 10)));
    // SAFETY: asking for the heap's end takes a number.
    let end = unsafe { libc::sbrk(0) };
    let start = (end as usize).saturating_sub(READY).next_multiple_of(4096);
    // SAFETY: this changes no content and unmaps nothing (madvise(2)); the range lies in the heap,
    // and where it does not, the kernel says so.
    unsafe {
        libc::madvise(
            start as *mut libc::c_void,
            (end as usize).saturating_sub(start),
            libc::MADV_POPULATE_WRITE,
        );
    }
}

/// Other allocators have other ways.
#[cfg(not(target_env = "gnu"))]
pub(super) fn prepare() {}
