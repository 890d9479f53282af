//! Days that are out of the ordinary, each with its reason and the events behind it.

use async_graphql::{Enum, Error, InputObject, SimpleObject};
use chrono::NaiveDate;
use projections::{AccessAnomalyFilter, AnomalyFilter};

use crate::{
    access::{Permission, sees},
    graphql::{
        page::{Narrowing, root_list, sorting},
        rights_query::AccessKind,
        scalar::{CurrencyCode, Decimal, Long},
    },
};

/// What was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projections::AnomalyMetric")]
pub(crate) enum AnomalyMetric {
    /// The number of orders placed.
    Orders,
    /// What the orders placed come to, with tax, in minor units.
    Revenue,
}

/// How unusual it is, by the chance of a day at least as far out on that side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projections::Severity")]
pub(crate) enum Severity {
    /// Less than 1 in 500.
    Low,
    /// Less than 1 in 5,000.
    Medium,
    /// Less than 1 in 50,000.
    High,
    /// Less than 1 in 1,000,000.
    Critical,
}

/// A day that is out of the ordinary.
#[derive(SimpleObject)]
pub(crate) struct Anomaly {
    /// The day, UTC.
    day: NaiveDate,
    /// The currency.
    currency: CurrencyCode,
    /// What was judged.
    metric: AnomalyMetric,
    /// What happened: a count, or minor units.
    observed: Long,
    /// What was expected.
    expected: Long,
    /// 99 of 100 ordinary days are at least this.
    expected_low: Long,
    /// And at most this.
    expected_high: Long,
    /// The chance of an ordinary day at least as far out on that side, such as `4.0e-5`.
    tail_probability: Decimal,
    /// How unusual that is.
    severity: Severity,
    /// The same in words.
    reason: String,
    /// How many orders are behind it: the day's, or for a drop those of the weekdays that it is compared with.
    orders_behind: Long,
    /// The log positions of the first hundred of them.
    positions: Vec<Long>,
}

impl From<projections::Anomaly> for Anomaly {
    fn from(row: projections::Anomaly) -> Self {
        Self {
            day: row.day,
            currency: CurrencyCode(row.currency),
            metric: row.metric.into(),
            observed: Long(row.observed),
            expected: Long(row.expected),
            expected_low: Long(row.expected_low),
            expected_high: Long(row.expected_high),
            tail_probability: Decimal(row.tail_probability),
            severity: row.severity.into(),
            reason: row.reason,
            orders_behind: Long(row.orders_behind),
            positions: row.positions.into_iter().map(Long::of).collect(),
        }
    }
}

/// Which anomalies to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct AnomalyFilterInput {
    /// Only at least this unusual.
    at_least: Option<Severity>,
    /// Only of this metric.
    metric: Option<AnomalyMetric>,
    /// Only in this currency.
    currency: Option<CurrencyCode>,
    /// Only from this day on.
    from: Option<NaiveDate>,
    /// Only before this day.
    to: Option<NaiveDate>,
}

impl Narrowing for AnomalyFilterInput {
    type Filter = AnomalyFilter;

    fn read(self) -> Result<AnomalyFilter, Error> {
        let Self { at_least, metric, currency, from, to } = self;
        let currency = currency.map(|currency| currency.0);
        let (at_least, metric) = (at_least.map(Into::into), metric.map(Into::into));
        Ok(AnomalyFilter { at_least, metric, currency, from, to })
    }
}

sorting! {
    /// How to sort anomalies.
    AnomalySortInput by AnomalySortKey of AnomalySort as "projections::AnomalySort", descending = true {
        /// By day.
        Day,
    }
}

root_list! {
    /// Days that are out of the ordinary, the latest first unless `sort` says otherwise.
    #[graphql(guard = "Permission::ViewSales", visible = "sees::sales")]
    AnomalyList: anomalies(AnomalyFilterInput, AnomalySortInput) -> Anomaly by Anomaly::from = anomalies
}

/// A day on which far more was refused at the door than usual.
#[derive(SimpleObject)]
pub(crate) struct AccessAnomaly {
    /// The day, UTC.
    day: NaiveDate,
    /// What was refused.
    kind: AccessKind,
    /// How often.
    observed: Long,
    /// How often was expected.
    expected: Long,
    /// 99 of 100 ordinary days are at most this.
    expected_high: Long,
    /// The chance of an ordinary day with at least as much, such as `4.0e-5`.
    tail_probability: Decimal,
    /// How unusual that is.
    severity: Severity,
    /// The same in words.
    reason: String,
    /// The log positions of the first hundred events behind it.
    positions: Vec<Long>,
}

impl From<projections::AccessAnomaly> for AccessAnomaly {
    fn from(row: projections::AccessAnomaly) -> Self {
        Self {
            day: row.day,
            kind: row.kind.into(),
            observed: Long(row.observed),
            expected: Long(row.expected),
            expected_high: Long(row.expected_high),
            tail_probability: Decimal(row.tail_probability),
            severity: row.severity.into(),
            reason: row.reason,
            positions: row.positions.into_iter().map(Long::of).collect(),
        }
    }
}

/// Which days of unusually many refusals to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct AccessAnomalyFilterInput {
    /// Only at least this unusual.
    at_least: Option<Severity>,
    /// Only of this kind.
    kind: Option<AccessKind>,
    /// Only from this day on.
    from: Option<NaiveDate>,
    /// Only before this day.
    to: Option<NaiveDate>,
}

impl Narrowing for AccessAnomalyFilterInput {
    type Filter = AccessAnomalyFilter;

    fn read(self) -> Result<AccessAnomalyFilter, Error> {
        let Self { at_least, kind, from, to } = self;
        Ok(AccessAnomalyFilter { at_least: at_least.map(Into::into), kind: kind.map(Into::into), from, to })
    }
}

sorting! {
    /// How to sort days of unusually many refusals.
    AccessAnomalySortInput by AccessAnomalySortKey of AccessAnomalySort as "projections::AccessAnomalySort", descending = true {
        /// By day.
        Day,
    }
}

root_list! {
    /// Days on which far more was refused at the door than usual, the latest first unless `sort` says otherwise.
    #[graphql(guard = "Permission::ViewAccess", visible = "sees::access")]
    AccessAnomalyList: access_anomalies(AccessAnomalyFilterInput, AccessAnomalySortInput) -> AccessAnomaly
        by AccessAnomaly::from = access_anomalies
}
