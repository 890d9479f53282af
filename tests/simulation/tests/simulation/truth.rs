//! What is really stored, whatever callers were told: events, and the engine's notes beside them.

use std::collections::{BTreeMap, HashMap};

use event_schemas::{Position, Proposed, Recorded, Sequence, StreamId, Timestamp, to_micros};
use event_store::{Head, Progress, Snapshot, Task};

/// How a process stood at some moment.
#[derive(Debug, Clone, Default)]
struct Place {
    checkpoint: Position,
    tasks: BTreeMap<String, Task>,
}

/// The simulated store. It checks nothing but where the log ends: what a batch may hold is for the auditor to see.
#[derive(Debug, Default)]
pub struct Truth {
    pub events: Vec<Recorded>,
    streams: HashMap<StreamId, Vec<Position>>,
    scopes: HashMap<String, Position>,
    /// Every snapshot ever saved, oldest first, so that a stale one can be given out.
    snapshots: HashMap<StreamId, Vec<Snapshot>>,
    places: BTreeMap<String, Place>,
    /// How processes stood before, so that their notes can be rolled back.
    past: Vec<(String, Place)>,
}

/// Where a position or sequence stands in a list.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Truth {
    pub fn head(&self) -> Head {
        let last = self.events.last();
        Head { position: self.events.len() as Position, recorded_at: last.map(|last| last.event.recorded_at) }
    }

    /// Writes a batch at the end.
    pub fn write(&mut self, batch: Vec<Proposed>) {
        for event in batch {
            let position = self.events.len() as Position + 1;
            self.streams.entry(event.stream.clone()).or_default().push(position);
            if let Some(scope) = &event.idempotency_scope {
                self.scopes.insert(scope.clone(), position);
            }
            self.events.push(Recorded::at(position, event));
        }
    }

    pub fn read(&self, after: Position, limit: usize) -> Vec<Recorded> {
        self.events.iter().skip(index(after)).take(limit).cloned().collect()
    }

    pub fn stream_length(&self, stream: &StreamId) -> Sequence {
        self.streams.get(stream).map_or(0, Vec::len) as Sequence
    }

    pub fn read_stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Vec<Recorded> {
        let positions = self.streams.get(stream).map_or(&[][..], Vec::as_slice).iter().skip(index(after)).take(limit);
        positions.map(|position| self.events[index(position - 1)].clone()).collect()
    }

    pub fn find_scope(&self, scope: &str) -> Option<Position> {
        self.scopes.get(scope).copied()
    }

    /// The snapshot of a stream, `back` steps before the newest.
    pub fn snapshot(&self, stream: &StreamId, back: usize) -> Option<Snapshot> {
        let saved = self.snapshots.get(stream)?;
        saved.iter().rev().nth(back).cloned()
    }

    /// The newest snapshots of the streams behind one, in the order of these.
    pub fn list_snapshots(&self, after: Option<&StreamId>, limit: usize) -> Vec<Snapshot> {
        let newest = self.snapshots.values().filter_map(|saved| saved.last());
        let mut kept: Vec<Snapshot> = newest.filter(|saved| after.is_none_or(|after| saved.stream > *after)).cloned().collect();
        kept.sort_by(|one, other| one.stream.cmp(&other.stream));
        kept.truncate(limit);
        kept
    }

    pub fn save_snapshot(&mut self, snapshot: Snapshot) {
        self.snapshots.entry(snapshot.stream.clone()).or_default().push(snapshot);
    }

    pub fn checkpoint(&self, process: &str) -> Position {
        self.places.get(process).map_or(0, |place| place.checkpoint)
    }

    pub fn save_progress(&mut self, progress: Progress) {
        let place = self.places.entry(progress.process.clone()).or_default();
        self.past.push((progress.process.clone(), place.clone()));
        for key in progress.done {
            place.tasks.remove(&key);
        }
        for task in progress.put {
            let due_at = task.due_at.map(to_micros);
            place.tasks.insert(task.key.clone(), Task { due_at, process: progress.process.clone(), ..task });
        }
        place.checkpoint = place.checkpoint.max(progress.checkpoint.unwrap_or(0));
    }

    /// Rolls a process back to how it stood at some moment, which `back` picks: its checkpoint, and its tasks if `wholly`.
    pub fn roll_back(&mut self, back: usize, wholly: bool) -> Option<String> {
        let (process, then) = self.past.get(back % self.past.len().max(1))?.clone();
        let place = self.places.entry(process.clone()).or_default();
        place.checkpoint = place.checkpoint.min(then.checkpoint);
        if wholly {
            *place = then;
        }
        Some(format!("{process} at {}", self.checkpoint(&process)))
    }

    pub fn tasks(&self, process: &str) -> Vec<Task> {
        self.places.get(process).map_or_else(Vec::new, |place| place.tasks.values().cloned().collect())
    }

    pub fn due_tasks(&self, process: &str, now: Timestamp, limit: usize) -> Vec<Task> {
        let mut due = self.tasks(process);
        due.retain(|task| task.due_at.is_some_and(|at| at <= now));
        due.sort_by(|a, b| (a.due_at, a.position, &a.key).cmp(&(b.due_at, b.position, &b.key)));
        due.truncate(limit);
        due
    }

    pub fn next_due(&self, process: &str) -> Option<Timestamp> {
        self.tasks(process).iter().filter_map(|task| task.due_at).min()
    }

    pub fn dead_letters(&self) -> Vec<Task> {
        let all = self.places.keys().flat_map(|process| self.tasks(process));
        all.filter(|task| task.due_at.is_none()).collect()
    }
}
