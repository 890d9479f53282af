//! Whether the views say what the log says: folded in memory and compared with the model, and now and then by the real runner
//! into SQLite and compared with a rebuild, row by row.

use std::sync::Arc;

use event_schemas::{Position, Recorded};
use event_store::{Log, MemoryLog};
use projections::{
    ALL, JOURNAL, JournalLine, ORDERS, Order, PAYMENTS, Payment, Projection, RowCache, Runner, STOCK, StockLevel, Views, diff,
    fold_in_memory, rebuild,
};

use super::{bugs::Bug, world::World};

/// Compares the views that follow from the log with what the model knows.
pub fn compare(world: &World) {
    let mut findings = Vec::new();
    {
        let contents = world.contents();
        let (events, model) = (&contents.truth.events, &contents.auditor.model);
        let mut fold = |projection: &Projection, events: Vec<Recorded>| match fold_in_memory(projection, events) {
            Ok(rows) => rows,
            Err(error) => {
                findings.push(format!("the view {} halts: {error}", projection.name));
                RowCache::over_empty_tables()
            }
        };
        let mut seen = events.clone();
        if world.bug == Some(Bug::ViewSkips) {
            let skipped = seen.iter().rposition(|event| event.event.event_type == "StockReceived");
            skipped.map(|index| seen.remove(index));
        }
        let (stock, orders) = (fold(&STOCK, seen), fold(&ORDERS, events.clone()));
        let (payments, journal) = (fold(&PAYMENTS, events.clone()), fold(&JOURNAL, events.clone()));
        for row in stock.held::<StockLevel>() {
            let known = model.shelf(&(row.sku.to_string(), row.location.to_string()));
            if (row.on_hand, row.reserved + row.committed) != (known.on_hand, known.set_aside()) {
                findings.push(format!("the view of stock says {row:?}, the model {known:?}"));
            }
        }
        for row in orders.held::<Order>() {
            let known = &model.orders[&row.order_id.0];
            let same = (row.received_minor, row.refunded_minor, row.gross_minor) == (known.received, known.refunded, known.due);
            if format!("{:?}", row.status) != known.status() || !same {
                findings.push(format!("the view of orders says {row:?}, the model {known:?}"));
            }
        }
        for row in payments.held::<Payment>() {
            let known = &model.payments[&row.payment_id.0];
            // The view counts what a bank took back for good as refunded.
            if (row.captured_minor, row.refunded_minor) != (known.captured, known.refunded + known.charged_back) {
                findings.push(format!("the view of payments says {row:?}, the model {known:?}"));
            }
        }
        findings.extend(unbalanced(&journal.held::<JournalLine>()));
        let counts = (orders.held::<Order>().len(), payments.held::<Payment>().len());
        if counts != (model.orders.len(), model.payments.len()) {
            findings.push(format!("the views have {counts:?} orders and payments"));
        }
    }
    findings.into_iter().for_each(|finding| world.find(finding));
}

/// Entries of the journal whose debits are not their credits.
fn unbalanced(lines: &[JournalLine]) -> Vec<String> {
    let mut sums = std::collections::BTreeMap::<Position, i128>::new();
    for line in lines {
        *sums.entry(line.entry).or_default() += i128::from(line.debit_minor) - i128::from(line.credit_minor);
    }
    sums.into_iter().filter(|(_, sum)| *sum != 0).map(|(entry, sum)| format!("entry {entry} is off by {sum}")).collect()
}

/// Follows a log with the real runner, rebuilds from it, and compares every row of every view.
pub fn follow_and_rebuild(events: Vec<Recorded>) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let views = |name: &str| Views::open(&format!("sqlite:{}", folder.path().join(name).display())).unwrap();
        let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
        let head = events.len() as Position;
        if let Err(error) = log.append(0, events.into_iter().map(|recorded| recorded.event).collect()).await {
            return Some(format!("a log that keeps the rules does not take what was written: {error}"));
        }
        let (followed, rebuilt) = (views("followed.db"), views("rebuilt.db"));
        let runner = Runner::start_with(log.clone(), followed.clone(), ALL, 7).await.unwrap();
        let caught_up = followed.wait_for(head, std::time::Duration::from_secs(60)).await;
        runner.stop().await;
        rebuild(log, &rebuilt, ALL, |_| ()).await.unwrap();
        let difference = diff(&followed, &rebuilt, ALL).unwrap();
        let equal = caught_up.is_ok() && difference.is_equal();
        (!equal).then(|| format!("followed views are not rebuilt ones: {caught_up:?} {difference:?}"))
    })
}
