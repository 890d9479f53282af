//! What the views do with a connection to PostgreSQL, by what it is for.

use std::cell::{Cell, RefCell};

use super::{
    MOVED, WHOLE, get,
    owner::Ownership,
    session::PostgresSession,
    wire::{LONG, Wire, arguments, filled, translate, value},
};
use crate::{
    Projection, Session, Value, ViewError,
    checkpoint::Checkpoint,
    store::{Connection, Dialect, EachRow, Statements},
};

/// What a connection is for.
pub(super) enum Role {
    /// Reading what is served.
    Reader,
    /// Loading rows of any generation.
    Loader,
    /// Writing.
    Writer(Ownership),
}

pub(super) struct PostgresConnection {
    pub(super) wire: Wire,
    role: Role,
    /// The search path of the last transaction.
    path: RefCell<String>,
    /// Whether the role of analysts was asked for, which is done once.
    pub(super) asked_for_role: Cell<bool>,
}

/// Begins a reader's transaction: the schemas that serve in its snapshot, and the bookkeeping, are its search path.
const BEGIN_READING: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SELECT set_config('search_path', concat_ws(', ', (
        SELECT string_agg(format('daybook_%s_g%s', projection, generation), ', ' ORDER BY projection)
        FROM daybook_views.projections WHERE serving = 1), 'daybook_views'), true)";

impl PostgresConnection {
    pub fn new(wire: Wire, role: Role) -> Self {
        Self { wire, role, path: RefCell::default(), asked_for_role: Cell::default() }
    }

    fn begin_reading(&self) -> Result<(), ViewError> {
        let rows = self.wire.run(BEGIN_READING)?;
        let path: String = rows.first().map(|row| get(row, 0)).transpose()?.unwrap_or_default();
        let before = self.path.replace(path);
        if !before.is_empty() && before != *self.path.borrow() {
            self.wire.forget_statements()?;
        }
        Ok(())
    }
}

impl Connection for PostgresConnection {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn each(&self, sql: &str, parameters: &[Value<'_>], each: &mut EachRow<'_>) -> Result<(), ViewError> {
        let rows = self.wire.query(&translate(sql), arguments(parameters)?)?;
        rows.iter().try_for_each(|row| each(&|column| value(row, column)))
    }

    fn execute(&self, sql: &str, parameters: &[Value<'_>]) -> Result<(), ViewError> {
        self.wire.defer(&filled(sql, parameters));
        Ok(())
    }

    fn begin(&self) -> Result<(), ViewError> {
        match &self.role {
            Role::Reader => self.begin_reading(),
            Role::Loader => self.wire.run("BEGIN").map(drop),
            Role::Writer(ownership) => {
                ownership.begin(&self.wire);
                Ok(())
            }
        }
    }

    fn commit(&self) -> Result<(), ViewError> {
        match self.role {
            Role::Writer(_) => self.wire.run(&format!("NOTIFY {MOVED}; COMMIT")).map(drop),
            Role::Reader | Role::Loader => self.wire.run("COMMIT").map(drop),
        }
    }

    fn roll_back(&self) {
        if self.wire.drop_pending() || self.wire.is_lost() {
            return;
        }
        if let Err(error) = self.wire.run("ROLLBACK") {
            tracing::debug!(%error, "nothing to roll back");
        }
    }

    fn read_whole(&self) {
        self.wire.defer(WHOLE);
    }

    fn is_lost(&self) -> bool {
        self.wire.is_lost() || matches!(&self.role, Role::Writer(ownership) if ownership.is_lost())
    }

    fn session<'s>(&'s self, tables: &'s [Statements]) -> Box<dyn Session + 's> {
        Box::new(PostgresSession { wire: &self.wire, tables })
    }

    fn create_tables(&self, projection: &'static Projection, generation: u32) -> Result<(), ViewError> {
        self.wire.run(&super::tables::create(projection, generation)).map(drop)
    }

    fn create_indexes(&self, projection: &'static Projection, generation: u32) -> Result<(), ViewError> {
        self.wire.run_within(&super::tables::create_indexes(projection, generation), LONG).map(drop)
    }

    fn publish(&self, projection: &'static Projection, generation: u32) -> Result<(), ViewError> {
        self.wire.run(&super::tables::publish(projection, generation)).map(drop)
    }

    fn discard(&self, checkpoint: &Checkpoint) -> Result<(), ViewError> {
        let sql = "INSERT INTO daybook_views.retired (projection, generation) VALUES (?, ?)";
        self.execute(sql, &[Value::Text(checkpoint.projection.as_str().into()), Value::Integer(checkpoint.generation.into())])
    }

    fn highest_generation(&self, projection: &str) -> Result<u32, ViewError> {
        let sql = "SELECT COALESCE(max(generation), 0) FROM (
                SELECT projection, generation FROM daybook_views.projections UNION ALL
                SELECT projection, generation FROM daybook_views.retired) AS known WHERE projection = ?";
        let mut highest = 0;
        self.each(sql, &[Value::Text(projection.into())], &mut |at| {
            if let Value::Integer(number) = at(0) {
                highest = u32::try_from(number).unwrap_or(u32::MAX);
            }
            Ok(())
        })?;
        Ok(highest)
    }

    fn tend(&self, serving: &[(&'static Projection, u32)]) -> Result<(), ViewError> {
        super::analytics::tend(self, serving)
    }

    fn close(self: Box<Self>) {
        if let Role::Writer(ownership) = self.role {
            ownership.release();
        }
    }
}
