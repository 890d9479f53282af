//! Views in a SQLite file: opening it, the tables of a generation, and the session of a batch.
//!
//! WAL with `synchronous=NORMAL`: a commit is not synced, so a power cut may take the last batches away. It can only take
//! whole transactions, newest first, and a checkpoint commits with its rows, so what is left is an earlier consistent
//! state, and the runner reads the rest from the log again. The log itself is what has to be durable.

use std::{
    borrow::Cow,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{
    OpenFlags, Statement,
    types::{ToSql, ToSqlOutput, ValueRef},
};

use crate::{
    ColumnType, Projection, Session, Table, Value, ViewError,
    checkpoint::Checkpoint,
    row::join,
    store::{Connection, Dialect, EachRow, Statements, Store},
};

/// `DBVW`: says that the file holds views of Daybook.
const APPLICATION_ID: i64 = 0x4442_5657;
/// The format of the runner's own tables.
const FORMAT: i64 = 1;
/// How long to wait for a lock that another process holds.
const BUSY: Duration = Duration::from_secs(5);

const OWN_TABLES: &str = "
    CREATE TABLE IF NOT EXISTS projections (
        projection TEXT NOT NULL, generation INTEGER NOT NULL, serving INTEGER NOT NULL, version INTEGER NOT NULL,
        shape TEXT NOT NULL, tables TEXT NOT NULL, log_id TEXT NOT NULL, position INTEGER NOT NULL, seen_at TEXT,
        halted_reason TEXT, halted_since TEXT, PRIMARY KEY (projection, generation)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS data_dictionary (
        table_name TEXT NOT NULL, place INTEGER NOT NULL, column_name TEXT NOT NULL, type TEXT NOT NULL,
        about TEXT NOT NULL, PRIMARY KEY (table_name, place)
    ) WITHOUT ROWID;";

impl From<rusqlite::Error> for ViewError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// A stored value as ours. Reals and blobs, which no table of ours has, read as text and fail at their column.
fn value(stored: ValueRef<'_>) -> Value<'_> {
    match stored {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Text(Cow::Owned(number.to_string())),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Value::Text(String::from_utf8_lossy(bytes)),
    }
}

/// Takes the right to write the views, until the file is dropped. It is a file beside the views, because closing any
/// other handle of a SQLite file would end SQLite's own locks.
fn lock(path: &Path) -> Result<File, ViewError> {
    let beside = path.with_extension("db.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&beside);
    let unavailable = |error: std::io::Error| ViewError::Unavailable(format!("{}: {error}", beside.display()));
    let file = file.map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ViewError::InUse(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

/// Opens the file for the runner, making it if it is absent.
fn open_writer(path: &Path) -> Result<rusqlite::Connection, ViewError> {
    let connection = rusqlite::Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    check_format(&connection, path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "wal_autocheckpoint", 16_000)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", FORMAT)?;
    connection.set_prepared_statement_cache_capacity(256);
    connection.execute_batch(OWN_TABLES)?;
    Ok(connection)
}

/// Opens the file for reading only.
fn open_reader(path: &Path) -> Result<rusqlite::Connection, ViewError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    check_format(&connection, path)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

fn check_format(connection: &rusqlite::Connection, path: &Path) -> Result<(), ViewError> {
    let name = || path.display().to_string();
    let not_views = |_| ViewError::NotViews(name());
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(not_views)?;
    let application_id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(not_views)?;
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(not_views)?;
    if tables > 0 && application_id != APPLICATION_ID {
        return Err(ViewError::NotViews(name()));
    }
    if format > FORMAT {
        return Err(ViewError::Newer { name: name(), found: format, known: FORMAT });
    }
    Ok(())
}

/// The statements of a table by the name that it has in a generation.
pub(crate) fn statements(table: &'static Table, name: &str) -> Statements {
    let key = join(table.key(), |column| column.name.to_owned());
    let holes = |count: usize| vec!["?"; count].join(", ");
    let matches = table.key().iter().map(|column| format!("{} = ?", column.name)).collect::<Vec<_>>().join(" AND ");
    let set = join(&table.columns[table.key_columns..], |column| format!("{0} = excluded.{0}", column.name));
    Statements {
        table,
        name: name.to_owned(),
        load: format!("SELECT {} FROM {name} WHERE {matches}", table.column_list("")),
        upsert: format!("INSERT INTO {name} VALUES ({}) ON CONFLICT ({key}) DO UPDATE SET {set}", holes(table.columns.len())),
        delete: format!("DELETE FROM {name} WHERE {matches}"),
    }
}

fn bind(statement: &mut Statement<'_>, values: &[Value<'_>]) -> rusqlite::Result<()> {
    (1..).zip(values).try_for_each(|(number, value)| statement.raw_bind_parameter(number, value))
}

/// Views in a file.
pub(crate) struct SqliteStore {
    path: PathBuf,
    name: String,
}

impl SqliteStore {
    pub fn new(path: &str) -> Self {
        Self { path: path.into(), name: path.to_owned() }
    }
}

impl Store for SqliteStore {
    fn name(&self) -> &str {
        &self.name
    }
    fn prepare(&self) -> Result<(), ViewError> {
        open_writer(&self.path).map(drop)
    }
    fn reader(&self) -> Result<Box<dyn Connection>, ViewError> {
        let connection = open_reader(&self.path)?;
        Ok(Box::new(SqliteConnection { connection, begin: "BEGIN", _lock: None }))
    }
    fn loader(&self) -> Result<Box<dyn Connection>, ViewError> {
        self.reader()
    }
    fn writer(&self) -> Result<Box<dyn Connection>, ViewError> {
        let lock = lock(&self.path)?;
        let connection = open_writer(&self.path)?;
        Ok(Box::new(SqliteConnection { connection, begin: "BEGIN IMMEDIATE", _lock: Some(lock) }))
    }
}

struct SqliteConnection {
    connection: rusqlite::Connection,
    begin: &'static str,
    /// Held as long as a writer lives: two writers would undo each other's work.
    _lock: Option<File>,
}

impl SqliteConnection {
    fn run(&self, sql: &str) -> Result<(), ViewError> {
        Ok(self.connection.execute_batch(sql)?)
    }
}

impl Connection for SqliteConnection {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn each(&self, sql: &str, parameters: &[Value<'_>], each: &mut EachRow<'_>) -> Result<(), ViewError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        bind(&mut statement, parameters)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            each(&|column| row.get_ref(column).map_or(Value::Null, |stored| value(stored).into_owned()))?;
        }
        Ok(())
    }

    fn execute(&self, sql: &str, parameters: &[Value<'_>]) -> Result<(), ViewError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        bind(&mut statement, parameters)?;
        statement.raw_execute()?;
        Ok(())
    }

    fn begin(&self) -> Result<(), ViewError> {
        self.execute(self.begin, &[])
    }

    fn commit(&self) -> Result<(), ViewError> {
        self.execute("COMMIT", &[])
    }

    fn roll_back(&self) {
        // SQLite may have rolled back on its own (a full disk); then there is nothing left to roll back.
        if let Err(error) = self.execute("ROLLBACK", &[]) {
            tracing::debug!(%error, "nothing to roll back");
        }
    }

    fn session<'s>(&'s self, tables: &'s [Statements]) -> Box<dyn Session + 's> {
        Box::new(SqliteSession { connection: &self.connection, tables })
    }

    fn create_tables(&self, projection: &'static Projection, generation: u32) -> Result<(), ViewError> {
        for table in projection.tables {
            let columns = join(table.columns, |column| {
                let kind = if column.column_type == ColumnType::Integer { "INTEGER" } else { "TEXT" };
                format!("{} {kind}{}", column.name, if column.nullable { "" } else { " NOT NULL" })
            });
            let key = join(table.key(), |column| column.name.to_owned());
            let name = Dialect::Sqlite.physical(projection.name, table.name, generation);
            self.run(&format!("CREATE TABLE {name} ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID;"))?;
        }
        Ok(())
    }

    fn create_indexes(&self, projection: &'static Projection, generation: u32) -> Result<(), ViewError> {
        for table in projection.tables {
            let name = Dialect::Sqlite.physical(projection.name, table.name, generation);
            for (number, columns) in table.indexes.iter().enumerate() {
                self.run(&format!("CREATE INDEX {name}_{number} ON {name} ({columns});"))?;
            }
        }
        Ok(())
    }

    /// Points the plain names at the generation, and describes the tables in `data_dictionary`.
    fn publish(&self, projection: &'static Projection, generation: u32) -> Result<(), ViewError> {
        for table in projection.tables {
            let (name, columns) = (table.name, table.column_list(""));
            let from = Dialect::Sqlite.physical(projection.name, name, generation);
            self.run(&format!(
                "DROP VIEW IF EXISTS {name}; CREATE VIEW {name} AS SELECT {columns} FROM {from};
                 DELETE FROM data_dictionary WHERE table_name = '{name}';"
            ))?;
            let mut describe = self.connection.prepare_cached("INSERT INTO data_dictionary VALUES (?, ?, ?, ?, ?)")?;
            describe.execute((name, 0, "", "table", table.about.trim()))?;
            for (place, column) in (1_i64..).zip(table.columns) {
                let kind = if column.column_type == ColumnType::Integer { "integer" } else { "text" };
                describe.execute((name, place, column.name, kind, column.about.trim()))?;
            }
        }
        Ok(())
    }

    fn discard(&self, checkpoint: &Checkpoint) -> Result<(), ViewError> {
        for table in checkpoint.tables.split(',') {
            if checkpoint.serving {
                self.run(&format!("DROP VIEW IF EXISTS {table};"))?;
            }
            let name = Dialect::Sqlite.physical(&checkpoint.projection, table, checkpoint.generation);
            self.run(&format!("DROP TABLE IF EXISTS {name};"))?;
        }
        Ok(())
    }

    fn highest_generation(&self, projection: &str) -> Result<u32, ViewError> {
        let sql = "SELECT COALESCE(max(generation), 0) FROM projections WHERE projection = ?";
        Ok(self.connection.query_row(sql, [projection], |row| row.get(0))?)
    }
}

/// The session of one projection in the transaction of a batch.
struct SqliteSession<'c> {
    connection: &'c rusqlite::Connection,
    tables: &'c [Statements],
}

impl Session for SqliteSession<'_> {
    fn load(&self, table: &'static Table, keys: &[Vec<Value<'_>>]) -> Result<Vec<Vec<Value<'static>>>, ViewError> {
        let mut statement = self.connection.prepare_cached(&Statements::of(self.tables, table)?.load)?;
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            bind(&mut statement, key)?;
            let mut rows = statement.raw_query();
            if let Some(row) = rows.next()? {
                let values = (0..table.columns.len()).map(|column| Ok(value(row.get_ref(column)?).into_owned()));
                found.push(values.collect::<Result<_, ViewError>>()?);
            }
        }
        Ok(found)
    }

    fn upsert(&self, table: &'static Table, rows: &mut dyn Iterator<Item = Vec<Value<'_>>>) -> Result<(), ViewError> {
        let mut statement = self.connection.prepare_cached(&Statements::of(self.tables, table)?.upsert)?;
        for values in rows {
            bind(&mut statement, &values)?;
            statement.raw_execute()?;
        }
        Ok(())
    }

    fn delete(&self, table: &'static Table, keys: &[Vec<Value<'_>>]) -> Result<(), ViewError> {
        let mut statement = self.connection.prepare_cached(&Statements::of(self.tables, table)?.delete)?;
        for key in keys {
            bind(&mut statement, key)?;
            statement.raw_execute()?;
        }
        Ok(())
    }
}
