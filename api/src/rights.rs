//! What the log says of the rights of accounts and API keys, and of the roles that the shop has defined for itself. Never the
//! views: they may be behind, rebuilt or halted, and would then say what somebody was allowed once, or nothing.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use domain::{Account, AggregateRoot, ApiKey, ROSTER_ID, Roster, stream_of};
use event_schemas::{AccountId, ApiKeyId};
use event_store::Log;
use identity::{AccountRights, ApiKeyRights, Authenticated, Rights, Subject};
use tokio::time::Instant;

use crate::access::{Caller, CustomRoles, Permissions, Role};

/// How long the shop's own roles are taken for what they were: within it, a role that was changed holds as it was.
const FRESH: Duration = Duration::from_secs(1);

/// Rights as the log knows them.
pub(crate) struct LogRights {
    log: Arc<dyn Log>,
    /// What the shop's own roles permitted a moment ago.
    recent: Mutex<HashMap<String, (Instant, Permissions)>>,
}

impl LogRights {
    /// Rights over this log.
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self { log, recent: Mutex::default() }
    }

    /// Those of these roles that the shop has defined for itself, as they are now.
    ///
    /// # Errors
    /// What is wrong with the log.
    pub(crate) async fn custom_roles(&self, roles: &[String]) -> Result<CustomRoles, String> {
        let mut custom_roles = CustomRoles::new();
        for role in roles.iter().filter(|role| Role::named(role).is_none()) {
            custom_roles.insert(role.clone(), self.custom_role(role).await?);
        }
        Ok(custom_roles)
    }

    /// The same; each is asked for at most once a second.
    async fn recent_custom_roles(&self, roles: &[String]) -> Result<CustomRoles, String> {
        let mut custom_roles = CustomRoles::new();
        for role in roles.iter().filter(|role| Role::named(role).is_none()) {
            let asked = Instant::now();
            let permissions = match self.known(role, asked) {
                Some(permissions) => permissions,
                None => self.custom_role(role).await?,
            };
            self.keep(role, asked, permissions);
            custom_roles.insert(role.clone(), permissions);
        }
        Ok(custom_roles)
    }

    /// What a role of the shop's own permits; nothing if there is none.
    async fn custom_role(&self, role: &str) -> Result<Permissions, String> {
        Ok(Permissions::named(self.current::<domain::Role>(role).await?.permissions()))
    }

    fn known(&self, role: &str, now: Instant) -> Option<Permissions> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(role).filter(|(read_at, _)| now.duration_since(*read_at) < FRESH).map(|(_, permissions)| *permissions)
    }

    fn keep(&self, role: &str, asked: Instant, permissions: Permissions) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, (read_at, _)| asked.duration_since(*read_at) < FRESH);
        // What is there was asked for later, or is what was just found.
        recent.entry(role.to_owned()).or_insert((asked, permissions));
    }

    /// Has the shop's own roles read again: one was changed here.
    pub(crate) fn forget_custom_roles(&self) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Who somebody is to the shop whose token or key was accepted.
    ///
    /// # Errors
    /// What is wrong with the log.
    pub(crate) async fn caller(&self, authenticated: Authenticated) -> Result<Caller, String> {
        let roles = match &authenticated.subject {
            Subject::Account { roles, .. } => roles.as_slice(),
            Subject::Operator { role, .. } => std::slice::from_ref(role),
            Subject::ApiKey { .. } => &[],
        };
        let custom_roles = self.recent_custom_roles(roles).await?;
        Ok(Caller::of(authenticated, &custom_roles))
    }

    /// An aggregate as the log has it now: by its snapshot, however long its stream has become.
    async fn current<A: AggregateRoot>(&self, id: impl Display + Send) -> Result<A, String> {
        let id = id.to_string();
        engine::look(self.log.as_ref(), |world| world.get::<A>(&id).clone()).await.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Rights for LogRights {
    async fn account(&self, id: AccountId) -> Result<Option<AccountRights>, String> {
        let account = self.current::<Account>(id).await?;
        Ok(account.registered().map(|account| AccountRights {
            roles: account.roles.iter().map(ToString::to_string).collect(),
            disabled: account.disabled,
            verified: account.verified,
        }))
    }

    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRights>, String> {
        Ok(match self.current::<ApiKey>(id).await? {
            ApiKey::Absent => None,
            ApiKey::Issued(issued) => {
                Some(ApiKeyRights { permissions: issued.permissions, expires_at: issued.expires_at, revoked: false })
            }
            ApiKey::Revoked => Some(ApiKeyRights { permissions: Vec::new(), expires_at: None, revoked: true }),
        })
    }

    /// Once there is an admin, there always is one.
    async fn has_admin(&self) -> Result<bool, String> {
        let roster = stream_of::<Roster>(ROSTER_ID);
        let events = self.log.read_stream(&roster, 0, 1).await.map_err(|error| error.to_string())?;
        Ok(!events.is_empty())
    }
}
