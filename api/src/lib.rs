//! The door: GraphQL over HTTP, configuration and wiring, and the daybook binary.

// The roots of the schema are merged of so many parts that the compiler needs more than its usual depth to lay them out.
#![recursion_limit = "256"]

pub mod access;
mod access_log;
mod accounts;
mod as_of;
mod audit_log;
pub mod bench;
pub mod cli;
pub mod data_folder;
mod demo;
mod exposition;
pub mod graphql;
mod http;
pub mod import;
mod limits;
mod logging;
mod lost_vault;
mod metrics;
mod net;
mod notary;
mod persisted;
mod persons;
mod rates;
mod readiness;
mod rights;
mod serve;
mod shop;
mod vault_tools;
mod webhook_directory;

pub use self::notary::{NotaryArgs, NotaryError};
pub use accounts::{AccountsError, OidcIssuer};
pub use http::{InvalidOrigin, Origin};
pub use logging::{LogFormat, start_logging};
pub use net::{AllowedHost, ConnectionLimits, InvalidHost, RateOrOff, TlsFiles, TransportArgs, TransportConfig, TransportError};
pub use persisted::DocumentsError;
pub use persons::{Retention, RetentionError};
pub use rates::{InvalidRate, Rate, RateLimits};
pub use serve::{RunningServer, ServeConfig, StartError, start};
