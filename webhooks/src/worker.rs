//! The worker of one webhook on this node: works while the place is its own, watches while it is another node's.

use std::{sync::Arc, time::Duration};

use domain::{ChangeWebhook, WebhookCommand};
use engine::{CommandError, Engine, Outcome};
use event_schemas::{Idempotency, Metadata, Position, Timestamp, WebhookId, WebhookPauseReason};
use event_store::{Log, ReadError};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;
use vault::{Vault, VaultError};

use crate::{
    Endpoint, EndpointState,
    pass::{Pass, Passed, has_room},
    place::Held,
    sender::Sender,
};

/// How long a worker sleeps at most when nothing wakes it.
const POLL: Duration = Duration::from_millis(500);
/// How long to wait before reading on after something happened, so that a busy log is read in pages.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest wait after failures of the shop's own stores.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Who the log says did what a worker does.
const ACTOR: &str = "process:webhooks";

/// What all workers of a node share.
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) engine: Engine,
    pub(crate) vault: Vault,
    pub(crate) sender: Sender,
    /// How long a place is held after it was last said to be.
    pub(crate) lease: Duration,
}

/// Why a worker cannot go on for now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Halt {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error("the webhook has no secret to sign with: rotate it")]
    NoSecret,
}

impl Shared {
    pub(crate) fn now(&self) -> Timestamp {
        self.engine.clock().now()
    }

    /// Submits a command of the workers. `name` makes a repeat of it the same command.
    pub(crate) async fn submit(
        &self,
        decision: ChangeWebhook,
        id: WebhookId,
        name: &str,
        causation_id: Option<Uuid>,
    ) -> Result<Outcome, CommandError> {
        let scope = format!("{ACTOR}|{id}|{name}");
        let metadata = Metadata {
            actor: ACTOR.to_owned(),
            command_id: Uuid::new_v5(&id.0, name.as_bytes()),
            correlation_id: None,
            causation_id,
            trace_id: None,
            idempotency: Some(Idempotency { scope, fingerprint: String::new() }),
        };
        self.engine.submit_in_turn(Box::new(decision), metadata).await
    }
}

/// The worker of one webhook.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    id: WebhookId,
    /// Who this worker is among those of all nodes, and of this one before.
    holder: Uuid,
    endpoint: watch::Receiver<Endpoint>,
    stopping: watch::Receiver<bool>,
    held: Option<Held>,
    /// Where the log says that this worker paused the webhook: what is known from before that is out of date.
    paused_at: Position,
}

/// When to look again.
enum Next {
    /// There may be more to do.
    AtOnce,
    /// After a time, or when the log moves.
    Within(Duration),
    /// After a time, or when the webhook changes; the log is not for this worker now.
    Idle(Duration),
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, endpoint: watch::Receiver<Endpoint>, stopping: watch::Receiver<bool>) -> Self {
        let id = endpoint.borrow().id;
        Self { shared, id, holder: Uuid::new_v4(), endpoint, stopping, held: None, paused_at: 0 }
    }

    /// Works until the node stops or the webhook is gone.
    pub(crate) async fn run(mut self) {
        let (mut head, mut failures) = (self.shared.log.watch(), 0_u32);
        // Without a word from outside, the end of whoever would say it is the word.
        while !*self.stopping.borrow() && self.stopping.has_changed().is_ok() && self.endpoint.has_changed().is_ok() {
            let next = match Box::pin(self.turn()).await {
                Ok(next) => {
                    failures = 0;
                    next
                }
                Err(halt) => {
                    if failures == 0 {
                        tracing::warn!(webhook = %self.id, reason = %halt, "the webhook cannot go on for now");
                    }
                    failures += 1;
                    Next::Idle(LONGEST_WAIT.min(POLL * (1 << failures.min(5))))
                }
            };
            let (wait, follows) = match next {
                Next::AtOnce => continue,
                Next::Within(wait) => (wait, true),
                Next::Idle(wait) => (wait, false),
            };
            tokio::select! {
                biased;
                _ = self.stopping.changed() => {}
                _ = self.endpoint.changed() => {}
                _ = head.changed(), if follows => tokio::time::sleep(PAUSE).await,
                () = tokio::time::sleep(wait) => {}
            }
        }
        if let Some(held) = self.held.take()
            && let Err(error) = held.release(&self.shared).await
        {
            tracing::debug!(webhook = %self.id, %error, "the webhook's place was not given back; it is free in a while");
        }
    }

    /// Takes or keeps the place, and works if it is this node's.
    async fn turn(&mut self) -> Result<Next, Halt> {
        let mut held = match self.held.take() {
            Some(held) => held,
            None => match Held::take(&self.shared, self.id, self.holder).await? {
                Some(held) => held,
                None => return Ok(Next::Idle(POLL)),
            },
        };
        match held.keep(&self.shared).await {
            Ok(true) => {}
            Ok(false) => return Ok(Next::AtOnce),
            // What was done and not yet written down is not forgotten.
            Err(halt) => {
                self.held = Some(held);
                return Err(halt);
            }
        }
        let endpoint = self.endpoint.borrow_and_update().clone();
        let (result, kept) = match endpoint.state {
            EndpointState::Active if endpoint.position >= self.paused_at => self.work(&mut held, &endpoint).await,
            EndpointState::Active | EndpointState::Paused => rest(&self.shared, &mut held).await,
        };
        self.held = kept.then_some(held);
        result
    }

    /// One pass, and holds on to the place meanwhile: receivers that are slow make a pass longer than a lease. Also says
    /// whether the place is still this node's.
    async fn work(&mut self, held: &mut Held, endpoint: &Endpoint) -> (Result<Next, Halt>, bool) {
        let shared = self.shared.clone();
        let pass = Pass::new(&shared, endpoint, &self.stopping);
        let mut running = Box::pin(pass.run(held.place.clone()));
        let passed = loop {
            tokio::select! {
                biased;
                passed = &mut running => break passed,
                () = tokio::time::sleep_until(held.renew_at) => match held.keep(&shared).await {
                    Ok(true) => {}
                    // Another node goes on from what was written down last.
                    Ok(false) => return (Ok(Next::AtOnce), false),
                    Err(halt) => {
                        tracing::debug!(webhook = %self.id, reason = %halt, "the place could not be kept");
                        held.renew_at = Instant::now() + shared.lease / 10;
                    }
                },
            }
        };
        drop(running);
        let Passed { place, worked, more, give_up } = match passed {
            Ok(passed) => passed,
            Err(halt) => return (Err(halt), true),
        };
        held.place = place;
        if give_up {
            self.pause(held).await;
        }
        if worked {
            match held.save(&shared).await {
                Ok(true) => {}
                Ok(false) => return (Ok(Next::AtOnce), false),
                Err(halt) => return (Err(halt), true),
            }
        }
        let wait = until_due(held, shared.now());
        let next = match (more || wait.is_zero(), has_room(&held.place)) {
            (true, _) => Next::AtOnce,
            (false, true) => Next::Within(wait),
            (false, false) => Next::Idle(wait),
        };
        (Ok(next), true)
    }

    /// Pauses the webhook, because its receiver wants no more or has failed for too long.
    async fn pause(&mut self, held: &mut Held) {
        let command = WebhookCommand::Pause { reason: WebhookPauseReason::Failing };
        let since = held.place.failing_since.map_or(0, |since| since.timestamp_micros());
        let name = format!("paused/{}/{since}", held.place.cursor);
        match self.shared.submit(ChangeWebhook { webhook_id: self.id, command }, self.id, &name, None).await {
            Ok(outcome) => {
                tracing::warn!(webhook = %self.id, "the webhook was paused: its receiver wants no more, or has failed for days");
                self.paused_at = outcome.position;
                refresh(held, self.shared.now());
            }
            // Tried again when the next delivery fails.
            Err(error) => tracing::warn!(webhook = %self.id, %error, "the webhook could not be paused"),
        }
    }
}

/// A webhook that is paused sends nothing; resumed, it begins its tries anew.
async fn rest(shared: &Shared, held: &mut Held) -> (Result<Next, Halt>, bool) {
    if !refresh(held, shared.now()) {
        return (Ok(Next::Idle(POLL)), true);
    }
    match held.save(shared).await {
        Ok(kept) => (Ok(Next::Idle(POLL)), kept),
        Err(halt) => (Err(halt), true),
    }
}

/// Forgets that deliveries failed, so that each is due at once with all its tries. Whether that changed anything.
fn refresh(held: &mut Held, now: Timestamp) -> bool {
    let mut changed = held.place.failing_since.take().is_some();
    for line in &mut held.place.lines {
        if line.attempts > 0 || line.due_at > now {
            (line.attempts, line.due_at, changed) = (0, now, true);
        }
    }
    changed
}

fn until_due(held: &Held, now: Timestamp) -> Duration {
    let due = held.place.lines.iter().map(|line| line.due_at).min();
    due.map_or(POLL, |due| (due - now).to_std().unwrap_or_default().min(POLL))
}
