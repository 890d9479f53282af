//! The views of a moment, in a folder of their own, which are built once and found again the next time.

use std::{path::Path, sync::Arc, time::Duration};

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
/// whose fold has changed since are built anew by their runner; those of another log are thrown away.
///
/// # Errors
/// If the folder or the views cannot be used, or another process is using them.
pub(super) async fn build(folder: &DataFolder, log: Arc<dyn Log>, shown: &Shown) -> Result<(Views, Runner), StartError> {
    let path = folder.file("as-of").join(name(shown));
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
