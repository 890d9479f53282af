//! The log as an event store of the `cqrs-es` framework, so that `CqrsFramework` can drive any aggregate of the shop in
//! tests and in other people's code. The shop itself uses the decider: a framework command sees one aggregate only.

use std::{collections::HashMap, marker::PhantomData, sync::Arc};

use cqrs_es::{Aggregate, AggregateContext, AggregateError, EventEnvelope, EventStore};
use event_schemas::{CommerceEvent, Metadata, Position, Proposed, Recorded, Sequence, StreamId, to_micros};
use event_store::{AppendError, Log};
use uuid::Uuid;

use crate::{
    Clock, Fault, Ids,
    landing::{End, NotLanded},
};

/// How often a commit tries again when other writers move the head; the aggregate itself is guarded by its sequence.
const HEAD_RETRIES: usize = 100;
/// Events read at once.
const PAGE: usize = 1000;

/// The log, seen as the store of one aggregate type.
pub struct LogEventStore<A> {
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    aggregate: PhantomData<fn() -> A>,
}

/// An aggregate with its place in its stream.
pub struct LoadedAggregate<A> {
    id: String,
    aggregate: A,
    sequence: Sequence,
}

impl<A: Aggregate> AggregateContext<A> for LoadedAggregate<A> {
    fn aggregate(&mut self) -> &mut A {
        &mut self.aggregate
    }
}

impl<A> LogEventStore<A>
where
    A: Aggregate,
    A::Event: TryFrom<CommerceEvent>,
    CommerceEvent: From<A::Event>,
{
    /// The streams of one aggregate type in a log.
    pub fn new(log: Arc<dyn Log>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self { log, clock, ids, aggregate: PhantomData }
    }

    async fn stream(&self, id: &str) -> Result<Vec<Recorded>, AggregateError<A::Error>> {
        let stream = StreamId::new(A::TYPE, id);
        let mut events: Vec<Recorded> = Vec::new();
        loop {
            let after = events.last().map_or(0, |last| last.event.sequence);
            let page = self.log.read_stream(&stream, after, PAGE).await.map_err(connection)?;
            let complete = page.len() < PAGE;
            events.extend(page);
            if complete {
                return Ok(events);
            }
        }
    }

    fn propose(
        &self,
        context: &LoadedAggregate<A>,
        events: &[A::Event],
        metadata: &Metadata,
    ) -> Result<Vec<Proposed>, serde_json::Error> {
        let stream = StreamId::new(A::TYPE, &context.id);
        let metadata = serde_json::to_string(metadata)?;
        let now = to_micros(self.clock.now());
        let propose = |(sequence, event): (Sequence, &A::Event)| {
            let event = CommerceEvent::from(event.clone());
            Ok(Proposed {
                event_id: self.ids.next(),
                stream: stream.clone(),
                sequence,
                event_type: event.event_type().into(),
                event_version: event.version(),
                payload: event.payload()?,
                metadata: metadata.clone(),
                recorded_at: now,
                occurred_at: now,
                idempotency_scope: None,
            })
        };
        (context.sequence + 1..).zip(events).map(propose).collect()
    }

    async fn append(&self, mut batch: Vec<Proposed>) -> Result<Position, NotLanded> {
        for _ in 0..HEAD_RETRIES {
            let head = self.log.head().await.map_err(NotLanded::Read)?;
            let end = End::of(&*self.log, head.position).await.map_err(NotLanded::Read)?;
            let recorded_at = head.recorded_at.unwrap_or_default().max(to_micros(self.clock.now()));
            batch.iter_mut().for_each(|event| (event.recorded_at, event.occurred_at) = (recorded_at, recorded_at));
            match end.append(&*self.log, batch, true).await {
                Err(NotLanded::Moved { events, .. }) => batch = events,
                outcome => return outcome,
            }
        }
        Err(NotLanded::Append(AppendError::Unavailable("other writers were faster each time".to_owned())))
    }

    /// What it means for the framework that events were not written: a conflict, upon which it may load and decide again, only if
    /// the stream has gone on.
    async fn not_written(&self, error: NotLanded, context: &LoadedAggregate<A>) -> AggregateError<A::Error> {
        if let NotLanded::Append(AppendError::Invalid(_)) = &error {
            let stream = StreamId::new(A::TYPE, &context.id);
            return match self.log.read_stream(&stream, context.sequence, 1).await {
                Ok(after) if after.is_empty() => AggregateError::UnexpectedError(Fault::from(error).into()),
                Ok(_) => AggregateError::AggregateConflict,
                Err(error) => connection(error),
            };
        }
        AggregateError::DatabaseConnectionError(Fault::from(error).into())
    }
}

impl<A> EventStore<A> for LogEventStore<A>
where
    A: Aggregate,
    A::Event: TryFrom<CommerceEvent>,
    CommerceEvent: From<A::Event>,
{
    type AC = LoadedAggregate<A>;

    async fn load_events(&self, id: &str) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let mut envelopes = Vec::new();
        for recorded in self.stream(id).await? {
            let metadata: HashMap<String, serde_json::Value> = serde_json::from_str(&recorded.event.metadata)
                .map_err(|error| AggregateError::DeserializationError(error.into()))?;
            let metadata: HashMap<String, String> = metadata.into_iter().map(|(name, value)| (name, text(&value))).collect();
            for payload in decoded::<A>(&recorded)? {
                let sequence = usize::try_from(recorded.event.sequence).unwrap_or(usize::MAX);
                envelopes.push(EventEnvelope { aggregate_id: id.to_owned(), sequence, payload, metadata: metadata.clone() });
            }
        }
        Ok(envelopes)
    }

    async fn load_aggregate(&self, id: &str) -> Result<Self::AC, AggregateError<A::Error>> {
        let mut loaded = LoadedAggregate { id: id.to_owned(), aggregate: A::default(), sequence: 0 };
        for recorded in self.stream(id).await? {
            decoded::<A>(&recorded)?.into_iter().for_each(|event| loaded.aggregate.apply(event));
            // Also when the event means nothing any more: the stream has gone on.
            loaded.sequence = recorded.event.sequence;
        }
        Ok(loaded)
    }

    async fn commit(
        &self,
        events: Vec<A::Event>,
        context: Self::AC,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let recorded = Metadata {
            actor: metadata.get("actor").cloned().unwrap_or_else(|| "cqrs-es".to_owned()),
            command_id: self.ids.next(),
            correlation_id: metadata.get("correlation_id").and_then(|id| Uuid::try_parse(id).ok()),
            causation_id: metadata.get("causation_id").and_then(|id| Uuid::try_parse(id).ok()),
            trace_id: metadata.get("trace_id").cloned(),
            idempotency: None,
        };
        let batch = self.propose(&context, &events, &recorded).map_err(|error| AggregateError::UnexpectedError(error.into()))?;
        if let Err(error) = self.append(batch).await {
            return Err(self.not_written(error, &context).await);
        }
        let envelope = |(sequence, payload)| EventEnvelope {
            aggregate_id: context.id.clone(),
            sequence: usize::try_from(sequence).unwrap_or(usize::MAX),
            payload,
            metadata: metadata.clone(),
        };
        Ok((context.sequence + 1..).zip(events).map(envelope).collect())
    }
}

/// What a record reads as today: one event, or several or none.
fn decoded<A>(recorded: &Recorded) -> Result<Vec<A::Event>, AggregateError<A::Error>>
where
    A: Aggregate,
    A::Event: TryFrom<CommerceEvent>,
{
    let events = recorded.decode().map_err(|error| AggregateError::DeserializationError(error.into()))?;
    events.into_iter().map(|event| A::Event::try_from(event).map_err(|_| foreign(recorded))).collect()
}

fn connection<E: std::error::Error>(error: event_store::ReadError) -> AggregateError<E> {
    AggregateError::DatabaseConnectionError(error.into())
}

fn foreign<E: std::error::Error>(recorded: &Recorded) -> AggregateError<E> {
    let reason = format!("position {}: `{}` is not an event of this aggregate", recorded.position, recorded.event.event_type);
    AggregateError::DeserializationError(reason.into())
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
