//! What the caller can do with a thing now: by the rules, which are asked, and by the caller's permissions.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use async_graphql::{
    Context, Enum, Error,
    dataloader::{DataLoader, Loader},
};
use domain::Asking;
use engine::Fault;
use event_schemas::{
    AccountId, ApiKeyId, CartId, CategoryId, FulfilmentId, OrderId, PaymentId, ProductId, PromotionId, WebhookId,
};
use event_store::Log;

use crate::{
    access::{Caller, Permission},
    graphql::problem,
    shop::Shop,
};

/// Asks the rules about many things at once: whatever their number, their events are read together.
pub(crate) struct RulesLoader {
    log: Arc<dyn Log>,
    asking: Asking,
}

impl RulesLoader {
    /// Asks the rules as of now.
    pub(crate) fn new(shop: &Shop) -> DataLoader<Self> {
        let asking = Asking { now: shop.engine.clock().now(), config: shop.config.clone() };
        DataLoader::new(Self { log: shop.log.clone(), asking }, tokio::spawn).delay(crate::graphql::loader::GATHER)
    }
}

/// A thing that something can be done with, by its id.
pub(crate) trait Acted: Send + Sync + Hash + Eq + Clone + 'static {
    /// What can be done.
    type Action: Copy + Send + 'static;

    /// The permission that it takes; none if whoever sees the thing may do it.
    fn permission(action: Self::Action) -> Option<Permission>;
}

/// What the caller can do with a thing now.
///
/// # Errors
/// If the log cannot be read.
pub(crate) async fn available<K: Acted, T: From<K::Action>>(ctx: &Context<'_>, key: K) -> Result<Vec<T>, Error>
where
    RulesLoader: Loader<K, Value = Vec<K::Action>, Error = Arc<Fault>>,
{
    let asked = ctx.data::<DataLoader<RulesLoader>>()?.load_one(key).await.map_err(|fault| problem::fault(&fault))?;
    let caller = ctx.data::<Caller>()?;
    let may = |action: &K::Action| K::permission(*action).is_none_or(|permission| caller.may(permission));
    Ok(asked.unwrap_or_default().into_iter().filter(may).map(T::from).collect())
}

macro_rules! acted {
    ($(
        $(#[$meta:meta])*
        $name:ident($id:ty) -> $action:ident as $remote:tt by $asked:ident {
            $($(#[$doc:meta])* $variant:ident $(takes $permission:ident)?,)+
        }
    )+) => {$(
        /// A thing that something can be done with: see [`available`].
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub(crate) struct $name(pub(crate) $id);

        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
        #[graphql(remote = $remote)]
        pub(crate) enum $action {
            $($(#[$doc])* $variant,)+
        }

        impl Acted for $name {
            type Action = domain::$action;

            fn permission(action: domain::$action) -> Option<Permission> {
                match action {
                    $(domain::$action::$variant => [$(Permission::$permission)?].first().copied(),)+
                }
            }
        }

        impl Loader<$name> for RulesLoader {
            type Value = Vec<domain::$action>;
            type Error = Arc<Fault>;

            async fn load(&self, keys: &[$name]) -> Result<HashMap<$name, Self::Value>, Arc<Fault>> {
                let asked = |world: &domain::World<'_>| {
                    let answer = |key: &$name| (key.clone(), domain::$asked(world, &key.0, &self.asking));
                    keys.iter().map(answer).collect()
                };
                Ok(engine::look(self.log.as_ref(), asked).await?)
            }
        }
    )+};
}

acted! {
    /// What can be done with an order.
    OrderActions(OrderId) -> OrderAction as "domain::OrderAction" by order_actions {
        /// The buyer may pay.
        Pay,
        /// Held money may be taken.
        Capture takes MoveMoney,
        /// It may be called off.
        Cancel takes EditOrders,
        /// The warehouse may begin.
        StartProcessing takes ShipOrders,
        /// Units may be shipped.
        Fulfil takes ShipOrders,
        /// A parcel may be reported as arrived.
        Deliver takes ShipOrders,
        /// Shipped units may come back.
        Return takes EditOrders,
        /// Money may go back.
        Refund takes MoveMoney,
    }

    /// What can be done with a parcel.
    FulfilmentActions((OrderId, FulfilmentId)) -> FulfilmentAction as "domain::FulfilmentAction" by fulfilment_actions {
        /// It may be reported as arrived.
        Deliver takes ShipOrders,
    }

    /// What can be done about goods that came back.
    ReturnActions(OrderId) -> ReturnAction as "domain::ReturnAction" by return_actions {
        /// What they cost may be given back: `paymentRefund`.
        Refund takes MoveMoney,
    }

    /// What can be done with a payment.
    PaymentActions(PaymentId) -> PaymentAction as "domain::PaymentAction" by payment_actions {
        /// The buyer may confirm it.
        Confirm,
        /// Held money may be taken.
        Capture takes MoveMoney,
        /// Held money may be let go.
        Void takes MoveMoney,
        /// Money may go back.
        Refund takes MoveMoney,
    }

    /// What can be done with a product.
    ProductActions(ProductId) -> ProductAction as "domain::ProductAction" by product_actions {
        /// It may be changed.
        Update takes EditCatalog,
        /// It may be put on sale.
        Publish takes EditCatalog,
        /// It may be taken off sale.
        Archive takes EditCatalog,
        /// It may get another variant.
        AddVariant takes EditCatalog,
        /// A variant may be taken out.
        RemoveVariant takes EditCatalog,
        /// A variant may get a price.
        SetPrice takes EditCatalog,
    }

    /// What can be done with a category.
    CategoryActions(CategoryId) -> CategoryAction as "domain::CategoryAction" by category_actions {
        /// It may be renamed.
        Update takes EditCatalog,
        /// It may be moved below another one, or to the root.
        Move takes EditCatalog,
        /// It may be taken out of the shop.
        Archive takes EditCatalog,
    }

    /// What can be done with a cart.
    CartActions(CartId) -> CartAction as "domain::CartAction" by cart_actions {
        /// A line may be put in.
        AddLines,
        /// A line may be changed or taken out.
        UpdateLines,
        /// It may be said who buys, and where the parcel goes.
        Update,
        /// It may become an order.
        Checkout,
    }

    /// What can be done with a promotion.
    PromotionActions(PromotionId) -> PromotionAction as "domain::PromotionAction" by promotion_actions {
        /// It may be ended.
        End takes EditPromotions,
    }

    /// What staff can do with an account.
    AccountActions(AccountId) -> AccountAction as "domain::AccountAction" by account_actions {
        /// It may get a role.
        GrantRole takes ManageAccounts,
        /// One of its roles may be taken.
        RevokeRole takes ManageAccounts,
        /// It may be disabled.
        Disable takes ManageAccounts,
        /// It may be enabled again.
        Enable takes ManageAccounts,
    }

    /// What can be done with an API key.
    ApiKeyActions(ApiKeyId) -> ApiKeyAction as "domain::ApiKeyAction" by api_key_actions {
        /// It may be revoked.
        Revoke takes ManageApiKeys,
    }

    /// What can be done with a webhook.
    WebhookActions(WebhookId) -> WebhookAction as "domain::WebhookAction" by webhook_actions {
        /// It may be changed.
        Change takes ManageWebhooks,
        /// Sending may be stopped.
        Pause takes ManageWebhooks,
        /// Sending may go on.
        Resume takes ManageWebhooks,
        /// It may be removed.
        Remove takes ManageWebhooks,
    }
}
