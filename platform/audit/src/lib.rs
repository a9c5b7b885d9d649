//! The tamper-evident history: segments, device log, index, verification.
