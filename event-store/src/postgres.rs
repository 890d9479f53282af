//! The log in a PostgreSQL database: any number of nodes write it, and its primary key puts them in order.

mod address;
mod bookkeeping;
mod notices;
mod rows;
mod schema;
mod session;
mod turn;
mod writer;

use std::time::Duration;

use async_trait::async_trait;
use event_schemas::{Position, Proposed, Recorded, Sequence, StreamId, Timestamp};
use postgres_es::PostgresEventRepository;
use sqlx::postgres::PgPool;
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

pub use self::address::PostgresAddress;
use self::{session::Server, writer::Writer};
use crate::{AppendError, Bookkeeping, Head, Log, OpenError, OpenOptions, Progress, ReadError, Snapshot, Task};

/// A log in the schema `daybook` of a PostgreSQL database (14 or newer).
///
/// Any number of processes on any number of machines may have it open, to read or to write: of two writers that append after
/// the same head one is told [`AppendError::HeadMoved`]. It survives a restart of the server: what was under way fails or is
/// unknown, and the next call connects again.
#[derive(Debug)]
pub struct PostgresLog {
    id: Uuid,
    pool: PgPool,
    /// None when the log was opened to read.
    writer: Option<Writer>,
    watch: watch::Sender<Position>,
    tasks: Vec<JoinHandle<()>>,
}

impl PostgresLog {
    /// Opens a log, and makes its tables when there are none (unless it is to be read only).
    ///
    /// # Errors
    /// See [`OpenError`]. A database whose schema `daybook` is not a log, or a newer one, is left as it is. A server that runs with
    /// `fsync=off` is refused to a writer: it would lose what it has acknowledged.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, OpenError> {
        let address = PostgresAddress::parse(url)?;
        let refused = |error| session::refusal(&address, error);
        let pool = session::reading(&address, options.read_only);
        let server = Server::new(address.clone(), !options.read_only && !options.without_sync);
        let mut first = server.session().await?;
        let id = if options.read_only {
            schema::check(&mut first, &address).await?
        } else {
            schema::prepare(&mut first, &address).await?
        };
        let head = rows::head_now(&mut first).await.map_err(refused)?;
        let watch = watch::Sender::new(head.position);
        let mut tasks = vec![tokio::spawn(notices::hear(pool.clone(), watch.clone()))];
        let writer = if options.read_only {
            None
        } else {
            let written = watch::Sender::new(head.position);
            tasks.push(tokio::spawn(notices::tell(pool.clone(), written.subscribe())));
            Some(Writer::start(server, first, [watch.clone(), written]))
        };
        Ok(Self { id, pool, writer, watch, tasks })
    }

    /// The streams and snapshots of this log as the `postgres-es` crate reads them, for code that is written against it. It
    /// can only read: what it writes has no position, which the table refuses.
    ///
    /// The log does not read through it: it knows no positions and no pages, its aggregate types are fixed when it is compiled, and
    /// it parses JSON whose bytes the digest is over.
    pub fn repository(&self) -> PostgresEventRepository {
        PostgresEventRepository::new(self.pool.clone()).with_tables("daybook.events", "daybook.snapshots")
    }
}

impl Drop for PostgresLog {
    /// Lets the writer finish what was begun, and ends the rest.
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[async_trait]
impl Log for PostgresLog {
    fn id(&self) -> Uuid {
        self.id
    }

    /// The batch is with the writer once the future was polled; dropping the future does not stop it.
    async fn append(&self, head: Position, batch: Vec<Proposed>) -> Result<Position, AppendError> {
        match &self.writer {
            Some(writer) => writer.append(head, batch).await,
            None => Err(AppendError::Unavailable("it was opened to read only".to_owned())),
        }
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        match self.writer.as_ref().and_then(|writer| writer.tail(after, limit)) {
            Some(events) => Ok(events),
            None => rows::read(&self.pool, after, limit).await,
        }
    }

    async fn digests(&self, after: Position, limit: usize) -> Result<Vec<[u8; 32]>, ReadError> {
        match self.writer.as_ref().and_then(|writer| writer.tail(after, limit)) {
            Some(events) => Ok(events.into_iter().map(|recorded| recorded.digest).collect()),
            None => rows::digests(&self.pool, after, limit).await,
        }
    }

    async fn read_stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        rows::read_stream(&self.pool, stream, after, limit).await
    }

    async fn read_streams(&self, streams: Vec<(StreamId, Sequence)>, limit: usize) -> Result<Vec<Vec<Recorded>>, ReadError> {
        rows::read_streams(&self.pool, &streams, limit).await
    }

    async fn find_scopes(&self, scopes: Vec<String>) -> Result<Vec<Option<Position>>, ReadError> {
        rows::find_scopes(&self.pool, &scopes).await
    }

    async fn head(&self) -> Result<Head, ReadError> {
        rows::head(&self.pool).await
    }

    async fn now(&self) -> Result<Timestamp, ReadError> {
        rows::now(&self.pool).await
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.watch.subscribe()
    }
}

#[async_trait]
impl Bookkeeping for PostgresLog {
    async fn load_snapshots(&self, streams: Vec<StreamId>) -> Result<Vec<Option<Snapshot>>, ReadError> {
        bookkeeping::load_snapshots(&self.pool, streams).await
    }

    async fn list_snapshots(&self, after: Option<StreamId>, limit: usize) -> Result<Vec<Snapshot>, ReadError> {
        bookkeeping::list_snapshots(&self.pool, after, limit).await
    }

    async fn save_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), ReadError> {
        bookkeeping::save_snapshots(&self.pool, snapshots).await
    }

    async fn checkpoint(&self, process: &str) -> Result<Position, ReadError> {
        bookkeeping::checkpoint(&self.pool, process).await
    }

    async fn take_turn(&self, process: &str, holder: Uuid, time: Duration) -> Result<bool, ReadError> {
        bookkeeping::take_turn(&self.pool, process, holder, time).await
    }

    async fn save_progress(&self, progress: Progress) -> Result<(), ReadError> {
        bookkeeping::save_progress(&self.pool, progress).await
    }

    async fn due_tasks(&self, process: &str, now: Timestamp, limit: usize) -> Result<Vec<Task>, ReadError> {
        bookkeeping::due_tasks(&self.pool, process, now, limit).await
    }

    async fn next_due(&self, process: &str) -> Result<Option<Timestamp>, ReadError> {
        bookkeeping::next_due(&self.pool, process).await
    }

    async fn dead_letters(&self) -> Result<Vec<Task>, ReadError> {
        bookkeeping::dead_letters(&self.pool).await
    }
}
