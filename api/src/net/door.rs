//! What the shop keeps about who comes in: its proxies, hosts, limits and documents.

use std::{
    fmt::Write,
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::http::HeaderMap;
use ipnet::IpNet;

use crate::{
    metrics::{gauge, header},
    net::{AllowedHost, Client, Counts, Standing, TransportConfig, connection::Connections},
    persisted::{Documents, DocumentsError},
    rates::Rates,
};

/// How often what limits need not know any more is forgotten.
const SWEEP: Duration = Duration::from_secs(5);

/// Why the shop cannot be reached as the operator wants it.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A certificate or key cannot be used.
    #[error("the TLS file {0} cannot be used: {1}")]
    Tls(PathBuf, String),
    /// The trusted documents cannot be used.
    #[error(transparent)]
    Documents(#[from] DocumentsError),
}

/// What the shop keeps about who comes in.
pub(crate) struct Door {
    /// The connections that are open.
    pub(crate) connections: Arc<Connections>,
    /// The sockets and event streams that are open, by address.
    pub(crate) streams: Arc<Counts>,
    /// How often who may ask; as often as they like without.
    pub(crate) rates: Option<Rates>,
    /// The hosts that requests may be for.
    pub(crate) hosts: Vec<AllowedHost>,
    /// Documents that clients name instead of sending them.
    pub(crate) documents: Documents,
    /// Whether callers without a token see neither the schema nor GraphiQL.
    pub(crate) production: bool,
    /// Whether it is reached by HTTPS.
    pub(crate) tls: bool,
    proxies: Vec<IpNet>,
    limit_local: bool,
    /// Whether the operator was told of a proxy that nobody declared.
    told_of_proxy: AtomicBool,
}

impl Door {
    /// A door as the operator wants it.
    ///
    /// # Errors
    /// If the trusted documents cannot be used.
    pub(crate) fn open(config: &TransportConfig) -> Result<Self, TransportError> {
        let TransportConfig { connections, trusted_proxies, limit_local, .. } = config;
        Ok(Self {
            connections: Connections::new(connections, trusted_proxies.clone(), *limit_local),
            streams: Counts::new(connections.streams_per_address),
            rates: config.rates.as_ref().map(Rates::new),
            hosts: config.allowed_hosts.clone(),
            documents: Documents::open(config.trusted_documents.as_deref(), config.trusted_only)?,
            production: config.production,
            tls: config.tls.is_some(),
            proxies: trusted_proxies.clone(),
            limit_local: *limit_local,
            told_of_proxy: AtomicBool::new(false),
        })
    }

    /// Who sends a request with these headers over a connection of `peer`.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        let client = Client::of(peer, headers, &self.proxies, self.limit_local);
        if client.standing != Standing::Stranger && !self.told_of_proxy.load(Relaxed) {
            self.tell_of_proxy(peer, headers);
        }
        client
    }

    /// Tells the operator, once, that a proxy nearby hands on whom it saw, but is not believed.
    fn tell_of_proxy(&self, peer: IpAddr, headers: &HeaderMap) {
        let is_declared = self.proxies.iter().any(|network| network.contains(&peer.to_canonical()));
        if headers.contains_key("x-forwarded-for") && !is_declared && !self.told_of_proxy.swap(true, Relaxed) {
            tracing::warn!(
                %peer,
                "a proxy that was not declared passes requests on: its clients are not limited one by one; `daybook serve \
                 --trusted-proxy` with its address lets its X-Forwarded-For be believed"
            );
        }
    }

    /// Forgets what limits need not know any more, for as long as the door is there.
    pub(crate) async fn sweep<S>(shop: Weak<S>, door: fn(&S) -> &Self) {
        while let Some(shop) = shop.upgrade() {
            if let Some(rates) = &door(&shop).rates {
                rates.sweep();
            }
            drop(shop);
            tokio::time::sleep(SWEEP).await;
        }
    }

    /// What Prometheus reads of it.
    pub(crate) fn exposition(&self, text: &mut String) {
        gauge(text, "daybook_connections", "Connections that are open.", self.connections.open() as u64);
        let (limited, bans) = self.rates.as_ref().map_or((0, 0), Rates::counts);
        for (name, help, count) in [
            (
                "daybook_connections_refused_total",
                "Connections closed at once because there were too many.",
                self.connections.refused(),
            ),
            ("daybook_limited_total", "Requests refused because the caller sent too many, or is banned.", limited),
            ("daybook_bans_total", "Bans of callers who went on regardless.", bans),
        ] {
            header(text, name, "counter", help);
            let _ = writeln!(text, "{name} {count}");
        }
    }
}
