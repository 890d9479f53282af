//! What the engine counts about itself, without locks.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A number that only grows, or is set.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Values counted by power of two: bucket `n` holds values below `2^n` that fit no smaller bucket.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; 32],
    sum: Counter,
}

impl Histogram {
    pub(crate) fn record(&self, value: u64) {
        let bucket = (u64::BITS - value.leading_zeros()).min(31) as usize;
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.add(value);
    }

    pub(crate) fn record_micros(&self, duration: Duration) {
        self.record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many values were at most each bound, as (inclusive bound, count so far), then the sum of all values.
    pub fn cumulative(&self) -> (Vec<(u64, u64)>, u64) {
        let mut count = 0;
        let bucket = |(bits, bucket): (u32, &AtomicU64)| {
            count += bucket.load(Ordering::Relaxed);
            ((1 << bits) - 1, count)
        };
        ((0..).zip(&self.buckets).map(bucket).collect(), self.sum.get())
    }
}

/// What the engine has done since it started.
#[derive(Debug, Default)]
pub struct EngineMetrics {
    /// Commands that were carried out.
    pub accepted: Counter,
    /// Commands that a rule refused.
    pub refused: Counter,
    /// Commands that were recognised by their idempotency key.
    pub repeated: Counter,
    /// Commands that failed because of storage.
    pub faulted: Counter,
    /// Commands turned away because too many were waiting.
    pub overloaded: Counter,
    /// Events written.
    pub events: Counter,
    /// Appends that found the head moved by another node.
    pub head_moved: Counter,
    /// Reads of decisions that found the aggregate at hand.
    pub cache_hits: Counter,
    /// Aggregates loaded from the log because they were not at hand.
    pub cache_misses: Counter,
    /// Bytes of aggregate state at hand.
    pub cache_bytes: Counter,
    /// Commands waiting when the last batch was closed.
    pub queued: Counter,
    /// Events per append.
    pub batch_events: Histogram,
    /// Microseconds per append, durable.
    pub append_micros: Histogram,
}
