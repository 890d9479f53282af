//! Named facts: events as a shop would propose them.

use event_schemas::{Position, Proposed, Sequence, StreamId, Timestamp};
use event_store::Log;
use uuid::Uuid;

/// A moment so many seconds after the shop opened.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_700_000_000 + seconds, 123_456_000).unwrap()
}

/// An event of an order, the `sequence`-th that happens to it.
pub fn event(order: &str, sequence: Sequence) -> Proposed {
    Proposed {
        event_id: Uuid::now_v7(),
        stream: StreamId::new("order", order),
        sequence,
        event_type: "OrderExpired".into(),
        event_version: 1,
        payload: format!(r#"{{"order":"{order}","note":"£, 茶 and \u0000"}}"#),
        metadata: r#"{"actor":"shopper"}"#.to_owned(),
        recorded_at: at(0),
        occurred_at: at(-60),
        idempotency_scope: None,
    }
}

/// The same event, on behalf of a request with an idempotency key.
pub fn keyed(event: Proposed, scope: &str) -> Proposed {
    Proposed { idempotency_scope: Some(scope.to_owned()), ..event }
}

/// The first events of `count` new orders, named after `prefix`.
pub fn orders(prefix: &str, count: usize) -> Vec<Proposed> {
    (0..count).map(|n| event(&format!("{prefix}-{n}"), 1)).collect()
}

/// The whole log, as proposed, after checking that its positions are 1, 2, 3, … and its digests hold.
pub async fn whole(log: &dyn Log) -> Vec<Proposed> {
    let events = log.read(0, usize::MAX).await.unwrap();
    let positions: Vec<Position> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=events.len() as Position).collect::<Vec<_>>());
    assert!(events.iter().all(|event| event.is_intact()));
    events.into_iter().map(|event| event.event).collect()
}
