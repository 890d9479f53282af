//! Logs by their address, as the command lines name them.

use std::{path::Path, sync::Arc};

use crate::{Log, OpenError, OpenOptions, PostgresAddress, PostgresLog, SqliteLog};

/// Opens the log at an address to read and write it, and makes it when there is none yet.
///
/// # Errors
/// See [`OpenError`]; an address of a kind that is not known says which kinds are.
pub async fn open(url: &str) -> Result<Arc<dyn Log>, OpenError> {
    open_with(url, OpenOptions::default()).await
}

/// Opens the log at an address to read it: never changes it, and works while a server is writing it.
///
/// # Errors
/// See [`OpenError`]; a log that does not exist is one.
pub async fn open_read_only(url: &str) -> Result<Arc<dyn Log>, OpenError> {
    open_with(url, OpenOptions { read_only: true, ..OpenOptions::default() }).await
}

async fn open_with(url: &str, options: OpenOptions) -> Result<Arc<dyn Log>, OpenError> {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(Arc::new(SqliteLog::open(Path::new(path), options)?)),
        _ if PostgresAddress::is_one(url) => Ok(Arc::new(PostgresLog::open(url, options).await?)),
        // It is not repeated: it may be a misspelt address with a password in it.
        _ => Err(OpenError::Unavailable(
            "the log".to_owned(),
            "its address reads sqlite:PATH, such as sqlite:shop/events.db, or postgres://USER@HOST/DATABASE".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unknown_kind_of_address_says_which_kinds_are_known_and_not_what_was_in_it() {
        for url in ["mysql://ana:s3cret@localhost/shop", "events.db", "sqlite:", "postgre://ana:s3cret@h/shop"] {
            let Err(error) = open(url).await else { panic!("{url} was opened") };
            let error = error.to_string();
            assert!(error.contains("sqlite:PATH") && error.contains("postgres://") && !error.contains("s3cret"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_server_that_cannot_be_reached_is_named_without_the_password() {
        let Err(error) = open("postgres://ana:s3cret@127.0.0.1:1/shop").await else { panic!("there is no server") };
        let error = error.to_string();
        assert!(error.starts_with("postgres://ana@127.0.0.1:1/shop cannot be opened") && !error.contains("s3cret"), "{error}");
    }
}
