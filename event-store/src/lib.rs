//! The log: an append-only, totally ordered, durable record of events, and its adapters.

mod bookkeeping;
mod log;

pub use bookkeeping::*;
pub use log::*;
