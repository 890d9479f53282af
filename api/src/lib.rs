//! The door: GraphQL over HTTP, configuration and wiring, and the daybook binary.

pub mod access;
mod access_log;
mod accounts;
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
mod metrics;
mod net;
mod persisted;
mod rates;
mod readiness;
mod rights;
mod serve;
mod shop;
mod webhook_directory;

pub use accounts::{AccountsError, OidcIssuer};
pub use http::{InvalidOrigin, Origin};
pub use logging::{LogFormat, start_logging};
pub use net::{AllowedHost, ConnectionLimits, InvalidHost, RateOrOff, TlsFiles, TransportArgs, TransportConfig, TransportError};
pub use persisted::DocumentsError;
pub use rates::{InvalidRate, Rate, RateLimits};
pub use serve::{RunningServer, ServeConfig, StartError, start};
