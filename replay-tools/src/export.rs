//! `export`: writes events to a file that stands for itself, with a manifest of what must be in it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::TimeDelta;
use clap::Args;
use event_schemas::{Position, Recorded};
use event_store::{Log, Moment, PastLog};

use crate::{
    Counted, Failure, Format, LogUrl, Manifest, Progress, RecordArgs, Report, Selection, Tree,
    export_file::{FORMAT, must_have_folder, schema_digests},
    export_log::sha256,
    export_sink::{Sink, part_of, reopen},
    export_source::Source,
    hex, json, open,
};

/// How many events are read at once.
const PAGE: usize = 1_000;

/// What to export.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    log: LogUrl,
    /// The file to write; its manifest is written to FILE.manifest.json.
    #[arg(long, env = "DAYBOOK_OUT", value_name = "FILE")]
    out: PathBuf,
    /// The format; a file that is named as one of another is refused.
    #[arg(long, env = "DAYBOOK_FORMAT", default_value = "jsonl")]
    format: Format,
    /// The first position, or the time from which on events were recorded.
    #[arg(long, env = "DAYBOOK_FROM", value_name = "POSITION|TIME", default_value = "1")]
    from: Moment,
    /// The last position, or the time up to which events were recorded; the head if not told.
    #[arg(long, env = "DAYBOOK_TO", value_name = "POSITION|TIME")]
    to: Option<Moment>,
    /// Only these streams, such as order/0197…, or all of a type, such as order; separated by commas.
    #[arg(long, env = "DAYBOOK_STREAMS", value_name = "STREAMS", value_delimiter = ',')]
    streams: Vec<String>,
    /// Only these event types, such as OrderPlaced; separated by commas.
    #[arg(long, env = "DAYBOOK_TYPES", value_name = "TYPES", value_delimiter = ',')]
    types: Vec<String>,
    /// Go on with the file, if it is there, or with what was broken off: nothing that is whole in it is written again.
    #[arg(long, env = "DAYBOOK_RESUME")]
    resume: bool,
    #[command(flatten)]
    record: RecordArgs,
}

impl ExportArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let selection = Selection { streams: self.streams, types: self.types };
        selection.check()?;
        self.format.fits(&self.out)?;
        let log = open(&self.log.log).await?;
        let from = first_of(&log, self.from).await?;
        let to = match self.to {
            Some(moment) => last_of(&log, moment).await?,
            None => log.head().await?.position,
        };
        let asked = Asked { format: self.format, from, to, selection, resume: self.resume };
        // What is not made is not written down.
        must_be_there(&*log, from, to).await?;
        must_be_free(&self.out, self.resume)?;
        self.record.record(&self.log.log, "log", self.format.name(), Some((from, to))).await?;
        let manifest = export(&*log, &self.out, asked).await?;
        let Manifest { from, to, events, root, .. } = &manifest;
        if *events == 0 {
            eprintln!("daybook-replay: nothing in positions {from} to {to} is what was asked for: the export is empty");
        }
        let file = self.out.display();
        let text = format!("exported {events} events of positions {from} to {to} to {file}\nroot {root}\n");
        Ok(Report { ok: true, text, json: json(&manifest)? })
    }
}

/// The first position of what was recorded at a moment or after.
async fn first_of(log: &Arc<dyn Log>, moment: Moment) -> Result<Position, Failure> {
    match moment {
        Moment::Position(0) => Err(Failure::Refused("positions start at 1: there is nothing at position 0".to_owned())),
        Moment::Position(position) => Ok(position),
        Moment::Recorded(time) => {
            moment.has_come(&**log).await?;
            Ok(last_of(log, Moment::Recorded(time - TimeDelta::microseconds(1))).await? + 1)
        }
        Moment::Occurred(_) => Err(by_occurrence()),
    }
}

/// The last position that a moment includes.
async fn last_of(log: &Arc<dyn Log>, moment: Moment) -> Result<Position, Failure> {
    match moment {
        Moment::Position(position) => Ok(position),
        Moment::Recorded(_) => Ok(PastLog::at(Arc::clone(log), moment).await?.end().position),
        Moment::Occurred(_) => Err(by_occurrence()),
    }
}

fn by_occurrence() -> Failure {
    Failure::Refused("an export goes by positions or by when events were recorded, so that it is a piece of the log".to_owned())
}

/// What an export is to hold, and whether it goes on with an earlier one.
#[derive(Debug, Clone)]
pub struct Asked {
    /// How the events stand in the file.
    pub format: Format,
    /// The first position.
    pub from: Position,
    /// The last position.
    pub to: Position,
    /// Which events of these.
    pub selection: Selection,
    /// Goes on with the file if it is there, whole or broken off. Otherwise a file that is there is an error.
    pub resume: bool,
}

/// Writes the events that are asked for. The file appears under its name when it is whole, and its manifest after it. An
/// export that was broken off leaves its beginning beside that name, to go on with.
///
/// # Errors
/// If the log cannot be read, an event is not what was recorded, a file is in the way or of something else, or it cannot be
/// written.
pub async fn export(log: &dyn Log, out: &Path, asked: Asked) -> Result<Manifest, Failure> {
    let Asked { format, from, to, selection, resume } = asked;
    must_be_there(log, from, to).await?;
    let mut manifest = Manifest {
        format: FORMAT.to_owned(),
        encoding: format,
        log: log.id(),
        from,
        to,
        events: 0,
        root: String::new(),
        types: BTreeMap::new(),
        sha256: None,
        selection,
    };
    begin(log, out, &manifest, resume).await?;
    let mut tally = Tally::of(&manifest);
    let mut sink = Sink::open(out, format, |record| tally.take(record))?;
    tally.belongs_to(log, out, &manifest).await?;
    let mut progress = Progress::new("exporting", to + 1 - from);
    let mut after = tally.last.unwrap_or(from - 1);
    while after < to {
        let limit = usize::try_from(to - after).unwrap_or(PAGE).min(PAGE);
        for record in log.read(after, limit).await? {
            if !record.is_intact() {
                let position = record.position;
                return Err(Failure::Refused(format!("position {position} was changed after it was recorded; see verify")));
            }
            if manifest.selection.takes(&record.event) {
                sink.put(&record)?;
                tally.take(&record);
            }
            after = record.position;
        }
        progress.tick(after + 1 - from);
    }
    sink.finish(out)?;
    (manifest.events, manifest.root) = (tally.tree.size(), hex(&tally.tree.root()));
    manifest.sha256 = if format == Format::Parquet { Some(sha256(out)?) } else { None };
    manifest.types = tally.types();
    manifest.write(out)?;
    // What said what the unfinished file was of.
    let plan = Manifest::path_of(&part_of(out));
    std::fs::remove_file(&plan).map_err(Failure::file(&plan))?;
    Ok(manifest)
}

/// Refuses positions that the log does not have. None at all, behind a last one, is an empty export.
async fn must_be_there(log: &dyn Log, from: Position, to: Position) -> Result<(), Failure> {
    let head = log.head().await?.position;
    if to <= head && from > 0 && from <= to + 1 {
        return Ok(());
    }
    Err(Failure::Refused(format!("positions {from} to {to} are not in a log that ends at position {head}")))
}

/// Refuses a file in a folder that is not there, and a file that is there unless it is to be gone on with. What is there of an
/// earlier export, if anything.
fn must_be_free(out: &Path, resume: bool) -> Result<Option<PathBuf>, Failure> {
    must_have_folder(out)?;
    let found = [out.to_owned(), part_of(out)].into_iter().find(|path| path.exists());
    if let Some(found) = &found
        && !resume
    {
        let shown = found.display();
        return Err(Failure::Refused(format!(
            "{shown} is there already: remove it, name another file, or go on with it by --resume"
        )));
    }
    Ok(found)
}

/// Makes sure that what is there is what is gone on with, or that nothing is.
async fn begin(log: &dyn Log, out: &Path, plan: &Manifest, resume: bool) -> Result<(), Failure> {
    let part = part_of(out);
    if let Some(found) = must_be_free(out, resume)? {
        let shown = found.display();
        // A crash may have come before the manifest of a whole file: then the plan is still there.
        let known = Manifest::of(&found).or_else(|error| Manifest::of(&part).map_err(|_| error))?;
        let what = |manifest: &Manifest| (manifest.log, manifest.encoding, manifest.from, manifest.selection.clone());
        if what(&known) != what(plan) {
            return Err(Failure::Refused(format!("{shown} is an export of another log, beginning, selection or format")));
        }
    }
    if !out.exists() {
        return plan.write(&part);
    }
    let tally = whole(out, plan)?;
    // While a plan is there, the manifest may be of before the crash.
    if !Manifest::path_of(&part).exists() {
        let known = Manifest::of(out)?;
        let is_same_file = known.sha256.is_none_or(|known| sha256(out).is_ok_and(|found| found == known));
        if !is_same_file || (known.events, known.root) != (tally.tree.size(), hex(&tally.tree.root())) {
            return Err(changed(out));
        }
    }
    tally.belongs_to(log, out, plan).await?;
    plan.write(&part)?;
    reopen(out, plan.encoding)
}

/// What a file holds that was written whole, so that nothing in it may be wrong.
fn whole(out: &Path, plan: &Manifest) -> Result<Tally, Failure> {
    let mut tally = Tally::of(plan);
    for placed in Source::open(out, plan.encoding)?.from(0).map_err(Failure::file(out))? {
        if !placed.is_ok_and(|(record, _)| tally.take(&record)) {
            return Err(changed(out));
        }
    }
    Ok(tally)
}

fn changed(out: &Path) -> Failure {
    let shown = out.display();
    Failure::Refused(format!("{shown} is not what was exported: it was changed since, and nothing is added to it"))
}

/// What was written so far.
struct Tally {
    from: Position,
    selection: Selection,
    tree: Tree,
    counts: BTreeMap<(String, u32), u64>,
    last: Option<Position>,
}

impl Tally {
    /// Of an export that has nothing yet.
    fn of(plan: &Manifest) -> Self {
        let (from, selection) = (plan.from, plan.selection.clone());
        Self { from, selection, tree: Tree::default(), counts: BTreeMap::new(), last: None }
    }

    /// Counts an event, if it can stand behind those before.
    fn take(&mut self, record: &Recorded) -> bool {
        let (next, found) = (self.last.unwrap_or(self.from - 1) + 1, record.position);
        let is_next = if self.selection.is_everything() { found == next } else { found >= next };
        let is_taken = is_next && record.is_intact() && self.selection.takes(&record.event);
        if is_taken {
            self.tree.push(record.digest);
            let event = &record.event;
            *self.counts.entry((event.event_type.to_string(), event.event_version)).or_default() += 1;
            self.last = Some(record.position);
        }
        is_taken
    }

    /// Whether the events found in the file are the log's own, all that it has up to there, and the export goes as far.
    async fn belongs_to(&self, log: &dyn Log, out: &Path, plan: &Manifest) -> Result<(), Failure> {
        let Some(last) = self.last else { return Ok(()) };
        let (shown, to) = (out.display(), plan.to);
        if last > to {
            return Err(Failure::Refused(format!("{shown} goes up to position {last} already, and not only to {to}")));
        }
        let mut ours = Tree::default();
        let mut after = self.from - 1;
        while after < last {
            let limit = usize::try_from(last - after).unwrap_or(PAGE).min(PAGE);
            if self.selection.is_everything() {
                log.digests(after, limit).await?.into_iter().for_each(|digest| ours.push(digest));
            } else {
                let read = log.read(after, limit).await?;
                read.iter().filter(|record| self.selection.takes(&record.event)).for_each(|record| ours.push(record.digest));
            }
            after += limit as u64;
        }
        if (ours.size(), ours.root()) == (self.tree.size(), self.tree.root()) {
            return Ok(());
        }
        Err(Failure::Refused(format!("the log has other events up to position {last} than {shown}")))
    }

    fn types(self) -> BTreeMap<String, BTreeMap<u32, Counted>> {
        let schemas = schema_digests();
        let mut types: BTreeMap<String, BTreeMap<u32, Counted>> = BTreeMap::new();
        for (key, events) in self.counts {
            let schema = schemas.get(&key).cloned();
            types.entry(key.0).or_default().insert(key.1, Counted { events, schema });
        }
        types
    }
}
