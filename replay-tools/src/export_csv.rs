//! An event as one record of comma-separated values (RFC 4180, but lines end in LF), with the same fields as a line of JSON.

use std::fmt::Write as _;

use event_schemas::{Proposed, Recorded, StreamId, rfc3339};

use crate::{export_file::moment, from_hex, hex};

/// The first line of a file.
pub(crate) const HEADER: &str = "position,event_id,aggregate_type,aggregate_id,sequence,event_type,event_version,payload,metadata,\
                                 recorded_at,occurred_at,idempotency_scope,digest\n";
const FIELDS: usize = 13;

/// A record as text, with its line's end. No idempotency scope is an empty field: scopes have at least a colon.
pub(crate) fn to_row(record: &Recorded) -> String {
    let event = &record.event;
    let fields: [&str; FIELDS] = [
        &record.position.to_string(),
        &event.event_id.to_string(),
        &event.stream.aggregate_type,
        &event.stream.aggregate_id,
        &event.sequence.to_string(),
        &event.event_type,
        &event.event_version.to_string(),
        &event.payload,
        &event.metadata,
        &rfc3339(event.recorded_at),
        &rfc3339(event.occurred_at),
        event.idempotency_scope.as_deref().unwrap_or_default(),
        &hex(&record.digest),
    ];
    let mut row = String::with_capacity(400 + event.payload.len() + event.metadata.len());
    for (index, field) in fields.into_iter().enumerate() {
        row.push_str(if index == 0 { "" } else { "," });
        if field.contains([',', '"', '\n', '\r']) {
            // Writing to a string cannot fail.
            let _ = write!(row, "\"{}\"", field.replace('"', "\"\""));
        } else {
            row.push_str(field);
        }
    }
    row.push('\n');
    row
}

/// Reads a record back. The digest is the one that it carries.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn from_row(text: &str) -> Result<Recorded, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let row = reader.records().next().ok_or("it is empty")?.map_err(|error| error.to_string())?;
    if row.len() != FIELDS {
        return Err(format!("it has {} fields, and an event has {FIELDS}", row.len()));
    }
    let field = |index: usize| row.get(index).unwrap_or_default();
    let number = |index: usize| field(index).parse::<u64>().map_err(|error| format!("`{}`: {error}", field(index)));
    let event = Proposed {
        event_id: field(1).parse().map_err(|error| format!("`{}`: {error}", field(1)))?,
        stream: StreamId { aggregate_type: field(2).to_owned().into(), aggregate_id: field(3).to_owned() },
        sequence: number(4)?,
        event_type: field(5).to_owned().into(),
        event_version: u32::try_from(number(6)?).map_err(|error| error.to_string())?,
        payload: field(7).to_owned(),
        metadata: field(8).to_owned(),
        recorded_at: moment(field(9))?,
        occurred_at: moment(field(10))?,
        idempotency_scope: Some(field(11)).filter(|scope| !scope.is_empty()).map(str::to_owned),
    };
    let digest = from_hex(field(12)).ok_or("its digest is not 64 hexadecimal digits")?;
    Ok(Recorded { position: number(0)?, event, digest })
}
