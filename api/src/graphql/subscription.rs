//! Subscriptions: what happened since a position, without gap or repetition, then what happens.

use std::sync::Arc;

use async_graphql::{Context, Error, ID, SimpleObject, Subscription};
use event_schemas::{InvalidId, OrderId, Position, Recorded, Sku, StockId};
use futures::{Stream, StreamExt, stream};

use crate::{
    access::{Permission, sees},
    graphql::{
        anomaly::Anomaly,
        audit_query::shown,
        changed::{order_at, stock_at},
        follow::{self, Streams, Subject},
        global_id::{self, Kind},
        history::HistoryEntry,
        order::Order,
        problem,
        scalar::Long,
        stock::StockLevel,
    },
    shop::Shop,
};

/// Something that happened to an order or one of its payments.
#[derive(SimpleObject)]
pub(crate) struct OrderUpdate {
    /// Its place in the log: to go on from here after a break, subscribe again with it as `fromPosition`.
    position: Long,
    /// What happened, such as `OrderPaymentReceived`.
    #[graphql(name = "type")]
    event_type: String,
    /// The order as it is now: with this, and with whatever has happened since.
    order: Option<Order>,
}

/// Something that happened to the stock of a SKU.
#[derive(SimpleObject)]
pub(crate) struct StockChange {
    /// Its place in the log: to go on from here after a break, subscribe again with it as `fromPosition`.
    position: Long,
    /// What happened, such as `StockReserved`.
    #[graphql(name = "type")]
    event_type: String,
    /// The stock level as it is now: with this, and with whatever has happened since.
    stock: Option<StockLevel>,
}

/// What an event showed to be out of the ordinary.
#[derive(SimpleObject)]
pub(crate) struct AnomalyUpdate {
    /// The event's place in the log: to go on from here after a break, subscribe again with it as `fromPosition`.
    position: Long,
    /// The days, as they are judged now.
    anomalies: Vec<Anomaly>,
}

/// Where a subscriber goes on: after the position it names, or after what it can see now.
async fn start(shop: &Shop, from: Option<Long>, now: Position) -> Result<Position, Error> {
    let Some(from) = from else { return Ok(now) };
    let refused = || problem::bad_input("`fromPosition` is not a position of the log");
    let position = from.position().ok_or_else(refused)?;
    // Another node may have written it, and this one not have heard of it yet.
    let is_there = position <= shop.head() || position <= shop.log.head().await.map_err(|error| problem::fault(&error))?.position;
    if is_there { Ok(position) } else { Err(refused()) }
}

/// Events of some streams as they become visible, one by one.
fn one_by_one(streams: Streams) -> impl Stream<Item = Result<Recorded, Error>> {
    let batches = stream::unfold(streams, |mut streams| async move {
        let batch = streams.next().await?;
        Some((batch, streams))
    });
    batches.flat_map(|batch| {
        stream::iter(match batch {
            Ok(events) => events.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(problem::fault(&error))],
        })
    })
}

#[derive(Default)]
pub(crate) struct Root;

/// What can be followed.
#[Subscription(name = "Subscription")]
impl Root {
    /// What happens to an order and its payments: a customer's for them and for staff, a guest's for whoever knows its id.
    async fn order_updated<'c>(
        &self,
        ctx: &'c Context<'_>,
        #[graphql(desc = "The order.")] id: ID,
        #[graphql(desc = "First what happened after this position; only what happens from now on unless given.")]
        from_position: Option<Long>,
    ) -> Result<impl Stream<Item = Result<OrderUpdate, Error>> + 'c, Error> {
        let id: OrderId = global_id::decode(Kind::Order, &id).ok_or_else(|| problem::bad_id("id"))?;
        let shop = ctx.data::<Arc<Shop>>()?.clone();
        let from = start(&shop, from_position, shop.freshness().0).await?;
        let events = one_by_one(Streams::after(shop, from, Subject::Order(id)));
        // An order that is not there for the caller is as one that was never placed: nothing happens to it.
        Ok(events.filter_map(move |event| async move {
            let event = match event {
                Ok(event) => event,
                Err(error) => return Some(Err(error)),
            };
            let order = order_at(ctx, Some(id)).await.transpose()?;
            Some(order.map(|order| OrderUpdate {
                position: Long::of(event.position),
                event_type: event.event.event_type.into_owned(),
                order: Some(order),
            }))
        }))
    }

    /// What happens to the stock of a SKU, at all locations of the store.
    #[graphql(guard = "Permission::ViewStock", visible = "sees::stock")]
    async fn stock_changed<'c>(
        &self,
        ctx: &'c Context<'_>,
        #[graphql(desc = "The SKU.")] sku: String,
        #[graphql(desc = "First what happened after this position; only what happens from now on unless given.")]
        from_position: Option<Long>,
    ) -> Result<impl Stream<Item = Result<StockChange, Error>> + 'c, Error> {
        let sku: Sku = sku.parse().map_err(|error: InvalidId| problem::bad_input(error.to_string()))?;
        let shop = ctx.data::<Arc<Shop>>()?.clone();
        let from = start(&shop, from_position, shop.freshness().0).await?;
        let events = one_by_one(Streams::after(shop, from, Subject::Stock(sku)));
        Ok(events.then(move |event| async move {
            let event = event?;
            let stock = event.event.stream.aggregate_id.parse::<StockId>().ok();
            Ok(StockChange {
                position: Long::of(event.position),
                event_type: event.event.event_type.into_owned(),
                stock: stock_at(ctx, stock).await?,
            })
        }))
    }

    /// Days whose orders or revenue turn out to be out of the ordinary, and those that are judged anew because orders came late
    /// and still are. One that turns out to be ordinary after all is not told: it is no longer in `anomalies`. A day is judged
    /// when the first order or cart of another one arrives.
    #[graphql(guard = "Permission::ViewSales", visible = "sees::sales")]
    async fn anomaly_raised(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "First what was found after this position; only what is found from now on unless given.")]
        from_position: Option<Long>,
    ) -> Result<impl Stream<Item = Result<AnomalyUpdate, Error>>, Error> {
        let shop = ctx.data::<Arc<Shop>>()?.clone();
        let seen = shop.freshness.borrow().position_of(&[&projections::ANOMALIES]);
        let from = start(&shop, from_position, seen).await?;
        Ok(follow::anomalies(shop, from).map(|found| {
            let found = found.map_err(|error| problem::fault(&error))?;
            let position = Long::of(found.first().map_or(0, |anomaly| anomaly.position));
            Ok(AnomalyUpdate { position, anomalies: found.into_iter().map(Anomaly::from).collect() })
        }))
    }

    /// Everything that happens, in the order of the log.
    #[graphql(guard = "Permission::ViewEvents", visible = "sees::events")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "First what happened after this position; only what happens from now on unless given.")]
        from_position: Option<Long>,
        #[graphql(desc = "Only events of these types, such as `OrderPlaced`.")] types: Option<Vec<String>>,
    ) -> Result<impl Stream<Item = Result<HistoryEntry, Error>>, Error> {
        shown(ctx, &"log")?;
        let shop = ctx.data::<Arc<Shop>>()?.clone();
        let from = start(&shop, from_position, shop.head()).await?;
        let wanted =
            move |event: &Recorded| types.as_ref().is_none_or(|types| types.iter().any(|t| *t == event.event.event_type));
        Ok(follow::log(shop, from).filter_map(move |event| {
            let shown = match event {
                Ok(event) if wanted(&event) => Some(Ok(HistoryEntry::from(event))),
                Ok(_) => None,
                Err(error) => Some(Err(problem::fault(&error))),
            };
            futures::future::ready(shown)
        }))
    }
}
