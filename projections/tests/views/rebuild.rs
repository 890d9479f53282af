//! Rebuilding, publishing and comparing views, and the checkpoints that are refused.

use std::sync::Arc;

use event_schemas::*;
use event_store::{Log, MemoryLog};
use projections::{
    ALL, CATEGORIES, Fact, FoldError, ORDERS, Projection, ProjectionState, Rows, Runner, Value, ViewError, Views, diff, rebuild,
};

use crate::{
    runner::{LONG, contents, followed},
    shop::{History, busy_days, day, id, product},
    store::Home,
};

on_each_store!(
    live_views_equal_rebuilt_ones_row_by_row,
    a_changed_row_a_missing_row_and_an_added_row_are_found_and_named,
    a_checkpoint_of_another_log_or_ahead_of_the_log_is_refused_by_name,
    a_new_version_that_fails_never_takes_the_place_of_the_old_one,
    readers_never_see_a_half_built_view,
    an_event_of_a_newer_writer_halts_the_views_and_is_not_skipped,
    live_events_reach_the_views_as_they_are_written,
);

async fn live_views_equal_rebuilt_ones_row_by_row(home: Home) {
    let log = busy_days(15).log().await;
    let (live, rebuilt) = (home.views("live.db"), home.views("rebuilt.db"));
    followed(&log, &live, 3).await;
    let report = rebuild(Arc::clone(&log) as Arc<dyn Log>, &rebuilt, ALL, |_| ()).await.unwrap();
    let difference = diff(&live, &rebuilt, ALL).unwrap();
    assert!(difference.is_equal(), "{difference:?}");
    let rows: u64 = difference.tables.iter().map(|table| table.equal).sum();
    assert_eq!(rows, report.views.iter().map(|view| view.rows).sum::<u64>());
    assert!(rows > 500 && report.views.len() == ALL.len());
}

async fn a_changed_row_a_missing_row_and_an_added_row_are_found_and_named(home: Home) {
    let log = busy_days(4).log().await;
    let (whole, tampered) = (home.views("whole.db"), home.views("tampered.db"));
    followed(&log, &whole, 100).await;
    followed(&log, &tampered, 100).await;
    let (payments, orders, levels) =
        (home.table("payments", "payments"), home.table("orders", "orders"), home.table("stock", "stock_levels"));
    let payment = id(20_002);
    let columns = "location, on_hand, reserved, committed, safety_stock, backorder_limit, available, low_stock_threshold, low,
        updated_at, version, position";
    let sql = format!(
        "UPDATE {payments} SET captured_minor = captured_minor + 1 WHERE payment_id = '{payment}';
         DELETE FROM {orders} WHERE number = 'D-3';
         INSERT INTO {levels} (sku, {columns}) SELECT 'ZZZ', {columns} FROM {levels} LIMIT 1;"
    );
    home.tamper("tampered.db", &sql);
    let difference = diff(&whole, &tampered, ALL).unwrap();
    let found: Vec<_> = difference.tables.iter().filter(|table| !table.is_equal()).collect();
    let counts: Vec<_> = found.iter().map(|t| (t.table, t.only_first, t.only_second, t.different)).collect();
    assert_eq!(counts, [("stock_levels", 0, 1, 0), ("orders", 1, 0, 0), ("payments", 0, 0, 1)]);
    assert_eq!(found[2].examples[0].key, [Value::Text(id(20_002).to_string().into())]);
    assert_eq!(found[2].examples[0].columns[0].0, "captured_minor");
}

async fn a_checkpoint_of_another_log_or_ahead_of_the_log_is_refused_by_name(home: Home) {
    let history = busy_days(2);
    let (views, log) = (home.views("views.db"), history.log().await);
    followed(&log, &views, 100).await;
    let other = history.log().await;
    let refused = Runner::start(Arc::clone(&other) as Arc<dyn Log>, views.clone(), ALL).await.unwrap_err();
    let ViewError::OtherLog { expected, found, .. } = &refused else { panic!("{refused}") };
    assert_eq!((*expected, *found), (other.id(), log.id()));
    assert!(refused.to_string().contains(&other.id().to_string()) && refused.to_string().contains(&log.id().to_string()));

    home.tamper("views.db", "UPDATE projections SET position = 99999 WHERE projection = 'orders'");
    let refused = Runner::start(log, views.clone(), ALL).await.unwrap_err();
    let head = history.events.len() as u64;
    assert!(
        matches!(&refused, ViewError::AheadOfLog { projection, position: 99_999, head: end } if projection == "orders" && *end == head)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_follow_into_the_same_views() {
    let (home, log) = (Home::sqlite(), busy_days(1).log().await);
    let views = home.views("views.db");
    let first = Runner::start(Arc::clone(&log) as Arc<dyn Log>, views.clone(), ALL).await.unwrap();
    let second = Runner::start(Arc::clone(&log) as Arc<dyn Log>, home.views("views.db"), ALL).await;
    assert!(matches!(second, Err(ViewError::InUse(_))));
    first.stop().await;
    Runner::start(log, views, ALL).await.unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_holds_something_else_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("CREATE TABLE accounts (id INTEGER)").unwrap();
    assert!(matches!(Views::open(&format!("sqlite:{}", path.display())), Err(ViewError::NotViews(_))));
    std::fs::write(folder.path().join("letter.db"), "Dear Ana, this is not a database but a letter.").unwrap();
    let letter = format!("sqlite:{}", folder.path().join("letter.db").display());
    assert!(matches!(Views::open(&letter), Err(ViewError::NotViews(_))));
}

/// The orders of tomorrow's code: it refuses orders from Germany.
fn fold_of_tomorrow(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    if let CommerceEvent::Order(OrderEvent::OrderPlaced(placed)) = fact.event
        && placed.country == Some(CountryCode::new("DE").unwrap())
    {
        panic!("a bug of tomorrow");
    }
    (ORDERS.fold)(rows, fact)
}

static TOMORROW: Projection = Projection { version: ORDERS.version + 1, fold: fold_of_tomorrow, ..ORDERS };
static NEXT: Projection = Projection { version: ORDERS.version + 1, ..ORDERS };

fn count(views: &Views, sql: &str) -> i64 {
    views.read_blocking(|reader| reader.integer(sql, &[])).unwrap()
}

async fn a_new_version_that_fails_never_takes_the_place_of_the_old_one(home: Home) {
    let log = busy_days(3).log().await;
    let views = home.views("views.db");
    followed(&log, &views, 100).await;
    let orders = count(&views, "SELECT count(*) FROM orders");
    let runner = Runner::start(Arc::clone(&log) as Arc<dyn Log>, views.clone(), &[&TOMORROW, &CATEGORIES]).await.unwrap();
    let mut seen = views.watch();
    let is_halted = |status: &projections::ProjectionStatus| status.name == "orders" && status.state == ProjectionState::Halted;
    seen.wait_for(|freshness| freshness.projections.iter().any(is_halted)).await.unwrap();
    assert_eq!(count(&views, "SELECT count(*) FROM orders"), orders);
    let status = views.status().into_iter().find(is_halted).unwrap();
    assert_eq!((status.version, status.generation), (ORDERS.version, 1));
    assert!(status.stale_since.is_some() && status.reason.unwrap().contains("panicked"));
    runner.stop().await;
    // The bug is mended: the next start builds the generation to its end and puts it in place.
    let runner = Runner::start(log, views.clone(), &[&NEXT, &CATEGORIES]).await.unwrap();
    let all_live =
        |freshness: &projections::Freshness| freshness.projections.iter().all(|status| status.state == ProjectionState::Live);
    tokio::time::timeout(LONG, views.watch().wait_for(all_live)).await.unwrap().unwrap();
    runner.stop().await;
    let status = views.status().remove(0);
    assert_eq!((status.version, status.state, status.generation), (NEXT.version, ProjectionState::Live, 2));
    assert_eq!(count(&views, "SELECT count(*) FROM orders"), orders);
}

async fn readers_never_see_a_half_built_view(home: Home) {
    let log = busy_days(25).log().await;
    let views = home.views("views.db");
    followed(&log, &views, 1_000).await;
    let before = contents(&views);
    let (orders, lines) = (count(&views, "SELECT count(*) FROM orders"), count(&views, "SELECT count(*) FROM order_lines"));
    let runner = Runner::start_with(Arc::clone(&log) as Arc<dyn Log>, views.clone(), ALL, 8).await.unwrap();
    assert!(matches!(runner.rebuild("invoices").await, Err(ViewError::UnknownProjection(_))));
    let (mut building, mut generation) = (0, 1);
    // A rebuild may be over before anyone has looked, so it is begun again until it was seen on its way.
    while building == 0 {
        assert!(generation < 100, "no rebuild was seen on its way");
        runner.rebuild("orders").await.unwrap();
        generation += 1;
        loop {
            let status = views.status().into_iter().find(|status| status.name == "orders").unwrap();
            building += i64::from(status.rebuilt_to.is_some_and(|position| position > 0));
            let both = views.read(|reader| {
                let orders = reader.integer("SELECT count(*) FROM orders", &[])?;
                Ok((orders, reader.integer("SELECT count(*) FROM order_lines", &[])?))
            });
            assert_eq!(both.await.unwrap(), (orders, lines));
            if status.generation == generation {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    runner.stop().await;
    assert!(before == contents(&views));
    if matches!(home, Home::Postgres(_)) {
        return;
    }
    let tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name LIKE 'orders!_!_g%' ESCAPE '!'";
    assert_eq!(count(&views, tables), 1);
}

async fn an_event_of_a_newer_writer_halts_the_views_and_is_not_skipped(home: Home) {
    let mut history = History::default();
    product(&mut history, 1, 250);
    let before = history.events.len() as u64;
    product(&mut history, 2, 250);
    let unknown = history.events[before as usize].clone();
    history.events[before as usize] = Proposed { event_type: "ProductDreamt".into(), ..unknown };
    let views = home.views("views.db");
    let log: Arc<MemoryLog> = history.log().await;
    let runner = Runner::start(log, views.clone(), ALL).await.unwrap();
    let mut seen = views.watch();
    let all_halted = |freshness: &projections::Freshness| {
        freshness.projections.iter().all(|status| status.state == ProjectionState::Halted && status.position == before)
    };
    tokio::time::timeout(LONG, seen.wait_for(all_halted)).await.unwrap().unwrap();
    assert!(views.status()[0].reason.as_deref().unwrap().contains("ProductDreamt"));
    assert_eq!(count(&views, "SELECT count(*) FROM products"), 1);
    assert!(views.wait_for(before + 1, std::time::Duration::from_millis(20)).await.is_err());
    runner.stop().await;
}

async fn live_events_reach_the_views_as_they_are_written(home: Home) {
    let mut history = History::default();
    product(&mut history, 1, 250);
    let (views, log) = (home.views("views.db"), history.log().await);
    let runner = Runner::start(Arc::clone(&log) as Arc<dyn Log>, views.clone(), ALL).await.unwrap();
    let head = history.events.len();
    history.happens(ProductId(id(101)), ProductEvent::from(ProductArchived { reason: "old".to_owned() }), day(2, 0));
    let written = log.append(head as u64, history.events[head..].to_vec()).await.unwrap();
    views.wait_for(written, LONG).await.unwrap();
    assert_eq!(count(&views, "SELECT count(*) FROM products WHERE state = 'archived'"), 1);
    assert_eq!(views.applied(), written);
    runner.stop().await;
}
