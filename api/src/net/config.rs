//! How the shop is reached, as the operator says it.

use std::{fmt, path::PathBuf};

use clap::Args;
use ipnet::IpNet;

use crate::{
    net::{AllowedHost, TlsFiles},
    rates::{Rate, RateLimits},
};

/// How many connections there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections that are open at once; fewer where the process may not open so many files.
    pub most: usize,
    /// Connections that one address has open at once. Trusted proxies, private networks and this machine may have more.
    pub per_address: usize,
    /// Sockets and event streams that one address has open at once, with the same exceptions.
    pub streams_per_address: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { most: 10_000, per_address: 200, streams_per_address: 100 }
    }
}

/// How the shop is reached, by whom, and how much of it.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    /// Certificate and key; without them the shop speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// How many connections there may be.
    pub connections: ConnectionLimits,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The hosts that requests may be for; any without them.
    pub allowed_hosts: Vec<AllowedHost>,
    /// How often who may ask; as often as they like without them.
    pub rates: Option<RateLimits>,
    /// Whether this machine and private networks are limited and banned as all others are.
    pub limit_local: bool,
    /// A JSON file of documents under their ids.
    pub trusted_documents: Option<PathBuf>,
    /// Whether those documents are the only ones that are run.
    pub trusted_only: bool,
    /// Whether callers without a token see neither the schema nor GraphiQL.
    pub production: bool,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            tls: None,
            connections: ConnectionLimits::default(),
            trusted_proxies: Vec::new(),
            allowed_hosts: Vec::new(),
            rates: Some(RateLimits::default()),
            limit_local: false,
            trusted_documents: None,
            trusted_only: false,
            production: false,
        }
    }
}

/// Flags of `daybook serve` about connections, limits and documents.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connections, limits and documents")]
pub struct TransportArgs {
    /// The certificate chain, PEM: the shop then speaks HTTPS. Read again on SIGHUP
    #[arg(long, env = "DAYBOOK_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate, PEM
    #[arg(long, env = "DAYBOOK_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// How many connections may be open at once
    #[arg(long, env = "DAYBOOK_MAX_CONNECTIONS", default_value_t = ConnectionLimits::default().most, value_name = "N")]
    pub max_connections: usize,
    /// How many of them one address may have; trusted proxies, private networks and this machine may have more
    #[arg(
        long,
        env = "DAYBOOK_MAX_CONNECTIONS_PER_ADDRESS",
        default_value_t = ConnectionLimits::default().per_address,
        value_name = "N"
    )]
    pub max_connections_per_address: usize,
    /// How many sockets and event streams one address may have open at once
    #[arg(
        long,
        env = "DAYBOOK_MAX_STREAMS_PER_ADDRESS",
        default_value_t = ConnectionLimits::default().streams_per_address,
        value_name = "N"
    )]
    pub max_streams_per_address: usize,
    /// A network of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8 or 127.0.0.1; may be given again
    #[arg(
        long = "trusted-proxy",
        env = "DAYBOOK_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_parser = network,
        value_name = "CIDR"
    )]
    pub trusted_proxies: Vec<IpNet>,
    /// A host that requests may be for, such as shop.example; any unless given; may be given again
    #[arg(long = "allowed-host", env = "DAYBOOK_ALLOWED_HOSTS", value_delimiter = ',', value_name = "HOST")]
    pub allowed_hosts: Vec<AllowedHost>,
    /// Requests of one address without an account, as 100/s, 6000/m or 90000/h; `off` lifts every rate limit and all bans
    #[arg(
        long,
        env = "DAYBOOK_RATE_LIMIT",
        default_value_t = RateOrOff(Some(RateLimits::default().address)),
        value_parser = rate_or_off,
        value_name = "RATE"
    )]
    pub rate_limit: RateOrOff,
    /// Requests of one account
    #[arg(long, env = "DAYBOOK_ACCOUNT_RATE_LIMIT", default_value_t = RateLimits::default().account, value_name = "RATE")]
    pub account_rate_limit: Rate,
    /// Requests with one API key
    #[arg(long, env = "DAYBOOK_API_KEY_RATE_LIMIT", default_value_t = RateLimits::default().api_key, value_name = "RATE")]
    pub api_key_rate_limit: Rate,
    /// Attempts of one address to sign in, to register or to reset a password
    #[arg(long, env = "DAYBOOK_SIGN_IN_RATE_LIMIT", default_value_t = RateLimits::default().sign_in, value_name = "RATE")]
    pub sign_in_rate_limit: Rate,
    /// Limit and ban this machine and private networks as all others
    #[arg(long, env = "DAYBOOK_LIMIT_LOCAL")]
    pub limit_local: bool,
    /// A JSON file {"id": "document"} of documents that clients may name by `documentId`
    #[arg(long, env = "DAYBOOK_TRUSTED_DOCUMENTS", value_name = "FILE")]
    pub trusted_documents: Option<PathBuf>,
    /// Run those documents only
    #[arg(long, env = "DAYBOOK_TRUSTED_ONLY", requires = "trusted_documents")]
    pub trusted_only: bool,
    /// Show callers without a token neither the schema nor GraphiQL
    #[arg(long, env = "DAYBOOK_PRODUCTION")]
    pub production: bool,
}

/// A rate, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateOrOff(pub Option<Rate>);

impl fmt::Display for RateOrOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(rate) => rate.fmt(f),
            None => f.write_str("off"),
        }
    }
}

fn rate_or_off(text: &str) -> Result<RateOrOff, String> {
    if text == "off" {
        return Ok(RateOrOff(None));
    }
    text.parse().map(|rate| RateOrOff(Some(rate))).map_err(|error: crate::rates::InvalidRate| format!("{error}, or off"))
}

/// A network, or one address.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let one = || text.parse::<std::net::IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
    text.parse().ok().or_else(one).ok_or_else(|| format!("`{text}` is not a network; write 10.0.0.0/8, fd00::/8 or 192.0.2.1"))
}

impl From<TransportArgs> for TransportConfig {
    fn from(args: TransportArgs) -> Self {
        let (account, api_key, sign_in) = (args.account_rate_limit, args.api_key_rate_limit, args.sign_in_rate_limit);
        Self {
            tls: args.tls_cert.zip(args.tls_key).map(|(certificate, key)| TlsFiles { certificate, key }),
            connections: ConnectionLimits {
                most: args.max_connections,
                per_address: args.max_connections_per_address,
                streams_per_address: args.max_streams_per_address,
            },
            trusted_proxies: args.trusted_proxies,
            allowed_hosts: args.allowed_hosts,
            rates: args.rate_limit.0.map(|address| RateLimits { address, account, api_key, sign_in }),
            limit_local: args.limit_local,
            trusted_documents: args.trusted_documents,
            trusted_only: args.trusted_only,
            production: args.production,
        }
    }
}
