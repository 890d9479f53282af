//! The schema: its tables, its versions, and the checks before anything in it is trusted or changed.

use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use uuid::Uuid;

use super::{PostgresAddress, session::refusal};
use crate::OpenError;

/// What each format adds to the one before it; the first makes a log of nothing. A log holds the number of its format in `daybook.log`.
///
/// Everything is in a schema of its own and always named with it, so that the log stands beside other tables in a database and
/// does not hang on anyone's `search_path`.
const FORMATS: &[&str] = &[include_str!("format_1.sql")];

/// Held while the schema is looked at and changed, so that of several nodes that start at once one makes it. The letters `DayB`.
const MIGRATION_LOCK: i64 = 0x4461_7942;

/// What is found where a log may be.
enum Found {
    Nothing,
    Log { id: Uuid, format: usize },
}

/// Makes or upgrades the log's tables if need be, and gives the log's identity.
pub(super) async fn prepare(connection: &mut PgConnection, address: &PostgresAddress) -> Result<Uuid, OpenError> {
    let known = FORMATS.len();
    // Nothing is locked and no right is needed where there is nothing to do.
    if let Found::Log { id, format } = look(connection, address).await?
        && format == known
    {
        return Ok(id);
    }
    let refused = |error| refusal(address, error);
    let mut transaction = connection.begin().await.map_err(refused)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut *transaction).await.map_err(refused)?;
    // What another node has just made is seen now: it let go of the lock when it committed.
    let (id, from) = match look(&mut transaction, address).await? {
        Found::Nothing => (Uuid::now_v7(), 0),
        Found::Log { id, format } => (id, format),
    };
    for (format, changes) in (1_i32..).zip(FORMATS).skip(from) {
        transaction.execute(*changes).await.map_err(refused)?;
        let mark = if format == 1 {
            sqlx::query("INSERT INTO daybook.log (format, id, created_at) VALUES ($1, $2, now())").bind(format).bind(id)
        } else {
            sqlx::query("UPDATE daybook.log SET format = $1").bind(format)
        };
        mark.execute(&mut *transaction).await.map_err(refused)?;
    }
    transaction.commit().await.map_err(refused)?;
    if from < known {
        tracing::info!(log = %address, from, to = known, "the log's tables were brought to this version's format");
    }
    Ok(id)
}

/// The identity of a log that is only to be read: it must be there, and in a format that is read here.
pub(super) async fn check(connection: &mut PgConnection, address: &PostgresAddress) -> Result<Uuid, OpenError> {
    match look(connection, address).await? {
        Found::Log { id, format } if format == FORMATS.len() => Ok(id),
        Found::Log { .. } => {
            Err(OpenError::Unavailable(address.to_string(), "its tables must first be upgraded by a server".to_owned()))
        }
        Found::Nothing => Err(OpenError::NotALog(address.to_string(), "there is no log in it".to_owned())),
    }
}

/// Looks, and refuses what is not a log of a known format.
async fn look(connection: &mut PgConnection, address: &PostgresAddress) -> Result<Found, OpenError> {
    let refused = |error| refusal(address, error);
    let not_a_log = |reason: &str| OpenError::NotALog(address.to_string(), reason.to_owned());
    let sql = "SELECT current_setting('server_encoding'), current_setting('server_version_num')::int,
        (SELECT count(*) FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'daybook')),
        (SELECT count(*) FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'daybook')
            AND relname IN ('log', 'events'))";
    let row = sqlx::query(sql).fetch_one(&mut *connection).await.map_err(refused)?;
    let (encoding, version): (String, i32) = (row.get(0), row.get(1));
    if version < OLDEST_SERVER {
        return Err(OpenError::Unavailable(address.to_string(), "the server is older than PostgreSQL 14".to_owned()));
    }
    if encoding != "UTF8" {
        return Err(not_a_log("its encoding is not UTF8"));
    }
    match (row.get::<i64, _>(2), row.get::<i64, _>(3)) {
        (0, _) => return Ok(Found::Nothing),
        (_, 2) => {}
        _ => return Err(not_a_log("its schema daybook belongs to another application")),
    }
    let marks = sqlx::query("SELECT id, format FROM daybook.log").fetch_all(connection).await.map_err(|error| {
        // A column that is not there (class 42 of SQLSTATE, but for a missing right): it is another application's table.
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        match code.as_deref() {
            Some("42703" | "42P01") => not_a_log("its schema daybook belongs to another application"),
            _ => refused(error),
        }
    })?;
    let [mark] = &*marks else { return Err(not_a_log("its identity is missing")) };
    let (Ok(id), Ok(format)) = (mark.try_get::<Uuid, _>(0), mark.try_get::<i32, _>(1)) else {
        return Err(not_a_log("its schema daybook belongs to another application"));
    };
    let found = usize::try_from(format).map_err(|_| not_a_log("its format is not known"))?;
    if found > FORMATS.len() {
        return Err(OpenError::Newer { name: address.to_string(), found: i64::from(format), known: FORMATS.len() as i64 });
    }
    Ok(Found::Log { id, format: found })
}

/// The oldest server whose settings and SQL are used here.
const OLDEST_SERVER: i32 = 140_000;
