//! kill -9 at random moments of a load: what was acknowledged is there, nothing is torn, and the views go on exactly.
//!
//! `DAYBOOK_KILL_ROUNDS` sets how often the process is killed (6 unless told).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use event_schemas::{Position, Recorded};
use event_store::Log;
use uuid::Uuid;

use crate::{
    process::Process,
    shopper::{Acknowledged, SKUS, Shopper, stock_the_shelves},
    tables,
};

const BUYERS: usize = 6;

/// A number up to `most` that is different every time.
pub fn random(most: u64) -> u64 {
    Uuid::new_v4().as_u64_pair().0 % most
}

pub async fn whole(log: &dyn Log) -> Vec<Recorded> {
    let mut events: Vec<Recorded> = Vec::new();
    loop {
        let page = log.read(events.len() as u64, 5_000).await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}

/// Every acknowledged mutation is in the log: once, and no further on than the answer said.
pub fn all_are_there(acknowledged: &[Acknowledged], events: &[Recorded]) {
    let mut last_of_command: BTreeMap<Uuid, Position> = BTreeMap::new();
    let mut command_of_key: BTreeMap<String, Uuid> = BTreeMap::new();
    for event in events {
        let metadata = event.metadata().unwrap();
        last_of_command.insert(metadata.command_id, event.position);
        if let Some(idempotency) = metadata.idempotency {
            let key = idempotency.scope.rsplit('|').next().unwrap().to_owned();
            let twice = command_of_key.insert(key, metadata.command_id);
            assert_eq!(twice, None, "position {}: a key was used twice", event.position);
        }
    }
    for done in acknowledged {
        let command = command_of_key.get(done.key()).unwrap_or_else(|| panic!("lost: {done:?}"));
        assert!((last_of_command[command]..=events.len() as u64).contains(&done.position()), "{done:?}");
    }
}

/// The views that the killed process left go on to the same rows that a fresh build gives.
async fn views_equal_a_fresh_build(folder: &Path, log: &Arc<dyn Log>) -> usize {
    let scratch = tempfile::tempdir().unwrap();
    for name in ["views.db", "views.db-wal"] {
        if folder.join(name).exists() {
            std::fs::copy(folder.join(name), scratch.path().join(name)).unwrap();
        }
    }
    let sqlite = |name: &str| format!("sqlite:{}", scratch.path().join(name).display());
    let left = tables::caught_up(log, &sqlite("views.db")).await;
    let fresh = tables::caught_up(log, &sqlite("fresh.db")).await;
    tables::assert_same(&left, &fresh);
    fresh.values().map(BTreeSet::len).sum()
}

fn events_db(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("events.db").display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_minus_9_at_any_moment_loses_nothing_that_was_acknowledged() {
    let rounds = std::env::var("DAYBOOK_KILL_ROUNDS").map_or(6, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<Acknowledged> = Vec::new();
    let shelves = SKUS.map(|sku| (sku.to_owned(), 100_000)).into();
    stock_the_shelves(event_store::open(&events_db(folder.path())).await.unwrap(), &shelves).await;
    for round in 1..=rounds {
        let shop = Process::serve(folder.path());
        let buyers: Vec<_> = (0..BUYERS).map(|_| tokio::spawn(Shopper::new(&shop.url).buy_until_the_shop_is_gone())).collect();
        let moment = Duration::from_millis(20 + random(400));
        tokio::time::sleep(moment).await;
        drop(shop);
        for buyer in buyers {
            acknowledged.extend(buyer.await.unwrap());
        }

        let log = event_store::open_read_only(&events_db(folder.path())).await.unwrap();
        let events = whole(&*log).await;
        all_are_there(&acknowledged, &events);
        let verification = replay_tools::verify(log.clone(), 1, None, None).await.unwrap();
        assert!(verification.ok, "killed after {moment:?}: {verification}");
        let rows = views_equal_a_fresh_build(folder.path(), &log).await;
        println!(
            "round {round}: killed after {moment:?}; {} events, {rows} rows, {} acknowledged",
            events.len(),
            acknowledged.len()
        );
    }
    assert!(acknowledged.len() > 20, "a load of {} mutations shows nothing", acknowledged.len());
    let shop = Process::serve(folder.path());
    answers_are_remembered(&shop, &acknowledged).await;
    every_confirmed_payment_is_captured_once(&*event_store::open_read_only(&events_db(folder.path())).await.unwrap()).await;
}

/// A repeated request gets its first answer, however often the process died in between. What followed from it may have
/// come further by then.
async fn answers_are_remembered(shop: &Process, acknowledged: &[Acknowledged]) {
    let shopper = Shopper::new(&shop.url);
    for done in acknowledged.iter().step_by(1 + acknowledged.len() / 20) {
        let again = shopper.ask(done.query, &done.input).await.unwrap();
        for field in ["cart", "order", "payment"] {
            assert_eq!(again[field]["id"], done.payload[field]["id"], "{done:?}");
        }
    }
}

/// What was promised before a death is kept after it: the gateway is asked for each confirmed payment, and once.
pub async fn every_confirmed_payment_is_captured_once(log: &dyn Log) {
    let streams = |events: &[Recorded], event_type: &str| -> Vec<String> {
        let of_type = events.iter().filter(|event| event.event.event_type == event_type);
        of_type.map(|event| event.event.stream.to_string()).collect()
    };
    for _ in 0..300 {
        let events = whole(log).await;
        let confirmed: BTreeSet<_> = streams(&events, "PaymentConfirmationRequested").into_iter().collect();
        let captures = streams(&events, "PaymentCaptured");
        let captured: BTreeSet<_> = captures.iter().cloned().collect();
        assert_eq!(captures.len(), captured.len(), "a payment was captured twice");
        if !confirmed.is_empty() && confirmed == captured {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("a confirmed payment was forgotten");
}
