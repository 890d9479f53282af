//! What staff do about rights: roles of accounts, accounts themselves, roles of the shop's own, API keys. Nobody gives, and
//! nobody takes, what they do not have themselves.

use std::sync::Arc;

use async_graphql::{Context, Error, ID, InputObject, Object};
use engine::Clock as _;
use event_schemas::{ApiKeyId, Timestamp};
use identity::{NewApiKey, Rights as _};

use crate::{
    access::{Permission, Permissions, sees},
    graphql::{
        account::account_at,
        changed::api_key_at,
        command::payload,
        global_id::Kind,
        identity_call::{account_id, must_have, must_have_all_of, must_have_role, origin, refused, staff, told, visible},
        login_mutations::done,
        problem, read_input,
        rights_query::{ApiKey, RoleInfo, custom_role_at},
        scalar::Long,
        security_mutations::AccountPayload,
        user_error::UserError,
    },
    shop::Shop,
};

/// A role and an account.
#[derive(Debug, InputObject)]
pub(crate) struct AccountRoleInput {
    /// The account.
    account_id: ID,
    /// The name of the role, such as `support`.
    role: String,
    /// The `version` that was looked at. When more has happened since, nothing is changed, and the error is `STALE_VERSION` with
    /// what happened.
    expected_version: Option<Long>,
}

/// An account to disable.
#[derive(InputObject)]
pub(crate) struct AccountDisableInput {
    /// The account.
    account_id: ID,
    /// Why, for staff to read.
    reason: Option<String>,
    /// The `version` that was looked at. When more has happened since, nothing is changed, and the error is `STALE_VERSION` with
    /// what happened.
    expected_version: Option<Long>,
}

/// An account to enable again.
#[derive(Debug, InputObject)]
pub(crate) struct AccountEnableInput {
    /// The account.
    account_id: ID,
    /// The `version` that was looked at. When more has happened since, nothing is changed, and the error is `STALE_VERSION` with
    /// what happened.
    expected_version: Option<Long>,
}

/// A role of the shop's own.
#[derive(Debug, InputObject)]
pub(crate) struct RoleDefineInput {
    /// Its name: 1 to 32 of a-z, 0-9 and `-`, beginning with a letter.
    name: String,
    /// What it permits; all of it, also when the role is there already.
    permissions: Vec<Permission>,
    /// What it is for.
    description: String,
    /// The `version` that was looked at. When more has happened since, nothing is changed, and the error is `STALE_VERSION` with
    /// what happened.
    expected_version: Option<Long>,
}

/// A role to remove.
#[derive(Debug, InputObject)]
pub(crate) struct RoleRemoveInput {
    /// Its name.
    name: String,
    /// The `version` that was looked at. When more has happened since, nothing is changed, and the error is `STALE_VERSION` with
    /// what happened.
    expected_version: Option<Long>,
}

/// An API key to make.
#[derive(Debug, InputObject)]
pub(crate) struct ApiKeyCreateInput {
    /// What it permits.
    permissions: Vec<Permission>,
    /// What it is for.
    label: String,
    /// When it stops working; never unless given.
    expires_at: Option<Timestamp>,
}

/// An API key to revoke.
#[derive(Debug, InputObject)]
pub(crate) struct ApiKeyRevokeInput {
    /// The key.
    api_key_id: ID,
    /// The `version` that was looked at. When more has happened since, nothing is changed, and the error is `STALE_VERSION` with
    /// what happened.
    expected_version: Option<Long>,
}

payload! {
    /// A role of the shop's own after a change.
    RolePayload {
        /// The role; null when nothing was done, when it is gone, or when the views need longer than two seconds to show it.
        role: RoleInfo,
    }
}

payload! {
    /// An API key that was made.
    ApiKeyCreatePayload {
        /// The key's data; null when nothing was done, or when the views need longer than two seconds to show it.
        api_key: ApiKey,
        /// The key itself, for `Authorization: Bearer …`. It is shown this once.
        key: String,
    }
}

payload! {
    /// An API key after a change.
    ApiKeyPayload {
        /// The key's data; null when nothing was done, or when the views need longer than two seconds to show it.
        api_key: ApiKey,
    }
}

/// Reads a part of the input, or answers that it is malformed.
macro_rules! read {
    ($ctx:ident, $read:expr) => {
        match $read {
            Ok(id) => id,
            Err(user_error) => return Ok(refused($ctx, vec![user_error])?.into()),
        }
    };
}

fn names(permissions: &[Permission]) -> Vec<String> {
    permissions.iter().map(|permission| permission.name().to_owned()).collect()
}

#[derive(Default)]
pub(crate) struct RightsMutation;

#[Object]
impl RightsMutation {
    /// Gives an account a role.
    #[graphql(guard = "Permission::ManageAccounts", visible = "sees::accounts")]
    async fn account_role_grant(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account and the role.")] input: AccountRoleInput,
    ) -> Result<AccountPayload, Error> {
        let account = read!(ctx, account_id(&input.account_id));
        must_have_role(ctx, "accountRoleGrant", &input.role)?;
        let staff = read!(ctx, staff(ctx, input.expected_version)?);
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let answer = accounts.grant_role(account, &input.role, &staff).await;
        let written = done!(ctx, "accountRoleGrant", answer);
        let position = visible(ctx, written.position).await?;
        Ok(AccountPayload { account: account_at(ctx, Some(account)).await?, position, ..Default::default() })
    }

    /// Takes a role from an account. The last admin keeps theirs.
    #[graphql(guard = "Permission::ManageAccounts", visible = "sees::accounts")]
    async fn account_role_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account and the role.")] input: AccountRoleInput,
    ) -> Result<AccountPayload, Error> {
        let account = read!(ctx, account_id(&input.account_id));
        must_have_role(ctx, "accountRoleRevoke", &input.role)?;
        let staff = read!(ctx, staff(ctx, input.expected_version)?);
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let answer = accounts.revoke_role(account, &input.role, &staff).await;
        let written = done!(ctx, "accountRoleRevoke", answer);
        let position = visible(ctx, written.position).await?;
        Ok(AccountPayload { account: account_at(ctx, Some(account)).await?, position, ..Default::default() })
    }

    /// Disables an account: its sessions end, and nobody logs in with it. The last admin cannot be disabled.
    #[graphql(guard = "Permission::ManageAccounts", visible = "sees::accounts")]
    async fn account_disable(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account and the reason.")] input: AccountDisableInput,
    ) -> Result<AccountPayload, Error> {
        let account = read!(ctx, account_id(&input.account_id));
        must_have_all_of(ctx, "accountDisable", account).await?;
        let staff = read!(ctx, staff(ctx, input.expected_version)?);
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let written = done!(ctx, "accountDisable", accounts.disable(account, input.reason, &staff).await);
        let position = visible(ctx, written.position).await?;
        Ok(AccountPayload { account: account_at(ctx, Some(account)).await?, position, ..Default::default() })
    }

    /// Lets a disabled account be used again, with the roles that it has.
    #[graphql(guard = "Permission::ManageAccounts", visible = "sees::accounts")]
    async fn account_enable(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account.")] input: AccountEnableInput,
    ) -> Result<AccountPayload, Error> {
        let account = read!(ctx, account_id(&input.account_id));
        must_have_all_of(ctx, "accountEnable", account).await?;
        let staff = read!(ctx, staff(ctx, input.expected_version)?);
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let written = done!(ctx, "accountEnable", accounts.enable(account, &staff).await);
        let position = visible(ctx, written.position).await?;
        Ok(AccountPayload { account: account_at(ctx, Some(account)).await?, position, ..Default::default() })
    }

    /// Defines a role of the shop's own, or defines it anew for everyone who has it.
    #[graphql(guard = "Permission::ManageRoles", visible = "sees::roles")]
    async fn role_define(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The role.")] input: RoleDefineInput,
    ) -> Result<RolePayload, Error> {
        must_have(ctx, "roleDefine", input.permissions.iter().copied().collect::<Permissions>())?;
        // Who could take more from a role than they have could also take it from those above them.
        must_have_role(ctx, "roleDefine", &input.name)?;
        let staff = read!(ctx, staff(ctx, input.expected_version)?);
        let (accounts, permissions) = (&ctx.data::<Arc<Shop>>()?.accounts, names(&input.permissions));
        let answer = accounts.define_role(&input.name, permissions, &input.description, &staff).await;
        let written = done!(ctx, "roleDefine", answer);
        let position = visible(ctx, written.position).await?;
        ctx.data::<Arc<Shop>>()?.rights.forget_custom_roles();
        Ok(RolePayload { role: custom_role_at(ctx, &input.name).await?, position, ..Default::default() })
    }

    /// Removes a role of the shop's own: whoever has it may do nothing by it. Its name is not used again.
    #[graphql(guard = "Permission::ManageRoles", visible = "sees::roles")]
    async fn role_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The role.")] input: RoleRemoveInput,
    ) -> Result<RolePayload, Error> {
        must_have_role(ctx, "roleRemove", &input.name)?;
        let staff = read!(ctx, staff(ctx, input.expected_version)?);
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let written = done!(ctx, "roleRemove", accounts.remove_role(&input.name, &staff).await);
        let position = visible(ctx, written.position).await?;
        ctx.data::<Arc<Shop>>()?.rights.forget_custom_roles();
        Ok(RolePayload { role: None, position, ..Default::default() })
    }

    /// Makes a key by which a service uses the shop.
    #[graphql(guard = "Permission::ManageApiKeys", visible = "sees::api_keys")]
    async fn api_key_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key.")] input: ApiKeyCreateInput,
    ) -> Result<ApiKeyCreatePayload, Error> {
        must_have(ctx, "apiKeyCreate", input.permissions.iter().copied().collect::<Permissions>())?;
        let shop = ctx.data::<Arc<Shop>>()?;
        let ApiKeyCreateInput { permissions, label, expires_at } = input;
        if expires_at.is_some_and(|end| end <= shop.clock.now()) {
            let past = UserError::invalid(&["expiresAt"], "a key that has expired opens nothing: give a time to come");
            return Ok(refused(ctx, vec![past])?.into());
        }
        let new = NewApiKey { permissions: names(&permissions), label, expires_at };
        let shown = done!(ctx, "apiKeyCreate", shop.accounts.create_api_key(new, &origin(ctx, None)?).await);
        let position = visible(ctx, shown.position).await?;
        let api_key = api_key_at(ctx, Some(shown.id)).await?;
        Ok(ApiKeyCreatePayload { api_key, key: Some(shown.key), position, ..Default::default() })
    }

    /// Revokes an API key for good.
    #[graphql(guard = "Permission::ManageApiKeys", visible = "sees::api_keys")]
    async fn api_key_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key.")] input: ApiKeyRevokeInput,
    ) -> Result<ApiKeyPayload, Error> {
        let id: ApiKeyId = read!(ctx, read_input::id(Kind::ApiKey, &input.api_key_id, &["apiKeyId"]));
        if let Some(rights) = ctx.data::<Arc<Shop>>()?.rights.api_key(id).await.map_err(|reason| problem::fault(&reason))? {
            must_have(ctx, "apiKeyRevoke", Permissions::named(&rights.permissions))?;
        }
        let staff = read!(ctx, staff(ctx, input.expected_version)?);
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let written = done!(ctx, "apiKeyRevoke", accounts.revoke_api_key(id, &staff).await);
        let position = visible(ctx, written.position).await?;
        Ok(ApiKeyPayload { api_key: api_key_at(ctx, Some(id)).await?, position, ..Default::default() })
    }
}
