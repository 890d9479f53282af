//! Webhooks, as staff see them: where events are sent to, how that goes, and what could not be delivered.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, Error, ID, Object, SimpleObject};
use event_schemas::{Timestamp, WebhookId};

use crate::{
    access::{Permission, sees},
    graphql::{
        global_id::{self, Kind},
        page::{self, List, Paging},
        problem,
        scalar::Long,
    },
    shop::Shop,
};

/// Why a webhook is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "event_schemas::WebhookPauseReason")]
pub(crate) enum WebhookPauseReason {
    /// Staff wanted it.
    Staff,
    /// Its receiver failed for five days, or answered 410 (gone).
    Failing,
}

/// A URL that is told of events. Its secret is shown once, when it is made.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Webhook {
    /// Its id.
    pub(crate) id: ID,
    /// Where events are sent to.
    url: String,
    /// The types of events that are sent, such as `order.placed`; all of them if empty.
    types: Vec<String>,
    /// What it is for.
    label: String,
    /// Why nothing is sent for now; null when events are sent. What happens meanwhile waits.
    paused: Option<WebhookPauseReason>,
    /// How many events could not be delivered, and were not sent again.
    undelivered: Long,
    /// When it was set up.
    created_at: Timestamp,
    /// When it was last changed, paused or resumed.
    updated_at: Timestamp,
    #[graphql(skip)]
    webhook_id: WebhookId,
}

/// How sending goes. Written down every few seconds.
#[derive(SimpleObject)]
pub(crate) struct WebhookDelivery {
    /// Every event of the log up to here is delivered, waits, or is not for this webhook.
    position: Long,
    /// How many streams (an order, a payment, the stock of a SKU) have an event that waits to be tried, at first or again.
    waiting: Long,
    /// Since when nothing was delivered although it was tried; null while it goes well.
    failing_since: Option<Timestamp>,
    /// When something was delivered last.
    delivered_at: Option<Timestamp>,
    /// What went wrong last, since anything was delivered.
    last_failure: Option<String>,
}

/// An event that could not be delivered, however often it was tried.
#[derive(SimpleObject)]
pub(crate) struct WebhookFailure {
    /// The event's place in the log: `webhookRetry` has it sent again.
    event_position: Long,
    /// How often it was tried.
    attempts: u32,
    /// Why it failed at last.
    reason: String,
    /// When it was given up.
    failed_at: Timestamp,
}

impl Webhook {
    /// A webhook of the views.
    pub(crate) fn new(row: projections::Webhook) -> Self {
        Self {
            id: global_id::encode(Kind::Webhook, row.webhook_id),
            url: row.url,
            types: row.types,
            label: row.label,
            paused: row.paused.map(Into::into),
            undelivered: Long(row.undelivered),
            created_at: row.created_at,
            updated_at: row.updated_at,
            webhook_id: row.webhook_id,
        }
    }
}

#[ComplexObject]
impl Webhook {
    /// How sending goes; null before it has begun.
    async fn delivery(&self, ctx: &Context<'_>) -> Result<Option<WebhookDelivery>, Error> {
        let standing = ctx.data::<Arc<Shop>>()?.webhooks.standing(self.webhook_id).await;
        let standing = standing.map_err(|error| problem::fault(&error))?;
        Ok(standing.map(|standing| WebhookDelivery {
            position: Long::of(standing.position),
            waiting: Long::of(standing.waiting as u64),
            failing_since: standing.failing_since,
            delivered_at: standing.delivered_at,
            last_failure: standing.last_failure,
        }))
    }

    /// What could not be delivered and was not sent again, the latest event first.
    async fn failures(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<WebhookFailure>, Error> {
        let page = Paging { first, after, last, before }.page(ctx)?;
        let (views, id) = (&ctx.data::<Arc<Shop>>()?.views, self.webhook_id);
        let listed = views.read(move |reader| reader.webhook_failures(id, &page)).await.map_err(problem::view)?;
        Ok(page::list(listed, |row: projections::WebhookFailure| WebhookFailure {
            event_position: Long::of(row.event_position),
            attempts: row.attempts,
            reason: row.reason,
            failed_at: row.failed_at,
        }))
    }
}

/// A webhook as the views know it.
pub(crate) async fn webhook_at(ctx: &Context<'_>, id: WebhookId) -> Result<Option<Webhook>, Error> {
    let views = &ctx.data::<Arc<Shop>>()?.views;
    Ok(views.read(move |reader| reader.webhook(id)).await.map_err(problem::view)?.map(Webhook::new))
}

#[derive(Default)]
pub(crate) struct WebhookQuery;

#[Object]
impl WebhookQuery {
    /// A webhook; null if there is none of this id, or it was removed.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    async fn webhook(&self, ctx: &Context<'_>, #[graphql(desc = "Its id.")] id: ID) -> Result<Option<Webhook>, Error> {
        let id = global_id::decode(Kind::Webhook, &id).ok_or_else(|| problem::bad_id("id"))?;
        webhook_at(ctx, id).await
    }

    /// The webhooks, the newest first.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    async fn webhooks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<Webhook>, Error> {
        let page = Paging { first, after, last, before }.page(ctx)?;
        let views = &ctx.data::<Arc<Shop>>()?.views;
        let listed = views.read(move |reader| reader.webhooks(&page)).await.map_err(problem::view)?;
        Ok(page::list(listed, Webhook::new))
    }

    /// The types of events that a webhook can be told of, sorted.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    async fn webhook_event_types(&self) -> Vec<&'static str> {
        webhooks::event_types().iter().map(String::as_str).collect()
    }
}
