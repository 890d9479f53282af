//! `show`: one record in full, with the check of its digest.

use clap::Args;
use event_schemas::{Position, Recorded, rfc3339, words::sentence};
use serde_json::{Value, json};

use crate::{
    Failure, LogUrl, Report, hex, open,
    sealed::{VaultUrl, shown},
};

/// Which record to show.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The position.
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    position: Position,
    #[command(flatten)]
    log: LogUrl,
    #[command(flatten)]
    vault: VaultUrl,
}

impl ShowArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let log = open(&self.log.log).await?;
        let Some(record) = log.read(self.position - 1, 1).await?.pop() else {
            let head = log.head().await?.position;
            return Err(Failure::Refused(format!("the log ends at position {head}, before position {}", self.position)));
        };
        let persons = self.vault.persons().await?;
        let payload = shown(persons.as_ref(), &record).await?;
        Ok(Report { ok: record.is_intact(), text: tell(&record, &payload), json: describe(&record, &payload) })
    }
}

fn tell(record: &Recorded, payload: &Value) -> String {
    let event = &record.event;
    let digest = hex(&record.digest);
    let intact = if record.is_intact() { "intact" } else { "the record was changed after it was written" };
    format!(
        "position     {}\nevent id     {}\nstream       {}\nsequence     {}\ntype         {} version {}\nrecorded at  {}\n\
         occurred at  {}\ndigest       {digest} ({intact})\n\n{}\n\npayload {}\n\nmetadata {}\n",
        record.position,
        event.event_id,
        event.stream,
        event.sequence,
        event.event_type,
        event.event_version,
        rfc3339(event.recorded_at),
        rfc3339(event.occurred_at),
        sentence(record),
        pretty(payload),
        pretty(&parsed(&event.metadata)),
    )
}

/// JSON; a text that is not JSON as it is.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// JSON laid out to be read.
fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn describe(record: &Recorded, payload: &Value) -> Value {
    let event = &record.event;
    json!({
        "ok": record.is_intact(),
        "position": record.position,
        "event_id": event.event_id,
        "stream": event.stream.to_string(),
        "sequence": event.sequence,
        "type": event.event_type,
        "version": event.event_version,
        "recorded_at": rfc3339(event.recorded_at),
        "occurred_at": rfc3339(event.occurred_at),
        "digest": hex(&record.digest),
        "sentence": sentence(record),
        "payload": payload,
        "metadata": parsed(&event.metadata),
    })
}
