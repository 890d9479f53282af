//! The writer: one session that appends one batch after the other.

use std::collections::HashSet;

use event_schemas::{Position, Proposed, Recorded, Sequence, StreamId};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout, timeout_at},
};

use super::{
    rows::{self, storable},
    session::{ANSWER, RESTED, Server, answer, reason},
    turn::{self, Tail, Turns},
};
use crate::{
    AppendError, Head,
    batch::{broken_link, check_batch, repeated_scope, stored},
};

/// How many batches may wait before whoever brings the next one has to.
const QUEUE: usize = 64;

/// Appends a batch, or nothing. A statement by itself is a transaction by itself, so this takes one exchange with the server.
///
/// Position `$1` must be there: what is visible was committed, so there can be no gap below. That nothing is there yet after
/// it is left to the primary key: of two writers one waits for the other there, and is then refused. Each stream must go on
/// where it ends, and no time may go back. Unless `$17`, nobody else may have the turn (see `turn`), which is asked once for the
/// statement, not for each row. What was wrong, if anything, is found out afterwards.
const APPEND: &str = "INSERT INTO daybook.events (position, event_id, aggregate_type, aggregate_id, sequence, event_type,
    event_version, payload, metadata, recorded_at, occurred_at, digest, idempotency_scope)
    SELECT $1 + place, event_id, of_type, of_id, sequence, event_type, event_version, payload::json, metadata::json, recorded_at,
        occurred_at, digest, scope
    FROM UNNEST($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::timestamptz[], $11::timestamptz[], $12::bytea[], $13::text[]) WITH ORDINALITY
        AS batch (event_id, of_type, of_id, sequence, event_type, event_version, payload, metadata, recorded_at, occurred_at,
            digest, scope, place)
    WHERE ($1 = 0 OR EXISTS (SELECT FROM daybook.events WHERE position = $1 AND recorded_at <= $10[1]))
        AND NOT EXISTS (SELECT FROM UNNEST($14::text[], $15::text[], $16::bigint[]) AS link (to_type, to_id, after)
            WHERE (SELECT position FROM daybook.events
                WHERE aggregate_type = to_type AND aggregate_id = to_id AND sequence = after) IS NULL)
        AND ($17 OR (SELECT pg_try_advisory_xact_lock_shared($18)))";

/// What is said of a server from which nothing comes back.
const SILENT: &str = "the server does not answer any more";

/// What to append, and where the answer goes. A caller that has gone away does not stop it.
type Job = (Position, Vec<Proposed>, oneshot::Sender<Result<Position, AppendError>>);

/// The way to the writer.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    tail: Tail,
}

impl Writer {
    /// Starts the writer on a session. Of `heads`, the first is told of each new end of the log, the second of those written here.
    pub(super) fn start(server: Server, session: PgConnection, heads: [watch::Sender<Position>; 2]) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let [head, written] = heads;
        let tail = Tail::default();
        let turns = Turns::new(tail.clone());
        let desk = Desk { server, session: Some(session), used: Instant::now(), turns, head, written };
        tokio::spawn(desk.work(queue));
        Self { jobs, tail }
    }

    /// What follows a position, if the writer has just read it for whoever asks next.
    pub(super) fn tail(&self, after: Position, limit: usize) -> Option<Vec<Recorded>> {
        self.tail.take(after, limit)
    }

    pub(super) async fn append(&self, head: Position, batch: Vec<Proposed>) -> Result<Position, AppendError> {
        let (answer, answered) = oneshot::channel();
        let stopped = |_| AppendError::Unavailable("the log's writer has stopped".to_owned());
        self.jobs.send((head, batch, answer)).await.map_err(stopped)?;
        answered.await.unwrap_or_else(|_| Err(AppendError::OutcomeUnknown("the log's writer stopped".to_owned())))
    }
}

/// The writer's own: the session and what it must remember between batches.
struct Desk {
    server: Server,
    /// None after it broke, until the next batch comes.
    session: Option<PgConnection>,
    used: Instant,
    turns: Turns,
    head: watch::Sender<Position>,
    written: watch::Sender<Position>,
}

impl Desk {
    async fn work(mut self, mut queue: mpsc::Receiver<Job>) {
        loop {
            let job = match self.turns.ends() {
                None => Some(queue.recv().await),
                // A batch that waits already does not make a turn longer.
                Some(end) if end <= Instant::now() => None,
                Some(end) => timeout_at(end, queue.recv()).await.ok(),
            };
            let Some(job) = job else {
                self.give_back().await;
                continue;
            };
            let Some((head, batch, answer)) = job else { break };
            // An answer that nobody waits for any more is dropped.
            drop(answer.send(self.append(head, batch).await));
        }
        if let Some(session) = self.session
            && let Err(error) = session.close().await
        {
            tracing::debug!(%error, "the log's session was not closed cleanly");
        }
    }

    async fn append(&mut self, head: Position, batch: Vec<Proposed>) -> Result<Position, AppendError> {
        let batch: Vec<Recorded> =
            (head + 1..).zip(batch).map(|(position, event)| Recorded::at(position, stored(event))).collect();
        let mut session = self.take_session().await?;
        let had_turn = self.turns.ends().is_some();
        let written = self.write(&mut session, head, &batch).await;
        if had_turn && matches!(written, Err(AppendError::Unavailable(_))) {
            // This node stood still for too long, and the server took its turn: the session ended, and nothing was committed.
            return Err(self.begin_anew().await);
        }
        let refusal = match written {
            Ok(Some(end)) => {
                self.written.send_replace(end);
                self.keep(session, end);
                return Ok(end);
            }
            Ok(None) => match timeout(ANSWER, why_not(&mut session, head, &batch)).await {
                Ok(Ok(refusal)) => refusal,
                Ok(Err(error)) => AppendError::Unavailable(reason(&error)),
                Err(_) => AppendError::Unavailable(SILENT.to_owned()),
            },
            Err(refusal) => refusal,
        };
        match refusal {
            AppendError::HeadMoved { head } => self.keep(session, head),
            AppendError::Invalid(_) => self.keep(session, 0),
            // Its session is not trusted any more: the next one may find another server in its place.
            AppendError::OutcomeUnknown(_) | AppendError::Unavailable(_) => self.turns.lose(),
        }
        Err(refusal)
    }

    /// Writes a batch, in a turn if others are met, and gives where the log ends then; or nothing if it was not written:
    /// [`why_not`] says why. When the log has moved on, this node still has its turn for the batch that follows.
    async fn write(
        &mut self,
        session: &mut PgConnection,
        head: Position,
        batch: &[Recorded],
    ) -> Result<Option<Position>, AppendError> {
        if self.turns.ends().is_none() {
            if !self.turns.are_taken() {
                let written = write(session, head, batch, false).await?;
                if written.is_some() {
                    return Ok(written);
                }
                // Another node was faster, or is in line.
                self.turns.meet();
            }
            let taken = timeout(ANSWER, self.turns.take(session, head)).await;
            match taken.map_err(|_| AppendError::Unavailable(SILENT.to_owned()))? {
                Ok(Some(now)) if now != head => return Err(AppendError::HeadMoved { head: now }),
                Ok(Some(_)) => {}
                Ok(None) => return write(session, head, batch, true).await,
                Err(error) => return Err(AppendError::Unavailable(error.to_string())),
            }
        }
        match write(session, head, batch, true).await {
            Ok(Some(end)) => match timeout(ANSWER, self.turns.commit(session)).await {
                Ok(Ok(())) => Ok(Some(end)),
                Ok(Err(error)) if answer(&error).is_some() => Err(AppendError::Unavailable(reason(&error))),
                Ok(Err(error)) => Err(AppendError::OutcomeUnknown(reason(&error))),
                Err(_) => Err(AppendError::OutcomeUnknown(SILENT.to_owned())),
            },
            // Without its commit it was not written, whatever became of the statement.
            Err(AppendError::OutcomeUnknown(reason)) => Err(AppendError::Unavailable(reason)),
            refused => {
                let given_back = timeout(ANSWER, self.turns.give_back(session)).await;
                given_back
                    .unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
                    .map_err(|error| AppendError::Unavailable(reason(&error)))?;
                refused
            }
        }
    }

    /// Lets the others go on.
    async fn give_back(&mut self) {
        if let Some(mut session) = self.session.take()
            && let Ok(Ok(())) = timeout(ANSWER, self.turns.give_back(&mut session)).await
        {
            self.session = Some(session);
        }
        self.turns.lose();
    }

    /// The session at hand, if it lives. Whatever fails here, nothing was sent yet.
    async fn take_session(&mut self) -> Result<PgConnection, AppendError> {
        if let Some(mut session) = self.session.take() {
            let alive = self.used.elapsed() < RESTED || matches!(timeout(ANSWER, session.ping()).await, Ok(Ok(())));
            if alive {
                return Ok(session);
            }
        }
        Err(self.begin_anew().await)
    }

    /// Begins a new session for the batches to come. Who answers now may be another server than before, a replica that lacks the
    /// last events: so the batch at hand is not written, and its writer is told to look at the log before it offers it again.
    async fn begin_anew(&mut self) -> AppendError {
        // A turn is a transaction of the session that is gone.
        self.turns.lose();
        let silent = || AppendError::Unavailable(SILENT.to_owned());
        let mut session = match timeout(ANSWER, self.server.session()).await {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => return AppendError::Unavailable(error.to_string()),
            Err(_) => return silent(),
        };
        match timeout(ANSWER, rows::head_now(&mut session)).await {
            Ok(Ok(Head { position: head, .. })) => {
                self.keep(session, head);
                AppendError::HeadMoved { head }
            }
            Ok(Err(error)) => AppendError::Unavailable(reason(&error)),
            Err(_) => silent(),
        }
    }

    /// Keeps a session that works, and takes note of how far the log goes.
    fn keep(&mut self, session: PgConnection, head: Position) {
        self.session = Some(session);
        self.used = Instant::now();
        self.head.send_if_modified(|known| std::mem::replace(known, (*known).max(head)) < head);
    }
}

/// Writes a batch and gives where the log ends then, or nothing if the server refused it: [`why_not`] says why. Outside of a
/// transaction it is one by itself.
async fn write(
    session: &mut PgConnection,
    head: Position,
    batch: &[Recorded],
    regardless: bool,
) -> Result<Option<Position>, AppendError> {
    let Ok(links) = check_batch(&Head { position: head, recorded_at: None }, events(batch)) else { return Ok(None) };
    if batch.is_empty() {
        let end = rows::head_now(session).await.map_err(|error| AppendError::Unavailable(reason(&error)))?;
        return Ok((end.position == head).then_some(head));
    }
    // Before the statement is known to the server, losing the server loses nothing.
    let prepared = timeout(ANSWER, session.prepare(APPEND)).await;
    let prepared = prepared.map_err(|_| AppendError::Unavailable(SILENT.to_owned()))?;
    prepared.map_err(|error| AppendError::Unavailable(reason(&error)))?;
    let inserted = timeout(ANSWER, insert(session, head, batch, &links, regardless)).await;
    match inserted.map_err(|_| AppendError::OutcomeUnknown(SILENT.to_owned()))? {
        Ok(written) if written == batch.len() as u64 => Ok(Some(head + written)),
        Ok(_) => Ok(None),
        Err(error @ sqlx::Error::Encode(_)) => Err(AppendError::Invalid(reason(&error))),
        Err(error) => match answer(&error).map(|answer| answer.code()) {
            // The server may have committed it, or may yet.
            None => Err(AppendError::OutcomeUnknown(reason(&error))),
            // A key is taken, or two writers waited for each other.
            Some(code) if code.starts_with("23") || code.starts_with("40") => Ok(None),
            // Text that PostgreSQL cannot keep: a NUL, or what is no JSON.
            Some(code) if code.starts_with("22") => Err(AppendError::Invalid(reason(&error))),
            Some(_) => Err(AppendError::Unavailable(reason(&error))),
        },
    }
}

async fn insert(
    session: &mut PgConnection,
    head: Position,
    batch: &[Recorded],
    links: &[(&StreamId, Sequence)],
    regardless: bool,
) -> Result<u64, sqlx::Error> {
    let links = || links.iter().filter(|(_, after)| *after > 0);
    let asked = sqlx::query(APPEND)
        .bind(storable(head))
        .bind(each(batch, |event| event.event_id))
        .bind(each(batch, |event| &*event.stream.aggregate_type))
        .bind(each(batch, |event| &*event.stream.aggregate_id))
        .bind(each(batch, |event| storable(event.sequence)))
        .bind(each(batch, |event| &*event.event_type))
        .bind(each(batch, |event| event.event_version.to_string()))
        .bind(each(batch, |event| &*event.payload))
        .bind(each(batch, |event| &*event.metadata))
        .bind(each(batch, |event| event.recorded_at))
        .bind(each(batch, |event| event.occurred_at))
        .bind(batch.iter().map(|recorded| recorded.digest).collect::<Vec<_>>())
        .bind(each(batch, |event| event.idempotency_scope.as_deref()))
        .bind(links().map(|(stream, _)| &*stream.aggregate_type).collect::<Vec<_>>())
        .bind(links().map(|(stream, _)| &*stream.aggregate_id).collect::<Vec<_>>())
        .bind(links().map(|(_, after)| storable(*after)).collect::<Vec<_>>())
        .bind(regardless)
        .bind(turn::LOCK);
    Ok(asked.execute(session).await?.rows_affected())
}

fn events(batch: &[Recorded]) -> impl Iterator<Item = &Proposed> {
    batch.iter().map(|recorded| &recorded.event)
}

fn each<'a, T>(batch: &'a [Recorded], of: impl Fn(&'a Proposed) -> T) -> Vec<T> {
    events(batch).map(of).collect()
}

/// Finds out which rule a batch breaks that the server refused.
async fn why_not(session: &mut PgConnection, head: Position, batch: &[Recorded]) -> Result<AppendError, sqlx::Error> {
    let end = rows::head_now(session).await?;
    if end.position != head {
        return Ok(AppendError::HeadMoved { head: end.position });
    }
    let links = match check_batch(&end, events(batch)) {
        Ok(links) => links,
        Err(invalid) => return Ok(invalid),
    };
    for (stream, after) in links {
        if rows::last_sequence(session, stream).await? != after {
            return Ok(broken_link(stream, after));
        }
    }
    let mut used = HashSet::new();
    for event in events(batch) {
        let Some(scope) = event.idempotency_scope.as_deref() else { continue };
        if !used.insert(scope) || rows::has_scope(session, scope).await? {
            return Ok(repeated_scope(event));
        }
    }
    // It was behind another writer when it came, and is not any more.
    Ok(AppendError::HeadMoved { head: end.position })
}
