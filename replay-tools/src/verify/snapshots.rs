//! Snapshots: states beside the log that no digest covers, though decisions and rights are read through them. Each must be what
//! the events of its stream come to.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use domain::State;
use event_schemas::{Position, Recorded, Sequence, StreamId};
use event_store::{Log, ReadError, Snapshot};
use sha2::{Digest as _, Sha256};

use super::ENOUGH;
use crate::{changes, json};

/// How many snapshots are read at once. Some states are large.
const PAGE: usize = 20;
/// How many events of a stream are read at once.
const EVENTS: usize = 1_000;

/// How many snapshots the pass over the log looks out for. The streams of any more are read again.
const LOOKED_OUT_FOR: usize = 100_000;

/// A state in a few bytes.
type Hash = [u8; 32];

/// The states that the pass over the log comes by anyway, at the sequences that snapshots were taken at: the streams of these
/// need not be read again. It decides nothing: what is not just as it was met here is folded by itself.
#[derive(Default)]
pub(super) struct Met(HashMap<StreamId, (Sequence, Option<Hash>)>);

impl Met {
    /// Looks up what to look out for. If that cannot be read, nothing is, and `compare` tells why.
    pub(super) async fn expected(log: &dyn Log) -> Self {
        let mut met = Self::default();
        let mut after = None;
        while let Ok(page) = log.list_snapshots(after, PAGE).await {
            let Some(last) = page.last() else { break };
            after = Some(last.stream.clone());
            met.0.extend(page.into_iter().map(|snapshot| (snapshot.stream, (snapshot.sequence, None))));
            if met.0.len() >= LOOKED_OUT_FOR {
                break;
            }
        }
        met
    }

    /// The sequence that a snapshot of a stream was taken at.
    pub(super) fn expects(&self, stream: &StreamId) -> Option<Sequence> {
        self.0.get(stream).map(|(sequence, _)| *sequence)
    }

    /// Notes the state of a stream that has come to the sequence that is expected.
    pub(super) fn note(&mut self, stream: &StreamId, state: &State) {
        if let Some((_, hash)) = self.0.get_mut(stream) {
            *hash = hash_of(state);
        }
    }

    fn is_same(&self, snapshot: &Snapshot) -> bool {
        let Some((sequence, Some(met))) = self.0.get(&snapshot.stream) else { return false };
        let read = || serde_json::from_str(&snapshot.state).ok().as_ref().and_then(hash_of);
        *sequence == snapshot.sequence && read() == Some(*met)
    }
}

fn hash_of(state: &State) -> Option<Hash> {
    serde_json::to_vec(state).ok().map(|bytes| Sha256::digest(bytes).into())
}

/// What became of comparing them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Compared {
    /// How many were compared.
    pub(super) snapshots: u64,
    /// How many were not, because they have the form of another version of Daybook. The engine does not read those either.
    pub(super) left_out: u64,
    /// How many were not, because they were taken before what this run looks at.
    pub(super) earlier: u64,
    /// What is wrong with them, each with the position of the last event of its stream that was looked at.
    pub(super) wrong: Vec<(Position, String)>,
}

/// Holds every snapshot that was taken at `since` or later, and every one through which rights are read, against what was met, or
/// else against its stream, one at a time.
pub(super) async fn compare(log: &dyn Log, met: &Met, since: Position) -> Compared {
    let mut compared = Compared::default();
    let mut after = None;
    while compared.wrong.len() < ENOUGH {
        let page = match log.list_snapshots(after, PAGE).await {
            Ok(page) => page,
            Err(error) => {
                compared.wrong.push((0, format!("the snapshots cannot be read: {error}")));
                break;
            }
        };
        let Some(last) = page.last() else { break };
        after = Some(last.stream.clone());
        for snapshot in &page {
            let Snapshot { stream, sequence, .. } = snapshot;
            match check(log, snapshot, met, since).await {
                Verdict::Same => compared.snapshots += 1,
                Verdict::OtherForm => compared.left_out += 1,
                Verdict::Earlier => compared.earlier += 1,
                Verdict::Wrong(position, why) => {
                    compared.snapshots += 1;
                    compared.wrong.push((position, format!("the snapshot of {stream} at sequence {sequence} {why}")));
                }
            }
        }
    }
    compared
}

enum Verdict {
    Same,
    OtherForm,
    Earlier,
    Wrong(Position, String),
}

/// Whether a snapshot was taken before a position. One whose last event cannot be read was not, as far as anybody knows.
async fn is_before(log: &dyn Log, snapshot: &Snapshot, since: Position) -> bool {
    let last = log.read_stream(&snapshot.stream, snapshot.sequence.saturating_sub(1), 1).await;
    last.is_ok_and(|page| page.first().is_some_and(|last| last.event.sequence == snapshot.sequence && last.position < since))
}

async fn check(log: &dyn Log, snapshot: &Snapshot, met: &Met, since: Position) -> Verdict {
    let absent = State::absent(&snapshot.stream.aggregate_type);
    let Some(absent) = absent.filter(|absent| absent.version() == snapshot.state_version) else { return Verdict::OtherForm };
    if met.is_same(snapshot) {
        return Verdict::Same;
    }
    let gives_rights = matches!(absent, State::Account(_) | State::Role(_) | State::Roster(_) | State::ApiKey(_));
    if since > 1 && !gives_rights && is_before(log, snapshot, since).await {
        return Verdict::Earlier;
    }
    let mut folded = Folded { state: absent, sequence: 0, position: 0 };
    while folded.sequence < snapshot.sequence {
        let limit = usize::try_from(snapshot.sequence - folded.sequence).unwrap_or(EVENTS).min(EVENTS);
        let page = match log.read_stream(&snapshot.stream, folded.sequence, limit).await {
            Ok(page) => page,
            Err(ReadError::Damaged { position, reason }) => {
                return Verdict::Wrong(position, format!("cannot be compared: {reason}"));
            }
            Err(error) => return Verdict::Wrong(folded.position, format!("cannot be compared: {error}")),
        };
        if page.is_empty() {
            let end = folded.sequence;
            return Verdict::Wrong(folded.position, format!("is beyond the end of its stream at sequence {end}"));
        }
        for record in &page {
            if let Err(why) = folded.take(record) {
                return Verdict::Wrong(record.position, format!("cannot be compared: {why}"));
            }
        }
    }
    match differs(&folded.state, &snapshot.state) {
        None => Verdict::Same,
        Some(why) => Verdict::Wrong(folded.position, why),
    }
}

/// A state and how far it was folded.
struct Folded {
    state: State,
    sequence: u64,
    position: Position,
}

impl Folded {
    /// Folds a record. If that cannot be, says why: the engine goes on from a snapshot of its own form without reading what is
    /// before it, so one that nobody can compare is as bad as one that is wrong.
    fn take(&mut self, record: &Recorded) -> Result<(), String> {
        // Records that a run begins behind are not looked at otherwise.
        if !record.is_intact() {
            return Err(format!("position {} was changed after it was recorded", record.position));
        }
        let events = record.decode().map_err(|error| format!("position {}: {error}", record.position))?;
        // A state that broke in between is not looked at again.
        let folded = catch_unwind(AssertUnwindSafe(|| events.iter().for_each(|event| self.state.evolve(event))));
        folded.map_err(|_| format!("position {} cannot be folded", record.position))?;
        (self.sequence, self.position) = (record.event.sequence, record.position);
        Ok(())
    }
}

/// How a snapshot differs from what it should be, as it is read. What it says is left out: it may be personal.
fn differs(state: &State, snapshot: &str) -> Option<String> {
    let read: State = match serde_json::from_str(snapshot) {
        Ok(read) => read,
        Err(error) => return Some(format!("cannot be read: {error}")),
    };
    let (Ok(expected), Ok(found)) = (json(state), json(&read)) else { return Some("cannot be read".to_owned()) };
    let changes = changes(&expected, &found);
    let path = &changes.first()?.path;
    let path = path.strip_prefix("/state").unwrap_or(path);
    let more = if changes.len() > 1 { format!(" and {} more", changes.len() - 1) } else { String::new() };
    Some(format!("is not what its events come to: `{path}` is another{more}"))
}
