//! A vault that was lost is not replaced in silence: whoever serves a log whose personal data or accounts were in a vault, with a
//! vault that holds none of it, is told so.
//!
//! A vault that was once served with a log says so in an entry of its own. One that does not, and has nothing else either that
//! only a vault in use has, is new; then the log is read for what only a vault can open, once, until the entry is there.

use event_store::{Log, ReadError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vault::{Vault, VaultError};

use crate::accounts::{AccountsError, ISSUER_NAME};

/// Where a vault says that it is the one of a shop that is served.
const IN_USE: &str = "setting/in-use";
/// Beginnings of names that only a vault in use has: keys of persons, accounts, API keys, the secrets of webhooks, and who signs
/// tokens, which only serving says. (Keys that sign tokens are made by `daybook token` too.)
const USED: [&str; 5] = ["person-keys/", "account/", "api-key/", "webhook-secret/", ISSUER_NAME];
/// Events that are read in one go.
const PAGE: usize = 1_000;
/// Aggregates of which a vault holds what they are entered, or signed, with.
const SECRETIVE: [&str; 3] = ["account", "api_key", "webhook"];

/// The entry.
#[derive(Serialize, Deserialize)]
struct InUse {}

/// Refuses a new vault beside a log that needs the one that was there, unless it is accepted; one that is not refused is known
/// as in use from then on.
///
/// # Errors
/// [`AccountsError::VaultLost`], or what is wrong with the vault or the log.
pub(crate) async fn must_not_be_lost(vault: &Vault, log: &dyn Log, accept_new: bool) -> Result<(), AccountsError> {
    if is_in_use(vault).await? {
        return Ok(());
    }
    if !accept_new {
        must_fit(vault, log).await?;
    }
    match vault.put(IN_USE, None, &InUse {}, None).await {
        Ok(_) | Err(VaultError::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a new vault beside a log that needs the one that was there. Nothing is changed.
///
/// # Errors
/// As [`must_not_be_lost`].
pub(crate) async fn must_fit(vault: &Vault, log: &dyn Log) -> Result<(), AccountsError> {
    if is_in_use(vault).await? || is_used(vault).await? {
        return Ok(());
    }
    match needs_a_vault(log).await? {
        // Another node may have begun to use both meanwhile.
        Some((position, what)) if !is_in_use(vault).await? => {
            Err(AccountsError::VaultLost { vault: vault.name().to_owned(), what, position })
        }
        _ => Ok(()),
    }
}

async fn is_in_use(vault: &Vault) -> Result<bool, VaultError> {
    Ok(vault.get::<InUse>(IN_USE).await?.is_some())
}

/// Whether something is in it that only a shop puts there which is served, or has persons.
async fn is_used(vault: &Vault) -> Result<bool, VaultError> {
    for prefix in USED {
        if !vault.list::<Value>(prefix, None, 1).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first event that a vault is needed for, and what it is about.
async fn needs_a_vault(log: &dyn Log) -> Result<Option<(u64, String)>, ReadError> {
    let mut after = 0;
    loop {
        let page = log.read(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(None) };
        after = last.position;
        for recorded in &page {
            let kind = &*recorded.event.stream.aggregate_type;
            if SECRETIVE.contains(&kind) {
                return Ok(Some((recorded.position, recorded.event.event_type.clone().into_owned())));
            }
            // What this version cannot read, it cannot open either.
            if recorded.sealed_texts().is_ok_and(|texts| !texts.is_empty()) {
                return Ok(Some((recorded.position, format!("sealed personal data in {}", recorded.event.event_type))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use event_schemas::{Proposed, StreamId, Timestamp};
    use event_store::MemoryLog;
    use serde_json::json;
    use uuid::Uuid;
    use vault::VaultKey;

    use super::*;

    /// A log whose only event is one of an API key.
    async fn log() -> MemoryLog {
        let (log, at) = (MemoryLog::new(), Timestamp::UNIX_EPOCH);
        let issued = Proposed {
            event_id: Uuid::new_v4(),
            stream: StreamId::new("api_key", "till"),
            sequence: 1,
            event_type: "ApiKeyIssued".into(),
            event_version: 1,
            payload: "{}".into(),
            metadata: "{}".into(),
            recorded_at: at,
            occurred_at: at,
            idempotency_scope: None,
        };
        log.append(0, vec![issued]).await.unwrap();
        log
    }

    #[tokio::test]
    async fn a_vault_from_before_it_said_so_is_known_by_whatever_only_a_shop_in_use_puts_there() {
        let (folder, log) = (tempfile::tempdir().unwrap(), log().await);
        let entries = ["api-key/1", "webhook-secret/1", "setting/issuer", "account/1", "person-keys/1"];
        for (number, name) in entries.into_iter().enumerate() {
            let url = format!("sqlite:{}", folder.path().join(format!("{number}.db")).display());
            let vault = Vault::open(&url, VaultKey::generate()).await.unwrap();
            // Such as `daybook token` and `daybook notary-key` make beside any log.
            for tools in ["signing-key/ring", "notary-key/1"] {
                vault.put(tools, None, &json!({}), None).await.unwrap();
            }
            for _ in 0..2 {
                let new = must_not_be_lost(&vault, &log, false).await;
                assert!(matches!(new, Err(AccountsError::VaultLost { position: 1, .. })), "{new:?}");
                assert!(must_fit(&vault, &log).await.is_err());
            }
            vault.put(name, None, &json!({}), None).await.unwrap();
            must_fit(&vault, &log).await.unwrap();
            assert!(!is_in_use(&vault).await.unwrap(), "who only reads says nothing of it");
            must_not_be_lost(&vault, &log, false).await.unwrap();
            assert!(is_in_use(&vault).await.unwrap());
        }
    }
}
