//! Pages of a sorted list with stable cursors: a cursor names the sort key and the id of a row, not a number of rows, so
//! rows that come and go between two requests neither repeat nor hide others.

use event_schemas::Timestamp;

use crate::{Column, ColumnType, Reader, Row, Value, ViewError};

/// The place of a row in a sorted list.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    sort: String,
    key: Value<'static>,
    id: Value<'static>,
}

impl Cursor {
    /// The cursor as text; opaque to clients.
    pub fn encode(&self) -> String {
        serde_json::json!([self.sort, json(&self.key), json(&self.id)]).to_string()
    }

    /// Reads a cursor.
    ///
    /// # Errors
    /// [`ViewError::BadCursor`] if it is not one.
    pub fn decode(text: &str) -> Result<Self, ViewError> {
        let (sort, key, id): (String, serde_json::Value, serde_json::Value) =
            serde_json::from_str(text).map_err(|_| ViewError::BadCursor)?;
        Ok(Self { sort, key: from_json(key)?, id: from_json(id)? })
    }
}

fn json(value: &Value<'_>) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Integer(number) => (*number).into(),
        Value::Text(text) => text.to_string().into(),
    }
}

fn from_json(value: serde_json::Value) -> Result<Value<'static>, ViewError> {
    match value {
        serde_json::Value::Number(number) => number.as_i64().map(Value::Integer).ok_or(ViewError::BadCursor),
        serde_json::Value::String(text) => Ok(Value::Text(text.into())),
        _ => Err(ViewError::BadCursor),
    }
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// At most so many rows.
    pub limit: u32,
    /// Only rows after this one.
    pub after: Option<Cursor>,
    /// Only rows before this one.
    pub before: Option<Cursor>,
    /// Whether the rows are taken from the end.
    pub from_end: bool,
    /// Whether to count the whole list.
    pub count: bool,
}

impl Page {
    /// The first rows of a list.
    pub fn first(limit: u32) -> Self {
        Self { limit, after: None, before: None, from_end: false, count: false }
    }

    /// The rows after one.
    pub fn after(self, cursor: Cursor) -> Self {
        Self { after: Some(cursor), ..self }
    }

    /// The page, and a count of the whole list.
    pub fn counted(self) -> Self {
        Self { count: true, ..self }
    }
}

/// Rows of a list, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<T> {
    /// The rows, each with its cursor.
    pub items: Vec<(Cursor, T)>,
    /// Whether rows follow.
    pub has_next: bool,
    /// Whether rows come before.
    pub has_previous: bool,
    /// How many rows the whole list has, if that was asked.
    pub total: Option<u64>,
}

/// How a list is sorted: by an expression that is never null, and by the id where that is equal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'s> {
    /// Tells the cursors of one sorting from those of another.
    pub name: &'s str,
    /// The SQL expression over the table `t`.
    pub by: &'s str,
    pub descending: bool,
    /// The column that is unique.
    pub id: &'s str,
}

/// Conditions that all hold, with their parameters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    clauses: Vec<String>,
    parameters: Vec<Value<'static>>,
}

impl Conditions {
    /// A condition with one `?`, if there is a value for it.
    pub fn when<T: Column>(&mut self, value: Option<&T>, clause: &str) {
        if let Some(value) = value {
            self.with(clause, value);
        }
    }

    /// A condition with one `?`.
    pub fn with<T: Column>(&mut self, clause: &str, value: &T) {
        self.clauses.push(clause.to_owned());
        self.parameters.push(value.value().into_owned());
    }

    /// A condition with a `?` for each value.
    pub fn many(&mut self, clause: &str, values: impl IntoIterator<Item = Value<'static>>) {
        self.clauses.push(clause.to_owned());
        self.parameters.extend(values);
    }

    /// A condition without parameters.
    pub fn plain(&mut self, clause: &str) {
        self.clauses.push(clause.to_owned());
    }

    /// From (inclusive) and to (exclusive).
    pub fn between(&mut self, column: &str, from: Option<&Timestamp>, to: Option<&Timestamp>) {
        self.when(from, &format!("{column} >= ?"));
        self.when(to, &format!("{column} < ?"));
    }

    /// The column is one of the values; none of them when there are none.
    pub fn any_of<T: Column>(&mut self, column: &str, values: &[T]) {
        self.clauses.push(format!("{column} IN (SELECT value FROM json_each(?))"));
        self.parameters.push(list(values));
    }

    /// `WHERE …`, or nothing.
    pub fn sql(&self) -> String {
        if self.clauses.is_empty() { String::new() } else { format!("WHERE {}", self.clauses.join(" AND ")) }
    }

    pub fn parameters(&self) -> &[Value<'static>] {
        &self.parameters
    }
}

/// A list as one parameter, so that the statement is the same for any number of values.
pub(crate) fn list<T: Column>(values: &[T]) -> Value<'static> {
    let values = values.iter().map(|value| json(&value.value())).collect();
    Value::Text(serde_json::Value::Array(values).to_string().into())
}

/// The type of a column of `t`; none of an expression that is more than a column.
fn column_type<R: Row>(expression: &str) -> Option<ColumnType> {
    let name = expression.strip_prefix("t.")?;
    R::TABLE.columns.iter().find(|column| column.name == name).map(|column| column.column_type)
}

impl Reader<'_> {
    /// A page of a table's rows: one statement, and one more for the count.
    pub(crate) fn page<R: Row>(&self, conditions: &Conditions, order: Order<'_>, page: &Page) -> Result<Listed<R>, ViewError> {
        let Order { name, by, descending, id } = order;
        let mut bounded = conditions.clone();
        for (cursor, forward) in [(&page.after, true), (&page.before, false)] {
            let Some(cursor) = cursor else { continue };
            let fits = |at: &str, value: &Value<'_>| column_type::<R>(at).is_none_or(|kind| value.column_type() == Some(kind));
            if cursor.sort != name || !fits(by, &cursor.key) || !fits(id, &cursor.id) {
                return Err(ViewError::BadCursor);
            }
            let comparison = if forward != descending { ">" } else { "<" };
            bounded.plain(&format!("({by}, {id}) {comparison} (?, ?)"));
            bounded.parameters.extend([cursor.key.clone(), cursor.id.clone()]);
        }
        let direction = if descending != page.from_end { "DESC" } else { "ASC" };
        let (columns, table, filter) = (R::TABLE.column_list("t."), R::TABLE.name, bounded.sql());
        let sql = format!(
            "SELECT {columns}, {by}, {id} FROM {table} AS t {filter} ORDER BY {by} {direction}, {id} {direction} LIMIT ?"
        );
        let limit = page.limit as usize;
        bounded.parameters.push(Value::Integer(i64::from(page.limit) + 1));
        let (key_at, id_at) = (R::TABLE.columns.len(), R::TABLE.columns.len() + 1);
        let mut items = Vec::with_capacity(limit.min(1_000) + 1);
        self.each(&sql, &bounded.parameters, |at| {
            let damaged =
                |error: crate::UnexpectedValue| ViewError::Damaged { table: table.to_owned(), reason: error.to_string() };
            let cursor = Cursor { sort: name.to_owned(), key: at(key_at), id: at(id_at) };
            items.push((cursor, R::read(at).map_err(damaged)?));
            Ok(())
        })?;
        let more = items.len() > limit;
        items.truncate(limit);
        if page.from_end {
            items.reverse();
        }
        let total = if page.count { Some(self.count::<R>(conditions)?) } else { None };
        let (has_next, has_previous) = if page.from_end { (page.before.is_some(), more) } else { (more, page.after.is_some()) };
        Ok(Listed { items, has_next, has_previous, total })
    }

    /// How many rows of a table meet the conditions.
    pub(crate) fn count<R: Row>(&self, conditions: &Conditions) -> Result<u64, ViewError> {
        let sql = format!("SELECT count(*) FROM {} AS t {}", R::TABLE.name, conditions.sql());
        Ok(u64::try_from(self.integer(&sql, conditions.parameters())?).unwrap_or(0))
    }

    /// The rows whose column is one of the values, in one statement.
    pub(crate) fn rows_of<R: Row, T: Column>(&self, column: &str, values: &[T], order: &str) -> Result<Vec<R>, ViewError> {
        let tail = format!("WHERE t.{column} IN (SELECT value FROM json_each(?)) ORDER BY {order}");
        self.rows::<R>(&tail, &[list(values)])
    }
}
