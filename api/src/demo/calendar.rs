//! How busy the demo shop is on each of its days, with a few days that are not as they should be.

use chrono::{Datelike, NaiveDate, Weekday};

/// How many days the demo shop has been open.
pub(super) const DAYS: u32 = 60;

/// What was planted into a day, for an anomaly view to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planted {
    /// An ordinary day.
    Nothing,
    /// A newsletter went round: three times the orders.
    Rush,
    /// The checkout was broken: hardly an order.
    Outage,
    /// A few orders of ten times the usual size.
    BulkBuyers,
}

/// What was planted into the day that lies `days_ago` before today.
pub(super) fn planted(days_ago: u32) -> Planted {
    match days_ago {
        4 => Planted::BulkBuyers,
        11 => Planted::Outage,
        19 => Planted::Rush,
        _ => Planted::Nothing,
    }
}

/// How many orders a day brings: more at weekends, slowly growing, a little random.
pub(super) fn orders(day: NaiveDate, days_ago: u32, random: &mut fastrand::Rng) -> u32 {
    let by_weekday = match day.weekday() {
        Weekday::Sat | Weekday::Sun => 48,
        Weekday::Fri => 40,
        _ => 34,
    };
    let grown = by_weekday + (DAYS - days_ago.min(DAYS)) / 10;
    let usual = grown * random.u32(90..=110) / 100;
    match planted(days_ago) {
        Planted::Rush => usual * 3,
        Planted::Outage => usual / 12,
        Planted::Nothing | Planted::BulkBuyers => usual,
    }
}
