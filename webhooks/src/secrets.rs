//! The signing secrets, in the vault: the log never holds one.

use chrono::TimeDelta;
use event_schemas::{Timestamp, WebhookId};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use vault::{Vault, VaultError};

use crate::Secret;

/// How long an old secret signs along after a rotation, so that a receiver has time to learn the new one.
const OVERLAP: TimeDelta = TimeDelta::hours(24);

/// The secrets of one webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Secrets {
    current: Secret,
    previous: Option<Previous>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Previous {
    secret: Secret,
    until: Timestamp,
}

impl Secrets {
    /// What a message of now is signed with, the current secret first.
    pub(crate) fn signing(&self, now: Timestamp) -> Vec<&Secret> {
        let previous = self.previous.as_ref().filter(|previous| now < previous.until);
        std::iter::once(&self.current).chain(previous.map(|previous| &previous.secret)).collect()
    }
}

/// How the names of the secrets begin; a webhook's id follows.
const KIND: &str = "webhook-secret/";
/// Names listed at once.
const LISTED: u32 = 500;

fn name(id: WebhookId) -> String {
    format!("{KIND}{id}")
}

/// The webhooks that have a secret.
pub(crate) async fn owners(vault: &Vault) -> Result<Vec<WebhookId>, VaultError> {
    let (mut owners, mut after) = (Vec::new(), None);
    loop {
        let page = vault.list::<IgnoredAny>(KIND, after.as_deref(), LISTED).await?;
        owners.extend(page.iter().filter_map(|(name, _)| name.strip_prefix(KIND)?.parse::<WebhookId>().ok()));
        match page.into_iter().next_back() {
            Some((last, _)) => after = Some(last),
            None => return Ok(owners),
        }
    }
}

/// The secrets of a webhook, if it has any.
pub(crate) async fn load(vault: &Vault, id: WebhookId) -> Result<Option<Secrets>, VaultError> {
    Ok(vault.get::<Secrets>(&name(id)).await?.map(|entry| entry.value))
}

/// Gives a webhook its first secret; none if it has one already, which is not shown again.
pub(crate) async fn create(vault: &Vault, id: WebhookId) -> Result<Option<Secret>, VaultError> {
    let current = Secret::generate();
    match vault.put(&name(id), None, &Secrets { current: current.clone(), previous: None }, None).await {
        Ok(_) => Ok(Some(current)),
        Err(VaultError::Conflict) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives a webhook a new secret. The one before it goes on signing for a day; one before that ends at once.
pub(crate) async fn rotate(vault: &Vault, id: WebhookId, now: Timestamp) -> Result<Secret, VaultError> {
    let current = Secret::generate();
    let entry = vault.get::<Secrets>(&name(id)).await?;
    let version = entry.as_ref().map(|entry| entry.version);
    let previous = entry.map(|entry| Previous { secret: entry.value.current, until: now + OVERLAP });
    vault.put(&name(id), version, &Secrets { current: current.clone(), previous }, None).await?;
    Ok(current)
}

/// Forgets the secrets of a webhook that was removed.
pub(crate) async fn forget(vault: &Vault, id: WebhookId) -> Result<(), VaultError> {
    vault.remove(&name(id)).await.map(drop)
}
