//! Linux: GTK needs a display, and says so only by a panic unless it is asked first.

use anyhow::{Result, bail};

/// To be called on the main thread before anything else of the window.
///
/// # Errors
/// When there is no display to open a window on.
pub(crate) fn prepare() -> Result<()> {
    if gtk::init().is_ok() {
        return Ok(());
    }
    let seen = ["DISPLAY", "WAYLAND_DISPLAY"].map(|name| {
        std::env::var(name).map_or_else(|_| format!("{name} is not set"), |v| format!("{name}={v}"))
    });
    bail!(
        "there is no display to open a window on ({}). Without one, answer requests with \
         `chaperone approvals` in another terminal; everything else works there too \
         (`chaperone --help`).",
        seen.join(", ")
    )
}
