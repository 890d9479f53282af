//! The rows of one projection as its fold sees them: a write-back cache that loads on a miss and is flushed once a batch.

use std::{any::TypeId, fmt};

use crate::{
    Row, Session, Stamp, ViewError,
    cache::{Cached, CachedTable, broken},
};

/// The cached rows of one generation of a projection, kept from batch to batch.
#[derive(Default)]
pub struct RowCache {
    tables: Vec<(TypeId, Box<dyn Cached>)>,
    /// Whether the generation began empty under this cache.
    fresh: bool,
}

impl fmt::Debug for RowCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowCache").field("rows", &self.len()).finish()
    }
}

impl RowCache {
    /// A cache over tables that hold nothing yet.
    pub fn over_empty_tables() -> Self {
        Self { tables: Vec::new(), fresh: true }
    }

    /// How many rows are held.
    pub fn len(&self) -> usize {
        self.tables.iter().map(|(_, table)| table.len()).sum()
    }

    /// Whether no row is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes what has changed since the last flush.
    ///
    /// # Errors
    /// If the store fails; the cache is then of no more use and must be forgotten.
    pub fn flush(&mut self, session: &dyn Session) -> Result<(), ViewError> {
        self.tables.iter_mut().try_for_each(|(_, table)| table.flush(session))
    }

    /// Whether rows were missed since rows were last fetched.
    pub(crate) fn has_missed(&self) -> bool {
        self.tables.iter().any(|(_, table)| table.has_missed())
    }

    /// Undoes what was changed since the last flush, if rows were missed, and fetches those; whether there were any.
    ///
    /// # Errors
    /// If the store fails.
    pub fn fetch_missed(&mut self, session: &dyn Session) -> Result<bool, ViewError> {
        if !self.has_missed() {
            return Ok(false);
        }
        self.tables.iter_mut().for_each(|(_, table)| table.roll_back());
        self.tables.iter_mut().try_for_each(|(_, table)| table.fetch(session))?;
        Ok(true)
    }

    /// Drops all rows, written or not.
    pub fn forget(&mut self) {
        self.fresh = false;
        self.tables.iter_mut().for_each(|(_, table)| table.forget());
    }

    /// Drops the rows of every table that holds more than `most`; they must have been flushed.
    pub fn shrink(&mut self, most: usize) {
        self.tables.iter_mut().filter(|(_, table)| table.len() > most).for_each(|(_, table)| table.drop_written());
    }

    /// The rows held of one table, in key order.
    pub fn held<R: Row>(&self) -> Vec<R> {
        let table = self.tables.iter().find(|(id, _)| *id == TypeId::of::<R>());
        let table = table.and_then(|(_, table)| table.as_any().downcast_ref::<CachedTable<R>>());
        table.map_or_else(Vec::new, |table| table.held().cloned().collect())
    }

    fn table<R: Row>(&mut self) -> Result<&mut CachedTable<R>, ViewError> {
        let id = TypeId::of::<R>();
        let index = match self.tables.iter().position(|(held, _)| *held == id) {
            Some(index) => index,
            None => {
                let table = CachedTable::<R>::over(self.fresh);
                self.tables.push((id, Box::new(table)));
                self.tables.len() - 1
            }
        };
        let table = self.tables[index].1.as_any_mut().downcast_mut();
        table.ok_or_else(|| ViewError::Unavailable(format!("the cache of {} is of another type", R::TABLE.name)))
    }
}

/// The rows of one projection, while it folds one event.
pub struct Rows<'a> {
    cache: &'a mut RowCache,
    session: &'a dyn Session,
    stamp: Stamp<'a>,
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("cache", &self.cache).field("stamp", &self.stamp).finish()
    }
}

impl<'a> Rows<'a> {
    /// The rows as an event finds them.
    pub fn new(cache: &'a mut RowCache, session: &'a dyn Session, stamp: Stamp<'a>) -> Self {
        Self { cache, session, stamp }
    }

    /// The row of a key.
    ///
    /// # Errors
    /// If the store fails.
    pub fn get<R: Row>(&mut self, key: &R::Key) -> Result<Option<&R>, ViewError> {
        self.cache.table::<R>()?.get(self.session, key)
    }

    /// The row of a key, to be changed in place; it is stamped with the event's position.
    ///
    /// # Errors
    /// If the store fails.
    pub fn edit<R: Row>(&mut self, key: &R::Key) -> Result<Option<&mut R>, ViewError> {
        let mut row = self.cache.table::<R>()?.edit(self.session, key, || None)?;
        if let Some(row) = &mut row {
            row.stamp(self.stamp);
        }
        Ok(row)
    }

    /// The row of a key, to be changed in place; made by `new` if there is none.
    ///
    /// # Errors
    /// If the store fails.
    pub fn edit_or<R: Row>(&mut self, key: &R::Key, new: impl FnOnce() -> R) -> Result<&mut R, ViewError> {
        let row = self.cache.table::<R>()?.edit(self.session, key, || Some(new()))?;
        let row = row.ok_or_else(broken::<R>)?;
        row.stamp(self.stamp);
        Ok(row)
    }

    /// Puts a row in place of the one with its key, if there is one.
    ///
    /// # Errors
    /// Only if the cache itself is broken.
    pub fn put<R: Row>(&mut self, mut row: R) -> Result<(), ViewError> {
        row.stamp(self.stamp);
        let key = row.key();
        self.cache.table::<R>()?.set(self.session, key, Some(row));
        Ok(())
    }

    /// Deletes the row of a key, if there is one.
    ///
    /// # Errors
    /// Only if the cache itself is broken.
    pub fn delete<R: Row>(&mut self, key: &R::Key) -> Result<(), ViewError> {
        self.cache.table::<R>()?.set(self.session, key.clone(), None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeMap};

    use super::*;
    use crate::{Table, Value};

    row! {
        /// A tally.
        Tally in "tallies" {
            key {
                /// What is counted.
                number: i64,
            }
            /// How often.
            times: i64,
        }
    }

    fn at(position: u64) -> Stamp<'static> {
        Stamp { position, aggregate_type: "tally", sequence: position }
    }

    /// A store in memory that counts how often it is asked.
    #[derive(Default)]
    struct Shelf {
        rows: RefCell<BTreeMap<String, Vec<Value<'static>>>>,
        loads: RefCell<u32>,
        remote: bool,
    }

    impl Session for Shelf {
        fn load(&self, _: &'static Table, keys: &[Vec<Value<'_>>]) -> Result<Vec<Vec<Value<'static>>>, ViewError> {
            *self.loads.borrow_mut() += 1;
            Ok(keys.iter().filter_map(|key| self.rows.borrow().get(&format!("{key:?}")).cloned()).collect())
        }
        fn upsert(&self, _: &'static Table, rows: &mut dyn Iterator<Item = Vec<Value<'_>>>) -> Result<(), ViewError> {
            for row in rows {
                let row: Vec<_> = row.into_iter().map(Value::into_owned).collect();
                self.rows.borrow_mut().insert(format!("{:?}", &row[..1]), row);
            }
            Ok(())
        }
        fn delete(&self, _: &'static Table, keys: &[Vec<Value<'_>>]) -> Result<(), ViewError> {
            keys.iter().for_each(|key| drop(self.rows.borrow_mut().remove(&format!("{key:?}"))));
            Ok(())
        }
        fn is_remote(&self) -> bool {
            self.remote
        }
    }

    fn count(cache: &mut RowCache, shelf: &Shelf, number: i64) {
        let mut rows = Rows::new(cache, shelf, at(1));
        rows.edit_or(&(number,), || Tally { number, times: 0, position: 0 }).unwrap().times += 1;
    }

    fn times(cache: &mut RowCache, shelf: &Shelf, number: i64) -> Option<i64> {
        Rows::new(cache, shelf, at(1)).get::<Tally>(&(number,)).unwrap().map(|tally| tally.times)
    }

    #[test]
    fn rows_that_were_dropped_are_loaded_again_and_new_ones_beyond_them_are_not_looked_for() {
        let (mut cache, shelf) = (RowCache::over_empty_tables(), Shelf::default());
        for number in [1, 3, 5] {
            count(&mut cache, &shelf, number);
        }
        assert_eq!(*shelf.loads.borrow(), 0);
        cache.flush(&shelf).unwrap();
        cache.shrink(0);
        assert!(cache.is_empty());
        count(&mut cache, &shelf, 9);
        assert_eq!(*shelf.loads.borrow(), 0);
        count(&mut cache, &shelf, 3);
        assert_eq!((times(&mut cache, &shelf, 3), times(&mut cache, &shelf, 4), *shelf.loads.borrow()), (Some(2), None, 2));
        cache.flush(&shelf).unwrap();
        cache.shrink(0);
        assert_eq!(times(&mut cache, &shelf, 9), Some(1));
    }

    #[test]
    fn a_cache_that_forgets_what_was_not_written_sees_the_store_as_it_was() {
        let (mut cache, shelf) = (RowCache::over_empty_tables(), Shelf::default());
        count(&mut cache, &shelf, 1);
        cache.flush(&shelf).unwrap();
        count(&mut cache, &shelf, 1);
        Rows::new(&mut cache, &shelf, at(2)).delete::<Tally>(&(7,)).unwrap();
        cache.forget();
        cache.flush(&shelf).unwrap();
        assert_eq!((times(&mut cache, &shelf, 1), times(&mut cache, &shelf, 2)), (Some(1), None));
    }

    #[test]
    fn a_deleted_row_is_gone_from_the_store_and_may_come_again() {
        let (mut cache, shelf) = (RowCache::over_empty_tables(), Shelf::default());
        count(&mut cache, &shelf, 1);
        cache.flush(&shelf).unwrap();
        Rows::new(&mut cache, &shelf, at(2)).delete::<Tally>(&(1,)).unwrap();
        cache.flush(&shelf).unwrap();
        assert!(shelf.rows.borrow().is_empty() && times(&mut cache, &shelf, 1).is_none());
        count(&mut cache, &shelf, 1);
        cache.flush(&shelf).unwrap();
        assert_eq!(shelf.rows.borrow().len(), 1);
    }

    #[test]
    fn rows_missed_in_a_remote_store_are_fetched_together_and_the_batch_begins_again() {
        let (mut cache, mut shelf) = (RowCache::over_empty_tables(), Shelf::default());
        for number in [1, 2, 3] {
            count(&mut cache, &shelf, number);
        }
        cache.flush(&shelf).unwrap();
        cache.forget();
        shelf.remote = true;
        let mut rounds = 0;
        loop {
            for number in [1, 2, 7, 1] {
                let mut rows = Rows::new(&mut cache, &shelf, at(2));
                rows.put(Tally { number: 9, times: 5, position: 0 }).unwrap();
                let edited = rows.edit_or(&(number,), || Tally { number, times: 0, position: 0 });
                edited.map(|tally| tally.times += 1).unwrap_or_default();
            }
            rounds += 1;
            if !cache.fetch_missed(&shelf).unwrap() {
                break;
            }
        }
        assert_eq!((rounds, *shelf.loads.borrow()), (2, 1));
        cache.flush(&shelf).unwrap();
        let held: Vec<_> = cache.held::<Tally>().iter().map(|tally| (tally.number, tally.times)).collect();
        assert_eq!(held, [(1, 3), (2, 2), (7, 1), (9, 5)]);
        assert_eq!(shelf.rows.borrow().len(), 5);
    }
}
