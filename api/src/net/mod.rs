//! The network: whose connection it is, how many there may be, how long they may take, and TLS.

mod address;
mod config;
mod connection;
mod counts;
mod door;
mod host;
mod serving;
mod tls;

pub(crate) use address::{AddressKey, Client, Standing};
pub(crate) use config::network;
pub use config::{ConnectionLimits, RateOrOff, TransportArgs, TransportConfig};
pub(crate) use connection::Peer;
pub(crate) use counts::{Counts, Held};
pub(crate) use door::Door;
pub use door::TransportError;
pub(crate) use host::is_for;
pub use host::{AllowedHost, InvalidHost};
pub(crate) use serving::{Serving, serve};
pub use tls::TlsFiles;
