//! Accounts, rights and what was refused at the door in words.

use event_schemas::{
    AccessEvent, AccountEvent, ApiKeyEvent, PasswordChange, RoleEvent, RosterEvent, SessionEndReason, Timestamp, WebhookEvent,
    WebhookPauseReason, rfc3339,
};

use super::{also, listed, until};

pub(super) fn account(event: &AccountEvent) -> String {
    match event {
        AccountEvent::AccountRegistered(event) => format!("account {} was registered", event.account_id),
        AccountEvent::AccountVerified(_) => "its e-mail address was verified".to_owned(),
        AccountEvent::AccountRoleGranted(event) => format!("it was given the role {}", event.role),
        AccountEvent::AccountRoleRevoked(event) => format!("the role {} was taken from it", event.role),
        AccountEvent::AccountDisabled(event) => {
            let why = if event.reason.is_some() { ", for a reason that staff gave" } else { "" };
            format!("it was disabled{why}")
        }
        AccountEvent::AccountEnabled(_) => "it was enabled again".to_owned(),
        AccountEvent::AccountPasswordChanged(event) => match event.how {
            PasswordChange::Changed => "its password was changed by who knew the one before".to_owned(),
            PasswordChange::Reset => "its password was reset through its e-mail address".to_owned(),
        },
        AccountEvent::AccountSecondFactorAdded(_) => "a second factor was added".to_owned(),
        AccountEvent::AccountSecondFactorRemoved(_) => "its second factor was removed".to_owned(),
        AccountEvent::AccountPasskeyAdded(event) => format!("passkey {} was added", event.passkey_id),
        AccountEvent::AccountPasskeyRemoved(event) => format!("passkey {} was removed", event.passkey_id),
        AccountEvent::AccountSessionsEnded(event) => {
            let why = match event.reason {
                SessionEndReason::Logout => "by signing out",
                SessionEndReason::Revoked => "from elsewhere",
                SessionEndReason::PasswordChanged => "because its password was changed",
                SessionEndReason::TokenReused => "because a refresh token came a second time",
                SessionEndReason::Disabled => "because it was disabled",
                SessionEndReason::TooMany => "because it had too many",
            };
            format!("sessions were ended {why}: {}", listed(&event.session_ids))
        }
        AccountEvent::AccountLinked(event) => format!("it was linked to an account at {}", event.issuer),
    }
}

pub(super) fn role(event: &RoleEvent) -> String {
    match event {
        RoleEvent::RoleDefined(event) => {
            format!("the role was defined to permit {}: {}", listed(&event.permissions), event.description)
        }
        RoleEvent::RoleRemoved(_) => "the role was removed and permits nothing any more".to_owned(),
    }
}

pub(super) fn roster(event: &RosterEvent) -> String {
    match event {
        RosterEvent::AdminAdded(event) => format!("account {} can administer the store", event.account_id),
        RosterEvent::AdminRemoved(event) => format!("account {} can no longer administer the store", event.account_id),
    }
}

pub(super) fn api_key(event: &ApiKeyEvent) -> String {
    match event {
        ApiKeyEvent::ApiKeyIssued(event) => {
            let (permissions, until) = (listed(&event.permissions), until(" until ", event.expires_at));
            format!("API key “{}” was issued for {permissions}{until}", event.label)
        }
        ApiKeyEvent::ApiKeyRevoked(_) => "it was revoked".to_owned(),
    }
}

pub(super) fn access(event: &AccessEvent) -> String {
    match event {
        AccessEvent::AccessDenied(event) => {
            let (caller, operation, permission) = (&event.caller, &event.operation, &event.permission);
            format!("{caller} was refused {operation} without {permission}, {}", times(event.times, event.since))
        }
        AccessEvent::LoginsFailed(event) => {
            let whom = event.account_id.map_or("no known account".to_owned(), |account| format!("account {account}"));
            format!("signing in failed with {whom}, {}", times(event.times, event.since))
        }
        AccessEvent::CallerLimited(event) => {
            format!("{} exceeded the limit {}, {}", event.caller, event.limit, times(event.times, event.since))
        }
        AccessEvent::CallerBanned(event) => {
            format!("{} is refused everything{}", event.caller, until(" until ", Some(event.until)))
        }
    }
}

fn times(times: u32, since: Timestamp) -> String {
    let counted = if times == 1 { "once".to_owned() } else { format!("{times} times") };
    format!("{counted} since {}", rfc3339(since))
}

pub(super) fn webhook(event: &WebhookEvent) -> String {
    match event {
        WebhookEvent::WebhookCreated(event) => {
            let (id, types) = (event.webhook_id, types(&event.types));
            format!("webhook {id} was set up to send {types} to {}{}", event.url, labelled(&event.label))
        }
        WebhookEvent::WebhookChanged(event) => {
            format!("it was changed to send {} to {}{}", types(&event.types), event.url, labelled(&event.label))
        }
        WebhookEvent::WebhookPaused(event) => match event.reason {
            WebhookPauseReason::Staff => "staff paused it".to_owned(),
            WebhookPauseReason::Failing => "it was paused because it failed for days".to_owned(),
        },
        WebhookEvent::WebhookResumed(_) => "it goes on sending".to_owned(),
        WebhookEvent::WebhookRemoved(_) => "it was removed".to_owned(),
        WebhookEvent::WebhookDeliveryFailed(event) => {
            let (position, attempts) = (event.position, event.attempts);
            format!("event {position} could not be delivered in {attempts} attempts: {}", event.reason)
        }
        WebhookEvent::WebhookDeliveryRetried(event) => format!("staff had event {} sent again", event.position),
    }
}

fn types(types: &[String]) -> String {
    if types.is_empty() { "all events".to_owned() } else { listed(types) }
}

fn labelled(label: &str) -> String {
    also(" for ", Some(label).filter(|label| !label.is_empty()).map(|label| format!("“{label}”")).as_ref())
}
