//! Rows of `daybook.events`, as they are written and read.

use event_schemas::{Position, Proposed, Recorded, Sequence, StreamId, Timestamp};
use sqlx::{
    PgConnection, Postgres, Row as _,
    error::BoxDynError,
    postgres::{PgArguments, PgPool, PgRow},
    query::Query,
};
use uuid::Uuid;

use super::session::{LOST, answer, read_error};
use crate::{Head, ReadError};

const READ: &str =
    "SELECT position, event_id, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
    recorded_at, occurred_at, digest, idempotency_scope
    FROM daybook.events WHERE position > $1 ORDER BY position LIMIT $2";

const DIGESTS: &str = "SELECT position, digest FROM daybook.events WHERE position > $1 ORDER BY position LIMIT $2";

const READ_STREAM: &str = "SELECT position, event_id, aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
    metadata, recorded_at, occurred_at, digest, idempotency_scope
    FROM daybook.events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4";

/// One statement, so that all of it is of one moment. LIMIT keeps each stream a walk of its own along the index.
const READ_STREAMS: &str =
    "SELECT position, event_id, aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
    metadata, recorded_at, occurred_at, digest, idempotency_scope, place
    FROM UNNEST($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS asked (of_type, of_id, after, place)
    CROSS JOIN LATERAL (SELECT * FROM daybook.events WHERE aggregate_type = of_type AND aggregate_id = of_id AND sequence > after
        ORDER BY sequence LIMIT $4) AS found
    ORDER BY place, sequence";

const FIND_SCOPES: &str = "SELECT place, (SELECT position FROM daybook.events WHERE idempotency_scope = asked.scope)
    FROM UNNEST($1::text[]) WITH ORDINALITY AS asked (scope, place) ORDER BY place";

pub(super) const HEAD: &str = "SELECT position, recorded_at FROM daybook.events ORDER BY position DESC LIMIT 1";

const NOW: &str = "SELECT clock_timestamp()";

/// The place of a stream's number among those asked, behind the columns of an event.
const PLACE: usize = 13;

/// A statement with what it was given.
pub(super) type Asked = Query<'static, Postgres, PgArguments>;

/// The server's time.
pub(super) async fn now(pool: &PgPool) -> Result<Timestamp, ReadError> {
    let rows = fetch(pool, || sqlx::query(NOW)).await?;
    let missing = || ReadError::Unavailable("the server did not tell the time".to_owned());
    moment(rows.first().ok_or_else(missing)?, 0).map_err(|error| read_error(0, &error))
}

/// Asks the server for rows. A read that finds its session dead (the server was restarted) is made once more on a new one.
pub(super) async fn fetch(pool: &PgPool, ask: impl Fn() -> Asked) -> Result<Vec<PgRow>, ReadError> {
    let mut tried = fetch_once(pool, ask()).await;
    if matches!(&tried, Err(sqlx::Error::Io(_))) {
        tried = fetch_once(pool, ask()).await;
    }
    tried.map_err(|error| read_error(0, &error))
}

async fn fetch_once(pool: &PgPool, asked: Asked) -> Result<Vec<PgRow>, sqlx::Error> {
    let mut session = pool.acquire().await?;
    match tokio::time::timeout(LOST, asked.fetch_all(&mut *session)).await {
        Ok(Err(error)) if answer(&error).is_none() => {
            // It would be found dead by whoever takes it next.
            session.close_on_drop();
            Err(error)
        }
        Ok(fetched) => fetched,
        Err(_) => {
            session.close_on_drop();
            Err(sqlx::Error::Protocol("the server does not answer any more".to_owned()))
        }
    }
}

/// Events after a position, in order. A hole is an error.
pub(super) async fn read(pool: &PgPool, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
    page(after, &fetch(pool, || page_after(after, limit)).await?)
}

/// Events after a position, in order, as a session sees them. A hole is an error.
pub(super) async fn read_now(session: &mut PgConnection, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
    let rows = page_after(after, limit).fetch_all(session).await.map_err(|error| read_error(0, &error))?;
    page(after, &rows)
}

fn page_after(after: Position, limit: usize) -> Asked {
    sqlx::query(READ).bind(storable(after)).bind(storable(limit as u64))
}

fn page(after: Position, rows: &[PgRow]) -> Result<Vec<Recorded>, ReadError> {
    let (mut events, mut next) = (Vec::with_capacity(rows.len()), after.saturating_add(1));
    for row in rows {
        let event = recorded(row, next)?;
        if event.position != next {
            return Err(ReadError::Damaged { position: next, reason: "the event is missing".to_owned() });
        }
        next += 1;
        events.push(event);
    }
    Ok(events)
}

/// The digests of events after a position, in order. A hole is an error.
pub(super) async fn digests(pool: &PgPool, after: Position, limit: usize) -> Result<Vec<[u8; 32]>, ReadError> {
    let ask = || sqlx::query(DIGESTS).bind(storable(after)).bind(storable(limit as u64));
    let rows = fetch(pool, ask).await?;
    let (mut digests, mut next) = (Vec::with_capacity(rows.len()), after.saturating_add(1));
    for row in &rows {
        if number(row, 0).map_err(|error| read_error(next, &error))? != next {
            return Err(ReadError::Damaged { position: next, reason: "the event is missing".to_owned() });
        }
        digests.push(digest(row, 1).map_err(|error| read_error(next, &error))?);
        next += 1;
    }
    Ok(digests)
}

fn digest(row: &PgRow, column: usize) -> Result<[u8; 32], sqlx::Error> {
    row.try_get_unchecked::<&[u8], _>(column)?.try_into().map_err(|error| unreadable(column, error))
}

/// Events of one stream after a sequence, in order. A hole is an error.
pub(super) async fn read_stream(
    pool: &PgPool,
    stream: &StreamId,
    after: Sequence,
    limit: usize,
) -> Result<Vec<Recorded>, ReadError> {
    let ask = || {
        let asked = sqlx::query(READ_STREAM).bind(stream.aggregate_type.to_string()).bind(stream.aggregate_id.clone());
        asked.bind(storable(after)).bind(storable(limit as u64))
    };
    let rows = fetch(pool, ask).await?;
    let mut tail = Tail::new(stream, after);
    rows.iter().try_for_each(|row| tail.push(row))?;
    Ok(tail.events)
}

/// Events of each stream after a sequence, in order, as they are at one moment. A hole is an error.
pub(super) async fn read_streams(
    pool: &PgPool,
    asked: &[(StreamId, Sequence)],
    limit: usize,
) -> Result<Vec<Vec<Recorded>>, ReadError> {
    let ask = || {
        let types: Vec<String> = asked.iter().map(|(stream, _)| stream.aggregate_type.to_string()).collect();
        let ids: Vec<String> = asked.iter().map(|(stream, _)| stream.aggregate_id.clone()).collect();
        let after: Vec<i64> = asked.iter().map(|(_, after)| storable(*after)).collect();
        sqlx::query(READ_STREAMS).bind(types).bind(ids).bind(after).bind(storable(limit as u64))
    };
    let rows = fetch(pool, ask).await?;
    let mut tails: Vec<Tail<'_>> = asked.iter().map(|(stream, after)| Tail::new(stream, *after)).collect();
    for row in &rows {
        let place = integer(row, PLACE).map_err(|error| read_error(0, &error))?;
        if let Some(tail) = tails.get_mut(index(place - 1)) {
            tail.push(row)?;
        }
    }
    Ok(tails.into_iter().map(|tail| tail.events).collect())
}

/// A stream as its rows come in, checked to be whole and in order.
struct Tail<'a> {
    stream: &'a StreamId,
    next: Sequence,
    reached: Position,
    events: Vec<Recorded>,
}

impl<'a> Tail<'a> {
    fn new(stream: &'a StreamId, after: Sequence) -> Self {
        Self { stream, next: after.saturating_add(1), reached: 0, events: Vec::new() }
    }

    fn push(&mut self, row: &PgRow) -> Result<(), ReadError> {
        let event = recorded(row, self.reached + 1)?;
        if event.event.sequence != self.next || event.position <= self.reached {
            let reason = format!("{} goes on with sequence {} instead of {}", self.stream, event.event.sequence, self.next);
            return Err(ReadError::Damaged { position: event.position, reason });
        }
        (self.next, self.reached) = (self.next + 1, event.position);
        self.events.push(event);
        Ok(())
    }
}

/// The position of the event that carries each idempotency scope.
pub(super) async fn find_scopes(pool: &PgPool, scopes: &[String]) -> Result<Vec<Option<Position>>, ReadError> {
    let rows = fetch(pool, || sqlx::query(FIND_SCOPES).bind(scopes.to_vec())).await?;
    let position = |row: &PgRow| {
        let position = if is_null(row, 1)? { None } else { Some(number(row, 1)?) };
        Ok(position)
    };
    rows.iter().map(position).collect::<Result<_, _>>().map_err(|error: sqlx::Error| read_error(0, &error))
}

/// Where the log ends.
pub(super) async fn head(pool: &PgPool) -> Result<Head, ReadError> {
    let rows = fetch(pool, || sqlx::query(HEAD)).await?;
    head_in(rows.first()).map_err(|error| read_error(0, &error))
}

/// Where the log ends, as a session sees it.
pub(super) async fn head_now(session: &mut PgConnection) -> Result<Head, sqlx::Error> {
    let row = sqlx::query(HEAD).fetch_optional(session).await?;
    head_in(row.as_ref())
}

/// Where a stream ends, as a session sees it; 0 if nothing of it is stored.
pub(super) async fn last_sequence(session: &mut PgConnection, stream: &StreamId) -> Result<Sequence, sqlx::Error> {
    let sql =
        "SELECT sequence FROM daybook.events WHERE aggregate_type = $1 AND aggregate_id = $2 ORDER BY sequence DESC LIMIT 1";
    let asked = sqlx::query(sql).bind(&*stream.aggregate_type).bind(&stream.aggregate_id);
    asked.fetch_optional(session).await?.map_or(Ok(0), |row| number(&row, 0))
}

/// Whether an idempotency scope was used, as a session sees it.
pub(super) async fn has_scope(session: &mut PgConnection, scope: &str) -> Result<bool, sqlx::Error> {
    let sql = "SELECT FROM daybook.events WHERE idempotency_scope = $1";
    Ok(sqlx::query(sql).bind(scope).fetch_optional(session).await?.is_some())
}

fn head_in(row: Option<&PgRow>) -> Result<Head, sqlx::Error> {
    match row {
        Some(row) => Ok(Head { position: number(row, 0)?, recorded_at: Some(moment(row, 1)?) }),
        None => Ok(Head { position: 0, recorded_at: None }),
    }
}

/// PostgreSQL's integers are signed: what does not fit is beyond everything stored.
pub(super) fn storable(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn index(place: i64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// Reads a row; `expected` is the position to blame when even that cannot be read.
fn recorded(row: &PgRow, expected: u64) -> Result<Recorded, ReadError> {
    let position = number(row, 0).map_err(|error| read_error(expected, &error))?;
    recorded_row(row, position).map_err(|error| read_error(position, &error))
}

fn recorded_row(row: &PgRow, position: u64) -> Result<Recorded, sqlx::Error> {
    let version = row.try_get_unchecked::<&str, _>(6)?;
    let event_version: u32 = version.parse().map_err(|error| unreadable(6, error))?;
    if event_version.to_string() != version {
        // The digest is over the number, and would not tell.
        return Err(unreadable(6, format!("`{version}` is not written as the log writes it")));
    }
    let digest = digest(row, 11)?;
    let event = Proposed {
        event_id: row.try_get_unchecked::<Uuid, _>(1)?,
        stream: StreamId { aggregate_type: text(row, 2)?.into(), aggregate_id: text(row, 3)? },
        sequence: number(row, 4)?,
        event_type: text(row, 5)?.into(),
        event_version,
        payload: text(row, 7)?,
        metadata: text(row, 8)?,
        recorded_at: moment(row, 9)?,
        occurred_at: moment(row, 10)?,
        idempotency_scope: row.try_get_unchecked(12)?,
    };
    Ok(Recorded { position, event, digest })
}

/// Text, or JSON as the text that it was given as.
pub(super) fn text(row: &PgRow, column: usize) -> Result<String, sqlx::Error> {
    row.try_get_unchecked(column)
}

fn integer(row: &PgRow, column: usize) -> Result<i64, sqlx::Error> {
    row.try_get_unchecked(column)
}

/// A number that is never negative.
pub(super) fn number(row: &PgRow, column: usize) -> Result<u64, sqlx::Error> {
    u64::try_from(integer(row, column)?).map_err(|error| unreadable(column, error))
}

pub(super) fn is_null(row: &PgRow, column: usize) -> Result<bool, sqlx::Error> {
    use sqlx::ValueRef as _;
    Ok(row.try_get_raw(column)?.is_null())
}

/// A moment: microseconds since the year 2000. It may be one that no calendar has (`infinity`).
pub(super) fn moment(row: &PgRow, column: usize) -> Result<Timestamp, sqlx::Error> {
    const YEAR_2000: i64 = 946_684_800_000_000;
    let micros = integer(row, column)?.checked_add(YEAR_2000).and_then(Timestamp::from_timestamp_micros);
    micros.ok_or_else(|| unreadable(column, "it is not a moment"))
}

pub(super) fn unreadable(column: usize, reason: impl Into<BoxDynError>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_string(), source: reason.into() }
}
