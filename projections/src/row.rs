//! A read-model table, defined once: the row as a struct, the table as data, and the mapping between them.

use std::fmt;

use event_schemas::{Position, Sequence};

use crate::{ColumnType, Meaning, UnexpectedValue, Value};

/// A column of a read-model table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub column_type: ColumnType,
    /// What its values mean.
    pub meaning: Meaning,
    /// Whether it may be null.
    pub nullable: bool,
    /// What it means.
    pub about: &'static str,
}

/// A read-model table.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// The name that readers use.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// All columns, the key's first.
    pub columns: &'static [ColumnInfo],
    /// How many columns the key has.
    pub key_columns: usize,
    /// The columns of each further index, in order, such as `customer_id, placed_at`.
    pub indexes: &'static [&'static str],
}

impl Table {
    /// The key's columns.
    pub fn key(&self) -> &'static [ColumnInfo] {
        &self.columns[..self.key_columns]
    }

    /// The names of all columns, separated by commas, each with an optional prefix such as `p.`.
    pub(crate) fn column_list(&self, prefix: &str) -> String {
        join(self.columns, |column| format!("{prefix}{}", column.name))
    }
}

pub(crate) fn join(columns: &[ColumnInfo], text: impl Fn(&ColumnInfo) -> String) -> String {
    columns.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// A row of a read-model table. Declared with `row!`, never by hand.
pub trait Row: Clone + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The key, as a tuple.
    type Key: Ord + Clone + Send + fmt::Debug + 'static;

    /// The table.
    const TABLE: &'static Table;

    /// The row's key.
    fn key(&self) -> Self::Key;

    /// The values of a key, in column order.
    fn key_values(key: &Self::Key) -> Vec<Value<'_>>;

    /// The values of all columns, in order.
    fn values(&self) -> Vec<Value<'_>>;

    /// Reads a row, given the value of each column by its number.
    ///
    /// # Errors
    /// If a value is not what its column says.
    fn read<'v>(at: &dyn Fn(usize) -> Value<'v>) -> Result<Self, UnexpectedValue>;

    /// Notes the event that made the row what it is.
    fn stamp(&mut self, stamp: Stamp<'_>);
}

/// What rows note of the event that changes them.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// Its place in the log.
    pub position: Position,
    /// The type of the aggregate that it happened to.
    pub aggregate_type: &'a str,
    /// Its place in that aggregate's stream.
    pub sequence: Sequence,
}

/// Declares a row and its table:
/// `row! { /// doc  Order in "orders" { key { /// doc  order_id: OrderId, } /// doc  number: String, } index "number"; }`.
///
/// Every table also gets `position`, the log position of the last event that changed the row. With `version of "order";` behind
/// its columns the rows are one aggregate each, and get `version`, the sequence of the last event of that aggregate itself.
macro_rules! row {
    (
        $(#[doc = $about:literal])+
        $name:ident in $table:literal {
            key { $($(#[doc = $key_about:literal])+ $key:ident : $key_type:ty,)+ }
            $($(#[doc = $column_about:literal])+ $column:ident : $type:ty,)*
        }
        $(version of $aggregate:literal;)?
        $(index $index:literal;)*
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[doc = $key_about])+ pub $key: $key_type,)+
            $($(#[doc = $column_about])+ pub $column: $type,)*
            $(
                #[doc = concat!("How many events have happened to the ", $aggregate, " itself.")]
                pub version: event_schemas::Sequence,
            )?
            /// The log position of the last event that changed the row.
            pub position: event_schemas::Position,
        }

        impl $crate::Row for $name {
            type Key = ($($key_type,)+);

            const TABLE: &'static $crate::Table = &$crate::Table {
                name: $table,
                about: concat!($($about),+),
                columns: &[
                    $($crate::ColumnInfo {
                        name: stringify!($key),
                        column_type: <$key_type as $crate::Column>::TYPE,
                        meaning: <$key_type as $crate::Column>::MEANING,
                        nullable: false,
                        about: concat!($($key_about),+),
                    },)+
                    $($crate::ColumnInfo {
                        name: stringify!($column),
                        column_type: <$type as $crate::Column>::TYPE,
                        meaning: <$type as $crate::Column>::MEANING,
                        nullable: <$type as $crate::Column>::NULLABLE,
                        about: concat!($($column_about),+),
                    },)*
                    $($crate::ColumnInfo {
                        name: "version",
                        column_type: $crate::ColumnType::Integer,
                        meaning: $crate::Meaning::Number,
                        nullable: false,
                        about: concat!(" How many events have happened to the ", $aggregate, " itself."),
                    },)?
                    $crate::ColumnInfo {
                        name: "position",
                        column_type: $crate::ColumnType::Integer,
                        meaning: $crate::Meaning::Number,
                        nullable: false,
                        about: " The log position of the last event that changed the row.",
                    },
                ],
                key_columns: [$(stringify!($key)),+].len(),
                indexes: &[$($index),*],
            };

            fn key(&self) -> Self::Key { ($(self.$key.clone(),)+) }

            fn key_values(key: &Self::Key) -> Vec<$crate::Value<'_>> {
                let ($($key,)+) = key;
                vec![$($crate::Column::value($key)),+]
            }

            fn values(&self) -> Vec<$crate::Value<'_>> {
                vec![
                    $($crate::Column::value(&self.$key),)+
                    $($crate::Column::value(&self.$column),)*
                    $({ let _: &str = $aggregate; $crate::Column::value(&self.version) },)?
                    $crate::Column::value(&self.position),
                ]
            }

            fn read<'v>(at: &dyn Fn(usize) -> $crate::Value<'v>) -> Result<Self, $crate::UnexpectedValue> {
                let mut column = 0;
                let mut next = || { column += 1; at(column - 1) };
                Ok(Self {
                    $($key: $crate::Column::read(next())?,)+
                    $($column: $crate::Column::read(next())?,)*
                    $(version: { let _: &str = $aggregate; $crate::Column::read(next())? },)?
                    position: $crate::Column::read(next())?,
                })
            }

            fn stamp(&mut self, stamp: $crate::Stamp<'_>) {
                self.position = stamp.position;
                $(if stamp.aggregate_type == $aggregate { self.version = stamp.sequence; })?
            }
        }
    };
}
