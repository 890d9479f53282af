//! What waits to be delivered: one line per stream, so that a stream keeps its order and holds up no other.

use event_schemas::{Position, Recorded, Sequence, Timestamp};
use serde::{Deserialize, Serialize};

/// Events of one stream that wait, the first of them to be delivered first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// The stream, as `type/id`.
    pub(crate) stream: String,
    /// The first event that waits.
    pub(crate) next: Sequence,
    /// The last event that waits.
    pub(crate) last: Sequence,
    /// How often the first was tried.
    pub(crate) attempts: u32,
    /// When to try.
    pub(crate) due_at: Timestamp,
    /// For one event that staff have sent again: where the log says so. Such a line stands beside the stream's own.
    pub(crate) again: Option<Position>,
}

impl Line {
    /// A line of one event.
    pub(crate) fn of(recorded: &Recorded, again: Option<Position>, now: Timestamp) -> Self {
        let (stream, sequence) = (recorded.event.stream.to_string(), recorded.event.sequence);
        Self { stream, next: sequence, last: sequence, attempts: 0, due_at: now, again }
    }

    /// The event at `sequence` is done with.
    pub(crate) fn advance(&mut self, sequence: Sequence) {
        (self.next, self.attempts) = (sequence + 1, 0);
    }

    /// Whether all of it is done.
    pub(crate) fn is_done(&self) -> bool {
        self.next > self.last
    }
}

/// Puts an event at the end of its stream's line.
pub(crate) fn queue(lines: &mut Vec<Line>, recorded: &Recorded, now: Timestamp) {
    let stream = recorded.event.stream.to_string();
    match lines.iter_mut().find(|line| line.again.is_none() && line.stream == stream) {
        Some(line) => line.last = recorded.event.sequence,
        None => lines.push(Line::of(recorded, None, now)),
    }
}

/// Puts an event that staff have sent again beside the lines, unless it stands there.
pub(crate) fn queue_again(lines: &mut Vec<Line>, recorded: &Recorded, asked_at: Position, now: Timestamp) {
    let line = Line::of(recorded, Some(asked_at), now);
    if !lines.iter().any(|other| other.again.is_some() && (&other.stream, other.next) == (&line.stream, line.next)) {
        lines.push(line);
    }
}

/// Lets no line wait for longer than until a moment.
pub(crate) fn hasten(lines: &mut [Line], until: Timestamp) {
    for line in lines {
        line.due_at = line.due_at.min(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_schemas::Proposed;

    fn recorded(position: Position, stream: &str, sequence: Sequence) -> Recorded {
        let event = Proposed {
            event_id: uuid::Uuid::nil(),
            stream: stream.parse().unwrap(),
            sequence,
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
    fn a_stream_has_one_line_and_what_is_sent_again_stands_beside_it_once() {
        let (mut lines, now) = (Vec::new(), Timestamp::default());
        queue(&mut lines, &recorded(1, "order/a", 1), now);
        queue(&mut lines, &recorded(2, "order/b", 1), now);
        queue(&mut lines, &recorded(3, "order/a", 2), now);
        for asked_at in [8, 9] {
            queue_again(&mut lines, &recorded(1, "order/a", 1), asked_at, now);
        }
        queue(&mut lines, &recorded(10, "order/a", 3), now);
        let seen: Vec<_> = lines.iter().map(|line| (line.stream.as_str(), line.next, line.last, line.again)).collect();
        assert_eq!(seen, [("order/a", 1, 3, None), ("order/b", 1, 1, None), ("order/a", 1, 1, Some(8))]);
    }

    #[test]
    fn a_line_that_is_hastened_waits_no_longer_than_said_and_others_are_not_put_off() {
        let soon = Timestamp::default() + chrono::TimeDelta::minutes(10);
        let due = |at| Line { attempts: 4, ..Line::of(&recorded(1, "order/a", 1), None, at) };
        let mut lines = [due(Timestamp::default()), due(soon + chrono::TimeDelta::hours(10))];
        hasten(&mut lines, soon);
        assert_eq!(lines, [due(Timestamp::default()), due(soon)]);
    }

    #[test]
    fn a_line_is_done_after_its_last_event_and_each_event_has_its_own_tries() {
        let mut line = Line { last: 3, attempts: 4, ..Line::of(&recorded(1, "order/a", 2), None, Timestamp::default()) };
        line.advance(2);
        assert_eq!((line.next, line.attempts, line.is_done()), (3, 0, false));
        line.advance(3);
        assert!(line.is_done());
    }
}
