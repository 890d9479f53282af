//! Rounds of writing and dying: batches in which any loss, tear or doubling shows, and the reckoning after each round.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use event_schemas::{Position, Proposed, Recorded};
use event_store::{AppendError, Log, ReadError};
use uuid::Uuid;

use crate::facts::event;

/// How long a store may take to come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// A setting of a test, such as how many rounds it has.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// The batch after a position in a round: one stream, which is named after the round, the batch's first position and its size.
fn batch(round: u64, head: Position, size: u64) -> Vec<Proposed> {
    let name = format!("{round}-{}-{size}", head + 1);
    (1..=size).map(|sequence| event(&name, sequence)).collect()
}

/// Appends batches of one to seven until the log fails, and tells the last position of each that was acknowledged.
pub async fn write(log: &dyn Log, round: u64, mut tell: impl FnMut(Position)) -> AppendError {
    let (mut head, _) = read(log, Position::MAX >> 1).await.expect("a log that is whole");
    for size in (1..=7).cycle() {
        match log.append(head, batch(round, head, size)).await {
            Ok(end) => {
                head = end;
                tell(end);
            }
            Err(AppendError::HeadMoved { head: now }) => head = now,
            Err(error) => return error,
        }
    }
    unreachable!("the sizes never end")
}

/// Where the log ends, and what it holds after a position, once it answers: a store that was killed may take a moment to come back,
/// and connections to it as well. Or how it is damaged.
pub async fn read(log: &dyn Log, after: Position) -> Result<(Position, Vec<Recorded>), String> {
    let begun = Instant::now();
    loop {
        let (head, page) = (log.head().await, log.read(after, usize::MAX).await);
        match head.and_then(|head| Ok((head.position, page?))) {
            Ok(found) => return Ok(found),
            Err(ReadError::Unavailable(reason)) => assert!(begun.elapsed() < PATIENCE, "it does not come back: {reason}"),
            Err(error) => return Err(error.to_string()),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Appends, once the store can be written.
pub async fn appended(log: &dyn Log, head: Position, batch: Vec<Proposed>) -> Result<Position, AppendError> {
    let begun = Instant::now();
    loop {
        match log.append(head, batch.clone()).await {
            Err(AppendError::Unavailable(reason)) => assert!(begun.elapsed() < PATIENCE, "it does not come back: {reason}"),
            // A new session, after which the log is looked at before anything is written.
            Err(AppendError::HeadMoved { head: same }) if same == head => {}
            outcome => return outcome,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What was found in all rounds until now.
#[derive(Default)]
pub struct Ledger {
    /// How far the log was read.
    read: Position,
    ids: HashSet<Uuid>,
    /// Events that were acknowledged.
    pub acknowledged: usize,
    /// Events that were written though nobody was told so before the end of their round.
    pub unacknowledged: usize,
}

impl Ledger {
    /// Holds the log against what was acknowledged in a round, up to a position.
    ///
    /// Gives what was lost, torn, doubled or changed.
    pub async fn check(&mut self, log: &dyn Log, round: u64, acknowledged: Option<Position>) -> Result<(), String> {
        let acknowledged = acknowledged.unwrap_or(0);
        let (head, page) = read(log, self.read).await?;
        if head < acknowledged.max(self.read) {
            return Err(format!("the log ends at {head}: {acknowledged} were acknowledged, {} read before", self.read));
        }
        for (event, position) in page.iter().zip(self.read + 1..) {
            if event.position != position || !event.is_intact() || !self.ids.insert(event.event.event_id) {
                return Err(format!("the event at {position} is missing, changed or there twice"));
            }
        }
        for batch in page.chunk_by(|one, next| one.event.stream == next.event.stream) {
            let of_round = whole(batch)?;
            let last = batch[batch.len() - 1].position;
            // What a session of the server had in hand when its client died may be written a while later, between two others.
            if of_round > round || (last == acknowledged && of_round != round) {
                return Err(format!("position {last} is of round {of_round}, acknowledged in {round}"));
            }
            let told = of_round == round && last <= acknowledged;
            *if told { &mut self.acknowledged } else { &mut self.unacknowledged } += batch.len();
        }
        self.read += page.len() as Position;
        Ok(())
    }

    /// Reads the whole log once more, after the last round.
    pub async fn close(&self, log: &dyn Log) {
        let events = log.read(0, usize::MAX).await.unwrap();
        assert!(events.iter().zip(1..).all(|(event, position)| event.position == position && event.is_intact()));
        let ids: HashSet<Uuid> = events.iter().map(|event| event.event.event_id).collect();
        assert!(ids.len() == events.len(), "an event is there twice");
        // There may be more: what a session of the server had in hand when its client died.
        assert!(self.ids.is_subset(&ids), "{} events were there once, and {} are now", self.ids.len(), ids.len());
    }
}

/// The round of a batch, if it stands whole in the place for which it was written.
fn whole(batch: &[Recorded]) -> Result<u64, String> {
    let name = &batch[0].event.stream.aggregate_id;
    let numbers: Vec<u64> = name.split('-').map(|number| number.parse().unwrap()).collect();
    let [round, first, size] = numbers[..] else { panic!("{name}") };
    let in_order = batch.iter().zip(1..).all(|(event, sequence)| event.event.sequence == sequence);
    if batch[0].position == first && batch.len() as u64 == size && in_order {
        Ok(round)
    } else {
        Err(format!("{} events of the batch {name} are at position {}", batch.len(), batch[0].position))
    }
}
