//! The cqrs-es framework over the log.

use std::sync::Arc;

use cqrs_es::{AggregateError, CqrsFramework};
use domain::{Stock, StockCommand, stream_of};
use engine::{LogEventStore, SystemClock, SystemIds};
use event_store::{Log, MemoryLog};

use crate::shop::tea;

#[tokio::test]
async fn the_framework_decides_upon_the_log_and_writes_to_it() {
    let log = Arc::new(MemoryLog::new());
    let store = LogEventStore::<Stock>::new(log.clone(), Arc::new(SystemClock), Arc::new(SystemIds));
    let framework = CqrsFramework::new(store, vec![], ());
    let id = tea().to_string();
    for _ in 0..3 {
        framework.execute(&id, StockCommand::Receive { stock: tea(), quantity: 1, reference: None }).await.unwrap();
    }
    let refused = framework.execute(&id, StockCommand::Receive { stock: tea(), quantity: 0, reference: None }).await;
    assert!(matches!(refused, Err(AggregateError::UserError(_))), "{refused:?}");
    let events = log.read_stream(&stream_of::<Stock>(tea()), 0, 10).await.unwrap();
    assert_eq!(events.iter().map(|recorded| recorded.event.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(events.iter().all(event_schemas::Recorded::is_intact));
}
