//! Pages of a sorted list with stable cursors: a cursor names the sort key and the id of a row, not a number of rows, so
//! rows that come and go between two requests neither repeat nor hide others.

use crate::{
    Column, Reader, Row, Table, Value, ViewError,
    conditions::{Conditions, Led, list},
};

/// The place of a row in a sorted list.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    sort: String,
    /// What the row has in the columns that the list is sorted by.
    keys: Vec<Value<'static>>,
}

impl Cursor {
    /// The cursor as text; opaque to clients.
    pub fn encode(&self) -> String {
        let keys = self.keys.iter().map(json);
        serde_json::Value::from_iter(std::iter::once(self.sort.as_str().into()).chain(keys)).to_string()
    }

    /// Reads a cursor.
    ///
    /// # Errors
    /// [`ViewError::BadCursor`] if it is not one.
    pub fn decode(text: &str) -> Result<Self, ViewError> {
        let parts: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|_| ViewError::BadCursor)?;
        let mut parts = parts.into_iter();
        let Some(serde_json::Value::String(sort)) = parts.next() else { return Err(ViewError::BadCursor) };
        Ok(Self { sort, keys: parts.map(from_json).collect::<Result<_, _>>()? })
    }
}

pub(crate) fn json(value: &Value<'_>) -> serde_json::Value {
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

/// How a list, or a part of it, is sorted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'s> {
    /// Tells the cursors of one sorting from those of another.
    pub name: &'s str,
    /// Columns of `t`, or of what is joined to it, that are never null and together unique. An index must have them.
    pub by: &'s [&'s str],
    pub descending: bool,
    /// Another table with at most one row `p` for each of `t`, and how it is joined: `JOIN … AS p ON …`.
    pub beside: Option<(&'static Table, &'s str)>,
    /// A condition that tells the rows of this part from those of the others.
    pub part: Option<&'s str>,
}

impl<'s> Order<'s> {
    /// A list sorted by its own columns.
    pub fn new(name: &'s str, by: &'s [&'s str], descending: bool) -> Self {
        Self { name, by, descending, beside: None, part: None }
    }

    fn has(&self, cursor: &Cursor) -> bool {
        cursor.sort == self.name
    }

    /// Whether a cursor has a value of the right type for each column.
    fn fits<R: Row>(&self, cursor: &Cursor) -> bool {
        let kind = |column: &str| {
            let (alias, name) = column.split_once('.')?;
            let table = if alias == "t" { R::TABLE } else { self.beside?.0 };
            table.columns.iter().find(|column| column.name == name).map(|column| column.column_type)
        };
        let fits = |(column, value): (&&str, &Value<'_>)| kind(column).is_some() && value.column_type() == kind(column);
        self.by.len() == cursor.keys.len() && self.by.iter().zip(&cursor.keys).all(fits)
    }
}

/// Declares how a list may be sorted: each way with its name in cursors and the columns of an index. The first is what a list
/// is sorted by unless asked otherwise.
macro_rules! sortings {
    ($(
        $(#[$meta:meta])*
        $name:ident { $($(#[$doc:meta])* $way:ident $text:literal: $($column:literal),+;)+ }
    )+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $way,)+
        }

        impl $name {
            /// Every way there is.
            pub const ALL: &[Self] = &[$(Self::$way),+];

            fn order(self, descending: bool) -> $crate::page::Order<'static> {
                match self {
                    $(Self::$way => $crate::page::Order::new($text, &[$($column),+], descending),)+
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::ALL[0]
            }
        }
    )+};
}

impl Reader<'_> {
    /// A page of a table's rows, in one statement and perhaps a few that count up to a bound; and one more for the count of
    /// the whole list.
    pub(crate) fn page<R: Row>(&self, conditions: &Conditions, order: Order<'_>, page: &Page) -> Result<Listed<R>, ViewError> {
        self.page_in_parts(conditions, &[order], page)
    }

    /// As [`Reader::page`], for a list whose parts follow one another, each with a sorting of its own.
    pub(crate) fn page_in_parts<R: Row>(
        &self,
        conditions: &Conditions,
        parts: &[Order<'_>],
        page: &Page,
    ) -> Result<Listed<R>, ViewError> {
        let place = |cursor: &Option<Cursor>| -> Result<Option<usize>, ViewError> {
            let Some(cursor) = cursor else { return Ok(None) };
            let part = parts.iter().position(|part| part.has(cursor) && part.fits::<R>(cursor));
            part.map(Some).ok_or(ViewError::BadCursor)
        };
        let (first, last) = (place(&page.after)?, place(&page.before)?);
        let lead = conditions.lead(self, R::TABLE.name)?;
        let limit = page.limit as usize;
        let mut items = Vec::with_capacity(limit.min(1_000) + 1);
        let mut wanted: Vec<_> = (first.unwrap_or(0)..=last.unwrap_or(parts.len() - 1)).collect();
        if page.from_end {
            wanted.reverse();
        }
        for number in wanted {
            let bounds = Bounds {
                after: page.after.as_ref().filter(|_| first == Some(number)),
                before: page.before.as_ref().filter(|_| last == Some(number)),
                from_end: page.from_end,
                limit: limit + 1 - items.len(),
            };
            if bounds.limit > 0 {
                self.read_part(&conditions.led(lead), &parts[number], bounds, &mut items)?;
            }
        }
        let more = items.len() > limit;
        items.truncate(limit);
        if page.from_end {
            items.reverse();
        }
        let total = if page.count { Some(self.count::<R>(conditions)?) } else { None };
        let (has_next, has_previous) = if page.from_end { (page.before.is_some(), more) } else { (more, page.after.is_some()) };
        Ok(Listed { items, has_next, has_previous, total })
    }

    fn read_part<R: Row>(
        &self,
        led: &[Led],
        order: &Order<'_>,
        bounds: Bounds<'_>,
        items: &mut Vec<(Cursor, R)>,
    ) -> Result<(), ViewError> {
        let (sql, parameters) = statement::<R>(led, order, bounds);
        let width = R::TABLE.columns.len();
        self.each(&sql, &parameters, |at| {
            let damaged =
                |error: crate::UnexpectedValue| ViewError::Damaged { table: R::TABLE.name.to_owned(), reason: error.to_string() };
            let keys = (width..width + order.by.len()).map(at).collect();
            items.push((Cursor { sort: order.name.to_owned(), keys }, R::read(at).map_err(damaged)?));
            Ok(())
        })
    }

    /// How many rows of a table meet the conditions.
    pub(crate) fn count<R: Row>(&self, conditions: &Conditions) -> Result<u64, ViewError> {
        self.connection.read_whole();
        let sql = format!("SELECT count(*) FROM {} AS t {}", R::TABLE.name, conditions.sql());
        Ok(u64::try_from(self.integer(&sql, &conditions.parameters())?).unwrap_or(0))
    }

    /// The rows whose column is one of the values, in one statement.
    pub(crate) fn rows_of<R: Row, T: Column>(&self, column: &str, values: &[T], order: &str) -> Result<Vec<R>, ViewError> {
        let tail = format!("WHERE t.{column} IN (SELECT value FROM json_each(?)) ORDER BY {order}");
        self.rows::<R>(&tail, &[list(values)])
    }
}

/// Which rows of a part are read.
#[derive(Clone, Copy)]
struct Bounds<'p> {
    after: Option<&'p Cursor>,
    before: Option<&'p Cursor>,
    from_end: bool,
    limit: usize,
}

/// The statement that reads rows of a part, each with the columns that it is sorted by.
fn statement<R: Row>(led: &[Led], order: &Order<'_>, bounds: Bounds<'_>) -> (String, Vec<Value<'static>>) {
    let by = order.by.join(", ");
    let direction = if order.descending != bounds.from_end { "DESC" } else { "ASC" };
    let sorted = |columns: &mut dyn Iterator<Item = String>| {
        columns.map(|column| format!("{column} {direction}")).collect::<Vec<_>>().join(", ")
    };
    let sorting = sorted(&mut order.by.iter().map(|column| (*column).to_owned()));
    let beside = order.beside.map_or("", |(_, join)| join);
    let limit = Value::Integer(i64::try_from(bounds.limit).unwrap_or(i64::MAX));
    let (mut selects, mut parameters) = (Vec::new(), Vec::new());
    for led in led {
        let mut led = led.clone();
        if let Some(part) = order.part {
            led.check(part);
        }
        for (cursor, forward) in [(bounds.after, true), (bounds.before, false)] {
            let Some(cursor) = cursor else { continue };
            let comparison = if forward != order.descending { ">" } else { "<" };
            let holes = vec!["?"; order.by.len()].join(", ");
            led.stretch(format!("({by}) {comparison} ({holes})"), cursor.keys.iter().cloned());
        }
        let (columns, table, filter) = (R::TABLE.column_list("t."), R::TABLE.name, led.sql());
        selects.push(format!("SELECT {columns}, {by} FROM {table} AS t {beside} {filter} ORDER BY {sorting} LIMIT ?"));
        parameters.append(&mut led.parameters);
        parameters.push(limit.clone());
    }
    if let [only] = &mut selects[..] {
        return (std::mem::take(only), parameters);
    }
    parameters.push(limit);
    let width = R::TABLE.columns.len();
    let merged = sorted(&mut (1..=order.by.len()).map(|number| (width + number).to_string()));
    let selects = selects.iter().enumerate().map(|(number, select)| format!("SELECT * FROM ({select}) AS value_{number}"));
    (format!("{} ORDER BY {merged} LIMIT ?", selects.collect::<Vec<_>>().join(" UNION ALL ")), parameters)
}
