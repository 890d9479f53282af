//! The things that a mutation changed, as the views show them afterwards.

use std::sync::Arc;

use async_graphql::{Context, Error};
use event_schemas::{AccountId, ApiKeyId, CategoryId, OrderId, PaymentId, ProductId, PromotionId, StockId, WebhookId};
use projections::Reader;

use crate::{
    graphql::{
        account::Account, category::Category, order::Order, payment::Payment, problem, product::Product, promotion::Promotion,
        rights_query::ApiKey, stock::StockLevel, webhook::Webhook,
    },
    shop::Shop,
};

/// An order as it is now, if it is there for the caller.
pub(crate) async fn order_at(ctx: &Context<'_>, id: Option<OrderId>) -> Result<Option<Order>, Error> {
    let Some(id) = id else { return Ok(None) };
    let views = &ctx.data::<Arc<Shop>>()?.views;
    Order::visible(ctx, views.read(move |reader| reader.order(id)).await.map_err(problem::view)?)
}

/// A payment as it is now, if it is there for the caller.
pub(crate) async fn payment_at(ctx: &Context<'_>, id: Option<PaymentId>) -> Result<Option<Payment>, Error> {
    let Some(id) = id else { return Ok(None) };
    let read = move |reader: &Reader<'_>| {
        let payment = reader.payment(id)?;
        let order = payment.as_ref().map(|payment| reader.order(payment.order_id)).transpose()?;
        Ok((payment, order.flatten()))
    };
    let (payment, order) = ctx.data::<Arc<Shop>>()?.views.read(read).await.map_err(problem::view)?;
    Payment::visible(ctx, payment, order.as_ref())
}

macro_rules! changed {
    ($($(#[$meta:meta])* $name:ident($id:ty) -> $thing:ty = |$reader:ident, $key:ident| $read:expr;)+) => {$(
        $(#[$meta])*
        pub(crate) async fn $name(ctx: &Context<'_>, id: Option<$id>) -> Result<Option<$thing>, Error> {
            let Some($key) = id else { return Ok(None) };
            let views = &ctx.data::<Arc<Shop>>()?.views;
            let row = views.read(move |$reader| $read).await.map_err(problem::view)?;
            Ok(row.map(<$thing>::new))
        }
    )+};
}

changed! {
    /// A product as it is now, whatever its state.
    product_at(ProductId) -> Product = |reader, id| reader.product(id);
    /// A category as it is now.
    category_at(CategoryId) -> Category = |reader, id| Ok(reader.categories_by_id(&[id])?.remove(&id));
    /// A stock level as it is now.
    stock_at(StockId) -> StockLevel = |reader, id| reader.stock_level(&id);
    /// A promotion as it is now.
    promotion_at(PromotionId) -> Promotion = |reader, id| reader.promotion(id);
    /// A webhook as it is now, unless it was removed.
    webhook_at(WebhookId) -> Webhook = |reader, id| reader.webhook(id);
    /// An API key as it is now.
    api_key_at(ApiKeyId) -> ApiKey = |reader, id| reader.api_key(id);
    /// The account that somebody has just logged in to: it is theirs.
    signed_in_to(AccountId) -> Account = |reader, id| reader.account(id);
}
