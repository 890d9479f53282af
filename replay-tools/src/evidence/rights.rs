//! Who was given which rights, by whom: the events that changed them, each with the proof that it is in the log.

use event_schemas::{AccountEvent, CommerceEvent, Recorded, rfc3339, words::sentence};
use notary::hex;
use serde::{Deserialize, Serialize};

use crate::{Failure, Node, from_hex};

/// A change of rights, with every field that its digest covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RightsChange {
    pub(super) position: u64,
    pub(super) sentence: String,
    pub(super) event_id: String,
    pub(super) aggregate_type: String,
    pub(super) aggregate_id: String,
    pub(super) sequence: u64,
    pub(super) event_type: String,
    pub(super) event_version: u32,
    pub(super) recorded_at: String,
    pub(super) occurred_at: String,
    /// As recorded, byte for byte.
    pub(super) payload: String,
    pub(super) metadata: String,
    /// SHA-256 over all of the above but the sentence: a leaf of the tree.
    pub(super) digest: String,
    /// The hashes that lead from the digest to the root (RFC 9162, section 2.1.3).
    pub(super) path: Vec<String>,
}

impl RightsChange {
    pub(super) fn new(record: &Recorded) -> Self {
        let event = &record.event;
        Self {
            position: record.position,
            sentence: sentence(record),
            event_id: event.event_id.to_string(),
            aggregate_type: event.stream.aggregate_type.to_string(),
            aggregate_id: event.stream.aggregate_id.clone(),
            sequence: event.sequence,
            event_type: event.event_type.to_string(),
            event_version: event.event_version,
            recorded_at: rfc3339(event.recorded_at),
            occurred_at: rfc3339(event.occurred_at),
            payload: event.payload.clone(),
            metadata: event.metadata.clone(),
            digest: hex(&record.digest),
            path: Vec::new(),
        }
    }

    /// Whether its digest is that of its fields, the path leads from it to the root, and its words are what the record says.
    ///
    /// # Errors
    /// What is not so.
    pub(super) fn check(&self, size: u64, root: Node) -> Result<(), String> {
        let row = serde_json::json!({
            "position": self.position, "event_id": self.event_id, "aggregate_type": self.aggregate_type,
            "aggregate_id": self.aggregate_id, "sequence": self.sequence, "event_type": self.event_type,
            "event_version": self.event_version, "payload": self.payload, "metadata": self.metadata,
            "recorded_at": self.recorded_at, "occurred_at": self.occurred_at, "digest": self.digest,
        });
        let record = crate::export_file::from_line(&row.to_string())?;
        if !record.is_intact() {
            return Err(format!("position {} was changed after it was recorded", self.position));
        }
        let path = self.path.iter().map(|text| from_hex(text).ok_or_else(|| format!("`{text}` is not a hash")));
        let path = path.collect::<Result<Vec<Node>, _>>()?;
        let index = self.position.checked_sub(1).ok_or("there is no position 0")?;
        let proven = notary::check_inclusion(record.digest, index, size, &path, root);
        proven.map_err(|error| format!("position {}: {error}", self.position))?;
        match sentence(&record) {
            words if words == self.sentence => Ok(()),
            words => Err(format!("position {}: this version of daybook-replay reads in it: {words}", self.position)),
        }
    }
}

/// Whether an event changes what somebody may do.
///
/// # Errors
/// If it cannot be decoded.
pub(super) fn changes_rights(record: &Recorded) -> Result<bool, Failure> {
    let position = record.position;
    match &*record.event.stream.aggregate_type {
        "role" | "roster" | "api_key" => Ok(true),
        "account" => {
            let events = record.decode().map_err(|source| Failure::Decode { position, source })?;
            Ok(events.iter().any(|event| {
                matches!(
                    event,
                    CommerceEvent::Account(
                        AccountEvent::AccountRoleGranted(_)
                            | AccountEvent::AccountRoleRevoked(_)
                            | AccountEvent::AccountDisabled(_)
                            | AccountEvent::AccountEnabled(_)
                    )
                )
            }))
        }
        _ => Ok(false),
    }
}
