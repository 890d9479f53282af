//! Which days were out of the ordinary, under a rule: the statistics of the view of anomalies, over the days of a currency.

use std::collections::BTreeMap;

use chrono::{Datelike as _, Days, NaiveDate};
use event_schemas::{Currency, OrderPlaced, Timestamp};
use projections::{AnomalyMetric, Verdict, Weeks, judge_count, judge_money};
use serde::Serialize;

use super::rules::AnomalyRule;

/// The orders of each day in each currency.
#[derive(Debug, Clone, Default)]
pub(super) struct Trade {
    days: BTreeMap<Currency, BTreeMap<NaiveDate, Day>>,
    /// All days before this one are over.
    today: Option<NaiveDate>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Day {
    orders: u64,
    revenue_minor: i64,
}

/// A day that was out of the ordinary. Amounts of revenue are minor units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnusualDay {
    /// The day, UTC.
    pub day: NaiveDate,
    /// The currency.
    pub currency: Currency,
    /// `orders` or `revenue`.
    pub metric: String,
    /// What happened.
    pub observed: i64,
    /// What was expected.
    pub expected: i64,
    /// The chance of an ordinary day at least as far out on that side.
    pub chance: f64,
}

impl Trade {
    /// Something happened at a moment, so that the days before are over.
    pub(super) fn see(&mut self, at: Timestamp) {
        self.today = self.today.max(Some(at.date_naive()));
    }

    pub(super) fn add(&mut self, at: Timestamp, order: &OrderPlaced) {
        self.see(at);
        let day = self.days.entry(order.currency).or_default().entry(at.date_naive()).or_default();
        day.orders += 1;
        day.revenue_minor = day.revenue_minor.saturating_add(order.totals.gross_minor);
    }

    /// The days that are over and were out of the ordinary, in order.
    pub(super) fn unusual(&self, rule: &AnomalyRule) -> Vec<UnusualDay> {
        let mut found = Vec::new();
        for (currency, days) in &self.days {
            let (Some((first, _)), Some((last, _)), Some(today)) = (days.first_key_value(), days.last_key_value(), self.today)
            else {
                continue;
            };
            // After so long without trade nothing is expected any more.
            let end = today.min(*last + Days::new(7 * u64::from(rule.weeks) + 1));
            for day in first.iter_days().take_while(|day| *day < end) {
                found.extend(judge(days, *currency, day, *first, rule));
            }
        }
        found.sort_by(|one, other| (one.day, one.currency, &one.metric).cmp(&(other.day, other.currency, &other.metric)));
        found
    }
}

fn judge(
    days: &BTreeMap<NaiveDate, Day>,
    currency: Currency,
    day: NaiveDate,
    first: NaiveDate,
    rule: &AnomalyRule,
) -> Vec<UnusualDay> {
    let weekday = |day: NaiveDate| day.weekday().num_days_from_monday() as usize;
    let (mut orders, mut revenue) = (Weeks::default(), Weeks::default());
    for back in 1..=7 * u64::from(rule.weeks) {
        let Some(earlier) = day.checked_sub_days(Days::new(back)).filter(|earlier| *earlier >= first) else { break };
        let Day { orders: count, revenue_minor } = days.get(&earlier).copied().unwrap_or_default();
        orders[weekday(earlier)].push(count as f64);
        if revenue_minor > 0 {
            revenue[weekday(earlier)].push(revenue_minor as f64);
        }
    }
    let observed = days.get(&day).copied().unwrap_or_default();
    let of_orders = judge_count(observed.orders, weekday(day), &orders);
    if of_orders.is_none_or(|verdict| verdict.expected < rule.minimum_orders) {
        return Vec::new();
    }
    let of_revenue = judge_money(observed.revenue_minor as f64, weekday(day), &revenue);
    let unusual = |metric: AnomalyMetric, observed: i64, verdict: Option<Verdict>| {
        let verdict = verdict.filter(|verdict| verdict.tail < rule.chance)?;
        let metric = metric.as_str().to_owned();
        Some(UnusualDay { day, currency, metric, observed, expected: verdict.expected.round() as i64, chance: verdict.tail })
    };
    let orders = unusual(AnomalyMetric::Orders, i64::try_from(observed.orders).unwrap_or(i64::MAX), of_orders);
    orders.into_iter().chain(unusual(AnomalyMetric::Revenue, observed.revenue_minor, of_revenue)).collect()
}
