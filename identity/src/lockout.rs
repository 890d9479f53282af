//! Lockout: how often may be guessed.
//!
//! Per account and network address 5 failures, then 15 minutes of nothing. Per account 50 failures an hour from all addresses
//! together. A device that the account knows, by a token from an earlier login, has a counter of its own instead of both: so a
//! stranger who guesses cannot lock out the owner.
//!
//! An attempt is counted *before* it is tried and taken off again when it succeeds, so that a thousand guesses at once are
//! counted as a thousand. It is counted by e-mail address, known or not, so that a lock says nothing about whether there is
//! such an account. For the same reason a lock is no event: the log would move by one more for an address that has an account.
//! Its failures are counted there. A death after the counting leaves one failure too many, until the counter ends.

use std::net::IpAddr;

use chrono::TimeDelta;
use event_schemas::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use vault::{Entry, VaultError};

use crate::{Accounts, IdentityError, IdentityRefusal, Origin, credentials::Credentials, email};

/// How much is too much.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    /// So often is allowed; the next is not.
    most: u32,
    /// Within so many minutes since the first.
    minutes: i64,
}

/// Guesses of one address, or of one known device.
pub(crate) const SOURCE: Limit = Limit { most: 5, minutes: 15 };
/// Guesses of all addresses together.
const ACCOUNT: Limit = Limit { most: 50, minutes: 60 };
/// Mails of one kind to one recipient, which strangers can ask for.
pub(crate) const MAILS: Limit = Limit { most: 5, minutes: 60 };
/// How much longer than it counts a counter is kept: the vault forgets by the machine's clock, which may be wrong.
const KEPT_LONGER: TimeDelta = TimeDelta::hours(24);
/// How often counting is tried when others count at the same time.
const TRIES: usize = 64;

/// `failures/<blinded counter>`.
#[derive(Serialize, Deserialize)]
struct Counter {
    count: u32,
    since: Timestamp,
    /// Set by the last one that is allowed.
    until: Option<Timestamp>,
}

/// What came of counting.
pub(crate) enum Counted {
    /// It is allowed.
    Allowed,
    /// It is not allowed until then.
    Locked(Timestamp),
}

/// An attempt that was counted and is to be tried.
pub(crate) struct Attempt {
    account: Option<AccountId>,
    /// The counters; the first is that of the source.
    counters: Vec<(String, Limit)>,
    /// Whose password is guessed, as [`Accounts::guessed`].
    who: String,
}

impl Accounts {
    /// Counts an attempt, or refuses it.
    pub(crate) async fn begin_attempt(
        &self,
        email: &str,
        found: Option<(AccountId, &Credentials)>,
        origin: &Origin,
    ) -> Result<Attempt, IdentityError> {
        let email = email::key(email);
        let known = found.and_then(|(_, credentials)| credentials.known_device(origin.device_token.as_deref()));
        let counters = match known {
            Some(device) => vec![(self.counter_name("device", &format!("{email} {device}")), SOURCE)],
            None => vec![
                (self.counter_name("address", &format!("{email} {}", network(origin.address))), SOURCE),
                (self.counter_name("account", &email), ACCOUNT),
            ],
        };
        let who = self.guessed(&email);
        let mut attempt = Attempt { account: found.map(|(id, _)| id), counters: Vec::new(), who };
        for (name, limit) in counters {
            match self.count(&name, limit).await? {
                Counted::Allowed => {}
                Counted::Locked(until) => {
                    self.shared.attempts.login_failed(attempt.account, &attempt.who);
                    self.drop_attempt(attempt).await?;
                    return Err(IdentityRefusal::LoginLocked { until }.into());
                }
            }
            attempt.counters.push((name, limit));
        }
        Ok(attempt)
    }

    /// It was right: the source may guess anew, and it was no failure of the account.
    pub(crate) async fn attempt_succeeded(&self, attempt: Attempt) -> Result<(), IdentityError> {
        let mut counters = attempt.counters.into_iter();
        if let Some((source, _)) = counters.next() {
            self.vault().remove(&source).await?;
        }
        for (name, limit) in counters {
            self.take_back(&name, limit).await?;
        }
        Ok(())
    }

    /// It was not tried after all.
    pub(crate) async fn drop_attempt(&self, attempt: Attempt) -> Result<(), IdentityError> {
        for (name, limit) in attempt.counters {
            self.take_back(&name, limit).await?;
        }
        Ok(())
    }

    /// It was wrong, and stays counted.
    pub(crate) fn attempt_failed(&self, attempt: &Attempt) {
        self.shared.attempts.login_failed(attempt.account, &attempt.who);
    }

    /// Forgets the failures of an account, and of one address with it: someone has shown that the mailbox is theirs.
    pub(crate) async fn forgive(&self, email: &str, origin: &Origin) -> Result<(), IdentityError> {
        let email = email::key(email);
        self.vault().remove(&self.counter_name("account", &email)).await?;
        self.vault().remove(&self.counter_name("address", &format!("{email} {}", network(origin.address)))).await?;
        Ok(())
    }

    /// Whose login failed, for who counts them: what was typed, hashed with a key.
    pub(crate) fn guessed(&self, typed: &str) -> String {
        self.vault().blind("guessed", &email::key(typed))
    }

    pub(crate) fn counter_name(&self, kind: &str, of: &str) -> String {
        format!("failures/{}", self.vault().blind(kind, of))
    }

    /// Counts one.
    pub(crate) async fn count(&self, name: &str, limit: Limit) -> Result<Counted, IdentityError> {
        for _ in 0..TRIES {
            let (now, time) = (self.now(), TimeDelta::minutes(limit.minutes));
            let entry = self.vault().get::<Counter>(name).await?;
            let version = entry.as_ref().map(|entry| entry.version);
            let mut counter = match entry.map(|entry| entry.value) {
                Some(Counter { until: Some(until), .. }) if until > now => return Ok(Counted::Locked(until)),
                Some(counter) if counter.until.is_none() && counter.since + time > now => counter,
                _ => Counter { count: 0, since: now, until: None },
            };
            counter.count += 1;
            counter.until = (counter.count >= limit.most).then_some(now + time);
            match self.vault().put(name, version, &counter, Some(now + time + KEPT_LONGER)).await {
                Ok(_) => return Ok(Counted::Allowed),
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(IdentityError::overloaded())
    }

    /// Takes one back.
    pub(crate) async fn take_back(&self, name: &str, limit: Limit) -> Result<(), IdentityError> {
        for _ in 0..TRIES {
            let Some(Entry { value: mut counter, version, expires_at }) = self.vault().get::<Counter>(name).await? else {
                return Ok(());
            };
            counter.count = counter.count.saturating_sub(1);
            counter.until = counter.until.filter(|_| counter.count >= limit.most);
            match self.vault().put(name, Some(version), &counter, expires_at).await {
                Ok(_) => return Ok(()),
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(IdentityError::overloaded())
    }
}

/// What counts as one address: of IPv6 the network of 64 bits that a customer is given, or anyone would have endless ones.
fn network(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}")
        }
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let of = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    }
}
