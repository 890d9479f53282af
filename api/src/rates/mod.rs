//! How often who may ask: one bucket per address, account or API key, and bans for those who go on regardless.

mod bans;
mod rate;
mod told;

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use event_schemas::{AccountId, ApiKeyId};
use governor::{
    RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};

use self::bans::Bans;
pub use self::rate::{InvalidRate, Rate, RateLimits};
pub(crate) use self::told::{Told, append, whole_seconds};
use crate::net::AddressKey;

/// Callers whose buckets are not full that are told apart; beyond them, addresses count by larger networks.
const CALLERS: usize = 100_000;

/// What a limit goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CallerKey {
    /// An address, for callers without an account or a key.
    Address(AddressKey),
    /// An address that signs in. A ban of it is of nothing else: others may have the same address.
    SignIn(AddressKey),
    /// An account.
    Account(AccountId),
    /// An API key.
    ApiKey(ApiKeyId),
}

type Buckets = RateLimiter<CallerKey, DashMapStateStore<CallerKey>, DefaultClock, StateInformationMiddleware>;

/// One limit: a name, a rate, and a bucket for each caller.
struct Limit {
    name: &'static str,
    rate: Rate,
    buckets: Buckets,
    /// Whether there were too many callers to tell apart when it was last swept.
    crowded: AtomicBool,
}

impl Limit {
    fn new(name: &'static str, rate: Rate) -> Self {
        let buckets = RateLimiter::dashmap(rate.quota()).with_middleware::<StateInformationMiddleware>();
        Self { name, rate, buckets, crowded: AtomicBool::new(false) }
    }

    fn is_crowded(&self) -> bool {
        self.crowded.load(Relaxed)
    }

    /// Takes `times` from a caller's bucket: what is left, or how long to wait.
    fn take(&self, key: CallerKey, times: NonZeroU32) -> (Told, Option<Duration>) {
        let key = match key {
            CallerKey::Address(address) if self.is_crowded() => CallerKey::Address(address.around()),
            CallerKey::SignIn(address) if self.is_crowded() => CallerKey::SignIn(address.around()),
            key => key,
        };
        let told = |left, resets_in| Told { name: self.name, rate: self.rate, left, resets_in };
        match self.buckets.check_key_n(&key, times) {
            Ok(Ok(state)) => {
                let left = state.remaining_burst_capacity();
                let used = self.rate.requests().saturating_sub(left);
                (told(left, self.rate.interval() * used), None)
            }
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(self.buckets.clock().now());
                (told(0, wait), Some(wait))
            }
            // More at once than the bucket can ever hold.
            Err(_) => (told(0, self.rate.window()), Some(self.rate.window())),
        }
    }

    /// Forgets callers whose buckets are full again.
    fn sweep(&self) {
        self.buckets.retain_recent();
        let crowded = self.buckets.len() > CALLERS;
        if self.crowded.swap(crowded, Relaxed) != crowded && crowded {
            tracing::warn!(limit = self.name, "too many callers to tell apart; addresses are limited by larger networks");
        }
        if crowded {
            return;
        }
        self.buckets.shrink_to_fit();
    }
}

/// A request that came too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// The limit, or `banned`.
    pub(crate) limit: &'static str,
    /// How long to wait.
    pub(crate) wait: Duration,
    /// The ban that this one brought about.
    pub(crate) banned_for: Option<Duration>,
}

/// What a ban is called where a limit is named.
const BANNED: &str = "banned";

/// All limits of the shop.
pub(crate) struct Rates {
    address: Limit,
    account: Limit,
    api_key: Limit,
    sign_in: Limit,
    bans: Bans,
    refused: AtomicU64,
}

impl Rates {
    /// Nobody has asked yet.
    pub(crate) fn new(limits: &RateLimits) -> Self {
        Self {
            address: Limit::new("address", limits.address),
            account: Limit::new("account", limits.account),
            api_key: Limit::new("api-key", limits.api_key),
            sign_in: Limit::new("sign-in", limits.sign_in),
            bans: Bans::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// Counts a request; what the caller is told of its limit is added to `told`.
    ///
    /// # Errors
    /// [`TooMany`]; it counts towards a ban if the caller may be banned.
    pub(crate) fn request(&self, key: CallerKey, may_ban: bool, told: &mut Vec<Told>) -> Result<(), TooMany> {
        self.banned(key)?;
        let limit = match key {
            CallerKey::Address(_) => &self.address,
            CallerKey::SignIn(_) => &self.sign_in,
            CallerKey::Account(_) => &self.account,
            CallerKey::ApiKey(_) => &self.api_key,
        };
        self.take(limit, key, NonZeroU32::MIN, may_ban, told)
    }

    /// Counts attempts to sign in or to register, which go by the address, whoever asks. A ban that they bring refuses further
    /// attempts only.
    ///
    /// # Errors
    /// As [`Rates::request`].
    pub(crate) fn sign_in(
        &self,
        address: AddressKey,
        times: NonZeroU32,
        may_ban: bool,
        told: &mut Vec<Told>,
    ) -> Result<(), TooMany> {
        let key = CallerKey::SignIn(address);
        self.banned(key)?;
        self.take(&self.sign_in, key, times, may_ban, told)
    }

    /// Refuses whoever is banned.
    ///
    /// # Errors
    /// [`TooMany`] with what is left of the ban.
    pub(crate) fn banned(&self, key: CallerKey) -> Result<(), TooMany> {
        match self.bans.left(key, Instant::now()) {
            Some(wait) => {
                self.refused.fetch_add(1, Relaxed);
                Err(TooMany { limit: BANNED, wait, banned_for: None })
            }
            None => Ok(()),
        }
    }

    fn take(&self, limit: &Limit, key: CallerKey, times: NonZeroU32, may_ban: bool, told: &mut Vec<Told>) -> Result<(), TooMany> {
        let (left, wait) = limit.take(key, times);
        told.push(left);
        let Some(wait) = wait else { return Ok(()) };
        self.refused.fetch_add(1, Relaxed);
        // In a crowd, an address is refused for what its neighbours asked.
        let is_its_own = !limit.is_crowded() || !matches!(key, CallerKey::Address(_) | CallerKey::SignIn(_));
        let banned_for = if may_ban && is_its_own { self.bans.breach(key, Instant::now()) } else { None };
        Err(TooMany { limit: limit.name, wait: banned_for.unwrap_or(wait), banned_for })
    }

    /// Forgets what need not be known any more. Called every few seconds.
    pub(crate) fn sweep(&self) {
        for limit in [&self.address, &self.account, &self.api_key, &self.sign_in] {
            limit.sweep();
        }
        self.bans.sweep(Instant::now());
    }

    /// How many requests were refused since the process began, and how many bans there were.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.refused.load(Relaxed), self.bans.imposed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(rate: &str) -> Rates {
        let rate: Rate = rate.parse().unwrap();
        Rates::new(&RateLimits { address: rate, account: rate, api_key: rate, sign_in: rate })
    }

    fn address(text: &str) -> AddressKey {
        AddressKey::of(text.parse().unwrap())
    }

    #[test]
    fn each_caller_has_a_bucket_of_its_own_and_is_told_what_is_left() {
        let (rates, mut told) = (rates("3/h"), Vec::new());
        let one = CallerKey::Address(address("192.0.2.1"));
        for _ in 0..3 {
            rates.request(one, true, &mut told).unwrap();
        }
        assert_eq!(told.iter().map(|told| told.left).collect::<Vec<_>>(), [2, 1, 0]);
        let too_many = rates.request(one, true, &mut told).unwrap_err();
        assert_eq!((too_many.limit, too_many.banned_for), ("address", None));
        assert!(too_many.wait > Duration::from_secs(1_000) && too_many.wait <= Duration::from_secs(1_200), "{too_many:?}");
        rates.request(CallerKey::Address(address("192.0.2.2")), true, &mut told).unwrap();
        rates.sign_in(address("192.0.2.1"), NonZeroU32::MIN, true, &mut told).unwrap();
    }

    #[test]
    fn several_attempts_in_one_request_count_as_several_and_more_than_the_bucket_holds_are_refused() {
        let (rates, mut told) = (rates("3/h"), Vec::new());
        let times = |times| NonZeroU32::new(times).unwrap();
        assert_eq!(rates.sign_in(address("192.0.2.1"), times(4), true, &mut told).unwrap_err().wait, Duration::from_secs(3_600));
        rates.sign_in(address("192.0.2.1"), times(2), true, &mut told).unwrap();
        assert!(rates.sign_in(address("192.0.2.1"), times(2), true, &mut told).is_err());
        rates.sign_in(address("192.0.2.1"), times(1), true, &mut told).unwrap();
    }

    /// All breaches of a minute but the last one.
    fn nearly_banned(rates: &Rates, key: CallerKey) {
        let begun = Instant::now() - Duration::from_secs(30);
        for second in 0..9 {
            assert_eq!(rates.bans.breach(key, begun + Duration::from_secs(second)), None);
        }
    }

    #[test]
    fn a_ban_for_attempts_to_sign_in_is_of_such_attempts_only() {
        let (rates, mut told, address) = (rates("1/h"), Vec::new(), address("192.0.2.1"));
        nearly_banned(&rates, CallerKey::SignIn(address));
        rates.sign_in(address, NonZeroU32::MIN, true, &mut told).unwrap();
        let too_many = rates.sign_in(address, NonZeroU32::MIN, true, &mut told).unwrap_err();
        assert_eq!(too_many.banned_for, Some(Duration::from_secs(60)));
        assert_eq!(rates.sign_in(address, NonZeroU32::MIN, true, &mut told).unwrap_err().limit, BANNED);
        rates.banned(CallerKey::Address(address)).unwrap();
        rates.request(CallerKey::Address(address), true, &mut told).unwrap();
    }

    #[test]
    fn nobody_is_banned_for_what_a_crowd_asks() {
        let (rates, mut told) = (rates("1/h"), Vec::new());
        let [one, neighbour] = ["192.0.2.1", "192.0.9.9"].map(|text| CallerKey::Address(address(text)));
        nearly_banned(&rates, one);
        rates.address.crowded.store(true, Relaxed);
        rates.request(neighbour, true, &mut told).unwrap();
        assert_eq!(rates.request(one, true, &mut told).unwrap_err().banned_for, None);
        rates.address.crowded.store(false, Relaxed);
        rates.request(one, true, &mut told).unwrap();
        assert_eq!(rates.request(one, true, &mut told).unwrap_err().banned_for, Some(Duration::from_secs(60)));
    }

    #[test]
    fn who_is_refused_and_comes_again_is_banned_unless_it_may_not_be() {
        let rates = rates("1/h");
        let now = Instant::now();
        let [stranger, neighbour] = ["192.0.2.1", "10.0.0.1"].map(|text| CallerKey::Address(address(text)));
        for second in 0..10 {
            rates.bans.breach(stranger, now + Duration::from_secs(second));
        }
        assert_eq!(rates.banned(stranger).unwrap_err().limit, BANNED);
        assert_eq!(rates.request(stranger, true, &mut Vec::new()).unwrap_err().limit, BANNED);
        rates.request(neighbour, false, &mut Vec::new()).unwrap();
        for _ in 0..100 {
            assert_eq!(rates.request(neighbour, false, &mut Vec::new()).unwrap_err().banned_for, None);
        }
        assert_eq!(rates.counts().1, 1);
    }
}
