//! How a store carries out what is read: the plan of each statement.

use std::cell::RefCell;

use crate::{Reader, Value, ViewError, Views, store::Dialect};

/// A statement that was read with, and the store's plan for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The statement, with a `?` for each parameter.
    pub sql: String,
    /// The lines of the plan, in the store's own words.
    pub plan: Vec<String>,
}

impl Views {
    /// Runs `read` on this thread as [`Views::read_blocking`] does, and gives the plan of each of its statements, made for
    /// the parameters that it had.
    ///
    /// # Errors
    /// Those of `read`, and if the store cannot be read.
    pub fn explain_blocking<T>(
        &self,
        read: impl FnOnce(&Reader<'_>) -> Result<T, ViewError>,
    ) -> Result<(T, Vec<Explained>), ViewError> {
        self.read_blocking(|reader| {
            let explained = RefCell::default();
            let result = read(&Reader { explained: Some(&explained), ..*reader })?;
            Ok((result, explained.take()))
        })
    }
}

impl Reader<'_> {
    /// Notes the plan of a statement.
    pub(crate) fn explain(&self, sql: &str, parameters: &[Value<'_>]) -> Result<(), ViewError> {
        let Some(explained) = self.explained else { return Ok(()) };
        let (verb, column) = match self.dialect() {
            Dialect::Sqlite => ("EXPLAIN QUERY PLAN", 3),
            Dialect::Postgres => ("EXPLAIN", 0),
        };
        let mut plan = Vec::new();
        self.connection.each(&format!("{verb} {sql}"), parameters, &mut |at| {
            if let Value::Text(line) = at(column) {
                plan.push(line.into_owned());
            }
            Ok(())
        })?;
        explained.borrow_mut().push(Explained { sql: sql.to_owned(), plan });
        Ok(())
    }
}
