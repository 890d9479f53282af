//! A vault that was lost is not replaced in silence: whoever serves a log whose personal data or accounts were in a vault, with a
//! vault that holds none of it, is told so.
//!
//! A vault that was once served with a log says so in an entry of its own. One that does not, and has no key of any person and
//! no account either, is new; then the log is read for what only a vault can open, once, until the entry is there.

use event_store::{Log, ReadError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vault::{Vault, VaultError};

use crate::accounts::AccountsError;

/// Where a vault says that it is the one of a shop that is served.
const IN_USE: &str = "setting/in-use";
/// Beginnings of names that only a vault in use has: keys of persons, and accounts.
const USED: [&str; 2] = ["person-keys/", "account/"];
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
    if !accept_new && !is_used(vault).await? {
        let needs = needs_a_vault(log).await?;
        // Another node may have begun to use both meanwhile.
        if let Some((position, what)) = needs
            && !is_in_use(vault).await?
        {
            return Err(AccountsError::VaultLost { vault: vault.name().to_owned(), what, position });
        }
    }
    match vault.put(IN_USE, None, &InUse {}, None).await {
        Ok(_) | Err(VaultError::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn is_in_use(vault: &Vault) -> Result<bool, VaultError> {
    Ok(vault.get::<InUse>(IN_USE).await?.is_some())
}

/// Whether something is in it that a shop puts there which has persons or accounts.
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
