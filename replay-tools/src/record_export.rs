//! Writes in a log that an export of it was made, by whom and why, for whoever audits the auditors.
//!
//! It is the one thing that this crate adds to a log in use. An export of the log it writes down when asked only: an auditor
//! needs no more than the right to read, and whoever has the files can copy them. What is sealed needs the vault's key besides,
//! and whoever takes it along opened has to say so (`export-person`).

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
    /// Whether that is asked for.
    pub fn is_asked(&self) -> bool {
        self.record_as.is_some()
    }

    /// Writes down what is exported, and from which position to which if it is a part of the log, if that is asked for: at which
    /// position.
    ///
    /// # Errors
    /// If the name or the reason is none, or the log cannot be written: nothing is to be exported then.
    pub async fn record(
        &self,
        url: &str,
        what: &str,
        format: &str,
        part: Option<(Position, Position)>,
    ) -> Result<Option<Position>, Failure> {
        let Some(name) = &self.record_as else { return Ok(None) };
        if name.trim().is_empty() {
            return Err(unwritten("--record-as names nobody"));
        }
        let (from_position, to_position) = part.unzip();
        let export = DataExported {
            exporter: format!("operator:{name}"),
            what: what.to_owned(),
            format: format.to_owned(),
            reason: self.reason.clone(),
            from_position,
            to_position,
        };
        let log = event_store::open(url).await.map_err(|error| unwritten(&error.to_string()))?;
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
