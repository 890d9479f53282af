//! Views as their rows, to be compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use event_store::Log;
use projections::{ALL, Runner, Views};

/// Rows as text, by table.
pub type Tables = BTreeMap<&'static str, BTreeSet<String>>;

/// Waits until the views at an address are at the head of a log, brought there by this process or by another that keeps
/// them, and reads all their rows.
pub async fn caught_up(log: &Arc<dyn Log>, url: &str) -> Tables {
    let views = Views::open(url).unwrap();
    let runner = Runner::start(log.clone(), views.clone(), ALL).await.unwrap();
    views.wait_for(log.head().await.unwrap().position, Duration::from_secs(60)).await.unwrap();
    runner.stop().await;
    let read =
        move || ALL.iter().flat_map(|projection| projection.tables).map(|table| (table.name, rows(&views, table))).collect();
    tokio::task::spawn_blocking(read).await.unwrap()
}

fn rows(views: &Views, table: &projections::Table) -> BTreeSet<String> {
    let mut rows = BTreeSet::new();
    let read = views.read_blocking(|reader| {
        reader.each(&format!("SELECT * FROM {}", table.name), &[], |value| {
            rows.insert(format!("{:?}", (0..table.columns.len()).map(value).collect::<Vec<_>>()));
            Ok(())
        })
    });
    read.unwrap();
    rows
}

/// Fails with the first differing row of each table.
pub fn assert_same(left: &Tables, right: &Tables) {
    for (table, rows) in left {
        let (lacks, has) = (right[table].difference(rows).next(), rows.difference(&right[table]).next());
        assert!(lacks.is_none() && has.is_none(), "{table}: left lacks {lacks:?} and has {has:?}");
    }
}
