//! Makes a start short: a policy of some hundred rules is read at once, into fresh pages that would
//! each cost a fault.

/// One heap for all threads, which is not given back, with so many bytes of it there already, in a
/// huge page where the kernel has one: that is one fault instead of some hundreds. To be called
/// before there is a second thread; what fails here only makes the start slower.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn prepare_memory(bytes: usize) {
    /// The size of a huge page, where there are any, and what one has to be aligned to.
    const HUGE: usize = 2 << 20;
    /// What the allocator keeps with each piece, and what it rounds to.
    const KEPT: usize = 64;
    // SAFETY: mallopt takes numbers, and no other thread allocates yet (mallopt(3)).
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
    }
    // The heap grows by this much once. What it gives next begins at the same place again.
    let room = std::hint::black_box(Vec::<u8>::with_capacity(2 * HUGE));
    let start = room.as_ptr().addr();
    drop(room);
    let huge = start.next_multiple_of(HUGE);
    // Passed over and never touched, so no memory: the heap goes on where the huge page begins.
    std::mem::forget(std::hint::black_box(Vec::<u8>::with_capacity(
        (huge - start).saturating_sub(KEPT),
    )));
    let range = huge as *mut libc::c_void;
    // SAFETY: these change no content and unmap nothing (madvise(2)); the range is free heap.
    unsafe {
        libc::madvise(range, HUGE, libc::MADV_HUGEPAGE);
        libc::madvise(range, bytes.min(HUGE), libc::MADV_POPULATE_WRITE);
    }
}

/// Other allocators have other ways.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn prepare_memory(_bytes: usize) {}
