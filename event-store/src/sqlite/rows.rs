//! Rows of `events`, as they are written and read.

use event_schemas::{Position, Proposed, Recorded, Sequence, StreamId, Timestamp, rfc3339};
use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension as _, Row, params};
use uuid::Uuid;

use crate::ReadError;

const INSERT: &str = "INSERT INTO events (position, event_id, aggregate_type, aggregate_id, sequence, event_type, event_version,
    payload, metadata, recorded_at, occurred_at, digest, idempotency_scope)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

const COLUMNS: &str = "position, event_id, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
    recorded_at, occurred_at, digest, idempotency_scope";

/// The statement that writes events.
pub(super) struct Insert<'a> {
    statement: CachedStatement<'a>,
    /// The last moment written and its text: the events of a batch mostly share it.
    moment: Option<(Timestamp, String)>,
}

impl<'a> Insert<'a> {
    pub(super) fn new(connection: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self { statement: connection.prepare_cached(INSERT)?, moment: None })
    }

    /// Writes one event.
    pub(super) fn write(&mut self, recorded: &Recorded) -> rusqlite::Result<()> {
        let Recorded { position, event, digest } = recorded;
        let recorded_at = self.text(event.recorded_at);
        let occurred_at = if event.occurred_at == event.recorded_at { None } else { Some(rfc3339(event.occurred_at)) };
        let mut id = Uuid::encode_buffer();
        self.statement.execute(params![
            position,
            &*event.event_id.hyphenated().encode_lower(&mut id),
            &*event.stream.aggregate_type,
            event.stream.aggregate_id,
            event.sequence,
            &*event.event_type,
            event.event_version,
            event.payload,
            event.metadata,
            recorded_at,
            occurred_at.as_ref().unwrap_or(&recorded_at),
            digest,
            event.idempotency_scope,
        ])?;
        self.moment = Some((event.recorded_at, recorded_at));
        Ok(())
    }

    fn text(&mut self, moment: Timestamp) -> String {
        match self.moment.take() {
            Some((last, text)) if last == moment => text,
            _ => rfc3339(moment),
        }
    }
}

/// Events after a position, in order. A hole is an error.
pub(super) fn read(connection: &Connection, after: u64, limit: usize) -> Result<Vec<Recorded>, ReadError> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE position > ?1 ORDER BY position LIMIT ?2");
    let mut next = after.saturating_add(1);
    let unavailable = |error| read_error(next, error);
    let mut statement = connection.prepare_cached(&sql).map_err(unavailable)?;
    let mut rows = statement.query(params![storable(after), storable(limit as u64)]).map_err(unavailable)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(|error| read_error(next, error))? {
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
pub(super) fn digests(connection: &Connection, after: u64, limit: usize) -> Result<Vec<[u8; 32]>, ReadError> {
    let mut next = after.saturating_add(1);
    let unavailable = |error| read_error(next, error);
    let sql = "SELECT position, digest FROM events WHERE position > ?1 ORDER BY position LIMIT ?2";
    let mut statement = connection.prepare_cached(sql).map_err(unavailable)?;
    let mut rows = statement.query(params![storable(after), storable(limit as u64)]).map_err(unavailable)?;
    let mut digests = Vec::new();
    while let Some(row) = rows.next().map_err(|error| read_error(next, error))? {
        let position: u64 = row.get(0).map_err(|error| read_error(next, error))?;
        if position != next {
            return Err(ReadError::Damaged { position: next, reason: "the event is missing".to_owned() });
        }
        digests.push(row.get(1).map_err(|error| read_error(next, error))?);
        next += 1;
    }
    Ok(digests)
}

/// Events of one stream after a sequence, in order. A hole is an error.
pub(super) fn read_stream(
    connection: &Connection,
    stream: &StreamId,
    after: Sequence,
    limit: usize,
) -> Result<Vec<Recorded>, ReadError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND sequence > ?3 ORDER BY sequence LIMIT ?4"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(|error| read_error(0, error))?;
    let asked = params![&*stream.aggregate_type, stream.aggregate_id, storable(after), storable(limit as u64)];
    let mut rows = statement.query(asked).map_err(|error| read_error(0, error))?;
    let (mut events, mut next, mut reached) = (Vec::new(), after.saturating_add(1), 0);
    while let Some(row) = rows.next().map_err(|error| read_error(reached + 1, error))? {
        let event = recorded(row, reached + 1)?;
        if event.event.sequence != next || event.position <= reached {
            let reason = format!("{stream} goes on with sequence {} instead of {next}", event.event.sequence);
            return Err(ReadError::Damaged { position: event.position, reason });
        }
        (next, reached) = (next + 1, event.position);
        events.push(event);
    }
    Ok(events)
}

/// The position of the event that carries an idempotency scope.
pub(super) fn find_scope(connection: &Connection, scope: &str) -> rusqlite::Result<Option<Position>> {
    let mut find = connection.prepare_cached("SELECT position FROM events WHERE idempotency_scope = ?1")?;
    find.query_row([scope], |row| row.get(0)).optional()
}

/// SQLite's integers are signed: what does not fit is beyond everything stored.
fn storable(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads a row; `expected` is the position to blame when even that cannot be read.
fn recorded(row: &Row<'_>, expected: u64) -> Result<Recorded, ReadError> {
    let position: u64 = row.get(0).map_err(|error| read_error(expected, error))?;
    recorded_row(row, position).map_err(|error| read_error(position, error))
}

fn recorded_row(row: &Row<'_>, position: u64) -> rusqlite::Result<Recorded> {
    let recorded_at = row.get_ref(9)?.as_str()?;
    let occurred_at = row.get_ref(10)?.as_str()?;
    let moment = parse(9, recorded_at)?;
    let event = Proposed {
        event_id: id(row.get_ref(1)?.as_str()?)?,
        stream: StreamId { aggregate_type: row.get::<_, String>(2)?.into(), aggregate_id: row.get(3)? },
        sequence: row.get(4)?,
        event_type: row.get::<_, String>(5)?.into(),
        event_version: row.get(6)?,
        payload: row.get(7)?,
        metadata: row.get(8)?,
        recorded_at: moment,
        occurred_at: if occurred_at == recorded_at { moment } else { parse(10, occurred_at)? },
        idempotency_scope: row.get(12)?,
    };
    Ok(Recorded { position, event, digest: row.get(11)? })
}

/// What is written otherwise than this log writes it was written by somebody else, and no digest would tell: it is over what the
/// text means.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not written as the log writes it")]
struct Respelt(String);

fn id(text: &str) -> rusqlite::Result<Uuid> {
    let id = Uuid::try_parse(text).map_err(|error| unreadable(1, error))?;
    let mut written = Uuid::encode_buffer();
    if id.hyphenated().encode_lower(&mut written) == text { Ok(id) } else { Err(unreadable(1, Respelt(text.to_owned()))) }
}

fn parse(column: usize, text: &str) -> rusqlite::Result<Timestamp> {
    let moment = chrono::DateTime::parse_from_rfc3339(text).map_err(|error| unreadable(column, error))?.to_utc();
    // Of the texts that have as many characters, these two are all that could be spelt in another way.
    let is_usual = text.len() == 27 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
    if is_usual || rfc3339(moment) == text { Ok(moment) } else { Err(unreadable(column, Respelt(text.to_owned()))) }
}

/// Reads a moment out of a row, as [`rfc3339`] wrote it.
pub(super) fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    row.get_ref(column)?.as_str_or_null()?.map(|text| parse(column, text)).transpose()
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

/// What an error while reading at a position means.
pub(super) fn read_error(position: u64, error: rusqlite::Error) -> ReadError {
    let damaged = match &error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) => true,
        error => error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt),
    };
    let reason = error.to_string();
    if damaged { ReadError::Damaged { position, reason } } else { ReadError::Unavailable(reason) }
}
