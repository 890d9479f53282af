//! What happened to one thing: the events of its stream, as the log holds them.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Error, Json, SimpleObject};
use event_schemas::{AccountId, Position, Recorded, Sequence, StreamId, Timestamp, words};
use event_store::ReadError;

use crate::{
    graphql::{
        page::{self, List, Paging, Place},
        personal::opened_event,
        problem,
        scalar::Long,
    },
    shop::Shop,
};

/// Events read at once while a whole stream is read.
const CHUNK: usize = 1_000;

/// Something that happened, as the log holds it.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct HistoryEntry {
    /// Its place in the log.
    pub(crate) position: Long,
    /// The stream that it belongs to, such as `order/0197…`.
    pub(crate) stream: String,
    /// Its place in the stream, from 1.
    sequence: Long,
    /// What happened, such as `OrderPlaced`.
    #[graphql(name = "type")]
    event_type: String,
    /// The version of the shape of `change`.
    version: u32,
    /// Who did it: `customer` (in older logs `shopper`), `support:0197…`, `merchant:ana`, `process:orders`.
    actor: Option<String>,
    /// The request that it goes back to.
    correlation_id: Option<String>,
    /// The event that caused it, when a process answered one.
    causation_id: Option<String>,
    /// When the log wrote it.
    recorded_at: Timestamp,
    /// When it happened in the world.
    occurred_at: Timestamp,
    #[graphql(skip)]
    recorded: Arc<Recorded>,
}

#[ComplexObject]
impl HistoryEntry {
    /// What changed, in the shape that the event's JSON Schema describes, but that what is about a person is opened: null when
    /// they were erased.
    async fn change(&self, ctx: &Context<'_>) -> Result<Json<serde_json::Value>, Error> {
        opened_event(ctx, &self.recorded).await.map(Json)
    }

    /// The same in words: who did what to what, and why, such as “Ana (support) refunded 12.00 EUR of payment 0197…, because
    /// ‘damaged’”. What is personal stays out, but for the names of staff.
    async fn sentence(&self, ctx: &Context<'_>) -> Result<String, Error> {
        let actor = self.actor.as_deref().unwrap_or_default();
        let name = staff_name(ctx.data::<Arc<Shop>>()?, actor).await;
        Ok(words::sentence_by(&words::doer(actor, name.as_deref()), &self.recorded))
    }
}

/// What staff call themselves, by the actor of an event, such as `support:0197…`. An account that is gone has no name any more.
async fn staff_name(shop: &Shop, actor: &str) -> Option<String> {
    let (role, subject) = actor.split_once(':')?;
    let account: AccountId = subject.parse().ok().filter(|_| role != "customer")?;
    match shop.accounts.profile(account).await {
        Ok(profile) => profile?.display_name,
        Err(error) => {
            tracing::debug!(?error, "the name of an account could not be read");
            None
        }
    }
}

impl From<Recorded> for HistoryEntry {
    fn from(recorded: Recorded) -> Self {
        let metadata = recorded.metadata().ok();
        let metadata = metadata.as_ref();
        Self {
            position: Long::of(recorded.position),
            stream: recorded.event.stream.to_string(),
            sequence: Long::of(recorded.event.sequence),
            actor: metadata.map(|metadata| metadata.actor.clone()),
            correlation_id: metadata.and_then(|metadata| metadata.correlation_id).map(|id| id.to_string()),
            causation_id: metadata.and_then(|metadata| metadata.causation_id).map(|id| id.to_string()),
            version: recorded.event.event_version,
            recorded_at: recorded.event.recorded_at,
            occurred_at: recorded.event.occurred_at,
            event_type: recorded.event.event_type.to_string(),
            recorded: Arc::new(recorded),
        }
    }
}

/// A page of a stream.
///
/// # Errors
/// For a page that is not possible, and when the log cannot be read.
pub(crate) async fn of(ctx: &Context<'_>, stream: StreamId, paging: Paging) -> Result<List<HistoryEntry>, Error> {
    let (limit, from_end) = paging.limit()?;
    let limit = limit as usize;
    let (after, before) = (sequence(paging.after)?, sequence(paging.before)?);
    let log = &ctx.data::<Arc<Shop>>()?.log;
    let fault = |error: ReadError| problem::fault(&error);
    let start = after.unwrap_or(0);
    let (mut events, total) = if from_end || before.is_some() || page::wants_total(ctx) {
        let whole = whole(log.as_ref(), &stream).await.map_err(fault)?;
        let total = whole.len() as u64;
        let within = |event: &Recorded| event.event.sequence > start && before.is_none_or(|before| event.event.sequence < before);
        (whole.into_iter().filter(within).collect(), Some(total))
    } else {
        (log.read_stream(&stream, start, limit + 1).await.map_err(fault)?, None)
    };
    let more = events.len() > limit;
    if from_end {
        events.drain(..events.len().saturating_sub(limit));
    } else {
        events.truncate(limit);
    }
    let (has_previous, has_next) = if from_end { (more, before.is_some()) } else { (start > 0, more) };
    let items = events.into_iter().map(|event| (event.event.sequence.to_string(), HistoryEntry::from(event)));
    Ok(page::connection(items, has_previous, has_next, total))
}

/// All events of a stream.
///
/// # Errors
/// When the log cannot be read.
pub(crate) async fn whole(log: &dyn event_store::Log, stream: &StreamId) -> Result<Vec<Recorded>, ReadError> {
    after(log, stream, 0).await
}

/// All events of a stream after a sequence.
///
/// # Errors
/// When the log cannot be read.
pub(crate) async fn after(log: &dyn event_store::Log, stream: &StreamId, known: Sequence) -> Result<Vec<Recorded>, ReadError> {
    let mut events: Vec<Recorded> = Vec::new();
    loop {
        let after = events.last().map_or(known, |event| event.event.sequence);
        let chunk = log.read_stream(stream, after, CHUNK).await?;
        let is_last = chunk.len() < CHUNK;
        events.extend(chunk);
        if is_last {
            return Ok(events);
        }
    }
}

/// The number in a cursor of a list that is in the log's own order.
pub(crate) fn sequence(cursor: Option<String>) -> Result<Option<Position>, Error> {
    let Some(cursor) = cursor else { return Ok(None) };
    Place::read(&cursor)?.0.parse().map(Some).map_err(|_| page::bad_cursor())
}
