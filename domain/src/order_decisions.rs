//! What buyers, staff and processes decide about an order once it is placed, with its stock, promotions and payments.

use chrono::TimeDelta;
use event_schemas::{
    CancelledBy, FulfilmentId, LocationId, OrderFulfilled, OrderId, OrderItemsReturned, RefundId, ReleaseReason, ReturnId,
    SkuQuantity, StockId, Timestamp,
};
use uuid::Uuid;

use crate::{
    Change, Decision, Order, OrderCommand, OrderRefusal, Payment, PaymentCommand, PlacedOrder, Promotion, PromotionCommand,
    Refusal, SealedText, Stock, StockCommand, World, payment_decisions::payment_changes, stock_decisions::stock_changes,
    stream_of,
};

/// Asks one command of one order.
pub(crate) fn order_changes(world: &World<'_>, id: OrderId, command: OrderCommand) -> Result<Vec<Change>, Refusal> {
    Ok(Change::all(stream_of::<Order>(id), world.get::<Order>(id).decide(command)?))
}

/// Gives back all that a closing order holds: stock, uses of promotions, and money.
pub(crate) fn let_go(
    world: &World<'_>,
    order_id: OrderId,
    order: &PlacedOrder,
    why: (ReleaseReason, &str),
    refund_id: RefundId,
) -> Result<Vec<Change>, Refusal> {
    let (released, reason) = why;
    let mut changes = Vec::new();
    for (sku, location) in order.stocks() {
        let stock = StockId { sku: sku.clone(), location: location.clone() };
        changes.extend(stock_changes(world, &stock, StockCommand::Release { order_id, reason: released })?);
    }
    for id in &order.promotions {
        let events = world.get::<Promotion>(id).decide(PromotionCommand::Restore { order_id })?;
        changes.extend(Change::all(stream_of::<Promotion>(id), events));
    }
    for (index, payment_id) in order.payments().into_iter().enumerate() {
        if *world.get::<Payment>(payment_id) == Payment::Absent {
            continue;
        }
        let own = RefundId(Uuid::new_v5(&refund_id.0, payment_id.0.as_bytes()));
        let refund_id = if index == 0 { refund_id } else { own };
        let command = PaymentCommand::Close { refund_id, reason: reason.to_owned() };
        changes.extend(payment_changes(world, payment_id, command)?);
    }
    Ok(changes)
}

/// Call an order off before anything of it is shipped: stock and promotions are given back, and money goes back or is let go.
#[derive(Debug, Clone)]
pub struct CancelOrder {
    /// The order.
    pub order_id: OrderId,
    /// Who does it.
    pub by: CancelledBy,
    /// Why.
    pub reason: String,
    /// The id of the refund, if one is needed.
    pub refund_id: RefundId,
}

impl Decision for CancelOrder {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let command = OrderCommand::Cancel { by: self.by, reason: self.reason.clone() };
        let mut changes = order_changes(world, self.order_id, command)?;
        let order = world.get::<Order>(self.order_id).placed()?;
        let why = (ReleaseReason::Cancelled, self.reason.as_str());
        changes.extend(let_go(world, self.order_id, order, why, self.refund_id)?);
        Ok(changes)
    }
}

/// When to look again at an unpaid order whose money is held.
const LOOK_AGAIN: TimeDelta = TimeDelta::minutes(15);

/// Asks for every stock that holds units of an order, so that what is missing is brought in one go.
pub(crate) fn look_at_stocks(world: &World<'_>, order: &PlacedOrder) {
    for (sku, location) in order.stocks() {
        let _ = world.get::<Stock>(StockId { sku: sku.clone(), location: location.clone() });
    }
}

/// Give up waiting for an order's money once its time is over. An order that is paid, or whose money is held or taken and on
/// its way to be recorded, stays.
#[derive(Debug, Clone)]
pub struct ExpireOrder {
    /// The order.
    pub order_id: OrderId,
    /// The id of the refund, if a part was paid.
    pub refund_id: RefundId,
    /// The time of asking.
    pub now: Timestamp,
}

impl Decision for ExpireOrder {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let mut changes = order_changes(world, self.order_id, OrderCommand::Expire { now: self.now })?;
        let order = world.get::<Order>(self.order_id).placed()?;
        let secured: i64 = order
            .payments()
            .into_iter()
            .filter_map(|id| world.get::<Payment>(id).opened().ok())
            .fold(0, |sum, payment| sum.saturating_add(payment.authorised_minor() - payment.refunded_minor()));
        if changes.is_empty() {
            return Ok(vec![]);
        }
        if secured >= order.facts.due_minor {
            // What is held may yet be let go, and then somebody has to give the stock back.
            let until = self.now.checked_add_signed(LOOK_AGAIN).unwrap_or(Timestamp::MAX_UTC);
            return Err(OrderRefusal::NotDue { until }.into());
        }
        let why = (ReleaseReason::Expired, "the order was not paid in time");
        changes.extend(let_go(world, self.order_id, order, why, self.refund_id)?);
        Ok(changes)
    }
}

/// Begin to prepare a paid order in the warehouse.
#[derive(Debug, Clone)]
pub struct StartProcessing {
    /// The order.
    pub order_id: OrderId,
}

impl Decision for StartProcessing {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        order_changes(world, self.order_id, OrderCommand::StartProcessing)
    }
}

/// Write something down about an order, whatever its state.
#[derive(Debug, Clone)]
pub struct AddOrderNote {
    /// The order.
    pub order_id: OrderId,
    /// The note, 1 to 2000 characters.
    pub note: SealedText,
}

impl Decision for AddOrderNote {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        order_changes(world, self.order_id, OrderCommand::AddNote(self.note.clone()))
    }
}

/// Send a parcel of a paid order: its units leave the locations where they were set aside.
#[derive(Debug, Clone)]
pub struct FulfilOrder {
    /// The order.
    pub order_id: OrderId,
    /// The new parcel.
    pub fulfilment_id: FulfilmentId,
    /// What is in it; all that is left to ship if absent.
    pub items: Option<Vec<SkuQuantity>>,
    /// The carrier's tracking number, if any.
    pub tracking: Option<String>,
}

impl Decision for FulfilOrder {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let (order_id, fulfilment_id) = (self.order_id, self.fulfilment_id);
        let order = world.get::<Order>(order_id).placed()?;
        look_at_stocks(world, order);
        let items = self.items.clone().unwrap_or_else(|| order.unshipped());
        let parcel = OrderFulfilled { fulfilment_id, items: items.clone(), tracking: self.tracking.clone() };
        let mut changes = order_changes(world, order_id, OrderCommand::Fulfil(parcel))?;
        for item in items {
            for (location, quantity) in order.pick(&item.sku, item.quantity) {
                let stock = StockId { sku: item.sku.clone(), location };
                changes.extend(stock_changes(world, &stock, StockCommand::Ship { order_id, quantity })?);
            }
        }
        Ok(changes)
    }
}

/// A parcel arrived.
#[derive(Debug, Clone)]
pub struct DeliverFulfilment {
    /// The order.
    pub order_id: OrderId,
    /// The parcel.
    pub fulfilment_id: FulfilmentId,
}

impl Decision for DeliverFulfilment {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        order_changes(world, self.order_id, OrderCommand::Deliver { fulfilment_id: self.fulfilment_id })
    }
}

/// Goods came back from the buyer. What they cost is given back with [`crate::RequestRefund`].
#[derive(Debug, Clone)]
pub struct ReturnItems {
    /// The order.
    pub order_id: OrderId,
    /// The new return.
    pub return_id: ReturnId,
    /// What came back, each SKU once.
    pub items: Vec<SkuQuantity>,
    /// Why.
    pub reason: String,
    /// Where the units are for sale again; absent when they are not fit for it.
    pub restock: Option<LocationId>,
}

impl Decision for ReturnItems {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let Self { order_id, return_id, items, reason, restock } = self.clone();
        let returned = OrderItemsReturned { return_id, items: items.clone(), reason };
        let mut changes = order_changes(world, order_id, OrderCommand::ReturnItems(returned))?;
        for (SkuQuantity { sku, quantity }, location) in items.into_iter().zip(std::iter::repeat(restock)) {
            let Some(location) = location else { continue };
            let stock = StockId { sku, location };
            let command = StockCommand::Return { stock: stock.clone(), quantity, return_id };
            changes.extend(stock_changes(world, &stock, command)?);
        }
        Ok(changes)
    }
}
