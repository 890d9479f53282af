//! The cached rows of one table, and how a fold changes them.
//!
//! In a store that is a round trip away, a row that is not here is not fetched at once: the fold of its event is given
//! up, the other events go on, and when the batch is through, all rows that were missed are fetched together and the
//! batch is folded again from where it began. So a batch costs as many round trips as one row leads to the next, whatever
//! the number of rows. A fold is pure, so folding it again does no harm.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
};

use crate::{Row, Session, Value, ViewError};

/// A row that was looked at: absent ones are remembered too.
struct Slot<R> {
    row: Option<R>,
    dirty: bool,
}

pub(crate) struct CachedTable<R: Row> {
    slots: BTreeMap<R::Key, Slot<R>>,
    dirty: Vec<R::Key>,
    /// What each dirty row was before, or that nothing was known of it; kept only over a remote store.
    before: Vec<(R::Key, Option<Slot<R>>)>,
    /// Rows that a fold missed and that are to be fetched.
    missed: BTreeSet<R::Key>,
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

pub(crate) trait Cached: Send {
    fn flush(&mut self, session: &dyn Session) -> Result<(), ViewError>;
    /// Undoes what was changed since the last flush.
    fn roll_back(&mut self);
    fn has_missed(&self) -> bool;
    /// Fetches the rows that were missed.
    fn fetch(&mut self, session: &dyn Session) -> Result<(), ViewError>;
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
        self.before.clear();
        let mut deleted = Vec::new();
        for key in &dirty {
            let Some(slot) = self.slots.get_mut(key) else { continue };
            slot.dirty = false;
            if slot.row.is_none() {
                deleted.push(R::key_values(key));
            }
        }
        if !deleted.is_empty() {
            session.delete(R::TABLE, &deleted)?;
        }
        let mut rows = dirty.iter().filter_map(|key| self.slots.get(key)?.row.as_ref()).map(R::values).peekable();
        if rows.peek().is_some() { session.upsert(R::TABLE, &mut rows) } else { Ok(()) }
    }
    fn roll_back(&mut self) {
        self.dirty.clear();
        for (key, before) in self.before.drain(..) {
            match before {
                Some(slot) => self.slots.insert(key, slot),
                None => self.slots.remove(&key),
            };
        }
    }
    fn has_missed(&self) -> bool {
        !self.missed.is_empty()
    }
    fn fetch(&mut self, session: &dyn Session) -> Result<(), ViewError> {
        if self.missed.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = self.missed.iter().map(|key| R::key_values(key)).collect();
        for values in session.load(R::TABLE, &keys)? {
            let row = read_row::<R>(&values)?;
            self.slots.insert(row.key(), Slot { row: Some(row), dirty: false });
        }
        for key in std::mem::take(&mut self.missed) {
            self.slots.entry(key).or_insert(Slot { row: None, dirty: false });
        }
        Ok(())
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
        self.before.clear();
        self.missed.clear();
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

pub(crate) fn broken<R: Row>() -> ViewError {
    ViewError::Unavailable(format!("a row just put into {} is gone", R::TABLE.name))
}

impl<R: Row> CachedTable<R> {
    /// A table of which the store may hold rows, or begins empty.
    pub fn over(begins_empty: bool) -> Self {
        let elsewhere = if begins_empty { Elsewhere::None } else { Elsewhere::Any };
        Self { slots: BTreeMap::new(), dirty: Vec::new(), before: Vec::new(), missed: BTreeSet::new(), elsewhere }
    }

    /// The rows held, in key order.
    pub fn held(&self) -> impl Iterator<Item = &R> {
        self.slots.values().filter_map(|slot| slot.row.as_ref())
    }

    /// The row of a key.
    pub fn get(&mut self, session: &dyn Session, key: &R::Key) -> Result<Option<&R>, ViewError> {
        Ok(self.slot(session, key)?.row.as_ref())
    }

    fn slot(&mut self, session: &dyn Session, key: &R::Key) -> Result<&mut Slot<R>, ViewError> {
        if !self.slots.contains_key(key) {
            let may_exist = self.elsewhere.may_hold(key);
            if may_exist && session.is_remote() {
                self.missed.insert(key.clone());
                return Err(ViewError::Unavailable(format!("a row of {} is not fetched yet", R::TABLE.name)));
            }
            let loaded = if may_exist { session.load(R::TABLE, &[R::key_values(key)])?.pop() } else { None };
            let row = loaded.map(|values| read_row::<R>(&values)).transpose()?;
            self.slots.insert(key.clone(), Slot { row, dirty: false });
        }
        self.slots.get_mut(key).ok_or_else(broken::<R>)
    }

    /// The row of a key to be changed in place; one made by `new` if there is none and `new` makes one.
    pub fn edit(
        &mut self,
        session: &dyn Session,
        key: &R::Key,
        new: impl FnOnce() -> Option<R>,
    ) -> Result<Option<&mut R>, ViewError> {
        let slot = self.slot(session, key)?;
        let made = if slot.row.is_none() { new() } else { None };
        if !slot.dirty && (slot.row.is_some() || made.is_some()) {
            slot.dirty = true;
            let before = session.is_remote().then(|| Slot { row: slot.row.clone(), dirty: false });
            self.before.extend(before.map(|before| (key.clone(), Some(before))));
            self.dirty.push(key.clone());
        }
        let slot = self.slots.get_mut(key).ok_or_else(broken::<R>)?;
        if made.is_some() {
            slot.row = made;
        }
        Ok(slot.row.as_mut())
    }

    pub fn set(&mut self, session: &dyn Session, key: R::Key, row: Option<R>) {
        let slot = Slot { row, dirty: true };
        let was_dirty = self.slots.get(&key).is_some_and(|held| held.dirty);
        let before = self.slots.insert(key.clone(), slot);
        if was_dirty {
            return;
        }
        if session.is_remote() {
            self.before.push((key.clone(), before));
        }
        self.dirty.push(key);
    }
}

fn read_row<R: Row>(values: &[Value<'static>]) -> Result<R, ViewError> {
    let at = |column: usize| values.get(column).cloned().unwrap_or(Value::Null);
    R::read(&at).map_err(|error| ViewError::Damaged { table: R::TABLE.name.to_owned(), reason: error.to_string() })
}
