//! `verify`: whether the log is whole, unaltered, readable and keeps the shop's rules.

mod business;
mod continuity;
mod finding;
mod fold;
mod head;
mod reading;
mod record;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clap::Args;
use event_schemas::{Position, Recorded};
use event_store::{Log, ReadError};
use futures::StreamExt as _;
use serde::Serialize;

use self::{
    business::Business,
    continuity::Continuity,
    fold::Folds,
    reading::{Step, read},
    record::{Checked, Schemas, check},
};
pub use self::{
    finding::{Finding, Rule},
    head::Head,
};
use crate::{Failure, LogUrl, Progress, Report, Tree, hex, open};

/// How many findings are enough to stop.
const ENOUGH: usize = 100;

/// What to verify.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    log: LogUrl,
    /// The first position to look at. Rules that need the past hold only from the beginning, and are left out otherwise.
    #[arg(long, env = "DAYBOOK_FROM", value_name = "POSITION", default_value_t = 1)]
    from: Position,
    /// The last position to look at; the head if not told.
    #[arg(long, env = "DAYBOOK_TO", value_name = "POSITION")]
    to: Option<Position>,
    /// What an earlier `verify --json` or an export's manifest said: the log must still begin with exactly that.
    #[arg(long, env = "DAYBOOK_FROM_HEAD", value_name = "FILE", conflicts_with_all = ["from", "to"])]
    from_head: Option<PathBuf>,
}

impl VerifyArgs {
    /// Verifies. A damaged export is a finding like any other.
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let head = self.from_head.as_deref().map(Head::read).transpose()?;
        let verification = match open(&self.log.log).await {
            Ok(log) => verify(log, self.from, self.to, head).await?,
            Err(Failure::Read(ReadError::Damaged { position, reason })) => Verification::broken_off(position, reason),
            Err(error) => return Err(error),
        };
        Ok(Report { ok: verification.ok, text: verification.to_string(), json: crate::json(&verification)? })
    }
}

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
    /// What is wrong, in the order of the log.
    pub findings: Vec<Finding>,
    /// The Merkle tree head over the digests, hexadecimal: of a range from position 1 that nothing is wrong with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// Events that a newer version of Daybook wrote, by type and version. They are carried, and not a finding.
    #[serde(skip)]
    pub unknown: BTreeMap<String, u64>,
}

impl Verification {
    fn broken_off(position: Position, reason: String) -> Self {
        Self {
            ok: false,
            from: 1,
            to: position,
            events: 0,
            findings: vec![Finding { position, rule: Rule::Positions, message: reason }],
            root: None,
            seconds: 0.0,
            unknown: BTreeMap::new(),
        }
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
        if from > &1 {
            writeln!(f, "not checked, because it needs the log from its beginning: folds, stock, payments, promotions, names")?;
        }
        self.root.as_ref().map_or(Ok(()), |root| writeln!(f, "root {root}"))
    }
}

/// Verifies the events from `from` (at least 1) up to `to`, or to the head.
///
/// Rules that need the past (folds, stock, payments, promotions, claims) are checked when `from` is 1. So is whether the log
/// still begins with what is `known` of it, as far as `to`.
///
/// # Errors
/// If the log cannot be read at all. What cannot be read of it once it has begun is a finding.
pub async fn verify(
    log: Arc<dyn Log>,
    from: Position,
    to: Option<Position>,
    known: Option<Head>,
) -> Result<Verification, Failure> {
    let head = log.head().await?.position;
    let from = from.max(1);
    let to = to.unwrap_or(head);
    if to > head || from > to + 1 {
        return Err(Failure::Refused(format!("positions {from} to {to} are not in a log that ends at position {head}")));
    }
    let schemas = Arc::new(Schemas::compile()?);
    let mut progress = Progress::new("verifying", to + 1 - from);
    let mut run = Run::new(Arc::clone(&log), from);
    run.expect(known, head);
    // While one page is checked record by record, the next is read, and the one before is held against the past.
    let mut pages = Box::pin(read(log, from - 1, to).map(|step| check_page(step, &schemas)).buffered(3));
    while let Some(page) = pages.next().await {
        run.take_in(page?).await;
        progress.tick(run.events);
        if run.findings.len() >= ENOUGH || run.stopped {
            break;
        }
    }
    Ok(run.conclude(to, &progress))
}

async fn check_page(step: Step<Recorded>, schemas: &Arc<Schemas>) -> Result<Step<Checked>, Failure> {
    let page = match step {
        Step::Page(page) => page,
        Step::Damage(position, reason) => return Ok(Step::Damage(position, reason)),
        Step::Failure(position, reason) => return Ok(Step::Failure(position, reason)),
    };
    let schemas = Arc::clone(schemas);
    let checked = move || page.into_iter().map(|record| check(record, &schemas)).collect();
    let done = tokio::task::spawn_blocking(checked).await;
    done.map(Step::Page).map_err(|error| Failure::Refused(format!("a check did not end: {error}")))
}

/// A run in progress.
struct Run {
    log: Arc<dyn Log>,
    from: Position,
    last: Position,
    events: u64,
    findings: Vec<Finding>,
    unknown: BTreeMap<String, u64>,
    tree: Tree,
    known: Option<Head>,
    continuity: Continuity,
    business: Business,
    folds: Folds,
    stopped: bool,
}

impl Run {
    fn new(log: Arc<dyn Log>, from: Position) -> Self {
        Self {
            log,
            from,
            last: from - 1,
            events: 0,
            findings: Vec::new(),
            unknown: BTreeMap::new(),
            tree: Tree::default(),
            known: None,
            continuity: Continuity::from(from),
            business: Business::default(),
            folds: Folds::new(),
            stopped: false,
        }
    }

    fn expect(&mut self, known: Option<Head>, head: Position) {
        if let Some(Head { to, .. }) = known.as_ref().filter(|known| known.to > head) {
            self.found(head + 1, Rule::Head, format!("the log had {to} events, and ends before this one now"));
        }
        self.known = known.filter(|_| self.from == 1);
    }

    async fn take_in(&mut self, step: Step<Checked>) {
        match step {
            Step::Page(page) => {
                for checked in page {
                    self.take_in_record(checked).await;
                }
            }
            Step::Damage(position, reason) => {
                self.found(position, Rule::Positions, reason);
                self.continuity.skip(position);
                self.last = position;
            }
            Step::Failure(position, reason) => {
                self.found(position, Rule::Positions, reason);
                self.stopped = true;
            }
        }
    }

    async fn take_in_record(&mut self, checked: Checked) {
        let position = checked.record.position;
        self.events += 1;
        self.last = position;
        self.tree.push(checked.record.digest);
        if let Some(Head { to, root }) = self.known.take_if(|known| known.to == position)
            && hex(&self.tree.root()) != root
        {
            self.found(to, Rule::Head, format!("the first {to} events had root {root}, and have another now"));
        }
        for (rule, message) in self.continuity.check(&checked) {
            self.found(position, rule, message);
        }
        if self.from == 1 {
            let key = self.continuity.key(&checked.record.event.stream);
            for (rule, message) in checked.events.iter().filter_map(|event| self.business.check(key, event)).collect::<Vec<_>>() {
                self.found(position, rule, message);
            }
            match self.folds.fold(&*self.log, &checked.record, &checked.events).await {
                Ok(Some(message)) => self.found(position, Rule::Fold, message),
                Ok(None) => {}
                Err(error) => self.found(position, Rule::Fold, error.to_string()),
            }
        }
        if checked.unknown {
            let event = &checked.record.event;
            *self.unknown.entry(format!("{} version {}", event.event_type, event.event_version)).or_default() += 1;
        }
        self.findings.extend(checked.findings);
    }

    fn found(&mut self, position: Position, rule: Rule, message: String) {
        self.findings.push(Finding { position, rule, message });
    }

    fn conclude(mut self, to: Position, progress: &Progress) -> Verification {
        self.findings.sort_by_key(|finding| (finding.position, finding.rule));
        self.findings.truncate(ENOUGH);
        let ok = self.findings.is_empty();
        Verification {
            ok,
            from: self.from,
            to: if ok { to } else { self.last },
            events: self.events,
            root: (ok && self.from == 1).then(|| hex(&self.tree.root())),
            findings: self.findings,
            seconds: progress.seconds(),
            unknown: self.unknown,
        }
    }
}
