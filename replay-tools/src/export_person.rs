//! `export-person`: everything that the log has about a person, opened, without a running shop.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use event_schemas::{PersonId, Recorded, StreamId, rfc3339, words::sentence};
use event_store::{Log, Moment};
use serde_json::json;
use vault::Persons;

use crate::{
    Failure, LogUrl, RecordArgs, Report,
    history::read_stream,
    open,
    sealed::{VaultUrl, shown},
};

/// How many events are read at once.
const PAGE: usize = 1_000;

/// Whose data to tell.
///
/// With the vault, `--record-as` is needed: what is taken along is readable, also after the person was erased, so the log has to
/// say who has it. Who may only read the log, or has only an export of it, is told what is sealed as such. It is no lock: whoever
/// has the vault and its key could open a copy of the log.
#[derive(Debug, Args)]
pub struct ExportPersonArgs {
    /// The person: the id of their key, as `show` prints it.
    person: PersonId,
    /// The file to write, as JSON, which must not be there yet and which only its owner can read; standard output unless given.
    #[arg(long, env = "DAYBOOK_OUT", value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    log: LogUrl,
    #[command(flatten)]
    vault: VaultUrl,
    #[command(flatten)]
    record: RecordArgs,
}

impl ExportPersonArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        if self.vault.vault.is_some() && !self.record.is_asked() {
            let why = "who takes along what the vault opens is written in the log";
            return Err(Failure::Refused(format!("{why}: say who, with --record-as NAME, or leave the vault out")));
        }
        let (log, persons) = (open(&self.log.log).await?, self.vault.persons().await?);
        let told = tell(&*log, self.person, persons.as_ref()).await?;
        // Made before it is written down that it was handed out: a file that cannot be made hands out nothing.
        let file = self.out.as_deref().map(new_file).transpose()?;
        let handed_out = self.hand_out(told, file.as_ref()).await;
        if let (Err(_), Some(path)) = (&handed_out, &self.out)
            && let Err(error) = std::fs::remove_file(path)
        {
            eprintln!("daybook-replay: {} is not whole and could not be removed: {error}", path.display());
        }
        handed_out
    }

    /// Writes down that somebody's data is handed out, if that is asked for, and hands it out.
    async fn hand_out(&self, told: Report, file: Option<&File>) -> Result<Report, Failure> {
        let person = self.person;
        self.record.record(&self.log.log, &format!("person/{person}"), "json", None).await?;
        let (Some(mut file), Some(path)) = (file, &self.out) else { return Ok(told) };
        let written = writeln!(file, "{:#}", told.json).and_then(|()| file.sync_all());
        written.map_err(Failure::file(path))?;
        let out = path.display().to_string();
        let text = format!("everything that the log has about person {person} is in {out}\n");
        let json = json!({ "person": person.to_string(), "to": told.json["to"], "events": told.json["events"], "out": out });
        Ok(Report { ok: true, text, json })
    }
}

/// A file that only its owner can read, and that was not there.
fn new_file(path: &Path) -> Result<File, Failure> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(Failure::file(path))
}

/// All events about a person, opened as far as that can be.
async fn tell(log: &dyn Log, person: PersonId, persons: Option<&Persons>) -> Result<Report, Failure> {
    let (streams, position) = about(log, person).await?;
    if streams.is_empty() {
        return Err(Failure::Refused(format!("the log has nothing about person {person}")));
    }
    let (mut text, mut told, mut events) = (String::new(), Vec::new(), 0);
    for stream in &streams {
        text.push_str(&format!("{stream}\n"));
        let mut entries = Vec::new();
        // Not what was written meanwhile: it is told up to which position everything is there.
        for record in read_stream(log, stream, Some(Moment::Position(position))).await? {
            let event = &record.event;
            let data = shown(persons, &record).await?;
            let recorded_at = rfc3339(event.recorded_at);
            text.push_str(&format!("  {recorded_at}  position {}  {}\n    {data}\n", record.position, sentence(&record)));
            entries.push(json!({
                "position": record.position, "recorded_at": recorded_at, "occurred_at": rfc3339(event.occurred_at),
                "type": event.event_type, "version": event.event_version, "sentence": sentence(&record), "data": data,
            }));
            events += 1;
        }
        told.push(json!({ "stream": stream.to_string(), "events": entries }));
    }
    text.push_str(&format!("{person}: {} streams, {events} events, of positions 1 to {position}\n", streams.len()));
    let json = json!({ "person": person.to_string(), "from": 1, "to": position, "events": events, "streams": told });
    Ok(Report { ok: true, text, json })
}

/// The streams about a person, and where the log ended: those that name their key, and those whose events came of the same
/// commands as an order of theirs does with its payment.
async fn about(log: &dyn Log, person: PersonId) -> Result<(BTreeSet<StreamId>, u64), Failure> {
    let (mut streams, mut commands, mut position) = (BTreeSet::new(), BTreeSet::new(), 0);
    let named = format!("\"sealed:1:{person}:");
    let mut payments: Vec<(uuid::Uuid, StreamId)> = Vec::new();
    loop {
        let page = log.read(position, PAGE).await?;
        let Some(last) = page.last() else { break };
        position = last.position;
        for record in &page {
            let stream = &record.event.stream;
            let is_own = stream.aggregate_type == "person" && stream.aggregate_id == person.to_string();
            // Somebody may have typed what looks sealed for another.
            let names = || record.sealed_texts().is_ok_and(|texts| texts.values().any(|whose| *whose == person));
            if is_own || record.event.payload.contains(&named) && names() {
                streams.insert(stream.clone());
                commands.extend(command(record).filter(|_| stream.aggregate_type == "order"));
            } else if stream.aggregate_type == "payment" && record.event.sequence == 1 {
                payments.extend(command(record).map(|command| (command, stream.clone())));
            }
        }
    }
    streams.extend(payments.into_iter().filter(|(command, _)| commands.contains(command)).map(|(_, stream)| stream));
    Ok((streams, position))
}

fn command(record: &Recorded) -> Option<uuid::Uuid> {
    record.metadata().ok().map(|metadata| metadata.command_id)
}
