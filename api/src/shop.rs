//! The open shop: everything that requests share.

use std::sync::Arc;

use domain::StoreConfig;
use engine::{Engine, Processes};
use event_schemas::Position;
use event_store::Log;
use projections::{Freshness, ProjectionState, Views};
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
    /// What the store configures.
    pub(crate) config: Arc<StoreConfig>,
    /// The log.
    pub(crate) log: Arc<dyn Log>,
    /// The decider.
    pub(crate) engine: Engine,
    /// The processes: gateways, orders, deadlines.
    pub(crate) processes: Processes,
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

    /// Whether requests can be answered, and how everything behind them is doing.
    pub(crate) async fn readiness(&self) -> (bool, Value) {
        let head = self.log.head().await;
        let letters = self.log.dead_letters().await;
        let projections = self.views.status();
        let halted = projections.iter().any(|projection| projection.state == ProjectionState::Halted);
        // A view that holds nothing yet of a log that holds something is being built for the first time.
        let unbuilt = projections.iter().any(|projection| projection.position == 0 && projection.lag > 0);
        let ready = head.is_ok() && !halted && !unbuilt && !projections.is_empty() && !*self.stopping.borrow();
        let projections: Vec<Value> = projections
            .iter()
            .map(|projection| {
                json!({
                    "name": projection.name,
                    "state": projection.state.as_str(),
                    "position": projection.position,
                    "lag": projection.lag,
                    "reason": projection.reason,
                    "stale_since": projection.stale_since.map(event_schemas::rfc3339),
                })
            })
            .collect();
        let processes: Vec<Value> = self
            .processes
            .status()
            .iter()
            .map(|process| json!({ "name": process.name, "position": process.position, "stalled": process.stalled }))
            .collect();
        let report = json!({
            "ready": ready,
            "stopping": *self.stopping.borrow(),
            "log": match &head {
                Ok(head) => json!({ "reachable": true, "head": head.position }),
                Err(error) => json!({ "reachable": false, "reason": error.to_string() }),
            },
            "projections": projections,
            "processes": processes,
            "dead_letters": letters.map_or(Value::Null, |letters| letters.len().into()),
        });
        (ready, report)
    }
}
