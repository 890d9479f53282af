//! The schema: its tables, its format, and the checks before anything in it is trusted or changed.

use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use super::unavailable;
use crate::{VaultError, key::Keyring, store::FORMAT};

/// Everything is in a schema of its own and always named with it. Names sort by their bytes, as in SQLite.
const TABLES: &str = "
    CREATE SCHEMA IF NOT EXISTS vault;
    REVOKE ALL ON SCHEMA vault FROM PUBLIC;
    CREATE TABLE vault.vault (one BOOLEAN PRIMARY KEY CHECK (one), format BIGINT NOT NULL, key_check BYTEA NOT NULL);
    CREATE SEQUENCE vault.versions;
    CREATE TABLE vault.entries (
        name TEXT COLLATE \"C\" PRIMARY KEY, version BIGINT NOT NULL, expires_at BIGINT, sealed BYTEA NOT NULL
    );
    CREATE INDEX entries_by_end ON vault.entries (expires_at) WHERE expires_at IS NOT NULL;
    COMMENT ON SCHEMA vault IS 'Secrets and personal data of accounts, encrypted, and nothing else. Delete no row by hand.';";

/// Held while the schema is looked at and changed, so that of several nodes that start at once one makes it. The letters `DayV`.
const MAKING: i64 = 0x4461_7956;

/// Makes the vault's tables if need be and it may, and checks that they are ours, of a known format and made with this key.
pub(super) async fn prepare(session: &mut PgConnection, name: &str, keyring: &Keyring, make: bool) -> Result<(), VaultError> {
    // Nothing is locked and no right is needed where there is nothing to do.
    if is_made(session, name, keyring).await? {
        return Ok(());
    }
    if !make {
        return Err(VaultError::NotAVault(name.to_owned(), "it has no schema vault".to_owned()));
    }
    let refused = |error| unavailable(name, &error);
    let check = keyring.check_entry();
    let check = check.ok_or_else(|| VaultError::Unavailable(name.to_owned(), "its key cannot be used".to_owned()))?;
    let mut transaction = session.begin().await.map_err(refused)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MAKING).execute(&mut *transaction).await.map_err(refused)?;
    // What another node has just made is seen now: it let go of the lock when it committed.
    if is_made(&mut transaction, name, keyring).await? {
        return transaction.rollback().await.map_err(refused);
    }
    transaction.execute(TABLES).await.map_err(refused)?;
    let mark = sqlx::query("INSERT INTO vault.vault VALUES (true, $1, $2)").bind(FORMAT).bind(&check);
    mark.execute(&mut *transaction).await.map_err(refused)?;
    transaction.commit().await.map_err(refused)?;
    keyring.fits(&check);
    tracing::info!(vault = %name, "a new vault was made; without its key nothing in it can be read");
    Ok(())
}

/// Whether there is a vault that this key opens, or nothing yet. Anything else is refused.
async fn is_made(session: &mut PgConnection, name: &str, keyring: &Keyring) -> Result<bool, VaultError> {
    let refused = |error| unavailable(name, &error);
    let theirs = || VaultError::NotAVault(name.to_owned(), "its schema vault belongs to another application".to_owned());
    let sql = "SELECT count(*), count(*) FILTER (WHERE relname IN ('vault', 'entries', 'versions')) FROM pg_class
        WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'vault')";
    let row = sqlx::query(sql).fetch_one(&mut *session).await.map_err(refused)?;
    match (row.get::<i64, _>(0), row.get::<i64, _>(1)) {
        (0, _) => return Ok(false),
        (_, 3) => {}
        _ => return Err(theirs()),
    }
    let marks = sqlx::query("SELECT format, key_check FROM vault.vault").fetch_all(session).await.map_err(|error| {
        // A column or table that is not there: it is another application's.
        match error.as_database_error().and_then(|error| error.code()).as_deref() {
            Some("42703" | "42P01") => theirs(),
            _ => refused(error),
        }
    })?;
    let [mark] = &*marks else { return Err(VaultError::NotAVault(name.to_owned(), "its mark is missing".to_owned())) };
    let (Ok(found), Ok(check)) = (mark.try_get::<i64, _>(0), mark.try_get::<Vec<u8>, _>(1)) else { return Err(theirs()) };
    if found > FORMAT {
        return Err(VaultError::Newer { name: name.to_owned(), found, known: FORMAT });
    }
    if keyring.fits(&check) { Ok(true) } else { Err(VaultError::WrongKey(name.to_owned())) }
}
