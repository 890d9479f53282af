//! What can be done with a thing now. Nothing here knows a rule: an action is there if the decision that carries it out, asked
//! with an input that is sound in itself, would do something. So what is offered and what is refused cannot disagree.

use std::{collections::BTreeMap, sync::Arc};

use event_schemas::{
    AccountId, ApiKeyId, CancelledBy, CartDetailsSet, CartId, CartLineSet, CategoryId, Currency, FulfilmentId, Money,
    OrderFulfilled, OrderId, PaymentId, ProductDetailsChanged, ProductId, PromotionId, RefundId, ReturnId, RoleName, Sku,
    SkuQuantity, Timestamp, VariantId, WebhookId, WebhookPauseReason,
};
use uuid::Uuid;

use crate::{
    Account, AccountCommand, ArchiveCategory, ArchiveProduct, CancelOrder, Cart, CartCommand, Category, CategoryCommand,
    ChangeAccount, ChangeWebhook, Checkout, ConfirmPayment, Decision, DeliverFulfilment, EndPromotion, FulfilOrder, NewPrice,
    NewVariant, Order, OrderCommand, PlacedOrder, Product, ProductCommand, PublishProduct, RemoveVariant, RequestCapture,
    RequestRefund, RequestVoid, ReturnItems, RevokeApiKey, StartProcessing, StoreConfig, Webhook, WebhookCommand, World,
};

/// Who asks what can be done, when and where.
#[derive(Debug, Clone)]
pub struct Asking {
    /// The time of asking.
    pub now: Timestamp,
    /// The store's configuration.
    pub config: Arc<StoreConfig>,
}

/// Whether a decision would do something now: it is neither refused nor without effect.
fn does(world: &World<'_>, decision: &impl Decision) -> bool {
    decision.decide(world).is_ok_and(|changes| !changes.is_empty())
}

/// What an input that is only asked about says where it has to say something.
const WORD: &str = "asked";
/// An id that nothing has.
const NOTHING: Uuid = Uuid::max();

macro_rules! actions {
    ($(
        $(#[$meta:meta])*
        $name:ident of $id:ty, $asked:ident(|$world:ident, $key:ident, $asking:ident|) {
            $($(#[$doc:meta])* $action:ident = $does:expr;)+
        }
    )+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $action,)+
        }

        impl $name {
            /// All there are, in the order in which they usually come.
            pub const ALL: &[Self] = &[$(Self::$action),+];
        }

        #[doc = concat!("What can be done with it now, in the order of [`", stringify!($name), "::ALL`].")]
        pub fn $asked($world: &World<'_>, $key: &$id, $asking: &Asking) -> Vec<$name> {
            let _ = $asking;
            let all = [$(($name::$action, $does)),+];
            all.into_iter().filter(|(_, does)| *does).map(|(action, _)| action).collect()
        }
    )+};
}

actions! {
    /// What can be done with an order.
    OrderAction of OrderId, order_actions(|world, id, asking|) {
        /// The buyer may pay.
        Pay = of_payments(world, id, |payment_id| does(world, &confirm(payment_id, asking)));
        /// Held money may be taken.
        Capture = of_payments(world, id, |payment_id| does(world, &RequestCapture { payment_id, amount: None }));
        /// It may be called off.
        Cancel = does(world, &cancel(*id));
        /// The warehouse may begin.
        StartProcessing = does(world, &StartProcessing { order_id: *id });
        /// Units may be shipped.
        Fulfil = fulfils(world, *id);
        /// A parcel may be reported as arrived.
        Deliver = placed(world, id).is_some_and(|order| order.facts.parcels.keys().any(|parcel| delivers(world, *id, *parcel)));
        /// Shipped units may come back.
        Return = returns(world, *id);
        /// Money may go back.
        Refund = refunds(world, id);
    }

    /// What can be done with a parcel.
    FulfilmentAction of (OrderId, FulfilmentId), fulfilment_actions(|world, id, asking|) {
        /// It may be reported as arrived.
        Deliver = delivers(world, id.0, id.1);
    }

    /// What can be done about goods that came back, by their order.
    ReturnAction of OrderId, return_actions(|world, id, asking|) {
        /// What they cost may be given back.
        Refund = refunds(world, id);
    }

    /// What can be done with a payment.
    PaymentAction of PaymentId, payment_actions(|world, id, asking|) {
        /// The buyer may confirm it.
        Confirm = does(world, &confirm(*id, asking));
        /// Held money may be taken.
        Capture = does(world, &RequestCapture { payment_id: *id, amount: None });
        /// Held money may be let go.
        Void = does(world, &RequestVoid { payment_id: *id, reason: WORD.to_owned() });
        /// Money may go back.
        Refund = does(world, &refund(*id));
    }

    /// What can be done with a product.
    ProductAction of ProductId, product_actions(|world, id, asking|) {
        /// It may be changed.
        Update = updates(world.get::<Product>(id));
        /// It may be put on sale.
        Publish = does(world, &PublishProduct { product_id: *id });
        /// It may be taken off sale.
        Archive = does(world, &ArchiveProduct { product_id: *id, reason: WORD.to_owned() });
        /// It may get another variant.
        AddVariant = takes_variant(world.get::<Product>(id));
        /// A variant may be taken out.
        RemoveVariant = variants(world, id, |variant_id| does(world, &RemoveVariant { product_id: *id, variant_id }));
        /// A variant may get a price.
        SetPrice = variants(world, id, |variant_id| takes_price(world.get::<Product>(id), variant_id));
    }

    /// What can be done with a category.
    CategoryAction of CategoryId, category_actions(|world, id, asking|) {
        /// It may be renamed.
        Update = renames(world.get::<Category>(id));
        /// It may be moved below another one, or to the root.
        Move = moves(world.get::<Category>(id));
        /// It may be taken out of the shop.
        Archive = does(world, &ArchiveCategory { category_id: *id });
    }

    /// What can be done with a cart.
    CartAction of CartId, cart_actions(|world, id, asking|) {
        /// A line may be put in.
        AddLines = takes_line(world.get::<Cart>(id), asking.now);
        /// A line may be changed or taken out.
        UpdateLines = gives_line(world.get::<Cart>(id), asking.now);
        /// It may be said who buys, and where the parcel goes.
        Update = takes_details(world.get::<Cart>(id), asking.now);
        /// It may become an order.
        Checkout = does(world, &checkout(*id, asking));
    }

    /// What can be done with a promotion.
    PromotionAction of PromotionId, promotion_actions(|world, id, asking|) {
        /// It may be ended.
        End = does(world, &EndPromotion { promotion_id: *id });
    }

    /// What can be done with an account.
    AccountAction of AccountId, account_actions(|world, id, asking|) {
        /// It may get a role.
        GrantRole = grants(world, *id);
        /// One of its roles may be taken.
        RevokeRole = revokes(world, *id);
        /// It may be disabled.
        Disable = changes_account(world, *id, AccountCommand::Disable { reason: None });
        /// It may be enabled again.
        Enable = changes_account(world, *id, AccountCommand::Enable);
    }

    /// What can be done with an API key.
    ApiKeyAction of ApiKeyId, api_key_actions(|world, id, asking|) {
        /// It may be revoked.
        Revoke = does(world, &RevokeApiKey { api_key_id: *id });
    }

    /// What can be done with a webhook.
    WebhookAction of WebhookId, webhook_actions(|world, id, asking|) {
        /// It may be changed.
        Change = changes_label(world, *id);
        /// Sending may be stopped.
        Pause = changes_webhook(world, *id, WebhookCommand::Pause { reason: WebhookPauseReason::Staff });
        /// Sending may go on.
        Resume = changes_webhook(world, *id, WebhookCommand::Resume);
        /// It may be removed.
        Remove = changes_webhook(world, *id, WebhookCommand::Remove);
    }
}

fn placed<'a>(world: &World<'a>, id: &OrderId) -> Option<&'a PlacedOrder> {
    world.get::<Order>(id).placed().ok()
}

/// Whether one of them holds. All of them are asked, so that what is missing is brought in one go.
fn any_of_all(asked: impl Iterator<Item = bool>) -> bool {
    asked.filter(|holds| *holds).count() > 0
}

fn of_payments(world: &World<'_>, id: &OrderId, holds: impl Fn(PaymentId) -> bool) -> bool {
    let payments = placed(world, id).map(PlacedOrder::payments).unwrap_or_default();
    any_of_all(payments.into_iter().map(holds))
}

fn cancel(order_id: OrderId) -> CancelOrder {
    CancelOrder { order_id, by: CancelledBy::Staff, reason: WORD.to_owned(), refund_id: RefundId(NOTHING) }
}

fn confirm(payment_id: PaymentId, asking: &Asking) -> ConfirmPayment {
    ConfirmPayment { payment_id, token: WORD.to_owned(), capture: true, now: asking.now }
}

fn refund(payment_id: PaymentId) -> RequestRefund {
    RequestRefund { payment_id, refund_id: RefundId(NOTHING), amount: None, reason: WORD.to_owned() }
}

fn refunds(world: &World<'_>, id: &OrderId) -> bool {
    of_payments(world, id, |payment_id| does(world, &refund(payment_id)))
}

fn delivers(world: &World<'_>, order_id: OrderId, fulfilment_id: FulfilmentId) -> bool {
    does(world, &DeliverFulfilment { order_id, fulfilment_id })
}

/// The order is asked first: the stocks of one that is shipped need not be brought.
fn fulfils(world: &World<'_>, order_id: OrderId) -> bool {
    let fulfilment_id = FulfilmentId(NOTHING);
    let Some(order) = placed(world, &order_id) else { return false };
    let items = order.unshipped();
    let one = |item: &SkuQuantity| Some(vec![SkuQuantity { sku: item.sku.clone(), quantity: 1 }]);
    let parcels: Vec<_> = std::iter::once(None).chain(items.iter().map(one)).collect();
    let parcel = OrderFulfilled { fulfilment_id, items, tracking: None };
    let allowed = world.get::<Order>(order_id).decide(OrderCommand::Fulfil(parcel)).is_ok();
    let ship = |items| FulfilOrder { order_id, fulfilment_id, items, tracking: None };
    allowed && parcels.into_iter().any(|items| does(world, &ship(items)))
}

fn returns(world: &World<'_>, order_id: OrderId) -> bool {
    let Some(order) = placed(world, &order_id) else { return false };
    order.facts.ordered.keys().any(|sku| {
        let items = vec![SkuQuantity { sku: sku.clone(), quantity: 1 }];
        does(world, &ReturnItems { order_id, return_id: ReturnId(NOTHING), items, reason: WORD.to_owned(), restock: None })
    })
}

fn updates(product: &Product) -> bool {
    let Some(details) = product.details() else { return false };
    let description = if details.description.is_empty() { WORD.to_owned() } else { String::new() };
    let details = ProductDetailsChanged { description, ..details.clone() };
    product.decide(ProductCommand::ChangeDetails(details)).is_ok_and(|events| !events.is_empty())
}

/// Whether it holds for one of a product's variants.
fn variants(world: &World<'_>, id: &ProductId, holds: impl Fn(VariantId) -> bool) -> bool {
    world.get::<Product>(id).variant_ids().any(holds)
}

fn takes_variant(product: &Product) -> bool {
    let is_free = |sku: &Sku| product.variant_ids().all(|id| product.sku_of(id) != Some(sku));
    let Some(sku) = free_sku(is_free) else { return false };
    let (variant_id, name) = (VariantId(NOTHING), String::new());
    let variant = NewVariant { variant_id, sku, name, options: BTreeMap::new(), weight_grams: 0, prices: Vec::new() };
    product.decide(ProductCommand::AddVariant(variant)).is_ok()
}

fn takes_price(product: &Product, variant_id: VariantId) -> bool {
    let Some(currency) = Currency::all().next() else { return false };
    let price = NewPrice { price: Money::new(0, currency), valid_from: None, valid_until: None };
    product.decide(ProductCommand::SetPrice { variant_id, price }).is_ok()
}

/// A SKU that is free, as far as that is known here.
fn free_sku(is_free: impl Fn(&Sku) -> bool) -> Option<Sku> {
    (0..=1_000).filter_map(|number| Sku::new(format!("ASKED-{number}")).ok()).find(|sku| is_free(sku))
}

fn renames(category: &Category) -> bool {
    let Category::Open { slug, .. } = category else { return false };
    let name = |name: &str| CategoryCommand::Rename { name: name.to_owned(), slug: slug.clone() };
    [WORD, "asked again"].into_iter().any(|text| category.decide(name(text)).is_ok_and(|events| !events.is_empty()))
}

fn moves(category: &Category) -> bool {
    let Category::Open { parent_id, .. } = category else { return false };
    let parent_id = if parent_id.is_some() { None } else { Some(CategoryId(NOTHING)) };
    category.decide(CategoryCommand::Move { parent_id }).is_ok_and(|events| !events.is_empty())
}

fn takes_line(cart: &Cart, now: Timestamp) -> bool {
    let Ok(open) = cart.open_at(now) else { return false };
    let Some(sku) = free_sku(|sku| open.line(sku).is_none()) else { return false };
    let line = CartLineSet {
        product_id: ProductId(NOTHING),
        variant_id: VariantId(NOTHING),
        sku,
        title: String::new(),
        quantity: 1,
        unit_price: Money::new(0, open.currency),
        expires_at: open.expires_at,
    };
    cart.decide(CartCommand::SetLine { line, now }).is_ok()
}

fn gives_line(cart: &Cart, now: Timestamp) -> bool {
    let Ok(open) = cart.open_at(now) else { return false };
    let remove = |sku: &Sku| CartCommand::RemoveLine { sku: sku.clone(), expires_at: open.expires_at, now };
    open.lines.iter().any(|line| cart.decide(remove(&line.sku)).is_ok())
}

fn takes_details(cart: &Cart, now: Timestamp) -> bool {
    let Ok(open) = cart.open_at(now) else { return false };
    let details = CartDetailsSet {
        email: None,
        shipping_address: None,
        billing_address: None,
        country: None,
        shipping_method: None,
        coupon_codes: None,
        expires_at: open.expires_at,
    };
    cart.decide(CartCommand::SetDetails { details: Box::new(details), now }).is_ok()
}

fn checkout(cart_id: CartId, asking: &Asking) -> Checkout {
    let (order_id, payment_id) = (OrderId(NOTHING), PaymentId(NOTHING));
    Checkout { cart_id, order_id, number: WORD.to_owned(), payment_id, now: asking.now, config: asking.config.clone() }
}

fn changes_account(world: &World<'_>, account_id: AccountId, command: AccountCommand) -> bool {
    does(world, &ChangeAccount { account_id, command })
}

fn grants(world: &World<'_>, id: AccountId) -> bool {
    let roles = RoleName::BUILT_IN.iter().filter_map(|role| RoleName::new(*role).ok());
    any_of_all(roles.map(|role| changes_account(world, id, AccountCommand::GrantRole { role })))
}

fn revokes(world: &World<'_>, id: AccountId) -> bool {
    let roles = world.get::<Account>(id).registered().map(|account| account.roles.clone()).unwrap_or_default();
    any_of_all(roles.into_iter().map(|role| changes_account(world, id, AccountCommand::RevokeRole { role })))
}

fn changes_webhook(world: &World<'_>, webhook_id: WebhookId, command: WebhookCommand) -> bool {
    does(world, &ChangeWebhook { webhook_id, command })
}

fn changes_label(world: &World<'_>, id: WebhookId) -> bool {
    let Some(webhook) = world.get::<Webhook>(id).open() else { return false };
    let label = Some(if webhook.label == WORD { String::new() } else { WORD.to_owned() });
    changes_webhook(world, id, WebhookCommand::Change { url: None, types: None, label, allow_http: true })
}
