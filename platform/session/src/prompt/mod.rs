//! Asks on a terminal that has lines to give: shows one request, reads the answer.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::ask_on;

#[cfg(not(unix))]
mod windows;
#[cfg(not(unix))]
pub use windows::ask_on;
