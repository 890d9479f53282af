//! Webhooks, as staff see them: where events are sent to, how that goes, and what could not be delivered.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, Error, ID, InputObject, Object, OutputType as _, SimpleObject};
use event_schemas::{Timestamp, WebhookId};
use projections::WebhookFilter;

use crate::{
    access::{Permission, sees},
    graphql::{
        actions::{WebhookAction, WebhookActions, available},
        as_of::{self, AsOf},
        changed::webhook_at,
        global_id::{self, Kind},
        histories::{WebhookHistory, of},
        page::{self, List, Narrowing, Paging, root_list, sorting},
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
    /// How many events have happened to it: to be given back as `expectedVersion`.
    version: Long,
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
            version: Long::of(row.version),
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
    /// What the caller can do with it now.
    async fn available_actions(&self, ctx: &Context<'_>) -> Result<Vec<WebhookAction>, Error> {
        available(ctx, WebhookActions(self.webhook_id)).await
    }

    #[graphql(flatten)]
    async fn happened(&self) -> WebhookHistory {
        WebhookHistory(of::<domain::Webhook>(self.webhook_id))
    }

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

    /// What could not be delivered and was not sent again, the latest event first unless `sort` says otherwise.
    async fn failures(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In which order.")] sort: Option<WebhookFailureSortInput>,
        #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<WebhookFailure>, Error> {
        let page = Paging { first, after, last, before }.page(ctx)?;
        let (views, id) = (&ctx.data::<Arc<Shop>>()?.views, self.webhook_id);
        let (by, descending) = WebhookFailureSortInput::of(sort);
        let read = views.read(move |reader| reader.webhook_failures(id, by, descending, &page)).await;
        let listed = read.map_err(problem::view)?;
        Ok(page::list(listed, |row: projections::WebhookFailure| WebhookFailure {
            event_position: Long::of(row.event_position),
            attempts: row.attempts,
            reason: row.reason,
            failed_at: row.failed_at,
        }))
    }
}

/// Which webhooks to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct WebhookFilterInput {
    /// Only those that are (or are not) paused.
    paused: Option<bool>,
    /// Only those with (or without) events that could not be delivered, and were not sent again.
    undelivered: Option<bool>,
}

impl Narrowing for WebhookFilterInput {
    type Filter = WebhookFilter;

    fn read(self) -> Result<WebhookFilter, Error> {
        Ok(WebhookFilter { paused: self.paused, undelivered: self.undelivered })
    }
}

sorting! {
    /// How to sort webhooks.
    WebhookSortInput by WebhookSortKey of WebhookSort as "projections::WebhookSort", descending = true {
        /// By when they were set up.
        Created,
        /// By when they were last changed, paused or resumed.
        Updated,
    }
}

sorting! {
    /// How to sort what a webhook could not deliver.
    WebhookFailureSortInput by WebhookFailureSortKey of WebhookFailureSort as "projections::WebhookFailureSort",
        descending = true {
        /// By the place of the event in the log.
        Event,
    }
}

root_list! {
    /// The webhooks, the newest first unless `sort` says otherwise.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    WebhookList: webhooks(WebhookFilterInput, WebhookSortInput) -> Webhook by Webhook::new = webhooks
}

#[derive(Default)]
pub(crate) struct WebhookQuery;

#[Object]
impl WebhookQuery {
    /// A webhook; null if there is none of this id, or it was removed; as it was at a moment, if asked.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    async fn webhook(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
        #[graphql(desc = "The moment: now unless given. How far its deliveries have come is as it is now.")] as_of: Option<AsOf>,
    ) -> Result<Option<Webhook>, Error> {
        let id = global_id::decode(Kind::Webhook, &id).ok_or_else(|| problem::bad_id("id"))?;
        match as_of {
            Some(as_of) => as_of::webhook(ctx, id, as_of).await,
            None => webhook_at(ctx, Some(id)).await,
        }
    }

    /// The types of events that a webhook can be told of, sorted.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    async fn webhook_event_types(&self) -> Vec<&'static str> {
        webhooks::event_types().iter().map(String::as_str).collect()
    }
}
