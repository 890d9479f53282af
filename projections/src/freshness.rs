//! How far the views have come, as health, metrics and the API show it.

use event_schemas::{Position, Timestamp};

use crate::Projection;

text_enum! {
    /// What a projection is doing.
    ProjectionState {
        /// It has seen all that the log holds.
        Live = "live",
        /// It is reading what it has not seen yet.
        CatchingUp = "catching_up",
        /// A new generation is being built; the old one serves until then.
        Rebuilding = "rebuilding",
        /// An event or a failure of its writer stopped it; its last good state is served.
        Halted = "halted",
    }
}

/// How one projection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionStatus {
    /// Its name.
    pub name: &'static str,
    /// The version of the fold that made what is served.
    pub version: u32,
    /// The generation of tables that is served.
    pub generation: u32,
    /// The last event in what is served.
    pub position: Position,
    /// How many events what is served is behind the log.
    pub lag: u64,
    /// What it is doing.
    pub state: ProjectionState,
    /// While it is rebuilt: the last event in the new generation.
    pub rebuilt_to: Option<Position>,
    /// Why it halted.
    pub reason: Option<String>,
    /// Unless it is live: when it halted, or when the last event that it holds was recorded.
    pub stale_since: Option<Timestamp>,
}

/// How all projections stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// The last position of the log that the runner knows of.
    pub head: Position,
    /// Each projection.
    pub projections: Vec<ProjectionStatus>,
}

impl Freshness {
    /// The position up to which every view is complete, halted ones aside.
    pub fn applied(&self) -> Position {
        let going = self.projections.iter().filter(|projection| projection.state != ProjectionState::Halted);
        going.map(|projection| projection.position).min().unwrap_or(0)
    }

    /// The position up to which all of these views are complete, halted or not; 0 if one of them is not followed.
    pub fn position_of(&self, views: &[&Projection]) -> Position {
        let status = |view: &Projection| self.projections.iter().find(|status| status.name == view.name);
        views.iter().map(|view| status(view).map_or(0, |status| status.position)).min().unwrap_or(0)
    }

    /// Shows every projection as halted; one that is halted already keeps its own reason.
    pub(crate) fn halt(&mut self, reason: &str, since: Timestamp) {
        for projection in self.projections.iter_mut().filter(|projection| projection.state != ProjectionState::Halted) {
            projection.state = ProjectionState::Halted;
            projection.reason = Some(reason.to_owned());
            projection.stale_since = Some(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ORDERS, PAYMENTS, STOCK};

    #[test]
    fn a_halted_view_holds_back_whoever_reads_it_and_no_one_else() {
        let status = |view: Projection, position, state| ProjectionStatus {
            name: view.name,
            version: 1,
            generation: 1,
            position,
            lag: 9 - position,
            state,
            rebuilt_to: None,
            reason: None,
            stale_since: None,
        };
        let projections = vec![status(ORDERS, 9, ProjectionState::Live), status(PAYMENTS, 4, ProjectionState::Halted)];
        let freshness = Freshness { head: 9, projections };
        assert_eq!(freshness.applied(), 9);
        assert_eq!(freshness.position_of(&[&ORDERS]), 9);
        assert_eq!(freshness.position_of(&[&ORDERS, &PAYMENTS]), 4);
        assert_eq!(freshness.position_of(&[&ORDERS, &STOCK]), 0);
    }
}
