//! Time and ids come from outside, so that tests and simulations own both.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use event_schemas::{Timestamp, to_micros};
use event_store::{Log, ReadError};
use tokio::time::Instant;
use uuid::{NoContext, Uuid};

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

/// An answer of the log that was under way for longer does not tell the time.
const LATE: Duration = Duration::from_secs(1);
/// How often a clock that has not been set yet asks.
const FIRST_ATTEMPTS: usize = 5;

/// The clock that all nodes of a log share: set by the log's own, and counted on from there by a clock that only goes forward.
///
/// A node whose machine shows the wrong time, or whose machine is set while it runs, would let reservations and deadlines
/// expire early or late for everyone. It must be synchronised again from time to time, because machines drift and sleep.
#[derive(Debug)]
pub struct LogClock {
    counted_from: Instant,
    /// The log's time at that instant, in microseconds.
    set_to: AtomicI64,
}

impl LogClock {
    /// The clock of a log, synchronised.
    ///
    /// # Errors
    /// If the log cannot be reached, or takes too long to tell the time, several times over.
    pub async fn of(log: &dyn Log) -> Result<Self, ReadError> {
        let clock = Self { counted_from: Instant::now(), set_to: AtomicI64::new(SystemClock.now().timestamp_micros()) };
        // The first question may have to wait for a connection.
        for _ in 1..FIRST_ATTEMPTS {
            if clock.synchronise(log).await.is_ok() {
                return Ok(clock);
            }
        }
        clock.synchronise(log).await?;
        Ok(clock)
    }

    /// Asks the log for its time and sets this clock. The answer is taken to be of the middle of the time it took.
    ///
    /// # Errors
    /// If the log cannot be reached, or its answer takes longer than a second; the clock then goes on as it was set.
    pub async fn synchronise(&self, log: &dyn Log) -> Result<(), ReadError> {
        let asked = self.counted();
        let answer = log.now().await?;
        let answered = self.counted();
        let took = answered - asked;
        if took > LATE {
            return Err(ReadError::Unavailable(format!("it took {} ms to tell the time", took.as_millis())));
        }
        self.set_to.store(answer.timestamp_micros().saturating_sub(micros(asked + took / 2)), Ordering::SeqCst);
        Ok(())
    }

    /// What has to be added to this machine's time to get the log's.
    pub fn offset(&self) -> TimeDelta {
        self.now() - SystemClock.now()
    }

    fn counted(&self) -> Duration {
        self.counted_from.elapsed()
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

impl Clock for LogClock {
    fn now(&self) -> Timestamp {
        let now = self.set_to.load(Ordering::SeqCst).saturating_add(micros(self.counted()));
        Timestamp::from_timestamp_micros(now).unwrap_or_else(|| SystemClock.now())
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
///
/// The 74 bits behind the millisecond are random in each. A counter there, as is usual so that ids of one millisecond sort
/// too, would let whoever has an id guess its neighbours, and the id of a guest's cart or order is the right to it.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemIds;

impl Ids for SystemIds {
    fn next(&self) -> Uuid {
        Uuid::new_v7(uuid::Timestamp::now(NoContext))
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
    fn ids_of_one_millisecond_do_not_follow_from_each_other() {
        let ids: Vec<Uuid> = (0..10_000).map(|_| SystemIds.next()).collect();
        let millisecond = |id: &Uuid| id.as_u128() >> 80;
        let neighbours = || ids.windows(2).filter(|pair| millisecond(&pair[0]) == millisecond(&pair[1]));
        assert!(neighbours().count() > 100, "many are of one millisecond");
        let distances: std::collections::BTreeSet<_> =
            neighbours().map(|pair| pair[1].as_u128().wrapping_sub(pair[0].as_u128())).collect();
        assert_eq!(distances.len(), neighbours().count(), "no step repeats");
        assert!(neighbours().any(|pair| pair[1] < pair[0]), "they do not count up");
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(Timestamp::default());
        clock.advance(TimeDelta::minutes(15));
        assert_eq!(clock.now().timestamp(), 900);
    }
}
