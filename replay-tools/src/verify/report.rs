//! What `verify` has to say: in words, and as JSON.

use std::collections::BTreeMap;

use event_schemas::Position;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ENOUGH, Finding, Rule, pace::Pace};

/// What was verified, and what was found.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// Whether nothing was found.
    pub ok: bool,
    /// The first position looked at.
    pub from: Position,
    /// The last position looked at: the head as it was when the run began, unless it was told or had to stop earlier.
    pub to: Position,
    /// How many events were read.
    pub events: u64,
    /// How many snapshots, which no digest covers, were held against the events of their streams; none if that was not done.
    pub snapshots: Option<u64>,
    /// How many were not, because they have the form of another version of Daybook. The engine does not read those either.
    pub snapshots_left_out: u64,
    /// How many were not, because the run began behind a head and they were taken before it.
    pub snapshots_earlier: u64,
    /// How many heads that were known beforehand the log was held against.
    pub heads: u64,
    /// What is wrong, in the order of the log.
    pub findings: Vec<Finding>,
    /// The Merkle tree head over the digests, hexadecimal: of a range from position 1 that nothing is wrong with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// How fast that was, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
    /// Events that a newer version of Daybook wrote, by type and version. They are carried, and not a finding.
    #[serde(skip)]
    pub unknown: BTreeMap<String, u64>,
}

impl Verification {
    pub(super) fn broken_off(position: Position, reason: String) -> Self {
        Self {
            ok: false,
            from: 1,
            to: position,
            events: 0,
            snapshots: None,
            snapshots_left_out: 0,
            snapshots_earlier: 0,
            heads: 0,
            findings: vec![Finding { position, rule: Rule::Positions, message: reason }],
            root: None,
            seconds: 0.0,
            pace: None,
            unknown: BTreeMap::new(),
        }
    }

    /// That the log could be read only up to before a position, unless that was found there already.
    pub(super) fn ends_before(&mut self, position: Position, reason: String) {
        (self.ok, self.root) = (false, None);
        let is_told = |finding: &Finding| finding.position == position && matches!(finding.rule, Rule::Positions | Rule::Digest);
        if !self.findings.iter().any(is_told) {
            self.findings.push(Finding { position, rule: Rule::Positions, message: reason });
            self.findings.sort_by_key(|finding| (finding.position, finding.rule));
        }
    }
}

impl Verification {
    /// The report for a file: what was found, of which log, by which version and under which rules.
    pub(super) fn report(&self, log: Option<Uuid>) -> Value {
        let (checked, left_out): (Vec<_>, Vec<_>) =
            Rule::ALL.into_iter().partition(|rule| self.from == 1 || !rule.needs_the_past());
        json!({
            "verification": self,
            "log": log,
            "daybook_replay": env!("CARGO_PKG_VERSION"),
            "rules_checked": checked,
            "rules_left_out": left_out,
            "carried_not_understood": self.unknown,
            "in_words": self.to_string(),
        })
    }
}

impl std::fmt::Display for Verification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        for (what, times) in &self.unknown {
            writeln!(f, "carried, not understood: {what}, {times} times (a newer version of Daybook wrote it)")?;
        }
        let Self { from, to, events, seconds, .. } = self;
        let verdict = match self.findings.len() {
            0 => "nothing is wrong".to_owned(),
            1 => "1 finding".to_owned(),
            many if many >= ENOUGH => format!("{many} findings, which was enough to stop"),
            many => format!("{many} findings"),
        };
        writeln!(f, "{verdict}: positions {from} to {to}, {events} events, in {seconds} s")?;
        let left_out = match self.snapshots_left_out {
            0 => String::new(),
            many => format!("; {many} more were left out: they have the form of another version of Daybook"),
        };
        let earlier = match self.snapshots_earlier {
            0 => String::new(),
            many => format!("; {many} more were taken before position {from}, and were not compared again"),
        };
        match self.snapshots {
            Some(compared) => writeln!(f, "snapshots: {compared}{left_out}{earlier}")?,
            None => writeln!(f, "snapshots: not compared")?,
        }
        if self.heads > 0 {
            writeln!(f, "heads: {}", self.heads)?;
        }
        if from > &1 {
            writeln!(f, "not checked, because it needs the log from its beginning: folds, stock, payments, promotions, names")?;
        }
        if let Some(pace) = &self.pace {
            write!(f, "{pace}")?;
        }
        self.root.as_ref().map_or(Ok(()), |root| writeln!(f, "root {root}"))
    }
}
