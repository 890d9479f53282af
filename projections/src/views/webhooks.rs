//! Which URLs are told of events, and what could not be delivered?

use event_schemas::{CommerceEvent, Timestamp, WebhookEvent, WebhookId, WebhookPauseReason};

use crate::{
    Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError,
    conditions::Conditions,
    projection::{add, subtract},
};

text_column!(WebhookPauseReason);

row! {
    /// A URL that is told of events.
    Webhook in "webhooks" {
        key {
            /// The webhook.
            webhook_id: WebhookId,
        }
        /// Where events are sent to.
        url: String,
        /// The types of events that are sent, sorted, as a JSON list; all if it is empty.
        types: Vec<String>,
        /// What it is for.
        label: String,
        /// Why it is paused; null while it is not.
        paused: Option<WebhookPauseReason>,
        /// How many events could not be delivered and were not sent again.
        undelivered: i64,
        /// When it was set up.
        created_at: Timestamp,
        /// When it was last changed, paused or resumed.
        updated_at: Timestamp,
    }
    version of "webhook";
    index "created_at, webhook_id";
    index "updated_at, webhook_id";
}

row! {
    /// An event that could not be delivered, however often it was tried, and was not sent again.
    WebhookFailure in "webhook_failures" {
        key {
            /// The webhook.
            webhook_id: WebhookId,
            /// The event's place in the log.
            event_position: u64,
        }
        /// How often it was tried.
        attempts: u32,
        /// Why it failed at last.
        reason: String,
        /// When it was given up.
        failed_at: Timestamp,
    }
}

/// The webhooks.
pub const WEBHOOKS: Projection =
    Projection { name: "webhooks", version: 2, tables: &[Webhook::TABLE, WebhookFailure::TABLE], for_analysts: false, fold };

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::Webhook(event) = fact.event else { return Ok(()) };
    let webhook_id: WebhookId = fact.stream.aggregate_id.parse()?;
    match event {
        WebhookEvent::WebhookCreated(created) => Ok(rows.put(Webhook {
            webhook_id,
            url: created.url.clone(),
            types: created.types.clone(),
            label: created.label.clone(),
            paused: None,
            undelivered: 0,
            created_at: fact.occurred_at,
            updated_at: fact.occurred_at,
            version: fact.sequence,
            position: fact.position,
        })?),
        WebhookEvent::WebhookChanged(changed) => {
            let webhook = change(rows, fact, webhook_id)?;
            webhook.url.clone_from(&changed.url);
            webhook.types.clone_from(&changed.types);
            webhook.label.clone_from(&changed.label);
            Ok(())
        }
        WebhookEvent::WebhookPaused(paused) => {
            change(rows, fact, webhook_id)?.paused = Some(paused.reason);
            Ok(())
        }
        WebhookEvent::WebhookResumed(_) => {
            change(rows, fact, webhook_id)?.paused = None;
            Ok(())
        }
        // What it could not deliver stays where nobody asks for it any more.
        WebhookEvent::WebhookRemoved(_) => Ok(rows.delete::<Webhook>(&(webhook_id,))?),
        WebhookEvent::WebhookDeliveryFailed(failed) => {
            let is_new = rows.get::<WebhookFailure>(&(webhook_id, failed.position))?.is_none();
            rows.put(WebhookFailure {
                webhook_id,
                event_position: failed.position,
                attempts: failed.attempts,
                reason: failed.reason.clone(),
                failed_at: fact.occurred_at,
                position: fact.position,
            })?;
            let webhook = known(rows, webhook_id)?;
            webhook.undelivered = add(webhook.undelivered, is_new.into())?;
            Ok(())
        }
        WebhookEvent::WebhookDeliveryRetried(retried) => {
            let key = (webhook_id, retried.position);
            known(rows, webhook_id)?;
            // Staff may have anything sent again, also what was delivered.
            if rows.get::<WebhookFailure>(&key)?.is_some() {
                rows.delete::<WebhookFailure>(&key)?;
                let webhook = known(rows, webhook_id)?;
                webhook.undelivered = subtract(webhook.undelivered, 1)?;
            }
            Ok(())
        }
    }
}

fn known<'r>(rows: &'r mut Rows<'_>, id: WebhookId) -> Result<&'r mut Webhook, FoldError> {
    rows.edit::<Webhook>(&(id,))?.ok_or_else(|| FoldError::unknown("webhook", id))
}

fn change<'r>(rows: &'r mut Rows<'_>, fact: &Fact<'_>, id: WebhookId) -> Result<&'r mut Webhook, FoldError> {
    let webhook = known(rows, id)?;
    webhook.updated_at = fact.occurred_at;
    Ok(webhook)
}

/// Which webhooks to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebhookFilter {
    /// Only those that are paused (or only those that are not).
    pub paused: Option<bool>,
    /// Only those that have something undelivered (or only those that have nothing).
    pub undelivered: Option<bool>,
}

sortings! {
    /// How to sort webhooks.
    WebhookSort {
        /// By when they were set up.
        Created "created": "t.created_at", "t.webhook_id";
        /// By when they were last changed, paused or resumed.
        Updated "updated": "t.updated_at", "t.webhook_id";
    }

    /// How to sort what a webhook could not deliver.
    WebhookFailureSort {
        /// By the place of the event in the log.
        Event "event": "t.event_position";
    }
}

impl Reader<'_> {
    /// The webhook of an id, unless it was removed.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, ViewError> {
        self.row(&(id,))
    }

    /// Webhooks; not those that were removed. There are few.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn webhooks(
        &self,
        filter: &WebhookFilter,
        sort: WebhookSort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<Webhook>, ViewError> {
        let mut conditions = Conditions::default();
        match filter.paused {
            Some(true) => conditions.check("t.paused IS NOT NULL", Vec::new()),
            Some(false) => conditions.check("t.paused IS NULL", Vec::new()),
            None => {}
        }
        match filter.undelivered {
            Some(true) => conditions.check("t.undelivered > 0", Vec::new()),
            Some(false) => conditions.check("t.undelivered = 0", Vec::new()),
            None => {}
        }
        self.page(&conditions, sort.order(descending), page)
    }

    /// What a webhook could not deliver and was not sent again.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn webhook_failures(
        &self,
        id: WebhookId,
        sort: WebhookFailureSort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<WebhookFailure>, ViewError> {
        let mut conditions = Conditions::default();
        conditions.many(Some(&id), "t.webhook_id", true);
        self.page(&conditions, sort.order(descending), page)
    }
}
