//! The writer: the decider loop, idempotency, processes and timers.

mod engine;

pub use engine::*;
