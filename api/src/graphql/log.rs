//! The log itself, for auditors, and how far everything that follows it has come.

use std::{sync::Arc, time::Duration};

use async_graphql::{ComplexObject, Context, Enum, Error, Object, SimpleObject};
use event_schemas::{StreamId, Timestamp};
use notary::hex;

use crate::{
    access::{Permission, sees},
    graphql::{
        audit_query::shown,
        history::{self, HistoryEntry},
        page::{self, List, Paging},
        problem,
        scalar::Long,
    },
    shop::Shop,
};

/// How long an answer waits for the notary.
const NOTARY_PATIENCE: Duration = Duration::from_secs(1);

/// Where the log ends.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Log {
    /// The last position; 0 when nothing has happened yet.
    head: Long,
    /// When that event was recorded.
    recorded_at: Option<Timestamp>,
    /// The log's identity, made when the log was made. A secret of the shop: ids of imported orders follow from it.
    #[graphql(guard = "Permission::ViewEvents", visible = "sees::events")]
    id: String,
    /// Whether this is the shop as it was (or as it is, to be read only): the log ends here for good, and every mutation is
    /// refused as `READ_ONLY`.
    read_only: bool,
}

#[ComplexObject]
impl Log {
    /// The root of the Merkle tree over the digests of all events up to `head` (RFC 6962), in hexadecimal: what
    /// `daybook-replay verify` says of the same events. Null if the notary has not come so far, or another process keeps its tree.
    async fn root(&self, ctx: &Context<'_>) -> Result<Option<String>, Error> {
        let (Some(notary), Some(head)) = (&ctx.data::<Arc<Shop>>()?.notary, self.head.position()) else { return Ok(None) };
        notary.notary.wait_for(head, NOTARY_PATIENCE).await;
        Ok(notary.notary.root(head).await.map(|root| hex(&root)))
    }
}

/// What a projection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projections::ProjectionState")]
pub(crate) enum ProjectionState {
    /// It has seen all that the log holds.
    Live,
    /// It is reading what it has not seen yet.
    CatchingUp,
    /// A new generation is being built; the old one serves until then.
    Rebuilding,
    /// An event stopped it; its last good state is served.
    Halted,
}

/// How one projection stands.
#[derive(SimpleObject)]
pub(crate) struct Projection {
    /// Its name, such as `orders`.
    name: String,
    /// The version of the fold that made what is served.
    version: u32,
    /// The last event in what is served.
    position: Long,
    /// How many events what is served is behind the log.
    lag: Long,
    /// What it is doing.
    state: ProjectionState,
    /// While it is rebuilt: the last event in the new generation.
    rebuilt_to: Option<Long>,
    /// Why it halted.
    reason: Option<String>,
    /// Unless it is live: since when what it serves is stale.
    stale_since: Option<Timestamp>,
}

impl From<projections::ProjectionStatus> for Projection {
    fn from(status: projections::ProjectionStatus) -> Self {
        Self {
            name: status.name.to_owned(),
            version: status.version,
            position: Long::of(status.position),
            lag: Long::of(status.lag),
            state: status.state.into(),
            rebuilt_to: status.rebuilt_to.map(Long::of),
            reason: status.reason,
            stale_since: status.stale_since,
        }
    }
}

#[derive(Default)]
pub(crate) struct LogQuery;

#[Object]
impl LogQuery {
    /// Where the log ends.
    async fn log(&self, ctx: &Context<'_>) -> Result<Log, Error> {
        let shop = ctx.data::<Arc<Shop>>()?;
        let (id, read_only) = (shop.log.id().to_string(), shop.as_of.is_some());
        let head = shop.log.head().await.map_err(|error| problem::fault(&error))?;
        Ok(Log { head: Long::of(head.position), recorded_at: head.recorded_at, id, read_only })
    }

    /// How each projection stands.
    #[graphql(guard = "Permission::ViewOperations", visible = "sees::operations")]
    async fn projections(&self, ctx: &Context<'_>) -> Result<Vec<Projection>, Error> {
        Ok(ctx.data::<Arc<Shop>>()?.views.status().into_iter().map(Projection::from).collect())
    }

    /// The events of the whole log, in order.
    #[graphql(guard = "Permission::ViewEvents", visible = "sees::events")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only events after this position.")] after_position: Option<Long>,
        #[graphql(desc = "Only events of these types, such as `OrderPlaced`.")] types: Option<Vec<String>>,
        #[graphql(desc = "At most so many; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<List<HistoryEntry>, Error> {
        shown(ctx, &"log")?;
        let (limit, _) = Paging { first, ..Paging::default() }.limit()?;
        let limit = limit as usize;
        let from = after_position.and_then(Long::position).unwrap_or(0);
        let mut at = history::sequence(after)?.unwrap_or(from).max(from);
        let started = at;
        let log = &ctx.data::<Arc<Shop>>()?.log;
        let mut found = Vec::new();
        // Types are picked out here; the log has no index of them, so a page of rare ones reads on until it is full.
        while found.len() <= limit {
            let chunk = log.read(at, CHUNK).await.map_err(|error| problem::fault(&error))?;
            let is_last = chunk.len() < CHUNK;
            at = chunk.last().map_or(at, |recorded| recorded.position);
            let wanted = |name: &str| types.as_ref().is_none_or(|types| types.iter().any(|wanted| wanted == name));
            found.extend(chunk.into_iter().filter(|recorded| wanted(&recorded.event.event_type)));
            if is_last {
                break;
            }
        }
        let has_next = found.len() > limit;
        found.truncate(limit);
        let items = found.into_iter().map(|event| (event.position.to_string(), HistoryEntry::from(event)));
        let total = if page::wants_total(ctx) && types.is_none() {
            Some(log.head().await.map_err(|error| problem::fault(&error))?.position)
        } else {
            None
        };
        Ok(page::connection(items, started > 0, has_next, total))
    }

    /// The events of one stream, such as `order/0197…`, in order.
    #[graphql(guard = "Permission::ViewEvents", visible = "sees::events")]
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the GraphQL field")]
    async fn stream(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The stream: `TYPE/ID`.")] id: String,
        #[graphql(desc = "At most so many, from the start.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<HistoryEntry>, Error> {
        let stream: StreamId = id.parse().map_err(|error: event_schemas::InvalidId| problem::bad_input(error.to_string()))?;
        shown(ctx, &stream)?;
        history::of(ctx, stream, Paging { first, after, last, before }).await
    }
}

/// Events read at once.
const CHUNK: usize = 500;
