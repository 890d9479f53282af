//! What callers are promised when nothing fails.

use std::sync::Arc;

use domain::{Expecting, ReceiveStock, Refusal, StaleVersion, Stock, World, stream_of};
use engine::{CommandError, Fault, Limits, Processes, look};
use event_schemas::{CommerceEvent, Proposed, StockEvent, Timestamp};
use event_store::{Log, MemoryLog};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    faulty_log::{Fate, FaultyLog},
    shop::{by, engine, receive, stock, take_one, tea},
};

#[tokio::test]
async fn commands_that_queue_up_during_an_append_share_the_next_one() {
    let log = Arc::new(FaultyLog::new());
    let go = Arc::new(Notify::new());
    log.doom([Fate::Held(go.clone())]);
    let engine = engine(log.clone(), Limits::default()).await;
    let callers: Vec<_> = (0..100)
        .map(|_| {
            tokio::spawn({
                let engine = engine.clone();
                async move { receive(&engine, 1).await }
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    go.notify_one();
    let mut positions = Vec::new();
    for caller in callers {
        positions.push(caller.await.unwrap().unwrap().position);
    }
    positions.sort_unstable();
    assert_eq!(positions, (1..=100).collect::<Vec<_>>());
    assert!(log.appends() <= 3, "{} appends", log.appends());
}

#[tokio::test]
async fn fifty_units_are_taken_by_exactly_fifty_of_two_hundred_and_never_below_zero() {
    let log = Arc::new(FaultyLog::new());
    let engine = engine(log.clone(), Limits::default()).await;
    receive(&engine, 50).await.unwrap();
    let takers: Vec<_> = (0..200)
        .map(|_| {
            tokio::spawn({
                let engine = engine.clone();
                async move { take_one(&engine).await }
            })
        })
        .collect();
    let (mut taken, mut refused) = (0, 0);
    for taker in takers {
        match taker.await.unwrap() {
            Ok(_) => taken += 1,
            Err(CommandError::Refused(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((taken, refused), (50, 150));
    let mut left = 0;
    for recorded in log.all().await {
        match &recorded.decode().unwrap()[0] {
            CommerceEvent::Stock(StockEvent::StockReceived(event)) => left += i64::from(event.quantity),
            CommerceEvent::Stock(StockEvent::StockAdjusted(event)) => left += event.delta,
            other => panic!("{other:?}"),
        }
        assert!(left >= 0);
    }
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_cache_that_holds_almost_nothing_changes_no_decision() {
    let log = Arc::new(MemoryLog::new());
    let engine = engine(log.clone(), Limits { cache_bytes: 1, snapshot_every: 3, ..Limits::default() }).await;
    for round in 1..=10 {
        for sku in ["TEA", "MUG", "POT"] {
            let decision = ReceiveStock { stock: stock(sku), quantity: 1, reference: None };
            engine.submit(decision, by("ana")).await.unwrap();
        }
        let events = log.read_stream(&stream_of::<Stock>(tea()), 0, 100).await.unwrap();
        assert_eq!(events.len(), round);
    }
}

#[tokio::test]
async fn a_long_stream_is_loaded_from_its_snapshot() {
    let log = Arc::new(FaultyLog::new());
    let first = engine(log.clone(), Limits { snapshot_every: 10, ..Limits::default() }).await;
    for _ in 0..95 {
        receive(&first, 1).await.unwrap();
    }
    first.drain().await;
    let before = log.stream_reads();
    let second = engine(log.clone(), Limits::default()).await;
    for _ in 0..95 {
        take_one(&second).await.unwrap();
    }
    assert!(matches!(take_one(&second).await, Err(CommandError::Refused(_))), "the snapshot kept the count");
    assert!(log.stream_reads() - before < 30, "{} events were read", log.stream_reads() - before);
}

#[tokio::test]
async fn who_only_looks_reads_a_snapshot_and_what_came_since_however_long_the_stream_is() {
    let log = Arc::new(FaultyLog::new());
    let engine = engine(log.clone(), Limits { snapshot_every: 10, ..Limits::default() }).await;
    let now = |world: &World<'_>| world.get::<Stock>(tea()).clone();
    let absent = look(log.as_ref(), now).await.unwrap();
    assert_eq!(absent, Stock::default());
    for _ in 0..95 {
        receive(&engine, 1).await.unwrap();
    }
    engine.drain().await;
    let before = log.stream_reads();
    let stock = look(log.as_ref(), now).await.unwrap();
    let mut whole = Stock::default();
    for recorded in log.all().await {
        for event in recorded.decode().unwrap() {
            let CommerceEvent::Stock(event) = event else { panic!("{event:?}") };
            whole.evolve(&event);
        }
    }
    assert_eq!(stock, whole);
    assert!(log.stream_reads() - before < 30, "{} events were read", log.stream_reads() - before);
}

#[tokio::test]
async fn of_many_who_have_looked_at_the_same_version_one_changes_it() {
    let log = Arc::new(FaultyLog::new());
    let engine = engine(log.clone(), Limits { snapshot_every: 2, ..Limits::default() }).await;
    receive(&engine, 1).await.unwrap();
    let expecting = |expected| Expecting {
        expected: Some((stream_of::<Stock>(tea()), expected)),
        decision: ReceiveStock { stock: tea(), quantity: 5, reference: None },
    };
    for expected in 1..=4 {
        let rivals = (0..20).map(|_| engine.submit(expecting(expected), by("ana")));
        let answers = futures::future::join_all(rivals).await;
        let stale = StaleVersion { stream: stream_of::<Stock>(tea()), expected, version: expected + 1 };
        let refused = answers
            .iter()
            .filter(|answer| matches!(answer, Err(CommandError::Refused(Refusal::Version(version))) if *version == stale));
        assert_eq!((answers.iter().filter(|answer| answer.is_ok()).count(), refused.count()), (1, 19));
    }
    assert_eq!(log.all().await.len(), 5);
}

#[tokio::test]
async fn one_command_too_many_is_refused_at_once_with_a_hint() {
    let log = Arc::new(FaultyLog::new());
    let go = Arc::new(Notify::new());
    log.doom([Fate::Held(go.clone())]);
    let engine = engine(log, Limits { queue: 4, batch_events: 1, ..Limits::default() }).await;
    let callers: Vec<_> = (0..50)
        .map(|_| {
            tokio::spawn({
                let engine = engine.clone();
                async move { receive(&engine, 1).await }
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    go.notify_one();
    let (mut done, mut overloaded) = (0, 0);
    for caller in callers {
        match caller.await.unwrap() {
            Ok(_) => done += 1,
            Err(CommandError::Overloaded { .. }) => overloaded += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(done >= 4 && overloaded > 0, "{done} done, {overloaded} overloaded");
    assert_eq!(engine.metrics().overloaded.get(), overloaded);
}

#[tokio::test]
async fn draining_answers_everyone_and_then_refuses() {
    let engine = engine(Arc::new(MemoryLog::new()), Limits::default()).await;
    let callers: Vec<_> = (0..50)
        .map(|_| {
            tokio::spawn({
                let engine = engine.clone();
                async move { receive(&engine, 1).await }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    engine.drain().await;
    for caller in callers {
        let answer = caller.await.unwrap();
        assert!(matches!(answer, Ok(_) | Err(CommandError::Fault(Fault::Stopping))), "{answer:?}");
    }
    assert!(matches!(receive(&engine, 1).await, Err(CommandError::Fault(Fault::Stopping))));
}

#[tokio::test]
async fn a_history_that_is_only_half_understood_is_not_decided_upon() {
    let log = Arc::new(MemoryLog::new());
    let now = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
    let from_the_future = Proposed {
        event_id: Uuid::now_v7(),
        stream: stream_of::<Stock>(tea()),
        sequence: 1,
        event_type: "StockTeleported".into(),
        event_version: 1,
        payload: "{}".to_owned(),
        metadata: serde_json::to_string(&by("a newer node")).unwrap(),
        recorded_at: now,
        occurred_at: now,
        idempotency_scope: None,
    };
    log.append(0, vec![from_the_future]).await.unwrap();
    let engine = engine(log, Limits::default()).await;
    let answer = receive(&engine, 1).await;
    assert!(
        matches!(&answer, Err(CommandError::Fault(Fault::Unreadable(reason))) if reason.contains("StockTeleported")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn processes_without_work_stop_when_told() {
    let log = Arc::new(MemoryLog::new());
    let engine = engine(log.clone(), Limits::default()).await;
    let processes = Processes::start(log, engine, Vec::new(), &[]);
    assert!(processes.status().is_empty());
    processes.stop().await;
}
