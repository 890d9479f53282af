//! The runner: each event counts exactly once, whatever happens in between.

use std::{sync::Arc, time::Duration};

use event_store::{Log, MemoryLog};
use projections::{ALL, ORDERS, Order, OrderLineRow, Projection, Runner, Value, Views, fold_in_memory};

use crate::{shop::busy_days, store::Home};

on_each_store!(views_are_the_same_whatever_the_size_of_a_batch, a_runner_that_was_stopped_goes_on_where_it_stood,);

pub const LONG: Duration = Duration::from_secs(60);

/// Every row of every table of the shop's views, as text, in key order.
pub fn contents(views: &Views) -> Vec<String> {
    let tables = ALL.iter().flat_map(|projection| projection.tables);
    let mut found = Vec::new();
    for table in tables {
        let width = table.columns.len();
        let read = views.read_blocking(|reader| {
            let keys: Vec<_> = (1..=table.key_columns).map(|n| n.to_string()).collect();
            reader.each(&format!("SELECT * FROM {} ORDER BY {}", table.name, keys.join(", ")), &[], |at| {
                let row: Vec<Value<'_>> = (0..width).map(at).collect();
                found.push(format!("{} {row:?}", table.name));
                Ok(())
            })
        });
        read.unwrap();
    }
    found
}

pub async fn followed(log: &Arc<MemoryLog>, views: &Views, batch: usize) {
    followed_by(ALL, log, views, batch).await;
}

/// Follows the log to its end with these projections.
pub async fn followed_by(projections: &[&'static Projection], log: &Arc<MemoryLog>, views: &Views, batch: usize) {
    let runner = Runner::start_with(Arc::clone(log) as Arc<dyn Log>, views.clone(), projections, batch).await.unwrap();
    views.wait_for(log.head().await.unwrap().position, LONG).await.unwrap();
    runner.stop().await;
}

async fn views_are_the_same_whatever_the_size_of_a_batch(home: Home) {
    let log = busy_days(20).log().await;
    let mut all = Vec::new();
    for batch in [1, 7, 1_000] {
        let views = home.views(&format!("{batch}.db"));
        followed(&log, &views, batch).await;
        all.push(contents(&views));
    }
    assert!(all[0].len() > 500, "{}", all[0].len());
    assert!(all[0] == all[1] && all[0] == all[2]);
}

async fn a_runner_that_was_stopped_goes_on_where_it_stood(home: Home) {
    let history = busy_days(12);
    let (log, whole) = (Arc::new(MemoryLog::new()), home.views("whole.db"));
    let interrupted = home.views("interrupted.db");
    for (number, chunk) in history.events.chunks(97).enumerate() {
        log.append(97 * number as u64, chunk.to_vec()).await.unwrap();
        let runner = Runner::start_with(Arc::clone(&log) as Arc<dyn Log>, interrupted.clone(), ALL, 10).await.unwrap();
        // Some runs are stopped at once, in the middle of their batches; others catch up first.
        if number % 2 == 0 {
            let _ = interrupted.wait_for(97 * number as u64 + 1, LONG).await;
        }
        runner.stop().await;
    }
    followed(&log, &interrupted, 10).await;
    followed(&log, &whole, 1_000).await;
    assert!(contents(&whole) == contents(&interrupted));
}

#[test]
fn an_order_as_of_its_first_event_is_as_it_was_placed() {
    let recorded = busy_days(3).recorded();
    let of_order = |order: &str| {
        let own = recorded.iter().filter(|event| event.event.stream.aggregate_id == order);
        own.cloned().collect::<Vec<_>>()
    };
    let placed = recorded.iter().find(|event| event.event.event_type == "OrderPlaced").unwrap();
    let events = of_order(&placed.event.stream.aggregate_id.clone());
    let past = fold_in_memory(&ORDERS, events[..1].to_vec()).unwrap();
    let orders = past.held::<Order>();
    assert_eq!(orders.iter().map(|order| (order.received_minor, order.position)).collect::<Vec<_>>(), [(0, placed.position)]);
    assert!(!past.held::<OrderLineRow>().is_empty());
    assert!(fold_in_memory(&ORDERS, vec![]).unwrap().held::<Order>().is_empty());
}
