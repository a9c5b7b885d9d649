//! The supervisor: one session of an agent from start to end.
