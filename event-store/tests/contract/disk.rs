//! Disks that are full or read-only: a clear answer, nothing half done, and work goes on once it can.

use std::{fs, path::Path, process::Command};

use event_schemas::Position;
use event_store::{AppendError, Bookkeeping as _, Log, OpenError, OpenOptions, SqliteLog};

use crate::{
    child::{self, Told},
    facts::{orders, whole},
};

fn open(path: &Path) -> SqliteLog {
    SqliteLog::open(path, OpenOptions::default()).unwrap()
}

/// Appends until that fails for want of space, and gives the head then.
async fn fill(log: &SqliteLog) -> (Position, String) {
    let mut head = log.head().await.unwrap().position;
    loop {
        match log.append(head, orders(&head.to_string(), 50)).await {
            Ok(moved) => head = moved,
            Err(AppendError::Unavailable(reason)) => return (head, reason),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_full_disk_refuses_whole_batches_and_takes_them_again_once_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    if let Some(reason) = child::cannot_mount(folder.path()) {
        return println!("skipped: a small disk cannot be mounted here: {reason}");
    }
    let child = child::command("disk::child_fills_its_disk", folder.path());
    Told::start(child::after(&format!("mount -t tmpfs -o size=4m none {}", folder.path().display()), true, &child)).finish();
}

#[tokio::test]
#[ignore = "the child of a_full_disk_refuses_whole_batches_and_takes_them_again_once_there_is_space"]
async fn child_fills_its_disk() {
    let Some(folder) = child::path() else { return };
    let (path, ballast) = (folder.join("events.db"), folder.join("ballast"));
    fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let log = open(&path);
    let (full, reason) = fill(&log).await;
    assert!(full > 100, "{full}");
    assert_eq!(reason, "the disk is full");
    assert!(log.append(full, orders("again", 50)).await.is_err());
    assert_eq!((log.head().await.unwrap().position, whole(&log).await.len() as u64), (full, full));
    assert!(log.save_progress(Default::default()).await.is_ok(), "a step that writes nothing needs no space");

    fs::remove_file(&ballast).unwrap();
    let (fuller, _) = fill(&log).await;
    assert!(fuller > full + 100);
    drop(log);
    // What is left of the write-ahead log is not needed to read what was acknowledged.
    assert_eq!(whole(&open(&path)).await.len() as u64, fuller);
}

#[tokio::test]
async fn a_file_that_may_not_grow_refuses_whole_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let child = child::command("disk::child_fills_its_file", &path);
    let mut child = Told::start(child::after("trap '' XFSZ; ulimit -f 2048", false, &child));
    let full = child.next().unwrap();
    child.finish();
    let log = open(&path);
    assert_eq!(whole(&log).await.len() as u64, full);
    log.append(full, orders("after", 50)).await.unwrap();
}

#[tokio::test]
#[ignore = "the child of a_file_that_may_not_grow_refuses_whole_batches"]
async fn child_fills_its_file() {
    let Some(path) = child::path() else { return };
    let log = open(&path);
    let (full, reason) = fill(&log).await;
    println!("{reason}");
    assert_eq!((log.head().await.unwrap().position, whole(&log).await.len() as u64), (full, full));
    child::tell(full);
}

#[test]
fn a_read_only_disk_is_refused_to_a_writer_and_read_by_an_auditor() {
    let folder = tempfile::tempdir().unwrap();
    if let Some(reason) = child::cannot_mount(folder.path()) {
        return println!("skipped: a disk cannot be mounted here: {reason}");
    }
    let child = child::command("disk::child_writes_a_disk_that_becomes_read_only", folder.path());
    Told::start(child::after(&format!("mount -t tmpfs none {}", folder.path().display()), true, &child)).finish();
}

#[tokio::test]
#[ignore = "the child of a_read_only_disk_is_refused_to_a_writer_and_read_by_an_auditor"]
async fn child_writes_a_disk_that_becomes_read_only() {
    let Some(folder) = child::path() else { return };
    let path = folder.join("events.db");
    let log = open(&path);
    log.append(0, orders("o", 3)).await.unwrap();
    drop(log);
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&folder).status().unwrap();
    assert!(remounted.success());
    for path in [path.clone(), folder.join("new.db")] {
        let refused = SqliteLog::open(&path, OpenOptions::default()).err();
        assert!(matches!(refused, Some(OpenError::Unavailable(..))), "{refused:?}");
    }
    let log = SqliteLog::open(&path, OpenOptions { read_only: true, ..OpenOptions::default() }).unwrap();
    assert_eq!(whole(&log).await.len(), 3);
}
