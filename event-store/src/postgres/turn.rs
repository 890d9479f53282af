//! Turns among nodes: a courtesy that makes a race for the next position fair. Nothing rests upon it but waiting times.
//!
//! The primary key alone decides who writes. But whoever has just written is ahead of whoever must first read what was written, and
//! wins again. So a node that has lost a race queues on an advisory lock *before* it is told that the head has moved: when it reads the
//! tail and decides again it has the turn. An append out of turn tries the same lock, shared, and is not written while somebody has
//! it or waits for it: then its node queues too. A node keeps its turn for a [`SLICE`], because handing over costs as much as an
//! append or two.
//!
//! A node that does not come back with an append gives its turn back after [`UNUSED`] or [`PAUSE`]; from one that has stalled the
//! server takes it after [`STALLED`]; and nobody waits for a turn longer than [`WAIT`]: then it writes regardless. A session of its
//! own holds the turn, so that appends stay what they are.

use std::time::Duration;

use event_schemas::Position;
use sqlx::{Executor as _, PgConnection, Row as _};
use tokio::time::{Instant, timeout};

use super::{
    rows::unreadable,
    session::{Server, answer},
};

/// How long a node that writes keeps its turn.
const SLICE: Duration = Duration::from_millis(10);
/// How long a turn lasts after an append that no other follows.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a turn lasts before anything was written in it.
const UNUSED: Duration = Duration::from_millis(50);
/// How long a session may hold a transaction open without a word before the server ends it.
pub(super) const STALLED: Duration = Duration::from_millis(500);
/// How long a node waits for its turn.
const WAIT: Duration = Duration::from_millis(250);
/// The lock: the letters `turn`.
pub(super) const LOCK: i64 = 0x7475_726e;

/// The turns of one node.
#[derive(Debug, Default)]
pub(super) struct Turns {
    session: Option<PgConnection>,
    held: Option<Held>,
}

/// A turn that this node has.
#[derive(Debug)]
struct Held {
    since: Instant,
    ends: Instant,
}

impl Turns {
    /// Whether this node has the turn.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// When the turn at hand, if there is one, is to be given back.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.held.as_ref().map(|held| held.ends)
    }

    /// Takes note of an append: the turn goes on while others follow, up to its slice.
    pub(super) fn written(&mut self) {
        if let Some(held) = &mut self.held {
            let over = held.since.elapsed() >= SLICE;
            held.ends = if over { held.since } else { Instant::now() + PAUSE };
        }
    }

    /// Waits for a turn and gives where the log ends then; nothing if there is none to be had.
    pub(super) async fn take(&mut self, server: &Server) -> Option<Position> {
        if self.held.is_some() {
            self.give_back().await;
        }
        let mut session = match self.session.take() {
            Some(session) => session,
            None => server.session().await.ok()?,
        };
        // Longer than the server lets it wait: a session that says nothing by then is lost.
        match timeout(2 * WAIT, wait(&mut session)).await {
            Ok(Ok(head)) => {
                self.session = Some(session);
                let since = Instant::now();
                self.held = head.map(|_| Held { since, ends: since + UNUSED });
                head
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "no turn could be taken");
                None
            }
            Err(_) => None,
        }
    }

    /// Lets the others go on.
    pub(super) async fn give_back(&mut self) {
        self.held = None;
        if let Some(mut session) = self.session.take()
            && let Ok(Ok(_)) = timeout(WAIT, session.execute("COMMIT")).await
        {
            self.session = Some(session);
        }
    }
}

/// Waits for the lock; nothing if it did not come in time.
async fn wait(session: &mut PgConnection) -> Result<Option<Position>, sqlx::Error> {
    // One exchange; each statement sees what is committed when it begins.
    let sql = format!(
        "BEGIN; SET LOCAL lock_timeout = {}; SELECT pg_advisory_xact_lock({LOCK});
         SELECT coalesce((SELECT position FROM daybook.events ORDER BY position DESC LIMIT 1), 0)",
        WAIT.as_millis()
    );
    match session.fetch_all(&*sql).await {
        Ok(rows) => {
            let head = rows.last().ok_or(sqlx::Error::RowNotFound)?;
            let head = head.try_get_unchecked::<&str, _>(0)?.parse().map_err(|error| unreadable(0, error))?;
            Ok(Some(head))
        }
        Err(error) if answer(&error).is_some_and(|error| error.code() == "55P03") => {
            session.execute("ROLLBACK").await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
