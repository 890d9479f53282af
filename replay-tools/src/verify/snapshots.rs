//! Snapshots: states beside the log that no digest covers, though decisions and rights are read through them. Each must be what
//! the events of its stream come to.

use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::State;
use event_schemas::{Position, Recorded};
use event_store::{Log, ReadError, Snapshot};

use super::ENOUGH;
use crate::{changes, json};

/// How many snapshots are read at once. Some states are large.
const PAGE: usize = 20;
/// How many events of a stream are read at once.
const EVENTS: usize = 1_000;

/// What became of comparing them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Compared {
    /// How many were compared.
    pub(super) snapshots: u64,
    /// How many were not, because they have the form of another version of Daybook. The engine does not read those either.
    pub(super) left_out: u64,
    /// What is wrong with them, each with the position of the last event of its stream that was looked at.
    pub(super) wrong: Vec<(Position, String)>,
}

/// Folds the stream of every snapshot up to it, one stream at a time.
pub(super) async fn compare(log: &dyn Log) -> Compared {
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
            match check(log, snapshot).await {
                Verdict::Same => compared.snapshots += 1,
                Verdict::OtherForm => compared.left_out += 1,
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
    Wrong(Position, String),
}

async fn check(log: &dyn Log, snapshot: &Snapshot) -> Verdict {
    let absent = State::absent(&snapshot.stream.aggregate_type);
    let Some(absent) = absent.filter(|absent| absent.version() == snapshot.state_version) else { return Verdict::OtherForm };
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
