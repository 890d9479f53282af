//! `export-person`: everything that the log has about a person, opened, without a running shop.

use std::collections::BTreeSet;

use clap::Args;
use event_schemas::{PersonId, Recorded, StreamId, rfc3339, words::sentence};
use event_store::Log;
use serde_json::json;

use crate::{
    Failure, LogUrl, Report,
    history::read_stream,
    open,
    sealed::{VaultUrl, shown},
};

/// How many events are read at once.
const PAGE: usize = 1_000;

/// Whose data to tell.
#[derive(Debug, Args)]
pub struct ExportPersonArgs {
    /// The person: the id of their key, as `show` prints it.
    person: PersonId,
    #[command(flatten)]
    log: LogUrl,
    #[command(flatten)]
    vault: VaultUrl,
}

impl ExportPersonArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let (log, persons) = (open(&self.log.log).await?, self.vault.persons().await?);
        let (streams, position) = about(&*log, self.person).await?;
        let (mut text, mut told, mut events) = (String::new(), Vec::new(), 0);
        for stream in &streams {
            text.push_str(&format!("{stream}\n"));
            let mut entries = Vec::new();
            for record in read_stream(&*log, stream, None).await? {
                let event = &record.event;
                let data = shown(persons.as_ref(), &record).await?;
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
        text.push_str(&format!("{}: {} streams, {events} events, of positions 1 to {position}\n", self.person, streams.len()));
        let json = json!({
            "person": self.person.to_string(), "from": 1, "to": position, "events": events, "streams": told
        });
        Ok(Report { ok: true, text, json })
    }
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
