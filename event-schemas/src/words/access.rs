//! Accounts, rights, webhooks and what was refused at the door in words.

use crate::{
    AccessEvent, AccountEvent, ApiKeyEvent, PasswordChange, RoleEvent, RosterEvent, SessionEndReason, Timestamp, WebhookEvent,
    WebhookPauseReason, rfc3339,
};

use super::{also, listed, until};

pub(super) fn account(event: &AccountEvent, of: &str) -> String {
    match event {
        AccountEvent::AccountRegistered(_) => format!("registered {of}"),
        AccountEvent::AccountVerified(_) => format!("verified the e-mail address of {of}"),
        AccountEvent::AccountRoleGranted(event) => format!("gave {of} the role {}", event.role),
        AccountEvent::AccountRoleRevoked(event) => format!("took the role {} from {of}", event.role),
        AccountEvent::AccountDisabled(event) => {
            let why = if event.reason.is_some() { ", for a reason that is with the event" } else { "" };
            format!("disabled {of}{why}")
        }
        AccountEvent::AccountEnabled(_) => format!("enabled {of} again"),
        AccountEvent::AccountPasswordChanged(event) => match event.how {
            PasswordChange::Changed => format!("changed the password of {of}, knowing the one before"),
            PasswordChange::Reset => format!("reset the password of {of} through its e-mail address"),
        },
        AccountEvent::AccountSecondFactorAdded(_) => format!("added a second factor to {of}"),
        AccountEvent::AccountSecondFactorRemoved(_) => format!("removed the second factor of {of}"),
        AccountEvent::AccountPasskeyAdded(event) => format!("added passkey {} to {of}", event.passkey_id),
        AccountEvent::AccountPasskeyRemoved(event) => format!("removed passkey {} from {of}", event.passkey_id),
        AccountEvent::AccountSessionsEnded(event) => {
            let why = match event.reason {
                SessionEndReason::Logout => "by signing out",
                SessionEndReason::Revoked => "from elsewhere",
                SessionEndReason::PasswordChanged => "because its password was changed",
                SessionEndReason::TokenReused => "because a refresh token came a second time",
                SessionEndReason::Disabled => "because it was disabled",
                SessionEndReason::TooMany => "because it had too many",
            };
            format!("ended sessions of {of} {why}: {}", listed(&event.session_ids))
        }
        AccountEvent::AccountLinked(event) => format!("linked {of} to an account at {}", event.issuer),
        AccountEvent::AccountUnlinked(event) => format!("unlinked {of} from an account at {}", event.issuer),
        AccountEvent::AccountEmailChanged(_) => format!("changed the e-mail address of {of}"),
        AccountEvent::AccountRemoved(_) => format!("removed {of}, and who it belonged to is forgotten"),
    }
}

pub(super) fn role(event: &RoleEvent, of: &str) -> String {
    match event {
        RoleEvent::RoleDefined(event) => {
            format!("defined {of} to permit {}: {}", listed(&event.permissions), event.description)
        }
        RoleEvent::RoleRemoved(_) => format!("removed {of}, which permits nothing any more"),
    }
}

pub(super) fn roster(event: &RosterEvent) -> String {
    match event {
        RosterEvent::AdminAdded(event) => format!("let account {} administer the store", event.account_id),
        RosterEvent::AdminRemoved(event) => format!("no longer let account {} administer the store", event.account_id),
    }
}

pub(super) fn api_key(event: &ApiKeyEvent, of: &str) -> String {
    match event {
        ApiKeyEvent::ApiKeyIssued(event) => {
            let (permissions, until) = (listed(&event.permissions), until(" until ", event.expires_at));
            format!("issued API key “{}” for {permissions}{until}", event.label)
        }
        ApiKeyEvent::ApiKeyRevoked(_) => format!("revoked {of}"),
    }
}

pub(super) fn access(event: &AccessEvent) -> String {
    match event {
        AccessEvent::AccessDenied(event) => {
            let (caller, operation, permission) = (&event.caller, &event.operation, &event.permission);
            format!("recorded that {caller} was refused {operation} without {permission}, {}", times(event.times, event.since))
        }
        AccessEvent::LoginsFailed(event) => {
            let whom = event.account_id.map_or("no known account".to_owned(), |account| format!("account {account}"));
            format!("recorded that signing in failed with {whom}, {}", times(event.times, event.since))
        }
        AccessEvent::CallerLimited(event) => {
            let (caller, limit) = (&event.caller, &event.limit);
            format!("recorded that {caller} exceeded the limit {limit}, {}", times(event.times, event.since))
        }
        AccessEvent::CallerBanned(event) => {
            format!("recorded that {} is refused everything{}", event.caller, until(" until ", Some(event.until)))
        }
    }
}

fn times(times: u32, since: Timestamp) -> String {
    let counted = if times == 1 { "once".to_owned() } else { format!("{times} times") };
    format!("{counted} since {}", rfc3339(since))
}

pub(super) fn webhook(event: &WebhookEvent, of: &str) -> String {
    match event {
        WebhookEvent::WebhookCreated(event) => {
            format!("set up {of} to send {} to {}{}", types(&event.types), event.url, labelled(&event.label))
        }
        WebhookEvent::WebhookChanged(event) => {
            format!("changed {of} to send {} to {}{}", types(&event.types), event.url, labelled(&event.label))
        }
        WebhookEvent::WebhookPaused(event) => match event.reason {
            WebhookPauseReason::Staff => format!("paused {of}"),
            WebhookPauseReason::Failing => format!("paused {of}, because it failed for days"),
        },
        WebhookEvent::WebhookResumed(_) => format!("let {of} go on sending"),
        WebhookEvent::WebhookRemoved(_) => format!("removed {of}"),
        WebhookEvent::WebhookDeliveryFailed(event) => {
            let (position, attempts) = (event.position, event.attempts);
            format!("recorded that event {position} could not be delivered to {of} in {attempts} attempts: {}", event.reason)
        }
        WebhookEvent::WebhookDeliveryRetried(event) => format!("had event {} sent to {of} again", event.position),
    }
}

fn types(types: &[String]) -> String {
    if types.is_empty() { "all events".to_owned() } else { listed(types) }
}

fn labelled(label: &str) -> String {
    also(" for ", Some(label).filter(|label| !label.is_empty()).map(|label| format!("“{label}”")).as_ref())
}
