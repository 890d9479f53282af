//! The views of a moment, in a folder of their own, which are built once and found again the next time.

use std::{path::Path, sync::Arc, time::Duration};

use event_schemas::Position;
use event_store::{Log, Moment};
use projections::{Freshness, ProjectionState, Runner, ViewError, Views};
use tokio::time::Instant;

use super::Shown;
use crate::{
    StartError,
    data_folder::{DataFolder, DataFolderError},
};

/// At most so many events are folded in one transaction: nobody reads the views before all of them are.
const BATCH: usize = 8_192;
/// How often it is told how far the views have come.
const TELL: Duration = Duration::from_secs(2);

/// Builds the views of a past log, or takes up those that are there already, and gives them when they hold all of it. Views
/// whose fold has changed since are built anew by their runner; those of another log or history are thrown away.
///
/// # Errors
/// If the folder or the views cannot be used, or another process is using them.
pub(super) async fn build(folder: &DataFolder, log: Arc<dyn Log>, shown: &Shown) -> Result<(Views, Runner), StartError> {
    let path = folder.file("as-of").join(name(shown));
    same_history(&path, &*log, shown).await?;
    let (views, runner) = match follow(&path, log.clone()).await {
        Err(StartError::Views(ViewError::OtherLog { .. } | ViewError::AheadOfLog { .. })) => {
            std::fs::remove_dir_all(&path).map_err(|error| DataFolderError::Unusable(path.clone(), error))?;
            follow(&path, log).await?
        }
        followed => followed?,
    };
    wait(&views, shown).await;
    Ok((views, runner))
}

/// Throws views away whose last event is not the log's own, as after a restore from which the shop went on otherwise, and notes
/// where the history ends that they are to hold.
async fn same_history(path: &Path, log: &dyn Log, shown: &Shown) -> Result<(), StartError> {
    let unusable = |error| DataFolderError::Unusable(path.to_owned(), error);
    let note = path.join("history");
    let position = |noted: &str| noted.split_once(' ').and_then(|(position, _)| position.parse().ok());
    let noted = std::fs::read_to_string(&note).unwrap_or_default();
    let is_same = match position(&noted) {
        Some(position) => noted == end_at(log, position).await?,
        None => false,
    };
    if !is_same && path.exists() {
        tracing::info!(folder = %path.display(), "the views there are not known to be of this history, and are built anew");
        std::fs::remove_dir_all(path).map_err(unusable)?;
    }
    // Before the views: of what they hold more than is noted, nobody could tell whose it is.
    std::fs::create_dir_all(path).map_err(unusable)?;
    let end = end_at(log, shown.end.position).await?;
    std::fs::write(&note, end).map_err(unusable)?;
    Ok(())
}

/// A position and the digest of the event there; of an end of nothing, or that the log has not got, the position alone.
async fn end_at(log: &dyn Log, position: Position) -> Result<String, StartError> {
    let digest = match position.checked_sub(1) {
        Some(before) => log.digests(before, 1).await?.pop(),
        None => None,
    };
    let digest: String = digest.iter().flatten().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{position} {digest}\n"))
}

/// What the folder of a moment is called. Up to a time of the world the same moment may hold more tomorrow, behind what it holds
/// today: the views go on from there.
fn name(shown: &Shown) -> String {
    match shown.moment {
        Moment::Position(_) | Moment::Recorded(_) => shown.end.position.to_string(),
        Moment::Occurred(time) => format!("occurred-{}", time.format("%Y%m%dT%H%M%S%.6fZ")),
    }
}

async fn follow(path: &Path, log: Arc<dyn Log>) -> Result<(Views, Runner), StartError> {
    std::fs::create_dir_all(path).map_err(|error| DataFolderError::Unusable(path.to_owned(), error))?;
    let views = Views::open(&format!("sqlite:{}", path.join("views.db").display()))?;
    let runner = Runner::start_with(log, views.clone(), projections::ALL, BATCH).await?;
    Ok((views, runner))
}

/// Waits until every view has seen all, or cannot go on, and tells how far they have come.
async fn wait(views: &Views, shown: &Shown) {
    let (mut watch, begun) = (views.watch(), Instant::now());
    let mut told = begun;
    loop {
        let freshness = watch.borrow_and_update().clone();
        if is_built(&freshness) {
            break;
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            tracing::info!(position = reached(&freshness), of = shown.end.position, "building the views as they were");
        }
        // A runner that fails tries again, and says why; one that has ended sends nothing any more.
        if let Ok(Err(_)) = tokio::time::timeout(TELL, watch.changed()).await {
            break;
        }
    }
    tracing::info!(position = shown.end.position, ms = begun.elapsed().as_millis(), "the views are as they were");
}

fn is_built(freshness: &Freshness) -> bool {
    let ended = |state| matches!(state, ProjectionState::Live | ProjectionState::Halted);
    !freshness.projections.is_empty() && freshness.projections.iter().all(|projection| ended(projection.state))
}

/// How far the view has come that is furthest behind.
fn reached(freshness: &Freshness) -> u64 {
    let reached = freshness.projections.iter().map(|projection| projection.rebuilt_to.unwrap_or(projection.position));
    reached.min().unwrap_or(0)
}
