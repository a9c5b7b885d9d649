//! Makes the start short: the supervisor has threads that allocate little, and a policy of some
//! hundred rules that it reads at once.

/// One heap for all threads, which grows in few steps and is not given back. What fails here only
/// makes the start slower.
#[cfg(target_env = "gnu")]
pub(super) fn prepare() {
    // SAFETY: mallopt takes numbers, and no other thread allocates yet (mallopt(3)).
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_TOP_PAD, 1 << 20);
    }
}

/// Other allocators have other ways.
#[cfg(not(target_env = "gnu"))]
pub(super) fn prepare() {}
