//! The PostgreSQL database: what is refused on opening, what an auditor may do, and damage that is found on reading.

use std::time::Duration;

use event_store::{AppendError, Bookkeeping as _, Log as _, OpenError, OpenOptions, PostgresLog, ReadError};
use test_postgres::Postgres;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    facts::{event, orders, whole},
    rounds::appended,
};

const READ_ONLY: OpenOptions = OpenOptions { read_only: true, without_sync: false };

async fn open(url: &str) -> PostgresLog {
    PostgresLog::open(url, OpenOptions::default()).await.unwrap()
}

async fn refused(url: &str, options: OpenOptions) -> OpenError {
    match PostgresLog::open(url, options).await {
        Err(error) => error,
        Ok(_) => panic!("it was opened"),
    }
}

/// A log of five events: three of order `a`, two of order `b`.
async fn five_events() -> Option<(Postgres, String)> {
    let server = Postgres::start()?;
    let url = server.database("shop");
    let batch = vec![event("a", 1), event("b", 1), event("a", 2), event("b", 2), event("a", 3)];
    open(&url).await.append(0, batch).await.unwrap();
    Some((server, url))
}

#[tokio::test]
async fn a_log_keeps_its_identity_and_events_when_it_is_opened_again() {
    let Some((server, url)) = five_events().await else { return };
    let (one, other) = (open(&url).await, open(&url).await);
    assert_eq!((one.id(), whole(&one).await.len(), *one.watch().borrow()), (other.id(), 5, 5));
    assert_ne!(open(&server.database("other")).await.id(), one.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_nodes_that_make_the_log_at_once_make_one_log() {
    let Some(server) = Postgres::start() else { return };
    for round in 0..5 {
        let url = server.database(&format!("shop{round}"));
        let mut nodes = JoinSet::new();
        for _ in 0..8 {
            let url = url.clone();
            nodes.spawn(async move { open(&url).await.id() });
        }
        let ids = nodes.join_all().await;
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(server.psql(&format!("shop{round}"), "SELECT count(*) FROM daybook.log").trim(), "1");
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_as_it_is() {
    let Some((server, url)) = five_events().await else { return };
    server.psql("shop", "UPDATE daybook.log SET format = 999");
    for options in [OpenOptions::default(), READ_ONLY] {
        assert!(matches!(refused(&url, options).await, OpenError::Newer { found: 999, .. }));
    }
    assert_eq!(server.psql("shop", "SELECT format FROM daybook.log").trim(), "999");
}

#[tokio::test]
async fn a_schema_of_another_application_is_refused_and_left_as_it_is() {
    let Some(server) = Postgres::start() else { return };
    let theirs = [
        "CREATE SCHEMA daybook; CREATE TABLE daybook.events (n INT)",
        "CREATE SCHEMA daybook; CREATE TABLE daybook.log (line TEXT); CREATE TABLE daybook.events (n INT)",
        "CREATE SCHEMA daybook; CREATE TABLE daybook.log (id TEXT, format TEXT); CREATE TABLE daybook.events (n INT);
         INSERT INTO daybook.log VALUES ('x', 'y')",
    ];
    for (n, sql) in theirs.iter().enumerate() {
        let name = format!("theirs{n}");
        let url = server.database(&name);
        server.psql(&name, sql);
        for options in [OpenOptions::default(), READ_ONLY] {
            let refused = refused(&url, options).await;
            assert!(matches!(&refused, OpenError::NotALog(_, reason) if reason.contains("another application")), "{refused}");
        }
        assert_eq!(server.psql(&name, "SELECT count(*) FROM daybook.events").trim(), "0");
    }
    // Tables of others beside ours are none of our business.
    let url = server.database("shared");
    server.psql("shared", "CREATE TABLE events (n INT); CREATE TABLE log (n INT)");
    open(&url).await.append(0, orders("o", 1)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_sync_is_refused_to_a_writer() {
    let Some(server) = Postgres::start_with(&["fsync=off"]) else { return };
    let url = server.database("shop");
    assert!(refused(&url, OpenOptions::default()).await.to_string().contains("fsync=off"));
}

#[tokio::test]
async fn an_append_is_synced_even_if_that_is_not_the_servers_default() {
    let Some(server) = Postgres::start_with(&["synchronous_commit=off"]) else { return };
    let url = server.database("shop");
    server.psql("shop", "ALTER ROLE postgres SET synchronous_commit = off");
    let log = open(&url).await;
    server.psql(
        "shop",
        "CREATE TABLE seen (setting TEXT);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO seen VALUES (current_setting(''synchronous_commit'')); RETURN NEW; END';
         CREATE TRIGGER see BEFORE INSERT ON daybook.events FOR EACH ROW EXECUTE FUNCTION see()",
    );
    log.append(0, orders("o", 1)).await.unwrap();
    assert_eq!(server.psql("shop", "SELECT setting FROM seen").trim(), "on");
}

#[tokio::test]
async fn a_commit_that_fails_is_not_acknowledged() {
    let Some(server) = Postgres::start() else { return };
    let log = open(&server.database("shop")).await;
    // Refused after the rows were written, when they are committed.
    server.psql(
        "shop",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not today''; END';
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON daybook.events DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    let refused = log.append(0, orders("o", 2)).await;
    assert!(matches!(&refused, Err(AppendError::Unavailable(reason)) if reason.contains("not today")), "{refused:?}");
    server.psql("shop", "DROP TRIGGER refuse ON daybook.events");
    assert_eq!(appended(&log, 0, orders("o", 2)).await.unwrap(), 2);
}

/// Whoever answers a new session may be a replica that lacks the last events and took over. Here it has another event 6.
#[tokio::test]
async fn a_session_that_was_replaced_writes_nothing_before_the_log_was_looked_at() {
    for in_a_turn in [false, true] {
        let Some((server, url)) = five_events().await else { return };
        let log = open(&url).await;
        log.append(5, vec![event("seen", 1)]).await.unwrap();
        if in_a_turn {
            // Who comes too late has its turn next.
            assert_eq!(log.append(5, orders("o", 1)).await, Err(AppendError::HeadMoved { head: 6 }));
        } else {
            tokio::time::sleep(Duration::from_millis(1100)).await;
        }
        server.psql(
            "shop",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop' AND pid <> pg_backend_pid();
             DELETE FROM daybook.events WHERE position = 6",
        );
        assert_eq!(open(&url).await.append(5, vec![event("another", 1)]).await, Ok(6));
        let refused = loop {
            match log.append(6, orders("p", 1)).await {
                Err(AppendError::Unavailable(_) | AppendError::OutcomeUnknown(_)) => {}
                answer => break answer,
            }
        };
        assert_eq!(refused, Err(AppendError::HeadMoved { head: 6 }), "in a turn: {in_a_turn}");
        assert_eq!(log.append(6, orders("p", 1)).await, Ok(7));
    }
}

#[tokio::test]
async fn an_auditor_needs_no_more_than_select_and_cannot_write() {
    let Some((server, url)) = five_events().await else { return };
    server.psql(
        "shop",
        "CREATE ROLE auditor LOGIN; GRANT USAGE ON SCHEMA daybook TO auditor; GRANT SELECT ON ALL TABLES IN SCHEMA daybook TO auditor",
    );
    let log = open(&url).await;
    for url in [url.replace("postgres@", "auditor@"), url.clone()] {
        let auditor = PostgresLog::open(&url, READ_ONLY).await.unwrap();
        assert_eq!((auditor.id(), whole(&auditor).await.len()), (log.id(), 5));
        let head = log.head().await.unwrap().position;
        log.append(head, vec![event("c", 1 + head - 5)]).await.unwrap();
        auditor.watch().wait_for(|seen| *seen == head + 1).await.unwrap();
        assert_eq!(auditor.head().await.unwrap().position, head + 1);
        assert!(matches!(auditor.append(head + 1, orders("o", 1)).await, Err(AppendError::Unavailable(_))));
        assert!(matches!(auditor.save_progress(Default::default()).await, Err(ReadError::Unavailable(_))));
        server.psql("shop", &format!("DELETE FROM daybook.events WHERE position = {}", head + 1));
    }
}

#[tokio::test]
async fn an_auditor_makes_no_log() {
    let Some(server) = Postgres::start() else { return };
    let url = server.database("shop");
    assert!(refused(&url, READ_ONLY).await.to_string().contains("there is no log in it"));
    assert_eq!(server.psql("shop", "SELECT count(*) FROM pg_namespace WHERE nspname = 'daybook'").trim(), "0");
}

async fn damage(url: &str) -> ReadError {
    open(url).await.read(0, 100).await.unwrap_err()
}

#[tokio::test]
async fn a_missing_event_is_named_by_its_position() {
    let Some((server, url)) = five_events().await else { return };
    server.psql("shop", "DELETE FROM daybook.events WHERE position = 3");
    assert!(matches!(damage(&url).await, ReadError::Damaged { position: 3, .. }));
    let log = open(&url).await;
    assert_eq!((log.read(0, 2).await.unwrap().len(), log.read(3, 10).await.unwrap().len()), (2, 2));
    let stream = event("a", 1).stream;
    assert!(matches!(log.read_stream(&stream, 0, 10).await, Err(ReadError::Damaged { position: 5, .. })));
    assert!(matches!(log.read_streams(vec![(stream, 1)], 10).await, Err(ReadError::Damaged { position: 5, .. })));
}

#[tokio::test]
async fn swapped_events_of_a_stream_are_found_by_reading_it() {
    let Some((server, url)) = five_events().await else { return };
    server.psql(
        "shop",
        "UPDATE daybook.events SET sequence = 9 WHERE position = 1; UPDATE daybook.events SET sequence = 1 WHERE position = 3;
         UPDATE daybook.events SET sequence = 2 WHERE position = 1",
    );
    let read = open(&url).await.read_stream(&event("a", 1).stream, 0, 10).await;
    assert!(matches!(read, Err(ReadError::Damaged { position: 1, .. })), "{read:?}");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_by_its_position() {
    let Some((server, url)) = five_events().await else { return };
    for (change, back) in [
        ("event_version = 'two'", "event_version = '1'"),
        ("event_version = '-1'", "event_version = '1'"),
        ("digest = '\\x00'", "digest = digest"),
        ("recorded_at = 'infinity'", "recorded_at = '2024-01-01'"),
        ("occurred_at = '-infinity'", "occurred_at = '2024-01-01'"),
    ] {
        let set = |change: &str| server.psql("shop", &format!("UPDATE daybook.events SET {change} WHERE position = 4"));
        set(change);
        let error = damage(&url).await;
        assert!(matches!(error, ReadError::Damaged { position: 4, .. }), "{change}: {error}");
        set(back);
        if change.starts_with("digest") {
            set(&format!("digest = '\\x{}'", "00".repeat(32)));
        }
    }
}

#[tokio::test]
async fn a_changed_byte_breaks_the_digest() {
    let Some((server, url)) = five_events().await else { return };
    // One space more: the same JSON, but not the same bytes.
    server.psql("shop", "UPDATE daybook.events SET payload = replace(payload::text, ':', ': ')::json WHERE position = 4");
    let intact: Vec<_> = open(&url).await.read(0, 10).await.unwrap().iter().map(|event| event.is_intact()).collect();
    assert_eq!(intact, [true, true, true, false, true]);
}

#[tokio::test]
async fn text_that_postgresql_cannot_keep_is_refused() {
    let Some(server) = Postgres::start() else { return };
    let log = open(&server.database("shop")).await;
    let no_json = event_schemas::Proposed { payload: "{".to_owned(), ..event("o", 1) };
    for batch in [vec![event("a\0b", 1)], vec![no_json]] {
        assert!(matches!(log.append(0, batch).await, Err(AppendError::Invalid(_))));
    }
    assert_eq!(log.append(0, orders("o", 1)).await.unwrap(), 1);
}

#[tokio::test]
async fn one_node_has_a_processs_turn_until_it_is_over_or_given_back() {
    let Some(server) = Postgres::start() else { return };
    let url = server.database("shop");
    let (one, other) = (open(&url).await, open(&url).await);
    let (first, second, soon) = (Uuid::now_v7(), Uuid::now_v7(), Duration::from_secs(3));
    let turn = async |node: &PostgresLog, holder, time| node.take_turn("gateway", holder, time).await.unwrap();
    assert!(turn(&one, first, Duration::from_secs(60)).await);
    assert!(!turn(&other, second, soon).await);
    // Given back, not waited for.
    assert!(turn(&one, first, Duration::ZERO).await);
    assert!(turn(&other, second, soon).await);
    assert!(!turn(&one, first, soon).await);
    // Its holder is gone: it ends by itself.
    tokio::time::sleep(soon).await;
    while !turn(&one, first, soon).await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
