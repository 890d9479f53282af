//! What must hold between records: nothing missing, nothing twice, nothing out of turn.

use event_schemas::{Position, Timestamp, rfc3339};
use event_store::{Log, ReadError};
use uuid::Uuid;

use super::{
    Finding, Rule,
    record::Checked,
    repeats::{Met, Repeats},
};
use crate::Failure;

/// What is remembered of the log so far. What must not come twice is looked for at the end, so that memory does not grow.
pub(super) struct Continuity {
    from_the_beginning: bool,
    next: Position,
    recorded_at: Option<Timestamp>,
    command: Option<Uuid>,
    sequences: Repeats,
    commands: Repeats,
    events: Repeats,
    scopes: Repeats,
}

impl Continuity {
    pub(super) fn from(first: Position) -> Self {
        Self {
            from_the_beginning: first == 1,
            next: first,
            recorded_at: None,
            command: None,
            sequences: Repeats::new(),
            commands: Repeats::new(),
            events: Repeats::new(),
            scopes: Repeats::new(),
        }
    }

    /// A position that cannot be read; what comes after it is looked at as if it had been there.
    pub(super) fn skip(&mut self, position: Position) {
        self.next = position + 1;
        self.command = None;
    }

    /// Looks at a record beside the one before it, and notes what must be looked for at the end.
    pub(super) fn check(&mut self, checked: &Checked) -> Result<Vec<(Rule, String)>, Failure> {
        let (record, position) = (&checked.record, checked.record.position);
        let mut wrong = Vec::new();
        if position != self.next {
            wrong.push((Rule::Positions, format!("position {} was expected here", self.next)));
        }
        self.next = position + 1;
        let at = record.event.recorded_at;
        if let Some(before) = self.recorded_at.filter(|before| at < *before) {
            let (at, before) = (rfc3339(at), rfc3339(before));
            wrong.push((Rule::RecordedAt, format!("recorded at {at}, after an event recorded at {before}")));
        }
        self.recorded_at = Some(at);
        self.sequences.add(&record.event.stream, position, record.event.sequence)?;
        self.events.add(record.event.event_id, position, 0)?;
        if let Some(scope) = &record.event.idempotency_scope {
            self.scopes.add(scope, position, 0)?;
        }
        // The events of a command stand next to each other, so each command comes up once.
        let command = checked.metadata.as_ref().map(|metadata| metadata.command_id);
        if let Some(command) = command.filter(|command| self.command != Some(*command)) {
            self.command = Some(command);
            self.commands.add(command, position, 0)?;
        }
        Ok(wrong)
    }

    /// What came twice or out of turn, with the records at hand again to say what: at most `most` findings of a rule.
    pub(super) async fn conclude(self, log: &dyn Log, most: usize) -> Result<Vec<Finding>, Failure> {
        let twice = |earlier: Option<u64>, _| earlier.is_some();
        let whole = self.from_the_beginning;
        let out_of_turn = move |earlier: Option<u64>, number| match earlier {
            Some(last) => number != last.wrapping_add(1),
            None => whole && number != 1,
        };
        let wrong = [
            (Rule::Sequences, self.sequences.wrong(out_of_turn)?),
            (Rule::EventId, self.events.wrong(twice)?),
            (Rule::Idempotency, self.scopes.wrong(twice)?),
            (Rule::Command, self.commands.wrong(twice)?),
        ];
        let mut findings = Vec::new();
        for (rule, places) in wrong {
            for (position, met) in places.into_iter().take(most) {
                findings.push(Finding { position, rule, message: describe(log, rule, position, met).await? });
            }
        }
        Ok(findings)
    }
}

async fn describe(log: &dyn Log, rule: Rule, position: Position, met: Met) -> Result<String, ReadError> {
    let record = log.read(position - 1, 1).await?.pop();
    let Some(record) = record else { return Ok("it was there, and cannot be read any more".to_owned()) };
    let event = &record.event;
    let earlier = met.earlier.map_or(0, |(position, _)| position);
    Ok(match rule {
        Rule::Sequences => {
            let expected = met.earlier.map_or(0, |(_, number)| number).wrapping_add(1);
            format!("{} has sequence {} where {expected} was expected", event.stream, met.number)
        }
        Rule::EventId => format!("event id {} was used before, at position {earlier}", event.event_id),
        Rule::Idempotency => {
            let scope = event.idempotency_scope.as_deref().unwrap_or_default();
            format!("the idempotency scope `{scope}` was used before, at position {earlier}")
        }
        _ => {
            let command = record.metadata().map(|metadata| metadata.command_id.to_string()).unwrap_or_default();
            format!("command {command} wrote events before, at position {earlier}, and others came between")
        }
    })
}
