//! On which days was the number of orders or the revenue out of the ordinary, how much, and which orders are behind it?
//!
//! A day is judged when the first order or cart of a later day arrives. What is ordinary is said by up to twelve earlier
//! weeks, weekday by weekday (`statistics.rs`); there is no verdict before four. Orders that arrive late change the verdict
//! on their day and on those that are compared with it: these are judged again when the first event of another day arrives.
//! So the verdicts follow from the orders of each day, in whatever order they were recorded.

use std::collections::BTreeMap;

use chrono::{Datelike as _, Days, NaiveDate};
use event_schemas::{CommerceEvent, Currency, Money, OrderEvent, OrderPlaced, Position};
use serde::{Deserialize, Serialize};

use crate::{
    Column, Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError,
    conditions::{Conditions, list},
    projection::add,
    views::statistics::{Verdict, Weeks, judge_count, judge_money},
};

/// How many earlier weeks say what is ordinary.
pub(super) const WEEKS: u64 = 12;
/// At most so many events are named behind an anomaly.
pub(super) const MOST_POSITIONS: usize = 100;

text_enum! {
    /// What was judged.
    AnomalyMetric {
        /// The number of orders placed.
        Orders = "orders",
        /// What the orders placed come to, with tax; judged on days with trade only.
        Revenue = "revenue",
    }
}

text_enum! {
    /// How unusual it is, by the chance of a day at least as far out on that side.
    Severity {
        /// Less than 1 in 500.
        Low = "low",
        /// Less than 1 in 5,000.
        Medium = "medium",
        /// Less than 1 in 50,000.
        High = "high",
        /// Less than 1 in 1,000,000.
        Critical = "critical",
    }
}

impl Severity {
    pub(super) fn of(tail: f64) -> Option<Self> {
        let by_chance = [(1e-6, Self::Critical), (2e-5, Self::High), (2e-4, Self::Medium), (2e-3, Self::Low)];
        by_chance.into_iter().find(|(chance, _)| tail < *chance).map(|(_, severity)| severity)
    }

    /// This one and all that are more unusual.
    pub(super) fn and_above(self) -> Vec<Self> {
        [Self::Low, Self::Medium, Self::High, Self::Critical].into_iter().filter(|severity| *severity >= self).collect()
    }
}

row! {
    /// The orders placed on one day in one currency.
    DailyTrade in "daily_trade" {
        key {
            /// The day, UTC.
            day: NaiveDate,
            /// The currency.
            currency: Currency,
        }
        /// Orders placed.
        orders: i64,
        /// What they come to with tax, in minor units.
        revenue_minor: i64,
        /// The log positions of the first hundred of them, as a JSON list.
        positions: Vec<u64>,
    }
}

row! {
    /// A day that is out of the ordinary. Amounts of metric `revenue` are minor units.
    Anomaly in "anomalies" {
        key {
            /// The day, UTC.
            day: NaiveDate,
            /// The currency.
            currency: Currency,
            /// What was judged.
            metric: AnomalyMetric,
        }
        /// What happened: a count, or minor units.
        observed: i64,
        /// What was expected.
        expected: i64,
        /// 99 of 100 ordinary days are at least this.
        expected_low: i64,
        /// And at most this.
        expected_high: i64,
        /// The chance of an ordinary day at least as far out on that side, such as `4.0e-5`.
        tail_probability: String,
        /// How unusual that is.
        severity: Severity,
        /// The same in words.
        reason: String,
        /// How many orders are behind it: the day's, or for a drop those of the weekdays that it is compared with.
        orders_behind: i64,
        /// The log positions of the first hundred of them, as a JSON list.
        positions: Vec<u64>,
    }
}

/// The days on which a currency has been traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traded {
    /// The first.
    pub first: NaiveDate,
    /// The last.
    pub last: NaiveDate,
}
json_columns!(BTreeMap<Currency, Traded>);

row! {
    /// How far the days have been judged. There is one row.
    AnomalyProgress in "anomaly_progress" {
        key {
            /// Always `shop`.
            scope: String,
        }
        /// All days before this one are over.
        today: NaiveDate,
        /// The day of the last event. It is judged, with those that are compared with it, when one of another day arrives.
        current: NaiveDate,
        /// The first day that is not compared with the current one.
        until: NaiveDate,
        /// The days on which each currency has been traded, as JSON.
        traded: BTreeMap<Currency, Traded>,
    }
}

impl Column for NaiveDate {
    const TYPE: crate::ColumnType = crate::ColumnType::Text;
    const MEANING: crate::Meaning = crate::Meaning::Day;
    fn value(&self) -> crate::Value<'_> {
        crate::Value::Text(self.to_string().into())
    }
    fn read(value: crate::Value<'_>) -> Result<Self, crate::UnexpectedValue> {
        match value {
            crate::Value::Text(text) => text.parse().map_err(|_| crate::UnexpectedValue::new("a day", &crate::Value::Text(text))),
            other => Err(crate::UnexpectedValue::new("a day", &other)),
        }
    }
}

/// The anomalies of daily orders and revenue.
pub const ANOMALIES: Projection = Projection {
    name: "anomalies",
    version: 2,
    tables: &[Anomaly::TABLE, DailyTrade::TABLE, AnomalyProgress::TABLE],
    for_analysts: true,
    fold,
};

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let day = fact.occurred_at.date_naive();
    match fact.event {
        CommerceEvent::Order(OrderEvent::OrderPlaced(placed)) => {
            enter(rows, day)?;
            trade(rows, fact, day, placed)
        }
        // A visitor of a new day ends the day before, even when no one buys any more.
        CommerceEvent::Cart(_) => match rows.get::<AnomalyProgress>(&shop())? {
            Some(progress) if day >= progress.today => enter(rows, day),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn shop() -> (String,) {
    ("shop".to_owned(),)
}

/// The first day that is not compared with `day`. After so long without trade nothing is expected any more.
fn until(day: NaiveDate) -> NaiveDate {
    day + Days::new(7 * WEEKS + 1)
}

/// Leaves the current day for another, if it is one: judges, in each currency, what is over of the days that it bears upon.
fn enter(rows: &mut Rows<'_>, day: NaiveDate) -> Result<(), FoldError> {
    let Some(progress) = rows.get::<AnomalyProgress>(&shop())?.filter(|progress| progress.current != day).cloned() else {
        return Ok(());
    };
    let today = progress.today.max(day);
    for (currency, days) in &progress.traded {
        let end = today.min(progress.until).min(until(days.last));
        for over in progress.current.max(days.first).iter_days().take_while(|over| *over < end) {
            judge(rows, over, *currency, days.first)?;
        }
    }
    rows.put(AnomalyProgress { today, current: day, until: until(day), ..progress })?;
    Ok(())
}

fn trade(rows: &mut Rows<'_>, fact: &Fact<'_>, day: NaiveDate, placed: &OrderPlaced) -> Result<(), FoldError> {
    let currency = placed.currency;
    let trade = rows.edit_or::<DailyTrade>(&(day, currency), || DailyTrade {
        day,
        currency,
        orders: 0,
        revenue_minor: 0,
        positions: Vec::new(),
        position: 0,
    })?;
    trade.orders = add(trade.orders, 1)?;
    trade.revenue_minor = add(trade.revenue_minor, placed.totals.gross_minor)?;
    if trade.positions.len() < MOST_POSITIONS {
        trade.positions.push(fact.position);
    }
    let new =
        || AnomalyProgress { scope: shop().0, today: day, current: day, until: until(day), traded: BTreeMap::new(), position: 0 };
    let known = rows.get::<AnomalyProgress>(&shop())?;
    let traded = known.and_then(|progress| progress.traded.get(&currency)).copied();
    if traded.is_none_or(|traded| day < traded.first || traded.last < day) {
        let progress = rows.edit_or(&shop(), new)?;
        let traded = progress.traded.entry(currency).or_insert(Traded { first: day, last: day });
        if day < traded.first {
            // What was before the beginning is now known to be days without trade.
            progress.until = progress.until.max(until(traded.first));
        }
        *traded = Traded { first: traded.first.min(day), last: traded.last.max(day) };
    }
    Ok(())
}

/// What the weeks before a day came to, and the orders of its own weekday.
struct Baseline {
    orders: Weeks,
    revenue: Weeks,
    weeks: usize,
    same_weekday_orders: i64,
    same_weekday_positions: Vec<u64>,
}

fn baseline(rows: &mut Rows<'_>, day: NaiveDate, currency: Currency, first: NaiveDate) -> Result<Baseline, FoldError> {
    let weekday = weekday(day);
    let mut found = Baseline {
        orders: Weeks::default(),
        revenue: Weeks::default(),
        weeks: 0,
        same_weekday_orders: 0,
        same_weekday_positions: Vec::new(),
    };
    for back in 1..=7 * WEEKS {
        let Some(earlier) = day.checked_sub_days(Days::new(back)).filter(|earlier| *earlier >= first) else { break };
        let index = self::weekday(earlier);
        let Some(trade) = rows.get::<DailyTrade>(&(earlier, currency))? else {
            found.orders[index].push(0.0);
            continue;
        };
        found.orders[index].push(trade.orders as f64);
        if trade.revenue_minor > 0 {
            found.revenue[index].push(trade.revenue_minor as f64);
        }
        if index == weekday {
            found.same_weekday_orders = add(found.same_weekday_orders, trade.orders)?;
            let room = MOST_POSITIONS.saturating_sub(found.same_weekday_positions.len());
            found.same_weekday_positions.extend(trade.positions.iter().take(room));
        }
    }
    found.weeks = found.orders[weekday].len();
    Ok(found)
}

fn weekday(day: NaiveDate) -> usize {
    day.weekday().num_days_from_monday() as usize
}

/// Judges one day, in place of any verdict there was.
fn judge(rows: &mut Rows<'_>, day: NaiveDate, currency: Currency, first: NaiveDate) -> Result<(), FoldError> {
    let baseline = baseline(rows, day, currency, first)?;
    let observed = rows.get::<DailyTrade>(&(day, currency))?.cloned();
    let (orders, revenue) = observed.as_ref().map_or((0, 0), |trade| (trade.orders, trade.revenue_minor));
    let positions = observed.map(|trade| trade.positions).unwrap_or_default();
    let verdicts = [
        (AnomalyMetric::Orders, orders, judge_count(u64::try_from(orders).unwrap_or(0), weekday(day), &baseline.orders)),
        (AnomalyMetric::Revenue, revenue, judge_money(revenue as f64, weekday(day), &baseline.revenue)),
    ];
    for (metric, observed, verdict) in verdicts {
        let unusual = verdict.and_then(|verdict| Severity::of(verdict.tail).map(|severity| (verdict, severity)));
        let Some((verdict, severity)) = unusual else {
            if rows.get::<Anomaly>(&(day, currency, metric))?.is_some() {
                rows.delete::<Anomaly>(&(day, currency, metric))?;
            }
            continue;
        };
        let drop = (observed as f64) < verdict.expected;
        let (orders_behind, positions) = if drop {
            (baseline.same_weekday_orders, baseline.same_weekday_positions.clone())
        } else {
            (orders, positions.clone())
        };
        let known = rows.get::<Anomaly>(&(day, currency, metric))?.cloned();
        let anomaly = Anomaly {
            day,
            currency,
            metric,
            observed,
            expected: verdict.expected.round() as i64,
            expected_low: verdict.low.round() as i64,
            expected_high: verdict.high.round() as i64,
            tail_probability: format!("{:.1e}", verdict.tail),
            severity,
            reason: reason(day, currency, metric, observed, &verdict, baseline.weeks),
            orders_behind,
            positions,
            position: known.as_ref().map_or(0, |known| known.position),
        };
        // What is told anew is news to whoever follows anomalies by position.
        if known.as_ref() != Some(&anomaly) {
            rows.put(anomaly)?;
        }
    }
    Ok(())
}

fn reason(day: NaiveDate, currency: Currency, metric: AnomalyMetric, observed: i64, verdict: &Verdict, weeks: usize) -> String {
    let amount = |minor: i64| match metric {
        AnomalyMetric::Orders => grouped(minor),
        AnomalyMetric::Revenue => Money::new(minor, currency).decimal(),
    };
    let what = match metric {
        AnomalyMetric::Orders => format!("{} orders in {currency}", amount(observed)),
        AnomalyMetric::Revenue => format!("Orders worth {} {currency}", amount(observed)),
    };
    let (low, high) = (amount(verdict.low.round() as i64), amount(verdict.high.round() as i64));
    let weekday = day.format("%A");
    format!("{what} on {weekday} {day}; {low} to {high} expected from {weeks} earlier {weekday}s; {}", chance(verdict.tail))
}

/// `chance about 1 in 25,000`, in two significant digits.
pub(super) fn chance(tail: f64) -> String {
    if tail < 1e-9 {
        return "chance below 1 in 1,000,000,000".to_owned();
    }
    let one_in = 1.0 / tail;
    let step = 10_f64.powi((one_in.log10().floor() as i32 - 1).max(0));
    format!("chance about 1 in {}", grouped(((one_in / step).round() * step) as i64))
}

/// A number with commas between thousands.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Which anomalies to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AnomalyFilter {
    /// Only at least this unusual.
    pub at_least: Option<Severity>,
    /// Only of this metric.
    pub metric: Option<AnomalyMetric>,
    /// Only in this currency.
    pub currency: Option<Currency>,
    /// Only from this day (inclusive).
    pub from: Option<NaiveDate>,
    /// Only to this day (exclusive).
    pub to: Option<NaiveDate>,
}

sortings! {
    /// How to sort anomalies.
    AnomalySort {
        /// By day.
        Day "day": "t.day", "t.currency", "t.metric";
    }
}

impl Reader<'_> {
    /// Anomalies.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn anomalies(
        &self,
        filter: &AnomalyFilter,
        sort: AnomalySort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<Anomaly>, ViewError> {
        let mut conditions = Conditions::default();
        if let Some(at_least) = filter.at_least {
            conditions.check("t.severity IN (SELECT value FROM json_each(?))", vec![list(&at_least.and_above())]);
        }
        // There are a few a day at most, so those along the way to a page are not many.
        conditions.check_when(filter.metric.as_ref(), "t.metric = ?");
        conditions.check_when(filter.currency.as_ref(), "t.currency = ?");
        conditions.between("t.day", filter.from.as_ref(), filter.to.as_ref(), true);
        self.page(&conditions, sort.order(descending), page)
    }

    /// Anomalies that were found, or told anew, by events after a position and up to another, in the order of these events.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn anomalies_between(&self, after: Position, to: Position) -> Result<Vec<Anomaly>, ViewError> {
        let tail = "WHERE t.position > ? AND t.position <= ? ORDER BY t.position, t.day, t.currency, t.metric";
        self.rows(tail, &[after.value(), to.value()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_what_was_expected_and_how_likely_it_is() {
        let verdict = Verdict { expected: 19.0, low: 12.0, high: 27.0, tail: 4.0e-5 };
        let (day, gbp) = (NaiveDate::from_ymd_opt(2026, 10, 6).unwrap(), Currency::new("GBP").unwrap());
        assert_eq!(
            reason(day, gbp, AnomalyMetric::Orders, 41, &verdict, 8),
            "41 orders in GBP on Tuesday 2026-10-06; 12 to 27 expected from 8 earlier Tuesdays; chance about 1 in 25,000"
        );
        let verdict = Verdict { expected: 90_000.0, low: 70_000.0, high: 110_000.0, tail: 1e-12 };
        assert_eq!(
            reason(day, gbp, AnomalyMetric::Revenue, 1_234_567, &verdict, 12),
            "Orders worth 12345.67 GBP on Tuesday 2026-10-06; 700.00 to 1100.00 expected from 12 earlier Tuesdays; \
             chance below 1 in 1,000,000,000"
        );
    }

    #[test]
    fn severity_follows_from_the_chance_alone() {
        let severities = [0.01, 1e-3, 1e-4, 1e-5, 1e-7].map(Severity::of);
        let expected = [None, Some(Severity::Low), Some(Severity::Medium), Some(Severity::High), Some(Severity::Critical)];
        assert_eq!(severities, expected);
    }
}
