//! Views in a PostgreSQL database, which many processes may share: one of them keeps them, all of them read.
//!
//! The schema `daybook_views` holds the bookkeeping, and each generation of a projection has a schema of its own, such as
//! `daybook_orders_g2`, with its tables under their plain names. A reader's transaction puts the schemas that serve in its
//! own snapshot on its search path: so queries are the same as in SQLite, and a new generation takes over by a change of
//! rows, which no lock of a reader can hold up. What people see is the schema `analytics`; see
//! `analytics.rs`.

mod analytics;
mod connection;
mod owner;
mod session;
mod tables;
mod wire;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use event_store::PostgresAddress;
use sqlx::{
    ConnectOptions as _, Decode, Postgres, Row as _, Type,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgRow},
};
use tokio::sync::watch;

use crate::{
    ViewError,
    store::{Connection, Store},
};
use connection::{PostgresConnection, Role};
pub(crate) use session::statements;
use wire::{Wire, runtime, unavailable};

/// The format of the bookkeeping.
const FORMAT: i64 = 1;
/// Held while the bookkeeping is made, so that processes that start at once do not stumble over each other.
const MAKING: i64 = 0x4442_5657_0000_0001;
/// The channel on which the owner tells that the views have moved.
const MOVED: &str = "daybook_views";
/// How long to wait before listening again after the connection broke.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

const BOOKKEEPING: &str = "
    CREATE SCHEMA IF NOT EXISTS daybook_views;
    CREATE TABLE IF NOT EXISTS daybook_views.format (one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one), format BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS daybook_views.projections (
        projection TEXT NOT NULL, generation BIGINT NOT NULL, serving BIGINT NOT NULL, version BIGINT NOT NULL,
        shape TEXT NOT NULL, tables TEXT NOT NULL, log_id TEXT NOT NULL, position BIGINT NOT NULL, seen_at TEXT,
        halted_reason TEXT, halted_since TEXT, PRIMARY KEY (projection, generation)
    );
    CREATE TABLE IF NOT EXISTS daybook_views.retired (
        projection TEXT NOT NULL, generation BIGINT NOT NULL, retired_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (projection, generation)
    );
    CREATE TABLE IF NOT EXISTS daybook_views.shown (relation TEXT PRIMARY KEY, generation BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS daybook_views.described (view TEXT PRIMARY KEY, definition TEXT NOT NULL);";

/// What every session begins with. Our statements are short: compiling them costs more than it saves.
const SESSION: &str = "
    SET client_min_messages = warning; SET timezone = 'UTC'; SET standard_conforming_strings = on; SET jit = off;
    SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '120s';
    SET search_path = daybook_views;";
/// A list, a batch or the rows of a fold are few and found by an index, whatever the statistics say of a table that has
/// just grown: see `conditions.rs`.
const BY_INDEX: &str =
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;";
/// The opposite, for a question about a whole table, until the transaction ends.
const WHOLE: &str = "SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_hashjoin = on";
/// A crash of the database may take the last batches away, newest first and each of them whole: what is left is an earlier
/// state of the views with its checkpoints, and the runner reads the rest from the log again.
const WRITING: &str = "SET enable_seqscan = off; SET synchronous_commit = off;";

/// A column of a row that we know the type of.
fn get<'r, T: Decode<'r, Postgres> + Type<Postgres>>(row: &'r PgRow, column: usize) -> Result<T, ViewError> {
    row.try_get(column).map_err(|error| ViewError::Unavailable(error.to_string()))
}

/// Views in a database.
pub(crate) struct PostgresStore {
    options: PgConnectOptions,
    /// The address without the password.
    name: String,
    moved: Mutex<Option<watch::Receiver<u64>>>,
}

impl PostgresStore {
    pub fn new(url: &str) -> Result<Self, ViewError> {
        let unreadable = |error: event_store::OpenError| ViewError::Unavailable(error.to_string());
        let address = PostgresAddress::parse(url).map_err(unreadable)?;
        let options = address.options().clone().statement_cache_capacity(512).disable_statement_logging();
        let name = address.to_string();
        Ok(Self { options, name, moved: Mutex::default() })
    }

    fn connect(&self, session: &str) -> Result<Wire, ViewError> {
        Wire::connect(&self.options, &self.name, &format!("{SESSION}{session}"))
    }

    /// Refuses what is not ours or of a newer version.
    fn check_format(&self, wire: &Wire) -> Result<(), ViewError> {
        let name = || self.name.clone();
        let there = wire.run("SELECT to_regclass('daybook_views.format') IS NOT NULL")?;
        if there.first().map(|row| get::<bool>(row, 0)).transpose()? != Some(true) {
            return Err(ViewError::NotViews(name()));
        }
        let rows = wire.run("SELECT format FROM daybook_views.format")?;
        let found: i64 = rows.first().map(|row| get(row, 0)).transpose()?.ok_or_else(|| ViewError::NotViews(name()))?;
        if found > FORMAT {
            return Err(ViewError::Newer { name: name(), found, known: FORMAT });
        }
        Ok(())
    }

    fn open(&self, session: &str, role: impl FnOnce(&Wire) -> Result<Role, ViewError>) -> Result<PostgresConnection, ViewError> {
        let wire = self.connect(session)?;
        self.check_format(&wire)?;
        let role = role(&wire)?;
        Ok(PostgresConnection::new(wire, role))
    }
}

impl Store for PostgresStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn prepare(&self) -> Result<(), ViewError> {
        let wire = self.connect("")?;
        let there = wire.run("SELECT 1 FROM pg_namespace WHERE nspname = 'daybook_views'")?;
        if !there.is_empty() {
            return self.check_format(&wire);
        }
        let owner = owner::TABLE;
        wire.run(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock({MAKING}); {BOOKKEEPING} {owner}
             INSERT INTO daybook_views.format (format) VALUES ({FORMAT}) ON CONFLICT DO NOTHING; COMMIT"
        ))?;
        self.check_format(&wire)
    }

    fn reader(&self) -> Result<Box<dyn Connection>, ViewError> {
        Ok(Box::new(self.open(BY_INDEX, |_| Ok(Role::Reader))?))
    }

    fn loader(&self) -> Result<Box<dyn Connection>, ViewError> {
        Ok(Box::new(self.open(BY_INDEX, |_| Ok(Role::Loader))?))
    }

    fn writer(&self) -> Result<Box<dyn Connection>, ViewError> {
        let take = |wire: &Wire| Ok(Role::Writer(owner::Ownership::take(wire, &self.options, &self.name)?));
        Ok(Box::new(self.open(WRITING, take)?))
    }

    fn take_over_after(&self) -> Option<Duration> {
        Some(owner::LEASE)
    }

    fn moved(&self) -> Option<watch::Receiver<u64>> {
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        if moved.is_none() {
            let (sender, receiver) = watch::channel(0);
            runtime().ok()?.spawn(listen(self.options.clone(), self.name.clone(), sender));
            *moved = Some(receiver);
        }
        moved.clone()
    }
}

/// Passes on what the owner tells, until no one listens any more.
async fn listen(options: PgConnectOptions, name: String, moved: watch::Sender<u64>) {
    while !moved.is_closed() {
        if let Err(error) = listen_once(&options, &moved).await {
            let error = unavailable(&name, &error);
            tracing::debug!(%error, "cannot hear when the views move; polling goes on");
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn listen_once(options: &PgConnectOptions, moved: &watch::Sender<u64>) -> sqlx::Result<()> {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(MOVED).await?;
    loop {
        tokio::select! {
            heard = listener.try_recv() => {
                // Nothing heard: the connection broke, and something may have been missed.
                if heard?.is_none() { return Ok(()); }
                moved.send_modify(|times| *times += 1);
            }
            () = moved.closed() => return Ok(()),
        }
    }
}
