//! Marks on the way through the log: which event stood where. A log that was restored from an older backup than the vault, and
//! has grown since, is told by them from the log that was there before, so that nothing that happened since is skipped.

use event_schemas::{Position, Recorded};
use event_store::{Log, ReadError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How many are kept: those of long ago stand far apart, so that they reach back a long way.
const MOST: usize = 24;

/// Events that a webhook has come past, the latest last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks(Vec<(Position, Uuid)>);

/// What the log has of the marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// The latest, or there is none.
    Firm,
    /// Not the latest, but this one.
    BackAt(Position),
    /// None of them.
    Lost,
}

impl Marks {
    /// Leaves one at an event. Where there are too many, the one goes that is missed least: whose neighbours are nearest to each
    /// other for how long ago it was.
    pub(crate) fn leave(&mut self, recorded: &Recorded) {
        self.0.push((recorded.position, recorded.event.event_id));
        if self.0.len() <= MOST {
            return;
        }
        let latest = recorded.position;
        let gap = |index: &usize| {
            let around = |at: usize| self.0.get(at).map_or(latest, |(position, _)| *position);
            let (before, here, after) = (around(index - 1), around(*index), around(index + 1));
            ((after - before) as f64 / (latest - here + 1) as f64 * 1e6) as u64
        };
        if let Some(least) = (1..self.0.len() - 1).min_by_key(gap) {
            self.0.remove(least);
        }
    }

    /// Takes off those after a position.
    pub(crate) fn forget_after(&mut self, position: Position) {
        self.0.retain(|(at, _)| *at <= position);
    }

    /// What the log has of them.
    pub(crate) async fn ground(&self, log: &dyn Log) -> Result<Ground, ReadError> {
        for (back, (position, event_id)) in self.0.iter().rev().enumerate() {
            let found = log.read(position.saturating_sub(1), 1).await?;
            if found.first().is_some_and(|event| event.position == *position && event.event.event_id == *event_id) {
                return Ok(if back == 0 { Ground::Firm } else { Ground::BackAt(*position) });
            }
        }
        Ok(if self.0.is_empty() { Ground::Firm } else { Ground::Lost })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_schemas::{Proposed, Timestamp};

    fn recorded(position: Position) -> Recorded {
        let event = Proposed {
            event_id: Uuid::from_u128(position.into()),
            stream: "order/a".parse().unwrap(),
            sequence: position,
            event_type: "OrderPlaced".into(),
            event_version: 1,
            payload: "{}".to_owned(),
            metadata: "{}".to_owned(),
            recorded_at: Timestamp::default(),
            occurred_at: Timestamp::default(),
            idempotency_scope: None,
        };
        Recorded::at(position, event)
    }

    #[test]
    fn marks_are_few_reach_far_back_and_are_close_together_at_the_end() {
        let mut marks = Marks::default();
        (1..=100_000).for_each(|position| marks.leave(&recorded(position)));
        let positions: Vec<Position> = marks.0.iter().map(|(position, _)| *position).collect();
        assert!(positions.len() <= MOST && positions.is_sorted());
        assert_eq!((positions[0], positions[positions.len() - 1]), (1, 100_000));
        let behind = |within: Position| positions.iter().filter(|position| 100_000 - **position <= within).count();
        assert!(behind(10) >= 3 && behind(1_000) >= 8, "{positions:?}");
        marks.forget_after(positions[3]);
        assert_eq!(marks.0.len(), 4);
    }
}
