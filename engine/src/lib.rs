//! The writer: the decider loop, idempotency, processes and timers.

mod batch;
mod cache;
mod clock;
mod cqrs_store;
mod decider;
mod engine;
mod gateway;
mod landing;
mod load;
mod look;
mod metrics;
mod processes;
mod repeats;

pub use clock::*;
pub use cqrs_store::{LoadedAggregate, LogEventStore};
pub use engine::*;
pub use gateway::*;
pub use look::look;
pub use metrics::{Counter, EngineMetrics, Histogram};
pub use processes::{ProcessStatus, Processes};
