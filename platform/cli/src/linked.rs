//! What the command brings itself instead of having a shared library loaded at each start. The
//! build script does the same for the compiler's runtime.

/// The natural logarithm (log(3)). SQLite ranks what a search finds by it, and wants nothing else of
/// the C library's mathematics.
// SAFETY: the name and the signature are those of the C standard, and so is what it computes.
#[unsafe(no_mangle)]
extern "C" fn log(x: f64) -> f64 {
    libm::log(x)
}
