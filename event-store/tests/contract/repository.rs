//! `postgres-es` reads the same streams and snapshots out of the same tables.

use cqrs_es::{
    Aggregate, DomainEvent,
    event_sink::EventSink,
    persist::{PersistedEventRepository as _, SerializedEvent},
};
use event_schemas::StreamId;
use event_store::{Bookkeeping as _, Log as _, PostgresLog, Snapshot};
use postgres_es::PostgresEventRepository;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use test_postgres::Postgres;

use crate::facts::{event, keyed};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Happened;

impl DomainEvent for Happened {
    fn event_type(&self) -> String {
        "Happened".to_owned()
    }
    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

/// All that the repository asks of an aggregate is its type.
#[derive(Default, Serialize, Deserialize)]
struct Order;

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = ();
    type Event = Happened;
    type Error = std::fmt::Error;
    type Services = ();
    async fn handle(&mut self, (): (), (): &(), _: &EventSink<Self>) -> Result<(), Self::Error> {
        Ok(())
    }
    fn apply(&mut self, _: Happened) {}
}

async fn streams() -> Option<(Postgres, PostgresLog, PostgresEventRepository)> {
    let server = Postgres::start()?;
    let log = PostgresLog::open(&server.database("shop"), Default::default()).await.unwrap();
    let batch = vec![keyed(event("a", 1), "k"), event("b", 1), event("a", 2), event("a", 3)];
    log.append(0, batch).await.unwrap();
    let repository = log.repository();
    Some((server, log, repository))
}

/// What the log says of order `a` after a sequence, in the terms of `postgres-es`.
async fn ours(log: &PostgresLog, after: u64) -> Vec<SerializedEvent> {
    let read = log.read_stream(&StreamId::new("order", "a"), after, 100).await.unwrap();
    let translated = read.into_iter().map(|recorded| {
        let event = recorded.event;
        let json = |text: &str| serde_json::from_str(text).unwrap();
        SerializedEvent {
            aggregate_id: event.stream.aggregate_id,
            sequence: usize::try_from(event.sequence).unwrap(),
            aggregate_type: event.stream.aggregate_type.into_owned(),
            event_type: event.event_type.into_owned(),
            event_version: event.event_version.to_string(),
            payload: json(&event.payload),
            metadata: json(&event.metadata),
        }
    });
    translated.collect()
}

#[tokio::test]
async fn postgres_es_reads_the_same_streams() {
    let Some((_server, log, repository)) = streams().await else { return };
    let all = repository.get_events::<Order>("a").await.unwrap();
    assert_eq!((all.len(), &all), (3, &ours(&log, 0).await));
    let last = repository.get_last_events::<Order>("a", 2).await.unwrap();
    assert_eq!((last.len(), &last), (1, &ours(&log, 2).await));
    assert_eq!(repository.get_events::<Order>("nobody's").await.unwrap(), []);
}

#[tokio::test]
async fn postgres_es_reads_the_same_snapshots() {
    let Some((_server, log, repository)) = streams().await else { return };
    assert!(repository.get_snapshot::<Order>("a").await.unwrap().is_none());
    let stream = StreamId::new("order", "a");
    for (sequence, state) in [(2, r#"{"lines": 2}"#), (3, r#"{"lines": 3}"#)] {
        let snapshot = Snapshot { stream: stream.clone(), sequence, state_version: 1, state: state.to_owned() };
        log.save_snapshots(vec![snapshot]).await.unwrap();
    }
    let found = repository.get_snapshot::<Order>("a").await.unwrap().unwrap();
    assert_eq!((found.current_sequence, found.current_snapshot), (3, 2));
    assert_eq!(found.aggregate, serde_json::from_str::<Value>(r#"{"lines": 3}"#).unwrap());
}

#[tokio::test]
async fn postgres_es_cannot_write_past_the_sequencer() {
    let Some((_server, log, repository)) = streams().await else { return };
    let next = SerializedEvent { sequence: 4, ..ours(&log, 2).await.remove(0) };
    assert!(repository.persist::<Order>(&[next], None).await.is_err());
    assert_eq!(log.head().await.unwrap().position, 4);
}
