//! The file: its tables, its marks, and the checks before anything in it is trusted or changed.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior, ffi};
use uuid::Uuid;

use super::writer::Sync;
use crate::OpenError;

/// Marks the file as a log of Daybook: the letters `DayB`.
const APPLICATION_ID: i32 = 0x4461_7942;

/// The format written here, kept as the file's `user_version`.
const FORMAT: i64 = 1;

/// How long to wait for another process that has the file locked: to open it, and to write or read it then.
const BUSY_TO_OPEN: Duration = Duration::from_secs(1);
const BUSY: Duration = Duration::from_secs(5);

/// The tables. `events` is the log; the others can be lost without losing an event.
///
/// Two indexes are paid for at each append, because each refuses what must never be stored: a sequence that a stream
/// already has, and an idempotency scope that the log already has. There is none over `event_id`: ids are made unique (UUIDv7), an
/// append whose outcome is unknown is resolved by reading at the positions it would have taken, and `verify` looks for repeats.
/// It would add a quarter to the bytes and the processor time of an append, as the index over the scope does (measured).
const TABLES: &str = "
    CREATE TABLE events (
        position INTEGER PRIMARY KEY, -- place in the log: 1, 2, 3, ... without a gap, in the order of commits
        event_id TEXT NOT NULL, -- UUID
        aggregate_type TEXT NOT NULL, -- with aggregate_id: the stream
        aggregate_id TEXT NOT NULL,
        sequence INTEGER NOT NULL, -- place in the stream: 1, 2, 3, ... without a gap
        event_type TEXT NOT NULL,
        event_version INTEGER NOT NULL, -- version of the payload's shape
        payload TEXT NOT NULL, -- JSON: what happened
        metadata TEXT NOT NULL, -- JSON: who asked for it, and why
        recorded_at TEXT NOT NULL, -- when it was written; RFC 3339, UTC, microseconds
        occurred_at TEXT NOT NULL, -- when it happened in the world; differs if imported or corrected
        digest BLOB NOT NULL, -- SHA-256 over all of the above
        idempotency_scope TEXT -- repeated from metadata, to be found by
    );
    CREATE UNIQUE INDEX events_by_stream ON events (aggregate_type, aggregate_id, sequence);
    CREATE UNIQUE INDEX events_by_scope ON events (idempotency_scope) WHERE idempotency_scope IS NOT NULL;

    CREATE TABLE log (
        id TEXT NOT NULL,
        created_at TEXT NOT NULL,
        settled INTEGER NOT NULL
    );

    CREATE TABLE snapshots (
        aggregate_type TEXT NOT NULL,
        aggregate_id TEXT NOT NULL,
        last_sequence INTEGER NOT NULL,
        current_snapshot INTEGER NOT NULL,
        state_version INTEGER NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id)
    );
    CREATE TABLE checkpoints (
        process TEXT PRIMARY KEY,
        position INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE tasks (
        process TEXT NOT NULL,
        key TEXT NOT NULL,
        position INTEGER NOT NULL,
        due_at TEXT,
        attempts INTEGER NOT NULL,
        last_error TEXT,
        PRIMARY KEY (process, key)
    ) WITHOUT ROWID;
    CREATE INDEX tasks_by_due ON tasks (process, due_at, position, key);
";

/// A file that was checked to be a log, and how to connect to it.
#[derive(Debug, Clone)]
pub(super) struct File {
    path: PathBuf,
    /// Nobody writes it and nobody can: read without the files that SQLite keeps beside it.
    immutable: bool,
}

impl File {
    /// Opens the log to write it; makes it when there is none. Gives its writing connection and identity.
    pub(super) fn open(path: &Path, sync: Sync) -> Result<(Self, Connection, Uuid), OpenError> {
        let file = Self { path: path.to_owned(), immutable: false };
        file.look_at_path()?;
        file.must_have_one_name()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = file.connect(flags).map_err(|error| file.refused(error))?;
        if file.checked_id(&connection)?.is_none() {
            file.create(&mut connection).map_err(|error| file.refused(error))?;
        }
        let Some(id) = file.checked_id(&connection)? else { return Err(file.empty()) };
        file.prepare_to_write(&connection, sync).map_err(|error| file.refused(error))?;
        Ok((file, connection, id))
    }

    /// Opens the log to read it, whoever else has it open, and never changes it.
    pub(super) fn open_read_only(path: &Path) -> Result<(Self, Connection, Uuid), OpenError> {
        let mut file = Self { path: path.to_owned(), immutable: false };
        file.look_at_path()?;
        if !path.exists() {
            return Err(file.unavailable("there is no such file".to_owned()));
        }
        let connection = match file.reader() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) && file.is_at_rest() => {
                file.immutable = true;
                file.reader()
            }
            connection => connection,
        };
        let connection = connection.map_err(|error| file.refused(error))?;
        let Some(id) = file.checked_id(&connection)? else { return Err(file.empty()) };
        Ok((file, connection, id))
    }

    /// A connection that can only read.
    pub(super) fn reader(&self) -> rusqlite::Result<Connection> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        // The first read shows whether the file and those beside it can be used at all.
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    }

    fn connect(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(self.uri(), flags)?;
        connection.busy_timeout(BUSY_TO_OPEN)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(connection)
    }

    /// Names what SQLite would only call "unable to open database file".
    fn look_at_path(&self) -> Result<(), OpenError> {
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            return Err(self.unavailable(format!("there is no folder {}", folder.display())));
        }
        if self.path.is_dir() {
            return Err(self.unavailable("it is a folder".to_owned()));
        }
        Ok(())
    }

    /// SQLite keeps a write-ahead log for each name of a file, so that who writes through one loses what others write through
    /// another (<https://www.sqlite.org/howtocorrupt.html>, 2.6).
    #[cfg(unix)]
    fn must_have_one_name(&self) -> Result<(), OpenError> {
        let names = std::fs::metadata(&self.path).map_or(1, |about| std::os::unix::fs::MetadataExt::nlink(&about));
        if names <= 1 {
            return Ok(());
        }
        Err(self.unavailable(format!(
            "the file has {names} names (hard links), and whoever writes it through one of them loses what was written through \
             another; while nobody has it open, look at the files beside its names that end in -wal: keep the name whose \
             one is not empty, and remove the others (`find -samefile` finds them); if several are not empty, each holds what \
             the others lack: copy all of these files away first"
        )))
    }

    #[cfg(not(unix))]
    fn must_have_one_name(&self) -> Result<(), OpenError> {
        Ok(())
    }

    /// The path as an URI, so that no character of it is taken for an option.
    fn uri(&self) -> String {
        let mut uri = "file:".to_owned();
        for byte in self.path.as_os_str().as_encoded_bytes() {
            match byte {
                b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(*byte)),
                _ => uri.push_str(&format!("%{byte:02x}")),
            }
        }
        if self.immutable {
            uri.push_str("?immutable=1");
        }
        uri
    }

    /// Whether the file is whole by itself: no write-ahead log beside it. If SQLite cannot open it then, that is because the
    /// folder takes no files, so nobody can be writing it.
    fn is_at_rest(&self) -> bool {
        let mut wal = self.path.as_os_str().to_owned();
        wal.push("-wal");
        std::fs::metadata(wal).map_or(true, |wal| wal.len() == 0)
    }

    /// The log's identity, or nothing if the file is empty. Anything but a log of a known format is refused.
    fn checked_id(&self, connection: &Connection) -> Result<Option<Uuid>, OpenError> {
        let refused = |error| self.refused(error);
        // One state of the file: another process may be making it.
        let moment = connection.unchecked_transaction().map_err(refused)?;
        let pragma = |name| moment.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let application = pragma("application_id").map_err(refused)?;
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).map_err(refused)?;
        if application == 0 && tables == 0 {
            return Ok(None);
        }
        if application != i64::from(APPLICATION_ID) {
            return Err(self.not_a_log("it is an SQLite database of another application"));
        }
        let found = pragma("user_version").map_err(refused)?;
        if found > FORMAT {
            return Err(OpenError::Newer { name: self.name(), found, known: FORMAT });
        }
        let id: Option<String> = connection.query_row("SELECT id FROM log", (), |row| row.get(0)).optional().map_err(refused)?;
        match id.and_then(|id| Uuid::try_parse(&id).ok()) {
            Some(id) => Ok(Some(id)),
            None => Err(self.not_a_log("its identity is missing")),
        }
    }

    /// Makes the tables in one transaction, so that a crash leaves an empty file or a log.
    fn create(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
        if tables > 0 {
            // Another process made it while this one waited.
            return Ok(());
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.execute_batch(TABLES)?;
        let created_at = event_schemas::rfc3339(chrono::Utc::now());
        transaction.execute("INSERT INTO log VALUES (?1, ?2, 0)", (Uuid::now_v7().to_string(), created_at))?;
        transaction.commit()
    }

    fn prepare_to_write(&self, connection: &Connection, sync: Sync) -> rusqlite::Result<()> {
        let mode = switch_to_wal(connection)?;
        if mode != "wal" {
            let code = ffi::Error::new(ffi::SQLITE_IOERR);
            return Err(rusqlite::Error::SqliteFailure(code, Some("there is no write-ahead log on this file system".to_owned())));
        }
        connection.pragma_update(None, "synchronous", sync.level())?;
        // The writer folds the write-ahead log in by itself, because SQLite would not tell it when that fails.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        // A slow reader can hold checkpoints up; the space that this takes is given back afterwards.
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        connection.pragma_update(None, "cache_size", -32_768)?;
        connection.busy_timeout(BUSY)
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn unavailable(&self, reason: String) -> OpenError {
        OpenError::Unavailable(self.name(), reason)
    }

    fn not_a_log(&self, reason: &str) -> OpenError {
        OpenError::NotALog(self.name(), reason.to_owned())
    }

    fn empty(&self) -> OpenError {
        self.not_a_log("it is empty")
    }

    fn refused(&self, error: rusqlite::Error) -> OpenError {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => self.not_a_log("it is not an SQLite database"),
            Some(ErrorCode::DatabaseCorrupt) => self.not_a_log("it is damaged"),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                self.unavailable("another process keeps it locked".to_owned())
            }
            Some(ErrorCode::ReadOnly) => self.unavailable("it can only be read, not written".to_owned()),
            Some(ErrorCode::DiskFull) => self.unavailable("the disk is full".to_owned()),
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                self.unavailable(format!("it, or the files that SQLite keeps beside it, may not be opened or made ({error})"))
            }
            _ => self.unavailable(error.to_string()),
        }
    }
}

/// SQLite does not wait by itself when another process is just making or switching the same file.
fn switch_to_wal(connection: &Connection) -> rusqlite::Result<String> {
    let deadline = Instant::now() + BUSY_TO_OPEN;
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            mode => return mode,
        }
    }
}
