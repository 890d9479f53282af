//! Where a fold's rows come from and go to.

use crate::{Table, Value, ViewError};

/// Where rows are loaded from and written to: one generation of tables, within the transaction of a batch.
pub trait Session {
    /// The rows of these keys, those that there are, in any order.
    ///
    /// # Errors
    /// If the store fails.
    fn load(&self, table: &'static Table, keys: &[Vec<Value<'_>>]) -> Result<Vec<Vec<Value<'static>>>, ViewError>;

    /// Inserts each row or replaces the one with its key.
    ///
    /// # Errors
    /// If the store fails.
    fn upsert(&self, table: &'static Table, rows: &mut dyn Iterator<Item = Vec<Value<'_>>>) -> Result<(), ViewError>;

    /// Deletes the rows of these keys, those that there are.
    ///
    /// # Errors
    /// If the store fails.
    fn delete(&self, table: &'static Table, keys: &[Vec<Value<'_>>]) -> Result<(), ViewError>;

    /// Whether the store is a round trip away, so that rows are better fetched together.
    fn is_remote(&self) -> bool {
        false
    }
}

/// The session of rows that are nowhere but in memory.
#[derive(Debug)]
pub struct InMemory;

impl Session for InMemory {
    fn load(&self, _: &'static Table, _: &[Vec<Value<'_>>]) -> Result<Vec<Vec<Value<'static>>>, ViewError> {
        Ok(Vec::new())
    }
    fn upsert(&self, _: &'static Table, _: &mut dyn Iterator<Item = Vec<Value<'_>>>) -> Result<(), ViewError> {
        Ok(())
    }
    fn delete(&self, _: &'static Table, _: &[Vec<Value<'_>>]) -> Result<(), ViewError> {
        Ok(())
    }
}
