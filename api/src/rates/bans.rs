//! Bans: who goes on against its limits is refused everything for a while, and for longer each time.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::rates::CallerKey;

/// How many breaches within [`WINDOW`] bring a ban. Those of one second count as one: a page that asks for much at once and
/// then waits as it is told is no attacker.
const BREACHES: u8 = 10;
const WINDOW: Duration = Duration::from_secs(60);
const APART: Duration = Duration::from_secs(1);
/// How long a ban is: the first, the second, and so on.
const MINUTES: [u64; 4] = [1, 5, 30, 60];
/// After what time without a breach the next ban is a first one again.
const FORGIVEN: Duration = Duration::from_secs(24 * 60 * 60);
/// The same when very many callers are known.
const FORGIVEN_IN_A_CROWD: Duration = Duration::from_secs(10 * 60);
/// How many callers with breaches are known; what comes on top is limited, but not banned.
const KNOWN: usize = 50_000;

#[derive(Debug)]
struct Record {
    /// Breaches since `since`.
    breaches: u8,
    since: Instant,
    last: Instant,
    bans: usize,
    until: Option<Instant>,
}

/// Who has gone against its limits, and who is banned.
#[derive(Debug, Default)]
pub(super) struct Bans {
    records: Mutex<HashMap<CallerKey, Record>>,
    /// How many records there are, so that nobody waits for the lock while there is none.
    known: AtomicUsize,
    imposed: AtomicU64,
}

impl Bans {
    /// How long a caller is still banned.
    pub(super) fn left(&self, key: CallerKey, now: Instant) -> Option<Duration> {
        if self.known.load(Relaxed) == 0 {
            return None;
        }
        let left = self.lock().get(&key)?.until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Counts a breach: the ban that it brings, if any.
    pub(super) fn breach(&self, key: CallerKey, now: Instant) -> Option<Duration> {
        let mut records = self.lock();
        if records.len() >= KNOWN && !records.contains_key(&key) {
            return None;
        }
        let new = || Record { breaches: 0, since: now, last: now, bans: 0, until: None };
        let record = records.entry(key).or_insert_with(new);
        let is_new_second = record.breaches == 0 || now.saturating_duration_since(record.last) >= APART;
        if now.saturating_duration_since(record.since) >= WINDOW {
            (record.breaches, record.since) = (0, now);
        }
        if is_new_second || record.breaches == 0 {
            (record.breaches, record.last) = (record.breaches + 1, now);
        }
        let ban = (record.breaches >= BREACHES).then(|| {
            let minutes = MINUTES[record.bans.min(MINUTES.len() - 1)];
            let ban = Duration::from_secs(minutes * 60);
            (record.breaches, record.bans, record.until) = (0, record.bans + 1, Some(now + ban));
            self.imposed.fetch_add(1, Relaxed);
            ban
        });
        self.known.store(records.len(), Relaxed);
        ban
    }

    /// Forgets those whose last breach is long ago.
    pub(super) fn sweep(&self, now: Instant) {
        if self.known.load(Relaxed) == 0 {
            return;
        }
        let mut records = self.lock();
        let forgiven = if records.len() > KNOWN / 2 { FORGIVEN_IN_A_CROWD } else { FORGIVEN };
        records.retain(|_, record| {
            let end = record.until.unwrap_or(record.last).max(record.last);
            // Without a ban, only the last minute matters.
            let kept = if record.bans == 0 { WINDOW } else { forgiven };
            now.saturating_duration_since(end) < kept
        });
        self.known.store(records.len(), Relaxed);
    }

    /// How many bans there were.
    pub(super) fn imposed(&self) -> u64 {
        self.imposed.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallerKey, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::AddressKey;

    fn key(last: u32) -> CallerKey {
        CallerKey::Address(AddressKey::of(std::net::Ipv4Addr::from_bits(last).into()))
    }

    #[test]
    fn ten_breaches_in_a_minute_bring_a_ban_and_each_is_longer() {
        let (bans, mut now) = (Bans::default(), Instant::now());
        for minutes in [1, 5, 30, 60, 60] {
            for _ in 0..9 {
                assert_eq!(bans.breach(key(1), now), None);
                now += APART;
            }
            assert_eq!(bans.left(key(1), now), None);
            let ban = Duration::from_secs(minutes * 60);
            assert_eq!(bans.breach(key(1), now), Some(ban));
            assert_eq!((bans.left(key(1), now), bans.left(key(2), now)), (Some(ban), None));
            now += ban;
            assert_eq!(bans.left(key(1), now), None);
        }
        assert_eq!(bans.imposed(), 5);
    }

    #[test]
    fn a_burst_within_a_second_and_breaches_now_and_then_are_no_reason() {
        let (bans, mut now) = (Bans::default(), Instant::now());
        for _ in 0..1_000 {
            assert_eq!(bans.breach(key(1), now), None, "a burst");
        }
        for _ in 0..100 {
            now += Duration::from_secs(7);
            assert_eq!(bans.breach(key(1), now), None, "now and then");
        }
    }

    #[test]
    fn what_is_long_ago_is_forgotten_and_the_memory_is_bounded() {
        let (bans, now) = (Bans::default(), Instant::now());
        for second in 0..10 {
            bans.breach(key(1), now + APART * second);
        }
        for caller in 2..60_000 {
            bans.breach(key(caller), now);
        }
        assert_eq!(bans.known.load(Relaxed), KNOWN);
        bans.sweep(now + Duration::from_secs(200));
        assert_eq!(bans.known.load(Relaxed), 1, "who was banned is known for longer");
        bans.sweep(now + FORGIVEN + Duration::from_secs(200));
        assert_eq!(bans.known.load(Relaxed), 0);
        assert_eq!(bans.left(key(1), now), None);
    }
}
