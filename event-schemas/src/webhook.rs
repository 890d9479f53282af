//! What can happen to a webhook: a URL of the merchant's that is told of events. Its signing secret is kept outside the log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Position, WebhookId};

/// Why a webhook was paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookPauseReason {
    /// Staff wanted it.
    Staff,
    /// It failed for days.
    Failing,
}

event! {
    /// A webhook was set up.
    WebhookCreated {
        /// The new webhook.
        pub webhook_id: WebhookId,
        /// Where events are sent to.
        pub url: String,
        /// The types of events that are sent, such as `order.placed`, each once, sorted; all if empty.
        pub types: Vec<String>,
        /// What it is for, as staff read it; may be empty.
        pub label: String,
    }
}

event! {
    /// A webhook was changed: this is what it is now.
    WebhookChanged {
        /// Where events are sent to.
        pub url: String,
        /// The types of events that are sent, each once, sorted; all if empty.
        pub types: Vec<String>,
        /// What it is for; may be empty.
        pub label: String,
    }
}

event! {
    /// Sending stopped until the webhook is resumed.
    WebhookPaused {
        /// Why.
        pub reason: WebhookPauseReason,
    }
}

event! {
    /// Sending goes on where it stopped.
    WebhookResumed {}
}

event! {
    /// The webhook was removed for good.
    WebhookRemoved {}
}

event! {
    /// An event could not be delivered, however often it was tried. It stays undelivered until staff have it sent again.
    WebhookDeliveryFailed {
        /// The event's place in the log.
        pub position: Position,
        /// How often it was tried.
        pub attempts: u32,
        /// Why it failed at last.
        pub reason: String,
    }
}

event! {
    /// Staff had an undelivered event sent again.
    WebhookDeliveryRetried {
        /// The event's place in the log.
        pub position: Position,
    }
}

events! {
    /// Everything that can happen to a webhook.
    WebhookEvent of "webhook" {
        WebhookCreated = 1,
        WebhookChanged = 1,
        WebhookPaused = 1,
        WebhookResumed = 1,
        WebhookRemoved = 1,
        WebhookDeliveryFailed = 1,
        WebhookDeliveryRetried = 1,
    }
}
