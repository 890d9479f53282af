//! How far a webhook has come, in the vault: one document that is also the lease of whoever works on it, so that a write of
//! somebody who has lost the lease is refused by the document's version.

use std::time::Duration;

use event_schemas::{Position, StreamId, Timestamp, WebhookId};
use event_store::{Log, ReadError};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;
use vault::{Entry, Vault, VaultError};

use crate::{
    line::Line,
    marks::{Ground, Marks},
    secrets,
    worker::{Halt, Shared},
};

/// Events of a stream that are looked at when the log is not what it was.
const OF_STREAM: usize = 1_000;

/// How far a webhook has come, and whose it is to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The worker that works on it.
    holder: Uuid,
    /// Until when nobody else may.
    held_until: Timestamp,
    /// Every event of the log up to here is delivered, waits in a line, or is not for this webhook.
    pub(crate) cursor: Position,
    /// Events on the way there.
    #[serde(default)]
    pub(crate) marks: Marks,
    /// What waits.
    pub(crate) lines: Vec<Line>,
    /// Since when nothing was delivered although it was tried.
    pub(crate) failing_since: Option<Timestamp>,
    /// When something was delivered last.
    pub(crate) delivered_at: Option<Timestamp>,
    /// What went wrong last, since anything was delivered.
    pub(crate) last_failure: Option<String>,
}

impl Place {
    fn first(holder: Uuid, cursor: Position, now: Timestamp) -> Self {
        let (lines, marks, held_until) = (Vec::new(), Marks::default(), now);
        Self { holder, held_until, cursor, marks, lines, failing_since: None, delivered_at: None, last_failure: None }
    }

    /// Goes back to where the log is still the one that was followed. What happened after that is told again, or for the first
    /// time; of what waits, that which the log has not any more goes.
    async fn go_back(&mut self, log: &dyn Log, ground: Position) -> Result<(), ReadError> {
        let mut kept = Vec::new();
        for mut line in std::mem::take(&mut self.lines) {
            let Ok(stream) = line.stream.parse::<StreamId>() else { continue };
            let known = log.read_stream(&stream, line.next.saturating_sub(1), OF_STREAM).await?;
            let known = known.iter().filter(|event| event.position <= ground).map(|event| event.event.sequence).max();
            if let Some(known) = known
                && line.again.is_none_or(|asked_at| asked_at <= ground)
            {
                line.last = line.last.min(known);
                kept.push(line);
            }
        }
        self.lines = kept;
        self.marks.forget_after(ground);
        self.cursor = ground;
        Ok(())
    }
}

fn name(id: WebhookId) -> String {
    format!("webhook-place/{id}")
}

/// The place of a webhook, if anybody has worked on it.
pub(crate) async fn load(vault: &Vault, id: WebhookId) -> Result<Option<Place>, VaultError> {
    Ok(vault.get::<Place>(&name(id)).await?.map(|entry| entry.value))
}

/// Forgets the place of a webhook that was removed.
pub(crate) async fn forget(vault: &Vault, id: WebhookId) -> Result<(), VaultError> {
    vault.remove(&name(id)).await.map(drop)
}

/// A place that is this worker's to work on.
pub(crate) struct Held {
    id: WebhookId,
    holder: Uuid,
    pub(crate) place: Place,
    version: u64,
    /// When to say again that it is.
    pub(crate) renew_at: Instant,
    /// Whether it is not known if the last write was done.
    unsure: bool,
}

impl Held {
    /// Takes the place of a webhook; none while it is another worker's, or if the webhook has no secret to sign with.
    pub(crate) async fn take(shared: &Shared, id: WebhookId, holder: Uuid) -> Result<Option<Self>, Halt> {
        let now = shared.now();
        let (version, mut place) = match shared.vault.get::<Place>(&name(id)).await? {
            Some(Entry { value, version, .. }) if value.holder == holder || value.held_until <= now => (Some(version), value),
            Some(_) => return Ok(None),
            None => match first(shared, id, holder, now).await? {
                Some(place) => (None, place),
                None => return Ok(None),
            },
        };
        let ground = match place.marks.ground(&*shared.log).await? {
            Ground::Firm => None,
            Ground::BackAt(position) => Some(position),
            Ground::Lost => match first(shared, id, holder, now).await? {
                Some(created) => Some(created.cursor),
                None => return Ok(None),
            },
        };
        if let Some(ground) = ground {
            let cursor = place.cursor;
            tracing::warn!(webhook = %id, cursor, ground, "the log is not the one that was followed: told from there again");
            place.go_back(&*shared.log, ground).await?;
        }
        (place.holder, place.held_until) = (holder, until(now, shared.lease));
        let renew_at = Instant::now() + shared.lease / 3;
        match shared.vault.put(&name(id), version, &place, None).await {
            Ok(version) => Ok(Some(Self { id, holder, place, version, renew_at, unsure: false })),
            Err(VaultError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes sure that it is still this worker's, and says so again when it is time. False when it is lost.
    pub(crate) async fn keep(&mut self, shared: &Shared) -> Result<bool, Halt> {
        if self.unsure {
            match shared.vault.get::<Place>(&name(self.id)).await? {
                // Only this worker writes with this holder, so what it knows is at least as new.
                Some(entry) if entry.value.holder == self.holder => (self.version, self.unsure) = (entry.version, false),
                _ => return Ok(false),
            }
            return self.save(shared).await;
        }
        if self.place.held_until <= shared.now() {
            return Ok(false);
        }
        if self.renew_at <= Instant::now() { self.save(shared).await } else { Ok(true) }
    }

    /// Writes it down, and holds it for another lease. False when it is lost; nothing was written then.
    pub(crate) async fn save(&mut self, shared: &Shared) -> Result<bool, Halt> {
        let held_until = until(shared.now(), shared.lease);
        self.write(shared, held_until).await
    }

    /// Writes it down and lets go of it.
    pub(crate) async fn release(mut self, shared: &Shared) -> Result<(), Halt> {
        self.write(shared, shared.now()).await.map(drop)
    }

    async fn write(&mut self, shared: &Shared, held_until: Timestamp) -> Result<bool, Halt> {
        let place = Place { held_until, ..self.place.clone() };
        let renew_at = Instant::now() + shared.lease / 3;
        match shared.vault.put(&name(self.id), Some(self.version), &place, None).await {
            Ok(version) => {
                (self.place, self.version, self.renew_at) = (place, version, renew_at);
                Ok(true)
            }
            Err(VaultError::Conflict) => Ok(false),
            Err(error) => {
                self.unsure = true;
                Err(error.into())
            }
        }
    }
}

fn until(now: Timestamp, lease: Duration) -> Timestamp {
    chrono::TimeDelta::from_std(lease).ok().and_then(|lease| now.checked_add_signed(lease)).unwrap_or(now)
}

/// Where a webhook begins: at its creation, so that it is told of what happens from then on.
async fn first(shared: &Shared, id: WebhookId, holder: Uuid, now: Timestamp) -> Result<Option<Place>, Halt> {
    // One that was removed has no secret any more, and must not begin anew.
    if secrets::load(&shared.vault, id).await?.is_none() {
        return Ok(None);
    }
    let created = shared.log.read_stream(&StreamId::new("webhook", id), 0, 1).await?;
    Ok(created.first().map(|created| Place::first(holder, created.position, now)))
}
