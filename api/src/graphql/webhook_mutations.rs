//! What staff do with webhooks. A webhook tells whoever has its URL what happens, so nobody has one told of what they may not
//! see themselves.

use std::sync::Arc;

use async_graphql::{Context, Error, ID, InputObject, Object, SimpleObject};
use domain::{
    Change, ChangeWebhook, CreateWebhook, Decision, Refusal, Webhook as WebhookState, WebhookCommand, WebhookRefusal, World,
};
use event_schemas::{CommerceEvent, WebhookEvent, WebhookId, WebhookPauseReason};
use projections::{Page, WebhookFilter, WebhookSort};

use crate::{
    access::{Caller, Permission, Permissions, history_of, sees},
    graphql::{
        changed::webhook_at,
        command::{MutationInput, Refused, carry_out, input, payload, read_back},
        global_id::Kind,
        identity_call::{must_have, refused},
        problem, read_input,
        scalar::Long,
        user_error::UserError,
        user_error_code::UserErrorCode,
        warning::Warning,
        webhook::Webhook,
    },
    shop::Shop,
};

/// The most webhooks of a shop: each reads the log for itself.
const MOST: u64 = 50;

input! {
    /// A webhook to set up.
    WebhookCreateInput {
        /// Where events are sent to: https, without a user name and a password. http only in a network that the operator has
        /// named (`--webhook-allow`).
        url: String,
        /// The types of events that are sent, such as `order.placed`; see `webhookEventTypes`. All of them unless given, which
        /// takes the right to read the log itself; each type takes the right to see what it tells of.
        #[graphql(default)]
        types: Vec<String>,
        /// What it is for.
        #[graphql(default)]
        label: String,
    }
}

input! {
    /// A webhook to change. What is not given stays.
    WebhookChangeInput of Webhook(webhook_id) {
        /// The webhook.
        webhook_id: ID,
        /// Where events are sent to.
        url: Option<String>,
        /// The types of events that are sent; all of them if empty.
        types: Option<Vec<String>>,
        /// What it is for.
        label: Option<String>,
    }
}

input! {
    /// A webhook to pause.
    WebhookPauseInput of Webhook(webhook_id) {
        /// The webhook.
        webhook_id: ID,
    }
}

input! {
    /// A webhook to resume.
    WebhookResumeInput of Webhook(webhook_id) {
        /// The webhook.
        webhook_id: ID,
    }
}

input! {
    /// A webhook to remove.
    WebhookRemoveInput of Webhook(webhook_id) {
        /// The webhook.
        webhook_id: ID,
    }
}

input! {
    /// An event to send again.
    WebhookRetryInput {
        /// The webhook.
        webhook_id: ID,
        /// The event's place in the log, as `failures` tells it. It may also be an event that was delivered.
        position: Long,
    }
}

/// A webhook to give a new secret.
#[derive(Debug, InputObject)]
pub(crate) struct WebhookSecretRotateInput {
    /// The webhook.
    webhook_id: ID,
}

/// A webhook to try.
#[derive(Debug, InputObject)]
pub(crate) struct WebhookTestInput {
    /// The webhook.
    webhook_id: ID,
}

/// How one try went.
#[derive(SimpleObject)]
pub(crate) struct WebhookAttempt {
    /// Whether the receiver took it: it answered 2xx.
    delivered: bool,
    /// Why it failed, if it did.
    reason: Option<String>,
    /// How long it took, in milliseconds.
    took_ms: Long,
}

payload! {
    /// A webhook after a change.
    WebhookPayload {
        /// The webhook; null when nothing was done, when it is gone, or when the views need longer than two seconds to show it.
        webhook: Webhook,
    }
}

payload! {
    /// A webhook with a new secret.
    WebhookSecretPayload {
        /// The webhook; null when nothing was done, or when the views need longer than two seconds to show it.
        webhook: Webhook,
        /// The secret that its messages are signed with, `whsec_…`. It is shown this once: a repeat with the same idempotency
        /// key does not show it again.
        secret: String,
    }
}

payload! {
    /// A webhook that was tried.
    WebhookTestPayload {
        /// How it went; null when nothing was tried.
        attempt: WebhookAttempt,
    }
}

/// What somebody needs to see what messages of these types tell.
fn needed(types: &[String]) -> Permissions {
    let needed = |kind: &String| history_of(kind.split('.').next().unwrap_or_default());
    if types.is_empty() { [Permission::ViewEvents].into_iter().collect() } else { types.iter().map(needed).collect() }
}

fn may_see(permissions: Permissions, types: &[String]) -> bool {
    permissions.has(Permission::ViewEvents) || permissions.covers(needed(types))
}

/// Refuses somebody who may not see what a webhook tells.
fn must_see(ctx: &Context<'_>, operation: &str, types: &[String]) -> Result<(), Error> {
    if may_see(ctx.data::<Caller>()?.permissions(), types) { Ok(()) } else { must_have(ctx, operation, needed(types)) }
}

/// A change to a webhook by somebody who must be able to see what it tells, also if that was changed a moment ago.
#[derive(Debug)]
struct Seen {
    permissions: Permissions,
    decision: ChangeWebhook,
}

impl Decision for Seen {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        match world.get::<WebhookState>(self.decision.webhook_id).open() {
            Some(webhook) if !may_see(self.permissions, &webhook.types) => Err(WebhookRefusal::NotFound.into()),
            _ => self.decision.decide(world),
        }
    }
}

fn id_of(id: &ID) -> Result<WebhookId, UserError> {
    read_input::id(Kind::Webhook, id, &["webhookId"])
}

/// Types that are not types of events.
fn unknown(types: &[String]) -> Option<UserError> {
    let unknown = types.iter().find(|kind| !webhooks::event_types().contains(*kind))?;
    let message = format!("`{unknown}` is not a type of events: `webhookEventTypes` lists them");
    Some(UserError::about(UserErrorCode::InvalidEventTypes, Some("types"), message))
}

/// Why a webhook may not have a URL, if so. One that may is one of https, or of http in a network that the operator named.
async fn wrong_url(ctx: &Context<'_>, url: &str) -> Result<Option<UserError>, Error> {
    let refusal = ctx.data::<Arc<Shop>>()?.webhooks.check_url(url).await.err();
    Ok(refusal.map(|refusal| UserError::about(UserErrorCode::InvalidUrl, Some("url"), refusal.to_string())))
}

/// Whether the shop has as many webhooks as it may have.
async fn is_full(ctx: &Context<'_>) -> Result<Option<UserError>, Error> {
    let views = &ctx.data::<Arc<Shop>>()?.views;
    let listed = views
        .read(|reader| reader.webhooks(&WebhookFilter::default(), WebhookSort::Created, true, &Page::first(1).counted()))
        .await
        .map_err(problem::view)?;
    let message = || format!("a shop has at most {MOST} webhooks");
    Ok(listed.total.filter(|total| *total >= MOST).map(|_| UserError::new(UserErrorCode::TooManyWebhooks, message())))
}

/// Carries out a command to a webhook, has the workers look, and answers the webhook as it is then.
async fn change<I: MutationInput>(
    ctx: &Context<'_>,
    operation: &'static str,
    input: I,
    webhook_id: &ID,
    command: WebhookCommand,
) -> Result<WebhookPayload, Error> {
    let webhook_id = match id_of(webhook_id) {
        Ok(id) => id,
        Err(user_error) => return Ok(refused(ctx, vec![user_error])?.into()),
    };
    let decision = ChangeWebhook { webhook_id, command };
    submit(ctx, operation, input, webhook_id, decision).await
}

async fn submit<I: MutationInput>(
    ctx: &Context<'_>,
    operation: &'static str,
    input: I,
    webhook_id: WebhookId,
    decision: impl Decision,
) -> Result<WebhookPayload, Error> {
    let outcome = match carry_out(ctx, operation, input, |_, _| Ok(decision)).await? {
        Ok(outcome) => outcome,
        Err(refused) => return Ok(refused.into()),
    };
    let warnings = Warning::unless_shown(read_back(ctx, outcome.position).await);
    ctx.data::<Arc<Shop>>()?.webhooks.look();
    let webhook = webhook_at(ctx, Some(webhook_id)).await?;
    Ok(WebhookPayload { webhook, position: Long::of(outcome.position), warnings, ..Default::default() })
}

/// The webhook that an input names, or the answer that there is none.
async fn found(ctx: &Context<'_>, id: &ID) -> Result<Result<(WebhookId, projections::Webhook), Refused>, Error> {
    let id = match id_of(id) {
        Ok(id) => id,
        Err(user_error) => return Ok(Err(refused(ctx, vec![user_error])?)),
    };
    let views = &ctx.data::<Arc<Shop>>()?.views;
    Ok(match views.read(move |reader| reader.webhook(id)).await.map_err(problem::view)? {
        Some(row) => Ok((id, row)),
        None => Err(refused(ctx, UserError::of(&WebhookRefusal::NotFound.into()))?),
    })
}

/// Whether a webhook is told of an event of the log.
async fn is_told(shop: &Shop, webhook: &projections::Webhook, position: u64) -> Result<bool, Error> {
    let Some(before) = position.checked_sub(1) else { return Ok(false) };
    let read = shop.log.read(before, 1).await.map_err(|error| problem::fault(&error))?;
    let kind = read.first().and_then(|read| webhooks::event_type(&read.event.stream.aggregate_type, &read.event.event_type));
    Ok(kind.is_some_and(|kind| webhook.types.is_empty() || webhook.types.contains(&kind)))
}

#[derive(Default)]
pub(crate) struct WebhookMutation;

#[Object]
impl WebhookMutation {
    /// Sets up a webhook: what happens from now on is sent to its URL, signed with the secret that this answers.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    async fn webhook_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The webhook.")] input: WebhookCreateInput,
    ) -> Result<WebhookSecretPayload, Error> {
        must_see(ctx, "webhookCreate", &input.types)?;
        let wrong = match unknown(&input.types) {
            Some(user_error) => Some(user_error),
            None => match wrong_url(ctx, &input.url).await? {
                Some(user_error) => Some(user_error),
                None => is_full(ctx).await?,
            },
        };
        if let Some(user_error) = wrong {
            return Ok(refused(ctx, vec![user_error])?.into());
        }
        let outcome = carry_out(ctx, "webhookCreate", input, |input, outside| {
            let webhook_id = WebhookId(outside.new_id());
            Ok(CreateWebhook { webhook_id, url: input.url, types: input.types, label: input.label, allow_http: true })
        });
        let outcome = match outcome.await? {
            Ok(outcome) => outcome,
            Err(refused) => return Ok(refused.into()),
        };
        let created = outcome.changes.iter().find_map(|change| match &change.event {
            CommerceEvent::Webhook(WebhookEvent::WebhookCreated(created)) => Some(created.webhook_id),
            _ => None,
        });
        let Some(id) = created else { return Err(problem::fault(&"webhookCreate: no webhook was created")) };
        read_back(ctx, outcome.position).await;
        let secret = ctx.data::<Arc<Shop>>()?.webhooks.create_secret(id).await.map_err(|error| problem::fault(&error))?;
        Ok(WebhookSecretPayload {
            webhook: webhook_at(ctx, Some(id)).await?,
            secret: secret.map(|secret| secret.reveal().to_owned()),
            position: Long::of(outcome.position),
            ..Default::default()
        })
    }

    /// Changes a webhook. What waits to be delivered goes to the new URL.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    async fn webhook_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: WebhookChangeInput,
    ) -> Result<WebhookPayload, Error> {
        let (webhook_id, row) = match found(ctx, &input.webhook_id).await? {
            Ok(found) => found,
            Err(refused) => return Ok(refused.into()),
        };
        // Whoever changes the URL is told what the webhook names, and what it named.
        must_see(ctx, "webhookChange", &row.types)?;
        let types = input.types.as_deref().unwrap_or(&row.types);
        must_see(ctx, "webhookChange", types)?;
        let mut wrong = unknown(input.types.as_deref().unwrap_or_default());
        if wrong.is_none()
            && let Some(url) = &input.url
        {
            wrong = wrong_url(ctx, url).await?;
        }
        if let Some(user_error) = wrong {
            return Ok(refused(ctx, vec![user_error])?.into());
        }
        let (url, types, label) = (input.url.clone(), input.types.clone(), input.label.clone());
        let command = WebhookCommand::Change { url, types, label, allow_http: true };
        let permissions = ctx.data::<Caller>()?.permissions();
        let decision = Seen { permissions, decision: ChangeWebhook { webhook_id, command } };
        submit(ctx, "webhookChange", input, webhook_id, decision).await
    }

    /// Stops sending, until the webhook is resumed. What happens meanwhile waits.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    async fn webhook_pause(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The webhook.")] input: WebhookPauseInput,
    ) -> Result<WebhookPayload, Error> {
        let id = input.webhook_id.clone();
        change(ctx, "webhookPause", input, &id, WebhookCommand::Pause { reason: WebhookPauseReason::Staff }).await
    }

    /// Goes on sending, with what has waited.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    async fn webhook_resume(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The webhook.")] input: WebhookResumeInput,
    ) -> Result<WebhookPayload, Error> {
        let id = input.webhook_id.clone();
        change(ctx, "webhookResume", input, &id, WebhookCommand::Resume).await
    }

    /// Removes a webhook for good. Its secret is forgotten, and what it was not told yet is not sent.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    async fn webhook_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The webhook.")] input: WebhookRemoveInput,
    ) -> Result<WebhookPayload, Error> {
        let id = input.webhook_id.clone();
        let payload = change(ctx, "webhookRemove", input, &id, WebhookCommand::Remove).await?;
        if payload.user_errors.is_empty()
            && let Ok(id) = id_of(&id)
            && let Err(error) = ctx.data::<Arc<Shop>>()?.webhooks.forget(id).await
        {
            // It is removed all the same: its worker forgets it when the vault is back.
            tracing::warn!(webhook = %id, %error, "a removed webhook's secret could not be forgotten yet");
        }
        Ok(payload)
    }

    /// Gives a webhook a new secret. For 24 hours messages are signed with the one before too, so that the receiver can change
    /// over; a secret before that one ends at once.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    async fn webhook_secret_rotate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The webhook.")] input: WebhookSecretRotateInput,
    ) -> Result<WebhookSecretPayload, Error> {
        let (id, row) = match found(ctx, &input.webhook_id).await? {
            Ok(found) => found,
            Err(refused) => return Ok(refused.into()),
        };
        must_see(ctx, "webhookSecretRotate", &row.types)?;
        let shop = ctx.data::<Arc<Shop>>()?;
        let secret = shop.webhooks.rotate_secret(id).await.map_err(|error| problem::fault(&error))?;
        let actor = ctx.data::<Caller>()?.actor();
        tracing::info!(webhook = %id, actor, "a webhook has a new secret");
        let (webhook, secret) = (Some(Webhook::new(row)), Some(secret.reveal().to_owned()));
        Ok(WebhookSecretPayload { webhook, secret, position: Long::of(shop.head()), ..Default::default() })
    }

    /// Sends an event again, once its receiver is repaired: with the same `webhook-id`, and all its tries.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    async fn webhook_retry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The event.")] input: WebhookRetryInput,
    ) -> Result<WebhookPayload, Error> {
        let (id, row) = match found(ctx, &input.webhook_id).await? {
            Ok(found) => found,
            Err(refused) => return Ok(refused.into()),
        };
        let position = input.position.position().unwrap_or_default();
        if !is_told(ctx.data::<Arc<Shop>>()?, &row, position).await? {
            let message = "this is not the position of an event that the webhook is told of";
            return Ok(refused(ctx, vec![UserError::invalid(&["position"], message)])?.into());
        }
        let decision = ChangeWebhook { webhook_id: id, command: WebhookCommand::DeliveryRetried { position } };
        submit(ctx, "webhookRetry", input, id, decision).await
    }

    /// Sends a message of the type `webhook.test` once, at once, and says how it went. Also to a webhook that is paused.
    #[graphql(guard = "Permission::ManageWebhooks", visible = "sees::webhooks")]
    async fn webhook_test(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The webhook.")] input: WebhookTestInput,
    ) -> Result<WebhookTestPayload, Error> {
        let (id, row) = match found(ctx, &input.webhook_id).await? {
            Ok(found) => found,
            Err(refused) => return Ok(refused.into()),
        };
        let shop = ctx.data::<Arc<Shop>>()?;
        let attempt = match shop.webhooks.test(id, &row.url).await {
            Ok(attempt) => WebhookAttempt {
                delivered: attempt.failed.is_none(),
                reason: attempt.failed.map(|reason| reason.to_string()),
                took_ms: Long::of(u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX)),
            },
            Err(error @ webhooks::WebhookError::NoSecret) => {
                WebhookAttempt { delivered: false, reason: Some(error.to_string()), took_ms: Long(0) }
            }
            Err(error) => return Err(problem::fault(&error)),
        };
        Ok(WebhookTestPayload { attempt: Some(attempt), position: Long::of(shop.head()), ..Default::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    #[test]
    fn nobody_has_told_what_they_may_not_see_themselves() {
        let types = |types: &[&str]| types.iter().map(ToString::to_string).collect::<Vec<_>>();
        let merchant = Role::Merchant.permissions();
        assert!(may_see(merchant, &types(&["order.placed", "stock.received", "product.published", "cart.created"])));
        for told in [types(&[]), types(&["payment.captured"]), types(&["order.placed", "adjustment.credit_note_issued"])] {
            assert!(!may_see(merchant, &told), "{told:?}");
            assert!(may_see(Role::Admin.permissions(), &told) && may_see(Role::Auditor.permissions(), &told), "{told:?}");
        }
    }

    #[test]
    fn every_type_of_events_takes_a_permission_of_its_own_kind() {
        for kind in webhooks::event_types() {
            assert!(!needed(std::slice::from_ref(kind)).has(Permission::ViewEvents), "{kind}: who may see it?");
        }
    }
}
