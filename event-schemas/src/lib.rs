//! The contract: every event that was or may be written, with ids, money, the record envelope and the upcasters.
//!
//! Nothing here decides anything. A written event never changes: a new shape is a new version with an upcaster
//! ([`upcast`]) and a sample, and the tests in `tests/contract.rs` hold the checked-in schemas and samples to that.

#[macro_use]
mod events;
mod access;
mod account;
mod adjustment;
mod api_key;
mod audit;
mod cart;
mod category;
mod claim;
mod commerce_event;
mod ids;
mod metadata;
mod money;
mod order;
mod order_status;
mod payment;
mod person;
mod personal;
mod product;
mod promotion;
mod record;
mod replaced;
mod review;
mod role;
mod roster;
mod stock;
mod upcast;
mod webhook;
pub mod words;

pub use access::*;
pub use account::*;
pub use adjustment::*;
pub use api_key::*;
pub use audit::*;
pub use cart::*;
pub use category::*;
pub use claim::*;
pub use commerce_event::*;
pub use events::EventSchema;
pub use ids::*;
pub use metadata::*;
pub use money::*;
pub use order::*;
pub use order_status::*;
pub use payment::*;
pub use person::*;
pub use personal::*;
pub use product::*;
pub use promotion::*;
pub use record::*;
pub use replaced::{ReplacedSchema, replaced_schemas};
pub use review::*;
pub use role::*;
pub use roster::*;
pub use stock::*;
pub use upcast::{Raw, UpcastError, upcast};
pub use webhook::*;

/// A moment in UTC. Daybook keeps and prints microseconds.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
