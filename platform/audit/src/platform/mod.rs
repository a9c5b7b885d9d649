//! What differs between operating systems: who may read a file, links that are not followed,
//! and what makes a folder's entries durable.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{create_folder, options, sync_folder};
#[cfg(windows)]
pub(crate) use windows::{create_folder, options, sync_folder};
