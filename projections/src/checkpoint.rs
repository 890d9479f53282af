//! A checkpoint: how far one generation of a projection has come, of which log, under which version of the fold.

use event_schemas::{Position, Timestamp};
use uuid::Uuid;

use crate::{Column, Projection, UnexpectedValue, Value, ViewError, store::Connection};

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
        self.check_log(log_id)?;
        if self.position > head {
            return Err(ViewError::AheadOfLog { projection: self.projection.clone(), position: self.position, head });
        }
        Ok(())
    }

    /// Refuses views of another log.
    pub fn check_log(&self, log_id: Uuid) -> Result<(), ViewError> {
        if self.log_id != log_id {
            return Err(ViewError::OtherLog { projection: self.projection.clone(), expected: log_id, found: self.log_id });
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

    fn values(&self) -> [Value<'_>; 11] {
        let text = |text: &'_ str| Value::Text(text.to_owned().into());
        let halt = self.halted.as_ref();
        [
            self.projection.value(),
            self.generation.value(),
            self.serving.value(),
            self.version.value(),
            self.shape.value(),
            self.tables.value(),
            text(&self.log_id.to_string()),
            self.position.value(),
            self.seen_at.as_ref().map_or(Value::Null, Column::value),
            halt.map_or(Value::Null, |halt| halt.reason.value()),
            halt.map_or(Value::Null, |halt| halt.since.value()),
        ]
    }

    /// Takes the generation away with its tables.
    pub fn discard(&self, connection: &dyn Connection) -> Result<(), ViewError> {
        connection.discard(self)?;
        let sql = "DELETE FROM projections WHERE projection = ? AND generation = ?";
        connection.execute(sql, &[self.projection.value(), self.generation.value()])
    }
}

/// Writes checkpoints, in one statement.
pub(crate) fn save(checkpoints: &[Checkpoint], connection: &dyn Connection) -> Result<(), ViewError> {
    if checkpoints.is_empty() {
        return Ok(());
    }
    let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; checkpoints.len()].join(", ");
    let values: Vec<_> = checkpoints.iter().flat_map(Checkpoint::values).collect();
    let sql = format!(
        "INSERT INTO projections (projection, generation, serving, version, shape, tables, log_id, position, seen_at,
                                  halted_reason, halted_since)
         VALUES {rows} ON CONFLICT (projection, generation) DO UPDATE SET
             serving = excluded.serving, position = excluded.position, seen_at = excluded.seen_at,
             halted_reason = excluded.halted_reason, halted_since = excluded.halted_since"
    );
    connection.execute(&sql, &values)
}

/// All checkpoints, by projection and generation.
pub(crate) fn load(connection: &dyn Connection) -> Result<Vec<Checkpoint>, ViewError> {
    let sql =
        "SELECT projection, generation, serving, version, shape, tables, log_id, position, seen_at, halted_reason, halted_since
         FROM projections ORDER BY projection, generation";
    let mut found = Vec::new();
    connection.each(sql, &[], &mut |at| {
        let damaged = |error: UnexpectedValue| ViewError::Damaged { table: "projections".to_owned(), reason: error.to_string() };
        found.push(read(at).map_err(damaged)?);
        Ok(())
    })?;
    Ok(found)
}

fn read(at: &dyn Fn(usize) -> Value<'static>) -> Result<Checkpoint, UnexpectedValue> {
    let (reason, since): (Option<String>, Option<Timestamp>) = (Column::read(at(9))?, Column::read(at(10))?);
    let log_id: String = Column::read(at(6))?;
    Ok(Checkpoint {
        projection: Column::read(at(0))?,
        generation: Column::read(at(1))?,
        serving: Column::read(at(2))?,
        version: Column::read(at(3))?,
        shape: Column::read(at(4))?,
        tables: Column::read(at(5))?,
        log_id: log_id.parse().unwrap_or(Uuid::nil()),
        position: Column::read(at(7))?,
        seen_at: Column::read(at(8))?,
        halted: reason.zip(since).map(|(reason, since)| Halt { reason, since }),
    })
}
