//! The bounded cache of aggregate states that decisions read.
//!
//! It holds states as they will be once every batch on its way is durable. A stream with such a pending effect is held:
//! it goes back to what it was when the batch fails, and is not evicted, because the log does not know the effect yet.

use std::{cell::Cell, collections::HashMap};

use domain::{State, States};
use event_schemas::{CommerceEvent, Sequence, StreamId};
use event_store::Snapshot;

/// What an entry costs beside the bytes folded into it.
const ENTRY_BYTES: usize = 256;

/// One aggregate at hand.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub state: State,
    /// The last event folded in.
    pub sequence: Sequence,
    /// The sequence and size of the newest snapshot.
    pub snapshot: (Sequence, usize),
    /// Bytes folded in since the newest snapshot.
    pub unsaved_bytes: usize,
    /// How many batches on their way to disk have touched it.
    pending: u32,
    bytes: usize,
    used: Cell<u64>,
}

/// Aggregates by stream, up to a budget of bytes.
///
/// A state is counted as the size of its newest snapshot and the bytes of JSON that were folded into it since.
#[derive(Debug)]
pub(crate) struct Cache {
    entries: HashMap<StreamId, Entry>,
    bytes: usize,
    budget: usize,
    /// Counts what is read.
    tick: Cell<u64>,
    hits: Cell<u64>,
    /// When what was evicted last had been read, at the latest.
    forgotten: u64,
}

impl Cache {
    pub fn new(budget: usize) -> Self {
        Self { entries: HashMap::new(), bytes: 0, budget, tick: Cell::new(0), hits: Cell::new(0), forgotten: 0 }
    }

    /// How often a decision found what it read.
    pub fn hits(&self) -> u64 {
        self.hits.get()
    }

    /// What [`Self::was_read_since`] and [`Self::has_forgotten_since`] go by.
    pub fn now(&self) -> u64 {
        self.tick.get()
    }

    /// Whether a stream at hand was read since then.
    pub fn was_read_since(&self, stream: &StreamId, then: u64) -> bool {
        self.entries.get(stream).is_some_and(|entry| entry.used.get() > then)
    }

    /// Whether something that was read since then was evicted, so that nobody knows what it was.
    pub fn has_forgotten_since(&self, then: u64) -> bool {
        self.forgotten > then
    }

    pub fn get(&self, stream: &StreamId) -> Option<&Entry> {
        self.entries.get(stream)
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts an aggregate as it was loaded: `snapshot` is the sequence and size of the snapshot it came from.
    pub fn insert(&mut self, stream: StreamId, state: State, sequence: Sequence, snapshot: (Sequence, usize), folded: usize) {
        self.remove(&stream);
        let bytes = ENTRY_BYTES + stream.aggregate_id.len() + snapshot.1 + folded;
        self.bytes += bytes;
        let used = Cell::new(self.touch());
        self.entries.insert(stream, Entry { state, sequence, snapshot, unsaved_bytes: folded, pending: 0, bytes, used });
    }

    /// Folds an event that is about to be written, or was written by another node, and gives its sequence.
    pub fn evolve(&mut self, stream: &StreamId, event: &CommerceEvent, bytes: usize) -> Option<Sequence> {
        let entry = self.entries.get_mut(stream)?;
        entry.state.evolve(event);
        entry.sequence += 1;
        entry.bytes += bytes;
        entry.unsaved_bytes += bytes;
        self.bytes += bytes;
        Some(entry.sequence)
    }

    /// Holds a stream that a batch is about to touch, and gives it as it is now.
    pub fn hold(&mut self, stream: &StreamId) -> Option<Entry> {
        let entry = self.entries.get_mut(stream)?;
        let before = entry.clone();
        entry.pending += 1;
        Some(before)
    }

    /// The batch is durable: its hold on the stream ends.
    pub fn release(&mut self, stream: &StreamId) {
        if let Some(entry) = self.entries.get_mut(stream) {
            entry.pending = entry.pending.saturating_sub(1);
        }
    }

    /// The batch came to nothing: the stream is again what it was when [`Self::hold`] gave it.
    pub fn put_back(&mut self, stream: StreamId, before: Entry) {
        // What else held it then may have been released since.
        let pending = self.entries.get(&stream).map_or(0, |entry| entry.pending.saturating_sub(1));
        self.remove(&stream);
        self.bytes += before.bytes;
        self.entries.insert(stream, Entry { pending, ..before });
    }

    /// The states that have grown enough since their last snapshot, by `every` events and never by fewer bytes than were folded in
    /// since, so that a large state is not written again and again.
    pub fn take_snapshots<'a>(&mut self, touched: impl Iterator<Item = &'a StreamId>, every: u64) -> Vec<Snapshot> {
        let mut snapshots = Vec::new();
        for stream in touched {
            let Some(entry) = self.entries.get(stream) else { continue };
            let (saved, size) = entry.snapshot;
            if entry.sequence < saved + every || entry.unsaved_bytes < size {
                continue;
            }
            match serde_json::to_string(&entry.state) {
                Ok(state) => {
                    let (sequence, state_version, size) = (entry.sequence, entry.state.version(), state.len());
                    snapshots.push(Snapshot { stream: stream.clone(), sequence, state_version, state });
                    self.saved(stream, size);
                }
                Err(error) => tracing::warn!(%stream, %error, "a state cannot be saved"),
            }
        }
        snapshots
    }

    /// Notes that a snapshot is being written.
    fn saved(&mut self, stream: &StreamId, size: usize) {
        if let Some(entry) = self.entries.get_mut(stream) {
            entry.snapshot = (entry.sequence, size);
            entry.unsaved_bytes = 0;
            let bytes = ENTRY_BYTES + stream.aggregate_id.len() + size;
            self.bytes = self.bytes - entry.bytes + bytes;
            entry.bytes = bytes;
        }
    }

    pub fn remove(&mut self, stream: &StreamId) {
        if let Some(entry) = self.entries.remove(stream) {
            self.bytes -= entry.bytes;
        }
    }

    /// Evicts what was used least recently until a quarter of the budget is free, if the budget is exceeded.
    pub fn evict(&mut self) {
        if self.bytes <= self.budget {
            return;
        }
        let free = |entry: &Entry| entry.pending == 0;
        let mut by_use: Vec<(u64, usize)> = self.entries.values().filter(|e| free(e)).map(|e| (e.used.get(), e.bytes)).collect();
        by_use.sort_unstable();
        let mut surplus = self.bytes.saturating_sub(self.budget / 4 * 3);
        let oldest_kept = by_use.into_iter().find_map(|(used, bytes)| {
            let done = surplus == 0;
            surplus = surplus.saturating_sub(bytes);
            done.then_some(used)
        });
        let oldest_kept = oldest_kept.unwrap_or(u64::MAX);
        let mut forgotten = self.forgotten;
        self.entries.retain(|_, entry| {
            let kept = !free(entry) || entry.used.get() >= oldest_kept;
            if !kept {
                forgotten = forgotten.max(entry.used.get());
            }
            kept
        });
        self.forgotten = forgotten;
        self.bytes = self.entries.values().map(|entry| entry.bytes).sum();
    }

    fn touch(&self) -> u64 {
        self.tick.set(self.tick.get() + 1);
        self.tick.get()
    }
}

impl States for Cache {
    fn state(&self, stream: &StreamId) -> Option<&State> {
        let entry = self.entries.get(stream)?;
        entry.used.set(self.touch());
        self.hits.set(self.hits.get() + 1);
        Some(&entry.state)
    }

    fn version(&self, stream: &StreamId) -> Option<Sequence> {
        let entry = self.entries.get(stream)?;
        entry.used.set(self.touch());
        Some(entry.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(n: usize) -> StreamId {
        StreamId::new("order", n)
    }

    fn filled(budget: usize, count: usize) -> Cache {
        let mut cache = Cache::new(budget);
        for n in 0..count {
            cache.insert(stream(n), State::absent("order").unwrap(), 1, (0, 0), 1000);
        }
        cache
    }

    #[test]
    fn the_cache_stays_within_its_budget_and_keeps_what_was_used_last() {
        let mut cache = filled(100_000, 1000);
        assert!(cache.state(&stream(3)).is_some());
        cache.evict();
        assert!(cache.bytes() <= 75_000 + 2000);
        assert!(cache.get(&stream(3)).is_some() && cache.get(&stream(999)).is_some() && cache.get(&stream(4)).is_none());
    }

    #[test]
    fn a_stream_with_an_effect_on_its_way_is_never_evicted() {
        let mut cache = filled(100_000, 1);
        cache.hold(&stream(0)).unwrap();
        for n in 1..1000 {
            cache.insert(stream(n), State::absent("order").unwrap(), 1, (0, 0), 1000);
        }
        cache.evict();
        assert!(cache.get(&stream(0)).is_some());
    }

    #[test]
    fn a_stream_goes_back_to_what_it_was_batch_by_batch() {
        let mut cache = filled(100_000, 1);
        let bytes = cache.bytes();
        let first = cache.hold(&stream(0)).unwrap();
        cache.saved(&stream(0), 5000);
        let second = cache.hold(&stream(0)).unwrap();
        cache.saved(&stream(0), 9000);
        cache.put_back(stream(0), second);
        assert_eq!((cache.get(&stream(0)).unwrap().snapshot, cache.get(&stream(0)).unwrap().pending), ((1, 5000), 1));
        cache.put_back(stream(0), first);
        assert_eq!((cache.get(&stream(0)).unwrap().snapshot, cache.get(&stream(0)).unwrap().pending), ((0, 0), 0));
        assert_eq!(cache.bytes(), bytes);
    }

    #[test]
    fn a_stream_whose_first_batch_landed_is_not_held_once_the_second_was_put_back() {
        let mut cache = filled(100_000, 1);
        let _landed = cache.hold(&stream(0)).unwrap();
        let second = cache.hold(&stream(0)).unwrap();
        cache.release(&stream(0));
        cache.put_back(stream(0), second);
        assert_eq!(cache.get(&stream(0)).unwrap().pending, 0);
    }
}
