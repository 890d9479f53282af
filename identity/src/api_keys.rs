//! Keys of services: `dbk_<id>_<secret>`, of which the vault keeps the hash (`api-key/<id>`) and the log the rights.
//!
//! The rules may refuse a key, so the log comes first. A death before the vault leaves a key in the log that nobody has and
//! that opens nothing: staff sees it and revokes it. A key is revoked in the log first, which is what counts; the hash that a
//! death leaves behind opens nothing either.

use domain::{ApiKey, IssueApiKey, RevokeApiKey, stream_of};
use event_schemas::ApiKeyId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Accounts, ApiKeyShown, IdentityError, NewApiKey, Origin, Written, secret};

/// What a key begins with; scanners of leaked secrets know ours by it.
pub(crate) const PREFIX: &str = "dbk_";

/// `api-key/<id>`.
#[derive(Serialize, Deserialize)]
struct KeyHash {
    hash: String,
}

/// The id of a key and the hash of its secret.
pub(crate) fn read(key: &str) -> Option<(ApiKeyId, String)> {
    let (id, given) = key.strip_prefix(PREFIX)?.split_once('_')?;
    Some((ApiKeyId(Uuid::try_parse(id).ok()?), secret::hash(given)))
}

impl Accounts {
    /// Makes a key. It is answered here and never again.
    ///
    /// # Errors
    /// A rule of API keys, or [`IdentityError`] when a store fails.
    pub async fn create_api_key(&self, new: NewApiKey, origin: &Origin) -> Result<ApiKeyShown, IdentityError> {
        let id = ApiKeyId(self.new_id());
        let NewApiKey { permissions, label, expires_at } = new;
        let written = self.submit(IssueApiKey { api_key_id: id, permissions, label, expires_at }, origin, None).await?;
        let random = secret::random_hex();
        self.vault().put(&name(id), None, &KeyHash { hash: secret::hash(&random) }, expires_at).await?;
        let key = format!("{PREFIX}{}_{random}", id.0.simple());
        Ok(ApiKeyShown { id, key, position: written.position })
    }

    /// Takes a key back for good.
    ///
    /// # Errors
    /// `API_KEY_NOT_FOUND`, or [`IdentityError`] when a store fails.
    pub async fn revoke_api_key(&self, id: ApiKeyId, origin: &Origin) -> Result<Written, IdentityError> {
        let decision = origin.expecting(stream_of::<ApiKey>(id), RevokeApiKey { api_key_id: id });
        let written = self.submit(decision, origin, None).await?;
        self.vault().remove(&name(id)).await?;
        self.shared.cache.forget_key(id);
        Ok(written)
    }

    pub(crate) async fn api_key_hash(&self, id: ApiKeyId) -> Result<Option<String>, IdentityError> {
        Ok(self.vault().get::<KeyHash>(&name(id)).await?.map(|entry| entry.value.hash))
    }
}

fn name(id: ApiKeyId) -> String {
    format!("api-key/{}", id.0.simple())
}
