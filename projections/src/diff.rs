//! Comparing two sets of views row by row: live against rebuilt, one version of a fold against another.

use std::cmp::Ordering;

use rusqlite::Connection;

use crate::{
    Projection, Table, Value, ViewError, Views,
    sqlite::{self, open_reader},
};

/// At most so many differing rows of a table are shown.
const MOST_EXAMPLES: usize = 20;

/// A row that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct RowDifference {
    /// The values of its key.
    pub key: Vec<Value<'static>>,
    /// Each column that differs, with its value in the first and in the second; empty for a row that only one has.
    pub columns: Vec<(&'static str, Value<'static>, Value<'static>)>,
}

/// How a table of two sets of views compares.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableDiff {
    /// The table.
    pub table: &'static str,
    /// How many rows are the same in both.
    pub equal: u64,
    /// How many rows only the first has.
    pub only_first: u64,
    /// How many rows only the second has.
    pub only_second: u64,
    /// How many rows of the same key differ.
    pub different: u64,
    /// The first of the rows that differ or that only one has.
    pub examples: Vec<RowDifference>,
}

impl TableDiff {
    /// Whether the tables are the same.
    pub fn is_equal(&self) -> bool {
        self.only_first == 0 && self.only_second == 0 && self.different == 0
    }
}

/// How two sets of views compare.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ViewsDiff {
    /// Each table that both have.
    pub tables: Vec<TableDiff>,
    /// Tables that one of them lacks.
    pub not_compared: Vec<&'static str>,
}

impl ViewsDiff {
    /// Whether every table was compared and is the same.
    pub fn is_equal(&self) -> bool {
        self.not_compared.is_empty() && self.tables.iter().all(TableDiff::is_equal)
    }
}

/// Compares all tables of the projections, in key order, a row at a time. Blocks: run it off the async threads.
///
/// # Errors
/// If one of the stores cannot be read.
pub fn diff(first: &Views, second: &Views, projections: &[&'static Projection]) -> Result<ViewsDiff, ViewError> {
    let (first, second) = (open_reader(first.path())?, open_reader(second.path())?);
    let mut found = ViewsDiff::default();
    for table in projections.iter().flat_map(|projection| projection.tables) {
        if has(&first, table)? && has(&second, table)? {
            found.tables.push(diff_table(&first, &second, table)?);
        } else {
            found.not_compared.push(table.name);
        }
    }
    Ok(found)
}

fn has(connection: &Connection, table: &Table) -> Result<bool, ViewError> {
    let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'view' AND name = ?";
    Ok(connection.query_row(sql, [table.name], |row| row.get::<_, i64>(0))? > 0)
}

fn next(rows: &mut rusqlite::Rows<'_>, table: &Table) -> Result<Option<Vec<Value<'static>>>, ViewError> {
    let Some(row) = rows.next()? else { return Ok(None) };
    (0..table.columns.len())
        .map(|column| Ok(sqlite::value(row.get_ref(column)?).into_owned()))
        .collect::<Result<_, _>>()
        .map(Some)
}

fn diff_table(first: &Connection, second: &Connection, table: &'static Table) -> Result<TableDiff, ViewError> {
    let key = crate::row::join(table.key(), |column| column.name.to_owned());
    let sql = format!("SELECT {} FROM {} ORDER BY {key}", table.column_list(""), table.name);
    let (mut of_first, mut of_second) = (first.prepare(&sql)?, second.prepare(&sql)?);
    let (mut firsts, mut seconds) = (of_first.raw_query(), of_second.raw_query());
    let (mut left, mut right) = (next(&mut firsts, table)?, next(&mut seconds, table)?);
    let mut found = TableDiff { table: table.name, ..TableDiff::default() };
    let width = table.key_columns;
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(found),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => left[..width].cmp(&right[..width]),
        };
        found.count(table, order, left.as_deref(), right.as_deref());
        if order != Ordering::Greater {
            left = next(&mut firsts, table)?;
        }
        if order != Ordering::Less {
            right = next(&mut seconds, table)?;
        }
    }
}

impl TableDiff {
    /// Counts the row, or pair of rows, that comes next in key order.
    fn count(&mut self, table: &Table, order: Ordering, left: Option<&[Value<'static>]>, right: Option<&[Value<'static>]>) {
        let (left, right) = (left.unwrap_or_default(), right.unwrap_or_default());
        let columns = match order {
            Ordering::Less | Ordering::Greater => Vec::new(),
            Ordering::Equal => {
                let pairs = table.columns.iter().zip(left.iter().zip(right)).filter(|(_, (left, right))| left != right);
                pairs.map(|(column, (left, right))| (column.name, left.clone(), right.clone())).collect()
            }
        };
        match order {
            Ordering::Less => self.only_first += 1,
            Ordering::Greater => self.only_second += 1,
            Ordering::Equal if columns.is_empty() => {
                self.equal += 1;
                return;
            }
            Ordering::Equal => self.different += 1,
        }
        if self.examples.len() < MOST_EXAMPLES {
            let row = if order == Ordering::Greater { right } else { left };
            self.examples.push(RowDifference { key: row[..table.key_columns].to_vec(), columns });
        }
    }
}
