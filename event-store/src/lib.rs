//! The log: an append-only, totally ordered, durable record of events, and its adapters.

mod batch;
mod bookkeeping;
mod log;
mod memory;
mod moment;
mod past;
mod postgres;
mod sqlite;
mod url;

pub use bookkeeping::*;
pub use log::*;
pub use memory::MemoryLog;
pub use moment::Moment;
pub use past::{PastError, PastLog, end_of};
pub use postgres::{PostgresAddress, PostgresLog};
pub use sqlite::SqliteLog;
pub use url::{open, open_read_only};
