//! Time and ids come from outside, so that tests and simulations own both.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use chrono::TimeDelta;
use event_schemas::{Timestamp, to_micros};
use event_store::{Log, ReadError};
use uuid::Uuid;

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Now, in UTC, to the microsecond.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        to_micros(chrono::Utc::now())
    }
}

/// The clock that all nodes of a log share: this machine's, corrected by how far it is off from the log's own.
///
/// A node whose machine shows the wrong time would let reservations and deadlines expire early or late for everyone. It
/// must be synchronised again from time to time, because machines drift and are set.
#[derive(Debug)]
pub struct LogClock {
    offset_micros: AtomicI64,
}

impl LogClock {
    /// The clock of a log, synchronised.
    ///
    /// # Errors
    /// If the log cannot be reached.
    pub async fn of(log: &dyn Log) -> Result<Self, ReadError> {
        let clock = Self { offset_micros: AtomicI64::new(0) };
        clock.synchronise(log).await?;
        Ok(clock)
    }

    /// Asks the log for its time and corrects this clock. The answer is taken to be of the middle of the time it took.
    ///
    /// # Errors
    /// If the log cannot be reached; the clock then keeps its correction.
    pub async fn synchronise(&self, log: &dyn Log) -> Result<(), ReadError> {
        let (asked, answer, answered) = (SystemClock.now(), log.now().await?, SystemClock.now());
        let middle = asked + (answered - asked) / 2;
        self.offset_micros.store((answer - middle).num_microseconds().unwrap_or(0), Ordering::SeqCst);
        Ok(())
    }

    /// What has to be added to this machine's time to get the log's.
    pub fn offset(&self) -> TimeDelta {
        TimeDelta::microseconds(self.offset_micros.load(Ordering::SeqCst))
    }
}

impl Clock for LogClock {
    fn now(&self) -> Timestamp {
        let now = SystemClock.now();
        now.checked_add_signed(self.offset()).unwrap_or(now)
    }
}

/// A clock that stands still until it is set.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.timestamp_micros()))
    }

    /// Sets the time.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.timestamp_micros(), Ordering::SeqCst);
    }

    /// Moves the time on.
    pub fn advance(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_timestamp_micros(self.0.load(Ordering::SeqCst)).unwrap_or_default()
    }
}

/// Where new ids come from.
pub trait Ids: Send + Sync + 'static {
    /// A new id, never given before.
    fn next(&self) -> Uuid;
}

/// UUIDv7 from the machine's clock and random source: they sort by time, so new streams land together in an index.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemIds;

impl Ids for SystemIds {
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Ids that follow from a seed: the same run gives the same ids. UUIDv5 of a counter; for demos and tests only, since
/// anyone who knows the seed can guess them.
#[derive(Debug)]
pub struct SeededIds {
    namespace: Uuid,
    count: Mutex<u64>,
}

impl SeededIds {
    /// Ids that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { namespace: Uuid::from_u64_pair(0x6461_7962_6f6f_6b00, seed), count: Mutex::new(0) }
    }
}

impl Ids for SeededIds {
    fn next(&self) -> Uuid {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        Uuid::new_v5(&self.namespace, &count.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_ids_repeat_with_their_seed_and_never_within_it() {
        let (one, same, other) = (SeededIds::new(1), SeededIds::new(1), SeededIds::new(2));
        let (first, second) = (one.next(), one.next());
        assert_ne!(first, second);
        assert_eq!(first, same.next());
        assert_ne!(first, other.next());
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(Timestamp::default());
        clock.advance(TimeDelta::minutes(15));
        assert_eq!(clock.now().timestamp(), 900);
    }
}
