//! Reads policy layers from the operating system.
