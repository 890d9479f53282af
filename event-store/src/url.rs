//! Logs by their address, as the command lines name them.

use std::{path::Path, sync::Arc};

use crate::{Log, OpenError, OpenOptions, SqliteLog};

/// Opens the log at an address to read and write it, and makes it when there is none yet.
///
/// # Errors
/// See [`OpenError`]; an address of a kind that is not known says which kinds are.
pub fn open(url: &str) -> Result<Arc<dyn Log>, OpenError> {
    Ok(Arc::new(SqliteLog::open(sqlite_path(url)?, OpenOptions::default())?))
}

/// Opens the log at an address to read it: never changes it, and works while a server is writing it.
///
/// # Errors
/// See [`OpenError`]; a log that does not exist is one.
pub fn open_read_only(url: &str) -> Result<Arc<dyn Log>, OpenError> {
    Ok(Arc::new(SqliteLog::open(sqlite_path(url)?, OpenOptions { read_only: true, ..OpenOptions::default() })?))
}

fn sqlite_path(url: &str) -> Result<&Path, OpenError> {
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => Ok(Path::new(path)),
        _ => Err(OpenError::Unavailable(
            url.to_owned(),
            "a log's address reads sqlite:PATH, such as sqlite:shop/events.db".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_of_address_says_which_kinds_are_known() {
        for url in ["postgres://localhost/shop", "events.db", "sqlite:"] {
            let Err(error) = open(url) else { panic!("{url} was opened") };
            assert!(error.to_string().contains("sqlite:PATH"), "{error}");
        }
    }
}
