//! Crashes and several processes: what was acknowledged is there, whole and once.

use std::path::Path;

use event_store::{AppendError, Bookkeeping as _, Log as _, Progress, SqliteLog};

use crate::{
    child::{self, Told},
    facts::{event, orders, whole},
};

fn open(path: &Path) -> SqliteLog {
    SqliteLog::open(path, Default::default()).unwrap()
}

#[tokio::test]
async fn a_killed_writer_leaves_every_acknowledged_event_and_no_half_batch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let mut acknowledged = 0;
    for round in 1..=5 {
        let mut writer = Told::start(child::command("crash::child_writes_batches_of_three", &path));
        acknowledged = writer.by_ref().take(round * 17).last().unwrap();
        writer.kill();
        acknowledged = writer.last().unwrap_or(acknowledged);
        let log = open(&path);
        let events = whole(&log).await;
        assert!(events.len() as u64 >= acknowledged, "{} of {acknowledged} acknowledged events are there", events.len());
        assert_eq!(events.len() % 3, 0, "a batch of three was torn");
        assert!(events.iter().zip(1..).all(|(event, sequence)| event.sequence == sequence));
        let done = log.checkpoint("child").await.unwrap();
        assert_eq!((done % 3, done <= events.len() as u64), (0, true));
    }
    assert!(acknowledged >= 5 * 17 * 3);
}

#[tokio::test]
#[ignore = "the child of a_killed_writer_leaves_every_acknowledged_event_and_no_half_batch"]
async fn child_writes_batches_of_three() {
    let Some(path) = child::path() else { return };
    let log = open(&path);
    let mut head = log.head().await.unwrap().position;
    loop {
        head = log.append(head, (head + 1..=head + 3).map(|sequence| event("o", sequence)).collect()).await.unwrap();
        child::tell(head);
        let progress = Progress { process: "child".to_owned(), checkpoint: Some(head), ..Progress::default() };
        log.save_progress(progress).await.unwrap();
    }
}

/// Appends `count` pairs, deciding again whenever another writer was faster.
async fn write_pairs(log: &SqliteLog, prefix: &str, count: usize) {
    let mut head = log.head().await.unwrap().position;
    for n in 0..count {
        loop {
            match log.append(head, orders(&format!("{prefix}-{n}"), 2)).await {
                Ok(moved) => break head = moved,
                Err(AppendError::HeadMoved { head: now }) => head = now,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_on_one_file_never_overwrite_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let (one, other) = (open(&path), open(&path));
    assert_eq!(one.id(), other.id());
    tokio::join!(write_pairs(&one, "one", 50), write_pairs(&other, "other", 50));
    assert_eq!(whole(&one).await.len(), 200);
    assert_eq!(whole(&one).await, whole(&other).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_file_never_overwrite_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let mut other = Told::start(child::command("crash::child_writes_fifty_pairs", &path));
    assert_eq!(other.next(), Some(0), "the child has opened the log");
    let log = open(&path);
    write_pairs(&log, "parent", 50).await;
    other.finish();
    assert_eq!(whole(&log).await.len(), 200);
}

#[tokio::test]
#[ignore = "the child of two_processes_on_one_file_never_overwrite_each_other"]
async fn child_writes_fifty_pairs() {
    let Some(path) = child::path() else { return };
    let log = open(&path);
    child::tell(0);
    write_pairs(&log, "child", 50).await;
}

#[tokio::test]
async fn processes_that_make_the_log_at_once_make_one_log() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let path = folder.path().join(format!("{round}.db"));
        let makers: Vec<_> = (0..3).map(|_| Told::start(child::command("crash::child_makes_the_log", &path))).collect();
        let made: Vec<u64> = makers.into_iter().map(|mut maker| maker.next().unwrap()).collect();
        assert!(made.iter().all(|id| *id == made[0]), "{made:?}");
    }
}

#[test]
#[ignore = "the child of processes_that_make_the_log_at_once_make_one_log"]
fn child_makes_the_log() {
    let Some(path) = child::path() else { return };
    child::tell(open(&path).id().as_u64_pair().1);
}
