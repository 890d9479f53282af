//! `history`: what happened in one stream, who did it, when and why, as a person reads it.

use clap::Args;
use event_schemas::{Metadata, Recorded, StreamId, rfc3339, words::sentence};
use event_store::{Log, Moment};
use serde_json::{Value, json};

use crate::{Failure, LogUrl, Report, open};

/// How many events are read at once.
const PAGE: usize = 1_000;

/// Which stream to tell of.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The stream, such as order/0197… or stock/TEA-100@main.
    stream: StreamId,
    #[command(flatten)]
    log: LogUrl,
}

impl HistoryArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let records = read_stream(&*open(&self.log.log).await?, &self.stream, None).await?;
        let mut text = String::new();
        for record in &records {
            text.push_str(&tell(record));
        }
        let (from, to) = (records.first().map_or(0, |first| first.position), records.last().map_or(0, |last| last.position));
        text.push_str(&format!("{}: positions {from} to {to}, {} events\n", self.stream, records.len()));
        let entries: Vec<_> = records.iter().map(entry).collect();
        let json = json!({
            "stream": self.stream.to_string(), "from": from, "to": to, "events": records.len(), "history": entries
        });
        Ok(Report { ok: true, text, json })
    }
}

/// All events of a stream up to a moment.
///
/// # Errors
/// If the log cannot be read, has no such stream at all, or the moment has not come yet.
pub(crate) async fn read_stream(log: &dyn Log, stream: &StreamId, at: Option<Moment>) -> Result<Vec<Recorded>, Failure> {
    if let Some(at) = at {
        at.has_come(log).await?;
    }
    let (mut records, mut after) = (Vec::new(), 0);
    loop {
        let page = log.read_stream(stream, after, PAGE).await?;
        if page.is_empty() && after == 0 {
            return Err(Failure::Refused(format!("the log has no stream {stream}")));
        }
        let is_last = page.len() < PAGE;
        after = page.last().map_or(after, |last| last.event.sequence);
        records.extend(page.into_iter().filter(|record| at.is_none_or(|at| at.includes(record))));
        if is_last {
            return Ok(records);
        }
    }
}

fn tell(record: &Recorded) -> String {
    let event = &record.event;
    let metadata = record.metadata();
    let mut text = format!("{}  position {}\n    {}\n", rfc3339(event.recorded_at), record.position, sentence(record));
    if event.occurred_at != event.recorded_at {
        text.push_str(&format!("    happened at {}\n", rfc3339(event.occurred_at)));
    }
    match metadata {
        Ok(metadata) => text.push_str(&format!("    {}\n", because(&metadata))),
        Err(error) => text.push_str(&format!("    its metadata cannot be read: {error}\n")),
    }
    text
}

/// Why it happened: the command, and what that command answered.
fn because(metadata: &Metadata) -> String {
    let mut text = format!("by command {}", metadata.command_id);
    if let Some(cause) = metadata.causation_id {
        text.push_str(&format!(", because of event {cause}"));
    }
    if let Some(request) = metadata.correlation_id {
        text.push_str(&format!(", in request {request}"));
    }
    text
}

fn entry(record: &Recorded) -> Value {
    let event = &record.event;
    json!({
        "position": record.position,
        "sequence": event.sequence,
        "type": event.event_type,
        "version": event.event_version,
        "recorded_at": rfc3339(event.recorded_at),
        "occurred_at": rfc3339(event.occurred_at),
        "sentence": sentence(record),
        "metadata": serde_json::from_str::<Value>(&event.metadata).unwrap_or_else(|_| Value::from(event.metadata.as_str())),
    })
}
