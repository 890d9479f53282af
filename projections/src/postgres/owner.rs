//! Who keeps the views of a shared store: one process at a time, by a lease on the database's clock.
//!
//! The owner holds an epoch, and renews its lease every second on a connection of its own. Each of its transactions first
//! locks the owner's row in the mode that foreign keys use and finds its epoch there, or fails: an owner that was paused,
//! and replaced meanwhile, writes nothing any more. Renewing goes on beside such a lock; replacing does not, so whoever
//! finds a lease that has run out first ends the old owner's session, which may hang half-open in a transaction.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use sqlx::{
    Connection as _, Row as _,
    postgres::{PgConnectOptions, PgConnection},
};
use tokio::{sync::oneshot, task::JoinHandle};

use super::wire::{PATIENCE, Wire, is_in_the_way, runtime, unavailable, wait};
use crate::ViewError;

/// How often the owner renews its lease.
const RENEW: Duration = Duration::from_secs(1);
/// How long a lease holds after it was last renewed: the longest time without an owner, but for the poll of the next.
pub(super) const LEASE: Duration = Duration::from_secs(4);

/// The right to write, until it is dropped or lost.
pub(super) struct Ownership {
    epoch: i64,
    lost: Arc<AtomicBool>,
    /// Dropped to end the lease.
    held: Option<oneshot::Sender<()>>,
    renewing: Option<JoinHandle<()>>,
}

impl Ownership {
    /// Takes the right to write for this connection, if no one has it.
    pub fn take(wire: &Wire, options: &PgConnectOptions, name: &str) -> Result<Self, ViewError> {
        let in_use = || ViewError::InUse(name.to_owned());
        let free = wire.run("SELECT epoch FROM daybook_views.owner WHERE until < clock_timestamp()")?;
        let Some(free) = free.first() else { return Err(in_use()) };
        let before: i64 = super::get(free, 0)?;
        wire.run(&format!(
            "SELECT pg_terminate_backend(s.pid) FROM pg_stat_activity s
             JOIN daybook_views.owner o ON s.pid = o.pid AND s.backend_start = o.backend_start
             WHERE o.epoch = {before} AND o.until < clock_timestamp() AND s.pid <> pg_backend_pid()"
        ))?;
        let taken = wire.try_run(
            &format!(
                "BEGIN; SET LOCAL lock_timeout = '2s'; SET LOCAL synchronous_commit = on;
                 SELECT 1 FROM daybook_views.owner FOR UPDATE;
                 UPDATE daybook_views.owner
                 SET epoch = epoch + 1, until = clock_timestamp() + interval '{lease} s', pid = pg_backend_pid(),
                     backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
                 WHERE epoch = {before} AND until < clock_timestamp() RETURNING epoch, true;
                 COMMIT",
                lease = LEASE.as_secs()
            ),
            PATIENCE,
        );
        let rows = match taken {
            Ok(rows) => rows,
            Err(error) if is_in_the_way(&error) => {
                wire.run("ROLLBACK")?;
                return Err(in_use());
            }
            Err(error) => return Err(unavailable(name, &error)),
        };
        let Some(row) = rows.iter().find(|row| row.len() == 2) else { return Err(in_use()) };
        let epoch: i64 = super::get(row, 0)?;
        tracing::info!(store = name, epoch, "this process keeps the views from now on");
        let (lost, (held, ended)) = (Arc::new(AtomicBool::new(false)), oneshot::channel());
        let renewing = runtime()?.spawn(renew(options.clone(), epoch, Arc::clone(&lost), ended));
        Ok(Self { epoch, lost, held: Some(held), renewing: Some(renewing) })
    }

    /// Whether someone else has it now.
    pub fn is_lost(&self) -> bool {
        self.lost.load(SeqCst)
    }

    /// Begins a transaction that fails unless this is still the owner.
    pub fn begin(&self, wire: &Wire) {
        wire.defer(&format!("BEGIN; SELECT daybook_views.must_own({})", self.epoch));
    }

    /// Ends the lease, and waits for that.
    pub fn release(mut self) {
        drop(self.held.take());
        if let Some(renewing) = self.renewing.take() {
            let ended = wait(2 * RENEW, async { renewing.await.map_err(|error| sqlx::Error::Io(std::io::Error::other(error))) });
            if let Err(error) = ended {
                tracing::debug!(%error, "the lease on the views runs out by itself");
            }
        }
    }
}

/// Renews the lease until it is lost, or ended by dropping the other end.
async fn renew(options: PgConnectOptions, epoch: i64, lost: Arc<AtomicBool>, mut ended: oneshot::Receiver<()>) {
    // A renewal that a crash takes back only ends the lease sooner, so it need not wait for the disk.
    let (options, mut connection) = (options.options([("synchronous_commit", "off")]), None);
    loop {
        let (is_over, until) = tokio::select! {
            _ = &mut ended => (true, "'-infinity'".to_owned()),
            () = tokio::time::sleep(RENEW) => (false, format!("clock_timestamp() + interval '{} s'", LEASE.as_secs())),
        };
        let sql = format!("UPDATE daybook_views.owner SET until = {until} WHERE epoch = $1");
        match tokio::time::timeout(LEASE, set(&mut connection, &options, &sql, epoch)).await {
            Ok(Ok(0)) => {
                tracing::warn!(epoch, "another process keeps the views now");
                lost.store(true, SeqCst);
                return;
            }
            Ok(Ok(_)) if is_over => return,
            Ok(Ok(_)) => continue,
            Ok(Err(error)) => tracing::warn!(%error, "the lease on the views could not be renewed"),
            Err(_) => tracing::warn!("the lease on the views could not be renewed in time"),
        }
        if is_over {
            return;
        }
        connection = None;
    }
}

async fn set(connection: &mut Option<PgConnection>, options: &PgConnectOptions, sql: &str, epoch: i64) -> sqlx::Result<u64> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(PgConnection::connect_with(options).await?),
    };
    Ok(sqlx::query(sql).bind(epoch).execute(connection).await?.rows_affected())
}

/// The owner's row, which is there from the beginning.
pub(super) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS daybook_views.owner (
        one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one), epoch BIGINT NOT NULL, until TIMESTAMPTZ NOT NULL,
        pid INTEGER, backend_start TIMESTAMPTZ
    );
    INSERT INTO daybook_views.owner (epoch, until) VALUES (0, '-infinity') ON CONFLICT DO NOTHING;
    CREATE OR REPLACE FUNCTION daybook_views.must_own(wanted BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM FROM daybook_views.owner WHERE epoch = wanted FOR KEY SHARE;
        IF NOT FOUND THEN RAISE EXCEPTION 'another process keeps the views' USING ERRCODE = 'DB001'; END IF;
    END $$;";
