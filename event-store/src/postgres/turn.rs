//! Turns among nodes: a courtesy that makes a race for the next position fair. Nothing rests upon it but waiting times.
//!
//! The primary key alone decides who writes. But whoever has just written is ahead of whoever must first read what was written, and
//! wins again. So a node that meets another queues on an advisory lock, and reads what the others wrote once it has it, in the
//! transaction in which it then appends: nobody writes in between, and the commit lets the next one go on. An append out of turn
//! tries the same lock, shared, and is not written while somebody has it or waits for it: then its node queues too. A node
//! queues for as long as it meets others, and for [`QUEUEING`] after.
//!
//! A node that has its turn and does not come back with an append gives it back after [`UNUSED`]; from one that has stalled the server
//! takes it after [`STALLED`]; and nobody waits for a turn longer than [`WAIT`]: then it writes regardless.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use event_schemas::{Position, Recorded};
use sqlx::{Executor as _, PgConnection};
use tokio::time::Instant;

use super::{
    rows,
    session::{answer, reason},
};
use crate::ReadError;

/// How long a node that has met another goes on queueing before every append.
const QUEUEING: Duration = Duration::from_millis(100);
/// How long a turn lasts before anything was written in it.
const UNUSED: Duration = Duration::from_millis(50);
/// How long a session may hold a transaction open without a word before the server ends it.
pub(super) const STALLED: Duration = Duration::from_millis(500);
/// How long a node waits for its turn.
const WAIT: Duration = Duration::from_millis(250);
/// The lock: the letters `turn`.
pub(super) const LOCK: i64 = 0x7475_726e;
/// How much of what the others wrote is read in a turn.
const TAIL: usize = 1024;

/// What was read of the log in a turn, for the reader who asks for it next: it saves the node whose turn it is a way to the server.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Arc<Mutex<Option<Page>>>);

/// What follows a position.
type Page = (Position, Vec<Recorded>);

impl Tail {
    fn put(&self, page: Option<Page>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = page;
    }

    /// What follows a position, if that is what was read, and all of it that was there.
    pub(super) fn take(&self, after: Position, limit: usize) -> Option<Vec<Recorded>> {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tail.take_if(|(from, events)| *from == after && events.len() <= limit && events.len() < TAIL).map(|(_, events)| events)
    }
}

/// The turns of one node.
#[derive(Debug, Default)]
pub(super) struct Turns {
    tail: Tail,
    /// When it last met another node.
    met: Option<Instant>,
    /// When the turn at hand ends, if nothing is written in it.
    ends: Option<Instant>,
}

impl Turns {
    pub(super) fn new(tail: Tail) -> Self {
        Self { tail, met: None, ends: None }
    }

    /// Whether this node queues before it writes.
    pub(super) fn are_taken(&self) -> bool {
        self.met.is_some_and(|met| met.elapsed() < QUEUEING)
    }

    /// When the turn at hand, if there is one, is to be given back.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.ends
    }

    /// Waits for a turn, which begins a transaction, and gives where the log ends then. Nothing if there is none to be had: then the
    /// session has no transaction.
    pub(super) async fn take(&mut self, session: &mut PgConnection, head: Position) -> Result<Option<Position>, ReadError> {
        if !wait(session).await.map_err(|error| ReadError::Unavailable(reason(&error)))? {
            return Ok(None);
        }
        // With the event at the head itself: the reader looks whether it still is what it was.
        let after = head.saturating_sub(1);
        let events = rows::read_now(session, after, TAIL).await?;
        let now = events.last().map_or(after, |last| last.position);
        if now != head {
            self.met = Some(Instant::now());
            self.tail.put(Some((after, events)));
        }
        self.ends = Some(Instant::now() + UNUSED);
        Ok(Some(now))
    }

    /// Takes note that another node was met.
    pub(super) fn meet(&mut self) {
        self.met = Some(Instant::now());
    }

    /// Ends the turn: what was written in it is committed.
    pub(super) async fn commit(&mut self, session: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.lose();
        session.execute("COMMIT").await.map(|_| ())
    }

    /// Ends the turn, with nothing written.
    pub(super) async fn give_back(&mut self, session: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.lose();
        session.execute("ROLLBACK").await.map(|_| ())
    }

    /// The turn is over, and what was read in it may not be the end of the log any more.
    pub(super) fn lose(&mut self) {
        self.ends = None;
        self.tail.put(None);
    }
}

/// Begins a transaction and waits for the lock; false, and no transaction, if it did not come in time.
async fn wait(session: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let sql = format!(
        "BEGIN; SET LOCAL lock_timeout = {}; SELECT pg_advisory_xact_lock({LOCK}); SET LOCAL lock_timeout = 0",
        WAIT.as_millis()
    );
    match session.execute(&*sql).await {
        Ok(_) => Ok(true),
        Err(error) if answer(&error).is_some_and(|error| error.code() == "55P03") => {
            session.execute("ROLLBACK").await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
