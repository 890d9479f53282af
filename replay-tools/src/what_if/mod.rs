//! `what-if`: what the past would have come to under other taxes, prices, promotions or anomaly rules, beside what it came to.
//!
//! It cannot do anything: the log is opened to be read, orders are repriced by the pure rules of the domain, and no process and
//! no gateway is reached. What was paid stays what was paid.

mod days;
mod log;
mod reprice;
mod rules;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clap::Args;
use event_schemas::{CommerceEvent, Currency, Money, OrderEvent, OrderPlaced, Position, PromotionEvent, Recorded};
use event_store::{Log, Moment, PastLog};
use serde::Serialize;
use uuid::Uuid;

use self::{
    days::Trade,
    log::SupposedLog,
    reprice::{Effects, Repriced, reprice},
};
pub use self::{
    days::UnusualDay,
    rules::{AnomalyRule, OtherPrice, OtherPromotion, OtherTax, PriceChange, Supposed},
};
use crate::{Failure, LogUrl, Progress, Report, json, open, rebuild};

/// How many events are read at once.
const PAGE: usize = 1_000;

/// What to suppose, and of which past.
#[derive(Debug, Args)]
pub struct WhatIfArgs {
    #[command(flatten)]
    log: LogUrl,
    /// What to suppose, as JSON: `taxes`, `prices`, `promotions`, `anomalies`, `from`, `until`.
    #[arg(long, env = "DAYBOOK_RULES", value_name = "FILE")]
    rules: PathBuf,
    /// Up to where to look: a position or a time; the head if not told.
    #[arg(long, env = "DAYBOOK_TO", value_name = "POSITION|TIME")]
    to: Option<Moment>,
    /// Build all views of the shop as it would be into this new store as well, sqlite:PATH or postgres://USER@HOST/DATABASE.
    #[arg(long, env = "DAYBOOK_INTO", hide_env_values = true, value_name = "URL")]
    into: Option<String>,
}

impl WhatIfArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let supposed = Supposed::read(&self.rules)?;
        let mut log = open(&self.log.log).await?;
        if let Some(moment) = self.to {
            log = Arc::new(PastLog::at(log, moment).await?);
        }
        let outcome = what_if(log, supposed, self.into.as_deref()).await?;
        Ok(Report { ok: true, text: outcome.to_string(), json: json(&outcome)? })
    }
}

/// Sums over the orders of a currency, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// What was taken off.
    pub discount_minor: i128,
    /// Without tax.
    pub net_minor: i128,
    /// Tax.
    pub tax_minor: i128,
    /// With tax: what buyers owe.
    pub gross_minor: i128,
}

impl Sums {
    fn add(&mut self, order: &OrderPlaced) {
        self.discount_minor += i128::from(order.totals.discount_minor);
        self.net_minor += i128::from(order.totals.net_minor);
        self.tax_minor += i128::from(order.totals.tax_minor);
        self.gross_minor += i128::from(order.totals.gross_minor);
    }
}

/// The orders of a currency, as they were and as they would have been.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SideBySide {
    /// How many orders were placed.
    pub orders: u64,
    /// How many of them would have come to something else.
    pub changed: u64,
    /// How many stay as they were because their amounts do not follow from their prices and promotions: those of an import.
    pub not_repriced: u64,
    /// What they came to.
    pub recorded: Sums,
    /// What they would have come to.
    pub supposed: Sums,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The last position looked at.
    pub to: Position,
    /// What was supposed.
    pub rules: Supposed,
    /// The orders by currency.
    pub orders: BTreeMap<Currency, SideBySide>,
    /// The days that are out of the ordinary both as it was and as it would have been, as they would have been.
    pub unusual_both: Vec<UnusualDay>,
    /// Those only as it was, under the shop's own rule.
    pub unusual_recorded: Vec<UnusualDay>,
    /// Those only as it would have been, under the rule supposed.
    pub unusual_supposed: Vec<UnusualDay>,
    /// Where the views of the shop as it would be were built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<String>,
}

/// Looks at the whole of a log under a supposition. With `into`, all views are built under it as well, in a new store.
///
/// # Errors
/// If the log cannot be read, an event not be decoded, an amount not fit, or the views not be built.
pub async fn what_if(log: Arc<dyn Log>, supposed: Supposed, into: Option<&str>) -> Result<Outcome, Failure> {
    let to = log.head().await?.position;
    let mut run = Run {
        supposed: &supposed,
        effects: Effects::new(),
        orders: BTreeMap::new(),
        was: Trade::default(),
        would: Trade::default(),
    };
    let (mut progress, mut after) = (Progress::new("supposing", to), 0);
    while after < to {
        let page = log.read(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for record in &page {
            run.take_in(record)?;
        }
        progress.tick(after);
    }
    let Run { effects, orders, was, would, .. } = run;
    let (was, would) = (was.unusual(&AnomalyRule::default()), would.unusual(&supposed.anomalies));
    let same =
        |one: &UnusualDay, other: &UnusualDay| (one.day, one.currency, &one.metric) == (other.day, other.currency, &other.metric);
    let (unusual_both, unusual_supposed) = would.into_iter().partition(|day| was.iter().any(|known| same(known, day)));
    let unusual_both: Vec<_> = unusual_both;
    let unusual_recorded = was.into_iter().filter(|day| !unusual_both.iter().any(|known| same(known, day))).collect();
    if let Some(into) = into {
        let log = Arc::new(SupposedLog { log, effects, supposed: supposed.clone(), id: Uuid::new_v4() });
        rebuild(log, into, projections::ALL).await?;
    }
    let views = into.map(str::to_owned);
    Ok(Outcome { to, rules: supposed, orders, unusual_both, unusual_recorded, unusual_supposed, views })
}

struct Run<'a> {
    supposed: &'a Supposed,
    effects: Effects,
    orders: BTreeMap<Currency, SideBySide>,
    was: Trade,
    would: Trade,
}

impl Run<'_> {
    fn take_in(&mut self, record: &Recorded) -> Result<(), Failure> {
        let wanted = ["order", "promotion", "cart"];
        if !wanted.contains(&&*record.event.stream.aggregate_type) {
            return Ok(());
        }
        let position = record.position;
        let at = record.event.occurred_at;
        for event in record.decode().map_err(|source| Failure::Decode { position, source })? {
            match event {
                CommerceEvent::Promotion(PromotionEvent::PromotionCreated(created)) => {
                    self.effects.insert(created.promotion_id, created.effect);
                }
                CommerceEvent::Cart(_) => {
                    self.was.see(at);
                    self.would.see(at);
                }
                CommerceEvent::Order(OrderEvent::OrderPlaced(order)) => {
                    let repriced = reprice(&order, at, &self.effects, self.supposed);
                    let repriced = repriced.map_err(|error| Failure::Refused(format!("position {position}: {error}")))?;
                    self.place(record, &order, repriced);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn place(&mut self, record: &Recorded, order: &OrderPlaced, repriced: Repriced) {
        let beside = self.orders.entry(order.currency).or_default();
        beside.orders += 1;
        beside.recorded.add(order);
        let would = match &repriced {
            Repriced::To(would) => would.as_ref(),
            Repriced::AsItWas => {
                beside.not_repriced += 1;
                order
            }
        };
        beside.changed += u64::from(would != order);
        beside.supposed.add(would);
        self.was.add(record.event.occurred_at, order);
        self.would.add(record.event.occurred_at, would);
    }
}

/// An amount with its currency, as far as it can be shown in 64 bits.
fn shown(minor: i128, currency: Currency) -> String {
    i64::try_from(minor).map_or_else(|_| format!("{minor} minor units"), |minor| Money::new(minor, currency).decimal())
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:<14} {:>20} {:>20} {:>20}", "", "as it was", "as it would be", "difference")?;
        for (currency, beside) in &self.orders {
            let SideBySide { orders, changed, not_repriced, recorded: was, supposed: would } = beside;
            writeln!(f, "{currency}: {orders} orders, {changed} changed, {not_repriced} that cannot be repriced")?;
            let rows = [
                ("discount", was.discount_minor, would.discount_minor),
                ("net", was.net_minor, would.net_minor),
                ("tax", was.tax_minor, would.tax_minor),
                ("gross", was.gross_minor, would.gross_minor),
            ];
            for (what, was, would) in rows {
                let [was, would, difference] = [was, would, would - was].map(|minor| shown(minor, *currency));
                writeln!(f, "  {what:<12} {was:>20} {would:>20} {difference:>20}")?;
            }
        }
        let lists = [
            ("unusual both ways", &self.unusual_both),
            ("unusual only as it was", &self.unusual_recorded),
            ("unusual only as it would be", &self.unusual_supposed),
        ];
        for (what, days) in lists {
            writeln!(f, "{what}: {} days", days.len())?;
            for UnusualDay { day, currency, metric, observed, expected, chance } in days {
                writeln!(f, "  {day} {metric} in {currency}: {observed}, where {expected} were expected; chance {chance:.1e}")?;
            }
        }
        writeln!(f, "positions 1 to {}", self.to)?;
        self.views.as_ref().map_or(Ok(()), |views| writeln!(f, "the views as they would be are in {views}"))
    }
}
