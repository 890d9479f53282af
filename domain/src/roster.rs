//! Who administers the store. One stream for all, so that two nodes at once cannot both make the first administrator, nor
//! take the last two each from the other's view.

use std::collections::BTreeSet;

use event_schemas::{AccountId, AdminAdded, AdminRemoved, RosterEvent};
use serde::{Deserialize, Serialize};

/// The id of the one roster there is.
pub const ROSTER_ID: &str = "admins";

/// What can be asked of the roster of administrators.
#[derive(Debug, Clone, PartialEq)]
pub enum RosterCommand {
    /// Put an account on it.
    Add {
        /// The account.
        account_id: AccountId,
    },
    /// Take an account off it.
    Remove {
        /// The account.
        account_id: AccountId,
    },
}

/// Why a command to the roster of administrators was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RosterRefusal {
    /// The first administrator is made once.
    #[error("the store has an administrator already")]
    AdminExists,
    /// Someone must be left to give rights to others.
    #[error("the last administrator stays one")]
    LastAdmin,
}

impl RosterRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AdminExists => "ADMIN_EXISTS",
            Self::LastAdmin => "LAST_ADMIN",
        }
    }
}

/// The roster of administrators.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Roster {
    admins: BTreeSet<AccountId>,
}

impl Roster {
    /// The accounts that can administer the store.
    pub fn admins(&self) -> &BTreeSet<AccountId> {
        &self.admins
    }

    /// Whether the first administrator may be made.
    ///
    /// # Errors
    /// If there is one.
    pub fn must_be_empty(&self) -> Result<(), RosterRefusal> {
        if self.admins.is_empty() { Ok(()) } else { Err(RosterRefusal::AdminExists) }
    }

    /// The rules. What changes nothing gives no event.
    ///
    /// # Errors
    /// The rule that forbids the command.
    pub fn decide(&self, command: RosterCommand) -> Result<Vec<RosterEvent>, RosterRefusal> {
        match command {
            RosterCommand::Add { account_id } if self.admins.contains(&account_id) => Ok(vec![]),
            RosterCommand::Add { account_id } => Ok(vec![AdminAdded { account_id }.into()]),
            RosterCommand::Remove { account_id } if !self.admins.contains(&account_id) => Ok(vec![]),
            RosterCommand::Remove { .. } if self.admins.len() == 1 => Err(RosterRefusal::LastAdmin),
            RosterCommand::Remove { account_id } => Ok(vec![AdminRemoved { account_id }.into()]),
        }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &RosterEvent) {
        match event {
            RosterEvent::AdminAdded(added) => self.admins.insert(added.account_id),
            RosterEvent::AdminRemoved(removed) => self.admins.remove(&removed.account_id),
        };
    }
}
