//! Folds every event into the state of its aggregate and holds it to the shop's rules, with a bounded number of streams at hand.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use domain::State;
use event_schemas::{CommerceEvent, Proposed, Recorded, Sequence, StreamId};
use event_store::{Log, ReadError};

use super::{Rule, business::Books, record::Checked, snapshots::Met};

/// How many states each of the two generations holds.
const GENERATION: usize = 10_000;

/// How many events of a stream are read at once when its state is no longer at hand.
const PAGE: usize = 1_000;

/// What is known of a stream: the state of its aggregate, and what its rules need.
struct Known {
    state: State,
    books: Books,
    /// Whether all of its events were folded into it: none is damaged, and none is of a newer version of Daybook.
    is_whole: bool,
    /// The sequence that a snapshot of it was taken at, if one was.
    snapshot: Option<Sequence>,
}

impl Known {
    /// Folds a record's events: all of them, if it is sound. Says which rules they break.
    fn fold(&mut self, record: &Recorded, events: &[CommerceEvent], is_sound: bool, met: &mut Met) -> Vec<(Rule, String)> {
        let Proposed { stream, sequence, event_type, .. } = &record.event;
        let mut wrong: Vec<_> = events.iter().flat_map(|event| self.books.check(event)).collect();
        let folded = catch_unwind(AssertUnwindSafe(|| events.iter().for_each(|event| self.state.evolve(event))));
        // A state that broke in between is that of no event any more.
        self.is_whole &= is_sound && folded.is_ok();
        if folded.is_err() {
            wrong.push((Rule::Fold, format!("{event_type} cannot be folded into {stream}")));
        }
        if self.is_whole && self.snapshot == Some(*sequence) {
            met.note(stream, &self.state);
        }
        wrong
    }
}

/// What is known of the streams that events came to lately. What was not needed for a generation is forgotten, and folded again
/// from its stream if it is needed after all: so memory does not grow with the log.
///
/// They are boxed, because states are large and move from one generation to the next.
pub(super) struct Folds {
    young: HashMap<StreamId, Box<Known>>,
    old: HashMap<StreamId, Box<Known>>,
}

impl Folds {
    pub(super) fn new() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }

    /// Folds a record's events, and notes the state that a snapshot should have. Says which rules they break.
    pub(super) async fn fold(
        &mut self,
        log: &dyn Log,
        checked: &Checked,
        met: &mut Met,
    ) -> Result<Vec<(Rule, String)>, ReadError> {
        let Checked { record, events, .. } = checked;
        let stream = &record.event.stream;
        let is_sound = !checked.unknown && checked.findings.is_empty();
        // One look-up for most events: the streams in use are many, and seldom at hand in the processor.
        if let Some(known) = self.young.get_mut(stream) {
            return Ok(known.fold(record, events, is_sound, met));
        }
        let Some(absent) = State::absent(&stream.aggregate_type) else { return Ok(Vec::new()) };
        let mut known = match self.old.remove(stream) {
            Some(known) => known,
            None => Box::new(past(log, record, absent, met.expects(stream)).await?),
        };
        let wrong = known.fold(record, events, is_sound, met);
        if self.young.len() == GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream.clone(), known);
        Ok(wrong)
    }
}

/// What was known before a record, folded from its stream. What is wrong there, or cannot be read, has been found at its own
/// position.
async fn past(log: &dyn Log, record: &Recorded, absent: State, snapshot: Option<Sequence>) -> Result<Known, ReadError> {
    let (mut known, mut after) = (Known { state: absent, books: Books::default(), is_whole: true, snapshot }, 0);
    while after + 1 < record.event.sequence {
        let page = match log.read_stream(&record.event.stream, after, PAGE).await {
            Err(ReadError::Damaged { .. }) => break,
            page => page?,
        };
        let Some(last) = page.last() else { break };
        after = last.event.sequence;
        for earlier in page.iter().filter(|earlier| earlier.position < record.position) {
            let events = earlier.decode();
            known.is_whole &= events.is_ok() && earlier.is_intact();
            for event in events.unwrap_or_default() {
                known.books.check(&event);
                known.state.evolve(&event);
            }
        }
    }
    known.is_whole &= after + 1 >= record.event.sequence;
    Ok(known)
}
