//! Reading the views: a consistent snapshot of all of them, on pooled read-only connections.

use std::{
    cell::RefCell,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use event_schemas::Position;
use tokio::sync::{Semaphore, watch};

use crate::{
    Explained, Freshness, ProjectionStatus, Row, Value, ViewError,
    checkpoint::{self, Checkpoint},
    store::{self, Connection, Dialect, Store},
};

/// How many reads run at once; more wait for their turn.
const READERS: usize = 8;

/// The views: cheap to clone, shared by all readers.
#[derive(Clone)]
pub struct Views {
    shared: Arc<Shared>,
}

struct Shared {
    store: Box<dyn Store>,
    idle: Mutex<Vec<Box<dyn Connection>>>,
    turns: Arc<Semaphore>,
    freshness: watch::Sender<Freshness>,
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Views").field("store", &self.shared.store.name()).finish()
    }
}

/// A view that has not come as far as was asked within the time allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the views are at position {applied}, not yet at {wanted}")]
pub struct NotYet {
    /// The position that was asked for.
    pub wanted: Position,
    /// How far every view that is being followed has come.
    pub applied: Position,
}

impl Views {
    /// Opens the views at `sqlite:PATH`, making them if they are absent. Nothing follows the log until a
    /// [`Runner`](crate::Runner) is started on them.
    ///
    /// # Errors
    /// If the file cannot be opened, is something else, or was written by a newer version.
    pub fn open(url: &str) -> Result<Self, ViewError> {
        let store = store::open(url)?;
        store.prepare()?;
        Ok(Self::over(store))
    }

    /// Opens views that are there, for reading only: nothing is made, and a server may be keeping them up to date.
    ///
    /// # Errors
    /// If they are absent or cannot be read, are something else, or were written by a newer version.
    pub fn open_existing(url: &str) -> Result<Self, ViewError> {
        let store = store::open(url)?;
        let connection = store.reader()?;
        let views = Self::over(store);
        views.idle().push(connection);
        Ok(views)
    }

    fn over(store: Box<dyn Store>) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                idle: Mutex::default(),
                turns: Arc::new(Semaphore::new(READERS)),
                freshness: watch::Sender::default(),
            }),
        }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Box<dyn Connection>>> {
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection in a transaction. One that was kept may have been cut off meanwhile; then so were the others.
    fn begin(&self) -> Result<Box<dyn Connection>, ViewError> {
        let kept = self.idle().pop();
        if let Some(connection) = kept {
            match connection.begin() {
                Ok(()) => return Ok(connection),
                Err(error) => {
                    tracing::debug!(%error, "a kept connection is of no more use");
                    self.idle().clear();
                }
            }
        }
        let connection = self.shared.store.reader()?;
        connection.begin()?;
        Ok(connection)
    }

    pub(crate) fn freshness(&self) -> &watch::Sender<Freshness> {
        &self.shared.freshness
    }

    /// Runs `read` on a snapshot in which all views stand still, off the async threads.
    ///
    /// # Errors
    /// Those of `read`, and if the store cannot be read.
    pub async fn read<T, F>(&self, read: F) -> Result<T, ViewError>
    where
        T: Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, ViewError> + Send + 'static,
    {
        let turn = Arc::clone(&self.shared.turns).acquire_owned().await;
        let views = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            views.read_blocking(read)
        });
        task.await.map_err(|error| ViewError::Unavailable(error.to_string()))?
    }

    /// Runs `read` on a snapshot in which all views stand still, on this thread.
    ///
    /// # Errors
    /// Those of `read`, and if the store cannot be read.
    pub fn read_blocking<T>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T, ViewError>) -> Result<T, ViewError> {
        let connection = self.begin()?;
        let result = read(&Reader { connection: &*connection, explained: None });
        let ended = connection.commit();
        let mut idle = self.idle();
        if ended.is_ok() && !connection.is_lost() && idle.len() < READERS {
            idle.push(connection);
        }
        result
    }

    /// How each projection stands.
    pub fn status(&self) -> Vec<ProjectionStatus> {
        self.shared.freshness.borrow().projections.clone()
    }

    /// The position up to which every view that is being followed is complete. Halted views are behind: see
    /// [`Views::status`].
    pub fn applied(&self) -> Position {
        self.shared.freshness.borrow().applied()
    }

    /// Tells each time the views have moved.
    pub fn watch(&self) -> watch::Receiver<Freshness> {
        self.shared.freshness.subscribe()
    }

    /// Waits until every view that is being followed has seen `position`, at most for `timeout`.
    ///
    /// # Errors
    /// [`NotYet`] when the time is up.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> Result<(), NotYet> {
        let mut watch = self.watch();
        let reached = watch.wait_for(|freshness| freshness.applied() >= position);
        match tokio::time::timeout(timeout, reached).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(NotYet { wanted: position, applied: self.applied() }),
        }
    }
}

/// A consistent snapshot of all views. Every read of every view is a method here; see the file of each view.
pub struct Reader<'c> {
    pub(crate) connection: &'c dyn Connection,
    /// Where the plans of statements are noted, if they are wanted.
    pub(crate) explained: Option<&'c RefCell<Vec<Explained>>>,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader<'_> {
    /// Rows of one table, called `t`: `tail` is what follows `SELECT … FROM … AS t`, with `?` for each parameter.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn rows<R: Row>(&self, tail: &str, parameters: &[Value<'_>]) -> Result<Vec<R>, ViewError> {
        let sql = format!("SELECT {} FROM {} AS t {tail}", R::TABLE.column_list("t."), R::TABLE.name);
        let mut found = Vec::new();
        self.each(&sql, parameters, |at| {
            let damaged =
                |error: crate::UnexpectedValue| ViewError::Damaged { table: R::TABLE.name.to_owned(), reason: error.to_string() };
            found.push(R::read(at).map_err(damaged)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// The row of a key.
    ///
    /// # Errors
    /// If the store cannot be read or the row is damaged.
    pub fn row<R: Row>(&self, key: &R::Key) -> Result<Option<R>, ViewError> {
        let matches = R::TABLE.key().iter().map(|column| format!("t.{} = ?", column.name)).collect::<Vec<_>>().join(" AND ");
        Ok(self.rows::<R>(&format!("WHERE {matches}"), &R::key_values(key))?.pop())
    }

    /// Any query, row by row; `each` gets the value of each column by its number.
    ///
    /// # Errors
    /// Those of `each`, and if the store cannot be read.
    pub fn each(
        &self,
        sql: &str,
        parameters: &[Value<'_>],
        mut each: impl FnMut(&dyn Fn(usize) -> Value<'static>) -> Result<(), ViewError>,
    ) -> Result<(), ViewError> {
        self.explain(sql, parameters)?;
        self.connection.each(sql, parameters, &mut each)
    }

    /// How far each generation has come.
    pub(crate) fn checkpoints(&self) -> Result<Vec<Checkpoint>, ViewError> {
        checkpoint::load(self.connection)
    }

    /// How the store says what stores say differently.
    pub(crate) fn dialect(&self) -> Dialect {
        self.connection.dialect()
    }

    /// A query that gives one integer, such as a count.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn integer(&self, sql: &str, parameters: &[Value<'_>]) -> Result<i64, ViewError> {
        let mut found = 0;
        self.each(sql, parameters, |at| {
            found = match at(0) {
                Value::Integer(number) => number,
                Value::Null => 0,
                Value::Text(text) => return Err(ViewError::Unavailable(format!("a count is `{text}`"))),
            };
            Ok(())
        })?;
        Ok(found)
    }
}
