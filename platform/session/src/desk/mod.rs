//! What the window and the command line show: view models, and the functions that build them.
//!
//! Nothing here knows Tauri or a terminal; locations come in as arguments.

mod model;

pub use model::*;
