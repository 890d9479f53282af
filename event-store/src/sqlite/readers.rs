//! The readers: a few connections that read beside the writer, each read seeing one state of the log.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{file::File, rows};
use crate::ReadError;

/// How many reads run at once; the others wait.
const READERS: usize = 4;

/// Connections for reading, opened when first needed and kept.
#[derive(Debug, Clone)]
pub(super) struct Readers(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    file: File,
    idle: Mutex<Vec<Connection>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(file: File) -> Self {
        Self(Arc::new(Pool { file, idle: Mutex::default(), places: Arc::new(Semaphore::new(READERS)) }))
    }

    /// Runs a read on a thread where it may block, in one read transaction.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let pool = Arc::clone(&self.0);
        let stopped = |_| ReadError::Unavailable("the read was broken off".to_owned());
        let place =
            Arc::clone(&pool.places).acquire_owned().await.map_err(|_| ReadError::Unavailable("the log is closed".to_owned()))?;
        let task = tokio::task::spawn_blocking(move || {
            let answer = pool.read(read);
            drop(place);
            answer
        });
        task.await.map_err(stopped)?
    }

    /// Closes the connections that are not in use.
    pub(super) fn close(&self) {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Pool {
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let unavailable = |error| rows::read_error(0, error);
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.file.reader().map_err(unavailable)?,
        };
        let transaction = connection.unchecked_transaction().map_err(unavailable)?;
        let answer = read(&transaction);
        // A connection that cannot end its read would hold on to old pages: it is closed instead of kept.
        transaction.finish().map_err(unavailable)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        answer
    }
}
