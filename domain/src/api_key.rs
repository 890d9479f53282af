//! A key by which a service calls the API.

use event_schemas::{ApiKeyEvent, ApiKeyId, ApiKeyIssued, ApiKeyRevoked, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Change, Decision, MAX_NAME_CHARS, MAX_PERMISSIONS, Refusal, World, role::permission_set, stream_of};

/// What can be asked of an API key.
#[derive(Debug, Clone, PartialEq)]
pub enum ApiKeyCommand {
    /// Issue it.
    Issue(ApiKeyIssued),
    /// Revoke it for good.
    Revoke,
}

/// Why a command to an API key was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApiKeyRefusal {
    /// There is no such key.
    #[error("there is no such API key")]
    NotFound,
    /// The id is in use.
    #[error("the API key exists already")]
    AlreadyExists,
    /// A key permits something.
    #[error("an API key has 1 to {MAX_PERMISSIONS} permissions")]
    InvalidPermissions,
    /// A label is empty or too long.
    #[error("the label must have 1 to {MAX_NAME_CHARS} characters")]
    InvalidLabel,
}

impl ApiKeyRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "API_KEY_NOT_FOUND",
            Self::AlreadyExists => "API_KEY_EXISTS",
            Self::InvalidPermissions => "INVALID_PERMISSIONS",
            Self::InvalidLabel => "INVALID_TEXT",
        }
    }
}

/// An API key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum ApiKey {
    /// Does not exist yet.
    #[default]
    Absent,
    /// Works until it expires.
    Issued(ApiKeyIssued),
    /// Was revoked for good.
    Revoked,
}

impl ApiKey {
    /// Its terms, while it is not revoked.
    pub fn issued(&self) -> Option<&ApiKeyIssued> {
        match self {
            Self::Issued(issued) => Some(issued),
            Self::Absent | Self::Revoked => None,
        }
    }

    /// The rules. Revoking a key again changes nothing.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: ApiKeyCommand) -> Result<Vec<ApiKeyEvent>, ApiKeyRefusal> {
        match (self, command) {
            (Self::Absent, ApiKeyCommand::Issue(key)) => {
                let permissions = permission_set(key.permissions).ok_or(ApiKeyRefusal::InvalidPermissions)?;
                if key.label.trim().is_empty() || key.label.chars().count() > MAX_NAME_CHARS {
                    return Err(ApiKeyRefusal::InvalidLabel);
                }
                Ok(vec![ApiKeyIssued { permissions, ..key }.into()])
            }
            (Self::Issued(_) | Self::Revoked, ApiKeyCommand::Issue(_)) => Err(ApiKeyRefusal::AlreadyExists),
            (Self::Absent, ApiKeyCommand::Revoke) => Err(ApiKeyRefusal::NotFound),
            (Self::Issued(_), ApiKeyCommand::Revoke) => Ok(vec![ApiKeyRevoked {}.into()]),
            (Self::Revoked, ApiKeyCommand::Revoke) => Ok(vec![]),
        }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &ApiKeyEvent) {
        *self = match event {
            ApiKeyEvent::ApiKeyIssued(issued) => Self::Issued(issued.clone()),
            ApiKeyEvent::ApiKeyRevoked(_) => Self::Revoked,
        }
    }
}

/// Issue an API key.
#[derive(Debug, Clone)]
pub struct IssueApiKey {
    /// Its id.
    pub api_key_id: ApiKeyId,
    /// What it permits. Only that the names are well formed is checked here; which permissions exist is the API's to know.
    pub permissions: Vec<String>,
    /// What it is for.
    pub label: String,
    /// When it stops working; never if absent.
    pub expires_at: Option<Timestamp>,
}

impl Decision for IssueApiKey {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let Self { api_key_id, permissions, label, expires_at } = self.clone();
        let issued = ApiKeyIssued { api_key_id, permissions, label, expires_at };
        let events = world.get::<ApiKey>(api_key_id).decide(ApiKeyCommand::Issue(issued))?;
        Ok(Change::all(stream_of::<ApiKey>(api_key_id), events))
    }
}

/// Revoke an API key for good.
#[derive(Debug, Clone)]
pub struct RevokeApiKey {
    /// The key.
    pub api_key_id: ApiKeyId,
}

impl Decision for RevokeApiKey {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let events = world.get::<ApiKey>(self.api_key_id).decide(ApiKeyCommand::Revoke)?;
        Ok(Change::all(stream_of::<ApiKey>(self.api_key_id), events))
    }
}
