//! The stores that views are kept in: every test of the views runs on each.

use projections::Views;
use tempfile::TempDir;
use test_postgres::Postgres;

/// A place for views of any name.
pub enum Home {
    Sqlite(TempDir),
    Postgres(Postgres),
}

impl Home {
    pub fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// None, with a word about it, where there is no PostgreSQL.
    pub fn postgres() -> Option<Self> {
        started_server().map(Self::Postgres)
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    pub fn url(&self, name: &str) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join(name).display()),
            Self::Postgres(server) => server.database(name),
        }
    }

    pub fn views(&self, name: &str) -> Views {
        Views::open(&self.url(name)).unwrap()
    }

    /// Runs statements behind the back of the views.
    pub fn tamper(&self, name: &str, sql: &str) {
        match self {
            Self::Sqlite(folder) => rusqlite::Connection::open(folder.path().join(name)).unwrap().execute_batch(sql).unwrap(),
            Self::Postgres(server) => drop(server.psql(name, &format!("SET search_path = daybook_views; {sql}"))),
        }
    }

    /// What a table is called in the first generation of a projection.
    pub fn table(&self, projection: &str, table: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("{table}__g1"),
            Self::Postgres(_) => format!("daybook_{projection}_g1.{table}"),
        }
    }
}

/// A server that does not sync: killing it loses nothing that was written to the system, and none of these tests ends the
/// system.
pub fn started_server() -> Option<Postgres> {
    // Plans change when the server counts rows anew, in the midst of a test.
    Postgres::start_with(&["fsync=off", "autovacuum=off"])
}

/// Makes a test on each store of every function named: `async fn it_holds(home: Home)`.
macro_rules! on_each_store {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::store::Home::sqlite()).await; }
        )+}
        mod on_postgres {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(home) = crate::store::Home::postgres() { super::$name(home).await; }
            }
        )+}
    };
}
