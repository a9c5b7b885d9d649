//! macOS and Windows: a window can always be opened.

use anyhow::Result;

/// To be called on the main thread before anything else of the window.
///
/// # Errors
/// None here.
pub(crate) fn prepare() -> Result<()> {
    Ok(())
}
