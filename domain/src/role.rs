//! A role that a store defines for itself. Its id is its name.

use event_schemas::{RoleDefined, RoleEvent, RoleName, RoleRemoved};
use serde::{Deserialize, Serialize};

use crate::{Change, Decision, MAX_NAME_CHARS, Refusal, World, stream_of};

/// The most permissions of a role or an API key.
pub const MAX_PERMISSIONS: usize = 100;
const MAX_PERMISSION_CHARS: usize = 64;

/// Permissions as events hold them: sorted, each once. None if they are none, too many, or not named as permissions are.
pub(crate) fn permission_set(mut permissions: Vec<String>) -> Option<Vec<String>> {
    permissions.sort();
    permissions.dedup();
    let named = |name: &String| {
        (1..=MAX_PERMISSION_CHARS).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':' | b'.'))
    };
    ((1..=MAX_PERMISSIONS).contains(&permissions.len()) && permissions.iter().all(named)).then_some(permissions)
}

/// What can be asked of a role.
#[derive(Debug, Clone, PartialEq)]
pub enum RoleCommand {
    /// Define it, or define it anew.
    Define {
        /// Its name.
        name: RoleName,
        /// What it permits.
        permissions: Vec<String>,
        /// What it is for.
        description: String,
    },
    /// Remove it.
    Remove,
}

/// Why a command to a role was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RoleRefusal {
    /// There is no such role.
    #[error("there is no such role")]
    NotFound,
    /// What built-in roles permit is part of Daybook.
    #[error("the role `{name}` is built in and cannot be defined")]
    BuiltIn {
        /// Its name.
        name: RoleName,
    },
    /// Accounts may still have a role that was removed: another one of its name would give them rights that nobody meant.
    #[error("a role of this name was removed: accounts that had it must not come to other rights")]
    Removed,
    /// A role permits something.
    #[error("a role has 1 to {MAX_PERMISSIONS} permissions")]
    InvalidPermissions,
    /// A description is empty or too long.
    #[error("the description must have 1 to {MAX_NAME_CHARS} characters")]
    InvalidDescription,
}

impl RoleRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "ROLE_NOT_FOUND",
            Self::BuiltIn { .. } => "ROLE_BUILT_IN",
            Self::Removed => "ROLE_REMOVED",
            Self::InvalidPermissions => "INVALID_PERMISSIONS",
            Self::InvalidDescription => "INVALID_TEXT",
        }
    }
}

/// A role that a store defines for itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Role {
    /// Does not exist yet.
    #[default]
    Absent,
    /// Can be given to accounts.
    Defined(RoleDefined),
    /// Permits nothing any more, for good.
    Removed,
}

impl Role {
    /// Whether it can be given to accounts.
    pub fn is_defined(&self) -> bool {
        matches!(self, Self::Defined(_))
    }

    /// What it permits.
    pub fn permissions(&self) -> &[String] {
        match self {
            Self::Defined(defined) => &defined.permissions,
            Self::Absent | Self::Removed => &[],
        }
    }

    /// The rules. What changes nothing gives no event.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: RoleCommand) -> Result<Vec<RoleEvent>, RoleRefusal> {
        match (self, command) {
            (_, RoleCommand::Define { name, .. }) if name.is_reserved() => Err(RoleRefusal::BuiltIn { name }),
            (Self::Removed, RoleCommand::Define { .. }) => Err(RoleRefusal::Removed),
            (_, RoleCommand::Define { permissions, description, .. }) => {
                let permissions = permission_set(permissions).ok_or(RoleRefusal::InvalidPermissions)?;
                if description.trim().is_empty() || description.chars().count() > MAX_NAME_CHARS {
                    return Err(RoleRefusal::InvalidDescription);
                }
                let defined = RoleDefined { permissions, description };
                Ok(if matches!(self, Self::Defined(known) if *known == defined) { vec![] } else { vec![defined.into()] })
            }
            (Self::Defined(_), RoleCommand::Remove) => Ok(vec![RoleRemoved {}.into()]),
            (Self::Absent | Self::Removed, RoleCommand::Remove) => Err(RoleRefusal::NotFound),
        }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &RoleEvent) {
        *self = match event {
            RoleEvent::RoleDefined(defined) => Self::Defined(defined.clone()),
            RoleEvent::RoleRemoved(_) => Self::Removed,
        }
    }
}

/// Define a role, or define it anew.
#[derive(Debug, Clone)]
pub struct DefineRole {
    /// Its name.
    pub name: RoleName,
    /// What it permits. Only that the names are well formed is checked here; which permissions exist is the API's to know.
    pub permissions: Vec<String>,
    /// What it is for.
    pub description: String,
}

impl Decision for DefineRole {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let Self { name, permissions, description } = self.clone();
        let (stream, role) = (stream_of::<Role>(&name), world.get::<Role>(&name));
        Ok(Change::all(stream, role.decide(RoleCommand::Define { name, permissions, description })?))
    }
}

/// Remove a role. Accounts that have it may do nothing by it any more.
#[derive(Debug, Clone)]
pub struct RemoveRole {
    /// Its name.
    pub name: RoleName,
}

impl Decision for RemoveRole {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let role = world.get::<Role>(&self.name);
        Ok(Change::all(stream_of::<Role>(&self.name), role.decide(RoleCommand::Remove)?))
    }
}
