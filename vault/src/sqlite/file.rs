//! The file: its tables, its marks, its rights, and the checks before anything in it is trusted or changed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior, ffi};

use crate::{VaultError, key::Keyring, store::FORMAT};

/// Marks the file as a vault of Daybook: the letters `DayV`.
const APPLICATION_ID: i32 = 0x4461_7956;
/// How long to wait for another process that has the file locked.
pub(super) const BUSY: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE vault (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        last_version INTEGER NOT NULL, -- the version that was given last, to whichever entry
        key_check BLOB NOT NULL -- opens with the key that the vault was made with
    );
    CREATE TABLE entries (
        name TEXT PRIMARY KEY, -- kind/id
        version INTEGER NOT NULL,
        expires_at INTEGER, -- microseconds since 1970; from then on the entry is not there
        sealed BLOB NOT NULL -- encrypted JSON
    );
    CREATE INDEX entries_by_end ON entries (expires_at) WHERE expires_at IS NOT NULL;
";

/// A file that is, or becomes, a vault.
pub(super) struct File {
    path: PathBuf,
    name: String,
    keyring: Arc<Keyring>,
}

/// A connection, and which file it is to: another one may have come under the same name.
pub(super) struct Open {
    pub connection: Connection,
    identity: Option<(u64, u64)>,
}

impl File {
    pub fn new(path: &Path, keyring: Arc<Keyring>) -> Self {
        Self { path: path.to_owned(), name: path.display().to_string(), keyring }
    }

    /// How it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the file must hold for its key to be ours.
    pub fn mark(&self) -> Arc<[u8]> {
        self.keyring.mark()
    }

    /// Opens the file, and makes it a vault when it is absent or empty.
    pub fn make(&self) -> Result<Open, VaultError> {
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
        touch(&self.path).map_err(|error| self.unavailable(error.to_string()))?;
        let mut open = self.plain()?;
        if !self.is_vault(&open.connection)? {
            self.create(&mut open.connection)?;
        }
        self.prepare(&open.connection)?;
        Ok(open)
    }

    /// Another connection to the vault. A file that is gone is not made anew: nobody would notice what is missing.
    pub fn connect(&self) -> Result<Open, VaultError> {
        let open = self.plain()?;
        if !self.is_vault(&open.connection)? {
            return Err(self.not_a_vault("it is empty"));
        }
        self.prepare(&open.connection)?;
        Ok(open)
    }

    /// Whether a connection is to the file that has the name now. One to a file that was removed would go on writing it.
    pub fn is_of(&self, open: &Open) -> bool {
        identity(&self.path).is_ok_and(|now| now == open.identity)
    }

    fn plain(&self) -> Result<Open, VaultError> {
        let identity = identity(&self.path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.unavailable("there is no such file".to_owned()),
            _ => self.unavailable(error.to_string()),
        })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&self.path, flags).and_then(|connection| {
            connection.busy_timeout(BUSY)?;
            Ok(connection)
        });
        Ok(Open { connection: opened.map_err(|error| self.refused(&error))?, identity })
    }

    /// Whether it is a vault that this key opens, or still empty. Anything else is refused.
    fn is_vault(&self, connection: &Connection) -> Result<bool, VaultError> {
        // One state of the file: another process may be making it.
        let moment = connection.unchecked_transaction().map_err(|error| self.refused(&error))?;
        self.is_made(&moment)
    }

    fn is_made(&self, moment: &Transaction<'_>) -> Result<bool, VaultError> {
        let refused = |error| self.refused(&error);
        let pragma = |name| moment.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let application = pragma("application_id").map_err(refused)?;
        let tables: i64 = moment.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).map_err(refused)?;
        if application == 0 && tables == 0 {
            return Ok(false);
        }
        if application != i64::from(APPLICATION_ID) {
            return Err(self.not_a_vault("it is an SQLite database of another application"));
        }
        let found = pragma("user_version").map_err(refused)?;
        if found > FORMAT {
            return Err(VaultError::Newer { name: self.name.clone(), found, known: FORMAT });
        }
        let check = moment.query_row("SELECT key_check FROM vault", (), |row| row.get::<_, Vec<u8>>(0)).optional();
        match check.map_err(refused)? {
            Some(check) if self.keyring.fits(&check) => Ok(true),
            Some(_) => Err(VaultError::WrongKey(self.name.clone())),
            None => Err(self.not_a_vault("its mark is missing")),
        }
    }

    /// Makes the tables in one transaction, so that a crash leaves an empty file or a vault.
    fn create(&self, connection: &mut Connection) -> Result<(), VaultError> {
        let refused = |error| self.refused(&error);
        let check = self.keyring.check_entry().ok_or_else(|| self.unavailable("its key cannot be used".to_owned()))?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refused)?;
        // Another process may have made it while this one waited, with another key perhaps.
        if self.is_made(&transaction)? {
            return Ok(());
        }
        let made = transaction.pragma_update(None, "application_id", APPLICATION_ID).and_then(|()| {
            transaction.pragma_update(None, "user_version", FORMAT)?;
            transaction.execute_batch(TABLES)?;
            transaction.execute("INSERT INTO vault VALUES (1, 0, ?1)", (&check,))
        });
        made.map_err(refused)?;
        transaction.commit().map_err(refused)?;
        self.keyring.fits(&check);
        tracing::info!(vault = %self.name, "a new vault was made; without its key nothing in it can be read");
        Ok(())
    }

    fn prepare(&self, connection: &Connection) -> Result<(), VaultError> {
        close_to_others(&self.path).map_err(|error| self.unavailable(format!("others may read it: {error}")))?;
        self.set(connection).map_err(|error| self.refused(&error))
    }

    fn set(&self, connection: &Connection) -> rusqlite::Result<()> {
        if switch_to_wal(connection)? != "wal" {
            let code = ffi::Error::new(ffi::SQLITE_IOERR);
            return Err(rusqlite::Error::SqliteFailure(code, Some("there is no write-ahead log on this file system".to_owned())));
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        // What was removed is overwritten, in the file and in time in the write-ahead log.
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.pragma_update(None, "wal_autocheckpoint", 256)?;
        connection.pragma_update(None, "journal_size_limit", 0)
    }

    fn unavailable(&self, reason: String) -> VaultError {
        VaultError::Unavailable(self.name.clone(), reason)
    }

    fn not_a_vault(&self, reason: &str) -> VaultError {
        VaultError::NotAVault(self.name.clone(), reason.to_owned())
    }

    /// An error of SQLite as ours.
    pub fn refused(&self, error: &rusqlite::Error) -> VaultError {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => self.not_a_vault("it is not an SQLite database"),
            Some(ErrorCode::DatabaseCorrupt) => self.not_a_vault("it is damaged"),
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

/// Makes the file if it is absent, so that nobody else can read it at any moment. SQLite gives the files beside it the same
/// rights.
fn touch(path: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Takes the rights of others away, if they have any.
#[cfg(unix)]
fn close_to_others(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut rights = std::fs::metadata(path)?.permissions();
    if rights.mode() & 0o077 == 0 {
        return Ok(());
    }
    rights.set_mode(0o600);
    std::fs::set_permissions(path, rights)
}

#[cfg(not(unix))]
fn close_to_others(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Option<(u64, u64)>> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).map(|file| Some((file.dev(), file.ino())))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<Option<(u64, u64)>> {
    std::fs::metadata(path).map(|_| None)
}

/// SQLite does not wait by itself when another process is just making or switching the same file.
fn switch_to_wal(connection: &Connection) -> rusqlite::Result<String> {
    let deadline = Instant::now() + BUSY;
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            mode => return mode,
        }
    }
}
