//! The history as its users see it: what supervisors write, what verification and the index say.

mod common;
mod index;
mod verify;
mod write;
