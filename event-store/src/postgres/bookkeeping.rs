//! Snapshots, checkpoints and tasks in the tables beside the events.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use event_schemas::{Position, StreamId, Timestamp};
use sqlx::postgres::{PgPool, PgRow};
use uuid::Uuid;

use super::{
    rows::{fetch, is_null, moment, number, storable, text, unreadable},
    session::read_error,
};
use crate::{Progress, ReadError, Snapshot, Task};

const SAVE_SNAPSHOTS: &str = "INSERT INTO daybook.snapshots AS kept
    (aggregate_type, aggregate_id, last_sequence, current_snapshot, state_version, payload)
    SELECT of_type, of_id, last_sequence, 1, state_version, payload::json
    FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[])
        AS saved (of_type, of_id, last_sequence, state_version, payload)
    ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET last_sequence = excluded.last_sequence,
        current_snapshot = kept.current_snapshot + 1, state_version = excluded.state_version, payload = excluded.payload
    WHERE excluded.last_sequence >= kept.last_sequence";

const LOAD_SNAPSHOTS: &str = "SELECT place, last_sequence, state_version, payload
    FROM UNNEST($1::text[], $2::text[]) WITH ORDINALITY AS asked (of_type, of_id, place)
    JOIN daybook.snapshots ON aggregate_type = of_type AND aggregate_id = of_id";

const LIST_SNAPSHOTS: &str = "SELECT aggregate_type, aggregate_id, last_sequence, state_version, payload FROM daybook.snapshots
    WHERE (aggregate_type, aggregate_id) > ($1, $2) ORDER BY aggregate_type, aggregate_id LIMIT $3";

/// One statement, so that a step is saved as one. It sees the tables as they were before it: a key is removed or put, not both.
/// A checkpoint never goes back: a node may save late what another has gone beyond since.
const SAVE_PROGRESS: &str = "WITH removed AS (DELETE FROM daybook.tasks WHERE process = $1 AND key = ANY($2::text[])),
    put AS (
        INSERT INTO daybook.tasks (process, key, position, due_at, attempts, last_error)
        SELECT $1, * FROM UNNEST($3::text[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::text[])
        ON CONFLICT (process, key) DO UPDATE SET position = excluded.position, due_at = excluded.due_at,
            attempts = excluded.attempts, last_error = excluded.last_error)
    INSERT INTO daybook.checkpoints (process, position) SELECT $1, $8::bigint WHERE $8::bigint IS NOT NULL
    ON CONFLICT (process) DO UPDATE SET position = GREATEST(checkpoints.position, excluded.position)";

const DUE_TASKS: &str = "SELECT process, key, position, due_at, attempts, last_error FROM daybook.tasks
    WHERE process = $1 AND due_at <= $2 ORDER BY due_at, position, key LIMIT $3";

const DEAD_LETTERS: &str = "SELECT process, key, position, due_at, attempts, last_error FROM daybook.tasks
    WHERE due_at IS NULL ORDER BY position, process, key";

/// A row comes back when the turn is the holder's. The server's clock decides, so the nodes' own may differ.
const TAKE_TURN: &str = "INSERT INTO daybook.turns AS held (process, holder, until)
    VALUES ($1, $2, clock_timestamp() + $3::float8 * interval '1 second')
    ON CONFLICT (process) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE held.holder = excluded.holder OR held.until <= clock_timestamp()
    RETURNING held.process";

pub(super) async fn take_turn(pool: &PgPool, process: &str, holder: Uuid, time: Duration) -> Result<bool, ReadError> {
    let ask = || sqlx::query(TAKE_TURN).bind(process.to_owned()).bind(holder).bind(time.as_secs_f64());
    Ok(!fetch(pool, ask).await?.is_empty())
}

pub(super) async fn save_snapshots(pool: &PgPool, snapshots: Vec<Snapshot>) -> Result<(), ReadError> {
    // A statement may touch a row once.
    let mut newest: HashMap<StreamId, Snapshot> = HashMap::with_capacity(snapshots.len());
    for snapshot in snapshots {
        if newest.get(&snapshot.stream).is_none_or(|kept| kept.sequence <= snapshot.sequence) {
            newest.insert(snapshot.stream.clone(), snapshot);
        }
    }
    let ask = || {
        let saved = || newest.values();
        sqlx::query(SAVE_SNAPSHOTS)
            .bind(saved().map(|saved| saved.stream.aggregate_type.to_string()).collect::<Vec<_>>())
            .bind(saved().map(|saved| saved.stream.aggregate_id.clone()).collect::<Vec<_>>())
            .bind(saved().map(|saved| storable(saved.sequence)).collect::<Vec<_>>())
            .bind(saved().map(|saved| i64::from(saved.state_version)).collect::<Vec<_>>())
            .bind(saved().map(|saved| saved.state.clone()).collect::<Vec<_>>())
    };
    fetch(pool, ask).await.map(drop)
}

pub(super) async fn load_snapshots(pool: &PgPool, streams: Vec<StreamId>) -> Result<Vec<Option<Snapshot>>, ReadError> {
    let ask = || {
        let types: Vec<String> = streams.iter().map(|stream| stream.aggregate_type.to_string()).collect();
        let ids: Vec<String> = streams.iter().map(|stream| stream.aggregate_id.clone()).collect();
        sqlx::query(LOAD_SNAPSHOTS).bind(types).bind(ids)
    };
    let rows = fetch(pool, ask).await?;
    let read = |row: &PgRow| Ok((number(row, 0)?, number(row, 1)?, small(row, 2)?, text(row, 3)?));
    let mut loaded = vec![None; streams.len()];
    for row in &rows {
        let (place, sequence, state_version, state) = read(row).map_err(|error| read_error(0, &error))?;
        let index = usize::try_from(place - 1).unwrap_or(usize::MAX);
        if let (Some(found), Some(stream)) = (loaded.get_mut(index), streams.get(index)) {
            *found = Some(Snapshot { stream: stream.clone(), sequence, state_version, state });
        }
    }
    Ok(loaded)
}

pub(super) async fn list_snapshots(pool: &PgPool, after: Option<StreamId>, limit: usize) -> Result<Vec<Snapshot>, ReadError> {
    // No stream has an empty type, so that all are behind the empty texts.
    let after = after.unwrap_or_else(|| StreamId::new("", ""));
    let ask = || {
        let asked = sqlx::query(LIST_SNAPSHOTS).bind(after.aggregate_type.to_string()).bind(after.aggregate_id.clone());
        asked.bind(storable(limit as u64))
    };
    let read = |row: &PgRow| {
        let stream = StreamId { aggregate_type: text(row, 0)?.into(), aggregate_id: text(row, 1)? };
        Ok(Snapshot { stream, sequence: number(row, 2)?, state_version: small(row, 3)?, state: text(row, 4)? })
    };
    let rows = fetch(pool, ask).await?;
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|error: sqlx::Error| read_error(0, &error))
}

pub(super) async fn save_progress(pool: &PgPool, progress: Progress) -> Result<(), ReadError> {
    let Progress { process, checkpoint, put, done } = progress;
    let put: BTreeMap<String, Task> = put.into_iter().map(|task| (task.key.clone(), task)).collect();
    let done: BTreeSet<String> = done.into_iter().filter(|key| !put.contains_key(key)).collect();
    let ask = || {
        let tasks = || put.values();
        sqlx::query(SAVE_PROGRESS)
            .bind(process.clone())
            .bind(done.iter().cloned().collect::<Vec<_>>())
            .bind(put.keys().cloned().collect::<Vec<_>>())
            .bind(tasks().map(|task| storable(task.position)).collect::<Vec<_>>())
            .bind(tasks().map(|task| task.due_at).collect::<Vec<_>>())
            .bind(tasks().map(|task| i64::from(task.attempts)).collect::<Vec<_>>())
            .bind(tasks().map(|task| task.last_error.clone()).collect::<Vec<_>>())
            .bind(checkpoint.map(storable))
    };
    fetch(pool, ask).await.map(drop)
}

pub(super) async fn checkpoint(pool: &PgPool, process: &str) -> Result<Position, ReadError> {
    let ask = || sqlx::query("SELECT position FROM daybook.checkpoints WHERE process = $1").bind(process.to_owned());
    let rows = fetch(pool, ask).await?;
    rows.first().map_or(Ok(0), |row| number(row, 0)).map_err(|error| read_error(0, &error))
}

pub(super) async fn due_tasks(pool: &PgPool, process: &str, now: Timestamp, limit: usize) -> Result<Vec<Task>, ReadError> {
    let ask = || sqlx::query(DUE_TASKS).bind(process.to_owned()).bind(now).bind(storable(limit as u64));
    tasks(&fetch(pool, ask).await?)
}

pub(super) async fn next_due(pool: &PgPool, process: &str) -> Result<Option<Timestamp>, ReadError> {
    let ask = || sqlx::query("SELECT min(due_at) FROM daybook.tasks WHERE process = $1").bind(process.to_owned());
    let rows = fetch(pool, ask).await?;
    rows.first().map_or(Ok(None), |row| optional_moment(row, 0)).map_err(|error| read_error(0, &error))
}

pub(super) async fn dead_letters(pool: &PgPool) -> Result<Vec<Task>, ReadError> {
    tasks(&fetch(pool, || sqlx::query(DEAD_LETTERS)).await?)
}

fn tasks(rows: &[PgRow]) -> Result<Vec<Task>, ReadError> {
    let task = |row: &PgRow| {
        Ok(Task {
            process: text(row, 0)?,
            key: text(row, 1)?,
            position: number(row, 2)?,
            due_at: optional_moment(row, 3)?,
            attempts: small(row, 4)?,
            last_error: if is_null(row, 5)? { None } else { Some(text(row, 5)?) },
        })
    };
    rows.iter().map(task).collect::<Result<_, _>>().map_err(|error: sqlx::Error| read_error(0, &error))
}

fn optional_moment(row: &PgRow, column: usize) -> Result<Option<Timestamp>, sqlx::Error> {
    if is_null(row, column)? { Ok(None) } else { moment(row, column).map(Some) }
}

fn small(row: &PgRow, column: usize) -> Result<u32, sqlx::Error> {
    u32::try_from(number(row, column)?).map_err(|error| unreadable(column, error))
}
