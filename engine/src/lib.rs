//! The writer: the decider loop, idempotency, processes and timers.

mod batch;
mod cache;
mod clock;
mod decider;
mod engine;
mod load;
mod metrics;

pub use clock::*;
pub use engine::*;
pub use metrics::{EngineMetrics, Histogram};
