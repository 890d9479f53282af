//! The door: GraphQL over HTTP, configuration and wiring, and the daybook binary.

pub mod access;
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
mod readiness;
mod serve;
mod shop;
mod token;

pub use http::{InvalidOrigin, Origin};
pub use logging::{LogFormat, start_logging};
pub use serve::{RunningServer, ServeConfig, StartError, start};
pub use token::{TokenError, TokenKey};
