//! Makes a start short: a policy of some hundred rules is read at once, into fresh pages that would
//! each cost a fault.

/// One heap for all threads, which is not given back, with so many bytes of it there already. To be
/// called before there is a second thread; what fails here only makes the start slower.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn prepare_memory(bytes: usize) {
    // SAFETY: mallopt takes numbers, and no other thread allocates yet (mallopt(3)).
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
    }
    let room = std::hint::black_box(Vec::<u8>::with_capacity(bytes));
    let start = room.as_ptr().addr().next_multiple_of(4096);
    let end = room.as_ptr().addr() + bytes;
    // SAFETY: this changes no content and unmaps nothing (madvise(2)); the range lies in `room`.
    unsafe {
        libc::madvise(
            start as *mut libc::c_void,
            end.saturating_sub(start),
            libc::MADV_POPULATE_WRITE,
        );
    }
}

/// Other allocators have other ways.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn prepare_memory(_bytes: usize) {}
