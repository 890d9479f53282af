//! Which accounts are there, and what may each do? Nothing personal is here.

use event_schemas::{AccountEvent, AccountId, CommerceEvent, RoleEvent, RoleName, Timestamp};

use crate::{
    Column as _, Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError,
    conditions::Conditions,
    projection::{add, subtract},
};

row! {
    /// An account of a person.
    Account in "accounts" {
        key {
            /// The account.
            account_id: AccountId,
        }
        /// Whether its e-mail address is verified.
        verified: bool,
        /// Whether nobody may sign in with it.
        disabled: bool,
        /// Its roles, sorted, as a JSON list.
        roles: Vec<RoleName>,
        /// Whether signing in with the password takes a second factor.
        second_factor: bool,
        /// How many passkeys it has.
        passkeys: i64,
        /// When it was registered.
        registered_at: Timestamp,
        /// When something last happened to it.
        updated_at: Timestamp,
    }
    version of "account";
    index "registered_at, account_id";
    index "verified, registered_at, account_id";
    index "disabled, registered_at, account_id";
    index "updated_at, account_id";
}

row! {
    /// A role of an account.
    AccountRole in "account_roles" {
        key {
            /// The role.
            role: RoleName,
            /// The account.
            account_id: AccountId,
        }
    }
    index "account_id";
}

row! {
    /// A role that the store has defined for itself.
    Role in "roles" {
        key {
            /// Its name.
            name: RoleName,
        }
        /// What it permits, sorted, as a JSON list.
        permissions: Vec<String>,
        /// What it is for.
        description: String,
        /// When it was defined.
        defined_at: Timestamp,
        /// When it was last defined anew.
        updated_at: Timestamp,
    }
    version of "role";
}
json_columns!(Vec<RoleName>);

/// The accounts.
pub const ACCOUNTS: Projection =
    Projection { name: "accounts", version: 2, tables: &[Account::TABLE, AccountRole::TABLE], for_analysts: false, fold };

/// The roles that the store has defined for itself.
pub const ROLES: Projection =
    Projection { name: "roles", version: 2, tables: &[Role::TABLE], for_analysts: false, fold: fold_role };

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    match fact.event {
        CommerceEvent::Account(event) => fold_account(rows, fact, event),
        _ => Ok(()),
    }
}

fn fold_account(rows: &mut Rows<'_>, fact: &Fact<'_>, event: &AccountEvent) -> Result<(), FoldError> {
    if let AccountEvent::AccountRegistered(registered) = event {
        return Ok(rows.put(Account {
            account_id: registered.account_id,
            verified: false,
            disabled: false,
            roles: Vec::new(),
            second_factor: false,
            passkeys: 0,
            registered_at: fact.occurred_at,
            updated_at: fact.occurred_at,
            version: fact.sequence,
            position: fact.position,
        })?);
    }
    let account_id: AccountId = fact.stream.aggregate_id.parse()?;
    if let AccountEvent::AccountRemoved(_) = event {
        let roles = rows.get::<Account>(&(account_id,))?.map(|account| account.roles.clone()).unwrap_or_default();
        roles.into_iter().try_for_each(|role| rows.delete::<AccountRole>(&(role, account_id)))?;
        return Ok(rows.delete::<Account>(&(account_id,))?);
    }
    let account = rows.edit::<Account>(&(account_id,))?.ok_or_else(|| FoldError::unknown("account", account_id))?;
    account.updated_at = fact.occurred_at;
    match event {
        AccountEvent::AccountRegistered(_)
        | AccountEvent::AccountPasswordChanged(_)
        | AccountEvent::AccountSessionsEnded(_)
        | AccountEvent::AccountLinked(_)
        | AccountEvent::AccountUnlinked(_)
        | AccountEvent::AccountEmailChanged(_)
        | AccountEvent::AccountRemoved(_) => {}
        AccountEvent::AccountVerified(_) => account.verified = true,
        AccountEvent::AccountRoleGranted(granted) => {
            if let Err(place) = account.roles.binary_search(&granted.role) {
                account.roles.insert(place, granted.role.clone());
            }
            rows.put(AccountRole { role: granted.role.clone(), account_id, position: fact.position })?;
        }
        AccountEvent::AccountRoleRevoked(revoked) => {
            account.roles.retain(|role| *role != revoked.role);
            rows.delete::<AccountRole>(&(revoked.role.clone(), account_id))?;
        }
        AccountEvent::AccountDisabled(_) => account.disabled = true,
        AccountEvent::AccountEnabled(_) => account.disabled = false,
        AccountEvent::AccountSecondFactorAdded(_) => account.second_factor = true,
        AccountEvent::AccountSecondFactorRemoved(_) => account.second_factor = false,
        AccountEvent::AccountPasskeyAdded(_) => account.passkeys = add(account.passkeys, 1)?,
        AccountEvent::AccountPasskeyRemoved(_) => account.passkeys = subtract(account.passkeys, 1)?,
    }
    Ok(())
}

fn fold_role(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::Role(event) = fact.event else { return Ok(()) };
    let name = RoleName::new(fact.stream.aggregate_id.as_str())?;
    match event {
        RoleEvent::RoleDefined(defined) => {
            let known = rows.get::<Role>(&(name.clone(),))?;
            let defined_at = known.map_or(fact.occurred_at, |known| known.defined_at);
            Ok(rows.put(Role {
                name,
                permissions: defined.permissions.clone(),
                description: defined.description.clone(),
                defined_at,
                updated_at: fact.occurred_at,
                version: fact.sequence,
                position: fact.position,
            })?)
        }
        RoleEvent::RoleRemoved(_) => Ok(rows.delete::<Role>(&(name,))?),
    }
}

/// Which accounts to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccountFilter {
    /// Only with (or only without) a verified address.
    pub verified: Option<bool>,
    /// Only disabled ones (or only those that are not).
    pub disabled: Option<bool>,
    /// Only those that have this role beside that of a customer.
    pub role: Option<RoleName>,
    /// Only registered at or after.
    pub from: Option<Timestamp>,
    /// Only registered before.
    pub to: Option<Timestamp>,
}

sortings! {
    /// How to sort accounts.
    AccountSort {
        /// By when they were registered.
        Registered "registered": "t.registered_at", "t.account_id";
        /// By when something last happened to them.
        Updated "updated": "t.updated_at", "t.account_id";
    }
}

impl Reader<'_> {
    /// The account of an id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn account(&self, id: AccountId) -> Result<Option<Account>, ViewError> {
        self.row(&(id,))
    }

    /// Accounts.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn accounts(
        &self,
        filter: &AccountFilter,
        sort: AccountSort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<Account>, ViewError> {
        let in_order = sort == AccountSort::Registered;
        let mut conditions = Conditions::default();
        conditions.many(filter.verified.as_ref(), "t.verified", in_order);
        conditions.many(filter.disabled.as_ref(), "t.disabled", in_order);
        if let Some(role) = &filter.role {
            conditions.has("account_id", "account_roles AS m WHERE m.role = ?", vec![role.value().into_owned()]);
        }
        conditions.between("t.registered_at", filter.from.as_ref(), filter.to.as_ref(), in_order);
        self.page(&conditions, sort.order(descending), page)
    }

    /// The roles that the store has defined for itself, by name; a store has few, so there are no pages.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn custom_roles(&self) -> Result<Vec<Role>, ViewError> {
        self.rows("ORDER BY t.name", &[])
    }
}
