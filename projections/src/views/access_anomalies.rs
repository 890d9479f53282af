//! On which days was far more refused at the door than usual, how much more, and which events are behind it?
//!
//! A day is judged when the first refusal, cart or order of a later day arrives, with the same statistics as orders
//! (`statistics.rs`): up to twelve earlier weeks say what is ordinary, weekday by weekday, and there is no verdict before four.
//! Only more than usual is told: that nobody was refused is no bad news. Refusals are counted on the day on which they were
//! written down, which never goes back.

use chrono::{Datelike as _, Days, NaiveDate};
use event_schemas::{AccessEvent, CommerceEvent};

use crate::{
    Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError,
    conditions::{Conditions, list},
    projection::add,
    views::{
        access::AccessKind,
        anomalies::{MOST_POSITIONS, Severity, WEEKS, chance, grouped},
        statistics::{Verdict, Weeks, judge_count},
    },
};

/// Fewer refusals of a kind on a day are never out of the ordinary, however quiet the shop is.
const LEAST: i64 = 10;

row! {
    /// What was refused of a kind on a day.
    AccessDaily in "access_daily" {
        key {
            /// The day, UTC.
            day: NaiveDate,
            /// What was refused.
            kind: AccessKind,
        }
        /// How often.
        times: i64,
        /// The log positions of the first hundred events that tell it, as a JSON list.
        positions: Vec<u64>,
    }
}

row! {
    /// A day on which far more was refused than usual.
    AccessAnomaly in "access_anomalies" {
        key {
            /// The day, UTC.
            day: NaiveDate,
            /// What was refused.
            kind: AccessKind,
        }
        /// How often.
        observed: i64,
        /// How often was expected.
        expected: i64,
        /// 99 of 100 ordinary days are at most this.
        expected_high: i64,
        /// The chance of an ordinary day with at least as much, such as `4.0e-5`.
        tail_probability: String,
        /// How unusual that is.
        severity: Severity,
        /// The same in words.
        reason: String,
        /// The log positions of the first hundred events behind it, as a JSON list.
        positions: Vec<u64>,
    }
}

row! {
    /// How far the days have been judged. There is one row.
    AccessProgress in "access_progress" {
        key {
            /// Always `shop`.
            scope: String,
        }
        /// The day of the first refusal.
        first: NaiveDate,
        /// All days before this one are over.
        today: NaiveDate,
    }
}

/// Days of unusually many refusals.
pub const ACCESS_ANOMALIES: Projection = Projection {
    name: "access_anomalies",
    version: 1,
    tables: &[AccessAnomaly::TABLE, AccessDaily::TABLE, AccessProgress::TABLE],
    for_analysts: false,
    fold,
};

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let day = fact.occurred_at.date_naive();
    let known = rows.get::<AccessProgress>(&shop())?.map(|progress| (progress.first, progress.today));
    match (fact.event, known) {
        (CommerceEvent::Access(event), known) => {
            enter(rows, day, known)?;
            count(rows, fact, day, event)
        }
        // Visitors of a new day end the day before, even when nobody is refused any more.
        (CommerceEvent::Cart(_) | CommerceEvent::Order(_), Some(_)) => enter(rows, day, known),
        _ => Ok(()),
    }
}

fn shop() -> (String,) {
    ("shop".to_owned(),)
}

/// Begins a day if it is later than the one that was judged last, which is over then and judged. `known` is the first day, that
/// of the first refusal, and the day that is not over.
fn enter(rows: &mut Rows<'_>, day: NaiveDate, known: Option<(NaiveDate, NaiveDate)>) -> Result<(), FoldError> {
    let first = match known {
        None => day,
        Some((_, today)) if day <= today => return Ok(()),
        Some((first, over)) => {
            for kind in [AccessKind::Denied, AccessKind::LoginFailed, AccessKind::Limited, AccessKind::Banned] {
                judge(rows, over, kind, first)?;
            }
            first
        }
    };
    Ok(rows.put(AccessProgress { scope: shop().0, first, today: day, position: 0 })?)
}

fn count(rows: &mut Rows<'_>, fact: &Fact<'_>, day: NaiveDate, event: &AccessEvent) -> Result<(), FoldError> {
    let (kind, times) = match event {
        AccessEvent::AccessDenied(denied) => (AccessKind::Denied, denied.times),
        AccessEvent::LoginsFailed(failed) => (AccessKind::LoginFailed, failed.times),
        AccessEvent::CallerLimited(limited) => (AccessKind::Limited, limited.times),
        AccessEvent::CallerBanned(_) => (AccessKind::Banned, 1),
    };
    let blank = || AccessDaily { day, kind, times: 0, positions: Vec::new(), position: 0 };
    let of_day = rows.edit_or::<AccessDaily>(&(day, kind), blank)?;
    of_day.times = add(of_day.times, times.into())?;
    if of_day.positions.len() < MOST_POSITIONS {
        of_day.positions.push(fact.position);
    }
    Ok(())
}

fn judge(rows: &mut Rows<'_>, day: NaiveDate, kind: AccessKind, first: NaiveDate) -> Result<(), FoldError> {
    let Some(of_day) = rows.get::<AccessDaily>(&(day, kind))?.filter(|of_day| of_day.times >= LEAST).cloned() else {
        return Ok(());
    };
    let mut earlier = Weeks::default();
    for back in 1..=7 * WEEKS {
        let Some(before) = day.checked_sub_days(Days::new(back)).filter(|before| *before >= first) else { break };
        let times = rows.get::<AccessDaily>(&(before, kind))?.map_or(0, |of_day| of_day.times);
        earlier[weekday(before)].push(times as f64);
    }
    let observed = u64::try_from(of_day.times).unwrap_or(0);
    let verdict = judge_count(observed, weekday(day), &earlier).filter(|verdict| of_day.times as f64 > verdict.expected);
    let Some((verdict, severity)) = verdict.and_then(|verdict| Severity::of(verdict.tail).map(|severity| (verdict, severity)))
    else {
        return Ok(());
    };
    Ok(rows.put(AccessAnomaly {
        day,
        kind,
        observed: of_day.times,
        expected: verdict.expected.round() as i64,
        expected_high: verdict.high.round() as i64,
        tail_probability: format!("{:.1e}", verdict.tail),
        severity,
        reason: reason(day, kind, of_day.times, &verdict, earlier[weekday(day)].len()),
        positions: of_day.positions,
        position: 0,
    })?)
}

fn weekday(day: NaiveDate) -> usize {
    day.weekday().num_days_from_monday() as usize
}

fn reason(day: NaiveDate, kind: AccessKind, observed: i64, verdict: &Verdict, weeks: usize) -> String {
    let what = match kind {
        AccessKind::Denied => "attempts without the permission",
        AccessKind::LoginFailed => "failed logins",
        AccessKind::Limited => "requests beyond a limit",
        AccessKind::Banned => "bans",
    };
    let (observed, high, weekday) = (grouped(observed), grouped(verdict.high.round() as i64), day.format("%A"));
    format!(
        "{observed} {what} on {weekday} {day}; at most {high} expected from {weeks} earlier {weekday}s; {}",
        chance(verdict.tail)
    )
}

/// Which days of unusually many refusals to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccessAnomalyFilter {
    /// Only at least this unusual.
    pub at_least: Option<Severity>,
    /// Only of this kind.
    pub kind: Option<AccessKind>,
    /// Only from this day (inclusive).
    pub from: Option<NaiveDate>,
    /// Only to this day (exclusive).
    pub to: Option<NaiveDate>,
}

sortings! {
    /// How to sort days of unusually many refusals.
    AccessAnomalySort {
        /// By day.
        Day "day": "t.day", "t.kind";
    }
}

impl Reader<'_> {
    /// Days of unusually many refusals.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn access_anomalies(
        &self,
        filter: &AccessAnomalyFilter,
        sort: AccessAnomalySort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<AccessAnomaly>, ViewError> {
        let mut conditions = Conditions::default();
        if let Some(at_least) = filter.at_least {
            conditions.check("t.severity IN (SELECT value FROM json_each(?))", vec![list(&at_least.and_above())]);
        }
        // There are four a day at most, so those along the way to a page are not many.
        conditions.check_when(filter.kind.as_ref(), "t.kind = ?");
        conditions.between("t.day", filter.from.as_ref(), filter.to.as_ref(), true);
        self.page(&conditions, sort.order(descending), page)
    }
}
