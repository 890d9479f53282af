//! Reads a range of the log page by page, around what is damaged, and does on all cores what can be done with each record alone.

use std::sync::Arc;

use event_schemas::{Position, Recorded};
use event_store::{Log, ReadError};
use futures::{Stream, StreamExt as _, stream};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle, spawn_blocking},
};

use crate::Failure;

/// How many events are read, and checked as one piece of work, at once.
const PAGE: usize = 1_000;

/// How many pages are worked on at once, and how many more may wait for whoever takes them.
const AHEAD: usize = 3;

/// What a read gave.
pub(super) enum Step<T> {
    Page(Vec<T>),
    /// The event at this position cannot be had; reading goes on after it.
    Damage(Position, String),
    /// Nothing more can be read.
    Failure(Position, String),
}

/// The pages of a range in order, read and worked on while whoever takes them does something else.
pub(super) struct Pages<T> {
    pages: mpsc::Receiver<Result<Step<T>, JoinError>>,
    reader: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Pages<T> {
    /// Begins to read a range, and to do `work` on each record.
    pub(super) fn of(
        log: Arc<dyn Log>,
        after: Position,
        to: Position,
        work: impl Fn(Recorded) -> T + Send + Sync + 'static,
    ) -> Self {
        let (sender, pages) = mpsc::channel(AHEAD);
        let work = Arc::new(work);
        let reader = tokio::spawn(async move {
            let work_on = |step| {
                let work = Arc::clone(&work);
                async move {
                    match step {
                        Step::Page(page) => {
                            let page: Vec<Recorded> = page;
                            spawn_blocking(move || Step::Page(page.into_iter().map(|record| work(record)).collect())).await
                        }
                        Step::Damage(position, reason) => Ok(Step::Damage(position, reason)),
                        Step::Failure(position, reason) => Ok(Step::Failure(position, reason)),
                    }
                }
            };
            let mut steps = Box::pin(read(log, after, to).map(work_on).buffered(AHEAD));
            while let Some(step) = steps.next().await {
                // Whoever took them has enough.
                if sender.send(step).await.is_err() {
                    return;
                }
            }
        });
        Self { pages, reader: Some(reader) }
    }

    /// The next page, or none at the end of the range.
    ///
    /// # Errors
    /// If reading or the work broke off: a range that ends early is never taken for a whole one.
    pub(super) async fn next(&mut self) -> Result<Option<Step<T>>, Failure> {
        let broke_off = |error| Failure::Refused(format!("reading broke off: {error}"));
        if let Some(step) = self.pages.recv().await {
            return step.map(Some).map_err(broke_off);
        }
        match self.reader.take() {
            Some(reader) => reader.await.map(|()| None).map_err(broke_off),
            None => Ok(None),
        }
    }
}

/// Reads a range page by page, around what is damaged.
fn read(log: Arc<dyn Log>, after: Position, to: Position) -> impl Stream<Item = Step<Recorded>> {
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
