//! Comparing two sets of views row by row: live against rebuilt, one version of a fold against another.

use std::{cmp::Ordering, collections::VecDeque};

use crate::{Projection, Reader, Table, Value, ViewError, Views, row::join};

/// So many rows are read at a time.
const PAGE: usize = 2_000;
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

/// Compares all tables of the projections, in key order, each side in one snapshot. Blocks: run it off the async threads.
///
/// # Errors
/// If one of the stores cannot be read.
pub fn diff(first: &Views, second: &Views, projections: &[&'static Projection]) -> Result<ViewsDiff, ViewError> {
    first.read_blocking(|first| second.read_blocking(|second| diff_all(first, second, projections)))
}

fn diff_all(first: &Reader<'_>, second: &Reader<'_>, projections: &[&'static Projection]) -> Result<ViewsDiff, ViewError> {
    let mut found = ViewsDiff::default();
    for table in projections.iter().flat_map(|projection| projection.tables) {
        if has(first, table)? && has(second, table)? {
            found.tables.push(diff_table(first, second, table)?);
        } else {
            found.not_compared.push(table.name);
        }
    }
    Ok(found)
}

/// Whether a view is served.
fn has(reader: &Reader<'_>, table: &Table) -> Result<bool, ViewError> {
    let mut found = false;
    reader.each("SELECT tables FROM projections WHERE serving = 1", &[], |at| {
        found |= matches!(at(0), Value::Text(tables) if tables.split(',').any(|name| name == table.name));
        Ok(())
    })?;
    Ok(found)
}

/// The rows of a table in key order.
pub(crate) struct Scan<'r> {
    reader: &'r Reader<'r>,
    table: &'static Table,
    page: VecDeque<Vec<Value<'static>>>,
    /// The key of the last row that was read; none before the first page.
    last: Option<Vec<Value<'static>>>,
    is_over: bool,
}

impl<'r> Scan<'r> {
    pub fn new(reader: &'r Reader<'r>, table: &'static Table) -> Self {
        Self { reader, table, page: VecDeque::new(), last: None, is_over: false }
    }

    pub fn next(&mut self) -> Result<Option<Vec<Value<'static>>>, ViewError> {
        if self.page.is_empty() && !self.is_over {
            self.read_page()?;
        }
        Ok(self.page.pop_front())
    }

    fn read_page(&mut self) -> Result<(), ViewError> {
        let (table, width) = (self.table, self.table.columns.len());
        let key = join(table.key(), |column| column.name.to_owned());
        let holes = vec!["?"; table.key_columns].join(", ");
        let after = if self.last.is_some() { format!("WHERE ({key}) > ({holes})") } else { String::new() };
        let sql = format!("SELECT {} FROM {} {after} ORDER BY {key} LIMIT {PAGE}", table.column_list(""), table.name);
        self.reader.each(&sql, self.last.as_deref().unwrap_or_default(), |at| {
            self.page.push_back((0..width).map(at).collect());
            Ok(())
        })?;
        self.is_over = self.page.len() < PAGE;
        self.last = self.page.back().map(|row| row[..table.key_columns].to_vec());
        Ok(())
    }
}

fn diff_table(first: &Reader<'_>, second: &Reader<'_>, table: &'static Table) -> Result<TableDiff, ViewError> {
    let (mut firsts, mut seconds) = (Scan::new(first, table), Scan::new(second, table));
    let (mut left, mut right) = (firsts.next()?, seconds.next()?);
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
            left = firsts.next()?;
        }
        if order != Ordering::Less {
            right = seconds.next()?;
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
