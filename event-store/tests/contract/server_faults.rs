//! PostgreSQL killed, restarted and cut off: nothing acknowledged is lost, nothing is half there, and what is unknown is said to be.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use event_schemas::{Position, Proposed};
use event_store::{AppendError, Log as _, PostgresLog};
use test_postgres::{CutAt, Mode, Postgres, Proxy};
use uuid::Uuid;

use crate::{
    facts::{orders, whole},
    rounds::appended,
};

async fn open(url: &str) -> PostgresLog {
    PostgresLog::open(url, Default::default()).await.unwrap()
}

/// The ids of batches of three, with the position at which a batch was acknowledged, or none for one that was not.
type Written = Vec<([Uuid; 3], Option<Position>)>;

/// Appends batches of three until told to stop, whatever becomes of them.
async fn write_until(log: &PostgresLog, name: &str, stop: &AtomicBool) -> Written {
    let (mut written, mut head) = (Written::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let batch = orders(&format!("{name}-{}", written.len()), 3);
        let ids = [0, 1, 2].map(|n: usize| batch[n].event_id);
        match log.append(head, batch).await {
            Ok(end) => {
                written.push((ids, Some(head + 1)));
                head = end;
            }
            Err(AppendError::HeadMoved { head: now }) => head = now,
            Err(AppendError::OutcomeUnknown(_) | AppendError::Unavailable(_)) => {
                written.push((ids, None));
                tokio::time::sleep(Duration::from_millis(20)).await;
                if let Ok(now) = log.head().await {
                    head = now.position;
                }
            }
            Err(error @ AppendError::Invalid(_)) => panic!("{error}"),
        }
    }
    written
}

/// Holds what was written against what is there.
fn check(events: &[Proposed], written: &Written) {
    let places: HashMap<Uuid, usize> = events.iter().enumerate().map(|(place, event)| (event.event_id, place)).collect();
    for (ids, acknowledged) in written {
        let found: Vec<usize> = ids.iter().filter_map(|id| places.get(id).copied()).collect();
        match acknowledged {
            Some(position) => {
                let first = usize::try_from(*position).unwrap() - 1;
                assert_eq!(found, [first, first + 1, first + 2], "an acknowledged batch is not where it was acknowledged");
            }
            None => {
                assert!(found.is_empty() || (found.len() == 3 && found[2] == found[0] + 2), "a batch is half there: {found:?}")
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_acknowledged_and_its_nodes_go_on() {
    let Some(mut server) = Postgres::start() else { return };
    let url = server.database("shop");
    let nodes = [Arc::new(open(&url).await), Arc::new(open(&url).await)];
    let mut all = Written::new();
    for round in 0..3 {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = [0, 1].map(|n: usize| {
            let (log, stop) = (Arc::clone(&nodes[n]), Arc::clone(&stop));
            tokio::spawn(async move { write_until(&log, &format!("{round}-{n}"), &stop).await })
        });
        tokio::time::sleep(Duration::from_millis(400)).await;
        server.kill();
        server.restart();
        // Connecting again is tried at longer and longer intervals, of up to a second.
        tokio::time::sleep(Duration::from_secs(4)).await;
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            let written = writer.await.unwrap();
            let unsure = written.iter().position(|(_, acknowledged)| acknowledged.is_none()).expect("the kill was felt");
            let after = written[unsure..].iter().filter(|(_, acknowledged)| acknowledged.is_some()).count();
            assert!(after > 0, "the same log goes on after the restart");
            all.extend(written);
        }
    }
    let events = whole(&open(&url).await).await;
    check(&events, &all);
    let count = |known: bool| all.iter().filter(|(_, acknowledged)| acknowledged.is_some() == known).count();
    println!("{} batches acknowledged, {} not, {} events there", count(true), count(false), events.len());
}

/// A log by way of a proxy, with one event, so that the session and its statement are there.
async fn by_proxy() -> Option<(Postgres, Proxy, PostgresLog)> {
    let server = Postgres::start()?;
    let proxy = Proxy::start(server.port());
    let log = open(&proxy.route(&server.database("shop"))).await;
    assert_eq!(log.append(0, orders("first", 1)).await.unwrap(), 1);
    Some((server, proxy, log))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_cut_off_before_the_server_has_it_is_unknown_and_was_not_written() {
    let Some((_server, proxy, log)) = by_proxy().await else { return };
    proxy.cut_once("lost-0", CutAt::Before);
    let outcome = log.append(1, orders("lost", 2)).await;
    assert!(matches!(outcome, Err(AppendError::OutcomeUnknown(_))), "{outcome:?}");
    assert_eq!(log.head().await.unwrap().position, 1);
    assert_eq!(appended(&log, 1, orders("lost", 2)).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_cut_off_after_its_commit_is_unknown_and_is_found_at_its_place() {
    let Some((_server, proxy, log)) = by_proxy().await else { return };
    let batch = orders("kept", 2);
    proxy.cut_once("kept-0", CutAt::After);
    let outcome = log.append(1, batch.clone()).await;
    assert!(matches!(outcome, Err(AppendError::OutcomeUnknown(_))), "{outcome:?}");
    // As the engine resolves it: offered again at the same place, which is taken, and by whom.
    assert!(matches!(log.append(1, batch.clone()).await, Err(AppendError::HeadMoved { head: 3 })));
    assert_eq!(log.read(1, 1).await.unwrap()[0].event.event_id, batch[0].event_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_given_up_in_bounded_time() {
    let Some((_server, proxy, log)) = by_proxy().await else { return };
    proxy.set(Mode::HalfOpen);
    let begun = Instant::now();
    let outcome = log.append(1, orders("silent", 2)).await;
    assert!(matches!(outcome, Err(AppendError::OutcomeUnknown(_))), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    proxy.set(Mode::Pass);
    // What was swallowed is passed on now, and may be written: whoever holds the place has won.
    let head = log.head().await.unwrap().position;
    let next = log.append(head, orders("next", 1)).await;
    assert!(matches!(next, Ok(_) | Err(AppendError::HeadMoved { .. })), "{next:?}");
    assert!(matches!(whole(&log).await.len(), 2..=4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_changes_nothing_but_the_time() {
    let Some((_server, proxy, log)) = by_proxy().await else { return };
    proxy.set(Mode::Delay(Duration::from_millis(30)));
    for head in 1..5 {
        assert_eq!(log.append(head, orders(&format!("slow-{head}"), 1)).await.unwrap(), head + 1);
    }
    assert_eq!(whole(&log).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_said_to_be_and_used_again_when_it_is_back() {
    let Some((mut server, _proxy, log)) = by_proxy().await else { return };
    server.stop();
    let (outcome, begun) = (log.append(1, orders("away", 1)).await, Instant::now());
    assert!(matches!(outcome, Err(AppendError::Unavailable(_) | AppendError::OutcomeUnknown(_))), "{outcome:?}");
    assert!(matches!(log.append(1, orders("away", 1)).await, Err(AppendError::Unavailable(_))));
    assert!(log.read(0, 10).await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    server.restart();
    assert_eq!(appended(&log, 1, orders("back", 1)).await.unwrap(), 2);
    assert_eq!(whole(&log).await.len(), 2);
}
