//! Accounts: who can log in, with what, and what their devices are.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Error, ID, InputObject, Object, OutputType as _, SimpleObject};
use event_schemas::{AccountEvent, AccountId, RoleName, StreamId, Timestamp};
use identity::{PasskeyInfo, Profile, SessionInfo};
use projections::AccountFilter;
use tokio::sync::OnceCell;

use crate::{
    access::{Caller, Permission, sees},
    graphql::{
        actions::{AccountAction, AccountActions, available},
        as_of::{self, AsOf},
        audit_query::shown,
        global_id::{self, Kind},
        histories::{AccountHistory, of},
        identity_call::read,
        page::{Narrowing, root_list, sorting},
        problem,
        scalar::Long,
    },
    shop::Shop,
};

/// An account: somebody who can log in.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Account {
    /// Its id.
    pub(crate) id: ID,
    /// How many events have happened to it: to be given back as `expectedVersion`.
    version: Long,
    /// Whether its e-mail address was shown to be theirs.
    verified: bool,
    /// Whether staff have disabled it: nobody logs in with it then.
    disabled: bool,
    /// Its roles beside that of a customer.
    roles: Vec<String>,
    /// When it was registered.
    registered_at: Timestamp,
    /// When something about its rights or its ways to log in last changed.
    updated_at: Timestamp,
    #[graphql(skip)]
    account_id: AccountId,
    /// What the vault knows, asked for once.
    #[graphql(skip)]
    profile: OnceCell<Option<Profile>>,
}

/// A device that is logged in.
#[derive(SimpleObject)]
pub(crate) struct Session {
    /// Its id.
    id: ID,
    /// What the device said it is.
    device_label: Option<String>,
    /// When it logged in.
    created_at: Timestamp,
    /// When it last got an access token.
    last_used_at: Timestamp,
    /// When it ends unless it is used.
    expires_at: Timestamp,
    /// Whether it is the one that asks.
    current: bool,
}

/// A passkey of an account.
#[derive(SimpleObject)]
pub(crate) struct Passkey {
    /// Its id.
    id: ID,
    /// What its owner calls it.
    label: String,
    /// When it was added.
    created_at: Timestamp,
    /// When somebody last logged in with it.
    last_used_at: Option<Timestamp>,
}

impl From<PasskeyInfo> for Passkey {
    fn from(passkey: PasskeyInfo) -> Self {
        let PasskeyInfo { id, label, created_at, last_used_at } = passkey;
        Self { id: global_id::encode(Kind::Passkey, id), label, created_at, last_used_at }
    }
}

impl Session {
    fn new(session: SessionInfo, caller: &Caller) -> Self {
        Self {
            id: global_id::encode(Kind::Session, session.id),
            device_label: session.device_label,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            current: caller.account().is_some_and(|(_, current)| current == session.id),
        }
    }
}

impl Account {
    /// An account of the views.
    pub(crate) fn new(row: projections::Account) -> Self {
        Self {
            id: global_id::encode(Kind::Account, row.account_id),
            version: Long::of(row.version),
            verified: row.verified,
            disabled: row.disabled,
            roles: row.roles.iter().map(ToString::to_string).collect(),
            registered_at: row.registered_at,
            updated_at: row.updated_at,
            account_id: row.account_id,
            profile: OnceCell::new(),
        }
    }

    /// Notes that something personal of it is shown, unless it is the caller's own.
    fn shown(&self, ctx: &Context<'_>) -> Result<(), Error> {
        let is_own = ctx.data::<Caller>()?.account().is_some_and(|(id, _)| id == self.account_id);
        if is_own { Ok(()) } else { shown(ctx, &StreamId::new(AccountEvent::AGGREGATE, self.account_id)) }
    }

    async fn profile(&self, ctx: &Context<'_>) -> Result<Option<&Profile>, Error> {
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let asked = self.profile.get_or_try_init(|| async { read(accounts.profile(self.account_id).await) }).await?;
        Ok(asked.as_ref())
    }
}

#[ComplexObject]
impl Account {
    /// What the caller can do with it now, as staff; the rights of its roles may stand in the way.
    async fn available_actions(&self, ctx: &Context<'_>) -> Result<Vec<AccountAction>, Error> {
        available(ctx, AccountActions(self.account_id)).await
    }

    #[graphql(flatten)]
    async fn happened(&self) -> AccountHistory {
        AccountHistory(of::<domain::Account>(self.account_id))
    }

    /// Its e-mail address; null when it was deleted.
    async fn email(&self, ctx: &Context<'_>) -> Result<Option<String>, Error> {
        self.shown(ctx)?;
        Ok(self.profile(ctx).await?.map(|profile| profile.email.clone()))
    }

    /// What to call them.
    async fn display_name(&self, ctx: &Context<'_>) -> Result<Option<String>, Error> {
        self.shown(ctx)?;
        Ok(self.profile(ctx).await?.and_then(|profile| profile.display_name.clone()))
    }

    /// Whether it has a password: who only logs in elsewhere or with a passkey has none.
    async fn has_password(&self, ctx: &Context<'_>) -> Result<bool, Error> {
        Ok(self.profile(ctx).await?.is_some_and(|profile| profile.has_password))
    }

    /// Whether a login with the password takes a second factor too.
    async fn second_factor(&self, ctx: &Context<'_>) -> Result<bool, Error> {
        Ok(self.profile(ctx).await?.is_some_and(|profile| profile.second_factor))
    }

    /// How many recovery codes still work.
    async fn recovery_codes_left(&self, ctx: &Context<'_>) -> Result<u32, Error> {
        let left = self.profile(ctx).await?.map_or(0, |profile| profile.recovery_codes_left);
        Ok(u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// Its passkeys.
    async fn passkeys(&self, ctx: &Context<'_>) -> Result<Vec<Passkey>, Error> {
        let passkeys = self.profile(ctx).await?.map(|profile| profile.passkeys.clone());
        Ok(passkeys.unwrap_or_default().into_iter().map(Passkey::from).collect())
    }

    /// Where else it can log in: the issuers.
    async fn linked_issuers(&self, ctx: &Context<'_>) -> Result<Vec<String>, Error> {
        Ok(self.profile(ctx).await?.map(|profile| profile.linked_issuers.clone()).unwrap_or_default())
    }

    /// The devices that are logged in, the last used first.
    async fn sessions(&self, ctx: &Context<'_>) -> Result<Vec<Session>, Error> {
        let (shop, caller) = (ctx.data::<Arc<Shop>>()?, ctx.data::<Caller>()?);
        let sessions = read(shop.accounts.sessions(self.account_id).await)?;
        Ok(sessions.into_iter().map(|session| Session::new(session, caller)).collect())
    }
}

/// An account as the views know it, if it is there for the caller: for its owner, and for staff with the permission.
pub(crate) async fn account_at(ctx: &Context<'_>, id: Option<AccountId>) -> Result<Option<Account>, Error> {
    let (Some(id), caller) = (id, ctx.data::<Caller>()?) else { return Ok(None) };
    let is_own = caller.account().is_some_and(|(own, _)| own == id);
    if !is_own && !caller.may(Permission::ManageAccounts) {
        return Ok(None);
    }
    let views = &ctx.data::<Arc<Shop>>()?.views;
    Ok(views.read(move |reader| reader.account(id)).await.map_err(problem::view)?.map(Account::new))
}

/// Which accounts to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct AccountFilterInput {
    /// Only those whose e-mail address was (or was not) shown to be theirs.
    verified: Option<bool>,
    /// Only those that are (or are not) disabled.
    disabled: Option<bool>,
    /// Only those with this role, beside that of a customer.
    role: Option<String>,
    /// Only registered at or after.
    from: Option<Timestamp>,
    /// Only registered before.
    to: Option<Timestamp>,
}

impl Narrowing for AccountFilterInput {
    type Filter = AccountFilter;

    fn read(self) -> Result<AccountFilter, Error> {
        let Self { verified, disabled, role, from, to } = self;
        let bad = |error: event_schemas::InvalidId| problem::bad_input(error.to_string());
        let role = role.map(RoleName::new).transpose().map_err(bad)?;
        Ok(AccountFilter { verified, disabled, role, from, to })
    }
}

sorting! {
    /// How to sort accounts.
    AccountSortInput by AccountSortKey of AccountSort as "projections::AccountSort", descending = true {
        /// By when they were registered.
        Registered,
        /// By when something about them last changed.
        Updated,
    }
}

root_list! {
    /// Accounts, the newest first unless `sort` says otherwise.
    #[graphql(guard = "Permission::ManageAccounts", visible = "sees::accounts")]
    AccountList: accounts(AccountFilterInput, AccountSortInput) -> Account by Account::new = accounts
}

#[derive(Default)]
pub(crate) struct AccountQuery;

#[Object]
impl AccountQuery {
    /// An account; null when there is none of this id; as it was at a moment, if asked.
    #[graphql(guard = "Permission::ManageAccounts", visible = "sees::accounts")]
    async fn account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
        #[graphql(desc = "The moment: now unless given. What is not in the log, such as the e-mail address, is as it is now.")]
        as_of: Option<AsOf>,
    ) -> Result<Option<Account>, Error> {
        let id: AccountId = global_id::decode(Kind::Account, &id).ok_or_else(|| problem::bad_id("id"))?;
        match as_of {
            Some(as_of) => as_of::account(ctx, id, as_of).await,
            None => account_at(ctx, Some(id)).await,
        }
    }
}
