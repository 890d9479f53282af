//! The open shop: everything that requests share.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use domain::StoreConfig;
use engine::{Engine, LogClock, Processes};
use event_schemas::{Position, Timestamp};
use event_store::Log;
use identity::Accounts;
use projections::{Freshness, ProjectionState, Views};
use tokio::sync::watch;
use vault::{Persons, Vault};
use webhooks::Webhooks;

use crate::{
    access_log::AccessLog, as_of::Shown, audit_log::AuditLog, graphql::Schema, http::Origin, metrics::Metrics, net::Door,
    notary::ShopNotary, rights::LogRights,
};

/// The open shop.
pub(crate) struct Shop {
    /// The GraphQL schema.
    pub(crate) schema: Schema,
    /// Who somebody is: accounts, sessions, tokens.
    pub(crate) accounts: Accounts,
    /// What somebody may do, by the views.
    pub(crate) rights: Arc<LogRights>,
    /// What was refused at the door.
    pub(crate) access_log: Arc<AccessLog>,
    /// Who was shown personal data of others, and who took data along.
    pub(crate) audit_log: Arc<AuditLog>,
    /// Secrets and personal data of accounts.
    pub(crate) vault: Vault,
    /// Whether the vault was given another key since this node opened it.
    pub(crate) vault_key_replaced: AtomicBool,
    /// Whose keys seal and open personal data.
    pub(crate) persons: Persons,
    /// Whether a second person has to agree that a person be erased.
    pub(crate) erasure_approval: bool,
    /// Counts of requests.
    pub(crate) metrics: Metrics,
    /// What the store configures.
    pub(crate) config: Arc<StoreConfig>,
    /// Origins of other pages that may use it from a browser.
    pub(crate) cors_origins: Vec<Origin>,
    /// Who comes in: proxies, connections, limits and documents.
    pub(crate) door: Door,
    /// The moment, if the shop is shown as it was: then nothing of it can be changed.
    pub(crate) as_of: Option<Shown>,
    /// The log.
    pub(crate) log: Arc<dyn Log>,
    /// The decider.
    pub(crate) engine: Engine,
    /// The engine's clock: the time that all nodes agree on.
    pub(crate) clock: Arc<LogClock>,
    /// What signs heads of the log; none in a shop that is only read.
    pub(crate) notary: Option<ShopNotary>,
    /// The processes: gateways, orders, deadlines.
    pub(crate) processes: Processes,
    /// What tells other systems what happens.
    pub(crate) webhooks: Webhooks,
    /// The views.
    pub(crate) views: Views,
    /// How far the views have come.
    pub(crate) freshness: watch::Receiver<Freshness>,
    /// How far the log goes, as far as this process knows.
    pub(crate) head: watch::Receiver<Position>,
    /// Whether the server is stopping.
    pub(crate) stopping: watch::Sender<bool>,
}

impl Shop {
    /// The time whose prices and taxes hold: now, or the moment that the shop is shown as of.
    pub(crate) fn today(&self) -> Timestamp {
        self.as_of.map_or_else(|| self.engine.clock().now(), |shown| shown.today)
    }

    /// Where the log ends, as far as this process knows.
    pub(crate) fn head(&self) -> Position {
        (*self.head.borrow()).max(self.freshness.borrow().head)
    }

    /// The position that every answer from the views reflects at least, and how old what they lack may be, in ms.
    pub(crate) fn freshness(&self) -> (Position, u64) {
        let freshness = self.freshness.borrow();
        let stale = freshness.projections.iter().filter(|projection| projection.state != ProjectionState::Live);
        let Some(since) = stale.filter_map(|projection| projection.stale_since).min() else {
            return (freshness.applied(), 0);
        };
        let lag = self.engine.clock().now().signed_duration_since(since).num_milliseconds();
        (freshness.applied(), u64::try_from(lag).unwrap_or(0))
    }

    /// How the log names an address of the network: by a keyed hash, since the address itself is personal.
    pub(crate) fn address_in_log(&self, address: IpAddr) -> String {
        format!("address:{}", self.vault.blind("address", &address.to_canonical().to_string()))
    }

    /// Counts a subscription for as long as what this gives is kept, however it ends.
    pub(crate) fn subscribed(self: &Arc<Self>) -> Subscribed {
        self.metrics.subscriptions.fetch_add(1, Relaxed);
        Subscribed(self.clone())
    }
}

/// A subscription that runs.
pub(crate) struct Subscribed(Arc<Shop>);

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.0.metrics.subscriptions.fetch_sub(1, Relaxed);
    }
}
