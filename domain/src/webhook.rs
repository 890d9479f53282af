//! A webhook: a URL of the merchant's that is told of events.

use event_schemas::{
    Position, WebhookChanged, WebhookCreated, WebhookDeliveryFailed, WebhookDeliveryRetried, WebhookEvent, WebhookId,
    WebhookPauseReason, WebhookPaused, WebhookRemoved, WebhookResumed,
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{Change, Decision, MAX_NAME_CHARS, Refusal, World, stream_of};

/// The most characters of a webhook's URL.
pub const MAX_URL_CHARS: usize = 2_000;
/// The most types of events that a webhook names.
pub const MAX_WEBHOOK_TYPES: usize = 100;
const MAX_TYPE_CHARS: usize = 64;

/// What can be asked of a webhook.
#[derive(Debug, Clone, PartialEq)]
pub enum WebhookCommand {
    /// Set it up.
    Create {
        /// Its id.
        webhook_id: WebhookId,
        /// Where events are sent to.
        url: String,
        /// The types of events that are sent; all if empty.
        types: Vec<String>,
        /// What it is for; may be empty.
        label: String,
        /// Whether the URL may be without TLS.
        allow_http: bool,
    },
    /// Change it; what is absent stays.
    Change {
        /// Where events are sent to.
        url: Option<String>,
        /// The types of events that are sent; all if empty.
        types: Option<Vec<String>>,
        /// What it is for.
        label: Option<String>,
        /// Whether the URL may be without TLS.
        allow_http: bool,
    },
    /// Stop sending.
    Pause {
        /// Why.
        reason: WebhookPauseReason,
    },
    /// Go on sending.
    Resume,
    /// Remove it for good.
    Remove,
    /// Note that an event could not be delivered.
    DeliveryFailed {
        /// The event's place in the log.
        position: Position,
        /// How often it was tried.
        attempts: u32,
        /// Why it failed at last; cut to 200 characters.
        reason: String,
    },
    /// Note that an undelivered event is sent again.
    DeliveryRetried {
        /// The event's place in the log.
        position: Position,
    },
}

/// Why a command to a webhook was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WebhookRefusal {
    /// There is no such webhook, or it was removed.
    #[error("there is no such webhook")]
    NotFound,
    /// The id is in use.
    #[error("the webhook exists already")]
    AlreadyExists,
    /// What is sent is about people, and a password in a URL would be in the log.
    #[error("the URL must be https, with a host, no user, password or fragment, and at most {MAX_URL_CHARS} characters")]
    InvalidUrl,
    /// The types of events are too many, or not named as types of events are.
    #[error("a webhook names at most {MAX_WEBHOOK_TYPES} types of events, such as `order.placed`")]
    InvalidTypes,
    /// A label is too long.
    #[error("the label must have at most {MAX_NAME_CHARS} characters")]
    InvalidLabel,
}

impl WebhookRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "WEBHOOK_NOT_FOUND",
            Self::AlreadyExists => "WEBHOOK_EXISTS",
            Self::InvalidUrl => "INVALID_URL",
            Self::InvalidTypes => "INVALID_EVENT_TYPES",
            Self::InvalidLabel => "INVALID_TEXT",
        }
    }
}

/// A webhook.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Webhook {
    /// Does not exist yet.
    #[default]
    Absent,
    /// Is there.
    Open(OpenWebhook),
    /// Was removed for good.
    Removed,
}

/// A webhook that is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenWebhook {
    /// Where events are sent to.
    pub url: String,
    /// The types of events that are sent; all if empty.
    pub types: Vec<String>,
    /// What it is for.
    pub label: String,
    /// Why it is paused, if it is.
    pub paused: Option<WebhookPauseReason>,
}

impl Webhook {
    /// The webhook, if it is there.
    pub fn open(&self) -> Option<&OpenWebhook> {
        match self {
            Self::Open(webhook) => Some(webhook),
            Self::Absent | Self::Removed => None,
        }
    }

    /// The rules. What changes nothing gives no event.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: WebhookCommand) -> Result<Vec<WebhookEvent>, WebhookRefusal> {
        let webhook = match (self, command) {
            (Self::Absent, WebhookCommand::Create { webhook_id, url, types, label, allow_http }) => {
                let (url, types) = (must_be_url(&url, allow_http)?, must_be_types(types)?);
                must_be_label(&label)?;
                return Ok(vec![WebhookCreated { webhook_id, url, types, label }.into()]);
            }
            (_, WebhookCommand::Create { .. }) => return Err(WebhookRefusal::AlreadyExists),
            (Self::Absent | Self::Removed, _) => return Err(WebhookRefusal::NotFound),
            (Self::Open(webhook), command) => webhook.decide(command)?,
        };
        Ok(webhook.into_iter().collect())
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &WebhookEvent) {
        match (&mut *self, event) {
            (_, WebhookEvent::WebhookCreated(created)) => {
                let WebhookCreated { webhook_id: _, url, types, label } = created.clone();
                *self = Self::Open(OpenWebhook { url, types, label, paused: None });
            }
            (_, WebhookEvent::WebhookRemoved(_)) => *self = Self::Removed,
            (Self::Open(webhook), WebhookEvent::WebhookChanged(changed)) => {
                let WebhookChanged { url, types, label } = changed.clone();
                *webhook = OpenWebhook { url, types, label, paused: webhook.paused };
            }
            (Self::Open(webhook), WebhookEvent::WebhookPaused(paused)) => webhook.paused = Some(paused.reason),
            (Self::Open(webhook), WebhookEvent::WebhookResumed(_)) => webhook.paused = None,
            (_, WebhookEvent::WebhookDeliveryFailed(_) | WebhookEvent::WebhookDeliveryRetried(_)) => {}
            (
                Self::Absent | Self::Removed,
                WebhookEvent::WebhookChanged(_) | WebhookEvent::WebhookPaused(_) | WebhookEvent::WebhookResumed(_),
            ) => {}
        }
    }
}

impl OpenWebhook {
    fn decide(&self, command: WebhookCommand) -> Result<Option<WebhookEvent>, WebhookRefusal> {
        Ok(match command {
            WebhookCommand::Create { .. } => return Err(WebhookRefusal::AlreadyExists),
            WebhookCommand::Change { url, types, label, allow_http } => {
                let url = url.map_or(Ok(self.url.clone()), |url| must_be_url(&url, allow_http))?;
                let types = types.map_or(Ok(self.types.clone()), must_be_types)?;
                let label = label.unwrap_or_else(|| self.label.clone());
                must_be_label(&label)?;
                let same = url == self.url && types == self.types && label == self.label;
                (!same).then(|| WebhookChanged { url, types, label }.into())
            }
            WebhookCommand::Pause { reason } => self.paused.is_none().then(|| WebhookPaused { reason }.into()),
            WebhookCommand::Resume => self.paused.map(|_| WebhookResumed {}.into()),
            WebhookCommand::Remove => Some(WebhookRemoved {}.into()),
            WebhookCommand::DeliveryFailed { position, attempts, reason } => {
                let reason = reason.chars().filter(|letter| !letter.is_control()).take(MAX_NAME_CHARS).collect();
                Some(WebhookDeliveryFailed { position, attempts, reason }.into())
            }
            WebhookCommand::DeliveryRetried { position } => Some(WebhookDeliveryRetried { position }.into()),
        })
    }
}

/// The URL as it is written in one way only, so that whoever reads it later reads the same host.
fn must_be_url(text: &str, allow_http: bool) -> Result<String, WebhookRefusal> {
    let url = Url::parse(text).map_err(|_| WebhookRefusal::InvalidUrl)?;
    let scheme = url.scheme() == "https" || (allow_http && url.scheme() == "http");
    let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let fits = scheme && bare && url.has_host() && url.as_str().len() <= MAX_URL_CHARS;
    if fits { Ok(url.into()) } else { Err(WebhookRefusal::InvalidUrl) }
}

fn must_be_types(mut types: Vec<String>) -> Result<Vec<String>, WebhookRefusal> {
    types.sort();
    types.dedup();
    let named = |name: &String| {
        (1..=MAX_TYPE_CHARS).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
    };
    let fits = types.len() <= MAX_WEBHOOK_TYPES && types.iter().all(named);
    if fits { Ok(types) } else { Err(WebhookRefusal::InvalidTypes) }
}

fn must_be_label(label: &str) -> Result<(), WebhookRefusal> {
    if label.chars().count() <= MAX_NAME_CHARS { Ok(()) } else { Err(WebhookRefusal::InvalidLabel) }
}

/// Set up a webhook.
#[derive(Debug, Clone)]
pub struct CreateWebhook {
    /// Its id.
    pub webhook_id: WebhookId,
    /// Where events are sent to.
    pub url: String,
    /// The types of events that are sent, such as `order.placed`; all if empty.
    pub types: Vec<String>,
    /// What it is for; may be empty.
    pub label: String,
    /// Whether the URL may be without TLS.
    pub allow_http: bool,
}

impl Decision for CreateWebhook {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let Self { webhook_id, url, types, label, allow_http } = self.clone();
        let command = WebhookCommand::Create { webhook_id, url, types, label, allow_http };
        ChangeWebhook { webhook_id, command }.decide(world)
    }
}

/// Let something happen to a webhook.
#[derive(Debug, Clone)]
pub struct ChangeWebhook {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// What happens to it.
    pub command: WebhookCommand,
}

impl Decision for ChangeWebhook {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let events = world.get::<Webhook>(self.webhook_id).decide(self.command.clone())?;
        Ok(Change::all(stream_of::<Webhook>(self.webhook_id), events))
    }
}
