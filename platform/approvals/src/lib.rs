//! The queue of requests, who may answer them, and the local protocol.
