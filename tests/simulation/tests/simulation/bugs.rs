//! Bugs planted on purpose: each breaks one promise of the log, the gateway, a process or a decision, as a wrong engine or a
//! wrong adapter would. The simulation is worth what it finds of these.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use domain::{Change, Decision, Refusal, State, States, World as Known};
use event_schemas::{
    CommerceEvent, LocationId, PaymentEvent, Position, Proposed, Recorded, Sequence, Sku, StockEvent, StockReceived, StreamId,
    Timestamp,
};
use event_store::{AppendError, Progress, Snapshot, Task};

use super::{
    ask::Ask,
    world::{Life, World},
};

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    LostWrite,
    HalfBatch,
    DoubleApply,
    RefusedButWritten,
    StaleCache,
    StaleRefusal,
    KeysForgotten,
    WrongFirstAnswer,
    Oversell,
    OverRefund,
    ActsTwice,
    SkippedEvent,
    LostDeadline,
    WrongSnapshot,
    ClockBack,
    ViewSkips,
}

/// Every planted bug: what is wrong, and within how many seeds it must be found.
pub const PLANTED: &[(Bug, &str, u64)] = &[
    (Bug::LostWrite, "an append is acknowledged and not written", 5),
    (Bug::HalfBatch, "an append writes a part of its batch", 5),
    (Bug::DoubleApply, "an append of unknown outcome is applied twice", 20),
    (Bug::RefusedButWritten, "an append is reported as failed and was written", 20),
    (Bug::StaleCache, "after HeadMoved, some events of other nodes never reach the cache", 10),
    (Bug::StaleRefusal, "a node refuses on what it knew, without looking whether the log has moved on", 40),
    (Bug::KeysForgotten, "idempotency keys from before a restart are forgotten", 40),
    (Bug::WrongFirstAnswer, "a repeated command gets the answer of another one", 20),
    (Bug::Oversell, "a checkout sees ten units more than there are", 10),
    (Bug::OverRefund, "a refund is one cent larger than was asked for", 20),
    (Bug::ActsTwice, "a process calls the gateway again under another key", 20),
    (Bug::SkippedEvent, "a process's checkpoint skips an event", 20),
    (Bug::LostDeadline, "a process forgets its deadlines", 20),
    (Bug::WrongSnapshot, "a snapshot is taken for one event more than is folded into it", 60),
    (Bug::ClockBack, "events are recorded by the node's own clock even when it goes back", 20),
    (Bug::ViewSkips, "a view never sees one of the events", 5),
];

/// What the planted bugs of the log make of an append; none when they leave it alone.
pub fn append(world: &Arc<World>, life: &Life, head: Position, batch: &[Proposed]) -> Option<Result<Position, AppendError>> {
    let end = head + batch.len() as Position;
    if world.contents().truth.head().position != head {
        return None;
    }
    if world.bites(Bug::LostWrite, 40) {
        return Some(Ok(end));
    }
    if batch.len() > 1 && world.bites(Bug::HalfBatch, 100) {
        return Some(world.commit(head, batch[..batch.len() / 2].to_vec()).map(|_| end));
    }
    if world.bug == Some(Bug::StaleCache) {
        return Some(world.commit(head, renumbered(world, batch.to_vec())));
    }
    if world.bug == Some(Bug::ClockBack) {
        let now = Timestamp::from_timestamp_micros(world.now(life.node)).unwrap();
        let by_clock = batch.iter().map(|event| Proposed { recorded_at: event.recorded_at.min(now), ..event.clone() });
        return Some(world.commit(head, by_clock.collect()));
    }
    None
}

/// The batch as a store that does not look would take it: every stream simply goes on.
fn renumbered(world: &World, batch: Vec<Proposed>) -> Vec<Proposed> {
    let contents = world.contents();
    let mut ends = BTreeMap::new();
    let number = |event: Proposed| {
        let end = ends.entry(event.stream.clone()).or_insert_with(|| contents.truth.stream_length(&event.stream));
        *end += 1;
        Proposed { sequence: *end, ..event }
    };
    batch.into_iter().map(number).collect()
}

/// A batch that is applied again.
pub fn once_more(world: &World, batch: Vec<Proposed>) -> Vec<Proposed> {
    let keyless = batch.into_iter().map(|event| Proposed { idempotency_scope: None, ..event }).collect();
    renumbered(world, keyless)
}

/// What a node reads of the log.
pub fn read(world: &World, for_engine: bool, limit: usize, mut page: Vec<Recorded>) -> Vec<Recorded> {
    // The first is what the node knows already, and looks for.
    if for_engine && page.len() > 2 && world.bites(Bug::StaleCache, 500) {
        page.drain(1..page.len() - 1);
    }
    // A node that does not look again believes that the log still ends where it last saw it end.
    if for_engine && limit == 2 && world.bites(Bug::StaleRefusal, 1000) {
        page.truncate(1);
    }
    page
}

/// Where a node finds an idempotency key.
pub fn find_scope(world: &World, life: &Life, position: Option<Position>) -> Option<Position> {
    let forgotten = world.bites(Bug::KeysForgotten, 1000) && position.is_some_and(|position| position <= life.born_at);
    let wrong = world.bites(Bug::WrongFirstAnswer, 500);
    position.filter(|_| !forgotten).map(|position| if wrong { position.max(2) - 1 } else { position })
}

/// A snapshot as it is given out.
pub fn snapshot(world: &World, snapshot: Snapshot) -> Snapshot {
    let more = u64::from(world.bites(Bug::WrongSnapshot, 1000));
    Snapshot { sequence: snapshot.sequence + more, ..snapshot }
}

/// A process's step as it is saved.
pub fn progress(world: &World, mut progress: Progress) -> Progress {
    if world.bites(Bug::SkippedEvent, 200) {
        progress.checkpoint = progress.checkpoint.map(|position| position + 1);
    }
    if world.bites(Bug::LostDeadline, 500) {
        progress.put.retain(|task| task.key.starts_with("retry:"));
    }
    progress
}

/// Why a dead letter should not be, unless it is that of a gateway that does not answer.
pub fn needs_an_operator(task: &Task) -> Option<String> {
    let reason = task.last_error.clone().unwrap_or_default();
    let away = reason.starts_with("the gateway ");
    (!away).then(|| format!("process {} gives up on position {}, {}: {reason}", task.process, task.position, task.key))
}

/// A decision of a mutated node.
#[derive(Debug)]
struct Mutated {
    decision: Box<dyn Decision>,
    bug: Bug,
}

/// What a node is given to decide: the decision, or what a planted bug makes of it.
pub fn mutated(world: &World, ask: &Ask, decision: Box<dyn Decision>) -> Box<dyn Decision> {
    match (ask, world.bug) {
        (Ask::Checkout { .. }, Some(bug @ Bug::Oversell)) | (Ask::Refund { .. }, Some(bug @ Bug::OverRefund)) => {
            Box::new(Mutated { decision, bug })
        }
        _ => decision,
    }
}

/// What is known, with other stocks in place of some; notes what was asked for.
struct Lavish<'w, 'a> {
    known: &'w Known<'a>,
    streams: RefCell<Vec<StreamId>>,
    stocks: BTreeMap<StreamId, State>,
}

impl States for Lavish<'_, '_> {
    fn state(&self, stream: &StreamId) -> Option<&State> {
        self.streams.borrow_mut().push(stream.clone());
        self.stocks.get(stream).or_else(|| self.known.state(stream))
    }

    fn version(&self, stream: &StreamId) -> Option<Sequence> {
        Some(self.known.version(stream))
    }
}

impl Decision for Mutated {
    fn decide(&self, known: &Known<'_>) -> Result<Vec<Change>, Refusal> {
        if self.bug == Bug::OverRefund {
            let mut changes = self.decision.decide(known)?;
            for change in &mut changes {
                if let CommerceEvent::Payment(PaymentEvent::PaymentRefundRequested(requested)) = &mut change.event {
                    requested.amount.minor += 1;
                }
            }
            return Ok(changes);
        }
        let first = Lavish { known, streams: RefCell::default(), stocks: BTreeMap::new() };
        let _ = self.decision.decide(&Known::new(&first));
        let more = StockEvent::from(StockReceived {
            sku: Sku::new("MORE").unwrap(),
            location: LocationId::new("main").unwrap(),
            quantity: 10,
            reference: None,
        });
        let mut stocks = BTreeMap::new();
        for stream in first.streams.into_inner().into_iter().filter(|stream| stream.aggregate_type == "stock") {
            if let Some(mut state) = known.state(&stream).cloned() {
                state.evolve(&CommerceEvent::Stock(more.clone()));
                stocks.insert(stream, state);
            }
        }
        self.decision.decide(&Known::new(&Lavish { known, streams: RefCell::default(), stocks }))
    }
}
