//! Names to addresses, each address checked before anything connects to it.

use std::{error::Error, io, net::IpAddr, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::AddressRules;

/// Finds the addresses of a name.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of a name, at least one.
    ///
    /// # Errors
    /// If the name is not known, or nobody can be asked.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Which of the rules a connection is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Over TLS: any address that is allowed.
    Encrypted,
    /// Without: only networks that the operator has named.
    Plain,
}

/// An address that nothing is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address is not one that webhooks may be sent to")]
pub(crate) struct Forbidden;

/// A name that has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name does not resolve to an address")]
pub(crate) struct Unresolved;

/// The resolver that connections are made with: what it lets through was checked, and is what is connected to, so that a name
/// cannot point somewhere else after the check.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) rules: AddressRules,
    pub(crate) trust: Trust,
}

impl Guard {
    /// Whether an address may be connected to.
    pub(crate) fn permits(&self, address: IpAddr) -> bool {
        match self.trust {
            Trust::Encrypted => self.rules.allow(address),
            Trust::Plain => self.rules.names(address),
        }
    }

    /// The addresses of a name. One that is forbidden forbids the name: it points inside on purpose or by mistake.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Box<dyn Error + Send + Sync>> {
        let addresses = self.resolver.resolve(host).await.map_err(|_| Unresolved)?;
        if addresses.is_empty() {
            return Err(Unresolved.into());
        }
        if !addresses.iter().all(|address| self.permits(*address)) {
            return Err(Forbidden.into());
        }
        Ok(addresses)
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = guard.addresses(name.as_str()).await?;
            // Port 0 stands for the URL's own.
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
