//! Reading the views: a consistent snapshot of all of them, on pooled read-only connections.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use event_schemas::Position;
use rusqlite::Connection;
use tokio::sync::{Semaphore, watch};

use crate::{
    Freshness, ProjectionStatus, Row, Value, ViewError,
    sqlite::{bind, open_reader, open_writer, value},
};

/// How many reads run at once; more wait for their turn.
const READERS: usize = 8;

/// The views: cheap to clone, shared by all readers.
#[derive(Clone)]
pub struct Views {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
    freshness: watch::Sender<Freshness>,
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Views").field("path", &self.shared.path).finish()
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
        let path = path_of(url)?;
        drop(open_writer(path)?);
        Ok(Self::over(path))
    }

    /// Opens views that are there, for reading only: nothing is made, and a server may be keeping them up to date.
    ///
    /// # Errors
    /// If they are absent or cannot be read, are something else, or were written by a newer version.
    pub fn open_existing(url: &str) -> Result<Self, ViewError> {
        let path = path_of(url)?;
        drop(open_reader(path)?);
        Ok(Self::over(path))
    }

    fn over(path: &Path) -> Self {
        Self {
            shared: Arc::new(Shared {
                path: path.into(),
                idle: Mutex::default(),
                turns: Arc::new(Semaphore::new(READERS)),
                freshness: watch::Sender::default(),
            }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.shared.path
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
        let idle = || self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let held = idle().pop();
        let connection = match held {
            Some(connection) => connection,
            None => open_reader(&self.shared.path)?,
        };
        connection.prepare_cached("BEGIN")?.execute([])?;
        let result = read(&Reader { connection: &connection });
        connection.prepare_cached("COMMIT")?.execute([])?;
        let mut idle = idle();
        if idle.len() < READERS {
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

fn path_of(url: &str) -> Result<&Path, ViewError> {
    let unknown = || ViewError::Unavailable(format!("`{url}` is not an address of views that this version knows (sqlite:PATH)"));
    url.strip_prefix("sqlite:").map(Path::new).ok_or_else(unknown)
}

/// A consistent snapshot of all views. Every read of every view is a method here; see the file of each view.
pub struct Reader<'c> {
    connection: &'c Connection,
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
        let mut statement = self.connection.prepare_cached(sql)?;
        bind(&mut statement, parameters)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            each(&|column| row.get_ref(column).map_or(Value::Null, |stored| value(stored).into_owned()))?;
        }
        Ok(())
    }

    /// A query that gives one integer, such as a count.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn integer(&self, sql: &str, parameters: &[Value<'_>]) -> Result<i64, ViewError> {
        let mut found = 0;
        self.each(sql, parameters, |at| {
            if let Value::Integer(number) = at(0) {
                found = number;
            }
            Ok(())
        })?;
        Ok(found)
    }
}
