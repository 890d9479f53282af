//! A checkpoint: how far one generation of a projection has come, of which log, under which version of the fold.

use event_schemas::{Position, Timestamp};
use rusqlite::Connection;
use uuid::Uuid;

use crate::{Projection, ViewError, sqlite};

/// Why a generation stands still.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Halt {
    pub reason: String,
    /// By this machine's clock: for people, not for folds.
    pub since: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checkpoint {
    pub projection: String,
    pub generation: u32,
    pub serving: bool,
    pub version: u32,
    pub shape: String,
    /// The names of its tables, separated by commas.
    pub tables: String,
    pub log_id: Uuid,
    pub position: Position,
    /// When the last event it has seen was recorded.
    pub seen_at: Option<Timestamp>,
    pub halted: Option<Halt>,
}

impl Checkpoint {
    pub fn new(projection: &Projection, generation: u32, serving: bool, log_id: Uuid) -> Self {
        Self {
            projection: projection.name.to_owned(),
            generation,
            serving,
            version: projection.version,
            shape: projection.shape(),
            tables: projection.tables.iter().map(|table| table.name).collect::<Vec<_>>().join(","),
            log_id,
            position: 0,
            seen_at: None,
            halted: None,
        }
    }

    /// Refuses to follow a log that this was not built from, or one that has lost its end.
    pub fn check(&self, log_id: Uuid, head: Position) -> Result<(), ViewError> {
        let projection = self.projection.clone();
        if self.log_id != log_id {
            return Err(ViewError::OtherLog { projection, expected: log_id, found: self.log_id });
        }
        if self.position > head {
            return Err(ViewError::AheadOfLog { projection, position: self.position, head });
        }
        Ok(())
    }

    /// Whether today's code would give the same rows.
    pub fn is_of(&self, projection: &Projection) -> bool {
        self.version == projection.version && self.shape == projection.shape()
    }

    pub fn advance(&mut self, position: Position, seen_at: Option<Timestamp>, halted: Option<String>) {
        self.position = position;
        self.seen_at = seen_at;
        self.halted = halted.map(|reason| Halt { reason, since: chrono::Utc::now() });
    }

    pub fn save(&self, connection: &Connection) -> Result<(), ViewError> {
        let text = |moment: Timestamp| event_schemas::rfc3339(moment);
        connection.prepare_cached("INSERT OR REPLACE INTO projections VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?.execute((
            &self.projection,
            self.generation,
            self.serving,
            self.version,
            &self.shape,
            &self.tables,
            self.log_id.to_string(),
            i64::try_from(self.position).unwrap_or(i64::MAX),
            self.seen_at.map(text),
            self.halted.as_ref().map(|halt| &halt.reason),
            self.halted.as_ref().map(|halt| text(halt.since)),
        ))?;
        Ok(())
    }

    /// Drops the generation with all tables it has, which may be of an older shape than today's code knows.
    pub fn drop(&self, connection: &Connection) -> Result<(), ViewError> {
        for table in self.tables.split(',') {
            if self.serving {
                connection.execute_batch(&format!("DROP VIEW IF EXISTS {table};"))?;
            }
            connection.execute_batch(&format!("DROP TABLE IF EXISTS {};", sqlite::physical(table, self.generation)))?;
        }
        let sql = "DELETE FROM projections WHERE projection = ? AND generation = ?";
        connection.prepare_cached(sql)?.execute((&self.projection, self.generation))?;
        Ok(())
    }
}

/// All checkpoints, by projection and generation.
pub(crate) fn load(connection: &Connection) -> Result<Vec<Checkpoint>, ViewError> {
    let mut select = connection.prepare(
        "SELECT projection, generation, serving, version, shape, tables, log_id, position, seen_at, halted_reason, halted_since
         FROM projections ORDER BY projection, generation",
    )?;
    let moment = |text: Option<String>| text.and_then(|text| text.parse::<Timestamp>().ok());
    let rows = select.query_map([], |row| {
        let (reason, since): (Option<String>, Option<String>) = (row.get(9)?, row.get(10)?);
        let log_id: String = row.get(6)?;
        Ok(Checkpoint {
            projection: row.get(0)?,
            generation: row.get(1)?,
            serving: row.get(2)?,
            version: row.get(3)?,
            shape: row.get(4)?,
            tables: row.get(5)?,
            log_id: log_id.parse().unwrap_or(Uuid::nil()),
            position: row.get::<_, i64>(7)?.try_into().unwrap_or(0),
            seen_at: moment(row.get(8)?),
            halted: reason.zip(moment(since)).map(|(reason, since)| Halt { reason, since }),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
