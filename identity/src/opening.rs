//! Opening an account: credentials and e-mail address in the vault, the account in the log.
//!
//! Order: first the credentials (`account/<id>`) and the address (`email/<blinded>` -> id), both to expire in a day and of no
//! use for a login; then the log, under an idempotency key; then both for good. Whoever opens an account has something to try
//! again with (the code of a mail, a login elsewhere) that carries the same account id, so after a death in between it goes on
//! where it stopped. If nobody tries again, the vault forgets it, the address is free, and the log keeps an account that
//! nobody can enter.

use chrono::TimeDelta;
use domain::{AccountCommand, ChangeAccount, ClaimFirstAdmin, RegisterAccount};
use event_schemas::{AccountId, Position, Timestamp};
use vault::{Entry, VaultError};

use crate::{
    Accounts, IdentityError, IdentityRefusal, Origin, Verified,
    credentials::{self, Credentials},
};

/// How long an account that is being opened is kept.
const OPENING: TimeDelta = TimeDelta::hours(24);
/// How often a change is tried when others change the same document at the same time.
const CHANGES: usize = 16;

/// What the account becomes.
#[derive(Clone, Copy)]
pub(crate) enum Opening {
    /// A customer whose e-mail address is known to be theirs.
    Customer,
    /// The first admin; refused if there is one.
    FirstAdmin,
}

impl Accounts {
    /// Opens an account, or goes on opening it.
    pub(crate) async fn open(
        &self,
        account_id: AccountId,
        credentials: Credentials,
        opening: Opening,
        origin: &Origin,
    ) -> Result<Verified, IdentityError> {
        if let Some(open) = self.credentials(account_id).await? {
            return Ok(Verified { account_id, position: self.pay(account_id, &open, origin).await? });
        }
        let until = self.now() + OPENING;
        self.place(account_id, &credentials, until).await?;
        self.hold(&credentials.email, account_id, Some(until)).await?;
        let position = match self.register_in_log(account_id, opening, origin).await {
            Ok(position) => position,
            Err(error @ IdentityError::Refused(_)) => {
                // There is an admin: nothing is left of the attempt.
                self.vault().remove(&self.email_name(&credentials.email)).await?;
                self.vault().remove(&credentials::name(account_id)).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        self.hold(&credentials.email, account_id, None).await?;
        let open = self.confirm(account_id).await?;
        let last = self.pay(account_id, &open, origin).await?;
        Ok(Verified { account_id, position: last.or(position) })
    }

    async fn register_in_log(
        &self,
        account_id: AccountId,
        opening: Opening,
        origin: &Origin,
    ) -> Result<Option<Position>, IdentityError> {
        let key = Some(format!("accounts|open|{account_id}"));
        match opening {
            Opening::FirstAdmin => Ok(self.submit(ClaimFirstAdmin { account_id }, origin, key).await?.position),
            Opening::Customer => {
                self.submit(RegisterAccount { account_id }, origin, key).await?;
                let verify = ChangeAccount { account_id, command: AccountCommand::Verify };
                Ok(self.submit(verify, origin, None).await?.position)
            }
        }
    }

    /// Writes the credentials of an account that is not open yet.
    async fn place(&self, id: AccountId, credentials: &Credentials, until: Timestamp) -> Result<(), IdentityError> {
        let name = credentials::name(id);
        for _ in 0..CHANGES {
            let version = match self.vault().get::<Credentials>(&name).await? {
                Some(entry) if entry.value.confirmed => return Ok(()),
                entry => entry.map(|entry| entry.version),
            };
            match self.vault().put(&name, version, credentials, Some(until)).await {
                Ok(_) => return Ok(()),
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(IdentityError::overloaded())
    }

    /// Holds an e-mail address for an account, until then or for good.
    pub(crate) async fn hold(&self, email: &str, id: AccountId, until: Option<Timestamp>) -> Result<(), IdentityError> {
        let name = self.email_name(email);
        for _ in 0..CHANGES {
            let held = self.vault().get::<AccountId>(&name).await?;
            if let Some(held) = &held
                && held.value != id
                // One that was begun with this address and not opened does not keep it.
                && (until.is_none() || self.keeps(email, held).await?)
            {
                return Err(IdentityRefusal::EmailTaken.into());
            }
            match self.vault().put(&name, held.map(|held| held.version), &id, until).await {
                Ok(_) => return Ok(()),
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(IdentityError::overloaded())
    }

    /// Whether an account keeps the address that it holds: it has it, and is open, or the log knows it and it is about to be.
    async fn keeps(&self, email: &str, held: &Entry<AccountId>) -> Result<bool, IdentityError> {
        let document = self.vault().get::<Credentials>(&credentials::name(held.value)).await?;
        let theirs = document.filter(|document| document.value.answers_to(email));
        Ok(theirs.is_some_and(|document| document.value.confirmed || held.expires_at.is_none()))
    }

    /// From now on one can log in.
    async fn confirm(&self, id: AccountId) -> Result<Credentials, IdentityError> {
        let name = credentials::name(id);
        for _ in 0..CHANGES {
            let entry = self.vault().get::<Credentials>(&name).await?;
            let Entry { mut value, version, .. } = entry.ok_or_else(IdentityError::no_account)?;
            if value.confirmed {
                return Ok(value);
            }
            value.confirmed = true;
            match self.vault().put(&name, Some(version), &value, None).await {
                Ok(_) => return Ok(value),
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(IdentityError::overloaded())
    }
}
