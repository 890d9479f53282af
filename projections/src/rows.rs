//! The rows of one projection as its fold sees them: a write-back cache that loads on a miss and is flushed once a batch.

use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use event_schemas::Position;

use crate::{Row, Table, Value, ViewError};

/// Where rows are loaded from and written to: one generation of tables, within the transaction of a batch.
pub trait Session {
    /// The values of one row, if there is one.
    ///
    /// # Errors
    /// If the store fails.
    fn load(&self, table: &'static Table, key: &[Value<'_>]) -> Result<Option<Vec<Value<'static>>>, ViewError>;

    /// Inserts each row or replaces the one with its key.
    ///
    /// # Errors
    /// If the store fails.
    fn upsert(&self, table: &'static Table, rows: &mut dyn Iterator<Item = Vec<Value<'_>>>) -> Result<(), ViewError>;

    /// Deletes the row of a key, if there is one.
    ///
    /// # Errors
    /// If the store fails.
    fn delete(&self, table: &'static Table, key: &[Value<'_>]) -> Result<(), ViewError>;
}

/// The session of rows that are nowhere but in memory.
#[derive(Debug)]
pub struct InMemory;

impl Session for InMemory {
    fn load(&self, _: &'static Table, _: &[Value<'_>]) -> Result<Option<Vec<Value<'static>>>, ViewError> {
        Ok(None)
    }
    fn upsert(&self, _: &'static Table, _: &mut dyn Iterator<Item = Vec<Value<'_>>>) -> Result<(), ViewError> {
        Ok(())
    }
    fn delete(&self, _: &'static Table, _: &[Value<'_>]) -> Result<(), ViewError> {
        Ok(())
    }
}

/// A row that was looked at: absent ones are remembered too.
struct Slot<R> {
    row: Option<R>,
    dirty: bool,
}

struct CachedTable<R: Row> {
    slots: BTreeMap<R::Key, Slot<R>>,
    dirty: Vec<R::Key>,
    elsewhere: Elsewhere<R::Key>,
}

/// Which rows the store may hold that are not here.
enum Elsewhere<K> {
    /// None: the table began empty under this cache.
    None,
    /// Only rows up to this key: the table began empty, and this is the highest key that was dropped. Keys mostly grow
    /// with time, so most new rows need no look at the store.
    UpTo(K),
    /// Any.
    Any,
}

impl<K: Ord> Elsewhere<K> {
    fn may_hold(&self, key: &K) -> bool {
        match self {
            Self::None => false,
            Self::UpTo(highest) => key <= highest,
            Self::Any => true,
        }
    }

    /// Rows up to this key were dropped from the cache, and are in the store.
    fn dropped(&mut self, highest: K) {
        match self {
            Self::None => *self = Self::UpTo(highest),
            Self::UpTo(before) if *before < highest => *before = highest,
            Self::UpTo(_) | Self::Any => {}
        }
    }
}

trait Cached: Send {
    fn flush(&mut self, session: &dyn Session) -> Result<(), ViewError>;
    /// Drops rows that the store holds as well.
    fn drop_written(&mut self);
    /// Drops everything, written or not, and assumes nothing of the store.
    fn forget(&mut self);
    fn len(&self) -> usize;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<R: Row> Cached for CachedTable<R> {
    fn flush(&mut self, session: &dyn Session) -> Result<(), ViewError> {
        // In key order, neighbours in the table are written one after the other.
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        for key in &dirty {
            let Some(slot) = self.slots.get_mut(key) else { continue };
            slot.dirty = false;
            if slot.row.is_none() {
                session.delete(R::TABLE, &R::key_values(key))?;
            }
        }
        let rows = dirty.iter().filter_map(|key| self.slots.get(key)?.row.as_ref());
        session.upsert(R::TABLE, &mut rows.map(R::values))
    }
    fn drop_written(&mut self) {
        if let Some((highest, _)) = self.slots.pop_last() {
            self.elsewhere.dropped(highest);
        }
        self.slots.clear();
    }
    fn forget(&mut self) {
        self.slots.clear();
        self.dirty.clear();
        self.elsewhere = Elsewhere::Any;
    }
    fn len(&self) -> usize {
        self.slots.len()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl<R: Row> CachedTable<R> {
    fn slot(&mut self, session: &dyn Session, key: &R::Key) -> Result<&mut Slot<R>, ViewError> {
        if !self.slots.contains_key(key) {
            let may_exist = self.elsewhere.may_hold(key);
            let loaded = if may_exist { session.load(R::TABLE, &R::key_values(key))? } else { None };
            let row = loaded.map(|values| read_row::<R>(&values)).transpose()?;
            self.slots.insert(key.clone(), Slot { row, dirty: false });
        }
        let gone = || ViewError::Unavailable(format!("a row just put into {} is gone", R::TABLE.name));
        self.slots.get_mut(key).ok_or_else(gone)
    }

    /// The row of a key to be changed in place; one made by `new` if there is none and `new` makes one.
    fn edit(
        &mut self,
        session: &dyn Session,
        key: &R::Key,
        new: impl FnOnce() -> Option<R>,
    ) -> Result<Option<&mut R>, ViewError> {
        let slot = self.slot(session, key)?;
        if slot.row.is_none() {
            slot.row = new();
        }
        if slot.row.is_none() || slot.dirty {
            return Ok(self.slots.get_mut(key).and_then(|slot| slot.row.as_mut()));
        }
        slot.dirty = true;
        self.dirty.push(key.clone());
        Ok(self.slots.get_mut(key).and_then(|slot| slot.row.as_mut()))
    }
}

pub(crate) fn read_row<R: Row>(values: &[Value<'static>]) -> Result<R, ViewError> {
    let at = |column: usize| values.get(column).cloned().unwrap_or(Value::Null);
    R::read(&at).map_err(|error| ViewError::Damaged { table: R::TABLE.name.to_owned(), reason: error.to_string() })
}

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
        table.map_or_else(Vec::new, |table| table.slots.values().filter_map(|slot| slot.row.clone()).collect())
    }

    fn table<R: Row>(&mut self) -> Result<&mut CachedTable<R>, ViewError> {
        let id = TypeId::of::<R>();
        let index = match self.tables.iter().position(|(held, _)| *held == id) {
            Some(index) => index,
            None => {
                let elsewhere = if self.fresh { Elsewhere::None } else { Elsewhere::Any };
                let table = CachedTable::<R> { slots: BTreeMap::new(), dirty: Vec::new(), elsewhere };
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
    position: Position,
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("cache", &self.cache).field("position", &self.position).finish()
    }
}

impl<'a> Rows<'a> {
    /// The rows as the event at `position` finds them.
    pub fn new(cache: &'a mut RowCache, session: &'a dyn Session, position: Position) -> Self {
        Self { cache, session, position }
    }

    /// The row of a key.
    ///
    /// # Errors
    /// If the store fails.
    pub fn get<R: Row>(&mut self, key: &R::Key) -> Result<Option<&R>, ViewError> {
        Ok(self.cache.table::<R>()?.slot(self.session, key)?.row.as_ref())
    }

    /// The row of a key, to be changed in place; it is stamped with the event's position.
    ///
    /// # Errors
    /// If the store fails.
    pub fn edit<R: Row>(&mut self, key: &R::Key) -> Result<Option<&mut R>, ViewError> {
        let mut row = self.cache.table::<R>()?.edit(self.session, key, || None)?;
        if let Some(row) = &mut row {
            row.stamp(self.position);
        }
        Ok(row)
    }

    /// The row of a key, to be changed in place; made by `new` if there is none.
    ///
    /// # Errors
    /// If the store fails.
    pub fn edit_or<R: Row>(&mut self, key: &R::Key, new: impl FnOnce() -> R) -> Result<&mut R, ViewError> {
        let row = self.cache.table::<R>()?.edit(self.session, key, || Some(new()))?;
        let row = row.ok_or_else(|| ViewError::Unavailable(format!("a row just put into {} is gone", R::TABLE.name)))?;
        row.stamp(self.position);
        Ok(row)
    }

    /// Puts a row in place of the one with its key, if there is one.
    ///
    /// # Errors
    /// Only if the cache itself is broken.
    pub fn put<R: Row>(&mut self, mut row: R) -> Result<(), ViewError> {
        row.stamp(self.position);
        let key = row.key();
        self.set(key, Some(row))
    }

    /// Deletes the row of a key, if there is one.
    ///
    /// # Errors
    /// Only if the cache itself is broken.
    pub fn delete<R: Row>(&mut self, key: &R::Key) -> Result<(), ViewError> {
        self.set::<R>(key.clone(), None)
    }

    fn set<R: Row>(&mut self, key: R::Key, row: Option<R>) -> Result<(), ViewError> {
        let CachedTable { slots, dirty, .. } = self.cache.table::<R>()?;
        match slots.entry(key) {
            Entry::Occupied(mut held) => {
                if !held.get().dirty {
                    dirty.push(held.key().clone());
                }
                held.insert(Slot { row, dirty: true });
            }
            Entry::Vacant(free) => {
                dirty.push(free.key().clone());
                free.insert(Slot { row, dirty: true });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeMap};

    use super::*;

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

    /// A store in memory that counts how often it is asked.
    #[derive(Default)]
    struct Shelf {
        rows: RefCell<BTreeMap<String, Vec<Value<'static>>>>,
        loads: RefCell<u32>,
    }

    impl Session for Shelf {
        fn load(&self, _: &'static Table, key: &[Value<'_>]) -> Result<Option<Vec<Value<'static>>>, ViewError> {
            *self.loads.borrow_mut() += 1;
            Ok(self.rows.borrow().get(&format!("{key:?}")).cloned())
        }
        fn upsert(&self, _: &'static Table, rows: &mut dyn Iterator<Item = Vec<Value<'_>>>) -> Result<(), ViewError> {
            for row in rows {
                let row: Vec<_> = row.into_iter().map(Value::into_owned).collect();
                self.rows.borrow_mut().insert(format!("{:?}", &row[..1]), row);
            }
            Ok(())
        }
        fn delete(&self, _: &'static Table, key: &[Value<'_>]) -> Result<(), ViewError> {
            self.rows.borrow_mut().remove(&format!("{key:?}"));
            Ok(())
        }
    }

    fn count(cache: &mut RowCache, shelf: &Shelf, number: i64) {
        let mut rows = Rows::new(cache, shelf, 1);
        rows.edit_or(&(number,), || Tally { number, times: 0, position: 0 }).unwrap().times += 1;
    }

    fn times(cache: &mut RowCache, shelf: &Shelf, number: i64) -> Option<i64> {
        Rows::new(cache, shelf, 1).get::<Tally>(&(number,)).unwrap().map(|tally| tally.times)
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
        Rows::new(&mut cache, &shelf, 2).delete::<Tally>(&(7,)).unwrap();
        cache.forget();
        cache.flush(&shelf).unwrap();
        assert_eq!((times(&mut cache, &shelf, 1), times(&mut cache, &shelf, 2)), (Some(1), None));
    }

    #[test]
    fn a_deleted_row_is_gone_from_the_store_and_may_come_again() {
        let (mut cache, shelf) = (RowCache::over_empty_tables(), Shelf::default());
        count(&mut cache, &shelf, 1);
        cache.flush(&shelf).unwrap();
        Rows::new(&mut cache, &shelf, 2).delete::<Tally>(&(1,)).unwrap();
        cache.flush(&shelf).unwrap();
        assert!(shelf.rows.borrow().is_empty() && times(&mut cache, &shelf, 1).is_none());
        count(&mut cache, &shelf, 1);
        cache.flush(&shelf).unwrap();
        assert_eq!(shelf.rows.borrow().len(), 1);
    }
}
