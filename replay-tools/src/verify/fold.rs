//! Folds every event into the state of its aggregate, with a bounded number of states at hand.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use domain::State;
use event_schemas::{CommerceEvent, Recorded, StreamId};
use event_store::{Log, ReadError};

/// How many states each of the two generations holds.
const GENERATION: usize = 20_000;

/// How many events of a stream are read at once when its state is no longer at hand.
const PAGE: usize = 1_000;

/// The states of the streams that events came to lately. A state that was not needed for a generation is forgotten, and
/// folded again from its stream if it is needed after all.
pub(super) struct Folds {
    young: HashMap<StreamId, State>,
    old: HashMap<StreamId, State>,
}

impl Folds {
    pub(super) fn new() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }

    /// Folds a record's events. Says what went wrong, if anything did.
    pub(super) async fn fold(
        &mut self,
        log: &dyn Log,
        record: &Recorded,
        events: &[CommerceEvent],
    ) -> Result<Option<String>, ReadError> {
        let stream = &record.event.stream;
        let Some(absent) = State::absent(&stream.aggregate_type) else { return Ok(None) };
        let mut state = match self.young.remove(stream).or_else(|| self.old.remove(stream)) {
            Some(state) => state,
            None => past(log, record, absent).await?,
        };
        let folded = catch_unwind(AssertUnwindSafe(|| {
            events.iter().for_each(|event| state.evolve(event));
            state
        }));
        let Ok(state) = folded else {
            return Ok(Some(format!("{} cannot be folded into {stream}", record.event.event_type)));
        };
        if self.young.len() == GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream.clone(), state);
        Ok(None)
    }
}

/// The state before a record, folded from its stream. What cannot be read of it has been found at its own position.
async fn past(log: &dyn Log, record: &Recorded, mut state: State) -> Result<State, ReadError> {
    let mut after = 0;
    while after + 1 < record.event.sequence {
        let page = match log.read_stream(&record.event.stream, after, PAGE).await {
            Err(ReadError::Damaged { .. }) => break,
            page => page?,
        };
        let Some(last) = page.last() else { break };
        after = last.event.sequence;
        for earlier in page.iter().filter(|earlier| earlier.position < record.position) {
            for event in earlier.decode().unwrap_or_default() {
                state.evolve(&event);
            }
        }
    }
    Ok(state)
}
