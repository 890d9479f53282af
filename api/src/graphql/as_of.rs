//! Time travel: a thing as it was, folded from its events up to a moment by the same fold that keeps the views.

use std::sync::Arc;

use async_graphql::{Context, Error, InputObject};
use event_schemas::{OrderId, PaymentId, ProductId, Recorded, StockId, StreamId, Timestamp};
use projections::{Projection, RowCache, fold_in_memory};

use crate::{
    access::{Caller, Permission},
    graphql::{
        history,
        loader::{OrderById, load},
        order::{Order, OrderDetails},
        payment::Payment,
        problem,
        product::Product,
        scalar::Long,
        stock::StockLevel,
    },
    shop::Shop,
};

/// A moment of the past: a position of the log, or a time; one of them.
#[derive(Debug, Clone, Copy, InputObject)]
pub(crate) struct AsOf {
    /// After the event at this position of the log.
    position: Option<Long>,
    /// After the events that the log had written by this time.
    at: Option<Timestamp>,
}

impl AsOf {
    fn includes(&self, recorded: &Recorded) -> bool {
        let by_position = self.position.is_none_or(|position| Long::of(recorded.position).0 <= position.0);
        by_position && self.at.is_none_or(|at| recorded.event.recorded_at <= at)
    }
}

/// Folds streams up to a moment, by themselves, with one projection.
async fn fold(
    ctx: &Context<'_>,
    streams: Vec<StreamId>,
    as_of: AsOf,
    projection: &'static Projection,
) -> Result<RowCache, Error> {
    if as_of.position.is_some() == as_of.at.is_some() {
        return Err(problem::bad_input("`asOf` is a `position` or a time `at`, one of them"));
    }
    let log = &ctx.data::<Arc<Shop>>()?.log;
    if let Some(Long(position)) = as_of.position {
        let head = Long::of(log.head().await.map_err(|error| problem::fault(&error))?.position).0;
        if !(0..=head).contains(&position) {
            return Err(problem::bad_input(format!("`asOf` is position {position}, and the log goes from 0 to {head}")));
        }
    }
    let mut events = Vec::new();
    for stream in &streams {
        events.extend(history::whole(log.as_ref(), stream).await.map_err(|error| problem::fault(&error))?);
    }
    events.retain(|recorded| as_of.includes(recorded));
    events.sort_by_key(|recorded| recorded.position);
    fold_in_memory(projection, events).map_err(|error| problem::fault(&error))
}

/// A product as it was; null if it did not exist, or the caller may not see it in that state.
pub(crate) async fn product(ctx: &Context<'_>, id: ProductId, as_of: AsOf) -> Result<Option<Product>, Error> {
    let past = fold(ctx, vec![StreamId::new("product", id)], as_of, &projections::PRODUCTS).await?;
    let Some(product) = Product::visible(ctx, past.held::<projections::Product>().pop())? else { return Ok(None) };
    let prices = past.held::<projections::VariantPrice>();
    let variants = past.held::<projections::Variant>().into_iter().map(|variant| {
        let own = prices.iter().filter(|price| price.variant_id == variant.variant_id).cloned().collect();
        (variant, own)
    });
    Ok(Some(product.holding(variants.collect())))
}

/// An order as it was; null if it did not exist, or is not there for the caller.
pub(crate) async fn order(ctx: &Context<'_>, id: OrderId, payments: &[PaymentId], as_of: AsOf) -> Result<Option<Order>, Error> {
    let streams = payments.iter().map(|payment| StreamId::new("payment", payment));
    let streams = std::iter::once(StreamId::new("order", id)).chain(streams).collect::<Vec<_>>();
    let orders = fold(ctx, streams.clone(), as_of, &projections::ORDERS).await?;
    let payments = fold(ctx, streams, as_of, &projections::PAYMENTS).await?;
    let Some(row) = orders.held::<projections::Order>().pop() else { return Ok(None) };
    if !ctx.data::<Caller>()?.reaches(row.customer_id.as_ref(), Permission::ViewOrders) {
        return Ok(None);
    }
    let details = OrderDetails {
        lines: orders.held(),
        charges: orders.held(),
        discounts: orders.held(),
        fulfilments: orders.held(),
        returns: orders.held(),
        payments: payments.held(),
    };
    Ok(Some(Order::past(row, details)))
}

/// A payment as it was; null if it did not exist, or is not there for the caller.
pub(crate) async fn payment(ctx: &Context<'_>, id: PaymentId, as_of: AsOf) -> Result<Option<Payment>, Error> {
    let past = fold(ctx, vec![StreamId::new("payment", id)], as_of, &projections::PAYMENTS).await?;
    let Some(row) = past.held::<projections::Payment>().pop() else { return Ok(None) };
    // An order's customer never changes, so that the order as it is now says whose the payment was.
    let order = load(ctx, OrderById(row.order_id)).await?;
    let is_there = Payment::visible(ctx, Some(row.clone()), order.as_ref())?.is_some();
    Ok(is_there.then(|| Payment::past(row, past.held())))
}

/// A stock level as it was; null if there was none.
pub(crate) async fn stock(ctx: &Context<'_>, id: &StockId, as_of: AsOf) -> Result<Option<StockLevel>, Error> {
    let past = fold(ctx, vec![StreamId::new("stock", id)], as_of, &projections::STOCK).await?;
    Ok(past.held::<projections::StockLevel>().pop().map(StockLevel::new))
}
