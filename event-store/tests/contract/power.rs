//! Lost writes: a power cut takes everything that was not synced, and no acknowledged event with it.
//!
//! A child process writes the log on a disk that keeps only what was synced (`power/disk.c`, preloaded). After it is killed, each
//! sector that was not synced is either kept or lost, at random, and the log is opened again. The same test without syncs
//! must find a loss, or it would prove nothing.

mod disk;
mod postgres;

use std::{path::Path, time::Instant};

use event_schemas::Position;
use event_store::{AppendError, Bookkeeping as _, Log as _, OpenOptions, Progress, SqliteLog};

use self::disk::Disk;
use crate::{
    child::{self, Told},
    facts::{event, orders},
    rounds::setting,
};

const WITHOUT_SYNC: &str = "DAYBOOK_TEST_WITHOUT_SYNC";

/// How many power cuts to survive.
fn rounds() -> u64 {
    setting("DAYBOOK_LOST_WRITE_ROUNDS", 10)
}

fn report(store: &str, disk: &Disk, acknowledged: usize, begun: Instant) {
    let (rounds, seed) = (rounds(), disk.chance.seed);
    let each = begun.elapsed() / u32::try_from(rounds).unwrap();
    println!("{rounds} power cuts of {store}, seed {seed}: {acknowledged} events acknowledged, 0 of them lost; {each:?} a cut");
}

/// Lets a child write until some appends were acknowledged, and cuts the power. Gives the last acknowledged position.
fn write_and_cut(disk: &mut Disk, without_sync: bool) -> Position {
    let mut command = disk.child("power::child_writes_and_tells");
    if without_sync {
        command.env(WITHOUT_SYNC, "yes");
    }
    let mut writer = Told::start(command);
    let appends = disk.chance.below(40) + 1;
    let acknowledged = writer.by_ref().take(appends).last();
    writer.kill();
    let acknowledged = writer.last().or(acknowledged).expect("the child wrote something");
    disk.cut_power();
    acknowledged
}

/// What of the acknowledged events is not there any more.
async fn lost(path: &Path, acknowledged: Position) -> Result<(), String> {
    let log = SqliteLog::open(path, OpenOptions::default()).map_err(|error| error.to_string())?;
    let events = log.read(0, usize::MAX).await.map_err(|error| error.to_string())?;
    if (events.len() as u64) < acknowledged {
        return Err(format!("only {} of {acknowledged} acknowledged events are there", events.len()));
    }
    let noted = log.checkpoint("child").await.map_err(|error| error.to_string())?;
    if noted > events.len() as u64 {
        return Err(format!("a note is about event {noted} of {}", events.len()));
    }
    match events.iter().find(|event| !event.is_intact()) {
        Some(event) => Err(format!("the event at {} is not what was written", event.position)),
        None => Ok(()),
    }
}

async fn head(path: &Path) -> Position {
    SqliteLog::open(path, OpenOptions::default()).unwrap().head().await.unwrap().position
}

#[tokio::test]
async fn no_power_cut_takes_an_acknowledged_event() {
    let Some(mut disk) = Disk::new() else { return };
    let (mut sum, mut before, begun) = (0, 0, Instant::now());
    for round in 1..=rounds() {
        let acknowledged = write_and_cut(&mut disk, false);
        let lost = lost(&disk.log(), acknowledged).await;
        assert_eq!(lost, Ok(()), "power cut {round}, seed {}", disk.chance.seed);
        disk.settle();
        sum += acknowledged - before;
        before = head(&disk.log()).await;
    }
    report("SQLite", &disk, usize::try_from(sum).unwrap(), begun);
}

#[tokio::test]
async fn without_syncs_a_power_cut_takes_acknowledged_events() {
    let Some(mut disk) = Disk::new() else { return };
    let acknowledged = write_and_cut(&mut disk, true);
    assert!(lost(&disk.log(), acknowledged).await.is_err(), "the test does not notice a loss, seed {}", disk.chance.seed);
}

#[tokio::test]
#[ignore = "the child of the power cuts"]
async fn child_writes_and_tells() {
    let Some(path) = child::path() else { return };
    let options = OpenOptions { without_sync: std::env::var_os(WITHOUT_SYNC).is_some(), ..OpenOptions::default() };
    let mut log = SqliteLog::open(&path, options).unwrap();
    let mut head = log.head().await.unwrap().position;
    for n in 1.. {
        let size = n % 7 + 1;
        head = log.append(head, (head + 1..=head + size).map(|sequence| event("o", sequence)).collect()).await.unwrap();
        child::tell(head);
        // Notes are not synced; they must not keep the next append from being.
        log.save_progress(Progress { process: "child".to_owned(), checkpoint: Some(head), ..Progress::default() }).await.unwrap();
        match n % 10 {
            // Closing folds the write-ahead log into the file and removes it; a checkpoint only folds it in.
            0 => {
                drop(log);
                log = SqliteLog::open(&path, options).unwrap();
            }
            5 if !options.without_sync => {
                let beside = rusqlite::Connection::open(&path).unwrap();
                beside.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(())).unwrap();
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_batch_whose_sync_failed_never_comes_back() {
    let Some(disk) = Disk::new() else { return };
    Told::start(disk.child("power::child_is_refused_one_sync")).finish();
    // The power stayed on: the disk has even what was never synced.
    assert_eq!(head(&disk.log()).await, 2);
}

#[tokio::test]
#[ignore = "the child of a_batch_whose_sync_failed_never_comes_back"]
async fn child_is_refused_one_sync() {
    let Some(path) = child::path() else { return };
    let log = SqliteLog::open(&path, OpenOptions::default()).unwrap();
    log.append(0, orders("o", 2)).await.unwrap();
    disk::refuse_my_syncs(1);
    let refused = log.append(2, orders("p", 50)).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    assert_eq!(log.head().await.unwrap().position, 2);
    // As sudden as a crash: nothing is closed.
    std::process::exit(0);
}

#[tokio::test]
async fn what_is_acknowledged_after_a_failed_sync_survives_a_power_cut() {
    let Some(mut disk) = Disk::new() else { return };
    let mut writer = Told::start(disk.child("power::child_goes_on_after_a_refused_sync"));
    let acknowledged = writer.next().expect("the child was acknowledged something");
    writer.kill();
    disk.cut_power();
    assert_eq!(lost(&disk.log(), acknowledged).await, Ok(()), "seed {}", disk.chance.seed);
}

#[tokio::test]
#[ignore = "the child of what_is_acknowledged_after_a_failed_sync_survives_a_power_cut"]
async fn child_goes_on_after_a_refused_sync() {
    let Some(path) = child::path() else { return };
    let log = SqliteLog::open(&path, OpenOptions::default()).unwrap();
    log.append(0, orders("o", 2)).await.unwrap();
    // Not synced, so the sync that fails is for the note as well: no later one writes it, and it lies before all that follows.
    log.save_progress(Progress { process: "child".to_owned(), checkpoint: Some(2), ..Progress::default() }).await.unwrap();
    disk::refuse_my_syncs(1);
    let refused = log.append(2, orders("p", 50)).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    child::tell(log.append(2, orders("q", 3)).await.unwrap());
    // Nothing more is written or closed: the parent kills it.
    std::future::pending().await
}

#[tokio::test]
async fn what_is_acknowledged_after_a_failed_sync_of_a_checkpoint_survives_a_power_cut() {
    let Some(mut disk) = Disk::new() else { return };
    let mut writer = Told::start(disk.child("power::child_goes_on_after_a_refused_checkpoint"));
    let acknowledged = writer.next().expect("the child was acknowledged something");
    writer.kill();
    disk.cut_power();
    assert_eq!(lost(&disk.log(), acknowledged).await, Ok(()), "seed {}", disk.chance.seed);
}

#[tokio::test]
#[ignore = "the child of what_is_acknowledged_after_a_failed_sync_of_a_checkpoint_survives_a_power_cut"]
async fn child_goes_on_after_a_refused_checkpoint() {
    let Some(path) = child::path() else { return };
    let log = SqliteLog::open(&path, OpenOptions::default()).unwrap();
    log.append(0, orders("o", 2)).await.unwrap();
    disk::refuse_my_syncs(1);
    // Notes are not synced, so the first sync is that of the write-ahead log when it has grown enough to be folded in.
    for _ in 0..100_000 {
        log.save_progress(Progress { process: "child".to_owned(), checkpoint: Some(2), ..Progress::default() }).await.unwrap();
        if disk::my_refusals_left() == 0 {
            break;
        }
    }
    assert_eq!(disk::my_refusals_left(), 0, "the write-ahead log was never folded in");
    child::tell(log.append(2, orders("q", 3)).await.unwrap());
    std::future::pending().await
}

#[tokio::test]
async fn what_is_acknowledged_after_a_death_behind_a_failed_sync_survives_a_power_cut() {
    let Some(mut disk) = Disk::new() else { return };
    Told::start(disk.child("power::child_dies_behind_a_refused_sync")).finish();
    let mut writer = Told::start(disk.child("power::child_goes_on_for_one_that_died"));
    let acknowledged = writer.next().expect("the child was acknowledged something");
    writer.kill();
    disk.cut_power();
    assert_eq!(lost(&disk.log(), acknowledged).await, Ok(()), "seed {}", disk.chance.seed);
}

#[tokio::test]
#[ignore = "a child of what_is_acknowledged_after_a_death_behind_a_failed_sync_survives_a_power_cut"]
async fn child_dies_behind_a_refused_sync() {
    let Some(path) = child::path() else { return };
    let log = SqliteLog::open(&path, OpenOptions::default()).unwrap();
    log.append(0, orders("o", 2)).await.unwrap();
    log.save_progress(Progress { process: "child".to_owned(), checkpoint: Some(2), ..Progress::default() }).await.unwrap();
    disk::refuse_my_syncs(1000);
    assert!(matches!(log.append(2, orders("p", 50)).await, Err(AppendError::OutcomeUnknown(_))));
    std::process::exit(0);
}

#[tokio::test]
#[ignore = "a child of what_is_acknowledged_after_a_death_behind_a_failed_sync_survives_a_power_cut"]
async fn child_goes_on_for_one_that_died() {
    let Some(path) = child::path() else { return };
    disk::refuse_my_syncs(0);
    let log = SqliteLog::open(&path, OpenOptions::default()).unwrap();
    let head = log.head().await.unwrap().position;
    child::tell(log.append(head, orders("q", 3)).await.unwrap());
    std::future::pending().await
}

#[test]
fn an_append_that_can_neither_be_kept_nor_undone_is_unknown_until_the_disk_works_again() {
    let Some(disk) = Disk::new() else { return };
    Told::start(disk.child("power::child_is_refused_all_syncs")).finish();
}

#[tokio::test]
#[ignore = "the child of an_append_that_can_neither_be_kept_nor_undone_is_unknown_until_the_disk_works_again"]
async fn child_is_refused_all_syncs() {
    let Some(path) = child::path() else { return };
    let log = SqliteLog::open(&path, OpenOptions::default()).unwrap();
    log.append(0, orders("o", 2)).await.unwrap();
    disk::refuse_my_syncs(1000);
    assert!(matches!(log.append(2, orders("p", 50)).await, Err(AppendError::OutcomeUnknown(_))));
    assert!(log.head().await.is_err(), "the head is not told while it is not known");
    assert!(matches!(log.append(2, orders("q", 1)).await, Err(AppendError::Unavailable(_))));
    disk::refuse_my_syncs(0);
    assert_eq!(log.head().await.unwrap().position, 2);
    assert_eq!(log.append(2, orders("r", 1)).await.unwrap(), 3);
}
