//! Why the views cannot be opened, read or followed.

use event_schemas::Position;
use uuid::Uuid;

/// Why the views cannot be opened, read or followed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ViewError {
    /// The view store cannot be reached, read or written.
    #[error("the views cannot be used: {0}")]
    Unavailable(String),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] event_store::ReadError),
    /// A stored row is not what its table says.
    #[error("the view `{table}` is damaged: {reason}; rebuild it")]
    Damaged {
        /// The table.
        table: String,
        /// What is wrong.
        reason: String,
    },
    /// The file or database holds something else.
    #[error("{0} does not hold views of Daybook")]
    NotViews(String),
    /// Another process follows the log into these views.
    #[error("{0} is in use: another process keeps these views up to date")]
    InUse(String),
    /// A newer version of Daybook wrote the views.
    #[error(
        "{name} has view format {found}, and this version of Daybook knows up to {known}; rebuild the views or use the newer version"
    )]
    Newer {
        /// The file or database.
        name: String,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The views were built from another log.
    #[error("projection `{projection}` was built from log {found}, but this is log {expected}; rebuild the views for this log")]
    OtherLog {
        /// The projection.
        projection: String,
        /// The log that was opened.
        expected: Uuid,
        /// The log that the views belong to.
        found: Uuid,
    },
    /// The views have seen more than the log holds: the log lost its end, or an older copy was put in its place.
    #[error(
        "projection `{projection}` has seen position {position}, but the log ends at {head}; restore the log or rebuild the views"
    )]
    AheadOfLog {
        /// The projection.
        projection: String,
        /// Its checkpoint.
        position: Position,
        /// Where the log ends.
        head: Position,
    },
    /// There is no projection of that name.
    #[error("there is no projection `{0}`")]
    UnknownProjection(String),
    /// A cursor that this query did not make.
    #[error("the cursor does not belong to this query")]
    BadCursor,
}
