//! The supervisor: one session of an agent from start to end.

pub mod desk;
