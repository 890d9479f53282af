//! Outgoing webhooks: tells merchants' own systems what happened, signed, in order, at least once.
//!
//! A worker per webhook follows the log ([`Webhooks`]), signs what it sends as the Standard Webhooks specification says, and
//! keeps its place in the vault, where a lease makes it the only one among the nodes (ADR 13). What a merchant enters as a URL
//! is never trusted: every address is checked before it is connected to ([`AddressRules`]).

mod address;
mod back_off;
mod directory;
mod line;
mod marks;
mod message;
mod pass;
mod place;
mod resolver;
mod secrets;
mod sender;
mod signature;
mod webhooks;
mod worker;

pub use address::AddressRules;
pub use directory::{Endpoint, EndpointState, WebhookDirectory};
pub use message::{event_type, event_types};
pub use resolver::{Resolver, SystemResolver};
pub use sender::{Attempt, Reason, UrlRefusal};
pub use signature::{Secret, sign};
pub use webhooks::{Standing, WebhookConfig, WebhookError, Webhooks};
