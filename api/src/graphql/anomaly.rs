//! Days that are out of the ordinary, each with its reason and the events behind it.

use std::sync::Arc;

use async_graphql::{Context, Enum, Error, InputObject, Object, SimpleObject};
use chrono::NaiveDate;
use projections::AnomalyFilter;

use crate::{
    access::{Permission, sees},
    graphql::{
        page::{self, List, Paging},
        problem,
        scalar::{CurrencyCode, Decimal, Long},
    },
    shop::Shop,
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

#[derive(Default)]
pub(crate) struct AnomalyQuery;

#[Object]
impl AnomalyQuery {
    /// Days that are out of the ordinary, the latest first.
    #[graphql(guard = "Permission::ViewSales", visible = "sees::sales")]
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the GraphQL field")]
    async fn anomalies(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which anomalies.")] filter: Option<AnomalyFilterInput>,
        #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<Anomaly>, Error> {
        let AnomalyFilterInput { at_least, metric, currency, from, to } = filter.unwrap_or_default();
        let filter = AnomalyFilter {
            at_least: at_least.map(Into::into),
            metric: metric.map(Into::into),
            currency: currency.map(|currency| currency.0),
            from,
            to,
            after: None,
        };
        let page = Paging { first, after, last, before }.page(ctx)?;
        let views = &ctx.data::<Arc<Shop>>()?.views;
        let listed = views.read(move |reader| reader.anomalies(&filter, &page)).await.map_err(problem::view)?;
        Ok(page::list(listed, Anomaly::from))
    }
}
