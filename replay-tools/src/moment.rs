//! A moment of the log's past: a position, or a time that was recorded.

use std::str::FromStr;

use event_schemas::{Position, Recorded, Timestamp};

/// Up to where history is looked at: everything recorded up to and including the moment counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Up to and including the event at this position.
    Position(Position),
    /// Up to and including what was recorded at this time.
    Time(Timestamp),
}

impl Moment {
    /// Whether an event had been recorded by this moment.
    pub fn includes(&self, record: &Recorded) -> bool {
        match self {
            Self::Position(position) => record.position <= *position,
            Self::Time(time) => record.event.recorded_at <= *time,
        }
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Position(position) => write!(f, "position {position}"),
            Self::Time(time) => f.write_str(&event_schemas::rfc3339(*time)),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(position) = text.parse() {
            return Ok(Self::Position(position));
        }
        let time = chrono::DateTime::parse_from_rfc3339(text);
        time.map(|time| Self::Time(time.to_utc())).map_err(|_| {
            format!("`{text}` is neither a position, such as 1200, nor a time with its zone, such as 2026-01-31T09:00:00Z")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;

    #[test]
    fn a_moment_is_a_position_or_a_time_with_its_zone() {
        assert_eq!("12".parse(), Ok(Moment::Position(12)));
        let (plain, zoned) = ("2026-01-31T09:00:00Z".parse::<Moment>(), "2026-01-31T10:00:00+01:00".parse::<Moment>());
        assert!(plain.is_ok() && plain == zoned);
        assert!("2026-01-31T09:00:00".parse::<Moment>().is_err() && "-1".parse::<Moment>().is_err());
    }
}
