//! What the tests ask of the engine: one SKU that comes in and goes out.

use std::sync::Arc;

use domain::{AdjustStock, ReceiveStock};
use engine::{CommandError, Engine, Limits, Outcome, SystemClock, SystemIds};
use event_schemas::{AdjustmentReason, Idempotency, LocationId, Metadata, Sku, StockId};
use event_store::Log;
use uuid::Uuid;

pub async fn engine(log: Arc<impl Log>, limits: Limits) -> Engine {
    // No two nodes of a log give the same ids.
    Engine::start(log, Arc::new(SystemClock), Arc::new(SystemIds), limits).await.unwrap()
}

pub fn tea() -> StockId {
    stock("TEA")
}

pub fn stock(sku: &str) -> StockId {
    StockId { sku: Sku::new(sku).unwrap(), location: LocationId::new("main").unwrap() }
}

pub fn by(actor: &str) -> Metadata {
    let actor = actor.to_owned();
    Metadata { actor, command_id: Uuid::now_v7(), correlation_id: None, causation_id: None, trace_id: None, idempotency: None }
}

pub fn keyed(key: &str, content: &str) -> Metadata {
    let key = Idempotency { scope: format!("ana|stockReceive|{key}"), fingerprint: content.to_owned() };
    Metadata { idempotency: Some(key), ..by("ana") }
}

pub async fn receive(engine: &Engine, quantity: u32) -> Result<Outcome, CommandError> {
    engine.submit(ReceiveStock { stock: tea(), quantity, reference: None }, by("ana")).await
}

pub async fn receive_keyed(engine: &Engine, quantity: u32, key: Metadata) -> Result<Outcome, CommandError> {
    engine.submit(ReceiveStock { stock: tea(), quantity, reference: None }, key).await
}

pub async fn take_one(engine: &Engine) -> Result<Outcome, CommandError> {
    let decision = AdjustStock { stock: tea(), delta: -1, reason: AdjustmentReason::Lost, note: None };
    engine.submit(decision, by("ben")).await
}
