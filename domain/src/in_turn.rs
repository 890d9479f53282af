//! Two decisions made as one: the second on what the first has done, all of it or nothing.

use std::collections::BTreeMap;

use event_schemas::{Sequence, StreamId};

use crate::{Change, Decision, Refusal, State, States, World};

/// Decides `first`, then `second` as if `first` had happened.
#[derive(Debug, Clone)]
pub struct InTurn<A, B> {
    /// What comes first.
    pub first: A,
    /// What comes after it; nothing if absent.
    pub second: Option<B>,
}

/// The world after some changes that are not written yet.
struct After<'w, 'a> {
    world: &'w World<'a>,
    /// What has changed: as it is then, and by how many events.
    changed: BTreeMap<StreamId, (State, Sequence)>,
}

impl States for After<'_, '_> {
    fn state(&self, stream: &StreamId) -> Option<&State> {
        self.changed.get(stream).map(|(state, _)| state).or_else(|| self.world.state(stream))
    }

    fn version(&self, stream: &StreamId) -> Option<Sequence> {
        Some(self.world.version(stream) + self.changed.get(stream).map_or(0, |(_, events)| *events))
    }
}

impl<A: Decision, B: Decision> Decision for InTurn<A, B> {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let mut changes = self.first.decide(world)?;
        let Some(second) = &self.second else { return Ok(changes) };
        let mut after = After { world, changed: BTreeMap::new() };
        for change in &changes {
            let before = || {
                let state = world.state(&change.stream).cloned().or_else(|| State::absent(&change.stream.aggregate_type));
                Some((state?, 0))
            };
            if let Some((mut state, events)) = after.changed.remove(&change.stream).or_else(before) {
                state.evolve(&change.event);
                after.changed.insert(change.stream.clone(), (state, events + 1));
            }
        }
        changes.extend(second.decide(&World::new(&after))?);
        Ok(changes)
    }
}
