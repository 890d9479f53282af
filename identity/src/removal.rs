//! Removing an account: the person is forgotten, and the log keeps an id that nobody can enter.
//!
//! Order: the account's document says that it is leaving, then the log decides (the last administrator stays), then everything
//! that the vault has of it goes, its own document last. What a death leaves undone, the same call does, or
//! [`crate::Accounts::recover`] after a start: the document that says so is still there.
//!
//! Codes that were mailed lead nowhere without the document, and end within a day; so do counters of failed logins, whose
//! names are keyed hashes.

use domain::{AccountCommand, ChangeAccount};
use event_schemas::AccountId;

use crate::{
    AccountSession, Accounts, IdentityError, Origin, Written,
    credentials::{self, Credentials},
    letters,
};

/// Entries that are removed in one go.
const PAGE: u32 = 1_000;

impl Accounts {
    /// That somebody logged in less than 15 minutes ago: asked before what cannot be undone.
    ///
    /// # Errors
    /// [`crate::IdentityRefusal::LoginTooOld`], [`crate::IdentityRefusal::SessionEnded`]; [`IdentityError`] when a store fails.
    pub async fn must_be_recent(&self, who: AccountSession) -> Result<(), IdentityError> {
        self.recent(who).await.map(drop)
    }

    /// Removes an account for ever: its sessions, credentials and personal data. Its e-mail address can be registered again, for
    /// an account that has nothing to do with it. A repeat changes nothing.
    ///
    /// # Errors
    /// `ACCOUNT_NOT_FOUND`, `LAST_ADMIN`; [`IdentityError`] when a store fails: then it is removed by a repeat, or after the next
    /// start.
    pub async fn remove(&self, account_id: AccountId, origin: &Origin) -> Result<Written, IdentityError> {
        let leave = |leaving: bool| {
            move |credentials: &mut Credentials| {
                credentials.leaving = leaving;
                Ok(())
            }
        };
        let known = match self.change(account_id, leave(true)).await {
            Ok((credentials, ())) => Some(credentials),
            // Its document is gone already; the log says whether it ever was there.
            Err(IdentityError::Refused(_)) => None,
            Err(error) => return Err(error),
        };
        let decided = self.submit(ChangeAccount { account_id, command: AccountCommand::Remove }, origin, None).await;
        let written = match decided {
            Ok(written) => written,
            Err(error @ IdentityError::Refused(_)) => {
                if known.is_some() {
                    self.change(account_id, leave(false)).await?;
                }
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        self.shared.cache.forget_account(account_id);
        if let Some(credentials) = known {
            self.forget(account_id, &credentials).await?;
            self.tell_owner(&credentials, letters::removed);
        }
        Ok(written)
    }

    /// Removes what the vault has of an account, its document last.
    async fn forget(&self, account_id: AccountId, credentials: &Credentials) -> Result<(), IdentityError> {
        let prefix = format!("session/{}.", account_id.0.simple());
        loop {
            let page = self.vault().list::<serde_json::Value>(&prefix, None, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for (name, _) in page {
                self.vault().remove(&name).await?;
            }
        }
        for link in &credentials.links {
            self.remove_if_ours(&self.link_name(link), account_id).await?;
        }
        for email in [Some(&credentials.email), credentials.changing_to.as_ref()].into_iter().flatten() {
            self.remove_if_ours(&self.email_name(email), account_id).await?;
        }
        self.vault().remove(&credentials::name(account_id)).await?;
        Ok(())
    }

    /// Removes what points to an account, unless it points to another by now.
    pub(crate) async fn remove_if_ours(&self, name: &str, account_id: AccountId) -> Result<(), IdentityError> {
        let held = self.vault().get::<AccountId>(name).await?;
        if held.is_some_and(|held| held.value == account_id) {
            self.vault().remove(name).await?;
        }
        Ok(())
    }
}
