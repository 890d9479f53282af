//! The cqrs-es framework over the log.

use std::sync::Arc;

use cqrs_es::{AggregateError, CqrsFramework};
use domain::{Account, AccountCommand, ChangeAccount, RegisterAccount, Stock, StockCommand, stream_of};
use engine::{Limits, LogEventStore, SystemClock, SystemIds};
use event_schemas::{AccountId, Proposed, RoleName};
use event_store::{Log, MemoryLog};
use uuid::Uuid;

use crate::shop::{by, engine, tea};

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

/// Puts an event at the end of an account's stream that was declared once and means nothing any more.
async fn lock(log: &MemoryLog, account_id: AccountId) {
    let stream = stream_of::<Account>(account_id);
    let events = log.read_stream(&stream, 0, 10).await.unwrap();
    let last = events.last().unwrap();
    let locked = Proposed {
        event_id: Uuid::now_v7(),
        sequence: last.event.sequence + 1,
        event_type: "AccountLocked".into(),
        event_version: 1,
        payload: r#"{"until":"2026-11-21T10:15:00Z"}"#.to_owned(),
        ..last.event.clone()
    };
    log.append(log.head().await.unwrap().position, vec![locked]).await.unwrap();
}

async fn sequences(log: &MemoryLog, account_id: AccountId) -> Vec<(u64, String)> {
    let events = log.read_stream(&stream_of::<Account>(account_id), 0, 10).await.unwrap();
    events.into_iter().map(|recorded| (recorded.event.sequence, recorded.event.event_type.into_owned())).collect()
}

#[tokio::test]
async fn a_stream_that_ends_with_an_event_that_means_nothing_any_more_goes_on_behind_it() {
    let (log, account_id) = (Arc::new(MemoryLog::new()), AccountId(Uuid::from_u128(7)));
    let first = engine(log.clone(), Limits::default()).await;
    first.submit(RegisterAccount { account_id }, by("ana")).await.unwrap();
    first.drain().await;
    lock(&log, account_id).await;
    // The engine loads the stream, the framework after it.
    let second = engine(log.clone(), Limits::default()).await;
    second.submit(ChangeAccount { account_id, command: AccountCommand::Verify }, by("ana")).await.unwrap();
    // It is written by another node while the account is at hand.
    lock(&log, account_id).await;
    let role = RoleName::new("support").unwrap();
    second
        .submit(ChangeAccount { account_id, command: AccountCommand::GrantRole { role: role.clone() } }, by("ana"))
        .await
        .unwrap();
    second.drain().await;
    lock(&log, account_id).await;
    let store = LogEventStore::<Account>::new(log.clone(), Arc::new(SystemClock), Arc::new(SystemIds));
    let framework = CqrsFramework::new(store, vec![], ());
    framework.execute(&account_id.to_string(), AccountCommand::RevokeRole { role }).await.unwrap();
    let expected = [
        "AccountRegistered",
        "AccountRoleGranted",
        "AccountLocked",
        "AccountVerified",
        "AccountLocked",
        "AccountRoleGranted",
        "AccountLocked",
        "AccountRoleRevoked",
    ];
    let expected: Vec<_> = (1..).zip(expected.map(str::to_owned)).collect();
    assert_eq!(sequences(&log, account_id).await, expected);
}
