//! Who may do what: roles, permissions, and the one place that compares them.

use async_graphql::{Context, Enum, ErrorExtensions, Guard};
use serde::{Deserialize, Serialize};

/// What a caller is to the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum, Enum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Buys. Also everyone without a token.
    Shopper,
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
    /// Its name on the command line, in tokens and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shopper => "shopper",
            Self::Support => "support",
            Self::Merchant => "merchant",
            Self::Fulfilment => "fulfilment",
            Self::Finance => "finance",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What the caller is to the shop.
    pub role: Role,
    /// Who it is, if the token says so.
    pub subject: Option<String>,
}

impl Caller {
    /// Someone without a token.
    pub fn anonymous() -> Self {
        Self { role: Role::Shopper, subject: None }
    }

    /// How events record the caller: `merchant:ana`, or `shopper` when nobody in particular.
    pub fn actor(&self) -> String {
        match &self.subject {
            Some(subject) => format!("{}:{subject}", self.role.name()),
            None => self.role.name().to_owned(),
        }
    }

    /// Whether the caller's role has a permission.
    pub fn may(&self, permission: Permission) -> bool {
        permission.roles().contains(&self.role)
    }
}

macro_rules! permissions {
    ($($(#[$meta:meta])* $name:ident as $sees:ident: $($role:ident)*;)+) => {
        /// Something that not everyone may do. Fields ask for one; the table beside it says which roles have it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Permission {
            $($(#[$meta])* $name,)+
        }

        impl Permission {
            fn roles(self) -> &'static [Role] {
                match self { $(Self::$name => &[Role::Admin $(, Role::$role)*],)+ }
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

// An admin has every permission; the others are listed.
permissions! {
    /// List and look up orders of everyone, and what happened to them.
    ViewOrders as orders: Support Merchant Fulfilment Finance Analyst Auditor;
    /// Look up payments of everyone.
    ViewPayments as payments: Support Finance Analyst Auditor;
    /// See exact stock levels.
    ViewStock as stock: Support Merchant Fulfilment Analyst Auditor;
    /// See products that are not published, and what happened to products.
    ViewCatalog as catalog: Support Merchant Fulfilment Finance Analyst Auditor;
    /// See sales figures and anomalies.
    ViewSales as sales: Merchant Finance Analyst Auditor;
    /// See the journal and the trial balance.
    ViewBooks as books: Finance Analyst Auditor;
    /// Read the log itself.
    ViewEvents as events: Auditor;
    /// See how projections and processes are doing.
    ViewOperations as operations: Support Merchant Finance Analyst Auditor;
    /// Change categories, products and prices.
    EditCatalog as edit_catalog: Merchant;
    /// Receive, adjust, count and move stock.
    EditStock as edit_stock: Merchant Fulfilment;
    /// Set up and end promotions.
    EditPromotions as edit_promotions: Merchant;
    /// Cancel orders and take goods back.
    EditOrders as edit_orders: Support Merchant;
    /// Ship orders and report deliveries.
    ShipOrders as ship_orders: Fulfilment Merchant;
    /// Capture, void and refund payments.
    MoveMoney as move_money: Finance;
    /// Take up work again that had failed.
    Operate as operate: ;
}

fn allows(ctx: &Context<'_>, permission: Permission) -> bool {
    ctx.data_opt::<Caller>().is_some_and(|caller| caller.may(permission))
}

impl Guard for Permission {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        if allows(ctx, *self) {
            return Ok(());
        }
        let message = format!("your role does not allow `{}`", ctx.field().name());
        Err(async_graphql::Error::new(message).extend_with(|_, e| e.set("code", "FORBIDDEN")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_auditors_and_admins_read_the_log() {
        let readers: Vec<Role> = <Role as clap::ValueEnum>::value_variants()
            .iter()
            .copied()
            .filter(|role| Caller { role: *role, subject: None }.may(Permission::ViewEvents))
            .collect();
        assert_eq!(readers, [Role::Auditor, Role::Admin]);
    }

    #[test]
    fn a_shopper_has_no_permission_of_staff() {
        assert!(!Caller::anonymous().may(Permission::ViewOrders));
        assert!(!Caller::anonymous().may(Permission::MoveMoney));
    }
}
