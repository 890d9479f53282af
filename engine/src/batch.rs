//! Commands decided together, whose events go to the log in one append.

use std::collections::{BTreeMap, HashMap, btree_map};

use domain::{Change, Refusal};
use event_schemas::{Metadata, Position, Proposed, StreamId, Timestamp};
use event_store::Snapshot;

use crate::{
    cache::Entry,
    engine::{CommandError, Outcome, Request},
};

/// What was decided about a command, to be told once everything it rests upon is durable. A refusal rests upon earlier
/// commands too: "out of stock" is only true if the order that took the last unit is.
pub(crate) enum Verdict {
    /// It happens; the position is that of its last event.
    Done { changes: Vec<Change>, position: Position },
    /// A rule forbids it.
    Refused(Refusal),
}

struct Answer {
    request: Request,
    verdict: Verdict,
    /// The same command again, by idempotency key.
    repeats: Vec<Request>,
}

/// A batch under construction or on its way to the log.
#[derive(Default)]
pub(crate) struct Batch {
    pub events: Vec<Proposed>,
    /// The streams that it touches, as they were before.
    pub before: BTreeMap<StreamId, Entry>,
    /// States as they will be once the batch is durable, to be saved then.
    pub snapshots: Vec<Snapshot>,
    answers: Vec<Answer>,
    by_scope: HashMap<String, usize>,
    waiting: usize,
    /// When, by the cache's count, the first of its decisions began to read.
    pub since: u64,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Commands that wait for the batch to be durable.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Adds a decided command.
    pub fn push(&mut self, request: Request, verdict: Verdict) {
        if let (Verdict::Done { changes, .. }, Some(key)) = (&verdict, &request.metadata.idempotency)
            && !changes.is_empty()
        {
            self.by_scope.insert(key.scope.clone(), self.answers.len());
        }
        self.waiting += 1;
        self.answers.push(Answer { request, verdict, repeats: Vec::new() });
    }

    /// Takes a command that repeats one of this batch, or gives it back if it repeats none.
    pub fn repeat(&mut self, request: Request) -> Option<Request> {
        let index = request.metadata.idempotency.as_ref().and_then(|key| self.by_scope.get(&key.scope));
        match index {
            Some(index) => {
                self.answers[*index].repeats.push(request);
                self.waiting += 1;
                None
            }
            None => Some(request),
        }
    }

    /// The idempotency keys of the commands that wait.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.answers.iter().filter_map(|answer| Some(&*answer.request.metadata.idempotency.as_ref()?.scope))
    }

    /// Takes in the batch that was decided upon this one. Gives the streams that both touch.
    pub fn join(&mut self, next: Self) -> Vec<StreamId> {
        let before = self.answers.len();
        self.by_scope.extend(next.by_scope.into_iter().map(|(scope, index)| (scope, before + index)));
        self.answers.extend(next.answers);
        self.events.extend(next.events);
        self.waiting += next.waiting;
        let mut both = Vec::new();
        for (stream, entry) in next.before {
            match self.before.entry(stream) {
                btree_map::Entry::Vacant(vacant) => drop(vacant.insert(entry)),
                btree_map::Entry::Occupied(occupied) => both.push(occupied.key().clone()),
            }
        }
        both
    }

    /// Moves it to so many positions later, and to no earlier time than what is before it now.
    pub fn move_by(&mut self, positions: u64, not_before: Timestamp) {
        for event in &mut self.events {
            let recorded_at = event.recorded_at.max(not_before);
            if event.occurred_at == event.recorded_at {
                event.occurred_at = recorded_at;
            }
            event.recorded_at = recorded_at;
        }
        for answer in &mut self.answers {
            if let Verdict::Done { position, .. } = &mut answer.verdict {
                *position += positions;
            }
        }
    }

    /// Tells everyone what was decided, now that it is durable. Gives the numbers of accepted and refused commands.
    pub fn answer(self, head: Position) -> (u64, u64) {
        let (mut accepted, mut refused) = (0, 0);
        for Answer { request, verdict, repeats } in self.answers {
            let first_key = request.metadata.idempotency.clone();
            let answer = match verdict {
                Verdict::Refused(refusal) => {
                    refused += 1;
                    Err(CommandError::Refused(refusal))
                }
                Verdict::Done { changes, position } => {
                    accepted += 1;
                    let position = if changes.is_empty() { head } else { position };
                    Ok(Outcome { position, changes, repeated: false })
                }
            };
            for repeat in repeats {
                let same = repeat.metadata.idempotency == first_key;
                let again = answer.clone().map(|outcome| Outcome { repeated: true, ..outcome });
                repeat.answer(if same { again } else { Err(CommandError::IdempotencyKeyReused) });
            }
            request.answer(answer);
        }
        (accepted, refused)
    }

    /// The commands of a batch that did not come to be, in the order they came.
    pub fn into_requests(self) -> impl Iterator<Item = Request> {
        self.answers.into_iter().flat_map(|answer| std::iter::once(answer.request).chain(answer.repeats))
    }
}

/// The idempotency key of a command, with what it is scoped to.
pub(crate) fn scope(request: &Request) -> Option<&str> {
    request.metadata.idempotency.as_ref().map(|key| key.scope.as_str())
}

/// Payload and metadata of each event as JSON; the idempotency key goes with the first event only.
pub(crate) fn encode(metadata: &Metadata, changes: &[Change]) -> Result<Vec<(String, String)>, serde_json::Error> {
    let rest = match metadata.idempotency {
        Some(_) => serde_json::to_string(&Metadata { idempotency: None, ..metadata.clone() })?,
        None => serde_json::to_string(metadata)?,
    };
    let first = if metadata.idempotency.is_some() { serde_json::to_string(metadata)? } else { rest.clone() };
    let of = |index| if index == 0 { first.clone() } else { rest.clone() };
    changes.iter().enumerate().map(|(index, change)| Ok((change.event.payload()?, of(index)))).collect()
}
