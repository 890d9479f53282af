//! The webhooks that there are, as the views know them.

use async_trait::async_trait;
use event_schemas::{Position, WebhookId};

/// Whether events are sent to a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// They are.
    Active,
    /// They wait until it is resumed.
    Paused,
}

/// A webhook: where to send what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: WebhookId,
    /// Where events are sent to.
    pub url: String,
    /// The types of events that are sent, such as `order.placed`; all if empty.
    pub types: Vec<String>,
    /// Whether they are sent.
    pub state: EndpointState,
    /// The last event of the log that changed it, as far as this is known: what is older than what a worker has just done to
    /// the webhook does not count.
    pub position: Position,
}

/// Where the webhooks are listed.
#[async_trait]
pub trait WebhookDirectory: Send + Sync + 'static {
    /// All webhooks but those that were removed. One that is not listed is sent nothing; its secret is forgotten only when
    /// the log says that it was removed, so a list that is being built anew does no harm.
    ///
    /// # Errors
    /// Why they cannot be read now, for the log lines.
    async fn endpoints(&self) -> Result<Vec<Endpoint>, String>;
}
