//! An account: whether it can be used, which rights it has, and how it proves who signs in. Who the person is, and every
//! secret, is kept elsewhere.

use std::collections::BTreeSet;

use event_schemas::{
    AccountDisabled, AccountEmailChanged, AccountEnabled, AccountEvent, AccountId, AccountLinked, AccountPasskeyAdded,
    AccountPasskeyRemoved, AccountPasswordChanged, AccountRegistered, AccountRemoved, AccountRoleGranted, AccountRoleRevoked,
    AccountSecondFactorAdded, AccountSecondFactorRemoved, AccountSessionsEnded, AccountUnlinked, AccountVerified, PasswordChange,
    RoleName, SessionEndReason,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{MAX_NAME_CHARS, SealedText};

/// The most roles of one account.
pub const MAX_ROLES: usize = 20;
/// The most passkeys of one account.
pub const MAX_PASSKEYS: usize = 20;
/// The most accounts at other parties that one account is linked to.
pub const MAX_LINKS: usize = 20;

/// What can be asked of an account. That a role exists, and that someone is left to administer the store, is decided over
/// those too, by [`crate::ChangeAccount`].
#[derive(Debug, Clone, PartialEq)]
pub enum AccountCommand {
    /// Register it, as a customer.
    Register {
        /// Its id.
        account_id: AccountId,
    },
    /// Note that its e-mail address is verified.
    Verify,
    /// Give it a role.
    GrantRole {
        /// The role.
        role: RoleName,
    },
    /// Take a role from it.
    RevokeRole {
        /// The role.
        role: RoleName,
    },
    /// Let nobody sign in with it.
    Disable {
        /// Why, in the words of staff.
        reason: Option<SealedText>,
    },
    /// Let it be used again.
    Enable,
    /// Note that its password was changed.
    PasswordChanged {
        /// How.
        how: PasswordChange,
    },
    /// Note that it has a second factor.
    AddSecondFactor,
    /// Note that it has no second factor any more.
    RemoveSecondFactor,
    /// Note that it has a passkey more.
    AddPasskey {
        /// The passkey.
        passkey_id: Uuid,
    },
    /// Note that it has a passkey less.
    RemovePasskey {
        /// The passkey.
        passkey_id: Uuid,
    },
    /// Note that sessions were ended before their time.
    EndSessions {
        /// The sessions; nothing happens if there are none.
        session_ids: Vec<Uuid>,
        /// Why.
        reason: SessionEndReason,
    },
    /// Note that it is linked to one at another party.
    Link {
        /// Who vouches for it.
        issuer: String,
    },
    /// Note that it is not linked to one there any more.
    Unlink {
        /// Who vouched for it.
        issuer: String,
    },
    /// Note that it has another e-mail address.
    EmailChanged,
    /// Let it never be used again.
    Remove,
}

/// Why a command to an account was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AccountRefusal {
    /// There is no such account.
    #[error("there is no such account")]
    NotFound,
    /// The id is in use.
    #[error("the account exists already")]
    AlreadyExists,
    /// Rights are given to whoever has an e-mail address, so it must be theirs.
    #[error("the account's e-mail address is not verified")]
    NotVerified,
    /// There are too many of something.
    #[error("an account has at most {limit} {of}")]
    TooMany {
        /// What there are too many of, such as `roles`.
        of: &'static str,
        /// The most there may be.
        limit: usize,
    },
    /// A text is empty or too long.
    #[error("the {field} must have 1 to {MAX_NAME_CHARS} characters")]
    InvalidText {
        /// The part of the request.
        field: &'static str,
    },
}

impl AccountRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "ACCOUNT_NOT_FOUND",
            Self::AlreadyExists => "ACCOUNT_EXISTS",
            Self::NotVerified => "ACCOUNT_NOT_VERIFIED",
            Self::TooMany { .. } => "TOO_MANY",
            Self::InvalidText { .. } => "INVALID_TEXT",
        }
    }
}

/// An account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Account {
    /// Does not exist yet.
    #[default]
    Absent,
    /// Was registered.
    Registered(RegisteredAccount),
    /// Was removed: for all that anyone can do with it, it is not there.
    Removed,
}

/// An account that was registered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RegisteredAccount {
    /// Whether its e-mail address is verified.
    pub verified: bool,
    /// Whether nobody may sign in with it.
    pub disabled: bool,
    /// Its roles.
    pub roles: BTreeSet<RoleName>,
    /// Whether it has a second factor.
    pub second_factor: bool,
    /// Its passkeys.
    pub passkeys: BTreeSet<Uuid>,
    /// Who else vouches for it.
    pub issuers: BTreeSet<String>,
}

impl Account {
    /// The account, if it was registered.
    pub fn registered(&self) -> Option<&RegisteredAccount> {
        match self {
            Self::Absent | Self::Removed => None,
            Self::Registered(account) => Some(account),
        }
    }

    /// Whether it can administer the store: it has the role and can be used.
    pub fn administers(&self) -> bool {
        self.registered().is_some_and(|account| !account.disabled && account.roles.contains(&RoleName::admin()))
    }

    /// The rules. What changes nothing gives no event.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: AccountCommand) -> Result<Vec<AccountEvent>, AccountRefusal> {
        match (self, command) {
            (Self::Absent, AccountCommand::Register { account_id }) => {
                let customer = AccountRoleGranted { role: RoleName::customer() };
                Ok(vec![AccountRegistered { account_id }.into(), customer.into()])
            }
            (Self::Registered(_) | Self::Removed, AccountCommand::Register { .. }) => Err(AccountRefusal::AlreadyExists),
            (Self::Removed, AccountCommand::Remove) => Ok(vec![]),
            (Self::Absent | Self::Removed, _) => Err(AccountRefusal::NotFound),
            (Self::Registered(account), command) => account.decide(command),
        }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &AccountEvent) {
        match (&mut *self, event) {
            (_, AccountEvent::AccountRegistered(_)) => *self = Self::Registered(RegisteredAccount::default()),
            (_, AccountEvent::AccountRemoved(_)) => *self = Self::Removed,
            (Self::Registered(account), event) => account.evolve(event),
            (Self::Absent | Self::Removed, _) => {}
        }
    }
}

impl RegisteredAccount {
    fn decide(&self, command: AccountCommand) -> Result<Vec<AccountEvent>, AccountRefusal> {
        let event: AccountEvent = match command {
            AccountCommand::Register { .. } => return Err(AccountRefusal::AlreadyExists),
            AccountCommand::Verify if self.verified => return Ok(vec![]),
            AccountCommand::Verify => AccountVerified {}.into(),
            AccountCommand::GrantRole { role } if self.roles.contains(&role) => return Ok(vec![]),
            AccountCommand::GrantRole { .. } if !self.verified => return Err(AccountRefusal::NotVerified),
            AccountCommand::GrantRole { role } => {
                must_have_room("roles", self.roles.len(), MAX_ROLES)?;
                AccountRoleGranted { role }.into()
            }
            AccountCommand::RevokeRole { role } if !self.roles.contains(&role) => return Ok(vec![]),
            AccountCommand::RevokeRole { role } => AccountRoleRevoked { role }.into(),
            AccountCommand::Disable { .. } if self.disabled => return Ok(vec![]),
            AccountCommand::Disable { reason } => {
                if reason.as_ref().is_some_and(|reason| !reason.has_at_most(MAX_NAME_CHARS)) {
                    return Err(AccountRefusal::InvalidText { field: "reason" });
                }
                AccountDisabled { reason: reason.map(|reason| reason.text) }.into()
            }
            AccountCommand::Enable if !self.disabled => return Ok(vec![]),
            AccountCommand::Enable => AccountEnabled {}.into(),
            AccountCommand::PasswordChanged { how } => AccountPasswordChanged { how }.into(),
            AccountCommand::AddSecondFactor if self.second_factor => return Ok(vec![]),
            AccountCommand::AddSecondFactor => AccountSecondFactorAdded {}.into(),
            AccountCommand::RemoveSecondFactor if !self.second_factor => return Ok(vec![]),
            AccountCommand::RemoveSecondFactor => AccountSecondFactorRemoved {}.into(),
            AccountCommand::AddPasskey { passkey_id } if self.passkeys.contains(&passkey_id) => return Ok(vec![]),
            AccountCommand::AddPasskey { passkey_id } => {
                must_have_room("passkeys", self.passkeys.len(), MAX_PASSKEYS)?;
                AccountPasskeyAdded { passkey_id }.into()
            }
            AccountCommand::RemovePasskey { passkey_id } if !self.passkeys.contains(&passkey_id) => return Ok(vec![]),
            AccountCommand::RemovePasskey { passkey_id } => AccountPasskeyRemoved { passkey_id }.into(),
            AccountCommand::EndSessions { session_ids, .. } if session_ids.is_empty() => return Ok(vec![]),
            AccountCommand::EndSessions { session_ids, reason } => AccountSessionsEnded { session_ids, reason }.into(),
            AccountCommand::Link { issuer } if self.issuers.contains(&issuer) => return Ok(vec![]),
            AccountCommand::Link { issuer } => {
                must_be_text("issuer", &issuer)?;
                must_have_room("linked accounts", self.issuers.len(), MAX_LINKS)?;
                AccountLinked { issuer }.into()
            }
            AccountCommand::Unlink { issuer } if !self.issuers.contains(&issuer) => return Ok(vec![]),
            AccountCommand::Unlink { issuer } => AccountUnlinked { issuer }.into(),
            AccountCommand::EmailChanged => AccountEmailChanged {}.into(),
            AccountCommand::Remove => AccountRemoved {}.into(),
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::AccountRegistered(_)
            | AccountEvent::AccountSessionsEnded(_)
            | AccountEvent::AccountPasswordChanged(_)
            | AccountEvent::AccountEmailChanged(_)
            | AccountEvent::AccountRemoved(_) => {}
            AccountEvent::AccountVerified(_) => self.verified = true,
            AccountEvent::AccountRoleGranted(granted) => {
                self.roles.insert(granted.role.clone());
            }
            AccountEvent::AccountRoleRevoked(revoked) => {
                self.roles.remove(&revoked.role);
            }
            AccountEvent::AccountDisabled(_) => self.disabled = true,
            AccountEvent::AccountEnabled(_) => self.disabled = false,
            AccountEvent::AccountSecondFactorAdded(_) => self.second_factor = true,
            AccountEvent::AccountSecondFactorRemoved(_) => self.second_factor = false,
            AccountEvent::AccountPasskeyAdded(added) => {
                self.passkeys.insert(added.passkey_id);
            }
            AccountEvent::AccountPasskeyRemoved(removed) => {
                self.passkeys.remove(&removed.passkey_id);
            }
            AccountEvent::AccountLinked(linked) => {
                self.issuers.insert(linked.issuer.clone());
            }
            AccountEvent::AccountUnlinked(unlinked) => {
                self.issuers.remove(&unlinked.issuer);
            }
        }
    }
}

fn must_have_room(of: &'static str, count: usize, limit: usize) -> Result<(), AccountRefusal> {
    if count < limit { Ok(()) } else { Err(AccountRefusal::TooMany { of, limit }) }
}

fn must_be_text(field: &'static str, text: &str) -> Result<(), AccountRefusal> {
    let fits = !text.trim().is_empty() && text.chars().count() <= MAX_NAME_CHARS;
    if fits { Ok(()) } else { Err(AccountRefusal::InvalidText { field }) }
}
