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

    /// Inserts the row or replaces the one with its key.
    ///
    /// # Errors
    /// If the store fails.
    fn upsert(&self, table: &'static Table, values: &[Value<'_>]) -> Result<(), ViewError>;

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
    fn upsert(&self, _: &'static Table, _: &[Value<'_>]) -> Result<(), ViewError> {
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
    /// Whether every row of the table is here, so that a miss needs no load.
    whole: bool,
}

trait Cached: Send {
    fn flush(&mut self, session: &dyn Session) -> Result<(), ViewError>;
    fn forget(&mut self);
    fn len(&self) -> usize;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<R: Row> Cached for CachedTable<R> {
    fn flush(&mut self, session: &dyn Session) -> Result<(), ViewError> {
        // In key order, neighbours in the table are written one after the other.
        self.dirty.sort_unstable();
        for key in self.dirty.drain(..) {
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            slot.dirty = false;
            match &slot.row {
                Some(row) => session.upsert(R::TABLE, &row.values())?,
                None => session.delete(R::TABLE, &R::key_values(&key))?,
            }
        }
        Ok(())
    }
    fn forget(&mut self) {
        self.slots.clear();
        self.dirty.clear();
        self.whole = false;
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
    fn slot<'c>(
        slots: &'c mut BTreeMap<R::Key, Slot<R>>,
        whole: bool,
        session: &dyn Session,
        key: &R::Key,
    ) -> Result<&'c mut Slot<R>, ViewError> {
        match slots.entry(key.clone()) {
            Entry::Occupied(held) => Ok(held.into_mut()),
            Entry::Vacant(free) => {
                let loaded = if whole { None } else { session.load(R::TABLE, &R::key_values(key))? };
                let row = loaded.map(|values| read_row::<R>(&values)).transpose()?;
                Ok(free.insert(Slot { row, dirty: false }))
            }
        }
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
        self.tables.iter_mut().filter(|(_, table)| table.len() > most).for_each(|(_, table)| table.forget());
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
                let table = CachedTable::<R> { slots: BTreeMap::new(), dirty: Vec::new(), whole: self.fresh };
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
        let table = self.cache.table::<R>()?;
        Ok(CachedTable::<R>::slot(&mut table.slots, table.whole, self.session, key)?.row.as_ref())
    }

    /// The row of a key, to be changed in place; it is stamped with the event's position.
    ///
    /// # Errors
    /// If the store fails.
    pub fn edit<R: Row>(&mut self, key: &R::Key) -> Result<Option<&mut R>, ViewError> {
        let position = self.position;
        let table = self.cache.table::<R>()?;
        let slot = CachedTable::<R>::slot(&mut table.slots, table.whole, self.session, key)?;
        let Some(row) = slot.row.as_mut() else { return Ok(None) };
        if !slot.dirty {
            slot.dirty = true;
            table.dirty.push(key.clone());
        }
        row.stamp(position);
        Ok(Some(row))
    }

    /// The row of a key, to be changed in place; made by `new` if there is none.
    ///
    /// # Errors
    /// If the store fails.
    pub fn edit_or<R: Row>(&mut self, key: &R::Key, new: impl FnOnce() -> R) -> Result<&mut R, ViewError> {
        if self.get::<R>(key)?.is_none() {
            self.put(new())?;
        }
        let missing = || ViewError::Unavailable(format!("a row just put into {} is gone", R::TABLE.name));
        self.edit::<R>(key)?.ok_or_else(missing)
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
