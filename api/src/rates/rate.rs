//! A rate, such as 3,000 a minute.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use governor::Quota;

/// So many requests within a time. They may come at once; after that, they are given back one by one, evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    requests: NonZeroU32,
    per: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

/// The most requests that a rate may have: one a nanosecond is the finest that is counted.
const MOST: u32 = 1_000_000_000;

/// What is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rate; write 50/s, 3000/m or 90000/h")]
pub struct InvalidRate(String);

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let read = || {
            let (requests, per) = text.split_once('/')?;
            let per = match per {
                "s" => Unit::Second,
                "m" => Unit::Minute,
                "h" => Unit::Hour,
                _ => return None,
            };
            let requests = requests.parse().ok().filter(|requests: &NonZeroU32| requests.get() <= MOST)?;
            Some(Self { requests, per })
        };
        read().ok_or_else(|| InvalidRate(text.to_owned()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
        };
        write!(f, "{}/{per}", self.requests)
    }
}

impl Rate {
    /// So many within a minute.
    pub const fn per_minute(requests: NonZeroU32) -> Self {
        Self { requests, per: Unit::Minute }
    }

    /// How many requests may come at once.
    pub(crate) fn requests(self) -> u32 {
        self.requests.get()
    }

    /// In what time they are given back.
    pub(crate) fn window(self) -> Duration {
        Duration::from_secs(match self.per {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3_600,
        })
    }

    /// In what time one is given back.
    pub(crate) fn interval(self) -> Duration {
        self.window() / self.requests.get()
    }

    pub(super) fn quota(self) -> Quota {
        // The interval is a nanosecond at least, so that there is one.
        let quota = Quota::with_period(self.interval()).unwrap_or(Quota::per_second(self.requests));
        quota.allow_burst(self.requests)
    }
}

/// How often who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests of one address, of callers without an account or a key.
    pub address: Rate,
    /// Requests of one account.
    pub account: Rate,
    /// Requests with one API key.
    pub api_key: Rate,
    /// Attempts of one address to sign in, to register, or to reset a password.
    pub sign_in: Rate,
}

impl Default for RateLimits {
    /// Generous: a page asks a few times for what it shows, and an office or a mobile network is one address.
    fn default() -> Self {
        const fn per_minute(requests: u32) -> Rate {
            Rate::per_minute(match NonZeroU32::new(requests) {
                Some(requests) => requests,
                None => NonZeroU32::MIN,
            })
        }
        Self { address: per_minute(6_000), account: per_minute(3_000), api_key: per_minute(12_000), sign_in: per_minute(10) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_it_is_written_and_nonsense_is_refused() {
        for text in ["1/s", "3000/m", "90000/h", "1000000000/s"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        let rate: Rate = "120/m".parse().unwrap();
        assert_eq!((rate.requests(), rate.window(), rate.interval().as_millis()), (120, Duration::from_secs(60), 500));
        for wrong in ["", "5", "/s", "0/s", "-1/s", "5/d", "5/ s", "1.5/s", "1000000001/s", "off"] {
            assert_eq!(wrong.parse::<Rate>(), Err(InvalidRate(wrong.to_owned())));
        }
    }
}
