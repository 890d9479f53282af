//! Bookkeeping: snapshots, checkpoints, tasks and dead letters.

use std::{sync::Arc, time::Duration};

use event_schemas::{Sequence, StreamId};
use event_store::{Log, Progress, Snapshot, Task};
use uuid::Uuid;

use crate::{contract, facts::at};

contract!(
    the_newest_snapshot_of_a_stream_is_kept,
    a_snapshot_of_a_new_shape_replaces_one_of_the_same_sequence,
    snapshots_are_loaded_in_the_order_asked,
    all_snapshots_are_listed_page_by_page_in_the_order_of_their_streams,
    a_process_that_has_not_begun_stands_at_zero,
    a_step_saves_its_checkpoint_and_tasks_together,
    a_step_without_a_checkpoint_leaves_it,
    a_checkpoint_never_goes_back,
    a_task_put_again_is_replaced,
    a_key_that_is_done_and_put_in_one_step_is_put,
    due_tasks_come_longest_overdue_first,
    tasks_of_other_processes_are_not_seen,
    the_next_due_time_passes_over_dead_letters,
    dead_letters_of_all_processes_come_oldest_first,
    notes_and_events_do_not_get_in_each_others_way,
    whoever_has_a_processs_turn_may_keep_it,
    a_log_tells_the_time,
);

type AnyLog = Arc<dyn Log>;

fn snapshot(order: &str, sequence: Sequence, state: &str) -> Snapshot {
    Snapshot { stream: StreamId::new("order", order), sequence, state_version: 1, state: format!("{{\"is\": \"{state}\"}}") }
}

async fn kept(log: &AnyLog, order: &str) -> Option<Snapshot> {
    log.load_snapshots(vec![StreamId::new("order", order)]).await.unwrap().remove(0)
}

/// A task that is due so many seconds after the shop opened; a dead letter when there is no such time.
fn task(process: &str, key: &str, position: u64, due: Option<i64>) -> Task {
    let (process, key) = (process.to_owned(), key.to_owned());
    Task { process, key, position, due_at: due.map(at), attempts: 2, last_error: due.is_none().then(|| "declined".to_owned()) }
}

fn step(process: &str, checkpoint: Option<u64>, put: Vec<Task>, done: &[&str]) -> Progress {
    let done = done.iter().map(|key| (*key).to_owned()).collect();
    Progress { process: process.to_owned(), checkpoint, put, done }
}

async fn due(log: &AnyLog, process: &str, seconds: i64, limit: usize) -> Vec<String> {
    let tasks = log.due_tasks(process, at(seconds), limit).await.unwrap();
    tasks.into_iter().map(|task| task.key).collect()
}

async fn the_newest_snapshot_of_a_stream_is_kept(log: AnyLog) {
    log.save_snapshots(vec![snapshot("o", 10, "ten"), snapshot("p", 1, "one")]).await.unwrap();
    log.save_snapshots(vec![snapshot("o", 9, "nine")]).await.unwrap();
    assert_eq!(kept(&log, "o").await, Some(snapshot("o", 10, "ten")));
    log.save_snapshots(vec![snapshot("o", 11, "eleven")]).await.unwrap();
    assert_eq!(kept(&log, "o").await, Some(snapshot("o", 11, "eleven")));
}

async fn a_snapshot_of_a_new_shape_replaces_one_of_the_same_sequence(log: AnyLog) {
    let reshaped = Snapshot { state_version: 2, ..snapshot("o", 10, "ten, reshaped") };
    log.save_snapshots(vec![snapshot("o", 10, "ten"), reshaped.clone()]).await.unwrap();
    assert_eq!(kept(&log, "o").await, Some(reshaped));
}

async fn snapshots_are_loaded_in_the_order_asked(log: AnyLog) {
    log.save_snapshots(vec![snapshot("a", 1, "A"), snapshot("b", 2, "B")]).await.unwrap();
    let asked = ["b", "none", "a", "b"].map(|order| StreamId::new("order", order)).to_vec();
    let sequences: Vec<_> =
        log.load_snapshots(asked).await.unwrap().into_iter().map(|found| found.map(|found| found.sequence)).collect();
    assert_eq!(sequences, [Some(2), None, Some(1), Some(2)]);
}

async fn all_snapshots_are_listed_page_by_page_in_the_order_of_their_streams(log: AnyLog) {
    assert_eq!(log.list_snapshots(None, 10).await.unwrap(), []);
    let account = Snapshot { stream: StreamId::new("account", "z"), ..snapshot("z", 3, "Z") };
    let saved =
        [snapshot("b", 2, "B"), account.clone(), snapshot("B", 4, "large B"), snapshot("a", 1, "A"), snapshot("é", 5, "É")];
    log.save_snapshots(saved.to_vec()).await.unwrap();
    log.save_snapshots(vec![snapshot("a", 9, "A again")]).await.unwrap();
    let expected =
        [account, snapshot("B", 4, "large B"), snapshot("a", 9, "A again"), snapshot("b", 2, "B"), snapshot("é", 5, "É")];
    assert_eq!(log.list_snapshots(None, 10).await.unwrap(), expected);
    let mut listed = Vec::new();
    loop {
        let after = listed.last().map(|last: &Snapshot| last.stream.clone());
        let page = log.list_snapshots(after, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        listed.extend(page);
    }
    assert_eq!(listed, expected);
}

async fn a_process_that_has_not_begun_stands_at_zero(log: AnyLog) {
    assert_eq!(log.checkpoint("orders").await.unwrap(), 0);
    assert_eq!(log.next_due("orders").await.unwrap(), None);
    assert_eq!(log.dead_letters().await.unwrap(), vec![]);
}

async fn a_step_saves_its_checkpoint_and_tasks_together(log: AnyLog) {
    let late = task("orders", "o-1", 4, Some(60));
    log.save_progress(step("orders", Some(5), vec![late.clone()], &[])).await.unwrap();
    assert_eq!(log.checkpoint("orders").await.unwrap(), 5);
    assert_eq!(log.due_tasks("orders", at(60), 10).await.unwrap(), [late]);
    log.save_progress(step("orders", Some(9), vec![], &["o-1"])).await.unwrap();
    assert_eq!((log.checkpoint("orders").await.unwrap(), due(&log, "orders", 60, 10).await), (9, vec![]));
}

async fn a_checkpoint_never_goes_back(log: AnyLog) {
    for (saved, kept) in [(5, 5), (3, 5), (6, 6)] {
        log.save_progress(step("orders", Some(saved), vec![], &[])).await.unwrap();
        assert_eq!(log.checkpoint("orders").await.unwrap(), kept, "after {saved}");
    }
}

async fn a_step_without_a_checkpoint_leaves_it(log: AnyLog) {
    log.save_progress(step("orders", Some(5), vec![], &[])).await.unwrap();
    log.save_progress(step("orders", None, vec![task("orders", "o-1", 4, Some(60))], &[])).await.unwrap();
    assert_eq!((log.checkpoint("orders").await.unwrap(), due(&log, "orders", 60, 10).await), (5, vec!["o-1".to_owned()]));
}

async fn a_task_put_again_is_replaced(log: AnyLog) {
    log.save_progress(step("orders", None, vec![task("orders", "o-1", 4, Some(60))], &[])).await.unwrap();
    log.save_progress(step("orders", None, vec![task("orders", "o-1", 4, None)], &[])).await.unwrap();
    assert_eq!(due(&log, "orders", 600, 10).await, Vec::<String>::new());
    assert_eq!(log.dead_letters().await.unwrap(), [task("orders", "o-1", 4, None)]);
}

async fn a_key_that_is_done_and_put_in_one_step_is_put(log: AnyLog) {
    log.save_progress(step("orders", None, vec![task("orders", "o-1", 4, Some(60))], &["o-1"])).await.unwrap();
    assert_eq!(due(&log, "orders", 60, 10).await, ["o-1"]);
}

async fn due_tasks_come_longest_overdue_first(log: AnyLog) {
    let tasks = [("c", 3, 30), ("a", 9, 10), ("b", 1, 20), ("d", 2, 20), ("e", 1, 40)];
    let put = tasks.map(|(key, position, due)| task("orders", key, position, Some(due))).to_vec();
    log.save_progress(step("orders", None, put, &[])).await.unwrap();
    assert_eq!(due(&log, "orders", 30, 10).await, ["a", "b", "d", "c"]);
    assert_eq!(due(&log, "orders", 30, 2).await, ["a", "b"]);
    assert_eq!(due(&log, "orders", 9, 10).await, Vec::<String>::new());
}

async fn tasks_of_other_processes_are_not_seen(log: AnyLog) {
    log.save_progress(step("orders", Some(3), vec![task("orders", "x", 1, Some(10))], &[])).await.unwrap();
    log.save_progress(step("deadlines", None, vec![task("deadlines", "x", 2, Some(20))], &[])).await.unwrap();
    log.save_progress(step("deadlines", None, vec![], &["x"])).await.unwrap();
    assert_eq!((due(&log, "orders", 60, 10).await, due(&log, "deadlines", 60, 10).await), (vec!["x".to_owned()], vec![]));
    assert_eq!(log.checkpoint("deadlines").await.unwrap(), 0);
}

async fn the_next_due_time_passes_over_dead_letters(log: AnyLog) {
    let put = vec![task("orders", "dead", 1, None), task("orders", "late", 2, Some(50)), task("orders", "soon", 3, Some(20))];
    log.save_progress(step("orders", None, put, &[])).await.unwrap();
    assert_eq!(log.next_due("orders").await.unwrap(), Some(at(20)));
    log.save_progress(step("orders", None, vec![], &["soon", "late"])).await.unwrap();
    assert_eq!(log.next_due("orders").await.unwrap(), None);
}

async fn dead_letters_of_all_processes_come_oldest_first(log: AnyLog) {
    log.save_progress(step("payments", None, vec![task("payments", "b", 7, None)], &[])).await.unwrap();
    let put = vec![task("orders", "late", 1, Some(5)), task("orders", "c", 9, None), task("orders", "a", 3, None)];
    log.save_progress(step("orders", None, put, &[])).await.unwrap();
    let keys: Vec<_> = log.dead_letters().await.unwrap().into_iter().map(|task| task.key).collect();
    assert_eq!(keys, ["a", "b", "c"]);
}

async fn notes_and_events_do_not_get_in_each_others_way(log: AnyLog) {
    let notes = async {
        for n in 1..=50 {
            log.save_snapshots(vec![snapshot("o", n, "state")]).await.unwrap();
            log.save_progress(step("orders", Some(n), vec![], &[])).await.unwrap();
        }
    };
    let events = async {
        for n in 0..50 {
            log.append(n, vec![crate::facts::event("o", n + 1)]).await.unwrap();
        }
    };
    tokio::join!(notes, events);
    assert_eq!(log.head().await.unwrap().position, 50);
    assert_eq!(kept(&log, "o").await, Some(snapshot("o", 50, "state")));
}

async fn whoever_has_a_processs_turn_may_keep_it(log: AnyLog) {
    let holder = Uuid::now_v7();
    for _ in 0..3 {
        assert!(log.take_turn("gateway", holder, Duration::from_secs(60)).await.unwrap());
    }
    assert!(log.take_turn("orders", Uuid::now_v7(), Duration::from_secs(60)).await.unwrap());
}

async fn a_log_tells_the_time(log: AnyLog) {
    let (told, here) = (log.now().await.unwrap(), chrono::Utc::now());
    assert!((told - here).num_seconds().abs() < 5, "{told} and {here}");
}
