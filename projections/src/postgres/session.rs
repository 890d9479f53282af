//! Loading and writing many rows of a generation in one statement: a column of them is one array.

use sqlx::{Arguments as _, postgres::PgArguments};

use super::wire::{Wire, literals, storable, value};
use crate::{ColumnInfo, ColumnType, Session, Table, Value, ViewError, row::join, store::Statements};

/// So many rows go into one statement.
const ROWS: usize = 4_000;
/// So few rows are written out in a statement that waits for the end of the transaction: no round trip of their own.
const FEW: usize = 32;

/// The statements of a table by the name that it has in a generation.
pub(crate) fn statements(table: &'static Table, name: &str) -> Statements {
    let arrays = |columns: &[ColumnInfo]| {
        let kinds = (1..).zip(columns).map(|(number, column)| format!("${number}::{}[]", kind(column)));
        kinds.collect::<Vec<_>>().join(", ")
    };
    let keys = format!("UNNEST({}) AS k ({})", arrays(table.key()), names(table.key()));
    let matches = table.key().iter().map(|column| format!("t.{0} = k.{0}", column.name)).collect::<Vec<_>>().join(" AND ");
    let rows = format!("SELECT * FROM UNNEST({})", arrays(table.columns));
    Statements {
        table,
        name: name.to_owned(),
        load: format!("SELECT {} FROM {keys} JOIN {name} AS t ON {matches}", table.column_list("t.")),
        upsert: upsert(table, name, &rows),
        delete: format!("DELETE FROM {name} AS t USING {keys} WHERE {matches}"),
    }
}

fn names(columns: &[ColumnInfo]) -> String {
    join(columns, |column| column.name.to_owned())
}

fn upsert(table: &Table, name: &str, rows: &str) -> String {
    let set = join(&table.columns[table.key_columns..], |column| format!("{0} = excluded.{0}", column.name));
    let (columns, key) = (names(table.columns), names(table.key()));
    format!("INSERT INTO {name} ({columns}) {rows} ON CONFLICT ({key}) DO UPDATE SET {set}")
}

/// Rows, or keys, written out.
fn written_out(rows: &[Vec<Value<'_>>]) -> String {
    let mut sql = String::new();
    for (number, row) in rows.iter().enumerate() {
        sql.push_str(if number > 0 { ", (" } else { "(" });
        literals(row, &mut sql);
        sql.push(')');
    }
    sql
}

/// The type of a column.
pub(super) fn kind(column: &ColumnInfo) -> &'static str {
    if column.column_type == ColumnType::Integer { "BIGINT" } else { "TEXT" }
}

/// Rows as one array for each of these columns.
fn arrays(columns: &[ColumnInfo], rows: &[Vec<Value<'_>>]) -> Result<PgArguments, ViewError> {
    let mut arguments = PgArguments::default();
    for (number, column) in columns.iter().enumerate() {
        let values = rows.iter().map(|row| &row[number]);
        let added = match column.column_type {
            ColumnType::Integer => {
                let numbers = values.map(|value| if let Value::Integer(number) = value { Some(*number) } else { None });
                arguments.add(numbers.collect::<Vec<_>>())
            }
            ColumnType::Text => {
                let texts = values.map(|value| if let Value::Text(text) = value { Some(storable(text)) } else { None });
                arguments.add(texts.collect::<Vec<_>>())
            }
        };
        added.map_err(|error| ViewError::Unavailable(error.to_string()))?;
    }
    Ok(arguments)
}

/// The session of one projection.
pub(super) struct PostgresSession<'c> {
    pub(super) wire: &'c Wire,
    pub(super) tables: &'c [Statements],
}

impl Session for PostgresSession<'_> {
    fn load(&self, table: &'static Table, keys: &[Vec<Value<'_>>]) -> Result<Vec<Vec<Value<'static>>>, ViewError> {
        let (sql, width) = (&Statements::of(self.tables, table)?.load, table.columns.len());
        let mut found = Vec::new();
        for keys in keys.chunks(ROWS) {
            let rows = self.wire.query(sql, arrays(table.key(), keys)?)?;
            found.extend(rows.iter().map(|row| (0..width).map(|column| value(row, column)).collect::<Vec<_>>()));
        }
        Ok(found)
    }

    fn upsert(&self, table: &'static Table, rows: &mut dyn Iterator<Item = Vec<Value<'_>>>) -> Result<(), ViewError> {
        let statements = Statements::of(self.tables, table)?;
        loop {
            let some: Vec<_> = rows.take(ROWS).collect();
            if some.is_empty() {
                return Ok(());
            }
            if some.len() <= FEW {
                self.wire.defer(&upsert(table, &statements.name, &format!("VALUES {}", written_out(&some))));
            } else {
                self.wire.query(&statements.upsert, arrays(table.columns, &some)?)?;
            }
        }
    }

    fn delete(&self, table: &'static Table, keys: &[Vec<Value<'_>>]) -> Result<(), ViewError> {
        let statements = Statements::of(self.tables, table)?;
        if keys.len() <= FEW {
            let (name, columns, keys) = (&statements.name, names(table.key()), written_out(keys));
            self.wire.defer(&format!("DELETE FROM {name} WHERE ({columns}) IN ({keys})"));
            return Ok(());
        }
        let arrays = keys.chunks(ROWS).map(|keys| arrays(table.key(), keys));
        arrays.into_iter().try_for_each(|keys| self.wire.query(&statements.delete, keys?).map(drop))
    }

    fn is_remote(&self) -> bool {
        true
    }
}
