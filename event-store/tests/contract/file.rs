//! The file: what is refused on opening, what an auditor may do, and damage that is found on reading.

use std::{
    fs,
    path::{Path, PathBuf},
};

use event_store::{AppendError, Bookkeeping as _, Log as _, OpenError, OpenOptions, ReadError, SqliteLog, open_read_only};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::facts::{event, orders, whole};

const READ_ONLY: OpenOptions = OpenOptions { read_only: true, without_sync: false };

fn open(path: &Path) -> SqliteLog {
    SqliteLog::open(path, OpenOptions::default()).unwrap()
}

fn refused(path: &Path, options: OpenOptions) -> OpenError {
    match SqliteLog::open(path, options) {
        Err(error) => error,
        Ok(_) => panic!("{} was opened", path.display()),
    }
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    (folder, path)
}

/// A closed log of five events: three of order `a`, two of order `b`.
async fn five_events() -> (TempDir, PathBuf) {
    let (folder, path) = folder();
    let batch = vec![event("a", 1), event("b", 1), event("a", 2), event("b", 2), event("a", 3)];
    open(&path).append(0, batch).await.unwrap();
    (folder, path)
}

/// Does to the file what nobody should.
fn meddle(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn a_log_keeps_its_identity_and_events_when_it_is_opened_again() {
    let (_folder, path) = folder();
    let log = open(&path);
    let id = log.id();
    log.append(0, orders("o", 3)).await.unwrap();
    drop(log);
    let log = open(&path);
    assert_eq!((log.id(), whole(&log).await.len(), *log.watch().borrow()), (id, 3, 3));
    assert_ne!(open(&path.with_extension("other")).id(), id);
}

#[test]
fn a_file_that_is_not_sqlite_is_refused_and_left_as_it_is() {
    let (_folder, path) = folder();
    let text = "A shopping list. ".repeat(500);
    fs::write(&path, &text).unwrap();
    for options in [OpenOptions::default(), READ_ONLY] {
        assert!(matches!(refused(&path, options), OpenError::NotALog(..)));
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_database_of_another_application_is_refused_and_left_as_it_is() {
    let (_folder, path) = folder();
    meddle(&path, "CREATE TABLE events (position INTEGER PRIMARY KEY)");
    let before = fs::read(&path).unwrap();
    for options in [OpenOptions::default(), READ_ONLY] {
        assert!(refused(&path, options).to_string().contains("of another application"));
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_newer_format_is_refused_and_left_as_it_is() {
    let (_folder, path) = folder();
    drop(open(&path));
    meddle(&path, "PRAGMA user_version = 999");
    let before = fs::read(&path).unwrap();
    for options in [OpenOptions::default(), READ_ONLY] {
        assert!(matches!(refused(&path, options), OpenError::Newer { found: 999, .. }));
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn an_empty_file_becomes_a_log_unless_it_is_only_to_be_read() {
    let (_folder, path) = folder();
    fs::write(&path, "").unwrap();
    assert!(matches!(refused(&path, READ_ONLY), OpenError::NotALog(_, reason) if reason == "it is empty"));
    open(&path);
}

#[test]
fn a_missing_folder_or_file_is_named() {
    let (folder, path) = folder();
    let nowhere = refused(&path.join("deeper.db"), OpenOptions::default());
    assert!(nowhere.to_string().contains("there is no folder"), "{nowhere}");
    assert!(refused(&path, READ_ONLY).to_string().contains("there is no such file"));
    assert!(refused(folder.path(), OpenOptions::default()).to_string().contains("it is a folder"));
    assert!(!path.exists());
}

#[test]
fn a_file_that_another_process_keeps_locked_is_refused() {
    let (_folder, path) = folder();
    drop(open(&path));
    let other = Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let error = refused(&path, OpenOptions::default());
    assert!(error.to_string().contains("another process keeps it locked"), "{error}");
}

#[test]
fn any_name_of_a_file_is_only_a_name() {
    let (folder, _) = folder();
    let path = folder.path().join("50% of #1? mode=memory&é.db");
    drop(open(&path));
    assert!(path.is_file());
}

#[tokio::test]
async fn an_auditor_reads_beside_a_writer_and_sees_what_it_adds() {
    let (_folder, path) = folder();
    let log = open(&path);
    log.append(0, orders("o", 3)).await.unwrap();
    let auditor = open_read_only(&format!("sqlite:{}", path.display())).await.unwrap();
    assert_eq!((auditor.id(), whole(&*auditor).await.len()), (log.id(), 3));
    log.append(3, orders("p", 2)).await.unwrap();
    assert_eq!((auditor.head().await.unwrap().position, whole(&*auditor).await.len()), (5, 5));
}

#[tokio::test]
async fn an_auditor_cannot_write() {
    let (_folder, path) = five_events().await;
    let auditor = SqliteLog::open(&path, READ_ONLY).unwrap();
    assert!(matches!(auditor.append(5, orders("o", 1)).await, Err(AppendError::Unavailable(_))));
    assert!(matches!(auditor.save_progress(Default::default()).await, Err(ReadError::Unavailable(_))));
}

#[tokio::test]
async fn an_auditor_leaves_the_file_of_a_crashed_server_as_it_is() {
    let (folder, path) = folder();
    let log = open(&path);
    log.append(0, orders("o", 3)).await.unwrap();
    // What a crash leaves: the file and its write-ahead log, copied while the writer has them open.
    let left = folder.path().join("left.db");
    let files = [left.clone(), folder.path().join("left.db-wal")];
    fs::copy(&path, &files[0]).unwrap();
    fs::copy(folder.path().join("events.db-wal"), &files[1]).unwrap();
    let before = files.clone().map(|file| fs::read(file).unwrap());
    let auditor = SqliteLog::open(&left, READ_ONLY).unwrap();
    assert_eq!(whole(&auditor).await.len(), 3);
    drop(auditor);
    assert_eq!(files.map(|file| fs::read(file).unwrap()), before);
}

async fn damage(path: &Path) -> ReadError {
    open(path).read(0, 100).await.unwrap_err()
}

#[tokio::test]
async fn a_missing_event_is_named_by_its_position() {
    let (_folder, path) = five_events().await;
    meddle(&path, "DELETE FROM events WHERE position = 3");
    assert!(matches!(damage(&path).await, ReadError::Damaged { position: 3, .. }));
    let log = open(&path);
    assert_eq!(log.read(0, 2).await.unwrap().len(), 2);
    assert_eq!(log.read(3, 10).await.unwrap().len(), 2);
    let stream = event("a", 1).stream;
    assert!(matches!(log.read_stream(&stream, 0, 10).await, Err(ReadError::Damaged { position: 5, .. })));
    assert!(matches!(log.read_streams(vec![(stream, 1)], 10).await, Err(ReadError::Damaged { position: 5, .. })));
}

#[tokio::test]
async fn swapped_events_of_a_stream_are_found_by_reading_it() {
    let (_folder, path) = five_events().await;
    meddle(
        &path,
        "UPDATE events SET sequence = 9 WHERE position = 1; UPDATE events SET sequence = 1 WHERE position = 3;
         UPDATE events SET sequence = 2 WHERE position = 1",
    );
    let read = open(&path).read_stream(&event("a", 1).stream, 0, 10).await;
    assert!(matches!(read, Err(ReadError::Damaged { position: 1, .. })), "{read:?}");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_by_its_position() {
    for change in [
        "event_id = 'x'",
        "recorded_at = 'yesterday'",
        "occurred_at = 7",
        "payload = x'ff'",
        "digest = x'00'",
        "sequence = -1",
        "event_version = 'two'",
        "payload = CAST(x'ff' AS TEXT)",
    ] {
        let (_folder, path) = five_events().await;
        meddle(&path, &format!("UPDATE events SET {change} WHERE position = 4"));
        let error = damage(&path).await;
        assert!(matches!(error, ReadError::Damaged { position: 4, .. }), "{change}: {error}");
    }
}

#[tokio::test]
async fn a_changed_byte_breaks_the_digest() {
    let (_folder, path) = five_events().await;
    meddle(&path, "UPDATE events SET payload = replace(payload, 'note', 'nose') WHERE position = 4");
    let intact: Vec<_> = open(&path).read(0, 10).await.unwrap().iter().map(|event| event.is_intact()).collect();
    assert_eq!(intact, [true, true, true, false, true]);
}

#[tokio::test]
async fn any_sql_tool_reads_the_events() {
    let (_folder, path) = five_events().await;
    let sql = "SELECT position || ' ' || aggregate_type || '/' || aggregate_id || ' ' || sequence || ' ' || event_type || ' ' ||
        event_version || ' ' || recorded_at || ' ' || json_extract(metadata, '$.actor') || ' ' || length(digest)
        FROM events WHERE position = 4";
    let line: String = Connection::open(&path).unwrap().query_row(sql, (), |row| row.get(0)).unwrap();
    assert_eq!(line, "4 order/b 2 OrderExpired 1 2023-11-14T22:13:20.123456Z shopper 32");
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_with_two_names_is_not_written_by_either_and_can_be_read() {
    let (folder, path) = five_events().await;
    let other = folder.path().join("other.db");
    fs::hard_link(&path, &other).unwrap();
    for name in [&path, &other] {
        let refused = refused(name, OpenOptions::default());
        assert!(matches!(&refused, OpenError::Unavailable(_, why) if why.contains("2 names")), "{refused}");
        assert_eq!(whole(&SqliteLog::open(name, READ_ONLY).unwrap()).await.len(), 5);
    }
    fs::remove_file(&other).unwrap();
    assert_eq!(open(&path).append(5, orders("o", 1)).await.unwrap(), 6);
}
