//! The same request twice is one command.

use std::sync::Arc;

use engine::{CommandError, Limits};
use tokio::sync::Notify;

use crate::{
    faulty_log::{Fate, FaultyLog},
    shop::{engine, keyed, receive_keyed, take_one},
};

#[tokio::test]
async fn a_hundred_parallel_requests_with_one_key_have_one_effect_and_one_answer() {
    let log = Arc::new(FaultyLog::new());
    let engine = engine(log.clone(), Limits::default()).await;
    let callers: Vec<_> = (0..100)
        .map(|_| {
            tokio::spawn({
                let engine = engine.clone();
                async move { receive_keyed(&engine, 5, keyed("k", "5")).await }
            })
        })
        .collect();
    let mut first = 0;
    for caller in callers {
        let outcome = caller.await.unwrap().unwrap();
        assert_eq!((outcome.position, outcome.changes.len()), (1, 1));
        first += usize::from(!outcome.repeated);
    }
    assert_eq!((first, log.all().await.len()), (1, 1));
}

#[tokio::test]
async fn a_key_is_recognised_by_another_node_and_after_a_restart() {
    let log = Arc::new(FaultyLog::new());
    let first = engine(log.clone(), Limits::default()).await;
    let answer = receive_keyed(&first, 5, keyed("k", "5")).await.unwrap();
    first.drain().await;
    let again = receive_keyed(&engine(log.clone(), Limits::default()).await, 5, keyed("k", "5")).await.unwrap();
    assert!(again.repeated);
    assert_eq!((again.position, &again.changes), (answer.position, &answer.changes));
    assert_eq!(log.all().await.len(), 1);
}

#[tokio::test]
async fn a_key_with_another_content_is_refused_whether_the_first_is_on_its_way_or_durable() {
    let log = Arc::new(FaultyLog::new());
    let go = Arc::new(Notify::new());
    let engine = engine(log.clone(), Limits::default()).await;
    log.doom([Fate::Held(go.clone())]);
    let first = tokio::spawn({
        let engine = engine.clone();
        async move { receive_keyed(&engine, 5, keyed("k", "5")).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    let other = tokio::spawn({
        let engine = engine.clone();
        async move { receive_keyed(&engine, 6, keyed("k", "6")).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    go.notify_one();
    first.await.unwrap().unwrap();
    assert!(matches!(other.await.unwrap(), Err(CommandError::IdempotencyKeyReused)));
    assert!(matches!(receive_keyed(&engine, 6, keyed("k", "6")).await, Err(CommandError::IdempotencyKeyReused)));
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let engine = engine(Arc::new(FaultyLog::new()), Limits::default()).await;
    assert!(matches!(receive_keyed(&engine, 0, keyed("k", "0")).await, Err(CommandError::Refused(_))), "nothing came in");
    receive_keyed(&engine, 1, keyed("k", "1")).await.unwrap();
    take_one(&engine).await.unwrap();
}

#[tokio::test]
async fn a_repeat_of_a_command_whose_append_failed_is_carried_out() {
    let log = Arc::new(FaultyLog::new());
    let engine = engine(log.clone(), Limits::default()).await;
    log.doom([Fate::NotWritten]);
    assert!(receive_keyed(&engine, 5, keyed("k", "5")).await.is_err());
    let outcome = receive_keyed(&engine, 5, keyed("k", "5")).await.unwrap();
    assert!(!outcome.repeated);
}
