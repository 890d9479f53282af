//! A decision: the pure step from what is known to what happens, over as many aggregates as must agree.

use std::{cell::RefCell, fmt};

use event_schemas::{CommerceEvent, Sequence, StreamId, Timestamp};

use crate::{AggregateRoot, Refusal, State};

/// One event that a decision wants to happen.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// What happens.
    pub event: CommerceEvent,
    /// When it happened in the world, if that is not now (imports and corrections).
    pub occurred_at: Option<Timestamp>,
}

impl Change {
    /// An event that happens now.
    pub fn now(stream: StreamId, event: impl Into<CommerceEvent>) -> Self {
        Self { stream, event: event.into(), occurred_at: None }
    }

    /// Events of one stream that happen now, in order.
    pub fn all<E: Into<CommerceEvent>>(stream: StreamId, events: Vec<E>) -> Vec<Self> {
        events.into_iter().map(|event| Self::now(stream.clone(), event)).collect()
    }
}

/// A command with everything it needs from outside (time, new ids, prices), ready to be decided.
///
/// There is no list of what a decision reads: it asks the [`World`], and whoever runs it brings what was missing and runs
/// it again. So a read can follow from another read (a checkout reads the cart, then what is in it), and the list can
/// never disagree with the code. For that, `decide` must be pure: the same world gives the same answer.
pub trait Decision: Send + Sync + fmt::Debug + 'static {
    /// What happens, in order, or the rule that forbids it. No changes means that nothing needs to happen.
    ///
    /// # Errors
    /// The first rule that forbids it.
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal>;
}

impl Decision for Box<dyn Decision> {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        (**self).decide(world)
    }
}

/// Where a [`World`] gets the states that are at hand.
pub trait States {
    /// The state of an aggregate, if it is at hand. An aggregate that does not exist yet is at hand once that is known.
    fn state(&self, stream: &StreamId) -> Option<&State>;

    /// The sequence of its last event, if it is at hand; 0 for one that does not exist yet.
    fn version(&self, stream: &StreamId) -> Option<Sequence>;
}

/// What a decision can see: aggregates as they are after everything decided before.
pub struct World<'a> {
    states: &'a dyn States,
    missing: RefCell<Vec<StreamId>>,
}

impl<'a> World<'a> {
    /// A view of the states at hand.
    pub fn new(states: &'a dyn States) -> Self {
        Self { states, missing: RefCell::default() }
    }

    /// The aggregate with this id, as it is. One that does not exist is in its default state.
    ///
    /// If it is not at hand, the answer is the default state too, and the decision's result must be thrown away: see
    /// [`World::into_missing`].
    pub fn get<A: AggregateRoot>(&self, id: impl fmt::Display) -> &'a A {
        self.state(&StreamId::new(A::TYPE, id)).and_then(A::of).unwrap_or(A::absent())
    }

    /// The state of any aggregate, if it is at hand; if not, the result must be thrown away as with [`World::get`].
    pub fn state(&self, stream: &StreamId) -> Option<&'a State> {
        let state = self.states.state(stream);
        if state.is_none() {
            self.missing.borrow_mut().push(stream.clone());
        }
        state
    }

    /// The sequence of an aggregate's last event, if it is at hand, and 0 if it does not exist; if it is not at hand, the
    /// result must be thrown away as with [`World::get`].
    pub fn version(&self, stream: &StreamId) -> Sequence {
        self.states.version(stream).unwrap_or_else(|| {
            self.missing.borrow_mut().push(stream.clone());
            0
        })
    }

    /// The streams that were asked for and were not at hand. Unless this is empty, the decision must be run again.
    pub fn into_missing(self) -> Vec<StreamId> {
        let mut missing = self.missing.into_inner();
        missing.sort();
        missing.dedup();
        missing
    }
}
