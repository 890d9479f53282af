//! Writes in a log that an export of it was made, by whom and why, for whoever audits the auditors.
//!
//! It is the one thing that this crate adds to a log in use, and it does so when asked only: an auditor needs no more than the
//! right to read, and whoever has the files can copy them.

use std::sync::Arc;

use clap::Args;
use domain::{Audit, AuditCommand};
use event_schemas::{AuditEvent, DataExported, Metadata, Position, Proposed, StreamId, to_micros};
use event_store::{AppendError, Log};
use uuid::Uuid;

use crate::Failure;

/// How often it is tried again when others write at the same time.
const ATTEMPTS: u32 = 1_000;
/// Events read at once.
const PAGE: usize = 1_000;

/// Whether to write in the log that the export was made.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Writes in the log that this export was made, under this name, before it is made. It must be possible to write to the log.
    #[arg(long, env = "DAYBOOK_RECORD_AS", value_name = "NAME")]
    record_as: Option<String>,
    /// Why, as the reference of a ticket or a case, such as AUDIT-2026-Q1.
    #[arg(long, env = "DAYBOOK_REASON", value_name = "REFERENCE", requires = "record_as")]
    reason: Option<String>,
}

impl RecordArgs {
    /// Writes it down, if that is asked for: at which position.
    ///
    /// # Errors
    /// If the name or the reason is none, or the log cannot be written: nothing is to be exported then.
    pub async fn record(self, url: &str, format: &str, from: Position, to: Position) -> Result<Option<Position>, Failure> {
        let Some(name) = self.record_as else { return Ok(None) };
        if name.trim().is_empty() {
            return Err(unwritten("--record-as names nobody"));
        }
        let export = DataExported {
            exporter: format!("operator:{name}"),
            what: "log".to_owned(),
            format: format.to_owned(),
            reason: self.reason,
            from_position: Some(from),
            to_position: Some(to),
        };
        let log = event_store::open(url).await?;
        record_export(&log, export).await.map(Some)
    }
}

/// Writes an export down in the log: at which position.
///
/// # Errors
/// As [`RecordArgs::record`].
pub async fn record_export(log: &Arc<dyn Log>, export: DataExported) -> Result<Position, Failure> {
    let actor = export.exporter.clone();
    let event = AuditEvent::from(export);
    Audit::default().decide(AuditCommand::Record(event.clone())).map_err(|refusal| Failure::Refused(refusal.to_string()))?;
    let metadata = Metadata {
        actor,
        command_id: Uuid::now_v7(),
        correlation_id: None,
        causation_id: None,
        trace_id: None,
        idempotency: None,
    };
    let metadata = serde_json::to_string(&metadata).map_err(|error| unwritten(&error.to_string()))?;
    for _ in 0..ATTEMPTS {
        let head = log.head().await?;
        let now = to_micros(log.now().await?);
        let recorded_at = head.recorded_at.map_or(now, |last| last.max(now));
        let stream = StreamId::new(AuditEvent::AGGREGATE, recorded_at.date_naive());
        let proposed = Proposed {
            event_id: Uuid::now_v7(),
            sequence: length(log, &stream).await? + 1,
            stream,
            event_type: event.event_type().into(),
            event_version: event.version(),
            payload: event.payload().map_err(|error| unwritten(&error.to_string()))?,
            metadata: metadata.clone(),
            recorded_at,
            occurred_at: recorded_at,
            idempotency_scope: None,
        };
        match log.append(head.position, vec![proposed]).await {
            Ok(position) => return Ok(position),
            Err(AppendError::HeadMoved { .. }) => {}
            Err(error) => return Err(unwritten(&error.to_string())),
        }
    }
    Err(unwritten("others write all the time"))
}

/// How many events a stream has.
async fn length(log: &Arc<dyn Log>, stream: &StreamId) -> Result<u64, Failure> {
    let mut length = 0;
    loop {
        let page = log.read_stream(stream, length, PAGE).await?;
        let is_last = page.len() < PAGE;
        length = page.last().map_or(length, |last| last.event.sequence);
        if is_last {
            return Ok(length);
        }
    }
}

fn unwritten(reason: &str) -> Failure {
    Failure::Refused(format!("that the export is made could not be written to the log, so it is not made: {reason}"))
}
