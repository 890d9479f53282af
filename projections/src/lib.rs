//! The views: read models folded from the log, and the runner that keeps them.
//!
//! A view is one file in `views/`: its tables, its fold, its reads. [`Runner::start`] follows a log into [`Views`];
//! [`Views::read`] gives a [`Reader`], and every read of every view is a method of it.

#[macro_use]
mod value;
#[macro_use]
mod row;
#[macro_use]
mod page;
mod as_of;
mod batch;
mod cache;
mod checkpoint;
mod conditions;
mod diff;
mod digest;
mod error;
mod explain;
mod freshness;
mod postgres;
mod projection;
mod reader;
mod rebuild;
mod rows;
mod runner;
mod session;
mod sqlite;
mod store;
mod views;
mod writer;

pub use as_of::{AsOfError, fold_in_memory};
pub use diff::{RowDifference, TableDiff, ViewsDiff, diff};
pub use digest::{TableDigest, digests};
pub use error::ViewError;
pub use explain::Explained;
pub use freshness::{Freshness, ProjectionState, ProjectionStatus};
pub use page::{Cursor, Listed, Page};
pub use projection::{Fact, FoldError, Projection};
pub use reader::{NotYet, Reader, Views};
pub use rebuild::{RebuildProgress, RebuildReport, RebuiltView, rebuild};
pub use row::{ColumnInfo, Row, Stamp, Table};
pub use rows::{RowCache, Rows};
pub use runner::Runner;
pub use session::{InMemory, Session};
pub use value::{Column, ColumnType, Meaning, UnexpectedValue, Value};
pub use views::*;
