//! The views of a moment, in a folder of their own, which are built once and found again the next time.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    sync::Arc,
    time::Duration,
};

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
/// The views of so many moments stay on the disk: those that were looked at last, with the one that is asked for.
const KEPT: usize = 4;
/// The file that notes where the history ends that the views of a moment hold; written each time they are looked at.
const HISTORY: &str = "history";
/// The file whose lock whoever builds views in a folder holds as long as it has them open.
const LOCK: &str = "views.db.lock";
/// How often it is told how far the views have come.
const TELL: Duration = Duration::from_secs(2);

/// Builds the views of a past log, or takes up those that are there already, and gives them when they hold all of it. Views
/// whose fold has changed since are built anew by their runner; those of another log or history are thrown away.
///
/// # Errors
/// If the folder or the views cannot be used, or another process is using them.
pub(super) async fn build(folder: &DataFolder, log: Arc<dyn Log>, shown: &Shown) -> Result<(Views, Runner), StartError> {
    let moments = folder.file("as-of");
    let path = moments.join(name(shown));
    let unusable = |error| DataFolderError::Unusable(path.clone(), error);
    same_history(&path, &*log, shown).await?;
    if let Err(error) = forget_old(&moments, &path) {
        tracing::warn!(folder = %moments.display(), %error, "the views of older moments could not be removed");
    }
    let (views, runner) = match follow(&path, log.clone()).await {
        Err(StartError::Views(ViewError::OtherLog { .. } | ViewError::AheadOfLog { .. })) => {
            // Views without a note are nobody's.
            std::fs::remove_file(path.join(HISTORY)).map_err(unusable)?;
            same_history(&path, &*log, shown).await?;
            follow(&path, log).await?
        }
        followed => followed?,
    };
    wait(&views, shown).await;
    Ok((views, runner))
}

/// Throws views away whose last event is not the log's own, as after a restore from which the shop went on otherwise, and notes
/// where the history ends that they are to hold. Of views that a process has open nothing is touched.
async fn same_history(path: &Path, log: &dyn Log, shown: &Shown) -> Result<(), StartError> {
    let unusable = |error| DataFolderError::Unusable(path.to_owned(), error);
    let views = path.join("views.db");
    std::fs::create_dir_all(path).map_err(unusable)?;
    let lock = lockable(path).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(ViewError::InUse(views.display().to_string()).into()),
        Err(TryLockError::Error(error)) => return Err(unusable(error).into()),
    }
    let note = path.join(HISTORY);
    let position = |noted: &str| noted.split_once(' ').and_then(|(position, _)| position.parse().ok());
    let noted = std::fs::read_to_string(&note).unwrap_or_default();
    let is_same = match position(&noted) {
        Some(position) => noted == end_at(log, position).await?,
        None => false,
    };
    if !is_same {
        if views.exists() {
            tracing::info!(folder = %path.display(), "the views there are not known to be of this history, and are built anew");
        }
        remove_all_but_the_lock(path).map_err(unusable)?;
    }
    // Before the views: of what they hold more than is noted, nobody could tell whose it is. And whole or as it was.
    let end = end_at(log, shown.end.position).await?;
    let new = path.join("history.new");
    std::fs::write(&new, end).and_then(|()| std::fs::rename(&new, &note)).map_err(unusable)?;
    Ok(())
}

fn lockable(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path.join(LOCK))
}

/// Empties a folder of views whose lock is held. The file that is locked stays: another would be another lock.
fn remove_all_but_the_lock(path: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() != LOCK {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes the views of all moments but those that were looked at last: anybody can have them built again. What a process has
/// open stays, and so does whatever else is there: only the views of a moment have a note.
fn forget_old(moments: &Path, asked: &Path) -> io::Result<()> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(moments)? {
        let path = entry?.path();
        if path == asked {
            continue;
        }
        if let Ok(note) = std::fs::metadata(path.join(HISTORY)) {
            found.push((note.modified()?, path));
        }
    }
    found.sort_unstable();
    let old = (found.len() + 1).saturating_sub(KEPT);
    for (_, path) in found.into_iter().take(old) {
        let lock = lockable(&path)?;
        match lock.try_lock() {
            Ok(()) => std::fs::remove_dir_all(&path)?,
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(error),
        }
        tracing::info!(folder = %path.display(), "the views of an older moment were removed; they can be built again");
    }
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::SystemTime};

    use chrono::{DateTime, TimeDelta};
    use event_store::{MemoryLog, PastLog};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn only_the_moments_that_were_looked_at_last_stay_and_what_is_in_use_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = DataFolder::create(scratch.path()).unwrap();
        let present: Arc<dyn Log> = Arc::new(MemoryLog::new());
        let path = |day: i64| folder.file("as-of").join(format!("occurred-202001{day:02}T000000.000000Z"));
        let look = async |day: i64| {
            let time = DateTime::from_timestamp(1_577_836_800, 0).unwrap() + TimeDelta::days(day - 1);
            let past = PastLog::at(present.clone(), Moment::Occurred(time)).await.unwrap();
            let shown = Shown::of(&past, time);
            let (_, runner) = build(&folder, Arc::new(past), &shown).await.unwrap();
            // So that the next is the newest, however coarse the file system's clock is.
            let note = File::options().write(true).open(path(day).join(HISTORY)).unwrap();
            note.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(day.unsigned_abs())).unwrap();
            runner
        };
        let there = || (1..=9).filter(|day| path(*day).join("views.db").exists()).collect::<BTreeSet<_>>();
        // Of somebody else, and older than all.
        let moments = folder.file("as-of");
        std::fs::create_dir_all(moments.join("kept-here")).unwrap();
        std::fs::write(moments.join("kept-here").join("notes"), "mine").unwrap();
        std::fs::write(moments.join("a-file"), "mine").unwrap();
        let in_use = look(1).await;
        for day in 2..=7 {
            look(day).await.stop().await;
        }
        assert_eq!(there(), [1, 4, 5, 6, 7].into());
        in_use.stop().await;
        look(8).await.stop().await;
        assert_eq!(there(), [5, 6, 7, 8].into());
        assert!(moments.join("a-file").exists() && moments.join("kept-here").join("notes").exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn views_in_use_stay_also_when_nobody_knows_whose_they_are() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = DataFolder::create(scratch.path()).unwrap();
        let present: Arc<dyn Log> = Arc::new(MemoryLog::new());
        let time = DateTime::from_timestamp(1_577_836_800, 0).unwrap();
        let look = async || {
            let past = PastLog::at(present.clone(), Moment::Occurred(time)).await.unwrap();
            let shown = Shown::of(&past, time);
            build(&folder, Arc::new(past), &shown).await.map(|(_, runner)| runner)
        };
        let in_use = look().await.unwrap();
        let path = folder.file("as-of").join("occurred-20200101T000000.000000Z");
        std::fs::write(path.join(HISTORY), "torn").unwrap();
        let refused = look().await.err().unwrap();
        assert!(matches!(refused, StartError::Views(ViewError::InUse(_))), "{refused}");
        assert!(path.join("views.db").exists());
        assert_eq!(std::fs::read_to_string(path.join(HISTORY)).unwrap(), "torn");
        in_use.stop().await;
        look().await.unwrap().stop().await;
        assert_eq!(std::fs::read_to_string(path.join(HISTORY)).unwrap(), "0 \n");
    }
}
