//! `daybook bench`: how fast this machine is at what Daybook does, each figure against a baseline of the same run.

mod commands;
mod measure;
mod raw_log;
mod table;

pub use commands::CommandsArgs;

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A file or connection.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] event_store::OpenError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] event_store::ReadError),
    /// The baseline's file.
    #[error(transparent)]
    Baseline(#[from] rusqlite::Error),
    /// The baseline's writer stopped; its log says why.
    #[error("the baseline's writer stopped")]
    BaselineStopped,
    /// A command of the measurement failed.
    #[error("a command failed: {0}")]
    Command(String),
    /// An id of the measurement is not valid.
    #[error(transparent)]
    Id(#[from] event_schemas::InvalidId),
}
