//! What callers are promised when the log fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::{Change, Decision, ReceiveStock, RecordHistory, Refusal, World};
use engine::{CommandError, Fault, Limits};
use event_store::{Log, MemoryLog};
use tokio::sync::Notify;

use crate::{
    faulty_log::{Fate, FaultyLog},
    shop::{by, engine, receive, stock, take_one, tea},
};

#[tokio::test]
async fn a_full_disk_is_a_fault_that_leaves_nothing_behind_and_passes() {
    let log = Arc::new(FaultyLog::new());
    let engine = engine(log.clone(), Limits::default()).await;
    receive(&engine, 1).await.unwrap();
    log.doom([Fate::NotWritten]);
    assert!(matches!(take_one(&engine).await, Err(CommandError::Fault(Fault::NotWritten(_)))));
    assert_eq!(log.all().await.len(), 1);
    take_one(&engine).await.expect("the unit that could not be taken is still there");
    assert!(matches!(take_one(&engine).await, Err(CommandError::Refused(_))));
}

#[tokio::test]
async fn an_append_whose_answer_was_lost_is_neither_lost_nor_doubled() {
    for fate in [Fate::UnknownWritten, Fate::UnknownLost] {
        let log = Arc::new(FaultyLog::new());
        let engine = engine(log.clone(), Limits::default()).await;
        log.doom([fate, Fate::UnknownLost]);
        assert_eq!(receive(&engine, 1).await.unwrap().position, 1);
        assert_eq!(receive(&engine, 1).await.unwrap().position, 2);
        assert_eq!(log.all().await.len(), 2);
    }
}

#[tokio::test]
async fn a_command_decided_upon_an_effect_that_failed_is_decided_again() {
    let log = Arc::new(FaultyLog::new());
    let go = Arc::new(Notify::new());
    let engine = engine(log.clone(), Limits::default()).await;
    log.doom([Fate::Held(go.clone()), Fate::NotWritten]);
    let first = tokio::spawn({
        let engine = engine.clone();
        async move { receive(&engine, 1).await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    let second = tokio::spawn({
        let engine = engine.clone();
        async move { take_one(&engine).await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    go.notify_one();
    assert!(matches!(first.await.unwrap(), Err(CommandError::Fault(Fault::NotWritten(_)))));
    assert!(matches!(second.await.unwrap(), Err(CommandError::Refused(_))), "there never was a unit to take");
    assert!(log.all().await.is_empty());
}

#[tokio::test]
async fn a_refusal_that_rests_upon_an_effect_is_only_told_once_the_effect_is_durable() {
    let log = Arc::new(FaultyLog::new());
    let go = Arc::new(Notify::new());
    let engine = engine(log.clone(), Limits::default()).await;
    receive(&engine, 1).await.unwrap();
    log.doom([Fate::Held(go.clone()), Fate::NotWritten]);
    let first = tokio::spawn({
        let engine = engine.clone();
        async move { take_one(&engine).await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    let second = tokio::spawn({
        let engine = engine.clone();
        async move { take_one(&engine).await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!second.is_finished(), "the last unit is not yet taken for good");
    go.notify_one();
    assert!(matches!(first.await.unwrap(), Err(CommandError::Fault(_))));
    second.await.unwrap().expect("the unit is there after all");
}

#[tokio::test]
async fn a_refusal_is_told_also_while_others_write_faster_than_a_node_can_look_twice() {
    let log = Arc::new(FaultyLog::new());
    let engine = engine(log.clone(), Limits::default()).await;
    receive(&engine, 1).await.unwrap();
    take_one(&engine).await.unwrap();
    log.rival(1000).await;
    assert!(matches!(take_one(&engine).await, Err(CommandError::Refused(_))));
    assert!(matches!(take_one(&engine).await, Err(CommandError::Refused(_))));
    assert!(log.rival_left() > 990, "it looked {} times", 1000 - log.rival_left());
}

#[tokio::test]
async fn two_nodes_on_one_log_never_take_the_same_unit() {
    let log = Arc::new(MemoryLog::new());
    let (one, two) = (engine(log.clone(), Limits::default()).await, engine(log.clone(), Limits::default()).await);
    receive(&one, 50).await.unwrap();
    let takers: Vec<_> = (0..200)
        .map(|n| {
            let engine = if n % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(async move { take_one(&engine).await })
        })
        .collect();
    let mut taken = 0;
    for taker in takers {
        match taker.await.unwrap() {
            Ok(_) => taken += 1,
            Err(CommandError::Refused(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(taken, 50);
    assert!(one.metrics().head_moved.get() + two.metrics().head_moved.get() > 0, "they did meet");
}

#[tokio::test]
async fn a_node_never_refuses_on_what_another_node_has_changed_meanwhile() {
    let log = Arc::new(MemoryLog::new());
    let (one, two) = (engine(log.clone(), Limits::default()).await, engine(log.clone(), Limits::default()).await);
    receive(&one, 1).await.unwrap();
    take_one(&one).await.unwrap();
    assert!(matches!(take_one(&one).await, Err(CommandError::Refused(_))), "the node knows the stock, and that it is empty");
    receive(&two, 1).await.unwrap();
    take_one(&one).await.expect("the unit that came in through the other node is there");
}

/// One unit of tea comes in, and how often that was decided.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Decision for Counted {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        self.0.fetch_add(1, Ordering::SeqCst);
        ReceiveStock { stock: tea(), quantity: 1, reference: None }.decide(world)
    }
}

#[tokio::test]
async fn what_another_node_wrote_makes_a_command_be_decided_again_only_if_it_read_that() {
    for (written_elsewhere, decided) in [("COFFEE", 1), ("TEA", 2)] {
        let log = Arc::new(MemoryLog::new());
        let (here, elsewhere) = (engine(log.clone(), Limits::default()).await, engine(log.clone(), Limits::default()).await);
        receive(&here, 1).await.unwrap();
        let received = ReceiveStock { stock: stock(written_elsewhere), quantity: 1, reference: None };
        elsewhere.submit(received, by("ben")).await.unwrap();

        let asked = Arc::new(AtomicUsize::new(0));
        let outcome = here.submit(Counted(asked.clone()), by("ana")).await.unwrap();
        assert_eq!((outcome.position, asked.load(Ordering::SeqCst)), (3, decided), "{written_elsewhere}");
        assert_eq!(here.metrics().head_moved.get(), 1);
        let events = log.read(0, 10).await.unwrap();
        let mut tea = events.iter().filter(|recorded| recorded.event.stream.aggregate_id == tea().to_string());
        assert_eq!(tea.next_back().map(|last| (last.position, last.event.sequence)), Some((3, if decided == 1 { 2 } else { 3 })));
        assert!(events.is_sorted_by_key(|recorded| recorded.event.recorded_at));
        // And what is decided next rests upon both.
        assert_eq!(take_one(&here).await.unwrap().position, 4);
    }
}

#[tokio::test]
async fn what_is_written_without_being_read_counts_as_read() {
    let log = Arc::new(MemoryLog::new());
    let (here, elsewhere) = (engine(log.clone(), Limits::default()).await, engine(log.clone(), Limits::default()).await);
    let first = receive(&here, 1).await.unwrap();
    receive(&elsewhere, 1).await.unwrap();
    let history = RecordHistory { new_streams: Vec::new(), changes: first.changes };
    assert_eq!(here.submit(history, by("import")).await.unwrap().position, 3);
    for _ in 0..3 {
        take_one(&here).await.unwrap();
    }
    assert!(matches!(take_one(&here).await, Err(CommandError::Refused(_))));
}
