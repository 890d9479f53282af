//! The writer: one connection on a thread of its own, which does one job after the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use event_schemas::{Position, Proposed, Recorded};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, ffi};
use tokio::sync::{mpsc, oneshot, watch};

use super::{bookkeeping, rows};
use crate::{
    AppendError, Head, Progress, ReadError, Snapshot,
    batch::{broken_link, check_batch, repeated_scope, stored},
};

/// How many jobs may wait before whoever brings the next one has to.
const QUEUE: usize = 64;

/// Pages in the write-ahead log after which it is folded into the file, 32 MB. Folding copies a page that was written many times
/// into the file once, and holds up the next append while it does: this keeps it to less than one append of a hundred, and
/// spares the random pages of the stream index a third.
const FOLD_AFTER: usize = 8192;

/// Bytes of a page.
const PAGE: usize = 4096;

/// What the writer is asked to do, and where the answer goes. A caller that has gone away does not stop the job.
enum Job {
    Append(Position, Vec<Proposed>, oneshot::Sender<Result<Position, AppendError>>),
    Snapshots(Vec<Snapshot>, oneshot::Sender<Result<(), ReadError>>),
    Progress(Progress, oneshot::Sender<Result<(), ReadError>>),
    Settle(oneshot::Sender<Result<(), ReadError>>),
}

/// When a commit is on the disk, and not only with the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    /// Before it returns.
    Each,
    /// With the next one that is synced; until then a power cut takes it, but never something older.
    Later,
    /// When the operating system likes: see [`super::OpenOptions::without_sync`].
    Never,
}

impl Sync {
    /// SQLite's name for it, in the mode of a write-ahead log.
    pub(super) fn level(self) -> &'static str {
        match self {
            Self::Each => "FULL",
            Self::Later => "NORMAL",
            Self::Never => "OFF",
        }
    }
}

/// The way to the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
    unsettled: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the thread. `sync` is how the connection is set, `head` is told of each new end of the log.
    pub(super) fn start(connection: Connection, sync: Sync, head: watch::Sender<Position>) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        // Whoever left a write-ahead log behind was killed, perhaps after a sync of it had failed and before that was settled.
        let is_left = sync != Sync::Never && has_write_ahead_log(&connection);
        let unsettled = Arc::new(AtomicBool::new(is_left));
        let desk = Desk { connection, sync, head, unfolded: 0, unsettled: Arc::clone(&unsettled) };
        let thread = std::thread::Builder::new().name("log-writer".to_owned()).spawn(move || desk.work(queue))?;
        Ok(Self { jobs, thread, unsettled })
    }

    pub(super) async fn append(&self, head: Position, batch: Vec<Proposed>) -> Result<Position, AppendError> {
        let gone = || AppendError::OutcomeUnknown("the log's writer stopped".to_owned());
        let (answer, answered) = oneshot::channel();
        let job = Job::Append(head, batch, answer);
        self.jobs.send(job).await.map_err(|_| AppendError::Unavailable("the log's writer has stopped".to_owned()))?;
        answered.await.map_err(|_| gone())?
    }

    pub(super) async fn save_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), ReadError> {
        self.ask(|answer| Job::Snapshots(snapshots, answer)).await
    }

    pub(super) async fn save_progress(&self, progress: Progress) -> Result<(), ReadError> {
        self.ask(|answer| Job::Progress(progress, answer)).await
    }

    /// Makes sure that nothing hangs in the balance: see [`Desk::commit`].
    pub(super) async fn settled(&self) -> Result<(), ReadError> {
        if self.unsettled.load(Ordering::Acquire) { self.ask(Job::Settle).await } else { Ok(()) }
    }

    async fn ask(&self, job: impl FnOnce(oneshot::Sender<Result<(), ReadError>>) -> Job) -> Result<(), ReadError> {
        let gone = || ReadError::Unavailable("the log's writer has stopped".to_owned());
        let (answer, answered) = oneshot::channel();
        self.jobs.send(job(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Lets the thread finish its jobs and close the file, and waits for that.
    pub(super) fn stop(self) {
        drop(self.jobs);
        if self.thread.join().is_err() {
            tracing::error!("the log's writer had panicked");
        }
    }
}

/// The thread's own: the connection and what it must remember between jobs.
struct Desk {
    connection: Connection,
    sync: Sync,
    head: watch::Sender<Position>,
    /// Roughly how many pages the write-ahead log has had added since it was last folded into the file.
    unfolded: usize,
    /// Whether a commit failed in a way that a crash could turn into success, or that could take what is written after it: see
    /// [`Desk::commit`].
    unsettled: Arc<AtomicBool>,
}

impl Desk {
    fn work(mut self, mut queue: mpsc::Receiver<Job>) {
        self.settle_what_was_left();
        while let Some(job) = queue.blocking_recv() {
            // An answer that nobody waits for any more is dropped.
            match job {
                Job::Append(head, batch, answer) => drop(answer.send(self.append(head, batch))),
                Job::Snapshots(snapshots, answer) => {
                    let bytes: usize = snapshots.iter().map(|snapshot| snapshot.state.len()).sum();
                    self.unfolded += NOTE_PAGES + 2 * snapshots.len() + bytes / PAGE;
                    drop(answer.send(self.note(|connection| bookkeeping::write_snapshots(connection, &snapshots))));
                }
                Job::Progress(progress, answer) => {
                    self.unfolded += NOTE_PAGES + progress.put.len() + progress.done.len();
                    drop(answer.send(self.note(|connection| bookkeeping::write_progress(connection, &progress))));
                }
                Job::Settle(answer) => drop(answer.send(self.settle_if_needed().map_err(|error| rows::read_error(0, error)))),
            }
            self.fold_when_due();
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the log was not closed cleanly; it will be recovered when it is opened");
        }
    }

    fn append(&mut self, head: Position, batch: Vec<Proposed>) -> Result<Position, AppendError> {
        self.settle_if_needed().map_err(unavailable)?;
        self.begin(Sync::Each).map_err(unavailable)?;
        match write_batch(&self.connection, head, batch) {
            Ok((head, pages)) => {
                self.unfolded += pages;
                self.commit()?;
                self.head.send_if_modified(|known| std::mem::replace(known, (*known).max(head)) < head);
                Ok(head)
            }
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    /// Commits, and when that fails finds out what it means.
    ///
    /// In the write-ahead log a commit is its last frame, then a sync. SQLite reports the disk as full, or a write as failed,
    /// only when that frame is not there: nothing was written. Any other error (a failed sync above all) leaves two things in
    /// doubt, and [`Desk::settle`] ends both at once:
    ///
    /// - The whole transaction can be in the write-ahead log, invisible now, but found again if the process dies before
    ///   something else is written in its place. Once something else is durable there, it can never come back.
    /// - Linux takes the pages that it failed to write for written: no later sync writes them. Notes, which were not synced
    ///   before ([`Desk::note`]), can be among them, and after a power cut the write-ahead log would end where they are missing,
    ///   whatever was acknowledged after them. So nothing is written behind them any more.
    ///
    /// Then the answer is that nothing was written. If not even that works, the outcome is unknown, and neither
    /// [`crate::Log::append`] nor [`crate::Log::head`] answers until it has worked.
    fn commit(&mut self) -> Result<(), AppendError> {
        let Err(error) = self.connection.execute_batch("COMMIT") else { return Ok(()) };
        self.roll_back();
        if is_before_commit(&error) || self.settle().is_ok() {
            return Err(unavailable(error));
        }
        self.unsettled.store(true, Ordering::Release);
        Err(AppendError::OutcomeUnknown(error.to_string()))
    }

    fn settle_if_needed(&mut self) -> rusqlite::Result<()> {
        if self.unsettled.load(Ordering::Acquire) { self.settle() } else { Ok(()) }
    }

    /// Settles what a process that was killed has left. Only a reader that keeps the write-ahead log in use is no reason to
    /// wait: most who are killed had no failed sync behind them.
    fn settle_what_was_left(&mut self) {
        if let Err(error) = self.settle_if_needed() {
            tracing::warn!(%error, "what was left of the log's last run could not be folded into its file");
            if is_in_use(&error) {
                self.unsettled.store(false, Ordering::Release);
            }
        }
    }

    /// Folds the write-ahead log into the file once it has grown, after whoever waited was answered.
    ///
    /// SQLite would do it by itself in a commit, but does not tell when the sync fails with which that begins. The notes that were
    /// not synced before are then as lost as in [`Desk::commit`], and the next append would lie behind them.
    fn fold_when_due(&mut self) {
        if self.unfolded < FOLD_AFTER {
            return;
        }
        self.unfolded = 0;
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(())) {
            tracing::warn!(%error, "the log's write-ahead log could not be folded into its file");
            if !is_before_commit(&error) && !is_in_use(&error) {
                self.unsettled.store(true, Ordering::Release);
            }
        }
    }

    /// Copies what is committed into the file and syncs it there, and begins the write-ahead log anew with a transaction that is
    /// synced. The latter is needed as well: nothing else makes it durable that the old write-ahead log, the failed
    /// transaction with it, is gone.
    ///
    /// What the disk may have lost is read from the memory of the operating system, so this does not help when that has
    /// forgotten it. Nor does it when the power is cut in the middle of it: then the old write-ahead log, up to what is missing
    /// in it, is laid over a file that is partly newer, and the file can be damaged.
    fn settle(&mut self) -> rusqlite::Result<()> {
        self.sync(Sync::Each)?;
        self.fold_in()?;
        if let Err(error) = self.connection.execute("UPDATE log SET settled = settled + 1", ()) {
            self.roll_back();
            return Err(error);
        }
        self.unsettled.store(false, Ordering::Release);
        Ok(())
    }

    /// Copies the whole write-ahead log into the file, syncs that, and empties the write-ahead log. Reads that began before must
    /// end first: it waits for them as for any lock.
    fn fold_in(&self) -> rusqlite::Result<()> {
        let is_busy: bool = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))?;
        if is_busy {
            let reason = "its write-ahead log was in use for too long to be folded in after a failed write";
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_LOCKED), Some(reason.to_owned())));
        }
        Ok(())
    }

    /// Writes what may be lost in a power cut, in order with everything else but without waiting for the disk.
    fn note(&mut self, write: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<(), ReadError> {
        let noted = self.begin(Sync::Later).and_then(|()| write(&self.connection));
        let noted = noted.and_then(|()| self.connection.execute_batch("COMMIT"));
        if noted.is_err() {
            self.roll_back();
        }
        noted.map_err(|error| rows::read_error(0, error))
    }

    fn begin(&mut self, sync: Sync) -> rusqlite::Result<()> {
        self.sync(sync)?;
        self.connection.execute_batch("BEGIN IMMEDIATE")
    }

    /// Sets when the next commits are synced.
    fn sync(&mut self, sync: Sync) -> rusqlite::Result<()> {
        if self.sync != sync && self.sync != Sync::Never {
            self.connection.pragma_update(None, "synchronous", sync.level())?;
            self.sync = sync;
        }
        Ok(())
    }

    fn roll_back(&self) {
        // SQLite has already rolled back by itself after some errors.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a failed transaction could not be rolled back");
        }
    }
}

/// Pages that a note adds to the write-ahead log besides what it says.
const NOTE_PAGES: usize = 3;

/// Writes a batch. Gives the new head, and roughly how many pages that changed: those of the events, which lie together, and one
/// of an index for each stream and each idempotency scope, which lie anywhere.
fn write_batch(connection: &Connection, head: Position, batch: Vec<Proposed>) -> Result<(Position, usize), AppendError> {
    let end = head_of(connection).map_err(|error| AppendError::Unavailable(error.to_string()))?;
    if end.position != head {
        return Err(AppendError::HeadMoved { head: end.position });
    }
    let mut pages = NOTE_PAGES + check_links(connection, &end, &batch)?;
    let mut insert = rows::Insert::new(connection).map_err(unavailable)?;
    let (mut position, mut bytes) = (head, 0);
    for event in batch {
        position += 1;
        pages += usize::from(event.idempotency_scope.is_some());
        bytes += event.payload.len() + event.metadata.len();
        let recorded = Recorded::at(position, stored(event));
        insert.write(&recorded).map_err(|error| refused_row(error, &recorded.event))?;
    }
    Ok((position, pages + bytes / PAGE))
}

/// Checks that each stream's first event follows one that is stored. That no other follows it is left to the unique index.
/// Gives the number of streams.
fn check_links(connection: &Connection, end: &Head, batch: &[Proposed]) -> Result<usize, AppendError> {
    let sql = "SELECT 1 FROM events WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND sequence = ?3";
    let mut stored = connection.prepare_cached(sql).map_err(unavailable)?;
    let links = check_batch(end, batch)?;
    for (stream, after) in &links {
        let key = (&*stream.aggregate_type, &stream.aggregate_id, after);
        if *after > 0 && !stored.exists(key).map_err(unavailable)? {
            return Err(broken_link(stream, *after));
        }
    }
    Ok(links.len())
}

/// Where the log ends.
pub(super) fn head_of(connection: &Connection) -> Result<Head, ReadError> {
    let sql = "SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1";
    let mut position = 0;
    let head = connection.prepare_cached(sql).and_then(|mut last| {
        let read = last.query_row((), |row| {
            position = row.get(0)?;
            Ok(Head { position, recorded_at: rows::moment(row, 1)? })
        });
        read.optional()
    });
    // A time that cannot be read is damage of that event.
    Ok(head.map_err(|error| rows::read_error(position, error))?.unwrap_or(Head { position: 0, recorded_at: None }))
}

fn refused_row(error: rusqlite::Error, event: &Proposed) -> AppendError {
    match &error {
        rusqlite::Error::SqliteFailure(code, Some(text)) if code.code == ErrorCode::ConstraintViolation => {
            if text.contains("idempotency_scope") {
                repeated_scope(event)
            } else {
                broken_link(&event.stream, event.sequence.saturating_sub(1))
            }
        }
        _ => unavailable(error),
    }
}

/// Whether there is something in the file's write-ahead log.
fn has_write_ahead_log(connection: &Connection) -> bool {
    let path = connection.path().map(|path| format!("{path}-wal"));
    path.and_then(|path| std::fs::metadata(path).ok()).is_some_and(|log| log.len() > 0)
}

/// Whether something could not be done only because somebody else uses the file.
fn is_in_use(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseLocked | ErrorCode::DatabaseBusy))
}

/// Whether a failed commit has certainly not reached its last frame.
fn is_before_commit(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(ffi::SQLITE_FULL | ffi::SQLITE_IOERR_WRITE))
}

fn unavailable(error: rusqlite::Error) -> AppendError {
    let reason = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full".to_owned(),
        Some(ErrorCode::ReadOnly) => "the disk or the file can only be read".to_owned(),
        Some(ErrorCode::DatabaseBusy) => "another process is writing it and did not finish in time".to_owned(),
        _ => error.to_string(),
    };
    AppendError::Unavailable(reason)
}
