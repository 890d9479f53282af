//! Folds every event into the state of its aggregate and holds it to the shop's rules, with a bounded number of streams at hand.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use domain::State;
use event_schemas::{CommerceEvent, Recorded, StreamId};
use event_store::{Log, ReadError};

use super::{Rule, business::Books};

/// How many states each of the two generations holds.
const GENERATION: usize = 10_000;

/// How many events of a stream are read at once when its state is no longer at hand.
const PAGE: usize = 1_000;

/// What is known of a stream: the state of its aggregate, and what its rules need.
struct Known {
    state: State,
    books: Books,
}

/// What is known of the streams that events came to lately. What was not needed for a generation is forgotten, and folded again
/// from its stream if it is needed after all: so memory does not grow with the log.
pub(super) struct Folds {
    young: HashMap<StreamId, Known>,
    old: HashMap<StreamId, Known>,
}

impl Folds {
    pub(super) fn new() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }

    /// Folds a record's events. Says which rules they break.
    pub(super) async fn fold(
        &mut self,
        log: &dyn Log,
        record: &Recorded,
        events: &[CommerceEvent],
    ) -> Result<Vec<(Rule, String)>, ReadError> {
        let stream = &record.event.stream;
        let Some(absent) = State::absent(&stream.aggregate_type) else { return Ok(Vec::new()) };
        let Known { mut state, mut books } = match self.young.remove(stream).or_else(|| self.old.remove(stream)) {
            Some(known) => known,
            None => past(log, record, absent).await?,
        };
        let mut wrong: Vec<_> = events.iter().flat_map(|event| books.check(event)).collect();
        let folded = catch_unwind(AssertUnwindSafe(|| {
            events.iter().for_each(|event| state.evolve(event));
            state
        }));
        let Ok(state) = folded else {
            wrong.push((Rule::Fold, format!("{} cannot be folded into {stream}", record.event.event_type)));
            return Ok(wrong);
        };
        if self.young.len() == GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream.clone(), Known { state, books });
        Ok(wrong)
    }
}

/// What was known before a record, folded from its stream. What is wrong there, or cannot be read, has been found at its own
/// position.
async fn past(log: &dyn Log, record: &Recorded, absent: State) -> Result<Known, ReadError> {
    let (mut known, mut after) = (Known { state: absent, books: Books::default() }, 0);
    while after + 1 < record.event.sequence {
        let page = match log.read_stream(&record.event.stream, after, PAGE).await {
            Err(ReadError::Damaged { .. }) => break,
            page => page?,
        };
        let Some(last) = page.last() else { break };
        after = last.event.sequence;
        for earlier in page.iter().filter(|earlier| earlier.position < record.position) {
            for event in earlier.decode().unwrap_or_default() {
                known.books.check(&event);
                known.state.evolve(&event);
            }
        }
    }
    Ok(known)
}
