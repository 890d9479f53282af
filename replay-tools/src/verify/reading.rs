//! Reads a range of the log page by page, around what is damaged.

use std::sync::Arc;

use event_schemas::{Position, Recorded};
use event_store::{Log, ReadError};
use futures::{Stream, stream};

/// How many events are read, and checked as one piece of work, at once.
const PAGE: usize = 1_000;

/// What a read gave.
pub(super) enum Step<T> {
    Page(Vec<T>),
    /// The event at this position cannot be had; reading goes on after it.
    Damage(Position, String),
    /// Nothing more can be read.
    Failure(Position, String),
}

/// Reads a range page by page, around what is damaged.
pub(super) fn read(log: Arc<dyn Log>, after: Position, to: Position) -> impl Stream<Item = Step<Recorded>> {
    stream::unfold((log, after, None), move |(log, after, damage)| async move {
        if let Some((position, reason)) = damage {
            return Some((Step::Damage(position, reason), (log, position, None)));
        }
        let limit = usize::try_from(to.saturating_sub(after)).unwrap_or(PAGE).min(PAGE);
        if limit == 0 {
            return None;
        }
        match read_around(&*log, after, limit).await {
            Ok((page, None)) if page.is_empty() => {
                let missing = format!("the log ends here, though its head said {to}");
                Some((Step::Failure(after + 1, missing), (log, to, None)))
            }
            Ok((page, damage)) => {
                let last = page.last().map_or(after, |record| record.position);
                Some((Step::Page(page), (log, last, damage)))
            }
            Err(error) => Some((Step::Failure(after + 1, error.to_string()), (log, to, None))),
        }
    })
}

/// Up to `limit` events, and where they are damaged, if they end for that.
type Around = (Vec<Recorded>, Option<(Position, String)>);

/// Up to `limit` events after `after`, or those up to the first damage, and that damage.
async fn read_around(log: &dyn Log, after: Position, limit: usize) -> Result<Around, ReadError> {
    match log.read(after, limit).await {
        Err(ReadError::Damaged { position, reason }) if position > after => {
            let whole = usize::try_from(position - after - 1).unwrap_or(limit).min(limit);
            let before = if whole == 0 { Vec::new() } else { log.read(after, whole).await? };
            Ok((before, Some((position, reason))))
        }
        read => Ok((read?, None)),
    }
}
