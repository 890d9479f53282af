//! What the views need of a database. Two stores answer it, SQLite and PostgreSQL; projections and queries are written once.

use std::time::Duration;

use tokio::sync::watch;

use crate::{Projection, Session, Table, Value, ViewError, checkpoint::Checkpoint, postgres::PostgresStore, sqlite::SqliteStore};

/// Gets each row of a query: the value of a column by its number.
pub(crate) type EachRow<'e> = dyn FnMut(&dyn Fn(usize) -> Value<'static>) -> Result<(), ViewError> + 'e;

/// Where views are kept.
pub(crate) trait Store: Send + Sync {
    /// The address, without any password.
    fn name(&self) -> &str;

    /// Makes what is missing, so that views can be kept here.
    fn prepare(&self) -> Result<(), ViewError>;

    /// A connection that reads what is served: each of its transactions sees all views stand still.
    fn reader(&self) -> Result<Box<dyn Connection>, ViewError>;

    /// A connection through which folds load the rows of any generation.
    fn loader(&self) -> Result<Box<dyn Connection>, ViewError>;

    /// The one connection that writes. [`ViewError::InUse`] when another process has it.
    fn writer(&self) -> Result<Box<dyn Connection>, ViewError>;

    /// If many processes may share the views: how long after the one that writes has gone another may take its place.
    fn take_over_after(&self) -> Option<Duration> {
        None
    }

    /// Tells when another process may have moved the views: a hint, so that polling need not be fast.
    fn moved(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}

/// A connection to a view store. SQL has a `?` for each parameter.
pub(crate) trait Connection: Send {
    fn dialect(&self) -> Dialect;

    /// Any query, row by row.
    fn each(&self, sql: &str, parameters: &[Value<'_>], each: &mut EachRow<'_>) -> Result<(), ViewError>;

    fn execute(&self, sql: &str, parameters: &[Value<'_>]) -> Result<(), ViewError>;

    fn begin(&self) -> Result<(), ViewError>;

    fn commit(&self) -> Result<(), ViewError>;

    fn roll_back(&self);

    /// Says that what follows in this transaction asks about whole tables, not for a few of their rows.
    fn read_whole(&self) {}

    /// Whether it must be given up after a failure, and another be opened.
    fn is_lost(&self) -> bool {
        false
    }

    /// The session of a generation with these tables.
    fn session<'s>(&'s self, tables: &'s [Statements]) -> Box<dyn Session + 's>;

    /// Makes the tables of a generation, empty and without indexes.
    fn create_tables(&self, projection: &'static Projection, generation: u32) -> Result<(), ViewError>;

    /// Makes the indexes of a generation: after a bulk build, when they cost least.
    fn create_indexes(&self, projection: &'static Projection, generation: u32) -> Result<(), ViewError>;

    /// Lets readers see a generation.
    fn publish(&self, projection: &'static Projection, generation: u32) -> Result<(), ViewError>;

    /// Takes a generation away with all tables it has, which may be of an older shape than today's code knows.
    fn discard(&self, checkpoint: &Checkpoint) -> Result<(), ViewError>;

    /// The highest number that a generation of a projection ever had, of those that are still there.
    fn highest_generation(&self, projection: &str) -> Result<u32, ViewError>;

    /// Does what may wait, such as dropping generations that no one reads any more, and waits for no one. Told what
    /// serves.
    fn tend(&self, serving: &[(&'static Projection, u32)]) -> Result<(), ViewError> {
        let _ = serving;
        Ok(())
    }

    /// Lets go of the right to write, so that another process may have it at once.
    fn close(self: Box<Self>) {}
}

/// What the stores say differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// The name of the table that holds one generation of a read model.
    pub fn physical(self, projection: &str, table: &str, generation: u32) -> String {
        match self {
            Self::Sqlite => format!("{table}__g{generation}"),
            Self::Postgres => format!("daybook_{projection}_g{generation}.{table}"),
        }
    }

    /// The statements that read and write the tables of a generation.
    pub fn statements(self, projection: &'static Projection, generation: u32) -> Vec<Statements> {
        let statements = |table: &&'static Table| {
            let name = self.physical(projection.name, table.name, generation);
            match self {
                Self::Sqlite => crate::sqlite::statements(table, &name),
                Self::Postgres => crate::postgres::statements(table, &name),
            }
        };
        projection.tables.iter().map(statements).collect()
    }

    /// The Monday of the week of a moment, as a date.
    pub fn monday(self, moment: &str) -> String {
        match self {
            Self::Sqlite => format!("date(substr({moment}, 1, 10), '-6 days', 'weekday 1')"),
            Self::Postgres => format!("to_char(date_trunc('week', substr({moment}, 1, 10)::date), 'YYYY-MM-DD')"),
        }
    }
}

/// The statements that read and write one table of a generation.
#[derive(Debug)]
pub(crate) struct Statements {
    pub table: &'static Table,
    /// What it is called in its generation.
    pub name: String,
    pub load: String,
    pub upsert: String,
    pub delete: String,
}

impl Statements {
    /// Those of a table.
    pub fn of<'s>(all: &'s [Self], table: &'static Table) -> Result<&'s Self, ViewError> {
        let found = all.iter().find(|statements| std::ptr::eq(statements.table, table) || statements.table == table);
        found.ok_or_else(|| ViewError::Unavailable(format!("the projection writes `{}` without declaring it", table.name)))
    }
}

/// The store at an address.
pub(crate) fn open(url: &str) -> Result<Box<dyn Store>, ViewError> {
    match url.split_once(':') {
        Some(("sqlite", path)) => Ok(Box::new(SqliteStore::new(path))),
        Some(("postgres" | "postgresql", _)) => Ok(Box::new(PostgresStore::new(url)?)),
        // What was written may hold a password, so it is not repeated.
        _ => {
            let known = "the address of views reads sqlite:PATH or postgres://USER@HOST/DATABASE";
            Err(ViewError::Unavailable(known.to_owned()))
        }
    }
}
