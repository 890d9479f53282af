//! Snapshots, checkpoints and tasks in the tables beside the events.

use event_schemas::{Position, StreamId, Timestamp, rfc3339};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::rows::moment;
use crate::{Progress, Snapshot, Task};

const TASK: &str = "SELECT process, key, position, due_at, attempts, last_error FROM tasks";

pub(super) fn write_snapshots(connection: &Connection, snapshots: &[Snapshot]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO snapshots (aggregate_type, aggregate_id, last_sequence, current_snapshot, state_version, payload)
         VALUES (?1, ?2, ?3, 1, ?4, ?5)
         ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET last_sequence = excluded.last_sequence,
             current_snapshot = current_snapshot + 1, state_version = excluded.state_version, payload = excluded.payload
         WHERE excluded.last_sequence >= last_sequence",
    )?;
    for Snapshot { stream, sequence, state_version, state } in snapshots {
        insert.execute(params![&*stream.aggregate_type, stream.aggregate_id, sequence, state_version, state])?;
    }
    Ok(())
}

pub(super) fn snapshot(connection: &Connection, stream: &StreamId) -> rusqlite::Result<Option<Snapshot>> {
    let mut select = connection.prepare_cached(
        "SELECT last_sequence, state_version, payload FROM snapshots WHERE aggregate_type = ?1 AND aggregate_id = ?2",
    )?;
    let read = |row: &Row<'_>| {
        Ok(Snapshot { stream: stream.clone(), sequence: row.get(0)?, state_version: row.get(1)?, state: row.get(2)? })
    };
    select.query_row((&*stream.aggregate_type, &stream.aggregate_id), read).optional()
}

pub(super) fn list_snapshots(connection: &Connection, after: Option<&StreamId>, limit: usize) -> rusqlite::Result<Vec<Snapshot>> {
    let mut select = connection.prepare_cached(
        "SELECT aggregate_type, aggregate_id, last_sequence, state_version, payload FROM snapshots
         WHERE (aggregate_type, aggregate_id) > (?1, ?2) ORDER BY aggregate_type, aggregate_id LIMIT ?3",
    )?;
    let read = |row: &Row<'_>| {
        let stream = StreamId { aggregate_type: row.get::<_, String>(0)?.into(), aggregate_id: row.get(1)? };
        Ok(Snapshot { stream, sequence: row.get(2)?, state_version: row.get(3)?, state: row.get(4)? })
    };
    // No stream has an empty type, so that all are behind the empty texts.
    let (of_type, of_id) = after.map_or(("", ""), |after| (&*after.aggregate_type, &*after.aggregate_id));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    select.query_map(params![of_type, of_id, limit], read)?.collect()
}

pub(super) fn write_progress(connection: &Connection, progress: &Progress) -> rusqlite::Result<()> {
    let Progress { process, checkpoint, put, done } = progress;
    let mut remove = connection.prepare_cached("DELETE FROM tasks WHERE process = ?1 AND key = ?2")?;
    for key in done {
        remove.execute((process, key))?;
    }
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO tasks (process, key, position, due_at, attempts, last_error) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for task in put {
        let due_at = task.due_at.map(rfc3339);
        insert.execute(params![process, task.key, task.position, due_at, task.attempts, task.last_error])?;
    }
    if let Some(position) = checkpoint {
        let mut put = connection.prepare_cached(
            "INSERT INTO checkpoints (process, position) VALUES (?1, ?2)
             ON CONFLICT (process) DO UPDATE SET position = max(position, excluded.position)",
        )?;
        put.execute((process, position))?;
    }
    Ok(())
}

pub(super) fn checkpoint(connection: &Connection, process: &str) -> rusqlite::Result<Position> {
    let mut select = connection.prepare_cached("SELECT position FROM checkpoints WHERE process = ?1")?;
    Ok(select.query_row([process], |row| row.get(0)).optional()?.unwrap_or(0))
}

pub(super) fn due_tasks(connection: &Connection, process: &str, now: Timestamp, limit: usize) -> rusqlite::Result<Vec<Task>> {
    let sql = format!("{TASK} WHERE process = ?1 AND due_at <= ?2 ORDER BY due_at, position, key LIMIT ?3");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection.prepare_cached(&sql)?.query_map(params![process, rfc3339(now), limit], task)?.collect()
}

pub(super) fn next_due(connection: &Connection, process: &str) -> rusqlite::Result<Option<Timestamp>> {
    let mut select = connection.prepare_cached("SELECT min(due_at) FROM tasks WHERE process = ?1")?;
    select.query_row([process], |row| moment(row, 0))
}

pub(super) fn dead_letters(connection: &Connection) -> rusqlite::Result<Vec<Task>> {
    let sql = format!("{TASK} WHERE due_at IS NULL ORDER BY position, process, key");
    connection.prepare_cached(&sql)?.query_map((), task)?.collect()
}

fn task(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        process: row.get(0)?,
        key: row.get(1)?,
        position: row.get(2)?,
        due_at: moment(row, 3)?,
        attempts: row.get(4)?,
        last_error: row.get(5)?,
    })
}
