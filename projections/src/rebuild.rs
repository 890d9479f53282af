//! Rebuilding views from the log, and telling how long each took. Nothing else may follow the log into the same views
//! meanwhile: a server rebuilds through its own [`Runner`](crate::Runner).

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use event_schemas::Position;
use event_store::Log;
use uuid::Uuid;

use crate::{
    Projection, ViewError, Views,
    runner::{Feed, LOOK, blocking},
    writer::Writer,
};

/// At most so many events are folded in one transaction: more than when live, since no one waits for their rows, and rows
/// that change often are written once.
const BATCH: usize = 8_192;

/// How far a rebuild has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuildProgress {
    /// The last event folded.
    pub position: Position,
    /// The last event there is to fold.
    pub head: Position,
}

/// A view that was rebuilt.
#[derive(Debug, Clone, PartialEq)]
pub struct RebuiltView {
    /// Its name.
    pub name: &'static str,
    /// The version of its fold.
    pub version: u32,
    /// How many events were folded.
    pub events: u64,
    /// How many rows it has now, over all its tables.
    pub rows: u64,
    /// The time spent on this view alone: folding, writing, indexing.
    pub spent: Duration,
}

/// What a rebuild did.
#[derive(Debug, Clone, PartialEq)]
pub struct RebuildReport {
    /// The last event of the log that the views hold.
    pub position: Position,
    /// The views, in the order of the projections.
    pub views: Vec<RebuiltView>,
    /// The whole time, reading and decoding included.
    pub elapsed: Duration,
}

/// Builds projections anew from the log as far as it goes now, and puts them in place when they are whole. Into fresh
/// views, or into views that a stopped server left: theirs serve until then.
///
/// # Errors
/// If the log or the store fails, if the views belong to another log or are in use, or if an event cannot be folded.
pub async fn rebuild(
    log: Arc<dyn Log>,
    views: &Views,
    projections: &[&'static Projection],
    mut progress: impl FnMut(RebuildProgress) + Send,
) -> Result<RebuildReport, ViewError> {
    let started = Instant::now();
    let head = log.head().await?.position;
    let mut writer = open(log.id(), head, views, projections).await?;
    let mut feed = Feed { log, batch: BATCH, ahead: None };
    while let Some(after) = writer.cohorts(head).last().copied() {
        let batch = feed.next(after, head).await?;
        progress(RebuildProgress { position: batch.last(), head });
        writer = blocking(move || writer.apply(&batch).map(|()| writer)).await??;
        if let Some(halted) = writer.status(head).into_iter().find_map(|status| status.reason) {
            return Err(ViewError::Unavailable(halted));
        }
    }
    let (spent, rows) = blocking(move || {
        writer.publish_caught_up(head)?;
        writer.tend()?;
        let counted = (writer.spent(), writer.count_rows()?);
        writer.close();
        Ok::<_, ViewError>(counted)
    })
    .await??;
    let rebuilt = |projection: &&'static Projection| RebuiltView {
        name: projection.name,
        version: projection.version,
        events: head,
        rows: of(&rows, projection),
        spent: of(&spent, projection),
    };
    Ok(RebuildReport { position: head, views: projections.iter().map(rebuilt).collect(), elapsed: started.elapsed() })
}

/// Opens the views for the rebuild. A process that was killed a moment ago may still count as keeping them.
async fn open(log_id: Uuid, head: Position, views: &Views, projections: &[&'static Projection]) -> Result<Writer, ViewError> {
    let (begun, patience) = (Instant::now(), views.store().take_over_after().map(|lease| lease + LOOK));
    loop {
        let (views, wanted) = (views.clone(), projections.to_vec());
        let opened = blocking(move || {
            let mut writer = Writer::open(&views, log_id, head, &wanted)?;
            wanted.iter().try_for_each(|projection| writer.rebuild(projection.name))?;
            Ok(writer)
        });
        match opened.await? {
            Err(ViewError::InUse(_)) if patience.is_some_and(|patience| begun.elapsed() < patience) => {
                tokio::time::sleep(LOOK).await;
            }
            opened => return opened,
        }
    }
}

fn of<T: Copy + Default>(found: &BTreeMap<&'static str, T>, projection: &Projection) -> T {
    found.get(projection.name).copied().unwrap_or_default()
}
