//! The export format: what an event is in one line of JSON, and the manifest that says what must be in a file.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use domain::State;
use event_schemas::{CommerceEvent, Position, Proposed, Recorded, Sequence, StreamId, Timestamp, replaced_schemas, rfc3339};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{Failure, from_hex, hex};

/// The format of manifests that this version writes.
pub const FORMAT: &str = "daybook-export/2";
/// The one before, which this version reads as well: JSON lines only, without counts by type.
const FORMER: &str = "daybook-export/1";

/// What the name of a manifest has behind that of its export.
pub(crate) const MANIFEST: &str = ".manifest.json";

/// How the events stand in a file. All hold the same fields under the same names, and nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line, payload and metadata as objects.
    #[default]
    Jsonl,
    /// Comma-separated values (RFC 4180, lines end in LF) with a header, payload and metadata as JSON text.
    Csv,
    /// Apache Parquet: texts, 64-bit numbers, and moments as timestamps in UTC to the microsecond.
    Parquet,
}

impl Format {
    /// Its name, as the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// The format that a file is named as.
    pub(crate) fn by_name(file: &Path) -> Option<Self> {
        let ending = file.extension()?.to_str()?.to_lowercase();
        [Self::Jsonl, Self::Csv, Self::Parquet].into_iter().find(|format| ending == format.name())
    }

    /// Makes sure that a file is not named as one of another format. An ending that is none of theirs may stand for any.
    ///
    /// # Errors
    /// Which format the name stands for.
    pub fn fits(self, file: &Path) -> Result<(), Failure> {
        match Self::by_name(file).filter(|named| *named != self) {
            Some(named) => {
                let (file, named, asked) = (file.display(), named.name(), self.name());
                Err(Failure::Refused(format!(
                    "{file} is named as {named}, and the format is {asked}: say --format {named}, or name it otherwise"
                )))
            }
            None => Ok(()),
        }
    }
}

/// The events of one version of one type in an export.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// How many.
    pub events: u64,
    /// SHA-256 of the JSON Schema that they were written under, as it is checked in at `event-schemas/schemas`, in
    /// hexadecimal. None if a newer version of Daybook wrote them.
    pub schema: Option<String>,
}

/// What an export holds, in `FILE.manifest.json`: without it nobody can tell whether the file is whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// How the events stand in the file.
    #[serde(default)]
    pub encoding: Format,
    /// The identity of the log it was taken from.
    pub log: Uuid,
    /// The first position asked for.
    pub from: Position,
    /// The last position asked for.
    pub to: Position,
    /// How many events the file has.
    pub events: u64,
    /// The Merkle tree head over the digests of the events in order, hexadecimal. Of a whole log it is the log's own.
    pub root: String,
    /// The events by type and version.
    #[serde(default)]
    pub types: BTreeMap<String, BTreeMap<u32, Counted>>,
    /// SHA-256 of a Parquet file, hexadecimal: parts of it hold no event, and a change there would not show otherwise. Of
    /// text files every byte follows from the events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Which events were left out, if any.
    #[serde(default, skip_serializing_if = "Selection::is_everything")]
    pub selection: Selection,
}

/// Which events of a range an export takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Streams (`order/0197…`) or whole aggregate types (`order`); empty for all.
    #[serde(default)]
    pub streams: Vec<String>,
    /// Event types, such as `OrderPlaced`; empty for all.
    #[serde(default)]
    pub types: Vec<String>,
}

impl Selection {
    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.streams.is_empty() && self.types.is_empty()
    }

    /// Makes sure that all it names can be there: types of events and of aggregates that this version of Daybook knows.
    ///
    /// # Errors
    /// The first that is not one.
    pub fn check(&self) -> Result<(), Failure> {
        let known: BTreeSet<String> = schema_digests().into_keys().map(|(event_type, _)| event_type).collect();
        if let Some(unknown) = self.types.iter().find(|asked| !known.contains(*asked)) {
            return Err(Failure::Refused(format!("there is no event type `{unknown}`; docs/events.md has them all")));
        }
        let aggregate = |asked: &str| asked.split_once('/').map_or(asked, |(aggregate, _)| aggregate).to_owned();
        match self.streams.iter().find(|asked| State::absent(&aggregate(asked)).is_none()) {
            Some(unknown) => Err(Failure::Refused(format!(
                "`{unknown}` is no stream, such as order/0197f0c2-7d3e-7000-8000-000000000001, and no type of them, such as order"
            ))),
            None => Ok(()),
        }
    }

    /// Whether an event is taken.
    pub fn takes(&self, event: &Proposed) -> bool {
        let stream = || event.stream.to_string();
        let of_stream = |asked: &String| *asked == *event.stream.aggregate_type || *asked == stream();
        (self.streams.is_empty() || self.streams.iter().any(of_stream))
            && (self.types.is_empty() || self.types.iter().any(|asked| *asked == *event.event_type))
    }
}

impl Manifest {
    /// Where the manifest of an export stands.
    pub fn path_of(export: &Path) -> PathBuf {
        beside(export, MANIFEST)
    }

    /// Reads the manifest of an export.
    ///
    /// # Errors
    /// If there is none, or it is of another format.
    pub fn of(export: &Path) -> Result<Self, Failure> {
        let path = Self::path_of(export);
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::Refused(format!(
                "{} is not there, and only this manifest says what must be in {}: put it beside it, or export again",
                path.display(),
                export.display()
            )),
            _ => Failure::file(&path)(error),
        })?;
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|error| Failure::Refused(format!("{} is not the manifest of an export: {error}", path.display())))?;
        if manifest.format != FORMAT && manifest.format != FORMER {
            let (path, format) = (path.display(), &manifest.format);
            return Err(Failure::Refused(format!("{path} is of format {format}, and this version reads {FORMER} and {FORMAT}")));
        }
        Ok(manifest)
    }

    /// Writes it beside its export, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, export: &Path) -> Result<(), Failure> {
        let path = Self::path_of(export);
        let text = serde_json::to_string_pretty(self).map_err(|error| Failure::Refused(error.to_string()))?;
        let part = beside(&path, ".part");
        std::fs::write(&part, text + "\n").map_err(Failure::file(&part))?;
        std::fs::rename(&part, &path).map_err(Failure::file(&path))
    }
}

/// Refuses a file in a folder that is not there.
pub(crate) fn must_have_folder(out: &Path) -> Result<(), Failure> {
    match out.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        Some(folder) => Err(Failure::Refused(format!("there is no folder {}: make it, or name another file", folder.display()))),
        None => Ok(()),
    }
}

/// A path with a suffix to its last name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// SHA-256 of the schema of every event type and version that was ever written, hexadecimal.
pub(crate) fn schema_digests() -> BTreeMap<(String, u32), String> {
    let digest = |text: &str| hex(&Sha256::digest(text).into());
    let current = CommerceEvent::schemas().into_iter().filter_map(|event| {
        let text = serde_json::to_string_pretty(&event.schema).ok()? + "\n";
        Some(((event.event_type.to_owned(), event.version), digest(&text)))
    });
    let replaced = replaced_schemas().iter().map(|(name, version, text)| (((*name).to_owned(), *version), digest(text)));
    current.chain(replaced).collect()
}

/// One line of an export. The names are those of the log's columns.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    position: Position,
    event_id: Uuid,
    aggregate_type: String,
    aggregate_id: String,
    sequence: Sequence,
    event_type: String,
    event_version: u32,
    payload: Box<RawValue>,
    metadata: Box<RawValue>,
    recorded_at: String,
    occurred_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency_scope: Option<String>,
    digest: String,
}

/// A record as one line, without the line's end.
///
/// # Errors
/// Never for text that Rust can hold; serde's signature is kept so that no caller has to trust that.
pub fn to_line(record: &Recorded) -> Result<String, serde_json::Error> {
    let event = &record.event;
    serde_json::to_string(&Line {
        position: record.position,
        event_id: event.event_id,
        aggregate_type: event.stream.aggregate_type.to_string(),
        aggregate_id: event.stream.aggregate_id.clone(),
        sequence: event.sequence,
        event_type: event.event_type.to_string(),
        event_version: event.event_version,
        payload: embed(&event.payload)?,
        metadata: embed(&event.metadata)?,
        recorded_at: rfc3339(event.recorded_at),
        occurred_at: rfc3339(event.occurred_at),
        idempotency_scope: event.idempotency_scope.clone(),
        digest: hex(&record.digest),
    })
}

/// Reads a line back, byte for byte what was exported. The digest is the one that the line carries.
///
/// # Errors
/// What is wrong with the line.
pub fn from_line(text: &str) -> Result<Recorded, String> {
    let line: Line = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let digest = from_hex(&line.digest).ok_or("its digest is not 64 hexadecimal digits")?;
    let event = Proposed {
        event_id: line.event_id,
        stream: StreamId { aggregate_type: line.aggregate_type.into(), aggregate_id: line.aggregate_id },
        sequence: line.sequence,
        event_type: line.event_type.into(),
        event_version: line.event_version,
        payload: extract(&line.payload)?,
        metadata: extract(&line.metadata)?,
        recorded_at: moment(&line.recorded_at)?,
        occurred_at: moment(&line.occurred_at)?,
        idempotency_scope: line.idempotency_scope,
    };
    Ok(Recorded { position: line.position, event, digest })
}

/// JSON objects stand in the line as they are, so that tools can look into them. Any other text (damaged, or with line
/// breaks) stands there as a string, so that it comes back byte for byte.
fn embed(text: &str) -> Result<Box<RawValue>, serde_json::Error> {
    let is_one_line = text.starts_with('{') && text.ends_with('}') && !text.contains(['\n', '\r']);
    if is_one_line && let Ok(raw) = RawValue::from_string(text.to_owned()) {
        return Ok(raw);
    }
    to_raw_value(text)
}

fn extract(raw: &RawValue) -> Result<String, String> {
    if raw.get().starts_with('"') {
        return serde_json::from_str(raw.get()).map_err(|error| error.to_string());
    }
    Ok(raw.get().to_owned())
}

pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let time = chrono::DateTime::parse_from_rfc3339(text).map_err(|error| format!("`{text}` is not a time: {error}"))?;
    Ok(time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(payload: &str) -> Recorded {
        let at = Timestamp::from_timestamp_micros(1_700_000_000_000_001).unwrap();
        let event = Proposed {
            event_id: Uuid::max(),
            stream: StreamId::new("order", "o-1"),
            sequence: 1,
            event_type: "OrderExpired".into(),
            event_version: 1,
            payload: payload.to_owned(),
            metadata: r#"{ "actor":"shopper"}"#.to_owned(),
            recorded_at: at,
            occurred_at: at,
            idempotency_scope: Some("shopper:checkout:k".to_owned()),
        };
        Recorded::at(1, event)
    }

    #[test]
    fn whatever_text_was_recorded_comes_back_byte_for_byte_from_one_line() {
        for payload in ["{}", r#"{"b":1, "a":1e3}"#, "{\n}", "{} ", "{", "", "null", "\"{}\"", "{\"tea\":\"☕\\u0000\"}"] {
            let line = to_line(&holding(payload)).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(from_line(&line), Ok(holding(payload)), "{payload}");
        }
    }

    #[test]
    fn an_object_can_be_looked_into_without_unpacking_a_string() {
        assert!(to_line(&holding(r#"{"a":1}"#)).unwrap().contains(r#""payload":{"a":1}"#));
    }

    #[test]
    fn a_selection_takes_streams_aggregate_types_and_event_types() {
        let event = holding("{}").event;
        let asking = |streams: &[&str], types: &[&str]| {
            let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
            Selection { streams: texts(streams), types: texts(types) }.takes(&event)
        };
        assert!(asking(&[], &[]) && asking(&["order"], &[]) && asking(&["cart", "order/o-1"], &["OrderExpired"]));
        assert!(!asking(&["order/o-2"], &[]) && !asking(&["order"], &["OrderPlaced"]));
    }
}
