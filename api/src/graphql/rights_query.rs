//! Who may do what, as staff see it: roles, permissions, API keys, and what was refused.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, Error, ID, InputObject, Object, OutputType as _, SimpleObject};
use event_schemas::{ApiKeyId, Timestamp};
use projections::{AccessFilter, ApiKeyFilter};

use crate::{
    access::{Permission, Permissions, Role, SeesRoles, sees, sees_roles},
    graphql::{
        actions::{ApiKeyAction, ApiKeyActions, available},
        global_id::{self, Kind},
        histories::{ApiKeyHistory, RoleHistory, of},
        page::{self, List, Narrowing, Paging, root_list, sorting},
        problem,
        scalar::Long,
    },
    shop::Shop,
};

/// A set of permissions with a name, which accounts may have.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct RoleInfo {
    /// Its name.
    name: String,
    /// What it is for.
    description: String,
    /// What it permits.
    permissions: Vec<Permission>,
    /// Whether it is part of Daybook, and cannot be changed.
    built_in: bool,
    /// How many events have happened to it: to be given back as `expectedVersion`; null for one that is part of Daybook.
    version: Option<Long>,
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
        Self { name: role.name().to_owned(), description: description.to_owned(), permissions, built_in: true, version: None }
    }

    /// A role of the shop's own.
    pub(crate) fn custom(row: projections::Role) -> Self {
        let permissions = Permissions::named(&row.permissions).iter().collect();
        Self {
            name: row.name.to_string(),
            description: row.description,
            permissions,
            built_in: false,
            version: Some(Long::of(row.version)),
        }
    }
}

#[ComplexObject]
impl RoleInfo {
    #[graphql(flatten)]
    async fn happened(&self) -> RoleHistory {
        RoleHistory(of::<domain::Role>(&self.name))
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
#[graphql(complex)]
pub(crate) struct ApiKey {
    /// Its id.
    pub(crate) id: ID,
    /// How many events have happened to it: to be given back as `expectedVersion`.
    version: Long,
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
    #[graphql(skip)]
    api_key_id: ApiKeyId,
}

impl ApiKey {
    /// A key of the views.
    pub(crate) fn new(row: projections::ApiKey) -> Self {
        Self {
            id: global_id::encode(Kind::ApiKey, row.api_key_id),
            version: Long::of(row.version),
            label: row.label,
            permissions: Permissions::named(&row.permissions).iter().collect(),
            issued_at: row.issued_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            api_key_id: row.api_key_id,
        }
    }
}

#[ComplexObject]
impl ApiKey {
    /// What the caller can do with it now.
    async fn available_actions(&self, ctx: &Context<'_>) -> Result<Vec<ApiKeyAction>, Error> {
        available(ctx, ApiKeyActions(self.api_key_id)).await
    }

    #[graphql(flatten)]
    async fn happened(&self) -> ApiKeyHistory {
        ApiKeyHistory(of::<domain::ApiKey>(self.api_key_id))
    }
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

/// Which API keys to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct ApiKeyFilterInput {
    /// Only those that were (or were not) revoked.
    revoked: Option<bool>,
    /// Only those that stop working before.
    expires_before: Option<Timestamp>,
}

impl Narrowing for ApiKeyFilterInput {
    type Filter = ApiKeyFilter;

    fn read(self) -> Result<ApiKeyFilter, Error> {
        Ok(ApiKeyFilter { revoked: self.revoked, expires_before: self.expires_before })
    }
}

sorting! {
    /// How to sort API keys.
    ApiKeySortInput by ApiKeySortKey of ApiKeySort as "projections::ApiKeySort", descending = true {
        /// By when they were made.
        Issued,
        /// By what they are for.
        Label,
    }
}

root_list! {
    /// API keys, the newest first unless `sort` says otherwise.
    #[graphql(guard = "Permission::ManageApiKeys", visible = "sees::api_keys")]
    ApiKeyList: api_keys(ApiKeyFilterInput, ApiKeySortInput) -> ApiKey by ApiKey::new = api_keys
}

/// Which refusals to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct AccessFilterInput {
    /// Only of this kind.
    kind: Option<AccessKind>,
    /// Only of this caller, as the log names them.
    caller: Option<String>,
    /// Only failed logins at this account.
    account_id: Option<ID>,
    /// Only those that began at or after.
    from: Option<Timestamp>,
    /// Only those that began before.
    to: Option<Timestamp>,
}

impl Narrowing for AccessFilterInput {
    type Filter = AccessFilter;

    fn read(self) -> Result<AccessFilter, Error> {
        let Self { kind, caller, account_id, from, to } = self;
        let account_id = account_id.map(|id| global_id::decode(Kind::Account, &id).ok_or_else(|| problem::bad_id("accountId")));
        Ok(AccessFilter { kind: kind.map(Into::into), caller, account_id: account_id.transpose()?, from, to })
    }
}

sorting! {
    /// How to sort refusals.
    AccessSortInput by AccessSortKey of AccessSort as "projections::AccessSort", descending = true {
        /// In the order of the log.
        Entry,
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

    /// What was refused: rights that were missing, logins that failed, limits, bans; the newest first unless `sort` says
    /// otherwise.
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the GraphQL field")]
    #[graphql(guard = "Permission::ViewAccess", visible = "sees::access")]
    async fn access_log(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only of this kind: the same as in `filter`.")] kind: Option<AccessKind>,
        #[graphql(desc = "Which of them; all unless given.")] filter: Option<AccessFilterInput>,
        #[graphql(desc = "In which order.")] sort: Option<AccessSortInput>,
        #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<AccessEntry>, Error> {
        let page = Paging { first, after, last, before }.page(ctx)?;
        let views = &ctx.data::<Arc<Shop>>()?.views;
        let filter = filter.unwrap_or_default();
        let filter = AccessFilterInput { kind: kind.or(filter.kind), ..filter }.read()?;
        let (by, descending) = AccessSortInput::of(sort);
        let listed = views.read(move |reader| reader.access(&filter, by, descending, &page)).await.map_err(problem::view)?;
        Ok(page::list(listed, AccessEntry::new))
    }
}
