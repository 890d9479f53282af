//! What can be checked of one record alone, on any thread.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use event_schemas::{CommerceEvent, DecodeError, Metadata, Recorded, replaced_schemas};
use jsonschema::{Draft, ValidationOptions, Validator};

use super::{
    Finding, Rule,
    payload::{Borrowed, Payload},
};
use crate::Failure;

/// The compiled JSON Schema of every event type and version that was ever written.
pub(super) struct Schemas(HashMap<String, Vec<(u32, Validator<Borrowed>)>>);

/// Compiled once for all runs of this process.
static COMPILED: OnceLock<Arc<Schemas>> = OnceLock::new();

impl Schemas {
    pub(super) fn compiled() -> Result<Arc<Self>, Failure> {
        if let Some(compiled) = COMPILED.get() {
            return Ok(Arc::clone(compiled));
        }
        let compiled = Arc::new(Self::compile()?);
        Ok(Arc::clone(COMPILED.get_or_init(|| compiled)))
    }

    fn compile() -> Result<Self, Failure> {
        let mut compiled = Self(HashMap::new());
        for event in CommerceEvent::schemas() {
            compiled.add(event.event_type, event.version, &event.schema)?;
        }
        for (event_type, version, text) in replaced_schemas() {
            let schema = serde_json::from_str(text).map_err(|error| broken(event_type, *version, &error))?;
            compiled.add(event_type, *version, &schema)?;
        }
        Ok(compiled)
    }

    fn add(&mut self, event_type: &str, version: u32, schema: &serde_json::Value) -> Result<(), Failure> {
        let options = ValidationOptions::default().with_draft(Draft::Draft202012);
        let validator = options.build(schema).map_err(|error| broken(event_type, version, &error))?;
        self.0.entry(event_type.to_owned()).or_default().push((version, validator));
        Ok(())
    }

    fn of(&self, event_type: &str, version: u32) -> Option<&Validator<Borrowed>> {
        self.0.get(event_type)?.iter().find(|(known, _)| *known == version).map(|(_, validator)| validator)
    }
}

fn broken(event_type: &str, version: u32, error: &dyn std::fmt::Display) -> Failure {
    Failure::Refused(format!("the schema of {event_type} version {version} is not a JSON Schema: {error}"))
}

/// A record with what was read from it and what is wrong with it alone.
pub(super) struct Checked {
    pub(super) record: Recorded,
    pub(super) metadata: Option<Metadata>,
    pub(super) events: Vec<CommerceEvent>,
    /// A newer version of Daybook wrote it: it is carried, not understood.
    pub(super) unknown: bool,
    pub(super) findings: Vec<Finding>,
}

pub(super) fn check(record: Recorded, schemas: &Schemas) -> Checked {
    let mut checked = Checked { record, metadata: None, events: Vec::new(), unknown: false, findings: Vec::new() };
    checked.check_digest();
    checked.check_metadata();
    checked.check_payload(schemas);
    checked
}

impl Checked {
    fn wrong(&mut self, rule: Rule, message: String) {
        self.findings.push(Finding { position: self.record.position, rule, message });
    }

    fn check_digest(&mut self) {
        if !self.record.is_intact() {
            self.wrong(Rule::Digest, format!("{} was changed after it was recorded", self.describe()));
        }
    }

    fn check_metadata(&mut self) {
        match self.record.metadata() {
            Ok(metadata) => {
                let scope = metadata.idempotency.as_ref().map(|idempotency| &idempotency.scope);
                if scope != self.record.event.idempotency_scope.as_ref() {
                    self.wrong(Rule::Metadata, "the idempotency scope is not the one in the metadata".to_owned());
                }
                self.metadata = Some(metadata);
            }
            Err(error) => self.wrong(Rule::Metadata, error.to_string()),
        }
    }

    fn check_payload(&mut self, schemas: &Schemas) {
        let event = &self.record.event;
        let decoded = self.record.decode();
        if let Some(validator) = schemas.of(&event.event_type, event.event_version) {
            let wrong = match serde_json::from_str::<Payload<'_>>(&event.payload) {
                Ok(payload) => validator.validate(&payload).err().map(|error| format!("{error} at `{}`", error.instance_path())),
                Err(error) => Some(format!("the payload is not JSON: {error}")),
            };
            if let Some(message) = wrong {
                self.wrong(Rule::Schema, format!("{}: {message}", self.describe()));
            }
        }
        match decoded {
            Ok(events) => {
                let home = &*self.record.event.stream.aggregate_type;
                if let Some(stranger) = events.iter().find(|event| event.aggregate_type() != home) {
                    let (stranger, stream) = (stranger.aggregate_type(), &self.record.event.stream);
                    self.wrong(Rule::Decode, format!("{} of a {stranger} stands in stream {stream}", self.describe()));
                }
                self.events = events;
            }
            Err(DecodeError::Unknown { .. }) => self.unknown = true,
            Err(error) => self.wrong(Rule::Decode, error.to_string()),
        }
    }

    fn describe(&self) -> String {
        format!("{} version {}", self.record.event.event_type, self.record.event.event_version)
    }
}
