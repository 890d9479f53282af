//! The webhooks of a node: a worker for each webhook that the directory lists, their secrets, and tries by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use engine::Engine;
use event_schemas::{Position, StreamId, Timestamp, WebhookId};
use event_store::Log;
use ipnet::IpNet;
use tokio::{
    sync::{Mutex, Notify, watch},
    task::JoinHandle,
    time::Instant,
};
use uuid::Uuid;
use vault::{Vault, VaultError};

use crate::{
    AddressRules, Attempt, Endpoint, Reason, Resolver, Secret, SystemResolver, UrlRefusal, WebhookDirectory,
    message::test_message,
    place, secrets,
    sender::Sender,
    worker::{Halt, Shared, Worker},
};

/// How often the directory is asked.
const LOOK: Duration = Duration::from_secs(1);
/// Events of a webhook's own stream read at once.
const EVENTS: usize = 500;

/// How webhooks are sent.
#[derive(Clone)]
pub struct WebhookConfig {
    /// Networks beyond the public one that may be sent to, also without TLS.
    pub allow: Vec<IpNet>,
    /// How long a receiver may take to answer.
    pub timeout: Duration,
    /// How long a node keeps a webhook to itself after it last said so: another takes over that much later when it dies.
    pub lease: Duration,
    /// Who finds the addresses of names.
    pub resolver: Arc<dyn Resolver>,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        let (timeout, lease) = (Duration::from_secs(10), Duration::from_secs(30));
        Self { allow: Vec::new(), timeout, lease, resolver: Arc::new(SystemResolver) }
    }
}

/// Why something about a webhook could not be done.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The vault cannot be used, or another has just changed the same secret.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The webhook has no secret, so nothing can be signed: rotate it.
    #[error("the webhook has no secret to sign with")]
    NoSecret,
    /// This machine cannot do TLS.
    #[error("webhooks cannot be sent from this machine: {0}")]
    Client(#[from] reqwest::Error),
}

/// How a webhook is doing. Written down every few seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Every event of the log up to here is delivered, waits, or is not for this webhook.
    pub position: Position,
    /// Streams whose next event waits, for its turn or to be tried again.
    pub waiting: usize,
    /// Since when nothing was delivered although it was tried.
    pub failing_since: Option<Timestamp>,
    /// When something was delivered last.
    pub delivered_at: Option<Timestamp>,
    /// What went wrong last, since anything was delivered.
    pub last_failure: Option<String>,
}

/// The webhooks of a node. When it is dropped without [`Webhooks::stop`], its workers end after what they are doing.
pub struct Webhooks {
    shared: Arc<Shared>,
    look: Arc<Notify>,
    stop: watch::Sender<bool>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Webhooks {
    /// Begins to send what the webhooks of the directory are to be told.
    ///
    /// # Errors
    /// If this machine cannot do TLS.
    pub fn start(
        log: Arc<dyn Log>,
        engine: Engine,
        vault: Vault,
        directory: Arc<dyn WebhookDirectory>,
        config: WebhookConfig,
    ) -> Result<Self, WebhookError> {
        let mut resting = Self::at_rest(log, engine, vault, config)?;
        let manager = Manager {
            shared: resting.shared.clone(),
            directory,
            look: resting.look.clone(),
            stopping: resting.stop.subscribe(),
            workers: BTreeMap::new(),
            leaving: Vec::new(),
            unlisted: BTreeSet::new(),
        };
        resting.running = Mutex::new(Some(tokio::spawn(manager.run())));
        Ok(resting)
    }

    /// Webhooks of which nothing is sent by itself: for a shop that is only looked at.
    ///
    /// # Errors
    /// If this machine cannot do TLS.
    pub fn at_rest(log: Arc<dyn Log>, engine: Engine, vault: Vault, config: WebhookConfig) -> Result<Self, WebhookError> {
        let WebhookConfig { allow, timeout, lease, resolver } = config;
        let sender = Sender::new(resolver, AddressRules::new(allow), timeout)?;
        let shared = Arc::new(Shared { log, engine, vault, sender, lease });
        Ok(Self { shared, look: Arc::new(Notify::new()), stop: watch::Sender::new(false), running: Mutex::new(None) })
    }

    /// Whether a webhook may have a URL.
    ///
    /// # Errors
    /// See [`UrlRefusal`].
    pub async fn check_url(&self, url: &str) -> Result<(), UrlRefusal> {
        self.shared.sender.check(url).await
    }

    /// Gives a new webhook its secret; none if it has one already, which is not shown again.
    ///
    /// # Errors
    /// If the vault cannot be used.
    pub async fn create_secret(&self, id: WebhookId) -> Result<Option<Secret>, WebhookError> {
        let secret = secrets::create(&self.shared.vault, id).await?;
        self.look.notify_one();
        Ok(secret)
    }

    /// Gives a webhook a new secret; the one before it goes on signing for 24 hours.
    ///
    /// # Errors
    /// If the vault cannot be used, or somebody else rotated it at the same time.
    pub async fn rotate_secret(&self, id: WebhookId) -> Result<Secret, WebhookError> {
        Ok(secrets::rotate(&self.shared.vault, id, self.shared.now()).await?)
    }

    /// Forgets a webhook that was removed: its secret, then how far it had come.
    ///
    /// # Errors
    /// If the vault cannot be used; the workers try it again.
    pub async fn forget(&self, id: WebhookId) -> Result<(), WebhookError> {
        Ok(forget(&self.shared.vault, id).await?)
    }

    /// Sends a message of the type `webhook.test` once, at once, and says how it went.
    ///
    /// # Errors
    /// If the vault cannot be used, or holds no secret for the webhook.
    pub async fn test(&self, id: WebhookId, url: &str) -> Result<Attempt, WebhookError> {
        let secrets = secrets::load(&self.shared.vault, id).await?.ok_or(WebhookError::NoSecret)?;
        let (now, began) = (self.shared.now(), Instant::now());
        let failed = match test_message(id, Uuid::new_v4(), now) {
            Ok(message) => self.shared.sender.send(url, &message, &secrets, now).await.err().map(|failure| failure.reason),
            Err(_) => Some(Reason::Message),
        };
        Ok(Attempt { failed, took: began.elapsed() })
    }

    /// How a webhook is doing; none if nobody has worked on it yet.
    ///
    /// # Errors
    /// If the vault cannot be used.
    pub async fn standing(&self, id: WebhookId) -> Result<Option<Standing>, WebhookError> {
        let place = place::load(&self.shared.vault, id).await?;
        Ok(place.map(|place| Standing {
            position: place.cursor,
            waiting: place.lines.len(),
            failing_since: place.failing_since,
            delivered_at: place.delivered_at,
            last_failure: place.last_failure,
        }))
    }

    /// Asks the directory at once: something has changed.
    pub fn look(&self) {
        self.look.notify_one();
    }

    /// Stops: what is being sent is sent, its place is written down, and another node may go on at once.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        if let Some(running) = self.running.lock().await.take()
            && let Err(error) = running.await
        {
            tracing::error!(%error, "the webhooks ended abnormally");
        }
    }
}

/// The secret goes first: without it nobody begins anew.
async fn forget(vault: &Vault, id: WebhookId) -> Result<(), VaultError> {
    secrets::forget(vault, id).await?;
    place::forget(vault, id).await
}

/// Keeps one worker for each webhook.
struct Manager {
    shared: Arc<Shared>,
    directory: Arc<dyn WebhookDirectory>,
    look: Arc<Notify>,
    stopping: watch::Receiver<bool>,
    workers: BTreeMap<WebhookId, (watch::Sender<Endpoint>, JoinHandle<()>)>,
    /// Workers of webhooks that are gone, ending what they are doing.
    leaving: Vec<JoinHandle<()>>,
    /// Webhooks that have a secret and are not listed: removed, or not listed yet.
    unlisted: BTreeSet<WebhookId>,
}

impl Manager {
    async fn run(mut self) {
        let mut begun = false;
        while !*self.stopping.borrow() && self.stopping.has_changed().is_ok() {
            match self.directory.endpoints().await {
                Ok(endpoints) => {
                    // What was removed when nobody could forget it is forgotten now.
                    begun = begun || self.find_unlisted().await;
                    self.keep(endpoints).await;
                }
                Err(reason) => tracing::warn!(reason, "the webhooks cannot be listed for now"),
            }
            tokio::select! {
                biased;
                _ = self.stopping.changed() => {}
                () = self.look.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        for (changes, worker) in std::mem::take(&mut self.workers).into_values() {
            // A worker whose node stops sees that before it sees that its webhook is gone.
            ended(worker.await);
            drop(changes);
        }
        for worker in self.leaving {
            ended(worker.await);
        }
    }

    /// Takes every webhook with a secret as not listed, until it is seen in the list. Whether that could be done.
    async fn find_unlisted(&mut self) -> bool {
        match secrets::owners(&self.shared.vault).await {
            Ok(owners) => {
                self.unlisted.extend(owners);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the secrets of webhooks cannot be listed for now");
                false
            }
        }
    }

    async fn keep(&mut self, endpoints: Vec<Endpoint>) {
        let ids: BTreeSet<_> = endpoints.iter().map(|endpoint| endpoint.id).collect();
        self.leaving.retain(|worker| !worker.is_finished());
        let gone: Vec<_> = self.workers.keys().filter(|id| !ids.contains(id)).copied().collect();
        for id in gone {
            self.unlisted.insert(id);
            // A worker ends when nobody can tell it anything any more.
            self.leaving.extend(self.workers.remove(&id).map(|(_, worker)| worker));
        }
        self.unlisted.retain(|id| !ids.contains(id));
        for id in self.unlisted.clone() {
            match self.forget_if_removed(id).await {
                Ok(true) => {
                    self.unlisted.remove(&id);
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(webhook = %id, %error, "a removed webhook's secret could not be forgotten yet"),
            }
        }
        for endpoint in endpoints {
            self.tell(endpoint);
        }
    }

    /// Forgets a webhook if the log says that it was removed; whether it does.
    async fn forget_if_removed(&self, id: WebhookId) -> Result<bool, Halt> {
        let (stream, mut after) = (StreamId::new("webhook", id), 0);
        loop {
            let events = self.shared.log.read_stream(&stream, after, EVENTS).await?;
            if events.iter().any(|recorded| recorded.event.event_type == "WebhookRemoved") {
                forget(&self.shared.vault, id).await?;
                return Ok(true);
            }
            match events.last() {
                Some(last) => after = last.event.sequence,
                None => return Ok(false),
            }
        }
    }

    /// Tells a webhook's worker what the webhook is now, or starts one.
    fn tell(&mut self, endpoint: Endpoint) {
        match self.workers.get(&endpoint.id) {
            Some((changes, worker)) if !worker.is_finished() => {
                changes.send_if_modified(|known| {
                    let changed = *known != endpoint;
                    if changed {
                        *known = endpoint;
                    }
                    changed
                });
            }
            _ => {
                let id = endpoint.id;
                let (changes, told) = watch::channel(endpoint);
                let worker = tokio::spawn(Worker::new(self.shared.clone(), told, self.stopping.clone()).run());
                if self.workers.insert(id, (changes, worker)).is_some() {
                    tracing::error!(webhook = %id, "a worker of a webhook ended by itself and was started again");
                }
            }
        }
    }
}

fn ended(worker: Result<(), tokio::task::JoinError>) {
    if let Err(error) = worker {
        tracing::error!(%error, "a worker of a webhook ended abnormally");
    }
}
