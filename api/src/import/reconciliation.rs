//! The reconciliation that ends an import: every row accounted for, and the money to the minor unit.

use std::{collections::BTreeMap, fmt, time::Duration};

use engine::Outcome;
use event_schemas::{Currency, Money};
use serde_json::{Value, json};

use crate::import::{
    Unrepresented,
    document::{Document, Source, Tally},
};

/// How many unrepresented rows the table shows; `--json` lists all.
const ROWS_SHOWN: usize = 20;

/// What an import read, wrote, and could not represent.
#[derive(Debug, Clone)]
pub struct Reconciliation {
    source: &'static str,
    currency: &'static str,
    rows_read: u64,
    unrepresented: Vec<Unrepresented>,
    remarks: BTreeMap<String, u64>,
    events: BTreeMap<String, u64>,
    known: u64,
    tally: Tally,
    took: Duration,
}

impl Reconciliation {
    pub(crate) fn of(source: &Source) -> Self {
        Self {
            source: source.name,
            currency: source.currency,
            rows_read: source.rows_read,
            unrepresented: source.damaged.clone(),
            remarks: source.remarks.clone(),
            events: BTreeMap::new(),
            known: 0,
            tally: Tally::default(),
            took: Duration::ZERO,
        }
    }

    /// Counts a document that is in the log now, and its events unless an earlier run wrote them.
    pub(crate) fn accept(&mut self, document: &Document, outcome: &Outcome) {
        self.tally.add(&document.tally);
        if outcome.repeated {
            self.known += 1;
            return;
        }
        for change in &outcome.changes {
            *self.events.entry(change.event.event_type().to_owned()).or_default() += 1;
        }
    }

    pub(crate) fn reject(&mut self, rows: impl IntoIterator<Item = Unrepresented>) {
        self.unrepresented.extend(rows);
    }

    pub(crate) fn remark(&mut self, remark: String) {
        *self.remarks.entry(remark).or_default() += 1;
    }

    pub(crate) fn finish(&mut self, took: Duration) {
        self.unrepresented.sort_by(|a, b| (a.row, &a.reason).cmp(&(b.row, &b.reason)));
        self.took = took;
    }

    /// Rows of the source behind the header.
    pub fn rows_read(&self) -> u64 {
        self.rows_read
    }

    /// Rows that no event could be made of, with the reason for each.
    pub fn unrepresented(&self) -> &[Unrepresented] {
        &self.unrepresented
    }

    /// What became of the rows, and of how many. Together with the unrepresented ones these are all rows.
    pub fn rows(&self) -> &BTreeMap<&'static str, u64> {
        &self.tally.rows
    }

    /// Events that this run wrote, by type. A run that finds everything in the log already writes none.
    pub fn events(&self) -> &BTreeMap<String, u64> {
        &self.events
    }

    /// How many events this run wrote.
    pub fn events_written(&self) -> u64 {
        self.events.values().sum()
    }

    /// Whether every row that was read is either in the log or listed as unrepresented.
    pub fn accounts_for_every_row(&self) -> bool {
        self.tally.rows.values().sum::<u64>() + self.unrepresented.len() as u64 == self.rows_read
    }

    /// The reconciliation as the one JSON object that `--json` prints. Money is in minor units.
    pub fn to_json(&self) -> Value {
        json!({
            "rows_read": self.rows_read,
            "rows_unrepresented": self.unrepresented,
            "events_written": self.events_written(),
            "events": self.events,
            "orders": self.tally.orders,
            "totals": {
                "sales_minor": self.tally.sales_minor,
                "returns_minor": self.tally.returns_minor,
                "bad_debt_minor": self.tally.bad_debt_minor,
                "rounding": self.tally.rounding.to_string(),
            },
            "seconds": self.took.as_millis() as f64 / 1000.0,
        })
    }

    fn money(&self, minor: i64) -> String {
        match Currency::new(self.currency) {
            Ok(currency) => Money::new(minor, currency).to_string(),
            Err(_) => minor.to_string(),
        }
    }
}

impl fmt::Display for Reconciliation {
    /// The table that a person reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: &dyn fmt::Display| writeln!(f, "  {name:<70}{:>20}", value.to_string());
        line(&format!("import {}: rows read", self.source), &self.rows_read)?;
        for (became, count) in &self.tally.rows {
            line(became, count)?;
        }
        line("rows not represented", &self.unrepresented.len())?;
        line("orders", &self.tally.orders)?;
        line("sales", &self.money(self.tally.sales_minor))?;
        line("returns", &self.money(self.tally.returns_minor))?;
        line("bad debt", &self.money(self.tally.bad_debt_minor))?;
        line("rounding (source less recorded)", &self.tally.rounding)?;
        line("documents that were in the log already", &self.known)?;
        line("events written", &self.events_written())?;
        for (event_type, count) in &self.events {
            line(&format!("  {event_type}"), count)?;
        }
        for (remark, count) in self.remarks.iter().map(|(remark, count)| (remark.as_str(), count)) {
            line(remark, count)?;
        }
        for (remark, count) in &self.tally.remarks {
            line(remark, count)?;
        }
        line("seconds", &format_args!("{:.1}", self.took.as_secs_f64()))?;
        for lost in self.unrepresented.iter().take(ROWS_SHOWN) {
            writeln!(f, "  row {}: {}", lost.row, lost.reason)?;
        }
        if self.unrepresented.len() > ROWS_SHOWN {
            writeln!(f, "  ... and {} more; --json lists them all", self.unrepresented.len() - ROWS_SHOWN)?;
        }
        Ok(())
    }
}
