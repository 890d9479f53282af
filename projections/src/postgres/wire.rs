//! A connection to PostgreSQL for code that blocks.
//!
//! The connection's socket is served by a small runtime of its own, so it makes no difference whether the caller's thread
//! belongs to a runtime, and of which kind: it is parked until the answer is there.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    io,
    sync::LazyLock,
    time::Duration,
};

use sqlx::{
    Arguments as _, Connection as _, Decode as _, Executor as _, Postgres, Row as _, ValueRef as _,
    postgres::{PgArguments, PgConnectOptions, PgConnection, PgDatabaseError, PgRow, PgSeverity},
};
use tokio::runtime::Runtime;

use crate::{Value, ViewError};

/// How long a statement may take before the connection counts as cut off.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long building an index or counting a table may take.
pub(super) const LONG: Duration = Duration::from_secs(4 * 3_600);
/// What our own function says to an owner that was replaced.
pub(super) const NOT_THE_OWNER: &str = "DB001";
/// `query_canceled`, `lock_not_available`: someone else was in the way.
const IN_THE_WAY: [&str; 2] = ["57014", "55P03"];

static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).thread_name("daybook-views").enable_all().build()
});

/// The runtime that serves all sockets.
pub(super) fn runtime() -> Result<&'static Runtime, ViewError> {
    RUNTIME.as_ref().map_err(|error| ViewError::Unavailable(format!("no thread for the view store: {error}")))
}

/// Waits for a future on this thread, at most for `limit`.
pub(super) fn wait<T>(limit: Duration, future: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let runtime = RUNTIME.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
    let _entered = runtime.enter();
    // Unconstrained: inside a task of the caller's runtime the budget of that task would never be refilled here.
    let limited = tokio::task::unconstrained(tokio::time::timeout(limit, future));
    let late = |_| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
    futures::executor::block_on(limited).unwrap_or_else(|elapsed| Err(late(elapsed)))
}

/// Whether a statement failed because someone else holds what it needs.
pub(super) fn is_in_the_way(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| IN_THE_WAY.contains(&&*code))
}

/// One connection.
pub(super) struct Wire {
    connection: RefCell<PgConnection>,
    name: String,
    lost: Cell<bool>,
    /// Statements that go out with the next one that has to be answered: a small batch is one round trip.
    pending: RefCell<String>,
}

impl Wire {
    /// Connects, and says how the session is to behave: statements separated by semicolons.
    pub fn connect(options: &PgConnectOptions, name: &str, session: &str) -> Result<Self, ViewError> {
        let connected = wait(PATIENCE, async {
            let mut connection = PgConnection::connect_with(options).await?;
            connection.execute(sqlx::raw_sql(session)).await?;
            Ok(connection)
        });
        let connection = connected.map_err(|error| unavailable(name, &error))?;
        let (connection, pending) = (RefCell::new(connection), RefCell::default());
        Ok(Self { connection, name: name.to_owned(), lost: Cell::new(false), pending })
    }

    /// Whether the connection is of no more use.
    pub fn is_lost(&self) -> bool {
        self.lost.get()
    }

    /// Sends a statement without parameters with the next one that has to be answered.
    pub fn defer(&self, sql: &str) {
        let mut pending = self.pending.borrow_mut();
        pending.push_str(sql);
        pending.push_str(";\n");
    }

    /// Forgets what was not sent yet; whether that was the whole transaction.
    pub fn drop_pending(&self) -> bool {
        self.pending.take().starts_with("BEGIN")
    }

    fn flush(&self) -> sqlx::Result<()> {
        let pending = self.pending.take();
        if pending.is_empty() { Ok(()) } else { self.send(&pending, PATIENCE).map(drop) }
    }

    fn send(&self, sql: &str, limit: Duration) -> sqlx::Result<Vec<PgRow>> {
        let mut connection = self.connection.borrow_mut();
        wait(limit, sqlx::raw_sql(sql).fetch_all(&mut *connection))
    }

    /// An error as ours; notes whether the connection is of no more use.
    pub fn failed(&self, error: &sqlx::Error) -> ViewError {
        let refused = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
        let is_over = |refusal: &PgDatabaseError| matches!(refusal.severity(), PgSeverity::Fatal | PgSeverity::Panic);
        if refused.is_none_or(is_over) {
            self.lost.set(true);
        }
        if refused.is_some_and(|refusal| refusal.code() == NOT_THE_OWNER) {
            self.lost.set(true);
            return ViewError::InUse(self.name.clone());
        }
        unavailable(&self.name, error)
    }

    /// One statement with `$1`, `$2` …, and its rows.
    pub fn query(&self, sql: &str, arguments: PgArguments) -> Result<Vec<PgRow>, ViewError> {
        let rows = self.flush().and_then(|()| {
            let mut connection = self.connection.borrow_mut();
            wait(PATIENCE, sqlx::query_with(sql, arguments).fetch_all(&mut *connection))
        });
        rows.map_err(|error| self.failed(&error))
    }

    /// Statements without parameters, separated by semicolons, in one round trip, and all their rows.
    pub fn run(&self, sql: &str) -> Result<Vec<PgRow>, ViewError> {
        self.run_within(sql, PATIENCE)
    }

    /// As [`Wire::run`], with a limit of its own.
    pub fn run_within(&self, sql: &str, limit: Duration) -> Result<Vec<PgRow>, ViewError> {
        self.try_run(sql, limit).map_err(|error| self.failed(&error))
    }

    /// As [`Wire::run_within`], with the error as it is.
    pub fn try_run(&self, sql: &str, limit: Duration) -> sqlx::Result<Vec<PgRow>> {
        let pending = self.pending.take();
        if pending.is_empty() { self.send(sql, limit) } else { self.send(&(pending + sql), limit) }
    }

    /// Forgets how statements were prepared: the tables behind their names have changed.
    pub fn forget_statements(&self) -> Result<(), ViewError> {
        let mut connection = self.connection.borrow_mut();
        wait(PATIENCE, connection.clear_cached_statements()).map_err(|error| self.failed(&error))
    }
}

/// An error of the store as ours. Neither has a password in it.
pub(super) fn unavailable(name: &str, error: &sqlx::Error) -> ViewError {
    ViewError::Unavailable(format!("{name}: {error}"))
}

/// A text as PostgreSQL can keep it: it has no NUL, which old events may hold, so the replacement character stands for it.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Values as literals, separated by commas.
pub(super) fn literals(values: &[Value<'_>], sql: &mut String) {
    for (number, value) in values.iter().enumerate() {
        if number > 0 {
            sql.push_str(", ");
        }
        match value {
            Value::Null => sql.push_str("NULL"),
            Value::Integer(number) => sql.push_str(&number.to_string()),
            Value::Text(text) => {
                // Every backslash is itself: `standard_conforming_strings` is on in our sessions.
                sql.push('\'');
                sql.push_str(&storable(text).replace('\'', "''"));
                sql.push('\'');
            }
        }
    }
}

/// Values as the arguments of a statement.
pub(super) fn arguments(values: &[Value<'_>]) -> Result<PgArguments, ViewError> {
    let mut arguments = PgArguments::default();
    for value in values {
        let added = match value {
            Value::Null => arguments.add(None::<&str>),
            Value::Integer(number) => arguments.add(*number),
            Value::Text(text) => arguments.add(&*storable(text)),
        };
        added.map_err(|error| ViewError::Unavailable(error.to_string()))?;
    }
    Ok(arguments)
}

/// `INT8` and `INT4`, by their number in PostgreSQL's catalog.
const INTEGERS: [u32; 2] = [20, 23];

/// A value of a row as ours. Types that no table of ours has read as the name of their type, and fail at their column.
pub(super) fn value(row: &PgRow, column: usize) -> Value<'static> {
    let Ok(raw) = row.try_get_raw(column) else { return Value::Null };
    if raw.is_null() {
        return Value::Null;
    }
    let kind = raw.type_info().into_owned();
    let read = match kind.oid().map(|oid| oid.0) {
        Some(oid) if oid == INTEGERS[0] => <i64 as sqlx::Decode<Postgres>>::decode(raw).map(Value::Integer),
        Some(oid) if oid == INTEGERS[1] => i32::decode(raw).map(|number| Value::Integer(number.into())),
        _ => String::decode(raw).map(|text| Value::Text(text.into())),
    };
    read.unwrap_or_else(|_| Value::Text(format!("a value of type {kind}").into()))
}

/// SQL with `?` for each parameter, as PostgreSQL reads it.
pub(super) fn translate(sql: &str) -> String {
    fill(sql, |number, translated| translated.push_str(&format!("${number}")))
}

/// SQL with each `?` filled with its value.
pub(super) fn filled(sql: &str, values: &[Value<'_>]) -> String {
    fill(sql, |number, translated| literals(&values[number - 1..number], translated))
}

fn fill(sql: &str, mut hole: impl FnMut(usize, &mut String)) -> String {
    let listed = "IN (SELECT value FROM json_each(?))";
    let sql = sql.replace(listed, "= ANY (ARRAY(SELECT jsonb_array_elements_text(?::jsonb)))");
    let (mut translated, mut number, mut quoted) = (String::with_capacity(sql.len() + 16), 0, false);
    for character in sql.chars() {
        match character {
            '?' if !quoted => {
                number += 1;
                hole(number, &mut translated);
            }
            other => {
                quoted ^= other == '\'';
                translated.push(other);
            }
        }
    }
    translated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_numbered_and_question_marks_in_texts_stay() {
        let sql = "SELECT 'why?' FROM t WHERE a IN (SELECT value FROM json_each(?)) AND b LIKE ? ESCAPE '\\'";
        let expected = "SELECT 'why?' FROM t WHERE a = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb))) \
                        AND b LIKE $2 ESCAPE '\\'";
        assert_eq!(translate(sql), expected);
    }
}
