//! The things that a mutation changed, as the views show them afterwards.

use std::sync::Arc;

use async_graphql::{Context, Error};
use event_schemas::{CategoryId, OrderId, PaymentId, ProductId, StockId};

use crate::{
    graphql::{category::Category, order::Order, payment::Payment, problem, product::Product, stock::StockLevel},
    shop::Shop,
};

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
    /// An order as it is now.
    order_at(OrderId) -> Order = |reader, id| reader.order(id);
    /// A payment as it is now.
    payment_at(PaymentId) -> Payment = |reader, id| reader.payment(id);
    /// A product as it is now, whatever its state.
    product_at(ProductId) -> Product = |reader, id| reader.product(id);
    /// A category as it is now.
    category_at(CategoryId) -> Category = |reader, id| Ok(reader.categories_by_id(&[id])?.remove(&id));
    /// A stock level as it is now.
    stock_at(StockId) -> StockLevel = |reader, id| reader.stock_level(&id);
}
