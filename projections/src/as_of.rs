//! Time travel: the rows as they were, by the same fold over a few events in memory.

use event_schemas::Recorded;

use crate::{FoldError, InMemory, Projection, RowCache, Rows, batch::Decoded};

/// Why the past cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum AsOfError {
    /// An event cannot be read.
    #[error(transparent)]
    Decode(#[from] event_schemas::DecodeError),
    /// An event cannot be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
}

/// Folds events into rows that are nowhere but in the cache. The events are those of an aggregate up to the moment asked
/// for, in log order; for an order, those of its payments too if the state of its money should tell what is held.
///
/// # Errors
/// If an event cannot be read or folded.
pub fn fold_in_memory(projection: &Projection, events: Vec<Recorded>) -> Result<RowCache, AsOfError> {
    let mut cache = RowCache::over_empty_tables();
    for recorded in events {
        let decoded = Decoded::new(recorded)?;
        for fact in decoded.facts() {
            (projection.fold)(&mut Rows::new(&mut cache, &InMemory, fact.stamp()), &fact)?;
        }
    }
    Ok(cache)
}
