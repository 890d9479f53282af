//! The open shop: everything that requests share.

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{graphql::Schema, metrics::Metrics, token::TokenKey};

/// The open shop.
pub(crate) struct Shop {
    /// The GraphQL schema.
    pub(crate) schema: Schema,
    /// The key that signs tokens.
    pub(crate) token_key: TokenKey,
    /// Counts of requests.
    pub(crate) metrics: Metrics,
    /// Whether the server is stopping.
    pub(crate) stopping: watch::Sender<bool>,
}

impl Shop {
    /// Whether requests can be answered, and how everything behind them is doing.
    pub(crate) async fn readiness(&self) -> (bool, Value) {
        let ready = !*self.stopping.borrow();
        (ready, json!({ "ready": ready }))
    }

    /// Everything that Prometheus reads.
    pub(crate) async fn exposition(&self) -> String {
        self.metrics.exposition()
    }
}
