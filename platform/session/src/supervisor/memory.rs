//! Makes the start short: the supervisor has threads that allocate little, and a policy of some
//! hundred rules that it reads at once, into fresh pages that would each cost a fault.

/// What reading and merging 500 rules takes, in bytes.
#[cfg(target_env = "gnu")]
const READY: usize = 640 << 10;

/// One heap for all threads, which grows in few steps and is not given back, and whose first pages
/// are there. What fails here only makes the start slower.
#[cfg(target_env = "gnu")]
pub(super) fn prepare() {
    // SAFETY: mallopt takes numbers, and no other thread allocates yet (mallopt(3)).
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_TOP_PAD, READY as libc::c_int);
    }
    // More than is left of the heap, so that it grows by the padding.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(120 << 10)));
    // SAFETY: asking for the heap's end takes a number.
    let end = unsafe { libc::sbrk(0) } as usize;
    let start = end.saturating_sub(READY).next_multiple_of(4096);
    // SAFETY: this changes no content and unmaps nothing (madvise(2)); the range lies in the heap,
    // and where it does not, the kernel says so.
    unsafe {
        libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_POPULATE_WRITE);
    }
}

/// Other allocators have other ways.
#[cfg(not(target_env = "gnu"))]
pub(super) fn prepare() {}
