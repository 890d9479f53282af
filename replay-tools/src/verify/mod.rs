//! `verify`: whether the log is whole, unaltered, readable and keeps the shop's rules.

mod business;
mod continuity;
mod finding;
mod fold;
mod head;
mod order_book;
mod pace;
mod payload;
mod reading;
mod record;
mod repeats;
mod report;
mod snapshots;

use std::{
    collections::BTreeMap,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use event_schemas::Position;
use event_store::{Log, ReadError, end_of};
use serde::Deserialize;

use self::{
    continuity::Continuity,
    fold::Folds,
    head::{HeadArgs, Known},
    reading::{Pages, Step},
    record::{Checked, Schemas, check},
    snapshots::Met,
};
pub use self::{
    finding::{Finding, Rule},
    head::Head,
    pace::Pace,
    report::Verification,
};
use crate::{Failure, LogUrl, Progress, Report, Tree, hex, open::open_beginning};

/// How many findings are enough to stop.
const ENOUGH: usize = 100;

/// What to verify.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    log: LogUrl,
    /// The first position to look at. Rules that need the past hold only from the beginning, and are left out otherwise.
    #[arg(long, env = "DAYBOOK_FROM", value_name = "POSITION", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    from: Position,
    /// The last position to look at; the head if not told.
    #[arg(long, env = "DAYBOOK_TO", value_name = "POSITION")]
    to: Option<Position>,
    #[command(flatten)]
    heads: HeadArgs,
    /// Of a run behind a head: compare also the snapshots that were taken before it, for which their streams are read again.
    #[arg(long, env = "DAYBOOK_ALL_SNAPSHOTS")]
    all_snapshots: bool,
    /// Write what was verified and found to this file as well, as JSON, in the place of an earlier report.
    #[arg(long, env = "DAYBOOK_REPORT", value_name = "FILE")]
    report: Option<PathBuf>,
    /// Read and decode everything first, and say how fast the run was beside that.
    #[arg(long, env = "DAYBOOK_BASELINE")]
    baseline: bool,
}

impl VerifyArgs {
    /// Verifies. A damaged export is a finding like any other, and what can be read before the damage is verified as well.
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        self.report.as_deref().map_or(Ok(()), must_be_replaceable)?;
        let (verification, log) = match open_beginning(&self.log.log).await {
            Ok((log, damage)) => (self.verify_beginning(&log, damage).await?, Some(log.id())),
            Err(Failure::Read(ReadError::Damaged { position, reason })) => (Verification::broken_off(position, reason), None),
            Err(error) => return Err(error),
        };
        if let Some(file) = &self.report {
            write(file, &verification.report(log))?;
        }
        Ok(Report { ok: verification.ok, text: verification.to_string(), json: crate::json(&verification)? })
    }

    /// Verifies what there is of a log, which ends before the damage, if there is any. What is left may be too little to be verified
    /// as it was asked for, such as behind a head: then the damage is all there is to tell.
    async fn verify_beginning(&self, log: &Arc<dyn Log>, damage: Option<ReadError>) -> Result<Verification, Failure> {
        let Some(ReadError::Damaged { position, reason }) = damage else { return self.verify(log, self.from, self.to).await };
        let end = end_of(&**log).await?;
        let verified = self.verify(log, self.from.min(end + 1), self.to.map(|to| to.min(end))).await;
        let Ok(mut verification) = verified else { return Ok(Verification::broken_off(position, reason)) };
        verification.ends_before(position, reason);
        Ok(verification)
    }

    async fn verify(&self, log: &Arc<dyn Log>, from_told: Position, to: Option<Position>) -> Result<Verification, Failure> {
        let (known, resumed) = self.heads.known(log).await?;
        let from = resumed.unwrap_or(from_told);
        let end = match to {
            Some(to) => to,
            None => end_of(&**log).await?,
        };
        let baseline = if self.baseline { Some(pace::decoded_per_s(log, from, end).await?) } else { None };
        let since = resumed.filter(|_| !self.all_snapshots).unwrap_or(1);
        let mut verification = verify_known(Arc::clone(log), from, to, known, since).await?;
        verification.pace = baseline.map(|baseline| Pace::of(verification.events, verification.seconds, baseline));
        Ok(verification)
    }
}

/// A report takes the place of an earlier one, and of nothing else: a slip of the pen must not cost a log or a key.
fn must_be_replaceable(file: &Path) -> Result<(), Failure> {
    if !file.is_file() {
        return Ok(());
    }
    let there = BufReader::new(File::open(file).map_err(Failure::file(file))?);
    if serde_json::from_reader::<_, EarlierReport>(there).is_ok() {
        return Ok(());
    }
    Err(Failure::Refused(format!("{} is there already, and no report of verify: name another file", file.display())))
}

/// What every report has.
#[derive(Deserialize)]
struct EarlierReport {
    #[serde(rename = "daybook_replay")]
    _by: String,
    #[serde(rename = "rules_checked")]
    _rules: Vec<String>,
}

fn write(file: &Path, report: &serde_json::Value) -> Result<(), Failure> {
    std::fs::write(file, format!("{report:#}\n")).map_err(Failure::file(file))
}

/// Verifies the events from `from` (at least 1) up to `to`, or to the head.
///
/// Rules that need the past (folds, stock, payments, promotions, claims) are checked when `from` is 1. So is whether the log
/// still begins with what is `known` of it, as far as `to`. The snapshots that the log keeps are compared in any case, all of
/// them. Memory stays the same however long the log is; ids that must not
/// come twice are looked for in temporary files, of some 75 bytes an event.
///
/// # Errors
/// If the log cannot be read at all. What cannot be read of it once it has begun is a finding.
pub async fn verify(
    log: Arc<dyn Log>,
    from: Position,
    to: Option<Position>,
    known: Option<Head>,
) -> Result<Verification, Failure> {
    verify_known(log, from, to, Known::of(known), 1).await
}

/// The same, of the snapshots that were taken `since` a position.
async fn verify_known(
    log: Arc<dyn Log>,
    from: Position,
    to: Option<Position>,
    known: Known,
    since: Position,
) -> Result<Verification, Failure> {
    let head = end_of(&*log).await?;
    let from = from.max(1);
    let to = to.unwrap_or(head);
    if to > head || from > to + 1 {
        return Err(Failure::Refused(format!("positions {from} to {to} are not in a log that ends at position {head}")));
    }
    let schemas = Schemas::compiled()?;
    let mut progress = Progress::new("verifying", to + 1 - from);
    let mut run = Run::new(Arc::clone(&log), from, known);
    run.expect(head).await;
    // While one page is checked record by record, the next is read, and the one before is held against the past.
    let mut pages = Pages::of(log, from - 1, to, move |record| check(record, &schemas));
    while let Some(page) = pages.next().await? {
        run.take_in(page).await?;
        progress.tick(run.events);
        if run.findings.len() >= ENOUGH || run.stopped {
            break;
        }
    }
    run.conclude(to, since, &progress).await
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
    /// Whether the tree is that of the log from its beginning.
    is_whole: bool,
    known: Known,
    continuity: Continuity,
    folds: Folds,
    met: Met,
    stopped: bool,
}

impl Run {
    fn new(log: Arc<dyn Log>, from: Position, mut known: Known) -> Self {
        let begin = known.begin.take();
        Self {
            log,
            from,
            last: from - 1,
            events: 0,
            findings: Vec::new(),
            unknown: BTreeMap::new(),
            is_whole: from == 1 || begin.is_some(),
            tree: begin.unwrap_or_default(),
            known,
            continuity: Continuity::from(from),
            folds: Folds::new(),
            met: Met::default(),
            stopped: false,
        }
    }

    /// What is wrong before anything is read, and what to look out for.
    async fn expect(&mut self, head: Position) {
        if self.from == 1 {
            self.met = Met::expected(&*self.log).await;
        }
        for (position, message) in self.known.settle(&self.tree, self.is_whole, head) {
            self.found(position, Rule::Head, message);
        }
    }

    async fn take_in(&mut self, step: Step<Checked>) -> Result<(), Failure> {
        match step {
            Step::Page(page) => {
                for checked in page {
                    self.take_in_record(checked).await?;
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
        Ok(())
    }

    async fn take_in_record(&mut self, checked: Checked) -> Result<(), Failure> {
        let position = checked.record.position;
        self.events += 1;
        self.last = position;
        self.tree.push(checked.record.digest);
        if let Some(message) = self.known.passes(&self.tree) {
            self.found(position, Rule::Head, message);
        }
        let mut wrong = self.continuity.check(&checked)?;
        if self.from == 1 {
            match self.folds.fold(&*self.log, &checked, &mut self.met).await {
                Ok(broken) => wrong.extend(broken),
                Err(error) => wrong.push((Rule::Fold, error.to_string())),
            }
        }
        for (rule, message) in wrong {
            self.found(position, rule, message);
        }
        if checked.unknown {
            let event = &checked.record.event;
            *self.unknown.entry(format!("{} version {}", event.event_type, event.event_version)).or_default() += 1;
        }
        self.findings.extend(checked.findings);
        Ok(())
    }

    fn found(&mut self, position: Position, rule: Rule, message: String) {
        self.findings.push(Finding { position, rule, message });
    }

    async fn conclude(mut self, to: Position, since: Position, progress: &Progress) -> Result<Verification, Failure> {
        self.findings.extend(self.continuity.conclude(&*self.log, ENOUGH).await?);
        let is_enough = self.stopped || self.findings.len() >= ENOUGH;
        let compared = if is_enough { None } else { Some(snapshots::compare(&*self.log, &self.met, since).await) };
        let snapshots = compared.as_ref().map(|compared| compared.snapshots);
        let compared = compared.unwrap_or_default();
        let wrong = compared.wrong.into_iter();
        self.findings.extend(wrong.map(|(position, message)| Finding { position, rule: Rule::Snapshot, message }));
        self.findings.sort_by_key(|finding| (finding.position, finding.rule));
        self.findings.truncate(ENOUGH);
        let ok = self.findings.is_empty();
        Ok(Verification {
            ok,
            from: self.from,
            to: if ok { to } else { self.last },
            events: self.events,
            snapshots,
            snapshots_left_out: compared.left_out,
            snapshots_earlier: compared.earlier,
            heads: self.known.checked(),
            root: (ok && self.is_whole).then(|| hex(&self.tree.root())),
            findings: self.findings,
            seconds: progress.seconds(),
            pace: None,
            unknown: self.unknown,
        })
    }
}
