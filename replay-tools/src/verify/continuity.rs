//! What must hold between records: nothing missing, nothing twice, nothing out of turn.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, Hash, RandomState},
};

use event_schemas::{Position, Timestamp, rfc3339};
use uuid::Uuid;

use super::{Rule, record::Checked};

/// What is remembered of the log so far: 8 bytes an event, a command and an idempotency scope, 16 a stream, before the
/// tables' own room. Ids are kept as 64-bit hashes under a random key: two of them meet by chance about once in 400,000
/// runs over a log of 10 million events, and not again in the next run.
pub(super) struct Continuity {
    from_the_beginning: bool,
    next: Position,
    recorded_at: Option<Timestamp>,
    key: RandomState,
    sequences: HashMap<u64, u64>,
    command: Option<Uuid>,
    commands: HashSet<u64>,
    events: HashSet<u64>,
    scopes: HashSet<u64>,
}

impl Continuity {
    pub(super) fn from(first: Position) -> Self {
        Self {
            from_the_beginning: first == 1,
            next: first,
            recorded_at: None,
            key: RandomState::new(),
            sequences: HashMap::new(),
            command: None,
            commands: HashSet::new(),
            events: HashSet::new(),
            scopes: HashSet::new(),
        }
    }

    /// The short key of an id, for tables that must stay small.
    pub(super) fn key(&self, id: impl Hash) -> u64 {
        self.key.hash_one(id)
    }

    /// A position that cannot be read; what comes after it is looked at as if it had been there.
    pub(super) fn skip(&mut self, position: Position) {
        self.next = position + 1;
        self.command = None;
    }

    pub(super) fn check(&mut self, checked: &Checked) -> Vec<(Rule, String)> {
        let record = &checked.record;
        let mut wrong = Vec::new();
        if record.position != self.next {
            wrong.push((Rule::Positions, format!("position {} was expected here", self.next)));
        }
        self.next = record.position + 1;
        wrong.extend(self.check_sequence(checked));
        let at = record.event.recorded_at;
        if let Some(before) = self.recorded_at.filter(|before| at < *before) {
            let (at, before) = (rfc3339(at), rfc3339(before));
            wrong.push((Rule::RecordedAt, format!("recorded at {at}, after an event recorded at {before}")));
        }
        self.recorded_at = Some(at);
        if !self.events.insert(self.key(record.event.event_id)) {
            wrong.push((Rule::EventId, format!("event id {} was used before", record.event.event_id)));
        }
        let scope = record.event.idempotency_scope.as_ref();
        if let Some(scope) = scope.filter(|scope| !self.scopes.insert(self.key.hash_one(scope))) {
            wrong.push((Rule::Idempotency, format!("the idempotency scope `{scope}` was used before")));
        }
        wrong.extend(self.check_command(checked));
        wrong
    }

    fn check_sequence(&mut self, checked: &Checked) -> Option<(Rule, String)> {
        let (stream, found) = (&checked.record.event.stream, checked.record.event.sequence);
        let known = self.sequences.insert(self.key(stream), found);
        let expected = match known {
            Some(last) => last + 1,
            None if self.from_the_beginning => 1,
            None => found,
        };
        (found != expected).then(|| (Rule::Sequences, format!("{stream} has sequence {found} where {expected} was expected")))
    }

    fn check_command(&mut self, checked: &Checked) -> Option<(Rule, String)> {
        let command = checked.metadata.as_ref()?.command_id;
        if self.command == Some(command) {
            return None;
        }
        self.command = Some(command);
        let is_new = self.commands.insert(self.key(command));
        (!is_new).then(|| (Rule::Command, format!("command {command} wrote events before, and others came between")))
    }
}
