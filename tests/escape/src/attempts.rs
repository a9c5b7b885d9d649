//! The attempts, one file a group, but for denied files, which are of the group of files.

pub(crate) mod commands;
pub(crate) mod denied;
pub(crate) mod files;
pub(crate) mod identity;
pub(crate) mod inherited;
pub(crate) mod kernel;
pub(crate) mod limits;
pub(crate) mod network;
pub(crate) mod persistence;
pub(crate) mod processes;
pub(crate) mod signing;
pub(crate) mod sockets;
pub(crate) mod terminal;
