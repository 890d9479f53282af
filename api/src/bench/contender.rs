//! What is measured side by side: ways to make a command durable for callers that wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::ReceiveStock;
use engine::{CommandError, Engine, Limits, SystemClock, SystemIds};
use event_schemas::{InvalidId, LocationId, Metadata, Sku, StockId};

use super::{
    BenchError,
    measure::{Measured, closed_loop},
};

/// Whether each command has its own aggregate or all have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregates {
    /// Every command goes to an aggregate that is not at hand: the store has to be asked for it.
    Cold,
    /// All commands go to one aggregate.
    Hot,
}

impl Aggregates {
    /// `cold` or `hot`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Hot => "hot",
        }
    }

    /// The stock that the next command goes to.
    ///
    /// # Errors
    /// Never: the ids are valid.
    pub fn next(self) -> Result<StockId, InvalidId> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let sku = match self {
            Self::Cold => format!("BENCH-{:012}", NEXT.fetch_add(1, Ordering::Relaxed)),
            Self::Hot => "BENCH-HOT".to_owned(),
        };
        Ok(StockId { sku: Sku::new(sku)?, location: LocationId::new("main")? })
    }
}

/// One of those that are measured side by side.
#[async_trait]
pub trait Contender: Send + Sync + 'static {
    /// Its name in the table and in the JSON.
    fn name(&self) -> &'static str;

    /// Receives one unit of stock, and returns when that is durable. Callers are numbered from 0.
    ///
    /// # Errors
    /// When it could not.
    async fn command(&self, caller: usize, aggregates: Aggregates) -> Result<(), BenchError>;
}

/// So many callers, each with one command at a time, for so long.
pub(super) async fn run(
    contender: &Arc<dyn Contender>,
    aggregates: Aggregates,
    callers: usize,
    time: Duration,
) -> Result<Measured, BenchError> {
    let contender = contender.clone();
    let command = move |caller, _| {
        let contender = contender.clone();
        async move { contender.command(caller, aggregates).await }
    };
    closed_loop(callers, time, command).await
}

/// Daybook itself: engines on one log, among which the callers are dealt out.
pub(super) struct Nodes {
    name: &'static str,
    engines: Vec<Engine>,
}

impl Nodes {
    /// Starts nodes, each with its own connections to the log.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub async fn start(name: &'static str, url: &str, nodes: usize) -> Result<Self, BenchError> {
        let mut engines = Vec::with_capacity(nodes);
        for _ in 0..nodes {
            let log = event_store::open(url).await?;
            engines.push(Engine::start(log, Arc::new(SystemClock), Arc::new(SystemIds), Limits::default()).await?);
        }
        Ok(Self { name, engines })
    }

    /// Ends them.
    pub async fn drain(&self) {
        for engine in &self.engines {
            engine.drain().await;
        }
    }
}

#[async_trait]
impl Contender for Nodes {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn command(&self, caller: usize, aggregates: Aggregates) -> Result<(), BenchError> {
        let engine = &self.engines[caller % self.engines.len()];
        let command_id = engine.ids().next();
        let decision = ReceiveStock { stock: aggregates.next()?, quantity: 1, reference: None };
        let actor = "bench".to_owned();
        let metadata =
            Metadata { actor, command_id, correlation_id: None, causation_id: None, trace_id: None, idempotency: None };
        let outcome = engine.submit(decision, metadata).await;
        outcome.map(|_| ()).map_err(|error: CommandError| BenchError::Command(error.to_string()))
    }
}
