//! A moment of the past, as command lines and callers name it.

use std::{fmt, str::FromStr};

use chrono::TimeDelta;
use event_schemas::{Position, Recorded, Timestamp, rfc3339};

use crate::{Log, ReadError};

/// What stands before a time that goes by when things happened.
const OCCURRED: &str = "occurred:";

/// By how much the clock of who asks may be ahead.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(5);

/// Up to where history is looked at; the moment itself counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Up to the event at this position: the log as it was when that was its end.
    Position(Position),
    /// What the log had recorded by this time: what one could have known then.
    Recorded(Timestamp),
    /// What had happened in the world by this time, whenever the log heard of it: what is known now about then. An import or a
    /// late correction counts from when it happened.
    Occurred(Timestamp),
}

impl Moment {
    /// Whether an event belongs to the past up to this moment.
    pub fn includes(&self, record: &Recorded) -> bool {
        match self {
            Self::Position(position) => record.position <= *position,
            Self::Recorded(time) => record.event.recorded_at <= *time,
            Self::Occurred(time) => record.event.occurred_at <= *time,
        }
    }

    /// Whether it is a time that has not come yet. A few seconds pass as now, because the clocks of two machines differ.
    pub fn is_yet_to_come(&self, now: Timestamp) -> bool {
        match self {
            Self::Position(_) => false,
            Self::Recorded(time) | Self::Occurred(time) => *time > now + CLOCKS_DIFFER,
        }
    }

    /// Whether this moment is known to be after another, which needs two of the same kind.
    pub fn is_after(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Position(one), Self::Position(other)) => one > other,
            (Self::Recorded(one), Self::Recorded(other)) | (Self::Occurred(one), Self::Occurred(other)) => one > other,
            (Self::Position(_) | Self::Recorded(_) | Self::Occurred(_), _) => false,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => write!(f, "position {position}"),
            Self::Recorded(time) => f.write_str(&rfc3339(*time)),
            Self::Occurred(time) => write!(f, "{OCCURRED}{}", rfc3339(*time)),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(position) = text.parse() {
            return Ok(Self::Position(position));
        }
        let (made, time): (fn(Timestamp) -> Self, &str) = match text.strip_prefix(OCCURRED) {
            Some(time) => (Self::Occurred, time),
            None => (Self::Recorded, text),
        };
        let time = chrono::DateTime::parse_from_rfc3339(time);
        time.map(|time| made(time.to_utc())).map_err(|_| {
            format!(
                "`{text}` is neither a position, such as 1200, nor a time with its zone by which it was recorded, such as \
                 2026-01-31T09:00:00Z, or had happened, such as occurred:2026-01-31T09:00:00Z"
            )
        })
    }
}

/// The last position that was recorded by a time; 0 if there is none. Times never go back along the log, so it is looked for by
/// halves.
///
/// # Errors
/// If the log cannot be read.
pub(crate) async fn recorded_by(log: &dyn Log, time: Timestamp) -> Result<Position, ReadError> {
    let (mut known, mut beyond) = (0, log.head().await?.position + 1);
    while known + 1 < beyond {
        let middle = known + (beyond - known) / 2;
        let record = log.read(middle - 1, 1).await?.pop();
        if record.is_some_and(|record| record.event.recorded_at <= time) {
            known = middle;
        } else {
            beyond = middle;
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::Moment;

    #[test]
    fn a_moment_is_a_position_or_a_time_with_its_zone() {
        assert_eq!("12".parse(), Ok(Moment::Position(12)));
        let (plain, zoned) = ("2026-01-31T09:00:00Z".parse::<Moment>(), "2026-01-31T10:00:00+01:00".parse::<Moment>());
        assert!(matches!(plain, Ok(Moment::Recorded(_))) && plain == zoned);
        assert!("2026-01-31T09:00:00".parse::<Moment>().is_err() && "-1".parse::<Moment>().is_err());
    }

    #[test]
    fn a_moment_reads_back_what_it_prints() {
        for text in ["2026-01-31T09:00:00.000000Z", "occurred:2026-01-31T09:00:00.000000Z"] {
            assert_eq!(text.parse::<Moment>().map(|moment| moment.to_string()).as_deref(), Ok(text));
        }
        assert!("occurred:12".parse::<Moment>().is_err());
    }

    #[test]
    fn only_moments_of_one_kind_are_told_apart() {
        let [one, two]: [Moment; 2] = ["1", "2"].map(|text| text.parse().unwrap());
        let [early, late]: [Moment; 2] =
            ["occurred:2026-01-01T00:00:00Z", "occurred:2026-01-02T00:00:00Z"].map(|t| t.parse().unwrap());
        assert!(two.is_after(&one) && late.is_after(&early));
        assert!(!one.is_after(&two) && !one.is_after(&one) && !late.is_after(&one) && !one.is_after(&late));
    }
}
