//! One hash for a table: the same in every store, for every way to the same rows, and another for other rows.

use std::sync::Arc;

use event_store::{Log, Moment, PastLog};
use projections::{ALL, ORDERS, STOCK, TableDigest, digests, rebuild};

use crate::{runner::followed, shop::busy_days, store::Home};

async fn folded(log: Arc<dyn Log>, home: &Home, name: &str) -> Vec<TableDigest> {
    let views = home.views(name);
    rebuild(log, &views, ALL, |_| ()).await.unwrap();
    digests(&views, ALL).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_rows_have_the_same_digest_in_every_store_and_however_they_came_there() {
    let (log, sqlite) = (busy_days(15).log().await, Home::sqlite());
    let rebuilt = folded(log.clone(), &sqlite, "rebuilt.db").await;
    let tables: usize = ALL.iter().map(|projection| projection.tables.len()).sum();
    assert!(rebuilt.len() == tables && rebuilt.iter().map(|table| table.rows).sum::<u64>() > 500);
    let live = sqlite.views("live.db");
    followed(&log, &live, 3).await;
    assert_eq!(digests(&live, ALL).unwrap(), rebuilt);
    let Some(postgres) = Home::postgres() else { return };
    assert_eq!(folded(log, &postgres, "rebuilt").await, rebuilt);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_changed_changes_the_digest_of_its_table_and_of_no_other() {
    let (log, home) = (busy_days(3).log().await, Home::sqlite());
    followed(&log, &home.views("views.db"), 100).await;
    let whole = digests(&home.views("views.db"), ALL).unwrap();
    let orders = home.table("orders", "orders");
    home.tamper("views.db", &format!("UPDATE {orders} SET note = '' WHERE number = 'D-1'"));
    let changed = digests(&home.views("views.db"), ALL).unwrap();
    let differing: Vec<_> = whole.iter().zip(&changed).filter(|(one, other)| one != other).map(|(one, _)| one.table).collect();
    assert_eq!(differing, ["orders"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_views_of_a_past_log_are_those_of_the_log_when_it_ended_there() {
    let home = Home::sqlite();
    let history = busy_days(6);
    let (whole, early) = (history.log().await, busy_days(3));
    let then = early.events.len() as u64;
    let past = PastLog::at(whole.clone(), Moment::Position(then)).await.unwrap();
    let as_of = folded(Arc::new(past), &home, "as-of.db").await;
    assert_eq!(as_of, folded(early.log().await, &home, "early.db").await);
    let (orders, stock) = (ORDERS.tables[0].name, STOCK.tables[0].name);
    let now = folded(whole, &home, "now.db").await;
    let of = |digests: &[TableDigest], name| digests.iter().find(|digest| digest.table == name).unwrap().clone();
    assert!(of(&as_of, orders) != of(&now, orders) && of(&as_of, stock) != of(&now, stock));
}
