//! Who may do what, as staff see it: roles, permissions, API keys, and what was refused.

use std::sync::Arc;

use async_graphql::{Context, Enum, Error, ID, Object, SimpleObject};
use event_schemas::{ApiKeyId, Timestamp};

use crate::{
    access::{Permission, Permissions, Role, SeesRoles, sees, sees_roles},
    graphql::{
        global_id::{self, Kind},
        page::{self, List, Paging},
        problem,
        scalar::Long,
    },
    shop::Shop,
};

/// A set of permissions with a name, which accounts may have.
#[derive(SimpleObject)]
pub(crate) struct RoleInfo {
    /// Its name.
    name: String,
    /// What it is for.
    description: String,
    /// What it permits.
    permissions: Vec<Permission>,
    /// Whether it is part of Daybook, and cannot be changed.
    built_in: bool,
}

impl RoleInfo {
    fn of_daybook(role: Role) -> Self {
        let description = match role {
            Role::Customer => "Buys. Also everyone without a token.",
            Role::Support => "Helps buyers: sees orders, payments and stock, cancels and returns.",
            Role::Merchant => "Keeps the catalog, the prices and the stock.",
            Role::Fulfilment => "Ships.",
            Role::Finance => "Moves money and sees the books.",
            Role::Analyst => "Reads every view.",
            Role::Auditor => "Reads every view and the log itself.",
            Role::Admin => "May do everything.",
        };
        let permissions = role.permissions().iter().collect();
        Self { name: role.name().to_owned(), description: description.to_owned(), permissions, built_in: true }
    }

    /// A role of the shop's own.
    pub(crate) fn custom(row: projections::Role) -> Self {
        let permissions = Permissions::named(&row.permissions).iter().collect();
        Self { name: row.name.to_string(), description: row.description, permissions, built_in: false }
    }
}

/// Something that not everyone may do.
#[derive(SimpleObject)]
pub(crate) struct PermissionInfo {
    /// The permission.
    permission: Permission,
    /// Its name in the log.
    name: &'static str,
    /// The built-in roles that have it.
    roles: Vec<Role>,
}

/// A key by which a service uses the shop. The key itself is shown once, when it is made.
#[derive(SimpleObject)]
pub(crate) struct ApiKey {
    /// Its id.
    pub(crate) id: ID,
    /// What it is for.
    label: String,
    /// What it permits.
    permissions: Vec<Permission>,
    /// When it was made.
    issued_at: Timestamp,
    /// When it stops working; never if null.
    expires_at: Option<Timestamp>,
    /// When it was revoked.
    revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// A key of the views.
    pub(crate) fn new(row: projections::ApiKey) -> Self {
        Self {
            id: global_id::encode(Kind::ApiKey, row.api_key_id),
            label: row.label,
            permissions: Permissions::named(&row.permissions).iter().collect(),
            issued_at: row.issued_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
        }
    }
}

/// An API key as the views know it.
pub(crate) async fn api_key_at(ctx: &Context<'_>, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
    let views = &ctx.data::<Arc<Shop>>()?.views;
    Ok(views.read(move |reader| reader.api_key(id)).await.map_err(problem::view)?.map(ApiKey::new))
}

/// A role of the shop's own as the views know it.
pub(crate) async fn custom_role_at(ctx: &Context<'_>, name: &str) -> Result<Option<RoleInfo>, Error> {
    let views = &ctx.data::<Arc<Shop>>()?.views;
    let roles = views.read(|reader| reader.custom_roles()).await.map_err(problem::view)?;
    Ok(roles.into_iter().find(|role| role.name.to_string() == name).map(RoleInfo::custom))
}

/// What kind of refusal it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projections::AccessKind")]
pub(crate) enum AccessKind {
    /// Somebody asked for what takes a permission that they have not.
    Denied,
    /// Somebody failed to log in.
    LoginFailed,
    /// Somebody asked more often than a limit allows.
    Limited,
    /// Somebody is refused everything for a while.
    Banned,
}

/// Something that was refused. What repeats is counted, and told about once a minute.
#[derive(SimpleObject)]
pub(crate) struct AccessEntry {
    /// Its place in the log.
    position: Long,
    /// What kind of refusal it was.
    kind: AccessKind,
    /// Who was refused: as events name whoever does something, or `address:` and a keyed hash for strangers; null for logins.
    caller: Option<String>,
    /// The account at which logins failed; null if there is no such account.
    account_id: Option<ID>,
    /// The permission that was missing.
    permission: Option<String>,
    /// What was asked for: a field.
    operation: Option<String>,
    /// The limit that was exceeded.
    limit: Option<String>,
    /// How often.
    times: Long,
    /// When for the first time of these.
    since: Timestamp,
    /// Until when everything is refused.
    until: Option<Timestamp>,
}

impl AccessEntry {
    fn new(row: projections::AccessEntry) -> Self {
        Self {
            position: Long::of(row.entry),
            kind: row.kind.into(),
            caller: row.caller,
            account_id: row.account_id.map(|id| global_id::encode(Kind::Account, id)),
            permission: row.permission,
            operation: row.operation,
            limit: row.limit_name,
            times: Long::of(row.times.into()),
            since: row.since,
            until: row.banned_until,
        }
    }
}

#[derive(Default)]
pub(crate) struct RightsQuery;

#[Object]
impl RightsQuery {
    /// All roles: the built-in ones, then the shop's own by name.
    #[graphql(guard = "SeesRoles", visible = "sees_roles")]
    async fn roles(&self, ctx: &Context<'_>) -> Result<Vec<RoleInfo>, Error> {
        let views = &ctx.data::<Arc<Shop>>()?.views;
        let custom = views.read(|reader| reader.custom_roles()).await.map_err(problem::view)?;
        Ok(Role::ALL.into_iter().map(RoleInfo::of_daybook).chain(custom.into_iter().map(RoleInfo::custom)).collect())
    }

    /// All permissions, and the built-in roles that have them.
    async fn permissions(&self) -> Vec<PermissionInfo> {
        let info = |permission: &Permission| {
            let roles = permission.roles();
            let roles = Role::ALL.into_iter().filter(|role| roles.contains(role)).collect();
            PermissionInfo { permission: *permission, name: permission.name(), roles }
        };
        Permission::ALL.iter().map(info).collect()
    }

    /// All API keys, the newest first.
    #[graphql(guard = "Permission::ManageApiKeys", visible = "sees::api_keys")]
    async fn api_keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<ApiKey>, Error> {
        let page = Paging { first, after, last, before }.page(ctx)?;
        let views = &ctx.data::<Arc<Shop>>()?.views;
        let listed = views.read(move |reader| reader.api_keys(&page)).await.map_err(problem::view)?;
        Ok(page::list(listed, ApiKey::new))
    }

    /// What was refused: rights that were missing, logins that failed, limits, bans; the newest first.
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the GraphQL field")]
    #[graphql(guard = "Permission::ViewAccess", visible = "sees::access")]
    async fn access_log(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only of this kind.")] kind: Option<AccessKind>,
        #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<AccessEntry>, Error> {
        let page = Paging { first, after, last, before }.page(ctx)?;
        let views = &ctx.data::<Arc<Shop>>()?.views;
        let listed = views.read(move |reader| reader.access(kind.map(Into::into), &page)).await.map_err(problem::view)?;
        Ok(page::list(listed, AccessEntry::new))
    }
}
