//! Sessions with the server: how each is set, how long anything may take, and what its errors mean.

use std::{io, time::Duration};

use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgDatabaseError, PgPoolOptions, PgSeverity},
};

use super::{PostgresAddress, turn::STALLED};
use crate::{OpenError, ReadError};

/// How many sessions read at once; the others wait. One more writes, and one of these listens.
const READERS: u32 = 8;
/// How long a read waits for a free session, a lost server included.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long a read may take on the server.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// How long an append may take on the server, its wait for another writer's append included.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long to wait for the server's answer to an append: longer than it may take, so that only a lost server is given up.
pub(super) const ANSWER: Duration = Duration::from_secs(15);
/// How long to wait for the server's answer to a read before it is given up as lost.
pub(super) const LOST: Duration = Duration::from_secs(65);
/// A session that rested for longer is asked whether it is still alive before it is used.
pub(super) const RESTED: Duration = Duration::from_secs(1);

/// What holds for every session. All our queries walk along an index. A plan is made once, whatever it is asked with: planning an
/// append anew took more than half as long as carrying it out. As that may be while the log is still empty, what is only good for
/// small tables is taken from the planner. A session whose client is gone is ended within half a minute, and what it
/// had begun with it: others may be waiting for that.
const SETTINGS: &[(&str, &str)] = &[
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

/// The server, as the writer of the log connects to it.
#[derive(Debug)]
pub(super) struct Server {
    address: PostgresAddress,
    options: PgConnectOptions,
    /// Whether a server that would lose what it has acknowledged is refused.
    durable: bool,
}

impl Server {
    pub(super) fn new(address: PostgresAddress, durable: bool) -> Self {
        // Nothing is acknowledged that the server has not synced, whatever its default is.
        let options = limited(&address, WRITE_LIMIT).options([("synchronous_commit", "on")]);
        let options = options.options([("idle_in_transaction_session_timeout", STALLED.as_millis())]);
        Self { address, options, durable }
    }

    /// A new session that appends.
    pub(super) async fn session(&self) -> Result<PgConnection, OpenError> {
        let connected = self.address.connect(&self.options).await;
        let mut session = connected.map_err(|error| refusal(&self.address, error))?;
        if self.durable {
            check_durable(&mut session, &self.address).await?;
        }
        Ok(session)
    }
}

/// Sessions for reading, and for notes that a power cut may take. A note is never durable before an older event: the server's
/// write-ahead log is one sequence.
pub(super) fn reading(address: &PostgresAddress, read_only: bool) -> PgPool {
    let options = limited(address, READ_LIMIT).options([("synchronous_commit", "off")]);
    let options = if read_only { options.options([("default_transaction_read_only", "on")]) } else { options };
    PgPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        .before_acquire(|connection, rest| {
            Box::pin(async move { if rest.idle_for > RESTED { connection.ping().await.map(|()| true) } else { Ok(true) } })
        })
        .connect_lazy_with(options)
}

fn limited(address: &PostgresAddress, limit: Duration) -> PgConnectOptions {
    let options = address.options().clone().options(SETTINGS.iter().copied());
    options.options([("statement_timeout", limit.as_millis())])
}

/// Refuses a server that does not write to the disk what it says it has written. What is on the way (a pooler that drops settings)
/// is looked through: the server itself is asked.
async fn check_durable(session: &mut PgConnection, address: &PostgresAddress) -> Result<(), OpenError> {
    let asked = sqlx::query_scalar("SELECT current_setting(name) FROM UNNEST(ARRAY['fsync', 'synchronous_commit']) AS name");
    let settings: Vec<String> = asked.fetch_all(session).await.map_err(|error| refusal(address, error))?;
    match settings.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["on", "on"] => Ok(()),
        ["on", _] => {
            Err(OpenError::Unavailable(address.to_string(), "its sessions cannot be set to synchronous_commit=on".to_owned()))
        }
        _ => Err(OpenError::Unavailable(
            address.to_string(),
            "the server runs with fsync=off and would lose what it has acknowledged".to_owned(),
        )),
    }
}

/// Why a log could not be opened.
pub(super) fn refusal(address: &PostgresAddress, error: sqlx::Error) -> OpenError {
    OpenError::Unavailable(address.to_string(), reason(&error))
}

/// What the server answered, if the error is an answer: what was asked was not done, and the session goes on. Anything else (the
/// connection broke, the server is shutting down) leaves open whether it was done.
pub(super) fn answer(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    matches!(error.severity(), PgSeverity::Error).then_some(error)
}

/// An error as an operator reads it.
pub(super) fn reason(error: &sqlx::Error) -> String {
    match error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) {
        Some(error) => match error.code() {
            "53100" => "the disk is full".to_owned(),
            "25006" => "the database can only be read, not written".to_owned(),
            "57014" => "it took too long".to_owned(),
            _ => error.message().to_owned(),
        },
        None => match error {
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "a file that its address names is not there: sslrootcert, sslcert, sslkey or the socket".to_owned()
            }
            sqlx::Error::PoolTimedOut => "no session with the server was free in time".to_owned(),
            error => error.to_string(),
        },
    }
}

/// What an error while reading at a position means.
pub(super) fn read_error(position: u64, error: &sqlx::Error) -> ReadError {
    let damaged = match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => true,
        // Data or an index that PostgreSQL itself finds corrupted.
        error => answer(error).is_some_and(|error| error.code().starts_with("XX00") && error.code() != "XX000"),
    };
    let reason = reason(error);
    if damaged { ReadError::Damaged { position, reason } } else { ReadError::Unavailable(reason) }
}
