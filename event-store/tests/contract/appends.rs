//! Appending: order, all or nothing, races and what is refused.

use std::{collections::BTreeSet, sync::Arc};

use event_schemas::{Position, Proposed};
use event_store::{AppendError, Head, Log};
use tokio::task::JoinSet;

use crate::{
    contract,
    facts::{at, event, keyed, orders, whole},
};

contract!(
    a_new_log_is_empty,
    an_append_gives_the_new_head_and_is_read_back_unchanged,
    an_append_of_nothing_changes_nothing,
    only_one_of_several_writers_at_the_same_head_wins,
    writers_that_decide_again_lose_nothing_and_repeat_nothing,
    a_head_that_is_not_reached_yet_is_refused,
    a_gap_in_a_stream_is_refused,
    a_repeated_sequence_is_refused,
    a_sequence_before_the_first_is_refused,
    several_events_of_a_stream_fit_in_one_batch,
    an_idempotency_scope_is_used_once,
    recorded_times_never_go_back,
    times_are_kept_to_the_microsecond,
    a_refused_batch_leaves_nothing_behind,
    watchers_wake_when_the_head_moves,
    an_append_finishes_though_its_caller_has_gone_away,
);

type AnyLog = Arc<dyn Log>;

async fn invalid(log: &AnyLog, head: Position, batch: Vec<Proposed>, reason: &str) {
    match log.append(head, batch).await {
        Err(AppendError::Invalid(text)) => assert!(text.contains(reason), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(log.head().await.unwrap().position, head);
}

async fn a_new_log_is_empty(log: AnyLog) {
    assert_eq!(log.head().await.unwrap(), Head { position: 0, recorded_at: None });
    assert_eq!(log.read(0, 10).await.unwrap(), vec![]);
    assert_eq!(*log.watch().borrow(), 0);
}

async fn an_append_gives_the_new_head_and_is_read_back_unchanged(log: AnyLog) {
    let batch = vec![keyed(event("a", 1), "shopper:checkout:k1"), event("b", 1), event("a", 2)];
    assert_eq!(log.append(0, batch.clone()).await.unwrap(), 3);
    assert_eq!(log.head().await.unwrap(), Head { position: 3, recorded_at: Some(at(0)) });
    assert_eq!(whole(&*log).await, batch);
}

async fn an_append_of_nothing_changes_nothing(log: AnyLog) {
    log.append(0, orders("o", 2)).await.unwrap();
    assert_eq!(log.append(2, vec![]).await.unwrap(), 2);
    assert!(matches!(log.append(1, vec![]).await, Err(AppendError::HeadMoved { head: 2 })));
}

async fn only_one_of_several_writers_at_the_same_head_wins(log: AnyLog) {
    for round in 0..20 {
        let head = log.head().await.unwrap().position;
        let mut racers = JoinSet::new();
        for racer in 0..4 {
            let log = Arc::clone(&log);
            racers.spawn(async move { log.append(head, orders(&format!("{round}-{racer}"), 3)).await });
        }
        let (won, lost): (Vec<_>, Vec<_>) = racers.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert!(lost.iter().all(|lost| matches!(lost, Err(AppendError::HeadMoved { head: now }) if *now == head + 3)));
    }
    assert_eq!(whole(&*log).await.len(), 60);
}

async fn writers_that_decide_again_lose_nothing_and_repeat_nothing(log: AnyLog) {
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let log = Arc::clone(&log);
        writers.spawn(async move {
            for n in 0..25 {
                let mut head = log.head().await.unwrap().position;
                while let Err(AppendError::HeadMoved { head: now }) = log.append(head, orders(&format!("{writer}-{n}"), 2)).await
                {
                    head = now;
                }
            }
        });
    }
    writers.join_all().await;
    let events = whole(&*log).await;
    let streams: BTreeSet<_> = events.iter().map(|event| event.stream.clone()).collect();
    assert_eq!((events.len(), streams.len()), (200, 200));
}

async fn a_head_that_is_not_reached_yet_is_refused(log: AnyLog) {
    log.append(0, orders("o", 2)).await.unwrap();
    assert!(matches!(log.append(3, orders("p", 1)).await, Err(AppendError::HeadMoved { head: 2 })));
}

async fn a_gap_in_a_stream_is_refused(log: AnyLog) {
    invalid(&log, 0, vec![event("o", 2)], "does not end at sequence 1").await;
    log.append(0, vec![event("o", 1)]).await.unwrap();
    invalid(&log, 1, vec![event("o", 3)], "does not end at sequence 2").await;
    invalid(&log, 1, vec![event("o", 2), event("o", 4)], "follows sequence 2").await;
    log.append(1, vec![event("o", 2)]).await.unwrap();
}

async fn a_repeated_sequence_is_refused(log: AnyLog) {
    log.append(0, vec![event("o", 1), event("o", 2)]).await.unwrap();
    invalid(&log, 2, vec![event("o", 1)], "does not end at sequence 0").await;
    invalid(&log, 2, vec![event("o", 2)], "does not end at sequence 1").await;
    invalid(&log, 2, vec![event("o", 3), event("o", 3)], "follows sequence 3").await;
}

async fn a_sequence_before_the_first_is_refused(log: AnyLog) {
    invalid(&log, 0, vec![event("o", 0)], "start at 1").await;
}

async fn several_events_of_a_stream_fit_in_one_batch(log: AnyLog) {
    log.append(0, vec![event("o", 1), event("p", 1), event("o", 2)]).await.unwrap();
    log.append(3, vec![event("o", 3), event("o", 4)]).await.unwrap();
    assert_eq!(log.read_stream(&event("o", 1).stream, 0, 10).await.unwrap().len(), 4);
}

async fn an_idempotency_scope_is_used_once(log: AnyLog) {
    log.append(0, vec![event("o", 1), keyed(event("p", 1), "k1")]).await.unwrap();
    invalid(&log, 2, vec![keyed(event("q", 1), "k1")], "`k1` was used before").await;
    invalid(&log, 2, vec![keyed(event("q", 1), "k2"), keyed(event("r", 1), "k2")], "`k2` was used before").await;
    log.append(2, vec![keyed(event("q", 1), "k2")]).await.unwrap();
    let found = log.find_scopes(vec!["k2".to_owned(), "k3".to_owned(), "k1".to_owned()]).await.unwrap();
    assert_eq!(found, [Some(3), None, Some(2)]);
}

async fn recorded_times_never_go_back(log: AnyLog) {
    let recorded = |order, seconds| Proposed { recorded_at: at(seconds), ..event(order, 1) };
    invalid(&log, 0, vec![recorded("o", 5), recorded("p", 4)], "before the event in front of it").await;
    log.append(0, vec![recorded("o", 5), recorded("p", 5)]).await.unwrap();
    invalid(&log, 2, vec![recorded("q", 4)], "before the event in front of it").await;
    log.append(2, vec![recorded("q", 6)]).await.unwrap();
}

async fn times_are_kept_to_the_microsecond(log: AnyLog) {
    let finer = at(0) + chrono::TimeDelta::nanoseconds(789);
    log.append(0, vec![Proposed { recorded_at: finer, occurred_at: finer, ..event("o", 1) }]).await.unwrap();
    let kept = whole(&*log).await.remove(0);
    assert_eq!((kept.recorded_at, kept.occurred_at), (at(0), at(0)));
    log.append(1, vec![event("p", 1)]).await.unwrap();
    let far = Proposed { occurred_at: chrono::DateTime::<chrono::Utc>::MAX_UTC, ..event("q", 1) };
    invalid(&log, 2, vec![far], "year").await;
}

async fn a_refused_batch_leaves_nothing_behind(log: AnyLog) {
    let first = vec![event("o", 1)];
    log.append(0, first.clone()).await.unwrap();
    let mut batch = vec![keyed(event("p", 1), "k"), event("o", 2)];
    batch.extend(orders("q", 50));
    batch.push(event("r", 2));
    invalid(&log, 1, batch.clone(), "order/r 2").await;
    assert_eq!(whole(&*log).await, first);
    assert_eq!(log.find_scopes(vec!["k".to_owned()]).await.unwrap(), [None]);
    batch.pop();
    log.append(1, batch).await.unwrap();
}

async fn watchers_wake_when_the_head_moves(log: AnyLog) {
    let mut watch = log.watch();
    let waiting = tokio::spawn(async move { watch.wait_for(|head| *head >= 2).await.map(|head| *head) });
    log.append(0, orders("o", 2)).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), 2);
}

async fn an_append_finishes_though_its_caller_has_gone_away(log: AnyLog) {
    let mut watch = log.watch();
    // Gives up as soon as the append does not answer at once.
    drop(tokio::time::timeout(std::time::Duration::ZERO, log.append(0, orders("o", 2))).await);
    watch.wait_for(|head| *head == 2).await.unwrap();
    assert_eq!(whole(&*log).await.len(), 2);
}
