//! Rights: roles of accounts, roles that a shop defines for itself, and accounts that are disabled.
//!
//! The rules may refuse any of it (the last admin stays), so the log comes first and is all there is to roles. An account is
//! disabled in the log first as well, which keeps it out of every session; then its sessions end in the vault. If a death comes
//! in between, they are ended when the account is enabled, before it is.

use std::sync::{Arc, Mutex, PoisonError};

use domain::{
    Account, AccountCommand, Change, ChangeAccount, Decision, DefineRole, Refusal, RemoveRole, Role, RoleRefusal, SealedText,
    World, stream_of,
};
use event_schemas::{AccountId, RoleName, SessionEndReason, StreamId};

use crate::{Accounts, IdentityError, IdentityRefusal, Origin, Written, credentials::Credentials};

impl Accounts {
    /// Gives an account a role. Whether who asks may give one that is built in is the caller's to check; for one of the shop's
    /// own see [`Origin::permissions`].
    ///
    /// # Errors
    /// [`IdentityRefusal::Beyond`], `ACCOUNT_NOT_FOUND`, `ROLE_NOT_FOUND` or another rule, or [`IdentityError`] when a store
    /// fails.
    pub async fn grant_role(&self, account_id: AccountId, role: &str, origin: &Origin) -> Result<Written, IdentityError> {
        let role = role_name(role)?;
        let command = AccountCommand::GrantRole { role: role.clone() };
        let stream = stream_of::<Account>(account_id);
        let written = self.submit_within(role, stream, ChangeAccount { account_id, command }, origin).await?;
        self.shared.cache.forget_account(account_id);
        Ok(written)
    }

    /// Takes a role from an account.
    ///
    /// # Errors
    /// `ACCOUNT_NOT_FOUND`, `LAST_ADMIN` or another rule, or [`IdentityError`] when a store fails.
    pub async fn revoke_role(&self, account_id: AccountId, role: &str, origin: &Origin) -> Result<Written, IdentityError> {
        let role = role_name(role)?;
        let command = AccountCommand::RevokeRole { role: role.clone() };
        let stream = stream_of::<Account>(account_id);
        let written = self.submit_within(role, stream, ChangeAccount { account_id, command }, origin).await?;
        self.shared.cache.forget_account(account_id);
        Ok(written)
    }

    /// Keeps an account out until it is enabled again, and ends its sessions.
    ///
    /// # Errors
    /// `ACCOUNT_NOT_FOUND`, `LAST_ADMIN` or another rule, or [`IdentityError`] when a store fails.
    pub async fn disable(
        &self,
        account_id: AccountId,
        reason: Option<String>,
        origin: &Origin,
    ) -> Result<Written, IdentityError> {
        let (persons, customer) = (&self.shared.persons, account_id.customer_id());
        let (person, reason) = match reason {
            None => (None, None),
            Some(plain) => {
                // Who was erased has no account from that moment on, and gets no key again.
                self.rights_of(account_id).await?;
                let person = persons.of_customer(&customer).await?;
                (Some(person), Some(SealedText::new(persons.seal(person, &plain).await?, &plain)))
            }
        };
        let command = AccountCommand::Disable { reason };
        let written = self.change_rights(account_id, command, origin).await;
        // Or was erased meanwhile, and the key is a new one.
        if let (Err(IdentityError::Refused(_)), Some(person)) = (&written, person)
            && let Err(IdentityError::Refused(_)) = self.rights_of(account_id).await
        {
            persons.forget_customer(&customer, person).await?;
        }
        let written = written?;
        Ok(self.end_sessions_of_disabled(account_id, origin).await?.unwrap_or(written))
    }

    /// Lets an account in again; it has to log in.
    ///
    /// # Errors
    /// `ACCOUNT_NOT_FOUND`, or [`IdentityError`] when a store fails.
    pub async fn enable(&self, account_id: AccountId, origin: &Origin) -> Result<Written, IdentityError> {
        if self.rights_of(account_id).await?.disabled {
            self.end_sessions_of_disabled(account_id, origin).await?;
        }
        self.change_rights(account_id, AccountCommand::Enable, origin).await
    }

    /// Defines a role, or defines it anew.
    ///
    /// # Errors
    /// A rule of roles, or [`IdentityError`] when a store fails.
    pub async fn define_role(
        &self,
        name: &str,
        permissions: Vec<String>,
        description: &str,
        origin: &Origin,
    ) -> Result<Written, IdentityError> {
        let name = role_name(name)?;
        let decision = DefineRole { name: name.clone(), permissions, description: description.to_owned() };
        self.submit_within(name.clone(), stream_of::<Role>(&name), decision, origin).await
    }

    /// Removes a role: who has it may do nothing by it.
    ///
    /// # Errors
    /// A rule of roles, or [`IdentityError`] when a store fails.
    pub async fn remove_role(&self, name: &str, origin: &Origin) -> Result<Written, IdentityError> {
        let name = role_name(name)?;
        self.submit_within(name.clone(), stream_of::<Role>(&name), RemoveRole { name }, origin).await
    }

    /// Lets the engine decide about a role, within what who asks may do, on what they looked at.
    async fn submit_within(
        &self,
        role: RoleName,
        stream: StreamId,
        decision: impl Decision,
        origin: &Origin,
    ) -> Result<Written, IdentityError> {
        let decision = origin.expecting(stream, decision);
        let Some(permissions) = origin.permissions.clone() else {
            return self.submit(decision, origin, None).await;
        };
        let lacking = Arc::new(Mutex::new(None::<String>));
        let within = Within { permissions, role, decision, lacking: Arc::clone(&lacking) };
        let answer = self.submit(within, origin, None).await;
        let permission = lacking.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (answer, permission) {
            (Err(IdentityError::Refused(_)), Some(permission)) => Err(IdentityRefusal::Beyond { permission }.into()),
            (answer, _) => answer,
        }
    }

    async fn change_rights(
        &self,
        account_id: AccountId,
        command: AccountCommand,
        origin: &Origin,
    ) -> Result<Written, IdentityError> {
        let decision = origin.expecting(stream_of::<Account>(account_id), ChangeAccount { account_id, command });
        let written = self.submit(decision, origin, None).await?;
        self.shared.cache.forget_account(account_id);
        Ok(written)
    }

    /// The last position, if the account had sessions.
    async fn end_sessions_of_disabled(&self, account_id: AccountId, origin: &Origin) -> Result<Option<Written>, IdentityError> {
        // An account that was not opened to the end has no credentials, and no sessions.
        if self.credentials(account_id).await?.is_none() {
            return Ok(None);
        }
        let end = |credentials: &mut Credentials| {
            credentials.end_sessions(SessionEndReason::Disabled, origin.actor());
            Ok(())
        };
        let (_, (), written) = self.change_and_pay(account_id, origin, end).await?;
        Ok(written.position.is_some().then_some(written))
    }
}

/// A decision about a role of the shop's own that is refused if the role, as the log has it then, permits more than who asks
/// may do. One that there is not permits nothing.
#[derive(Debug)]
struct Within<D> {
    permissions: Vec<String>,
    role: RoleName,
    decision: D,
    /// What was lacking when it was last decided: a refusal of the rules cannot say it.
    lacking: Arc<Mutex<Option<String>>>,
}

impl<D: Decision> Decision for Within<D> {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let permits = world.get::<Role>(&self.role).permissions();
        let lacking = permits.iter().find(|permission| !self.permissions.contains(*permission)).cloned();
        let is_beyond = lacking.is_some();
        *self.lacking.lock().unwrap_or_else(PoisonError::into_inner) = lacking;
        if is_beyond { Err(RoleRefusal::NotFound.into()) } else { self.decision.decide(world) }
    }
}

fn role_name(text: &str) -> Result<RoleName, IdentityError> {
    RoleName::new(text).map_err(|_| IdentityRefusal::RoleNameInvalid.into())
}
