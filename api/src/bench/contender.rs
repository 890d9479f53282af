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
use event_store::Log;

use super::{
    BenchError,
    measure::{Measured, closed_loop},
};

/// Whether each command of a slice has its own aggregate or all have the same.
#[derive(Debug, Clone, Copy)]
pub enum Aggregates {
    /// Every command goes to an aggregate that is not at hand: the store has to be asked for it.
    Cold,
    /// All commands of a slice go to one aggregate, which no slice had before: who reads its whole stream for each command would
    /// be slower the longer the run takes, otherwise.
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
}

/// A stretch of time in which one contender is measured, and the stocks that its commands go to.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    aggregates: Aggregates,
    /// The number of its hot stock.
    hot: u64,
}

impl Slice {
    /// A new one.
    pub(super) fn of(aggregates: Aggregates) -> Self {
        Self { aggregates, hot: unused() }
    }

    /// The stock that the next command goes to.
    ///
    /// # Errors
    /// Never: the ids are valid.
    pub fn next_stock(self) -> Result<StockId, InvalidId> {
        let number = match self.aggregates {
            Aggregates::Cold => unused(),
            Aggregates::Hot => self.hot,
        };
        Ok(StockId { sku: Sku::new(format!("BENCH-{number:012}"))?, location: LocationId::new("main")? })
    }
}

/// A number that no stock has yet.
fn unused() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// One of those that are measured side by side.
#[async_trait]
pub trait Contender: Send + Sync + 'static {
    /// Its name in the table and in the JSON.
    fn name(&self) -> &'static str;

    /// How many engines it has: caller `n` asks engine `n % engines`.
    fn engines(&self) -> usize {
        1
    }

    /// Receives one unit of stock, and returns when that is durable. Callers are numbered from 0.
    ///
    /// # Errors
    /// When it could not.
    async fn command(&self, caller: usize, slice: Slice) -> Result<(), BenchError>;
}

/// So many callers, each with one command at a time, for so long. Each engine has one command before that which is not counted:
/// who shares a log catches up with what others wrote to it meanwhile, which is no part of the figure.
pub(super) async fn run(
    contender: &Arc<dyn Contender>,
    aggregates: Aggregates,
    callers: usize,
    time: Duration,
) -> Result<Measured, BenchError> {
    let slice = Slice::of(aggregates);
    for engine in 0..contender.engines() {
        contender.command(engine, slice).await?;
    }
    let contender = contender.clone();
    let command = move |caller, _| {
        let contender = contender.clone();
        async move { contender.command(caller, slice).await }
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
        let mut logs = Vec::with_capacity(nodes);
        for _ in 0..nodes {
            logs.push(event_store::open(url).await?);
        }
        Self::on(name, logs).await
    }

    /// Starts a node on each of these logs.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub async fn on(name: &'static str, logs: Vec<Arc<dyn Log>>) -> Result<Self, BenchError> {
        let mut engines = Vec::with_capacity(logs.len());
        for log in logs {
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

    fn engines(&self) -> usize {
        self.engines.len()
    }

    async fn command(&self, caller: usize, slice: Slice) -> Result<(), BenchError> {
        let engine = &self.engines[caller % self.engines.len()];
        let command_id = engine.ids().next();
        let decision = ReceiveStock { stock: slice.next_stock()?, quantity: 1, reference: None };
        let actor = "bench".to_owned();
        let metadata =
            Metadata { actor, command_id, correlation_id: None, causation_id: None, trace_id: None, idempotency: None };
        let outcome = engine.submit(decision, metadata).await;
        outcome.map(|_| ()).map_err(|error: CommandError| BenchError::Command(error.to_string()))
    }
}
