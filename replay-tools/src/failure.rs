//! Why a verb could not do its work.

use std::path::Path;

use event_schemas::{DecodeError, Position};
use event_store::{AppendError, OpenError, PastError, ReadError};

/// Why a verb could not do its work. A log that was read and found wrong is a finding, not a failure.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log cannot be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log cannot be shown as it was at a moment.
    #[error(transparent)]
    Past(#[from] PastError),
    /// The views cannot be built or read.
    #[error(transparent)]
    Views(#[from] projections::ViewError),
    /// An event cannot be decoded.
    #[error("position {position}: {source}")]
    Decode {
        /// Where it stands.
        position: Position,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What was asked cannot be done, for the reason given.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    /// Names the file of an I/O error.
    pub fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<'_> {
        move |source| Self::File { path: path.display().to_string(), source }
    }
}
