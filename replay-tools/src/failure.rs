//! Why a verb could not do its work.

use std::{io::ErrorKind, path::Path};

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
    #[error("{path} {}", in_words(source))]
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

/// What the system says of a file, and what to do about it where that is known.
fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::AlreadyExists => "is there already: name another file, or move it away first".to_owned(),
        ErrorKind::NotFound => "is not there, nor perhaps its folder: look at how the path is written".to_owned(),
        ErrorKind::IsADirectory => "is a folder: name a file".to_owned(),
        _ => format!("cannot be read or written: {error}"),
    }
}
