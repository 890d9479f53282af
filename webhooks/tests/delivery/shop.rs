//! A shop whose webhooks are tested: a real log, engine and vault, and a clock that the test moves.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::{ChangeWebhook, CreateWebhook, ReceiveStock, Webhook, WebhookCommand};
use engine::{Engine, Ids as _, Limits, ManualClock, SystemIds};
use event_schemas::{CommerceEvent, Metadata, Position, StockId, StreamId, Timestamp, WebhookEvent, WebhookId};
use event_store::{Log, MemoryLog};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;
use vault::{Vault, VaultKey};
use webhooks::{Endpoint, EndpointState, Resolver, Secret, Standing, WebhookConfig, WebhookDirectory, Webhooks};

pub struct Shop {
    pub log: Arc<MemoryLog>,
    pub clock: Arc<ManualClock>,
    pub engine: Engine,
    pub vault: Vault,
    directory: Arc<FromLog>,
    _folder: TempDir,
}

/// The webhooks as the log has them.
struct FromLog {
    log: Arc<MemoryLog>,
    ids: Mutex<Vec<WebhookId>>,
}

#[async_trait]
impl WebhookDirectory for FromLog {
    async fn endpoints(&self) -> Result<Vec<Endpoint>, String> {
        let ids = self.ids.lock().unwrap().clone();
        let mut endpoints = Vec::new();
        for id in ids {
            let (mut webhook, mut position) = (Webhook::Absent, 0);
            for (at, event) in webhook_events(&*self.log, id).await {
                webhook.evolve(&event);
                position = at;
            }
            let Some(open) = webhook.open().cloned() else { continue };
            let state = if open.paused.is_some() { EndpointState::Paused } else { EndpointState::Active };
            endpoints.push(Endpoint { id, url: open.url, types: open.types, state, position });
        }
        Ok(endpoints)
    }
}

pub async fn webhook_events(log: &dyn Log, id: WebhookId) -> Vec<(Position, WebhookEvent)> {
    let recorded = log.read_stream(&StreamId::new("webhook", id), 0, 1000).await.unwrap();
    let mut events = Vec::new();
    for recorded in recorded {
        for event in recorded.decode().unwrap() {
            if let CommerceEvent::Webhook(event) = event {
                events.push((recorded.position, event));
            }
        }
    }
    events
}

fn by(actor: &str) -> Metadata {
    let actor = actor.to_owned();
    Metadata { actor, command_id: Uuid::now_v7(), correlation_id: None, causation_id: None, trace_id: None, idempotency: None }
}

/// Names that only a test knows.
#[derive(Default)]
pub struct Names(pub Mutex<BTreeMap<String, Vec<IpAddr>>>);

impl Names {
    pub fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.0.lock().unwrap().insert(name.to_owned(), addresses);
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.0.lock().unwrap().get(host).cloned().ok_or_else(|| io::Error::other("unknown"))
    }
}

/// Webhooks to this machine, with the patience of a test that waits for nothing.
pub fn to_loopback() -> WebhookConfig {
    WebhookConfig { allow: vec!["127.0.0.0/8".parse().unwrap()], ..WebhookConfig::default() }
}

impl Shop {
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(&format!("sqlite:{}", folder.path().join("vault.db").display()), VaultKey::generate()).await;
        Self::with(vault.unwrap(), folder).await
    }

    pub async fn with(vault: Vault, folder: TempDir) -> Self {
        let log = Arc::new(MemoryLog::new());
        let clock = Arc::new(ManualClock::new(Timestamp::from_timestamp(1_800_000_000, 0).unwrap()));
        let engine = Engine::start(log.clone(), clock.clone(), Arc::new(SystemIds), Limits::default()).await.unwrap();
        let directory = Arc::new(FromLog { log: log.clone(), ids: Mutex::default() });
        Self { log, clock, engine, vault, directory, _folder: folder }
    }

    /// The shop after its log was restored from a backup that has so many events. The vault is that of today.
    pub async fn restored(self, events: usize) -> Self {
        let log = Arc::new(MemoryLog::new());
        let kept = self.log.read(0, events).await.unwrap().into_iter().map(|recorded| recorded.event).collect();
        log.append(0, kept).await.unwrap();
        let engine = Engine::start(log.clone(), self.clock.clone(), Arc::new(SystemIds), Limits::default()).await.unwrap();
        let ids = self.directory.ids.lock().unwrap().clone();
        let directory = Arc::new(FromLog { log: log.clone(), ids: Mutex::new(ids) });
        Self { log, engine, directory, ..self }
    }

    /// A node of the shop.
    pub fn node(&self, config: WebhookConfig) -> Webhooks {
        Webhooks::start(self.log.clone(), self.engine.clone(), self.vault.clone(), self.directory.clone(), config).unwrap()
    }

    /// A webhook with its secret.
    pub async fn webhook(&self, node: &Webhooks, url: &str, types: &[&str]) -> (WebhookId, Secret) {
        let webhook_id = WebhookId(SystemIds.next());
        let types = types.iter().map(ToString::to_string).collect();
        let create = CreateWebhook { webhook_id, url: url.to_owned(), types, label: String::new(), allow_http: true };
        self.engine.submit(create, by("merchant:ana")).await.unwrap();
        self.directory.ids.lock().unwrap().push(webhook_id);
        let secret = node.create_secret(webhook_id).await.unwrap().unwrap();
        (webhook_id, secret)
    }

    pub async fn change(&self, webhook_id: WebhookId, command: WebhookCommand) -> Position {
        let outcome = self.engine.submit(ChangeWebhook { webhook_id, command }, by("merchant:ana")).await;
        outcome.unwrap().position
    }

    /// Something happens in the stream of a SKU.
    pub async fn receive(&self, sku: &str) -> Position {
        let stock = StockId { sku: sku.parse().unwrap(), location: "main".parse().unwrap() };
        let receive = ReceiveStock { stock, quantity: 1, reference: None };
        self.engine.submit(receive, by("merchant:ana")).await.unwrap().position
    }

    pub fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    /// Waits until a webhook stands as expected.
    pub async fn standing(&self, node: &Webhooks, id: WebhookId, expected: impl Fn(&Standing) -> bool) -> Standing {
        let mut last = None;
        for _ in 0..600 {
            last = node.standing(id).await.unwrap();
            if let Some(standing) = last.clone().filter(&expected) {
                return standing;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it stands so: {last:?}");
    }

    /// Waits until it is written down that what waits was tried so often.
    pub async fn tried(&self, id: WebhookId, tries: u64) {
        let mut last = None;
        for _ in 0..600 {
            last = self.vault.get::<Value>(&format!("webhook-place/{id}")).await.unwrap().map(|entry| entry.value);
            let lines = last.as_ref().and_then(|place| place["lines"].as_array());
            if lines.is_some_and(|lines| lines.iter().any(|line| line["attempts"] == tries)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("its place is this: {last:#?}");
    }

    /// Waits until the events of a webhook are as expected.
    pub async fn history(&self, id: WebhookId, expected: impl Fn(&[WebhookEvent]) -> bool) -> Vec<WebhookEvent> {
        let mut last = Vec::new();
        for _ in 0..600 {
            last = webhook_events(&*self.log, id).await.into_iter().map(|(_, event)| event).collect();
            if expected(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("this happened to it: {last:#?}");
    }
}

/// The stream of a SKU.
pub fn stream(sku: &str) -> String {
    format!("stock/{sku}@main")
}
