//! The log in one SQLite file: one writer, readers beside it, and nothing answered before it is synced.

mod bookkeeping;
mod file;
mod readers;
mod rows;
mod writer;

use std::path::Path;

use async_trait::async_trait;
use event_schemas::{Position, Proposed, Recorded, Sequence, StreamId, Timestamp};
use tokio::sync::watch;
use uuid::Uuid;

use self::{
    file::File,
    readers::Readers,
    rows::read_error,
    writer::{Sync, Writer},
};
use crate::{AppendError, Bookkeeping, Head, Log, OpenError, OpenOptions, Progress, ReadError, Snapshot, Task};

/// A log in an SQLite file.
///
/// Any number of processes may have the file open, to read or to write: of two writers that append after the same head one
/// is told [`AppendError::HeadMoved`]. The [`Log::watch`] of one process is not woken by another.
#[derive(Debug)]
pub struct SqliteLog {
    id: Uuid,
    readers: Readers,
    /// None when the log was opened to read.
    writer: Option<Writer>,
    watch: watch::Sender<Position>,
}

impl SqliteLog {
    /// Opens a log, and makes it when there is none (unless it is to be read only).
    ///
    /// # Errors
    /// See [`OpenError`]. A file that is not a log, or a newer one, is left as it is.
    pub fn open(path: &Path, options: OpenOptions) -> Result<Self, OpenError> {
        let name = path.display().to_string();
        let sync = if options.without_sync { Sync::Never } else { Sync::Each };
        let (file, connection, id) = if options.read_only { File::open_read_only(path)? } else { File::open(path, sync)? };
        let head = match writer::head_of(&connection) {
            // Who only reads is told of a damaged event where it stands, and can read the others.
            Err(ReadError::Damaged { position, .. }) if options.read_only => position,
            head => head.map_err(|error| OpenError::Unavailable(name.clone(), error.to_string()))?.position,
        };
        let watch = watch::Sender::new(head);
        let writer = if options.read_only {
            None
        } else {
            let writer = Writer::start(connection, sync, watch.clone());
            Some(writer.map_err(|error| OpenError::Unavailable(name, error.to_string()))?)
        };
        Ok(Self { id, readers: Readers::new(file), writer, watch })
    }

    async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.readers.read(|connection| query(connection).map_err(|error| read_error(0, error))).await
    }

    fn note_writer(&self) -> Result<&Writer, ReadError> {
        self.writer.as_ref().ok_or_else(|| ReadError::Unavailable("it was opened to read only".to_owned()))
    }
}

impl Drop for SqliteLog {
    /// Lets what was begun be finished. The writer closes last, so that it folds the write-ahead log into the file.
    fn drop(&mut self) {
        self.readers.close();
        if let Some(writer) = self.writer.take() {
            writer.stop();
        }
    }
}

#[async_trait]
impl Log for SqliteLog {
    fn id(&self) -> Uuid {
        self.id
    }

    /// The job is with the writer once the future was polled; dropping the future does not stop it.
    async fn append(&self, head: Position, batch: Vec<Proposed>) -> Result<Position, AppendError> {
        match &self.writer {
            Some(writer) => writer.append(head, batch).await,
            None => Err(AppendError::Unavailable("it was opened to read only".to_owned())),
        }
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        self.readers.read(move |connection| rows::read(connection, after, limit)).await
    }

    async fn digests(&self, after: Position, limit: usize) -> Result<Vec<[u8; 32]>, ReadError> {
        self.readers.read(move |connection| rows::digests(connection, after, limit)).await
    }

    async fn read_stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        let stream = stream.clone();
        self.readers.read(move |connection| rows::read_stream(connection, &stream, after, limit)).await
    }

    async fn read_streams(&self, streams: Vec<(StreamId, Sequence)>, limit: usize) -> Result<Vec<Vec<Recorded>>, ReadError> {
        let read = move |connection: &rusqlite::Connection| {
            streams.iter().map(|(stream, after)| rows::read_stream(connection, stream, *after, limit)).collect()
        };
        self.readers.read(read).await
    }

    async fn find_scopes(&self, scopes: Vec<String>) -> Result<Vec<Option<Position>>, ReadError> {
        let find =
            move |connection: &rusqlite::Connection| scopes.iter().map(|scope| rows::find_scope(connection, scope)).collect();
        self.query(find).await
    }

    async fn head(&self) -> Result<Head, ReadError> {
        if let Some(writer) = &self.writer {
            writer.settled().await?;
        }
        self.readers.read(writer::head_of).await
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.watch.subscribe()
    }
}

#[async_trait]
impl Bookkeeping for SqliteLog {
    async fn load_snapshots(&self, streams: Vec<StreamId>) -> Result<Vec<Option<Snapshot>>, ReadError> {
        let load = move |connection: &rusqlite::Connection| {
            streams.iter().map(|stream| bookkeeping::snapshot(connection, stream)).collect()
        };
        self.query(load).await
    }

    async fn list_snapshots(&self, after: Option<StreamId>, limit: usize) -> Result<Vec<Snapshot>, ReadError> {
        self.query(move |connection| bookkeeping::list_snapshots(connection, after.as_ref(), limit)).await
    }

    async fn save_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), ReadError> {
        self.note_writer()?.save_snapshots(snapshots).await
    }

    async fn checkpoint(&self, process: &str) -> Result<Position, ReadError> {
        let process = process.to_owned();
        self.query(move |connection| bookkeeping::checkpoint(connection, &process)).await
    }

    async fn save_progress(&self, progress: Progress) -> Result<(), ReadError> {
        self.note_writer()?.save_progress(progress).await
    }

    async fn due_tasks(&self, process: &str, now: Timestamp, limit: usize) -> Result<Vec<Task>, ReadError> {
        let process = process.to_owned();
        self.query(move |connection| bookkeeping::due_tasks(connection, &process, now, limit)).await
    }

    async fn next_due(&self, process: &str) -> Result<Option<Timestamp>, ReadError> {
        let process = process.to_owned();
        self.query(move |connection| bookkeeping::next_due(connection, &process)).await
    }

    async fn dead_letters(&self) -> Result<Vec<Task>, ReadError> {
        self.query(bookkeeping::dead_letters).await
    }
}
