//! Who may do what: roles and permissions, whose data a caller reaches, and the one place that compares them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_graphql::{Context, Enum, ErrorExtensions, Guard};
use event_schemas::{AccountId, ApiKeyId, CustomerId};
use identity::{Authenticated, Subject};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{access_log::AccessNote, graphql::RequestContext, shop::Shop};

/// What a caller is to the shop: a set of permissions with a name. A shop may define others beside these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum, Enum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Buys. Also everyone without a token.
    #[value(alias = "shopper")]
    #[serde(alias = "shopper")]
    Customer,
    /// Helps buyers: sees orders, payments and stock, cancels and returns.
    Support,
    /// Keeps the catalog, the prices and the stock.
    Merchant,
    /// Ships.
    Fulfilment,
    /// Moves money and sees the books.
    Finance,
    /// Reads every view.
    Analyst,
    /// Reads every view and the log itself.
    Auditor,
    /// May do everything.
    Admin,
}

impl Role {
    /// All of them, the one with the fewest permissions first.
    pub const ALL: [Self; 8] = [
        Self::Customer,
        Self::Support,
        Self::Merchant,
        Self::Fulfilment,
        Self::Finance,
        Self::Analyst,
        Self::Auditor,
        Self::Admin,
    ];

    /// Its name on the command line, in tokens and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Support => "support",
            Self::Merchant => "merchant",
            Self::Fulfilment => "fulfilment",
            Self::Finance => "finance",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// The built-in role of that name. Logs and tokens of older shops call a customer a `shopper`.
    pub fn named(name: &str) -> Option<Self> {
        let name = if name == "shopper" { Self::Customer.name() } else { name };
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// What it may do.
    pub fn permissions(self) -> Permissions {
        Permission::ALL.iter().copied().filter(|permission| permission.roles().contains(&self)).collect()
    }
}

/// The roles that a shop has defined beside the built-in ones, by name.
pub type CustomRoles = BTreeMap<String, Permissions>;

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Permissions(u64);

impl Permissions {
    /// Whether a permission is in it.
    pub fn has(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Whether all of the other set are in it.
    pub fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// What is in either.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What the other set has and this one has not.
    pub fn lacking(self, other: Self) -> Self {
        Self(other.0 & !self.0)
    }

    /// Those in it, in the order in which they are listed.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.has(*permission))
    }

    /// The set of these names. Names that this version does not know give nothing: a newer version wrote them.
    pub fn named<S: AsRef<str>>(names: &[S]) -> Self {
        names.iter().filter_map(|name| Permission::named(name.as_ref())).collect()
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | permission.bit()))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What somebody who asks is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody in particular: there was no token.
    Nobody,
    /// Somebody with an account.
    Account {
        /// The account.
        id: AccountId,
        /// The session that the token belongs to.
        session: Uuid,
    },
    /// A service with a key of its own.
    ApiKey {
        /// The key.
        id: ApiKeyId,
    },
    /// Whoever has a token that was made on the machine.
    Operator {
        /// Who it was made for, if that was said.
        name: Option<String>,
    },
}

/// Who sent a request, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    identity: Identity,
    /// The names of the caller's roles; none for an API key.
    roles: Vec<String>,
    permissions: Permissions,
}

impl Caller {
    /// Someone without a token.
    pub fn anonymous() -> Self {
        Self::with(Identity::Nobody, vec![Role::Customer.name().to_owned()], &CustomRoles::new())
    }

    /// Someone with a token that was made on the machine for a role, and perhaps for somebody.
    pub fn operator(role: Role, name: Option<&str>) -> Self {
        let name = name.map(ToOwned::to_owned);
        Self::with(Identity::Operator { name }, vec![role.name().to_owned()], &CustomRoles::new())
    }

    /// Whoever a token or a key names, with the shop's own roles.
    pub fn of(authenticated: Authenticated, custom_roles: &CustomRoles) -> Self {
        match authenticated.subject {
            Subject::Account { id, session, mut roles } => {
                // Everyone with an account is a customer.
                let customer = Role::Customer.name();
                if !roles.iter().any(|role| role == customer) {
                    roles.push(customer.to_owned());
                }
                Self::with(Identity::Account { id, session }, roles, custom_roles)
            }
            Subject::ApiKey { id, permissions } => {
                Self { identity: Identity::ApiKey { id }, roles: Vec::new(), permissions: Permissions::named(&permissions) }
            }
            Subject::Operator { name, role } => {
                let role = Role::named(&role).map_or(role, |role| role.name().to_owned());
                Self::with(Identity::Operator { name }, vec![role], custom_roles)
            }
        }
    }

    fn with(identity: Identity, roles: Vec<String>, custom_roles: &CustomRoles) -> Self {
        let permissions = |role: &String| permissions_of(role, custom_roles).unwrap_or_default();
        let permissions = roles.iter().map(permissions).fold(Permissions::default(), Permissions::and);
        Self { identity, roles, permissions }
    }

    /// What the caller is known by.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The names of the caller's roles; none for an API key.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// What the caller may do.
    pub fn permissions(&self) -> Permissions {
        self.permissions
    }

    /// The built-in role that says most about the caller: the last one in the order of [`Role::ALL`].
    pub fn role(&self) -> Role {
        self.roles.iter().filter_map(|role| Role::named(role)).max().unwrap_or(Role::Customer)
    }

    /// Whether this is somebody whom the shop can tell apart from everybody else.
    pub fn is_somebody(&self) -> bool {
        !matches!(self.identity, Identity::Nobody | Identity::Operator { name: None })
    }

    /// Who it is, if it is somebody in particular: an account, a key, or the name that a token was made for.
    pub fn subject(&self) -> Option<String> {
        match &self.identity {
            Identity::Nobody => None,
            Identity::Account { id, .. } => Some(id.to_string()),
            Identity::ApiKey { id } => Some(id.to_string()),
            Identity::Operator { name } => name.clone(),
        }
    }

    /// The account that the caller is signed in to, with the session.
    pub fn account(&self) -> Option<(AccountId, Uuid)> {
        match self.identity {
            Identity::Account { id, session } => Some((id, session)),
            _ => None,
        }
    }

    /// How events record the caller: `support:0197…`, `api-key:0197…`, `merchant:ana`, `customer:0197…`, or `customer` when
    /// it is nobody in particular. Old logs say `shopper` instead.
    pub fn actor(&self) -> String {
        let label = match &self.identity {
            Identity::ApiKey { .. } => "api-key",
            // Roles of the shop's own have names that could be taken for something else, such as `process`.
            _ if self.role() == Role::Customer && !self.permissions.is_empty() => "staff",
            _ => self.role().name(),
        };
        match self.subject() {
            Some(subject) => format!("{label}:{subject}"),
            None => label.to_owned(),
        }
    }

    /// The customer that the caller is: whoever has an account, and whom a customer's token names.
    pub fn customer_id(&self) -> Option<CustomerId> {
        let name = match &self.identity {
            Identity::Account { id, .. } => id.to_string(),
            Identity::Operator { name: Some(name) } if self.role() == Role::Customer => name.clone(),
            _ => return None,
        };
        CustomerId::new(name).ok()
    }

    /// Whether the caller has a permission.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.has(permission)
    }

    /// Whether something is there for the caller that belongs to this customer: to the customer it is, and to whoever has the
    /// permission for everyone's. What belongs to nobody is there for whoever knows its id.
    pub fn reaches(&self, owner: Option<&CustomerId>, everyones: Permission) -> bool {
        owner.is_none_or(|owner| self.may(everyones) || self.customer_id().as_ref() == Some(owner))
    }
}

impl Permissions {
    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What a role may do; none if there is no such role.
pub fn permissions_of(role: &str, custom_roles: &CustomRoles) -> Option<Permissions> {
    Role::named(role).map(Role::permissions).or_else(|| custom_roles.get(role).copied())
}

macro_rules! permissions {
    ($($(#[$meta:meta])* $name:ident $text:literal as $sees:ident: $($role:ident)*;)+) => {
        /// Something that not everyone may do. Fields ask for one; the table beside it says which roles have it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Enum)]
        pub enum Permission {
            $($(#[$meta])* $name,)+
        }

        impl Permission {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The built-in roles that have it. An admin has every one.
            pub fn roles(self) -> &'static [Role] {
                match self { $(Self::$name => &[Role::Admin $(, Role::$role)*],)+ }
            }

            /// Its name in events and in the list of what a role of the shop's own may do.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }

        /// Whether a field shows up in the caller's introspection: the same table, as async-graphql asks for it.
        pub(crate) mod sees {
            $(pub(crate) fn $sees(ctx: &async_graphql::Context<'_>) -> bool {
                super::allows(ctx, super::Permission::$name)
            })+
        }
    };
}

// The names stand in events: they are added, never changed or used again for something else.
permissions! {
    /// List and look up orders of everyone, and what happened to them.
    ViewOrders "view_orders" as orders: Support Merchant Fulfilment Finance Analyst Auditor;
    /// Look up payments of everyone.
    ViewPayments "view_payments" as payments: Support Finance Analyst Auditor;
    /// See exact stock levels.
    ViewStock "view_stock" as stock: Support Merchant Fulfilment Analyst Auditor;
    /// See products that are not published, and what happened to products.
    ViewCatalog "view_catalog" as catalog: Support Merchant Fulfilment Finance Analyst Auditor;
    /// See sales figures and anomalies.
    ViewSales "view_sales" as sales: Merchant Finance Analyst Auditor;
    /// See the journal and the trial balance.
    ViewBooks "view_books" as books: Finance Analyst Auditor;
    /// Read the log itself.
    ViewEvents "view_events" as events: Auditor;
    /// See how projections and processes are doing.
    ViewOperations "view_operations" as operations: Support Merchant Finance Analyst Auditor;
    /// See who was refused, who failed to log in, and who was limited.
    ViewAccess "view_access" as access: Auditor;
    /// Change categories, products and prices.
    EditCatalog "edit_catalog" as edit_catalog: Merchant;
    /// Receive, adjust, count and move stock.
    EditStock "edit_stock" as edit_stock: Merchant Fulfilment;
    /// Set up and end promotions.
    EditPromotions "edit_promotions" as edit_promotions: Merchant;
    /// Change carts and orders of everyone: cancel them, take goods back.
    EditOrders "edit_orders" as edit_orders: Support Merchant;
    /// Ship orders and report deliveries.
    ShipOrders "ship_orders" as ship_orders: Fulfilment Merchant;
    /// Confirm, capture, void and refund payments of everyone.
    MoveMoney "move_money" as move_money: Finance;
    /// Take up work again that had failed.
    Operate "operate" as operate: ;
    /// See accounts, give and take their roles, disable and enable them.
    ManageAccounts "manage_accounts" as accounts: ;
    /// Define and remove roles.
    ManageRoles "manage_roles" as roles: ;
    /// Make and revoke API keys.
    ManageApiKeys "manage_api_keys" as api_keys: ;
    /// Tell other systems what happens, and take up deliveries again that had failed.
    ManageWebhooks "manage_webhooks" as webhooks: Merchant;
    /// See everything about a person, erase persons, and place and lift legal holds.
    ProtectData "protect_data" as protect_data: ;
}

impl Permission {
    const fn bit(self) -> u64 {
        1 << self as u32
    }

    /// The permission of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|permission| permission.name() == name)
    }
}

/// What somebody needs to see what happens to aggregates of a type.
pub(crate) fn history_of(aggregate_type: &str) -> Permission {
    match aggregate_type {
        "cart" | "order" | "review" => Permission::ViewOrders,
        "payment" => Permission::ViewPayments,
        "stock" => Permission::ViewStock,
        "category" | "product" | "promotion" => Permission::ViewCatalog,
        "adjustment" => Permission::ViewBooks,
        "account" => Permission::ManageAccounts,
        "role" => Permission::ManageRoles,
        "api_key" => Permission::ManageApiKeys,
        "webhook" => Permission::ManageWebhooks,
        "person" => Permission::ProtectData,
        _ => Permission::ViewEvents,
    }
}

fn allows(ctx: &Context<'_>, permission: Permission) -> bool {
    ctx.data_opt::<Caller>().is_some_and(|caller| caller.may(permission))
}

impl Guard for Permission {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        if allows(ctx, *self) { Ok(()) } else { Err(refuse(ctx, *self)) }
    }
}

/// A field for whoever manages roles or gives them to accounts.
pub(crate) struct SeesRoles;

impl Guard for SeesRoles {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        if sees_roles(ctx) { Ok(()) } else { Err(refuse(ctx, Permission::ManageRoles)) }
    }
}

/// Whether such a field shows up in the caller's introspection.
pub(crate) fn sees_roles(ctx: &Context<'_>) -> bool {
    allows(ctx, Permission::ManageRoles) || allows(ctx, Permission::ManageAccounts)
}

/// The answer to somebody who may not use a field; the access log is told.
fn refuse(ctx: &Context<'_>, permission: Permission) -> async_graphql::Error {
    // The name in the schema: an alias would be the caller's own words.
    let field = ctx.field().name().to_owned();
    let message = format!("you may not use `{field}`");
    record_denied(ctx, permission, field);
    async_graphql::Error::new(message).extend_with(|_, e| e.set("code", "FORBIDDEN"))
}

/// Tells the access log that somebody was refused.
pub(crate) fn record_denied(ctx: &Context<'_>, permission: Permission, operation: String) {
    if let (Some(shop), Some(request)) = (ctx.data_opt::<Arc<Shop>>(), ctx.data_opt::<Arc<RequestContext>>()) {
        let caller = request.known_as(shop);
        shop.access_log.record(AccessNote::Denied { caller, permission: permission.name(), operation });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(roles: &[&str], custom_roles: &CustomRoles) -> Caller {
        let (id, session) = (AccountId(Uuid::from_u128(7)), Uuid::from_u128(8));
        let roles = roles.iter().map(ToString::to_string).collect();
        Caller::of(Authenticated { subject: Subject::Account { id, session, roles }, expires_at: None }, custom_roles)
    }

    #[test]
    fn only_auditors_and_admins_read_the_log() {
        let readers: Vec<Role> = Role::ALL.into_iter().filter(|role| role.permissions().has(Permission::ViewEvents)).collect();
        assert_eq!(readers, [Role::Auditor, Role::Admin]);
    }

    #[test]
    fn a_customer_has_no_permission_of_staff_and_an_admin_has_all() {
        assert_eq!(Role::Customer.permissions().iter().count(), 0);
        assert_eq!(Role::Admin.permissions().iter().count(), Permission::ALL.len());
        assert!(!Caller::anonymous().may(Permission::ViewOrders));
        assert!(Permission::ALL.len() <= 64, "each has a bit of its own");
    }

    #[test]
    fn an_account_may_do_what_all_its_roles_may_and_nothing_by_a_role_that_is_gone() {
        let custom_roles = CustomRoles::from([("packer".to_owned(), Permissions::named(&["ship_orders", "of_tomorrow"]))]);
        let caller = account(&["packer", "support", "gone"], &custom_roles);
        assert!(caller.may(Permission::ShipOrders) && caller.may(Permission::EditOrders));
        assert!(!caller.may(Permission::MoveMoney));
        assert_eq!(caller.actor(), format!("support:{}", Uuid::from_u128(7)));
        assert_eq!(account(&["packer"], &custom_roles).actor(), format!("staff:{}", Uuid::from_u128(7)));
        assert_eq!(account(&["gone"], &custom_roles).actor(), format!("customer:{}", Uuid::from_u128(7)));
    }

    #[test]
    fn what_belongs_to_a_customer_is_there_for_them_and_for_staff_only() {
        let none = CustomRoles::new();
        let (owner, other) = (account(&[], &none), Caller::operator(Role::Customer, Some("eve")));
        let id = owner.customer_id().unwrap();
        assert!(owner.reaches(Some(&id), Permission::ViewOrders));
        assert!(Caller::operator(Role::Support, None).reaches(Some(&id), Permission::ViewOrders));
        for stranger in [other, Caller::anonymous(), Caller::operator(Role::Customer, None)] {
            assert!(!stranger.reaches(Some(&id), Permission::ViewOrders));
            assert!(stranger.reaches(None, Permission::ViewOrders));
        }
    }

    #[test]
    fn older_names_of_roles_are_understood_and_actors_are_told_apart() {
        assert_eq!(Role::named("shopper"), Some(Role::Customer));
        assert_eq!(Caller::anonymous().actor(), "customer");
        assert_eq!(Caller::operator(Role::Merchant, Some("ana")).actor(), "merchant:ana");
        assert!(!Caller::operator(Role::Merchant, None).is_somebody());
    }

    #[test]
    fn a_set_says_what_it_lacks() {
        let (few, more) = (Permissions::named(&["view_orders"]), Permissions::named(&["view_orders", "move_money"]));
        assert!(more.covers(few) && !few.covers(more));
        assert_eq!(few.lacking(more).iter().collect::<Vec<_>>(), [Permission::MoveMoney]);
    }
}
